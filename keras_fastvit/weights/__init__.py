"""Where weights come from: names, files of PyTorch and of Keras, and strict loading."""
