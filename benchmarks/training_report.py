"""Writes `benchmarks/training.md` from what the benchmarks of training have found so far.

    python -m benchmarks.training_report

Each section is a table made of one JSON file in this folder, with the command that writes the file.
The benchmarks call this when they are done.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_fastvit.atomic_file import written_beside

FOLDER = Path(__file__).parent

REASONS = {
    "jax": "XLA has no fast depthwise convolution for CPUs, nor for its gradients",
    "torch": "Keras' torch backend keeps channels last by transposing around every convolution",
}
"""Why a backend takes longer than timm."""

SLOW = 1.2
"""A ratio that needs a reason."""


def ways(found: Mapping[str, Any]) -> list[str]:
    """The section on the training form and on distillation."""
    accuracies: dict[str, list[float]] = {}
    losses: dict[str, list[float]] = {}
    for row in found["trainings"]:
        accuracies.setdefault(row["way"], []).append(row["accuracy"])
        losses.setdefault(row["way"], []).append(row["loss"])
    lines = [
        "## Branches, and a teacher",
        "",
        "`KERAS_BACKEND=tensorflow python -m benchmarks.training_ways --teacher T.safetensors`, "
        "where T is the SA12 of `python -m benchmarks.train_fashion_mnist --variant "
        "fastvit_sa12 --epochs 2 --output RUN` (91.39 % of the test images).",
        "",
        f"FastViT-T8 on Fashion-MNIST, 64×64: the first {found['images']:,} training images, "
        f"{found['epochs']} epochs in batches of {found['batch']}, the same seeds, images and "
        "order for every way; accuracy on all 10,000 test images after the last epoch. The fused "
        "form starts as the same function: as the folded weights of the training form with the "
        "same seed.",
        "",
        "| | mean | lowest to highest | each seed | loss at the end |",
        "|---|---:|---:|---:|---:|",
    ]
    for way, values in accuracies.items():
        each = ", ".join(f"{value:.2%}" for value in values)
        lines.append(
            f"| {way} | {np.mean(values):.2%} | {min(values):.2%} to {max(values):.2%} "
            f"| {each} | {np.mean(losses[way]):.3f} |"
        )
    own = accuracies["training form"]
    fused = max((v for k, v in accuracies.items() if k.startswith("fused")), key=np.mean)
    taught = accuracies["training form, distilled"]
    lines += [
        "",
        f"The training form is worth {_points(own, fused)} over the better of the two fused ones, "
        f"the teacher {_points(taught, own)}. The loss of a distilled training is against the mean "
        "of labels and teacher, and not to be compared with the others.",
    ]
    return lines


def _points(a: list[float], b: list[float]) -> str:
    differences = 100 * (np.array(a) - np.array(b))
    each = ", ".join(f"{difference:+.2f}" for difference in differences)
    return f"{differences.mean():+.2f} points ({each} by seed)"


def throughput(found: Mapping[str, Any]) -> list[str]:
    """The section on speed."""
    case = ("side", "batch", "variant", "backend")
    timings = sorted(found["timings"], key=lambda row: [row[name] for name in case])
    lines = [
        "## Images a second",
        "",
        "`make bench-training`: a training step (forward, backward, AdamW) "
        "beside timm's in eager PyTorch (channels last, but at 256×256 channels first: there torch "
        "2.13 crashes with channels last on CPUs) in the same run, taking turns; medians. "
        "The ratio of times counts: 1.2 says that a step takes 1.2 times as long as timm's. Images "
        "a second are this machine's. Both begin with the same loss, to 1e-4.",
        "",
        "| | backend | images/s | timm, images/s | ratio of times |",
        "|---|---|---:|---:|---:|",
    ]
    for row in timings:
        what = f"{row['variant']}, {row['side']}×{row['side']}, batch {row['batch']}"
        lines.append(
            f"| {what} | {row['backend']} | {row['images_per_second']:.1f} "
            f"| {row['timm_images_per_second']:.1f} | **{row['ratio']:.2f}** |"
        )
    lines.append("")
    for backend, reason in REASONS.items():
        ratios = [row["ratio"] for row in timings if row["backend"] == backend]
        if ratios and max(ratios) > SLOW:
            lines.append(f"- Why {backend} is above {SLOW}: {reason}.")
    facts = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    return [*lines, "", f"Machine: {facts}. No GPU was at hand."]


def quantization_aware(found: Mapping[str, Any]) -> list[str]:
    """The section on quantisation-aware fine-tuning."""
    lines = [
        "## Quantisation-aware fine-tuning",
        "",
        "`KERAS_BACKEND=tensorflow python -m benchmarks.quantization_aware`: "
        f"{found['training']:,} training images without labels, {found['epochs']} epochs, "
        f"{found['test']:,} test images, each row but the first a `.tflite` file in LiteRT. int8 "
        "takes next to nothing from the shipped T8; weights of 4 bits do, and without this "
        "package's cures most of all.",
        "",
        "| | top-1 | same class as float | logits' SQNR, dB |",
        "|---|---:|---:|---:|",
    ]
    for row in found["rows"]:
        ratio = "" if row["sqnr_db"] is None else f"{row['sqnr_db']:.1f}"
        lines.append(f"| {row['name']} | {row['top1']:.2%} | {row['agreement']:.2%} | {ratio} |")
    return lines


def robustness(found: Mapping[str, Any]) -> list[str]:
    """The section on corrupted images."""
    summary = found["summary"]
    lines = [
        "## Robustness, float32 against int8",
        "",
        "`make bench-robustness`: the shipped T8 under ImageNet-C's corruptions at five "
        "severities. [Every corruption and severity](robustness.md).",
        "",
        "| | float32 | int8 | loss, points |",
        "|---|---:|---:|---:|",
    ]
    for name, key in (
        ("as they are", "clean"),
        ("under the 15 common corruptions", "common_mean"),
        ("under all 19", "mean"),
    ):
        lines.append(
            f"| {name} | {summary[f'float32_{key}']:.2%} | {summary[f'int8_{key}']:.2%} "
            f"| {100 * summary[f'loss_{key}']:+.2f} |"
        )
    return lines


SECTIONS = {
    "training_ways.json": ways,
    "training_throughput.json": throughput,
    "quantization_aware.json": quantization_aware,
    "robustness.json": robustness,
}
"""By file: what is made of it."""


def write_report(folder: Path = FOLDER) -> Path:
    """Writes `training.md` in a folder, of those files that are there; returns its path."""
    lines = ["# Training", "", "What was measured of training, each table with its command."]
    for name, section in SECTIONS.items():
        if (folder / name).exists():
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            lines += ["", *section(found)]
    path = folder / "training.md"
    with written_beside(path) as unfinished:
        unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write_report().read_text(encoding="utf-8"))
