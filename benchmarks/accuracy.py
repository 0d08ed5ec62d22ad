"""Measures what each precision costs in accuracy, on the whole Fashion-MNIST test set.

    make bench-accuracy
    make bench-accuracy CHECKPOINTS="fastvit_sa12=RUN/fashion_mnist_sa12.safetensors"

that is `python -m benchmarks.accuracy` with KERAS_BACKEND=tensorflow, for the checkpoint
that ships and for others in timm's layout, such as `benchmarks/train_timm_fashion_mnist.py` or
`benchmarks.train_fashion_mnist` write. Writes `benchmarks/litert_accuracy.json` and
`benchmarks/litert_accuracy.md`, which it prints. Needs Fashion-MNIST, and litert-torch in an
environment of its own.

Of each checkpoint it makes files in all precisions; int8 files with one thing changed at a time,
without the lowering, and of other images; and what other tools make of the same weights.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.progress import track
from safetensors.numpy import save_file

from benchmarks import litert_torch_environment
from benchmarks.accuracy_report import Accuracy, Report
from benchmarks.calibration_sets import calibration_set
from benchmarks.litert import PACKAGES
from benchmarks.plain_tflite import to_plain_tflite
from benchmarks.train_fashion_mnist import CLASSES, DATA, SIDE, load_split, to_inputs, upscale
from keras_fastvit import fuse
from keras_fastvit.applications import CONSTRUCTORS
from keras_fastvit.arrays import Array
from keras_fastvit.conversion.commands.machine import machine
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.lowering.targets import REWRITES
from keras_fastvit.conversion.quantization.techniques import TECHNIQUES
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.conversion.tflite.timing import benchmark
from keras_fastvit.evaluation import metrics
from keras_fastvit.evaluation.metrics import top_k_accuracy
from keras_fastvit.weights.torch_state import to_torch_state

THREADS = 2
SHIPPED = ("fastvit_t8", "fashion_mnist")
CALIBRATION = ("training images", 200)


@dataclass(frozen=True)
class Setting:
    """A way to export.

    Attributes:
        table: Where the report shows it.
        name: What it is called there.
        options: Arguments of `export`.
        calibration: What int8 is calibrated on: a key of `calibration_sets.SOURCES`, how many.
    """

    table: str
    name: str
    options: dict[str, Any] = field(default_factory=lambda: {"quantize": "int8"})
    calibration: tuple[str, int] = CALIBRATION


PRECISIONS = tuple(
    Setting("precision", name, {"quantize": quantize})
    for name, quantize in (
        ("float32", "none"),
        ("fp16", "fp16"),
        ("dynamic", "dynamic"),
        ("int8", "int8"),
    )
)
_CURES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("GELU as one operator", {"gelu": "operator"}),
    *((f"without {cure}", {"without": (cure,)}) for cure in TECHNIQUES),
    ("without any", {"without": TECHNIQUES}),
)
CURES = tuple(Setting("cure", name, {"quantize": "int8", **options}) for name, options in _CURES)
LOWERING = tuple(
    Setting("lowering", name, {"quantize": "int8", "without": without})
    for name, without in (
        ("not lowered", tuple(REWRITES)),
        *((f"without {name}", (name,)) for name in REWRITES),
    )
)
CALIBRATIONS = tuple(
    Setting("calibration", f"{count} {source}", calibration=(source, count))
    for source, count in (
        *(("training images", count) for count in (16, 50, 100, 200, 500)),
        *((source, 200) for source in ("test images", "photographs", "noise")),
    )
)
SETTINGS = (*PRECISIONS, *CURES, *LOWERING, *CALIBRATIONS)


def load(variant: str, weights: str) -> keras.Model:
    """Returns a checkpoint's model: normalised images `(batch, 64, 64, 3)` to logits.

    Raises:
        OSError, ValueError: If the weights cannot be read or do not fit.
    """
    return CONSTRUCTORS[variant](
        weights=weights,
        input_shape=(SIDE, SIDE, 3),
        classes=CLASSES,
        classifier_activation=None,
        data_format="channels_last",
        dtype="float32",
    )


def write_files(variant: str, model: keras.Model, folder: Path) -> dict[tuple[str, str], Path]:
    """Writes a checkpoint's files, ours and others'; returns them by table and name.

    Raises:
        ArithmeticError, ImportError, OSError, RuntimeError, ValueError: As those who write them do.
    """
    files = {}
    for i, setting in enumerate(track(SETTINGS, "Exporting")):
        files[setting.table, setting.name] = path = folder / f"{i:02d}.tflite"
        images = calibration_set(*setting.calibration)
        export(model, path, calibration=images, **setting.options)
    images = calibration_set(*CALIBRATION)
    ours, theirs = files["precision", "float32"], folder / "litert_torch.tflite"
    weights = folder / "weights.safetensors"
    save_file(to_torch_state(model, "timm"), weights)
    litert_torch_environment.convert(variant, weights, SIDE, theirs)
    plain = folder / "plain.tflite"
    plain.write_bytes(to_plain_tflite(fuse(model), images))
    files["baseline", "TensorFlow's converter, static int8, nothing of ours"] = plain
    for source, whose in ((theirs, "litert-torch's float32 file"), (ours, "our float32 file")):
        for kind in ("static", "dynamic"):
            path = folder / f"{source.stem}_{kind}.tflite"
            litert_torch_environment.quantize(source, kind, images, path)
            files["baseline", f"ai-edge-quantizer, {kind} int8, of {whose}"] = path
    return files


def measure(
    checkpoint: str, files: dict[tuple[str, str], Path], inputs: Array, labels: Array, keras_: Array
) -> list[Accuracy]:
    """Runs and times a checkpoint's files.

    Args:
        checkpoint: Its name.
        files: By table and name.
        inputs: float32 `(images, 64, 64, 3)`, normalised.
        labels: `(images,)`.
        keras_: `(images, classes)`, Keras' logits.
    """
    timed = {names: path for names, path in files.items() if names[0] != "calibration"}
    timings = benchmark(list(timed.values()), threads=THREADS)
    medians = dict(zip(timed, (1e3 * timing.median for timing in timings), strict=True))
    top1 = top_k_accuracy(keras_, labels)
    rows = []
    for (table, name), path in track(files.items(), "Running the test images"):
        received = TFLiteModel(path, THREADS).predict(inputs)
        own = top_k_accuracy(received, labels)
        rows.append(
            Accuracy(
                checkpoint=checkpoint,
                table=table,
                name=name,
                size=path.stat().st_size,
                top1=own,
                loss=100 * (top1 - own),
                agreement=metrics.agreement(keras_, received),
                sqnr_db=metrics.sqnr_db(keras_, received),
                difference=float(np.abs(received - keras_).max() / np.abs(keras_).max()),
                median=medians.get((table, name)),
            )
        )
    return rows


def run(checkpoints: Sequence[tuple[str, str]]) -> Report:
    """Measures checkpoints, each a variant and its weights."""
    pixels, labels = load_split(DATA, "t10k")
    inputs = to_inputs(upscale(pixels))
    top1, rows = {}, []
    for variant, weights in checkpoints:
        name = f"{variant}, {Path(weights).name}"
        print(name, flush=True)
        model = load(variant, weights)
        logits = fuse(model).predict(inputs, batch_size=200, verbose=0)
        top1[name] = top_k_accuracy(logits, labels)
        with tempfile.TemporaryDirectory() as folder:
            files = write_files(variant, model, Path(folder))
            rows += measure(name, files, inputs, labels, logits)
    source, count = CALIBRATION
    return Report(top1, rows, len(labels), f"{count} {source}", machine(PACKAGES))


def checkpoint(text: str) -> tuple[str, str]:
    """Reads `VARIANT=FILE`.

    >>> checkpoint("fastvit_sa12=run/sa12.safetensors")
    ('fastvit_sa12', 'run/sa12.safetensors')

    Raises:
        ArgumentTypeError: If it is something else.
    """
    variant, _, weights = text.partition("=")
    if variant not in CONSTRUCTORS or not weights:
        raise argparse.ArgumentTypeError(
            f"expected VARIANT=FILE, such as fastvit_sa12=sa12.safetensors. Received: {text}"
        )
    return variant, weights


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Measures the accuracy of each precision.")
    parser.add_argument(
        *("--checkpoint", "-c"),
        action="append",
        default=[],
        type=checkpoint,
        metavar="VARIANT=FILE",
        help="weights for Fashion-MNIST, beside those that ship",
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="folder")
    args = parser.parse_args(argv)
    try:
        report = run([SHIPPED, *args.checkpoint])
        report.write(args.output)
    except (ArithmeticError, ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(report.to_markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
