"""Static int8: calibration, ranges, rounding of weights, and the error of every layer."""
