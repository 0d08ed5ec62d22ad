"""Classifiers from files, side by side on the same images: accuracy, agreement, robustness."""
