"""The part of the export that needs TensorFlow: run in a process of its own.

    KERAS_BACKEND=tensorflow python -P tensorflow_to_tflite.py IN.keras IMAGES.npy OUT.tflite Y.npy

converts a model in inference form and runs it in Keras on the images. A process of its own,
because a process has one Keras backend, and because on a GPU Keras may compute in less than
float32. It needs neither this package nor this folder on its path. If it fails, it prints the
reason, in a line, and exits with 1.
"""

import re
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def to_tflite(model: keras.Model, shape: tuple[int, ...]) -> bytes:
    """Converts a model in inference form to a `.tflite` file's content.

    Args:
        model: With one input and one output.
        shape: Static shape of the input, the batch included.

    Returns:
        A float32 model of built-in operators, with the signature `image -> output`.

    Raises:
        Exception: The converter's own, if the model has operations without a built-in operator.
    """
    image = tf.TensorSpec(shape, tf.float32, name="image")

    @tf.function(input_signature=[image])
    def forward(image: Any) -> Any:
        return model(image, training=False)

    # Variables would become operators of their own, with the weights nowhere in the file.
    constant = convert_variables_to_constants_v2(forward.get_concrete_function())
    module = tf.Module()
    module.forward = tf.function(lambda image: {"output": constant(image)[0]}, [image])
    function = module.forward.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    content: bytes = converter.convert()
    return content


def main(model_path: str, images_path: str, tflite_path: str, outputs_path: str) -> None:
    """Runs the command in the module's docstring."""
    model = keras.saving.load_model(model_path, compile=False)
    # A model trained in mixed precision has float32 variables, and computes with them on a phone.
    for layer in model._flatten_layers():
        layer.dtype_policy = "float32"
    images = np.load(images_path)
    with open(tflite_path, "wb") as file:
        file.write(to_tflite(model, (1, *images.shape[1:])))
    outputs = [model(images[i : i + 1], training=False) for i in range(len(images))]
    np.save(outputs_path, np.concatenate(outputs))


def reason(error: Exception) -> str:
    """Puts what the converter says into a line: it is a report of pages that names one thing."""
    if lacking := sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error)))):
        return f"operations that LiteRT lacks: {', '.join(lacking)}"
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        print(reason(error))
        sys.exit(1)
