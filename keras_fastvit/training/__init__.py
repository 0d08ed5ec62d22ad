"""Training on this package's layers with Keras' own `fit`."""
