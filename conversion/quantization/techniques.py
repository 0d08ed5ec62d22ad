"""What int8 needs, and the techniques by which it loses less. Imports nothing of Keras."""

FEWEST_IMAGES = 16
"""To calibrate with; with fewer, the ranges of activations depend on the choice of the images."""

TECHNIQUES = ("equalise", "ranges", "refit", "rounding")
"""What an export can leave out, to see what it gains; see `layer_by_layer`.

- `"equalise"`: channels are scaled to fill their tensor's range.
- `"ranges"`: ranges are those with the least squared error, not those of the values.
- `"refit"`: weights are fitted anew to the inputs that int8 has left.
- `"rounding"`: weights are rounded so that their errors cancel.
"""
