"""`.tflite` files to test with, made by TensorFlow's converter alone, and sidecars for them."""

import functools
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_fastvit import fuse
from tests.models import images, tiny


def to_tflite(model: keras.Model, calibration: np.ndarray | None = None) -> bytes:
    """A file that computes what a model of static sides does, int8 throughout if calibrated."""
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    spec = tf.TensorSpec((1, *model.inputs[0].shape[1:]), tf.float32, name="image")
    forward = tf.function(lambda image: model(image, training=False), input_signature=[spec])
    constant = convert_to_constants.convert_variables_to_constants_v2(
        forward.get_concrete_function()
    )
    holder = tf.Module()
    holder.forward = tf.function(lambda image: {"output": constant(image)[0]}, [spec])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [holder.forward.get_concrete_function()], holder
    )
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


@functools.cache
def tiny_contents() -> dict[str, bytes]:
    """The contents of a TINY's files in float32 and in int8."""
    model = fuse(tiny())
    return {
        "tiny.tflite": to_tflite(model),
        "tiny_int8.tflite": to_tflite(model, calibration=images(8, 64, 64, 3)),
    }


def write_tiny_files(folder: Path) -> tuple[Path, Path]:
    """Writes the files of a TINY in float32 and in int8."""
    paths = []
    for name, content in tiny_contents().items():
        paths.append(folder / name)
        paths[-1].write_bytes(content)
    return paths[0], paths[1]


def edited(content: bytes, edit: Any) -> bytes:
    """A file's content after `edit` has changed its schema's `ModelT`."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    edit(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def crashing_content() -> bytes:
    """An int8 file that is whole, and kills the process that loads it."""
    from ai_edge_litert import schema_py_generated as schema

    def make_a_sum_a_float(model: Any) -> None:
        graph = model.subgraphs[0]
        for node in graph.operators:
            if model.operatorCodes[node.opcodeIndex].builtinCode == schema.BuiltinOperator.ADD:
                output = graph.tensors[node.outputs[0]]
                output.type, output.shape = schema.TensorType.FLOAT32, []
                output.quantization = None
                return

    return edited(tiny_contents()["tiny_int8.tflite"], make_a_sum_a_float)


def damaged(content: bytes, seed: int) -> bytes:
    """A file's content cut off, or with some of its bytes or words replaced."""
    rng, changed = random.Random(seed), bytearray(content)
    kind = rng.choice(("cut", "bytes", "word"))
    if kind == "cut":
        return content[: rng.randrange(len(content))]
    for _ in range(1 if kind == "word" else 10):
        place = 4 * rng.randrange(len(content) // 4)
        if kind == "word":
            word = rng.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\1\0\0\0", bytes(4)))
            changed[place : place + 4] = word
        else:
            changed[place + rng.randrange(4)] = rng.randrange(256)
    return bytes(changed)


def write_sidecar(path: Path, model: str, weights: str | None, **changes: Any) -> Path:
    """Writes the sidecar of a float32 or int8 classifier; `changes` are of its top level."""
    from keras_fastvit.conversion.tflite.runtime import TFLiteModel

    content, file = path.read_bytes(), TFLiteModel(path)
    (scale, zero_point) = file.input_quantization or (None, None)
    (output_scale, output_zero_point) = file.output_quantization or (None, None)
    description = {
        "format": 1,
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "model": model,
        "weights": weights,
        "quantize": "none" if scale is None else "int8",
        "target": "cpu",
        "without": [],
        "input": {
            "name": "image",
            "shape": list(file.input_shape),
            "dtype": str(file.input_dtype),
            "scale": scale,
            "zero_point": zero_point,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "color": "RGB",
            "crop_pct": 1.0,
            "interpolation": "bicubic",
        },
        "output": {
            "name": "output",
            "shape": list(file.output_shape),
            "dtype": "float32" if output_scale is None else "int8",
            "scale": output_scale,
            "zero_point": output_zero_point,
            "activation": "softmax",
        },
        "labels": None,
        "versions": {},
        "calibration": None,
        "self_check": {"images": 3, "max_difference": 0.0, "sqnr_db": None, "agreement": 1.0},
    }
    sidecar = path.with_suffix(".json")
    sidecar.write_text(json.dumps({**description, **changes}), encoding="utf-8")
    return sidecar
