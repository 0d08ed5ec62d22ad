"""Training and evaluating the hand-mesh head on FreiHAND."""
