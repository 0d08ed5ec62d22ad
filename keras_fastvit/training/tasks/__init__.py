"""Training and evaluating the heads of `keras_fastvit.tasks` on published data sets."""
