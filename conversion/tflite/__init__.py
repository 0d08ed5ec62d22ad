"""`.tflite` files: reading, running, describing them, and what the delegate takes."""
