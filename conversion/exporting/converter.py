"""Converts a lowered model to a `.tflite` file's content, with TensorFlow on the CPU.

A process has one Keras backend. Where that is TensorFlow, and it computes in float32 on the CPU,
the model is converted in this process; else in one of its own, which takes seconds to start. The
file is the same, byte for byte. What is done there: `converter_process`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from threadpoolctl import threadpool_limits

from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import scratch_folder
from keras_fastvit.conversion.exporting.output_names import output_names
from keras_fastvit.conversion.native_output import captured
from keras_fastvit.conversion.operations import Range
from keras_fastvit.conversion.quantization.layer_report import LayerError

BLAS_THREADS = 1
"""Small matrices gain nothing from threads, which on busy cores wait for each other: quantisation
then takes twenty times as long. One thread also adds up in one order."""


@dataclass(frozen=True)
class Conversion:
    """A converted model.

    Attributes:
        content: Of the `.tflite` file.
        outputs: What Keras gives for the images with the reference, in float32, by
            `output_names`.
        layers: Of an int8 file the error of every layer, in the order of the graph.
        gelu: What an int8 file computes GELU with: the one asked for, or that of its training.
    """

    content: bytes
    outputs: dict[str, Array]
    layers: list[LayerError]
    gelu: str | None = None


def convert(
    lowered: keras.Model,
    images: Array,
    quantize: str = "none",
    calibration: Array | None = None,
    gelu: str = "sigmoid",
    float_softmax: bool = True,
    without: Collection[str] = (),
    ranges: Mapping[str, Range] | None = None,
    reference: keras.Model | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Conversion:
    """Converts a model, and runs another in Keras on some images.

    Args:
        lowered: With a static input `(1, height, width, channels)`.
        images: float32 `(images, height, width, channels)`.
        quantize: A key of `precisions.PRECISIONS`.
        calibration: float32 `(images, height, width, channels)`: what int8 is calibrated on.
        gelu: One of `targets.GELUS`: what int8 computes GELU with.
        float_softmax: Whether an int8 file computes a softmax in float32; see `float_softmax`.
        without: Which of `techniques.TECHNIQUES` to leave out.
        ranges: Of a model whose weights and ranges were trained for int8, these, by operation; see
            `fake_quantized_form.int8_form_of`. Then nothing is left to decide.
        reference: What to run in Keras, such as the model before it was lowered; default: the
            lowered model.
        progress: Called with the number of operations that are quantised, and of all.

    Raises:
        ValueError: If TensorFlow cannot convert the model.
    """
    with scratch_folder() as folder:
        lowered.save(folder / "model.keras")
        (reference or lowered).save(folder / "reference.keras")
        np.save(folder / "images.npy", images)
        if calibration is not None:
            np.save(folder / "calibration.npy", calibration)
        request = {
            "quantize": quantize,
            "gelu": gelu,
            "float_softmax": float_softmax,
            "without": sorted(without),
            "ranges": ranges,
        }
        (folder / "request.json").write_text(json.dumps(request))
        run = _run_here if _can_run_here() else _run_child
        run(folder, lowered.name, progress)
        decisions = folder / "quantized.json"
        quantized = json.loads(decisions.read_text()) if decisions.exists() else {"layers": []}
        with np.load(folder / "outputs.npz") as outputs:
            by_name = {name: outputs[name] for name in output_names(lowered)}
        return Conversion(
            (folder / "model.tflite").read_bytes(),
            by_name,
            [LayerError(**layer) for layer in quantized["layers"]],
            quantized.get("gelu"),
        )


def _can_run_here() -> bool:
    """Returns whether Keras computes here as it does in the other process."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return (
        # There Keras may compute in less than float32.
        not tf.config.list_physical_devices("GPU")
        and not tf.config.functions_run_eagerly()
        and keras.config.floatx() == keras.config.dtype_policy().name == "float32"
    )


def _run_here(folder: Path, model_name: str, progress: Callable[[int, int], None]) -> None:
    from keras_fastvit.conversion.exporting import converter_process

    with captured() as output, threadpool_limits(BLAS_THREADS, "blas"):
        try:
            converter_process.main(folder, progress)
        except Exception as error:
            sys.stderr.write(output.errors())
            raise _failure(model_name, converter_process.reason(error)) from error


def _failure(model_name: str, received: str) -> ValueError:
    return ValueError(
        f"TensorFlow could not convert model '{model_name}'. Expected Keras' own layers and "
        "operations that LiteRT has: take others, or export the model up to where it needs others. "
        f"Received: {received.strip()}"
    )


def _run_child(folder: Path, model_name: str, progress: Callable[[int, int], None]) -> None:
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        # The child finds this package where this process has found it.
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        "OPENBLAS_NUM_THREADS": str(BLAS_THREADS),
    }
    command = [sys.executable, "-m", f"{__package__}.converter_process", str(folder)]
    said = ""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as child,
    ):
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("progress "):
                _, done, total = line.split()
                progress(int(done), int(total))
            else:
                said = line
        if child.wait():
            errors.seek(0)
            raise _failure(model_name, said or errors.read()[-1000:])
