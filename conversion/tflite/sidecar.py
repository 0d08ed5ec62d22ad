"""The sidecar: `M.json` beside `M.tflite`, all that an app must know to use the file.

An app loads the file, and finds in the sidecar how to prepare an image for it and how to read its
output; it hard-codes nothing. A copy is in the file itself, as the metadata entry
`keras_fastvit`; it lacks what is known of the file only when it is finished: its name, hash, size
and self-check.

    {"format": 1, "file": "M.tflite", "sha256": "…", "size": 3600000,
     "model": "fastvit_t8", "weights": "fashion_mnist", "quantize": "int8", "target": "cpu",
     "without": [],
     "input": {"name": "image", "shape": [1, 64, 64, 3], "dtype": "int8", "scale": 0.0186,
               "zero_point": -14, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
               "color": "RGB", "crop_pct": 1.0, "interpolation": "bicubic"},
     "output": {"name": "output", "shape": [1, 10], "dtype": "int8", "scale": 0.1, "zero_point": 3,
                "activation": "softmax"},
     "labels": ["T-shirt/top", …], "versions": {"keras": "3.15.1", …},
     "calibration": {"images": 200, "skipped": 0},
     "self_check": {"images": 32, "max_difference": 0.02, "sqnr_db": 33.1, "agreement": 1.0}}

An image is resized (`interpolation`, antialiased) and cropped at the centre so that the crop keeps
`crop_pct` of its short side; a channel of it, 0..1, becomes `x = (pixel - mean) / std`, and in int8
`round(x / scale) + zero_point`. An output of integers `q` is `(q - zero_point) * scale`;
`activation` is what is left to be applied to it, softmax or none (`"linear"`). Of a file that does
not take three channels `mean`, `std` and `color` are null: only who made it knows what they are.
Labels name what the output's last axis counts, `(1, classes)` or `(1, height, width, classes)`. A
file with several outputs has in place of `output` a list of them, `outputs`. Float tensors have a
`scale` and `zero_point` of null. `max_difference` is over Keras' largest output; `sqnr_db` is null
if there is no difference.
"""

import hashlib
import json
import math
import os
from importlib import metadata
from pathlib import Path

from keras_fastvit.conversion.tflite.schema import Tensor, read_graph
from keras_fastvit.conversion.tflite.sidecar_schema import (
    FORMAT,
    Description,
    parsed,
    read_description,
)
from keras_fastvit.images.normalizations import NORMALIZATIONS
from keras_fastvit.plain_text import in_short

METADATA = "keras_fastvit"
INTERPOLATION = "bicubic"
PACKAGES = ("keras", "tensorflow", "ai_edge_litert", "numpy", "pillow")


def tensors(
    content: bytes, crop_pct: float, activation: str, normalization: str = "imagenet"
) -> Description:
    """Describes the input and the outputs of a file.

    Args:
        content: Of the `.tflite` file, which has one input.
        crop_pct: Share of the resized image's short side that the crop keeps.
        activation: `"softmax"` or `"linear"`.
        normalization: A key of `preprocessing.NORMALIZATIONS`, of RGB images.

    Returns:
        The sidecar's `input`, and `output` or, where there are several, `outputs`.

    Raises:
        ImportError: If `ai_edge_litert`, which has the schema, is not installed.
    """
    graph = read_graph(content)
    (image,) = graph.inputs
    mean, std = NORMALIZATIONS[normalization]
    rgb = graph.tensors[image].shape[-1] == len(mean)
    preparation = {
        "mean": list(mean) if rgb else None,
        "std": list(std) if rgb else None,
        "color": "RGB" if rgb else None,
        "crop_pct": crop_pct,
        "interpolation": INTERPOLATION,
    }
    described = {"input": {**_tensor("image", graph.tensors[image]), **preparation}}
    outputs = [
        {**_tensor(name, graph.tensors[output]), "activation": activation}
        for name, output in graph.output_names.items()
    ]
    if len(outputs) == 1:
        return {**described, "output": outputs[0]}
    return {**described, "outputs": outputs}


def _tensor(name: str, tensor: Tensor) -> Description:
    return {
        "name": name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.lower(),
        "scale": tensor.scales[0] if tensor.scales else None,
        "zero_point": tensor.zero_points[0] if tensor.zero_points else None,
    }


def versions() -> dict[str, str]:
    """Returns the versions of this package and of those that made the file."""
    names = {"keras_fastvit": "keras-fastvit", **{name: name for name in PACKAGES}}
    return {name: _version(package) for name, package in names.items()}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # ours, run from a checkout
        return "not installed"


def embed(content: bytes, description: Description) -> bytes:
    """Adds a description to the content of a `.tflite` file, as metadata.

    What the file computes stays the same: runtimes do not read it.

    Raises:
        ImportError: If `ai_edge_litert`, which has the schema, is not installed.
    """
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(to_json(description).encode(), "uint8")
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def embedded(content: bytes, path: str | os.PathLike[str] | None = None) -> Description | None:
    """Returns the description in the content of a file that a runtime has loaded.

    Args:
        content: Of the file.
        path: Of the file, for an error.

    Returns:
        What export has embedded; None if there is none.

    Raises:
        ImportError: If `ai_edge_litert`, which has the schema, is not installed.
        ValueError: If the entry is there, and is no description, or the file is damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    where = f"the metadata entry '{METADATA}'" + (f" of '{path}'" if path else "")
    try:
        model = schema.Model.GetRootAs(content, 0)
        entries = list(map(model.Metadata, range(model.MetadataLength())))
        found = [entry.Buffer() for entry in entries if entry.Name() == METADATA.encode()]
        text = bytes(model.Buffers(found[0]).DataAsNumpy()) if found else None
    except Exception as error:  # damage surfaces in many ways: IndexError, struct.error, …
        raise ValueError(
            f"Expected in {where} the JSON that export writes. Received: a damaged file "
            f"({in_short(error)})"
        ) from error
    return None if text is None else parsed(text, where)


def beside(path: str | os.PathLike[str]) -> Path:
    """Returns where the sidecar of a `.tflite` file is."""
    return Path(path).with_suffix(".json")


def finished(
    description: Description, path: Path, content: bytes, check: Description
) -> Description:
    """Adds what is known of a file when it is finished.

    Args:
        description: What is embedded in it.
        path: Where the file will be.
        content: Its final bytes.
        check: Its self-check: `images`, `max_difference`, `sqnr_db`, `agreement`.
    """
    about_the_file = {
        "format": FORMAT,
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }
    return {**about_the_file, **description, "self_check": check}


def to_json(description: Description) -> str:
    """Returns the text of a description; infinity, which JSON lacks, as null."""
    finite = {
        key: {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in description.items()
    }
    return json.dumps(finite, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read(path: str | os.PathLike[str]) -> Description | None:
    """Returns the sidecar of a `.tflite` file, having checked that it is that file's.

    Args:
        path: The `.tflite` file.

    Returns:
        The sidecar; None where there is none.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If the sidecar is damaged, or the file's size or hash is not what it says.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a .tflite file. Received: nothing at '{path}'")
    sidecar = beside(path)
    if not sidecar.is_file():
        return None
    content = path.read_bytes()
    description = read_description(sidecar)
    expected, received = description.get("sha256"), hashlib.sha256(content).hexdigest()
    if expected != received:
        raise ValueError(
            f"'{sidecar}' is not about '{path}' as it is now: export the model again, or move the "
            f"sidecar away. Expected: {description.get('size')} bytes with SHA-256 {expected}. "
            f"Received: {len(content)} bytes with SHA-256 {received}"
        )
    return description
