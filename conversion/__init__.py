"""From a PyTorch checkpoint to a file for the phone; each module is a command and its functions."""
