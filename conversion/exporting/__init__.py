"""From a Keras model to a `.tflite` file that has been run and compared."""
