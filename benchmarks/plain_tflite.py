"""TensorFlow's converter as its guide uses it, without anything of ours: what one must beat."""

import warnings
from typing import Any

import keras

from keras_fastvit.arrays import Array


def to_plain_tflite(model: keras.Model, images: Array | None = None) -> bytes:
    """Converts a model of plain Keras layers as it stands.

    Args:
        model: With one input `(batch, height, width, channels)`, static but for the batch, and one
            output.
        images: `(count, height, width, channels)`, float32, to find the ranges of the activations
            with; None for a float32 file.

    Returns:
        The content of a file: float32, or with images static int8, int8 in and out too.

    Raises:
        ValueError: If Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "TensorFlow's converter needs a model of its own. Expected KERAS_BACKEND=tensorflow. "
            f"Received: {keras.backend.backend()}"
        )
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)

    @tf.function(input_signature=[image])
    def forward(x: Any) -> Any:
        return model(x, training=False)

    # Variables would become operators of their own, which the calibration fails on.
    constant = convert_variables_to_constants_v2(forward.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([constant])
    if images is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x[None]] for x in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with warnings.catch_warnings():
        # It asks for statistics that only its older, other way to quantise has a use for.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs", UserWarning)
        content: bytes = converter.convert()
    return content
