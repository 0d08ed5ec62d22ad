"""From image files and folders to the model's input, and from its output to class names."""
