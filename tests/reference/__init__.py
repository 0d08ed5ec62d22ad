"""Expected outputs of the PyTorch implementations, for tests that run without them."""
