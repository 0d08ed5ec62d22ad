"""How good a Keras classifier is: accuracy, calibration, robustness, and where it looks."""
