"""Checks what a sidecar holds wherever one is read, as it comes from outside."""

import json
import math
from typing import Any

from keras_fastvit.plain_text import LONGEST_NAME, is_name

Description = dict[str, Any]
"""The JSON object of a sidecar, or the copy of it that is in a `.tflite` file."""

FORMAT = 1
"""The version of the sidecar's format that this package writes and reads."""

LARGEST = 16 << 20
"""Bytes of a sidecar that is read: room for more than 100,000 labels."""

# Values that readers know. Another one stands for something that would be computed wrongly.
_KNOWN: dict[str, tuple[str, ...]] = {
    "color": ("RGB",),
    "interpolation": ("bicubic", "bilinear"),
    "activation": ("linear", "softmax"),
    "dtype": ("float32", "int8"),
}

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
        ValueError: If it is damaged, or of another format than `FORMAT`, or says what this package
            would not heed.
    """
    expected = f"Expected in {where} the JSON that export writes, format {FORMAT}. Received: "
    if len(text) > LARGEST:
        raise ValueError(f"{expected}more than {LARGEST} bytes")
    try:
        description = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # broken UTF-8 too; nested too deeply
        raise ValueError(f"{expected}{len(text)} bytes that are no JSON ({error})") from error
    if not isinstance(description, dict):
        raise ValueError(f"{expected}a {type(description).__name__}")
    if description.get("format") != FORMAT:
        raise ValueError(f"{expected}format {description.get('format')!r}")
    fault = _fault(description, _SCHEMA) or _fault_of_outputs(description)
    if fault := fault or _inconsistency(description):
        raise ValueError(f"{expected}{fault}")
    return description


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON's")


def _fault(value: Any, schema: Any, name: str = "") -> str | None:
    """Returns what does not fit the schema, None if nothing."""
    if not isinstance(schema, dict):
        # To Python, unlike JSON, true is a number.
        fits = isinstance(value, schema) and not isinstance(value, bool)
        fits = fits and (not isinstance(value, (int, float)) or _is_number(value))
        known = _KNOWN.get(name.rpartition(".")[2], ())
        if fits and known and value not in known:
            return f"{name}: {_shown(value)}, where {' or '.join(known)} is known"
        return None if fits else f"{name}: {_shown(value)}"
    if not isinstance(value, dict):
        return f"{name}: {_shown(value)}"
    for key, inner in schema.items():
        inner_name = f"{name}.{key}".lstrip(".")
        if key not in value:
            return f"no {inner_name}"
        if fault := _fault(value[key], inner, inner_name):
            return fault
    return None


def _is_number(value: Any) -> bool:
    """Whether this is a number that a float holds: JSON's may have thousands of digits."""
    return (
        isinstance(value, _NUMBER)
        and not isinstance(value, bool)
        and (math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63)
    )


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def outputs_of(description: Description) -> list[Description]:
    """Returns the outputs, of which there may be one or several."""
    return list(description.get("outputs", [description.get("output")]))


def _fault_of_outputs(description: Description) -> str | None:
    several = "outputs" in description
    if several == ("output" in description):
        return "not one of output and outputs" if several else "no output"
    if several and not (isinstance(outputs := description["outputs"], list) and len(outputs) > 1):
        return f"outputs: {_shown(outputs)}, where a list of several is expected"
    for output in outputs_of(description):
        if fault := _fault(output, _OUTPUT, "output"):
            return fault
    return None


def _inconsistency(description: Description) -> str | None:
    image, labels, outputs = description["input"], description["labels"], outputs_of(description)
    numbers = [*image["mean"], *image["std"]]
    if len(numbers) != 6 or not all(map(_is_number, numbers)):
        return f"input.mean {_shown(image['mean'])} and input.std {_shown(image['std'])}"
    if min(image["std"]) <= 0 or not 0 < image["crop_pct"] <= 1:
        return f"input.std {image['std']} and input.crop_pct {image['crop_pct']}"
    for tensor in (image, *outputs):
        sides = tensor["shape"]
        if not all(isinstance(side, int) and _is_number(side) and side > 0 for side in sides):
            return f"a tensor of shape {_shown(sides)}"
    shapes = [output["shape"] for output in outputs]
    if labels is not None and (
        len(shapes) != 1
        or len(shapes[0]) not in (2, 4)
        or len(labels) != shapes[0][-1]
        or not all(isinstance(label, str) for label in labels)
    ):
        return f"{len(labels)} labels for an output of shape {', '.join(map(str, shapes))}"
    if unfit := [label for label in labels or () if not is_name(label)]:
        return f"the label {unfit[0][:LONGEST_NAME]!r}, which is not one line of text"
    return None
