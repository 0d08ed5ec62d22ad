"""The results of `evaluate-released`: as a table, and in files from which a run continues."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from keras_fastvit.atomic_file import written_beside
from keras_fastvit.json_files import fault_of, read_object, shown


@dataclass(frozen=True)
class Released:
    """The measurements of one set of released weights.

    Attributes:
        variant: Such as `"fastvit_t8"`.
        weights: `"imagenet"` or `"imagenet_distilled"`.
        published: Top-1 in percent.
        float32: Measured top-1 of the Keras model, in percent.
        int8: Measured top-1 of the `.tflite` file, in percent.
        images: How many were classified.
        classes: Number of classes that answers were chosen from.
        skipped: By path, why an image was left out.
    """

    variant: str
    weights: str
    published: float
    float32: float
    int8: float
    images: int
    classes: int
    skipped: dict[str, str]


_SCHEMA = {
    "variant": str,
    "weights": str,
    **dict.fromkeys(("published", "float32", "int8"), (int, float)),
    **dict.fromkeys(("images", "classes"), int),
    "skipped": dict,
}
"""The same as JSON has it."""

_HEADINGS = (
    "variant",
    "weights",
    "published",
    "float32",
    "int8",
    "float − published",
    "int8 − float",
)


def _cells(row: Released) -> tuple[str, ...]:
    return (
        row.variant,
        row.weights,
        f"{row.published:.1f}",
        f"{row.float32:.2f}",
        f"{row.int8:.2f}",
        f"{row.float32 - row.published:+.2f}",
        f"{row.int8 - row.float32:+.2f}",
    )


def to_table(rows: Iterable[Released]) -> Table:
    """The table that the command prints: top-1 in percent."""
    table = Table(title="ImageNet top-1, percent")
    for i, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="left" if i < 2 else "right")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def to_markdown(rows: Sequence[Released], data: str, calibration: str) -> str:
    """Returns the same as text, with what one must know to read it."""
    lines = [
        "# Released weights on ImageNet",
        "",
        f"Written by `keras-fastvit evaluate-released {data}`: top-1 in percent. Published are "
        "figures for the whole validation set, 50,000 images. int8 was calibrated on images of "
        f"`{calibration}`.",
        "",
        f"| {' | '.join(_HEADINGS)} | images |",
        "|---|---" + "|---:" * (len(_HEADINGS) - 1) + "|",
        *(f"| {' | '.join(_cells(row))} | {row.images:,} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def read_rows(path: Path, data: str, calibration: str) -> list[Released]:
    """Returns what an earlier run has measured on the same images.

    Raises:
        ValueError: If the file is of other images, or damaged.
    """
    if not path.exists():
        return []
    try:
        content = read_object(path)
        if fault := fault_of(content, {"data": str, "calibration": str, "rows": list}):
            raise ValueError(fault)
        rows = [_row(row) for row in content["rows"]]
    except ValueError as error:
        raise ValueError(
            f"Expected what an earlier run has written in '{path}'; remove it to start anew. "
            f"Received: {error}"
        ) from error
    if (content["data"], content["calibration"]) != (data, calibration):
        raise ValueError(
            f"'{path}' is of other images: expected the same folders or another --output. "
            f"Received: {data} and {calibration}, after {shown(content['data'])} and "
            f"{shown(content['calibration'])}"
        )
    return rows


def _row(row: Any) -> Released:
    if fault := fault_of(row, _SCHEMA, name="rows"):
        raise ValueError(fault)
    skipped = {path: str(reason) for path, reason in row["skipped"].items()}
    return Released(**{**{name: row[name] for name in _SCHEMA}, "skipped": skipped})


def write_rows(folder: Path, rows: Sequence[Released], data: str, calibration: str) -> None:
    """Writes `released.json` and `released.md`.

    Raises:
        OSError: If a file cannot be written.
    """
    content = {"data": data, "calibration": calibration, "rows": [asdict(row) for row in rows]}
    texts = {
        "released.json": json.dumps(content, indent=1) + "\n",
        "released.md": to_markdown(rows, data, calibration),
    }
    for name, text in texts.items():
        with written_beside(folder / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
