"""Exports a model to a float32 `.tflite` file, which is run and compared before it is reported.

    keras-fastvit export --model fastvit_sa12 --weights imagenet --output sa12.tflite

prints the file's size, input, output and operators, and how far its outputs are from Keras'. The
same as `python -m conversion.export_tflite`, with any Keras backend; TensorFlow, which converts,
and LiteRT, which runs the file, come with `pip install "keras-fastvit[convert]"`.

The file computes what the model does: normalised images (`preprocess_input`) in, one at a time,
and out what `keras.applications` gives, probabilities, or logits if the model was built with
`classifier_activation=None`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_fastvit import fuse
from keras_fastvit.atomic_file import written_beside

from .litert import TFLiteModel, operators
from .model_arguments import add_model_arguments, load_model

Array = NDArray[Any]

LARGEST_DIFFERENCE = 1e-5
"""Between the file's outputs and Keras', over the largest output."""

IMAGES = 3
"""How many images the outputs are compared on."""


@dataclass(frozen=True)
class Export:
    """What was written, and what was seen when it ran.

    Attributes:
        path: The `.tflite` file.
        size: In bytes.
        input_shape: `(1, height, width, channels)`.
        output_shape: `(1, classes)` of a classifier.
        operators: How many of each of LiteRT's operators.
        difference: `max|file - Keras| / max|Keras|` over the outputs for some images.
    """

    path: Path
    size: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    operators: Counter[str]
    difference: float


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    image_size: int | tuple[int, int] | None = None,
) -> Export:
    """Writes a model's inference form as a float32 `.tflite` file that has been seen to work.

    The file takes one image, computes in float32 what the model does with `training=False`, and
    consists of operators built into LiteRT. It takes its name only after it has run in LiteRT
    with outputs that differ from Keras' by at most `LARGEST_DIFFERENCE`.

    Args:
        model: A FastViT in training or inference form, or any functional or Sequential model of
            Keras' and this package's layers, with one image input `(batch, height, width,
            channels)` and one output. Its own backend does not matter.
        path: Where to write. What is there is replaced.
        image_size: Side in pixels or `(height, width)`, for a model whose sides are None.

    Raises:
        ImportError: If TensorFlow or LiteRT is not installed.
        OSError: If the file cannot be written.
        ValueError: If the model is not as above, or cannot be converted.
        ArithmeticError: If the file's outputs are not those of Keras.

    Example:
    >>> import tempfile
    >>> from keras_fastvit import FastViTT8
    >>> model = FastViTT8(weights=None, input_shape=(32, 32, 3), classes=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exported = export(model, f"{folder}/model.tflite")
    >>> exported.output_shape, exported.operators["GELU"], exported.difference < 1e-5
    ((1, 10), 17, True)
    """
    path = Path(path)
    _check_installed()
    fused = fuse(model)
    shape = _input_shape(fused, image_size)
    if path.is_dir():
        raise IsADirectoryError(f"Cannot write '{path}': expected a file. Received: a folder")
    try:
        with written_beside(path) as unfinished:
            unfinished.touch()  # a folder that refuses files does so before the long work
            images = _images(shape)
            content, expected = _convert(fused, images)
            _check_finite(expected, model.name)
            found = operators(content)
            _check_built_in(found)
            unfinished.write_bytes(content)
            difference = _difference(TFLiteModel(unfinished)(images), expected)
    except OSError as error:
        if error.errno is None:  # already in these words
            raise
        raise OSError(
            f"Cannot write '{path}'; nothing was left there. Expected a folder that can be "
            f"written to, with room for the file. Received: {error}"
        ) from error
    output_shape = (1, *expected.shape[1:])
    return Export(path, len(content), shape, output_shape, found, difference)


def _check_installed() -> None:
    for module in ("tensorflow", "ai_edge_litert"):
        if find_spec(module) is None:
            raise ImportError(
                "Exporting to .tflite needs TensorFlow and LiteRT: `pip install "
                f'"keras-fastvit[convert]"`. Received: an environment without {module}'
            )


def _input_shape(
    model: keras.Model, image_size: int | tuple[int, int] | None
) -> tuple[int, int, int, int]:
    """Returns the input shape of the file, `(1, height, width, channels)`."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"Only a model with one input and one output can be exported. Received: model "
            f"'{model.name}' with {len(model.inputs)} inputs and {len(model.outputs)} outputs"
        )
    (image,) = model.inputs
    if len(image.shape) != 4 or image.dtype != "float32" or image.shape[3] is None:
        raise ValueError(
            "The model's input must be an image, float32 of shape (batch, height, width, "
            f"channels). Received: model '{model.name}' with an input of {image.dtype}, "
            f"shape {image.shape}"
        )
    for layer in model._flatten_layers():
        if not type(layer).__module__.startswith("keras."):
            raise ValueError(
                "The model is converted in a process that knows Keras' own layers only. "
                f"Received: layer '{layer.name}' of type {type(layer).__name__}"
            )
        first = getattr(layer, "data_format", None) == "channels_first"
        # On TensorFlow a FastViT for channels first begins by moving them to the end.
        if first or getattr(layer, "dims", None) == (2, 3, 1):
            raise ValueError(
                "A phone's images have their channels last, and so must the model's layers. Build "
                "it with data_format='channels_last'; its weights are the same. Received: "
                f"layer '{layer.name}', which is for channels first"
            )
    for variable in model.variables:
        if variable.dtype in ("float16", "bfloat16", "float64"):
            raise ValueError(
                "The model's variables must be float32, which they are in mixed precision too. "
                f"Received: variable '{variable.path}' of {variable.dtype}"
            )
    batch, height, width, channels = image.shape
    if batch not in (None, 1):
        raise ValueError(
            "The file takes one image at a time, so the model's batch must be None or 1. "
            f"Received: model '{model.name}' with an input of shape {image.shape}"
        )
    if image_size is not None:
        sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        if any(own not in (None, side) for own, side in zip((height, width), sides, strict=True)):
            raise ValueError(
                f"The image size must fit the model's input of shape {image.shape}. "
                f"Received: image_size={image_size}"
            )
        height, width = sides
    if height is None or width is None:
        raise ValueError(
            "A model that takes images of any size is exported for one size, which must be given "
            f"as image_size. Received: image_size={image_size}, model '{model.name}' with an "
            f"input of shape {image.shape}"
        )
    return 1, height, width, channels


def _images(shape: tuple[int, int, int, int]) -> Array:
    """Noise in the range of normalised photographs, coarse and fine, as pooling hides the fine."""
    _, height, width, channels = shape
    rng = np.random.default_rng(0)
    fine = rng.uniform(-1, 1, (IMAGES, height, width, channels))
    coarse = rng.uniform(-1, 1, (IMAGES, -(-height // 16), -(-width // 16), channels))
    coarse = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    return (fine + coarse).astype("float32")


def _convert(model: keras.Model, images: Array) -> tuple[bytes, Array]:
    """Converts a model in inference form; returns the file's content and Keras' outputs."""
    script = Path(__file__).with_name("tensorflow_to_tflite.py")
    with tempfile.TemporaryDirectory() as folder:
        model_path, images_path, tflite_path, outputs_path = (
            Path(folder, name) for name in ("model.keras", "images.npy", "model.tflite", "y.npy")
        )
        model.save(model_path)
        np.save(images_path, images)
        finished = subprocess.run(
            # -P: this folder's modules are no top-level modules there.
            [sys.executable, "-P", script, model_path, images_path, tflite_path, outputs_path],
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )
        if finished.returncode:
            received = finished.stdout or finished.stderr[-1000:]
            raise ValueError(
                f"TensorFlow could not convert model '{model.name}'. Expected Keras' own layers "
                f"and operations that LiteRT has. Received: {received.strip()}"
            )
        return tflite_path.read_bytes(), np.load(outputs_path)


def _check_built_in(found: Iterable[str]) -> None:
    if foreign := sorted(name for name in found if not name.isupper()):
        raise ValueError(
            "The file must hold operators that are built into LiteRT only. "
            f"Received: {', '.join(foreign)}"
        )


def _check_finite(outputs: Array, name: str) -> None:
    if not np.isfinite(outputs).all():
        raise ValueError(
            f"The outputs of model '{name}' must be finite. Received: "
            f"{np.count_nonzero(~np.isfinite(outputs))} NaN or infinite values for {IMAGES} images"
        )


def _difference(received: Array, expected: Array) -> float:
    largest = float(np.max(np.abs(expected)))
    difference = float(np.max(np.abs(received - expected))) / (largest or 1.0)
    # Written so that NaN is refused.
    if not difference <= LARGEST_DIFFERENCE:
        raise ArithmeticError(
            "The file does not compute what the model does, and was not kept. Expected outputs "
            f"within {LARGEST_DIFFERENCE:.0e} of the largest of Keras', {largest:.3g}. "
            f"Received: a difference of {difference:.1e} of it"
        )
    return difference


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Exports a FastViT to a float32 .tflite file.")
    add_model_arguments(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="M.tflite")
    args = parser.parse_args(argv)
    if args.weights is None:
        parser.error("expected --weights: what the file is to classify with")
    try:
        exported = export(load_model(args), args.output)
    except (ArithmeticError, ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    counts = ", ".join(f"{count} {name}" for name, count in exported.operators.most_common())
    print(
        f"{exported.path}: {exported.size} bytes, float32\n"
        f"  input       image {exported.input_shape}, RGB, normalised as by preprocess_input\n"
        f"  output      probabilities {exported.output_shape}\n"
        f"  operators   {counts}\n"
        f"  in LiteRT   on {IMAGES} images within {exported.difference:.1e} of Keras' largest "
        f"output (allowed: {LARGEST_DIFFERENCE:.0e})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
