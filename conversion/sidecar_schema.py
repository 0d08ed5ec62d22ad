"""What a sidecar must hold to be used: checked where one is read, as it comes from outside."""

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
    "output": {**_TENSOR, "activation": str},
    "labels": (list, type(None)),
    "versions": dict,
    "calibration": (dict, type(None)),
}
"""What must be there, and its JSON types."""


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
    if fault := _fault(description, _SCHEMA) or _inconsistency(description):
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


def _inconsistency(description: Description) -> str | None:
    image, output, labels = (description[key] for key in ("input", "output", "labels"))
    numbers = [*image["mean"], *image["std"]]
    if len(numbers) != 6 or not all(isinstance(x, _NUMBER) for x in numbers):
        return f"input.mean {image['mean']} and input.std {image['std']}"
    if min(image["std"]) <= 0 or not 0 < image["crop_pct"] <= 1:
        return f"input.std {image['std']} and input.crop_pct {image['crop_pct']}"
    for tensor in (image, output):
        if not all(isinstance(side, int) and side > 0 for side in tensor["shape"]):
            return f"a tensor of shape {tensor['shape']}"
    if labels is not None and (
        len(output["shape"]) not in (2, 4)
        or len(labels) != output["shape"][-1]
        or not all(isinstance(label, str) for label in labels)
    ):
        return f"{len(labels)} labels for an output of shape {output['shape']}"
    return None
