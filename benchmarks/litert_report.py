"""The results of `make bench` on LiteRT, as data with their limits, and as a chart."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.limits import Limit
from keras_fastvit.atomic_file import written_beside

OURS, LITERT_TORCH, BOUND = "keras-fastvit", "litert-torch", "bound"
"""Who makes a file; a bound is a part of a model only."""

THREADS = (1, 2)
JUDGED = 2
"""The number of threads that targets are for."""

PRECISIONS = {
    "float32": "float32 weights and arithmetic",
    "fp16": "float16 weights, float32 arithmetic",
    "dynamic": "int8 weights, activations quantised while it runs",
    "int8": "int8 weights and activations",
}


@dataclass(frozen=True)
class TimedFile:
    """A `.tflite` file and its latencies.

    Attributes:
        variant: Such as `"fastvit_t8"`.
        maker: `OURS`, `LITERT_TORCH` or `BOUND`.
        precision: One of `PRECISIONS`.
        size: In bytes.
        operators: How many of each of LiteRT's operators.
        partitions: Groups of operators that the XNNPACK delegate runs; one is best.
        median: In milliseconds, by number of threads.
        p90: The 90th percentile in milliseconds, by number of threads.
    """

    variant: str
    maker: str
    precision: str
    size: int
    operators: dict[str, int]
    partitions: int
    median: dict[int, float]
    p90: dict[int, float]


@dataclass(frozen=True)
class Target:
    """A ratio that is wanted, of medians with `JUDGED` threads.

    Attributes:
        variant: Such as `"fastvit_t8"`.
        precision: Of our file.
        maker: Of the files beside it.
        beside: Their precisions; if several, the fastest counts.
        limit: On the ratio: theirs over ours, at least, or ours over the bound's, at most.
    """

    variant: str
    precision: str
    maker: str
    beside: tuple[str, ...]
    limit: Limit

    @property
    def name(self) -> str:
        """The ratio in words."""
        ours, theirs = f"ours {self.precision}", f"{self.maker} {self.beside[0]}"
        if len(self.beside) > 1:
            theirs = f"the fastest of {self.maker}'s {', '.join(self.beside)}"
        return f"{ours} / {theirs}" if self.limit.at_most else f"{theirs} / {ours}"

    def ratio(self, timed: Iterable[TimedFile]) -> float | None:
        """Returns the ratio that was measured; None if the files were not."""
        medians = {
            (file.maker, file.precision): file.median[JUDGED]
            for file in timed
            if file.variant == self.variant
        }
        theirs = [medians[self.maker, p] for p in self.beside if (self.maker, p) in medians]
        ours = medians.get((OURS, self.precision))
        if ours is None or len(theirs) < len(self.beside):
            return None
        return ours / min(theirs) if self.limit.at_most else min(theirs) / ours


_ALL = ("float32", "dynamic", "int8")
TARGETS = (
    Target("fastvit_t8", "float32", LITERT_TORCH, ("float32",), Limit(1.9, 2.2)),
    Target("fastvit_t8", "int8", LITERT_TORCH, ("int8",), Limit(4.2, 6.0)),
    Target("fastvit_t8", "int8", LITERT_TORCH, _ALL, Limit(2.6, 3.5)),
    Target("fastvit_sa12", "float32", LITERT_TORCH, ("float32",), Limit(1.8, 2.1)),
    Target("fastvit_sa12", "int8", LITERT_TORCH, ("int8",), Limit(3.2, 5.0)),
    Target("fastvit_t8", "float32", BOUND, ("float32",), Limit(1.6, 1.3, at_most=True)),
    Target("fastvit_sa12", "float32", BOUND, ("float32",), Limit(1.6, 1.3, at_most=True)),
    Target("fastvit_t8", "int8", BOUND, ("int8",), Limit(1.7, 1.3, at_most=True)),
    Target("fastvit_sa12", "int8", BOUND, ("int8",), Limit(1.7, 1.3, at_most=True)),
)


@dataclass(frozen=True)
class Report:
    """A run of the benchmark.

    Attributes:
        timed: All files, those of a variant together.
        parity: By variant `max|ours - litert-torch| / max|litert-torch|` of the float32 logits.
        rounds: How often each file ran, with each number of threads.
        machine: Facts by name.
        reference: Releases in litert-torch's environment, by name.
    """

    timed: list[TimedFile]
    parity: dict[str, float]
    rounds: int
    machine: dict[str, Any]
    reference: dict[str, str]

    def write(self, folder: Path) -> None:
        """Writes `litert.json`, `litert.md` and `litert.png`.

        Raises:
            OSError: If a file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with written_beside(folder / "litert.png") as unfinished:
            plot(self.timed, unfinished)
        for name, text in (("litert.json", self.to_json()), ("litert.md", self.to_markdown())):
            with written_beside(folder / name) as unfinished:
                unfinished.write_text(text, encoding="utf-8")

    def to_json(self) -> str:
        """Returns everything, the ratios of the targets included."""
        judged = [
            {
                "name": target.name,
                **asdict(target),
                "ratio": ratio,
                "verdict": target.limit.verdict(ratio),
            }
            for target, ratio in self.judged()
        ]
        return json.dumps({**asdict(self), "targets": judged}, indent=2) + "\n"

    def judged(self) -> list[tuple[Target, float]]:
        """Returns the targets whose files were measured, with their ratios."""
        ratios = [(target, target.ratio(self.timed)) for target in TARGETS]
        return [(target, x) for target, x in ratios if x is not None]

    def to_markdown(self) -> str:
        """Returns the report as text."""
        largest = max(self.parity.values())
        lines = [
            "# `.tflite` files beside litert-torch's",
            "",
            f"Written by `make bench`, all in one run: batch 1, 256×256 pixels, medians of "
            f"{self.rounds} rounds in which the files of a variant took turns. Milliseconds are "
            "this machine's; the ratios are what counts.",
            "",
            "![Latencies](litert.png)",
            "",
            f"| medians, {JUDGED} threads | | measured | wanted | goal | |",
            "|---|---|---|---|---|---|",
        ]
        for target, ratio in self.judged():
            cells = target.limit.cells(ratio, ".2f")
            lines.append(f"| {target.variant} | {target.name} | {cells} |")
        for variant in dict.fromkeys(file.variant for file in self.timed):
            lines += ["", *_table([file for file in self.timed if file.variant == variant])]
        lines += [
            "",
            "- keras-fastvit: `keras-fastvit export`, its default settings.",
            "- litert-torch: timm's model of the same weights, fused by timm, converted with "
            "channels last; 8 bits by ai-edge-quantizer (`dynamic_wi8_afp32`, `static_wi8_ai8`).",
            "- bound: the model's dense and 1×1 convolutions alone, in an attention block with a "
            "projection that is wider than the model's (`benchmarks/bound.py`).",
            *(f"- {precision}: {meaning}." for precision, meaning in PRECISIONS.items()),
            "- partitions: groups of operators that the XNNPACK delegate runs. One is best.",
            "",
            "Same weights: the logits of the two float32 files differ by at most "
            f"{largest:.0e} of the largest ("
            + ", ".join(f"{variant} {value:.0e}" for variant, value in self.parity.items())
            + "). They are random, which no operator's time depends on.",
            "",
            "Machine: "
            + ", ".join(f"{name} {value}" for name, value in self.machine.items())
            + ".",
            "",
            "litert-torch's environment, pinned in `requirements/litert_torch.txt`: "
            + ", ".join(f"{name} {value}" for name, value in self.reference.items())
            + ".",
            "",
            "To run it again: `make bench-litert`, on a machine that does nothing else.",
            "",
            "Operators:",
            "",
            *(
                f"- {file.variant}, {file.maker} {file.precision}: "
                + ", ".join(f"{count} {name}" for name, count in file.operators.items())
                for file in self.timed
            ),
        ]
        return "\n".join(lines) + "\n"


def _table(files: list[TimedFile]) -> list[str]:
    """The lines of one variant's table."""
    (base,) = (file for file in files if (file.maker, file.precision) == (LITERT_TORCH, "float32"))
    columns = [f"{n} thread{'s' * (n > 1)}: median (p90), speed-up" for n in THREADS]
    lines = [
        f"| {base.variant} | " + " | ".join(columns) + " | operators | partitions | MB |",
        "|---" * (len(columns) + 4) + "|",
    ]
    for file in files:
        cells = [
            f"{file.median[n]:.2f} ms ({file.p90[n]:.2f}), {base.median[n] / file.median[n]:.2f}×"
            for n in THREADS
        ]
        lines.append(
            f"| {file.maker} {file.precision} | " + " | ".join(cells) + f" | "
            f"{sum(file.operators.values())} | {file.partitions} | {file.size / 1e6:.1f} |"
        )
    return lines


def plot(timed: list[TimedFile], path: Path) -> None:
    """Draws the medians with `JUDGED` threads as a PNG, a panel for each variant."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colours = {LITERT_TORCH: "#9a9a9a", OURS: "#1f77b4", BOUND: "#d8b365"}
    variants = list(dict.fromkeys(file.variant for file in timed))
    rows = -(-len(variants) // 2)
    figure = Figure(figsize=(11, 3.4 * rows + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes in panels[len(variants) :]:
        axes.set_visible(False)
    for axes, variant in zip(panels, variants, strict=False):
        files = [file for file in timed if file.variant == variant]
        labels = [f"{file.maker} {file.precision}" for file in files]
        medians = [file.median[JUDGED] for file in files]
        bars = axes.barh(labels, medians, color=[colours[file.maker] for file in files])
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.invert_yaxis()  # the first file at the top
        axes.set_xlim(0, 1.15 * max(medians))
        axes.set_title(variant)
        axes.set_xlabel("milliseconds")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Latency on LiteRT, batch 1, 256×256, {JUDGED} threads")
    figure.savefig(path, format="png", dpi=100)
