"""Checks what a sidecar holds wherever one is read, as it comes from outside."""

from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any

from keras_fastvit.json_files import fault_of, is_number, parsed_object, read_object, shown
from keras_fastvit.plain_text import in_short, is_name

Description = dict[str, Any]
"""The JSON object of a sidecar, or the copy of it that is in a `.tflite` file."""

FORMAT = 1
"""The version of the sidecar's format that this package writes and reads."""

# Values that readers know. Another one stands for something that would be computed wrongly.
_KNOWN: dict[str, tuple[str | None, ...]] = {
    "color": ("RGB", None),
    "interpolation": ("bicubic", "bilinear"),
    "activation": ("linear", "softmax"),
    "dtype": ("float32", "int8"),
}

_NUMBER = (int, float)
_OPTIONAL_NUMBER = (int, float, NoneType)
_TENSOR = {
    "name": str,
    "shape": list,
    "dtype": str,
    "scale": _OPTIONAL_NUMBER,
    "zero_point": (int, NoneType),
}
_SCHEMA: Description = {
    "format": int,
    "model": str,
    "weights": (str, NoneType),
    "quantize": str,
    "target": str,
    "without": list,
    "input": {
        **_TENSOR,
        "mean": (list, NoneType),
        "std": (list, NoneType),
        "color": (str, NoneType),
        "crop_pct": _NUMBER,
        "interpolation": str,
    },
    "labels": (list, NoneType),
    "versions": dict,
    "calibration": (dict, NoneType),
}
"""What must be there, and its JSON types; beside it `output`, or a list of several: `outputs`."""

_OUTPUT: Description = {**_TENSOR, "activation": str}


def parsed(text: bytes, where: str) -> Description:
    """Reads a description.

    Args:
        text: JSON in UTF-8.
        where: What holds it, for the error.

    Raises:
        ValueError: If it is damaged, or of another format than `FORMAT`, or says what this package
            would not heed.
    """
    return _checked(lambda: parsed_object(text), where)


def read_description(path: Path) -> Description:
    """Reads a sidecar.

    Raises:
        ValueError: As `parsed` does.
        OSError: If the file cannot be read.
    """
    return _checked(lambda: read_object(path), f"'{path}'")


def _checked(read: Callable[[], Description], where: str) -> Description:
    expected = f"Expected in {where} the JSON that export writes, format {FORMAT}. Received: "
    try:
        description = read()
    except ValueError as error:
        raise ValueError(f"{expected}{error}") from error
    if description.get("format") != FORMAT:
        raise ValueError(f"{expected}format {in_short(repr(description.get('format')))}")
    fault = fault_of(description, _SCHEMA, _KNOWN) or _fault_of_outputs(description)
    if fault := fault or _inconsistency(description):
        raise ValueError(f"{expected}{fault}")
    return description


def outputs_of(description: Description) -> list[Description]:
    """Returns the outputs, of which there may be one or several."""
    return list(description.get("outputs", [description.get("output")]))


def _fault_of_outputs(description: Description) -> str | None:
    several = "outputs" in description
    if several == ("output" in description):
        return "not one of output and outputs" if several else "no output"
    if several and not (isinstance(outputs := description["outputs"], list) and len(outputs) > 1):
        return f"outputs: {shown(outputs)}, where a list of several is expected"
    for output in outputs_of(description):
        if fault := fault_of(output, _OUTPUT, _KNOWN, "output"):
            return fault
    return None


def _inconsistency(description: Description) -> str | None:
    image, labels, outputs = description["input"], description["labels"], outputs_of(description)
    colors = [image[key] for key in ("color", "mean", "std")]
    unknown = colors == [None] * 3 and image["shape"][-1:] != [3]
    if not unknown:
        numbers = [] if None in colors else [*image["mean"], *image["std"]]
        if len(numbers) != 6 or not all(map(is_number, numbers)):
            return f"input.mean {shown(image['mean'])} and input.std {shown(image['std'])}"
        if min(image["std"]) <= 0:
            return f"input.std {image['std']}"
    if not 0 < image["crop_pct"] <= 1:
        return f"input.crop_pct {image['crop_pct']}"
    for tensor in (image, *outputs):
        sides = tensor["shape"]
        if not all(isinstance(side, int) and is_number(side) and side > 0 for side in sides):
            return f"a tensor of shape {shown(sides)}"
    shapes = [output["shape"] for output in outputs]
    if labels is not None and (
        len(shapes) != 1
        or len(shapes[0]) not in (2, 4)
        or len(labels) != shapes[0][-1]
        or not all(isinstance(label, str) for label in labels)
    ):
        return f"{len(labels)} labels for an output of shape {', '.join(map(str, shapes))}"
    if unfit := [label for label in labels or () if not is_name(label)]:
        return f"the label {in_short(repr(unfit[0]))}, which is not one line of text"
    return None
