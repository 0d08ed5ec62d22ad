"""Camera frames, and what Python's pipeline makes of them, for the test of Kotlin's pipeline.

    python -m android_demo.core.reference.frames MODEL.tflite FOLDER

writes 208 crops of scikit-image's colour photographs as YUV frames: five sizes, both ranges, three
layouts, eight orientations, odd strides with noise between the rows. Files:

    frames.bin       the frames' bytes, one after another
    frames.json      for each frame its size, range, layout, orientation, row stride, and its place
    SIZE.json        a sidecar: how an input of that size is made
    inputs_SIZE.bin  the int8 inputs of all frames
    outputs_64.bin   the int8 outputs of MODEL, which takes 64×64 pixels, on inputs_64.bin

The pixels go through `keras_fastvit.load_image`, the values through `conversion.litert`'s own
quantisation: nothing of the pipeline is written a second time but YUV, which Python lacks. Needs
`pip install "keras-fastvit[convert]" scikit-image`.
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from conversion import sidecar
from conversion.litert import TFLiteModel
from conversion.preparation import Preparation
from conversion.sidecar_schema import Description
from keras_fastvit.atomic_file import written_beside

from .yuv import LAYOUTS, RANGES, Planes

Array = NDArray[Any]

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


class InputRecorder(TFLiteModel):
    """Keeps what `TFLiteModel.predict` would run a file on; runs `model`, if there is one."""

    def __init__(self, description: Description, model: TFLiteModel | None) -> None:
        image = description["input"]
        self.input_dtype = np.dtype(image["dtype"])
        self.input_quantization = image["scale"], image["zero_point"]
        self.output_quantization = None
        self.inputs: list[Array] = []
        self.outputs: list[Array] = []
        self._model = model

    def __call__(self, inputs: Array) -> Array:
        outputs = np.zeros(0) if self._model is None else self._model(inputs)
        self.inputs.append(inputs)
        self.outputs.append(outputs)
        return outputs


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Writes camera frames and their model inputs.")
    parser.add_argument("model", type=Path, metavar="MODEL.tflite")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    try:
        write(args.model, args.folder)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


def write(model: Path, folder: Path) -> None:
    """Writes all files; raises ValueError if the model is not int8 or takes another size."""
    description = sidecar.read(model)
    if description is None or description["input"]["shape"] != [1, 64, 64, 3]:
        raise ValueError(f"Expected a sidecar and an input of 64x64. Received: '{model}'")
    if description["input"]["dtype"] != "int8":
        raise ValueError(f"Expected a model with int8 input. Received: '{model}'")
    folder.mkdir(parents=True, exist_ok=True)
    descriptions = {64: description, 256: _of_256_pixels(description)}
    recorders = {
        size: InputRecorder(one, TFLiteModel(model) if size == 64 else None)
        for size, one in descriptions.items()
    }
    noise = np.random.default_rng(0)
    entries = []
    with written_beside(folder / "frames.bin") as partial, partial.open("wb") as file:
        for i, case in enumerate(track(list(cases()), "Making frames")):
            planes = Planes.of_photo(_photo(i, case.size, noise), case.range)
            stride = case.size[0] + STRIDE_EXTRA[i % len(STRIDE_EXTRA)]
            content = planes.to_bytes(case.layout, stride, noise)
            entries.append(_entry(case, stride, file.tell(), len(content)))
            file.write(content)
            upright = np.rot90(planes.to_rgb(), -case.degrees // 90)
            if case.mirrored:
                upright = upright[:, ::-1]
            for size, recorder in recorders.items():
                recorder.predict(_prepared(upright, descriptions[size], size)[None])
    for size, recorder in recorders.items():
        text = sidecar.to_json(descriptions[size])
        _write(folder / f"{size}.json", text.encode())
        _write(folder / f"inputs_{size}.bin", np.concatenate(recorder.inputs).tobytes())
    _write(folder / "outputs_64.bin", np.concatenate(recorders[64].outputs).tobytes())
    # Last: whoever finds it finds the others.
    _write(folder / "frames.json", json.dumps(entries, indent=1).encode())


def _of_256_pixels(description: Description) -> Description:
    """The sidecar of a file that takes more pixels, a narrower crop, and other integers."""
    image = {**description["input"], "shape": [1, 256, 256, 3], "crop_pct": 0.9}
    image |= {"scale": float(np.float32(0.0207)), "zero_point": -9}
    return {**description, "input": image}


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


def _prepared(pixels: Array, description: Description, size: int) -> Array:
    preparation = Preparation.from_sidecar(description, (size, size))
    with tempfile.NamedTemporaryFile(suffix=".bmp") as file:
        Image.fromarray(np.ascontiguousarray(pixels)).save(file.name)
        return preparation(file.name)


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
