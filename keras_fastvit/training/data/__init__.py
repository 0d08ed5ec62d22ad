"""Batches to train on: folders, augmentation, and reading ahead."""
