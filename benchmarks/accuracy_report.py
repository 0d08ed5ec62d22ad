"""The results of `make bench-accuracy`, as data, with the limits that they are held to."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.limits import Limit
from keras_fastvit.atomic_file import written_beside

TABLES = {
    "precision": "Precisions",
    "cure": "int8, one thing changed",
    "lowering": "What the lowering costs in int8",
    "baseline": "Other ways to 8 bits",
    "calibration": "What int8 is calibrated on",
}
"""By key: headings."""


@dataclass(frozen=True)
class Accuracy:
    """A file beside the Keras model that it was made of, on the same images.

    Attributes:
        checkpoint: Name of the weights.
        table: A key of `TABLES`.
        name: How the file was made.
        size: In bytes.
        top1: Share of the images that are classified rightly, 0..1.
        loss: How much less that is than Keras', in percentage points; negative if it is more.
        agreement: Share of the images whose best class is Keras', 0..1.
        sqnr_db: Signal-to-quantisation-noise ratio of the logits, in decibels.
        difference: `max|file - Keras| / max|Keras|` of the logits.
        median: Of the latency with two threads, in milliseconds; None where it was not measured.
    """

    checkpoint: str
    table: str
    name: str
    size: int
    top1: float
    loss: float
    agreement: float
    sqnr_db: float
    difference: float
    median: float | None


@dataclass(frozen=True)
class Report:
    """A run of the benchmark.

    Attributes:
        keras_top1: Of each checkpoint, 0..1.
        rows: Of all checkpoints.
        images: Number of test images.
        calibration: What int8 is calibrated on, unless a row says otherwise.
        machine: Facts by name.
    """

    keras_top1: dict[str, float]
    rows: list[Accuracy]
    images: int
    calibration: str
    machine: dict[str, Any]

    def row(self, checkpoint: str, table: str, name: str) -> Accuracy:
        """Returns one row.

        Raises:
            ValueError: If there is none.
        """
        for row in self.rows:
            if (row.checkpoint, row.table, row.name) == (checkpoint, table, name):
                return row
        raise ValueError(f"Expected a measurement of {name} on {checkpoint}. Received: none")

    def judged(self) -> list[tuple[str, str, Limit, float, str]]:
        """Returns checkpoint, quantity, limit, value, and how to write it, for each target."""
        return [
            (checkpoint, name, limit, value(self, checkpoint), form)
            for checkpoint in self.keras_top1
            for name, limit, form, value in TARGETS
        ]

    def to_json(self) -> str:
        """Returns everything, the targets included."""
        judged = [
            {
                "checkpoint": checkpoint,
                "name": name,
                **asdict(limit),
                "value": value,
                "verdict": limit.verdict(value),
            }
            for checkpoint, name, limit, value, _ in self.judged()
        ]
        return json.dumps({**asdict(self), "targets": judged}, indent=2) + "\n"

    def to_markdown(self) -> str:
        """Returns the report as text."""
        lines = [
            "# What each precision costs in accuracy",
            "",
            f"Written by `make bench-accuracy`, all in one run: the {self.images:,} test images of "
            "Fashion-MNIST at 64×64, each file beside the float32 Keras model that it was made of. "
            "SQNR is that of the logits, over all images and classes. "
            f"int8 is calibrated on {self.calibration}, unless a row says otherwise.",
            "",
            "| checkpoint | | measured | wanted | goal | |",
            "|---|---|---|---|---|---|",
            *(
                f"| {checkpoint} | {name} | {limit.cells(value, form)} |"
                for checkpoint, name, limit, value, form in self.judged()
            ),
        ]
        for checkpoint, top1 in self.keras_top1.items():
            lines += ["", f"## {checkpoint}: {top1:.2%} in Keras"]
            for table, heading in TABLES.items():
                rows = [x for x in self.rows if (x.checkpoint, x.table) == (checkpoint, table)]
                if rows:
                    lines += ["", f"### {heading}", "", *_table(rows, self._base(checkpoint))]
        lines += [
            "",
            "Time: medians with two threads, the files of a checkpoint taking turns, over that of "
            "the float32 file. At 64×64 a model is so small that these say less than those of "
            "`litert.md`.",
            "",
            "Machine: "
            + ", ".join(f"{name} {value}" for name, value in self.machine.items())
            + ".",
        ]
        return "\n".join(lines) + "\n"

    def _base(self, checkpoint: str) -> Accuracy:
        return self.row(checkpoint, "precision", "float32")

    def write(self, folder: Path) -> None:
        """Writes `litert_accuracy.json` and `litert_accuracy.md`.

        Raises:
            OSError: If a file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"json": self.to_json(), "md": self.to_markdown()}
        for suffix, text in texts.items():
            with written_beside(folder / f"litert_accuracy.{suffix}") as unfinished:
                unfinished.write_text(text, encoding="utf-8")


def _table(rows: list[Accuracy], base: Accuracy) -> list[str]:
    lines = [
        "| | top-1 | loss, points | agreement | SQNR | largest difference | size | time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        time = "" if row.median is None or not base.median else f"{row.median / base.median:.2f}"
        lines.append(
            f"| {row.name} | {row.top1:.2%} | {row.loss:+.2f} | {row.agreement:.2%} "
            f"| {row.sqnr_db:.1f} dB | {row.difference:.1e} | {row.size / base.size:.3f} | {time} |"
        )
    return lines


def _size(report: Report, checkpoint: str) -> float:
    int8 = report.row(checkpoint, "precision", "int8")
    return int8.size / report.row(checkpoint, "precision", "float32").size


def _lowering_cost(report: Report, checkpoint: str) -> float:
    as_it_is = report.row(checkpoint, "lowering", "not lowered")
    return as_it_is.sqnr_db - report.row(checkpoint, "precision", "int8").sqnr_db


def _of(name: str, attribute: str, factor: float = 1) -> Callable[[Report, str], float]:
    def value(report: Report, checkpoint: str) -> float:
        found: float = getattr(report.row(checkpoint, "precision", name), attribute)
        return factor * found

    return value


TARGETS: tuple[tuple[str, Limit, str, Callable[[Report, str], float]], ...] = (
    (
        "float32: largest difference",
        Limit(1e-4, 1e-4, at_most=True),
        ".1e",
        _of("float32", "difference"),
    ),
    ("fp16: SQNR, dB", Limit(55, 55), ".1f", _of("fp16", "sqnr_db")),
    ("int8: size over float32's", Limit(0.3, 0.3, at_most=True), ".3f", _size),
    (
        "int8: loss of top-1, points",
        Limit(0.2, 0.1, at_most=True),
        ".2f",
        _of("int8", "loss"),
    ),
    ("int8: agreement, %", Limit(99.3, 99.3), ".2f", _of("int8", "agreement", 100)),
    ("int8: SQNR, dB", Limit(29, 33), ".1f", _of("int8", "sqnr_db")),
    (
        "int8: SQNR lost by the lowering, dB",
        Limit(1, 1, at_most=True),
        ".1f",
        _lowering_cost,
    ),
)
"""What is measured, what is wanted of it, how it is written, where it is found."""
