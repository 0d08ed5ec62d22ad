"""JSON from strangers: no more of it is read than may be there, and its values are looked at."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from keras_fastvit.plain_text import in_short

T = TypeVar("T")

LARGEST = 16 << 20
"""Bytes that are read if nothing else is said: room for more than 100,000 labels."""

_SHOWN = 100


def read_object(path: Path, largest: int = LARGEST) -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Raises:
        ValueError: If it holds anything else, or more bytes than `largest`; the message is what was
            received.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        return parsed_object(file.read(largest + 1), largest)


def read_list(path: Path, largest: int = LARGEST) -> list[Any]:
    """Reads a file that holds one JSON array.

    Raises:
        ValueError, OSError: As `read_object` does.
    """
    with path.open("rb") as file:
        return _parsed(file.read(largest + 1), largest, list)


def parsed_object(text: bytes, largest: int = LARGEST) -> dict[str, Any]:
    """Reads one JSON object, in UTF-8.

    Raises:
        ValueError: As `read_object` does.
    """
    return _parsed(text, largest, dict)


def _parsed(text: bytes, largest: int, kind: type[T]) -> T:
    if len(text) > largest:
        raise ValueError(f"more than {largest} bytes")
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # broken UTF-8 too; nested too deeply
        raise ValueError(f"{len(text)} bytes that are no JSON ({in_short(error)})") from error
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__}")
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON's")


def fault_of(
    value: Any, schema: Any, known: Mapping[str, tuple[Any, ...]] | None = None, name: str = ""
) -> str | None:
    """Returns what in a JSON value is not as expected, None if all is.

    Args:
        value: As `json` gives it.
        schema: A type, a tuple of types, or a dict of what an object must have beside other keys.
        known: The only values that readers know, by the last part of a name.
        name: The value's, for the answer.

    >>> fault_of({"size": [4, "x"], "mode": "L"}, {"size": list, "mode": int})
    'mode: "L"'
    """
    if not isinstance(schema, dict):
        # To Python, unlike JSON, true is a number.
        fits = isinstance(value, schema) and not isinstance(value, bool)
        fits = fits and (not isinstance(value, (int, float)) or is_number(value))
        expected = (known or {}).get(name.rpartition(".")[2], ())
        if fits and expected and value not in expected:
            names = " or ".join(x if isinstance(x, str) else shown(x) for x in expected)
            return f"{name}: {shown(value)}, where {names} is known"
        return None if fits else f"{name}: {shown(value)}"
    if not isinstance(value, dict):
        return f"{name}: {shown(value)}"
    for key, inner in schema.items():
        inner_name = f"{name}.{key}".lstrip(".")
        if key not in value:
            return f"no {inner_name}"
        if fault := fault_of(value[key], inner, known, inner_name):
            return fault
    return None


def is_number(value: Any) -> bool:
    """Returns whether this is a number that a float holds: JSON's may have thousands of digits."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def shown(value: Any) -> str:
    """Returns a JSON value in one line, its first characters if it is long."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
