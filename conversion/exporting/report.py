"""The facts about an exported file, as lines to print and as a Markdown report."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_fastvit.conversion.exporting.checks import LARGEST_DIFFERENCE, SelfCheck
from keras_fastvit.conversion.exporting.precisions import PRECISIONS
from keras_fastvit.conversion.quantization import layer_report
from keras_fastvit.conversion.quantization.layer_report import LayerError
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.delegation import Delegation
from keras_fastvit.conversion.tflite.sidecar_schema import Description, outputs_of
from keras_fastvit.images.files import named
from keras_fastvit.images.normalizations import NORMALIZATIONS

_LISTED = 5
"""How many layers are named that are not on the fast path."""


@dataclass(frozen=True)
class Export:
    """An exported file, and the results of running it.

    Attributes:
        path: The `.tflite` file.
        sidecar: What the JSON file beside it says.
        operators: How many of each of LiteRT's operators.
        delegation: Which of them XNNPACK runs.
        check: How far its outputs are from Keras'.
        layers: Of an int8 file the errors of its layers, in the order of the graph.
        skipped: Why each file in the calibration folder that could not be used was not.

    Example:
    >>> exported = Export(
    ...     path=Path("model.tflite"),
    ...     sidecar={"size": 1234, "input": {"shape": [1, 8, 8, 3]}, "output": {"shape": [1, 10]}},
    ...     operators=Counter(CONV_2D=1),
    ...     delegation=Delegation(1, Counter(CONV_2D=1), Counter()),
    ...     check=SelfCheck(images=3, max_difference=1e-6, sqnr_db=120.0, agreement=1.0),
    ...     layers=(),
    ...     skipped={},
    ... )
    >>> exported.input_shape, exported.output_shape
    ((1, 8, 8, 3), (1, 10))
    """

    path: Path
    sidecar: Description
    operators: Counter[str]
    delegation: Delegation
    check: SelfCheck
    layers: tuple[LayerError, ...]
    skipped: dict[Path, str]

    @property
    def size(self) -> int:
        """Bytes of the `.tflite` file."""
        return int(self.sidecar["size"])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`(1, height, width, channels)`."""
        return tuple(self.sidecar["input"]["shape"])

    @property
    def output_shape(self) -> tuple[int, ...]:
        """`(1, classes)` of a classifier; of several outputs that of the first."""
        return tuple(outputs_of(self.sidecar)[0]["shape"])


def summary(exported: Export) -> str:
    """Returns what the command prints."""
    operators = _counted(exported.operators)
    rows = {**_facts(exported), "operators": operators, **_findings(exported)}
    return "\n".join(
        [
            f"{exported.path}: {exported.size} bytes",
            *(f"  {name:12} {text}" for name, text in rows.items()),
        ]
    )


def to_markdown(exported: Export) -> str:
    """Returns the report that is written beside the file."""
    description, stem = exported.sidecar, exported.path.stem
    made_with = [f"{name} {version}" for name, version in description["versions"].items()]
    rows = {
        "size": f"{exported.size:,} bytes",
        **_facts(exported),
        **_findings(exported),
        "SHA-256": f"`{description['sha256']}`",
        "made with": ", ".join(made_with),
    }
    lines = [
        f"# {exported.path.name}",
        "",
        "Written by `keras-fastvit export`, after the file had run. What an app must know of it is "
        f"in the sidecar, [{stem}.json]({stem}.json).",
        "",
        *_table(["", ""], rows.items()),
        "",
        "## Operators",
        "",
        *_table(
            ["operator", "count", "in XNNPACK", "outside of it"],
            (
                (name, count, exported.delegation.inside[name], exported.delegation.outside[name])
                for name, count in exported.operators.most_common()
            ),
        ),
    ]
    if exported.layers:
        lines += [
            "",
            "## Layers",
            "",
            "How much of each layer's output is signal, against Keras' on the same images: the "
            "noise of all layers before it included. The noisiest first; in the order of the "
            f"graph in [{stem}_layers.csv]({stem}_layers.csv) and in the plot.",
            "",
            f"![signal to noise of each layer]({stem}_layers.png)",
            "",
            layer_report.to_markdown(exported.layers).rstrip(),
        ]
    return "\n".join(lines) + "\n"


def write_reports(exported: Export, files: dict[str, Path]) -> None:
    """Writes what belongs beside a file.

    Args:
        exported: What is known of the file.
        files: Where to write, as `files.paths_beside` names it.
    """
    if "csv" in files:
        files["csv"].write_text(layer_report.to_csv(exported.layers), encoding="utf-8")
        layer_report.plot(exported.layers, files["png"], exported.path.name)
    files["report"].write_text(to_markdown(exported), encoding="utf-8")
    files["sidecar"].write_text(sidecar.to_json(exported.sidecar), encoding="utf-8")


def _facts(exported: Export) -> dict[str, str]:
    description = exported.sidecar
    image, outputs = description["input"], outputs_of(description)
    left_out = f", without {', '.join(description['without'])}" if description["without"] else ""
    softmax = outputs[0]["activation"] == "softmax"
    left_to_do = "softmax is left to the app" if softmax else "as it is"
    # A single output needs no name.
    described = [_tensor(x) if len(outputs) == 1 else f"{x['name']} {_tensor(x)}" for x in outputs]
    return {
        "model": f"{description['model']}, weights: {description['weights'] or 'not named'}",
        "precision": PRECISIONS[description["quantize"]].meaning,
        "target": description["target"] + left_out,
        "input": f"image {_tensor(image)}, {_pixels(image)}, crop {image['crop_pct']}",
        "output": f"{'; '.join(described)}, {left_to_do}",
        "labels": str(len(description["labels"])) if description["labels"] else "none",
    }


def _findings(exported: Export) -> dict[str, str]:
    check, description, outside = exported.check, exported.sidecar, exported.delegation.outside
    agree = "" if check.agreement is None else f", the same best class for {check.agreement:.1%}"
    floor = PRECISIONS[description["quantize"]].smallest_sqnr_db
    allowed = f"at most {LARGEST_DIFFERENCE:.0e}" if floor is None else f"at least {floor:g} dB"
    findings = {
        "XNNPACK": f"runs {'all operators' if not outside else 'all but ' + _counted(outside)}, "
        f"partitions: {exported.delegation.partitions}",
        "self-check": f"on {check.images} images {check.sqnr_db:.1f} dB of signal to noise, within "
        f"{check.max_difference:.1e} of Keras' largest output (allowed: {allowed}){agree}",
    }
    if outside:
        findings["slow path"] = (
            f"LiteRT's own kernels, on one thread, run {_listed(exported.delegation.layers)}; what "
            f"XNNPACK runs is {exported.delegation.partitions} pieces, with copies between them"
        )
    if description["calibration"]:
        findings["calibrated"] = f"on {description['calibration']['images']} images"
    if exported.skipped:
        findings["skipped"] = f"{named(exported.skipped)}: other files, or damaged"
    return findings


def _tensor(tensor: Description) -> str:
    text = f"{tuple(tensor['shape'])} {tensor['dtype']}"
    if tensor["scale"] is None:
        return text
    return f"{text}, scale {tensor['scale']:.6g}, zero point {tensor['zero_point']}"


def _pixels(image: Description) -> str:
    """Returns what the pixels are made into."""
    if image["color"] is None:
        return f"{image['shape'][-1]} channels, as the model takes them"
    normalization = (tuple(image["mean"]), tuple(image["std"]))
    given = "normalised"
    if normalization == NORMALIZATIONS["pixels"]:
        given = "0 to 255: the file normalises them"
    return f"{image['color']}, {given}"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _listed(layers: Mapping[str, Counter[str]]) -> str:
    """Returns the layers with their operators, the first few of many."""
    some = [f"{name}: {_counted(found)}" for name, found in [*layers.items()][:_LISTED]]
    more = len(layers) - len(some)
    return "; ".join(some) + (f"; and {more} layers more" if more else "")


def _table(heading: list[str], rows: Iterable[tuple[object, ...]]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (heading, ["---"] * len(heading), *rows)]
