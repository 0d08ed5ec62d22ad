"""Camera frames, and what Python makes of them, for the tests of Kotlin's pipeline and engine.

    python -m android_demo.core.reference.frames FOLDER MODEL.tflite...

writes 208 crops of scikit-image's colour photographs as YUV frames: five sizes, both ranges, three
layouts, eight orientations, odd strides with noise between the rows. Files:

    frames.bin         the frames' bytes, one after another
    frames.json        for each frame its size, range, layout, orientation, row stride, and place
    MODEL_inputs.bin   the inputs of all frames, in the dtype of the model's input
    MODEL_logits.bin   what LiteRT gives for them, dequantised, in float32

The pixels go through `keras_fastvit.load_image`, the values through
`keras_fastvit.conversion.tflite.runtime`'s own quantisation: nothing of the pipeline is written a
second time but YUV, which Python lacks. Needs
`pip install "keras-fastvit[convert]" scikit-image`.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image
from rich.console import Console
from rich.progress import track

from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.images.preparation import Preparation

from .yuv import LAYOUTS, RANGES, Planes

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "immunohistochemistry", "retina")
SIZES = ((160, 120), (321, 241), (480, 360), (541, 250))
"""Width and height as a camera gives them; the last, turned, is resized columns first."""
LARGE = (1280, 720)
STRIDE_EXTRA = (0, 1, 7, 32)
ORIENTATIONS = tuple(itertools.product((0, 90, 180, 270), (False, True)))


@dataclass(frozen=True)
class Case:
    """How a frame is."""

    size: tuple[int, int]
    degrees: int
    mirrored: bool
    range: str
    layout: str


def cases() -> Iterator[Case]:
    """Yields all combinations, of the large size the layout and the ranges of Android alone."""
    for size, turn, range, layout in itertools.product(SIZES, ORIENTATIONS, RANGES, LAYOUTS):
        yield Case(size, *turn, range, layout)
    for turn, range in itertools.product(ORIENTATIONS, RANGES):
        yield Case(LARGE, *turn, range, "NV21")


class PythonPipeline:
    """A `.tflite` file below Python's pipeline, as its sidecar describes that.

    Args:
        path: The file.

    Attributes:
        inputs: What the file was run on, in the dtype of its input, one entry for each image.
        logits: What it gave, float32.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it is no `.tflite` file, or has no sidecar.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        description = sidecar.read(path)
        if description is None:
            raise ValueError(f"Expected a file with a sidecar. Received: '{path}'")
        model = _RecordingModel(path)
        _, height, width, _ = model.input_shape
        self._preparation = Preparation.from_sidecar(description, (height, width))
        self._model = model
        self.inputs = model.inputs
        self.logits: list[Array] = []

    def __call__(self, pixels: Array) -> None:
        """Runs the file on an upright image, uint8 `(height, width, 3)`."""
        with tempfile.NamedTemporaryFile(suffix=".bmp") as file:
            Image.fromarray(np.ascontiguousarray(pixels)).save(file.name)
            image = self._preparation(file.name)
        self.logits.append(self._model.predict(image[None]))


class _RecordingModel(TFLiteModel):
    """Keeps what `predict` runs the file on."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.inputs: list[Array] = []

    def run(self, inputs: Array) -> list[Array]:
        self.inputs.append(inputs)
        return super().run(inputs)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        description="Writes camera frames and what Python makes of them."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.tflite")
    args = parser.parse_args(argv)
    try:
        write(args.folder, args.models)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


def write(folder: Path, models: Sequence[Path]) -> None:
    """Writes all files.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If a model is no `.tflite` file, or has no sidecar.
    """
    pipelines = {path.stem: PythonPipeline(path) for path in models}
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    entries = []
    console = Console(stderr=True)
    with written_beside(folder / "frames.bin") as partial, partial.open("wb") as file:
        bar = track(
            list(cases()), "Making frames", console=console, disable=not console.is_terminal
        )
        for i, case in enumerate(bar):
            planes = Planes.of_photo(_photo(i, case.size, noise), case.range)
            stride = case.size[0] + STRIDE_EXTRA[i % len(STRIDE_EXTRA)]
            content = planes.to_bytes(case.layout, stride, noise)
            entries.append(_entry(case, stride, file.tell(), len(content)))
            file.write(content)
            upright = np.rot90(planes.to_rgb(), -case.degrees // 90)
            if case.mirrored:
                upright = upright[:, ::-1]
            for pipeline in pipelines.values():
                pipeline(upright)
    for name, pipeline in pipelines.items():
        _write(folder / f"{name}_inputs.bin", np.concatenate(pipeline.inputs).tobytes())
        _write(folder / f"{name}_logits.bin", np.concatenate(pipeline.logits).tobytes())
    # Last: whoever finds it finds the others.
    _write(folder / "frames.json", json.dumps(entries, indent=1).encode())


def _photo(index: int, size: tuple[int, int], random: np.random.Generator) -> Array:
    """A crop of a photograph, another one for each index, scaled to the size of a frame."""
    photo = Image.fromarray(getattr(skimage.data, PHOTOS[index % len(PHOTOS)])())
    width, height = size
    part = random.uniform(0.4, 1.0) * min(photo.width / width, photo.height / height)
    crop_width, crop_height = width * part, height * part
    left = random.uniform(0, photo.width - crop_width)
    top = random.uniform(0, photo.height - crop_height)
    box = (left, top, left + crop_width, top + crop_height)
    return np.asarray(photo.resize(size, Image.Resampling.BICUBIC, box))


def _entry(case: Case, row_stride: int, offset: int, length: int) -> dict[str, Any]:
    width, height = case.size
    return {
        "width": width,
        "height": height,
        "row_stride": row_stride,
        "range": case.range,
        "layout": case.layout,
        "degrees": case.degrees,
        "mirrored": int(case.mirrored),
        "offset": offset,
        "length": length,
    }


def _write(path: Path, content: bytes) -> None:
    with written_beside(path) as partial:
        partial.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
