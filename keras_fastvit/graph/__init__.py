"""Functional graphs of Keras: rebuilding them call by call, inlining, finding the logits."""
