"""Checks what a sidecar holds wherever one is read, as it comes from outside."""

import json
from typing import Any

Description = dict[str, Any]
"""The JSON object of a sidecar, or the copy of it that is in a `.tflite` file."""

FORMAT = 1
"""The version of the sidecar's format that this package writes and reads."""

_NUMBER = (int, float)
_OPTIONAL_NUMBER = (int, float, type(None))
_TENSOR = {
    "name": str,
    "shape": list,
    "dtype": str,
    "scale": _OPTIONAL_NUMBER,
    "zero_point": (int, type(None)),
}
_SCHEMA: Description = {
    "format": int,
    "model": str,
    "weights": (str, type(None)),
    "quantize": str,
    "target": str,
    "without": list,
    "input": {
        **_TENSOR,
        "mean": list,
        "std": list,
        "color": str,
        "crop_pct": _NUMBER,
        "interpolation": str,
    },
    "labels": (list, type(None)),
    "versions": dict,
    "calibration": (dict, type(None)),
}
"""What must be there, and its JSON types; beside it `output`, or a list of several: `outputs`."""

_OUTPUT: Description = {**_TENSOR, "activation": str}


def parsed(text: bytes, where: str) -> Description:
    """Reads a description.

    Args:
        text: JSON in UTF-8.
        where: What holds it, for the error.

    Raises:
        ValueError: If it is damaged, or of another format than `FORMAT`.
    """
    expected = f"Expected in {where} the JSON that export writes, format {FORMAT}. Received: "
    try:
        description = json.loads(text)
    except ValueError as error:  # broken UTF-8 too
        raise ValueError(f"{expected}{len(text)} bytes that are no JSON ({error})") from error
    if not isinstance(description, dict):
        raise ValueError(f"{expected}a {type(description).__name__}")
    if description.get("format") != FORMAT:
        raise ValueError(f"{expected}format {description.get('format')!r}")
    fault = _fault(description, _SCHEMA) or _fault_of_outputs(description)
    if fault := fault or _inconsistency(description):
        raise ValueError(f"{expected}{fault}")
    return description


def _fault(value: Any, schema: Any, name: str = "") -> str | None:
    """Returns what does not fit the schema, None if nothing."""
    if not isinstance(schema, dict):
        # To Python, unlike JSON, true is a number.
        fits = isinstance(value, schema) and not isinstance(value, bool)
        return None if fits else f"{name}: {json.dumps(value)}"
    if not isinstance(value, dict):
        return f"{name}: {json.dumps(value)}"
    for key, inner in schema.items():
        inner_name = f"{name}.{key}".lstrip(".")
        if key not in value:
            return f"no {inner_name}"
        if fault := _fault(value[key], inner, inner_name):
            return fault
    return None


def outputs_of(description: Description) -> list[Description]:
    """Returns the outputs, of which there may be one or several."""
    return list(description.get("outputs", [description.get("output")]))


def _fault_of_outputs(description: Description) -> str | None:
    several = "outputs" in description
    if several == ("output" in description) or not isinstance(description.get("outputs", []), list):
        return "not one of output and outputs" if several else "no output"
    for output in outputs_of(description):
        if fault := _fault(output, _OUTPUT, "output"):
            return fault
    return None


def _inconsistency(description: Description) -> str | None:
    image, labels, outputs = description["input"], description["labels"], outputs_of(description)
    numbers = [*image["mean"], *image["std"]]
    if len(numbers) != 6 or not all(isinstance(x, _NUMBER) for x in numbers):
        return f"input.mean {image['mean']} and input.std {image['std']}"
    if min(image["std"]) <= 0 or not 0 < image["crop_pct"] <= 1:
        return f"input.std {image['std']} and input.crop_pct {image['crop_pct']}"
    for tensor in (image, *outputs):
        if not all(isinstance(side, int) and side > 0 for side in tensor["shape"]):
            return f"a tensor of shape {tensor['shape']}"
    shapes = [output["shape"] for output in outputs]
    if labels is not None and (
        len(shapes) != 1
        or len(shapes[0]) not in (2, 4)
        or len(labels) != shapes[0][-1]
        or not all(isinstance(label, str) for label in labels)
    ):
        return f"{len(labels)} labels for an output of shape {', '.join(map(str, shapes))}"
    return None
