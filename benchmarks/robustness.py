"""Measures what int8 costs in robustness: the shipped T8, float32 against its int8 file.

    make bench-robustness

that is `python -m benchmarks.robustness` with KERAS_BACKEND=tensorflow. Writes
`benchmarks/robustness.json`, `benchmarks/robustness.md`, which it prints, and
`benchmarks/robustness.png`. Needs Fashion-MNIST.

Both classify the same 500 test images (`--images`), as they are and under each of ImageNet-C's
nineteen corruptions at five severities. int8 is calibrated on training images, without corruptions.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from benchmarks.calibration_sets import calibration_set
from benchmarks.train_fashion_mnist import CLASSES, DATA, load_split, upscale
from benchmarks.training_report import write_report
from keras_fastvit import FastViTT8, preprocess_input
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation import robustness_report
from keras_fastvit.evaluation.classifier import KerasClassifier
from keras_fastvit.evaluation.corruptions import CORRUPTIONS
from keras_fastvit.evaluation.robustness import (
    COMMON,
    RUNS,
    Robustness,
    mean_corruption_error,
    measure,
)

IMAGES = 500
CALIBRATION = ("training images", 200)
FLOAT, INT8 = "float32", "int8"


def run(count: int, progress: Progress) -> dict[str, Robustness]:
    """Measures both on the first test images.

    Args:
        count: How many images.
        progress: Shows how far it is.

    Raises:
        ArithmeticError, ImportError, OSError, ValueError: As those who export and read do.
    """
    grey, labels = load_split(DATA, "t10k")
    pixels = np.repeat(upscale(grey[:count])[..., None], 3, axis=-1)
    model = FastViTT8(weights="fashion_mnist", classes=CLASSES, data_format="channels_last")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.tflite"
        export(model, path, quantize="int8", calibration=calibration_set(*CALIBRATION))
        file = TFLiteModel(path, os.cpu_count())
        models = {
            FLOAT: KerasClassifier(model, crop_pct=1.0).logits,
            INT8: lambda images: file.predict(preprocess_input(images, "channels_last")),
        }
        task = progress.add_task("Corrupting images", total=RUNS)
        return measure(models, pixels, labels[:count], lambda: progress.advance(task))


def summary(found: Mapping[str, Robustness]) -> dict[str, float]:
    """Returns what the comparison comes to: accuracies and their differences, 0..1, and the mCE."""
    float32, int8 = found[FLOAT], found[INT8]
    return {
        "float32_clean": float32.clean,
        "int8_clean": int8.clean,
        "loss_clean": float32.clean - int8.clean,
        "float32_common_mean": float32.mean(*COMMON),
        "int8_common_mean": int8.mean(*COMMON),
        "loss_common_mean": float32.mean(*COMMON) - int8.mean(*COMMON),
        "float32_mean": float32.mean(),
        "int8_mean": int8.mean(),
        "loss_mean": float32.mean() - int8.mean(),
        "mce_of_int8_relative_to_float32": mean_corruption_error(int8, float32),
    }


def to_markdown(found: Mapping[str, Robustness]) -> str:
    """The text of `benchmarks/robustness.md`."""
    figures, float32, int8 = summary(found), found[FLOAT], found[INT8]
    lines = [
        "# Robustness of the shipped T8, float32 against int8",
        "",
        f"Written by `make bench-robustness`: top-1 on the first {float32.images:,} test images of "
        f"Fashion-MNIST at 64×64. int8 is calibrated on {CALIBRATION[1]} {CALIBRATION[0]}, without "
        "corruptions.",
        "",
        "| | float32 | int8 | loss, points |",
        "|---|---:|---:|---:|",
    ]
    for name, key in (
        ("as they are", "clean"),
        ("under the 15 common corruptions", "common_mean"),
        ("under all 19", "mean"),
    ):
        shares = f"{figures[f'float32_{key}']:.2%} | {figures[f'int8_{key}']:.2%}"
        lines.append(f"| {name} | {shares} | {100 * figures[f'loss_{key}']:+.2f} |")
    lines += [
        "",
        "Mean corruption error of int8 relative to float32, over the 15: "
        f"{figures['mce_of_int8_relative_to_float32']:.1%}; 100% were no difference.",
        "",
        "| mean over severities | float32 | int8 | loss, points |",
        "|---|---:|---:|---:|",
    ]
    for name, own, other in zip(CORRUPTIONS, float32.accuracy, int8.accuracy, strict=True):
        a, b = own.mean(), other.mean()
        title = robustness_report.title(name)
        lines.append(f"| {title} | {a:.1%} | {b:.1%} | {100 * (a - b):+.2f} |")
    lines += ["", "![Accuracy under corruptions](robustness.png)"]
    for name, robustness in found.items():
        lines += ["", f"## {name}", "", *robustness_report.to_markdown(robustness)]
    return "\n".join([*lines, "", robustness_report.FOOTNOTE]) + "\n"


def to_json(found: Mapping[str, Robustness]) -> str:
    """The content of `benchmarks/robustness.json`."""
    content: dict[str, Any] = {
        "summary": summary(found),
        **{name: robustness_report.to_json(robustness) for name, robustness in found.items()},
    }
    return json.dumps(content, indent=1) + "\n"


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Measures what int8 costs in robustness.")
    parser.add_argument("--images", type=int, default=IMAGES, metavar="N", help=f"({IMAGES})")
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="folder")
    args = parser.parse_args()
    try:
        with Progress() as progress:
            found = run(args.images, progress)
        args.output.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("robustness.json", to_json(found)),
            ("robustness.md", to_markdown(found)),
        ):
            with written_beside(args.output / name) as unfinished:
                unfinished.write_text(text, encoding="utf-8")
        robustness_report.plot(found, args.output / "robustness.png")
        write_report(args.output)
    except (ArithmeticError, ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(to_markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
