"""The part of the export that needs TensorFlow: called by `converter`, or run as a process.

    KERAS_BACKEND=tensorflow python -m keras_fastvit.conversion.exporting.converter_process FOLDER

takes from FOLDER a lowered model (`model.keras`), the model before (`reference.keras`), images
(`images.npy`), for int8 calibration images (`calibration.npy`), and what is asked for
(`request.json`); writes `model.tflite`, what the model before gives in Keras for the images
(`outputs.npz`), and for int8 each layer's error and what GELU became (`quantized.json`). As a
process it prints `progress DONE TOTAL` as it goes; if it fails, it prints the reason, in a line,
and exits with 1.
"""

import itertools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_fastvit.conversion.exporting.output_names import output_names
from keras_fastvit.conversion.operations import UNKNOWN, Range, known
from keras_fastvit.conversion.quantization.layer_by_layer import (
    Quantized,
    quantize,
    quantize_as_trained,
)
from keras_fastvit.conversion.tflite.float_softmax import with_float_softmax
from keras_fastvit.conversion.tflite.int8_outputs import with_int8_outputs
from keras_fastvit.graph.keras_internals import layers_within
from keras_fastvit.graph.rewriting import calls_of, infer, origin


def to_tflite(model: keras.Model, quantize: str = "none") -> bytes:
    """Converts a lowered model to a `.tflite` file's content, with float32 in and out.

    Args:
        model: With a static input.
        quantize: `"none"`, `"fp16"` for weights in float16, `"dynamic"` for weights in int8.

    Raises:
        Exception: The converter's own, if the model has operations without a built-in operator.
    """
    converter = _converter(lambda image: tree.flatten(model(image, training=False)), model)
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Per channel, tflite-runtime has no such operator for a dense layer.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if quantize == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    content: bytes = converter.convert()
    return content


def to_int8_tflite(quantized: Quantized, float_softmax: bool = False) -> bytes:
    """Converts what `quantize` has decided on, with int8 in and out, perhaps a softmax in float.

    The ranges of all operations are given, and what has none stays in float: the inside of a layer
    that is several operators, such as a `LayerNormalization`, for which XNNPACK has float kernels
    alone.
    """
    model, ranges = quantized.model, quantized.ranges
    converter = _converter(lambda image: _with_ranges(model, ranges, image), model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    shared = _are_outputs_read_in_float(model)
    if not shared:
        converter.inference_output_type = tf.int8
    content: bytes = converter.convert()
    if shared:
        content = with_int8_outputs(content)
    return with_float_softmax(content) if float_softmax else content


def _are_outputs_read_in_float(model: keras.Model) -> bool:
    """Returns whether what reads an output may be operators that LiteRT has in float alone."""
    outputs = {id(x) for x in model.outputs}
    return any(
        id(x) in outputs and not known(node.operation).operators
        for node in calls_of(model)
        for x in node.input_tensors
    )


def _with_ranges(model: keras.Model, ranges: dict[str, Range], image: Any) -> list[Any]:
    """Runs a model, and tells the converter each tensor's range; returns the outputs."""

    def ranged(name: str, x: Any) -> Any:
        if name not in ranges:  # of integers
            return x
        return tf.quantization.fake_quant_with_min_max_args(x, *ranges[name])

    values = {id(model.inputs[0]): ranged(origin(model.inputs[0])[0].name, image)}
    for node in calls_of(model):
        args, kwargs = node.arguments.fill_in(values)
        (output,) = tree.flatten(infer(node.operation, args, kwargs))
        values[id(node.outputs[0])] = ranged(node.operation.name, output)
    return [values[id(x)] for x in model.outputs]


def _converter(function: Any, model: keras.Model) -> Any:
    """Returns a converter of a function from a model's image to its outputs, which get names."""
    names = output_names(model)
    image = tf.TensorSpec(model.input_shape, tf.float32, name="image")
    traced = tf.function(function, [image], autograph=False).get_concrete_function()
    constant = _constant(traced)
    module = tf.Module()
    module.forward = tf.function(
        lambda image: dict(zip(names, constant(image), strict=True)), [image], autograph=False
    )
    concrete = module.forward.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)


def _constant(traced: Any) -> Any:
    """Returns a concrete function that computes the same from constants, and has no gradients.

    Variables would become operators of their own, with the weights nowhere in the file. The name of
    an operation's own gradient, such as SiLU's, is known in the graph alone that it was traced in:
    with it no saved model could be made, and so no file with a signature.
    """
    frozen = convert_variables_to_constants_v2(traced)
    definition = frozen.graph.as_graph_def()
    functions = [function.node_def for function in definition.library.function]
    for node in itertools.chain(definition.node, *functions):
        node.attr.pop("_gradient_op_type", None)
    imported = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(definition, name=""), []
    )
    constant = imported.prune([x.name for x in frozen.inputs], [x.name for x in frozen.outputs])
    for old, new in zip(frozen.inputs, constant.inputs, strict=True):
        new.set_shape(old.shape)
    return constant


def main(folder: Path, progress: Callable[[int, int], None]) -> None:
    """Does what the module's docstring says.

    Args:
        folder: Where it reads and writes.
        progress: Called with the number of operations that are quantised, and of all.
    """
    request = json.loads((folder / "request.json").read_text())
    model, reference = (_load(folder / name) for name in ("model.keras", "reference.keras"))
    _check_operations(model)
    if request["quantize"] == "int8":
        calibration = np.load(folder / "calibration.npy")
        if request["ranges"] is None:
            quantized = quantize(
                model, calibration, request["gelu"], without=request["without"], progress=progress
            )
        else:
            quantized = quantize_as_trained(model, request["ranges"], calibration, progress)
        content = to_int8_tflite(quantized, request["float_softmax"])
        layers = [asdict(layer) for layer in quantized.layers]
        decisions = {"gelu": quantized.gelu, "layers": layers}
        (folder / "quantized.json").write_text(json.dumps(decisions))
    else:
        content = to_tflite(model, request["quantize"])
    (folder / "model.tflite").write_bytes(content)
    images = np.load(folder / "images.npy")
    outputs = [
        tree.flatten(reference(images[i : i + 1], training=False)) for i in range(len(images))
    ]
    together: dict[str, Any] = {
        name: np.concatenate(parts)
        for name, parts in zip(output_names(reference), zip(*outputs, strict=True), strict=True)
    }
    np.savez(folder / "outputs.npz", **together)


def _check_operations(model: keras.Model) -> None:
    """Converts each operation that the table does not know alone, which takes a moment.

    Raises:
        _NotInLiteRTError: If it cannot be converted.
    """
    for node in calls_of(model):
        operation = node.operation
        if known(operation) is UNKNOWN:
            try:
                _convert_alone(node)
            except Exception as error:  # whatever TensorFlow raises
                raise _NotInLiteRTError(
                    f"layer '{operation.name}' of type {type(operation).__name__}: {reason(error)}"
                ) from error


class _NotInLiteRTError(Exception):
    """An operation cannot be converted; the message names it, in a line."""


def _convert_alone(node: Any) -> None:
    def call(*inputs: Any) -> list[Any]:
        values = {id(x): y for x, y in zip(node.input_tensors, inputs, strict=True)}
        return list(tree.flatten(infer(node.operation, *node.arguments.fill_in(values))))

    specs = [tf.TensorSpec(x.shape, x.dtype) for x in node.input_tensors]
    constant = _constant(tf.function(call, specs, autograph=False).get_concrete_function())
    tf.lite.TFLiteConverter.from_concrete_functions([constant], tf.Module()).convert()


def _tell(done: int, total: int) -> None:
    print("progress", done, total, flush=True)


def _load(path: Path) -> keras.Model:
    model = keras.saving.load_model(path, compile=False)
    # A model trained in mixed precision has float32 variables, and computes with them on a phone.
    for layer in layers_within(model):
        layer.dtype_policy = "float32"
    return model


def reason(error: Exception) -> str:
    """Puts what the converter says into a line: it is a report of pages that names one thing."""
    if isinstance(error, _NotInLiteRTError):
        return str(error)
    if lacking := sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error)))):
        return f"operations that LiteRT lacks: {', '.join(lacking)}"
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), _tell)
    except Exception as error:
        print(reason(error))
        sys.exit(1)
