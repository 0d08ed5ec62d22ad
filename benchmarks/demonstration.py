"""The whole way once: a PyTorch checkpoint, its folded form, a `.tflite`, and what they answer.

Loads the checkpoint that ships with the package (FastViT-T8 on Fashion-MNIST, in timm's layout),
fuses it, exports it to a temporary folder in float32 and in int8, and classifies the 200 test
images in `demo_images/fashion_mnist` with the training form, the fused form and the `.tflite`
files. int8 is calibrated on every second of these images, without their labels. Prints a table of
accuracy, differences, parameters, sizes and latencies, and the best three classes of five images.
`make demo` runs it.
"""

import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_fastvit import FastViTT8, class_names, decode_predictions, load_image, preprocess_input
from keras_fastvit.arrays import Array
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.references.compiled import compiled_forward
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.weights.named import NamedWeights, find_weights

VARIANT, WEIGHTS = "fastvit_t8", "fashion_mnist"
FILES = {".tflite float32": "none", ".tflite int8": "int8"}
"""By name: the precisions that are exported."""

IMAGES = Path(__file__).resolve().parents[1] / "demo_images" / "fashion_mnist"
SHOWN, TOP = 5, 3
WARM_UP, ROUNDS = 5, 50


@dataclass(frozen=True)
class Form:
    """One of the forms of the model, and what it answered.

    Attributes:
        name: For the table.
        parameters: Number of trainable weights.
        file_size: In bytes: of a Keras model as `.keras`, in float32.
        logits: `(images, classes)`.
        latency: Median seconds for one image.
    """

    name: str
    parameters: int
    file_size: int
    logits: Array
    latency: float


def main() -> int:
    """Runs the demo; returns its exit status."""
    console = Console()
    weights = find_weights(WEIGHTS, VARIANT)
    assert isinstance(weights, NamedWeights)
    paths = sorted(IMAGES.rglob("*.png"))
    if not paths:
        console.print(f"Expected test images in {IMAGES}, as in a checkout. Received: none")
        return 2
    labels = np.array([int(path.parent.name.split("_")[0]) for path in paths])

    console.print(f"Loading {weights.source} (timm's layout, float16) into {VARIANT}")
    model = FastViTT8(weights=WEIGHTS, classes=weights.classes, classifier_activation=None)
    loaded = (load_image(path, weights.image_size, weights.crop_pct) for path in paths)
    images = preprocess_input(np.stack(list(loaded)), "channels_last")

    with tempfile.TemporaryDirectory() as folder:
        console.print("Fusing it")
        fused = model.fuse()
        files = {}
        for name, quantize in FILES.items():
            console.print(f"Exporting it as {name}, and comparing that with Keras")
            path = Path(folder, f"{quantize}.tflite")
            export(fused, path, quantize=quantize, calibration=images[::2])
            files[name] = TFLiteModel(path, num_threads=2)
        logits = {
            "training form": model.predict(images, verbose=0),
            "fused form": fused.predict(images, verbose=0),
            **{name: file.predict(images) for name, file in files.items()},
        }
        one = images[:1]
        latencies = interleaved_medians(
            [
                compiled_forward(model, one),
                compiled_forward(fused, one),
                *(functools.partial(file.predict, one) for file in files.values()),
            ],
            console,
        )
        sizes = [_saved_size(model, folder), _saved_size(fused, folder)]
        sizes += [Path(folder, f"{quantize}.tflite").stat().st_size for quantize in FILES.values()]
    parameters = [_parameters(model), *[_parameters(fused)] * (1 + len(files))]
    forms = [
        Form(name, *figures)
        for name, *figures in zip(
            logits, parameters, sizes, logits.values(), latencies, strict=True
        )
    ]
    console.print(summary(forms, labels), answers(forms[-1], paths, labels))
    return 0


def interleaved_medians(calls: list[Callable[[], Any]], console: Console) -> list[float]:
    """Times the calls in turns, so that what disturbs the machine disturbs all; in seconds."""
    seconds = np.empty((WARM_UP + ROUNDS, len(calls)))
    for row in track(seconds, "Timing one image", console=console, transient=True):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            row[i] = time.perf_counter() - start
    return [float(median) for median in np.median(seconds[WARM_UP:], axis=0)]


def _parameters(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def _saved_size(model: keras.Model, folder: str) -> int:
    path = Path(folder, "model.keras")
    model.save(path)
    return path.stat().st_size


def summary(forms: list[Form], labels: Array) -> Table:
    """The table of the forms; differences are to the first of them, over its largest logit."""
    reference = forms[0].logits
    table = Table(
        title=f"{len(labels)} test images of Fashion-MNIST", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("form", no_wrap=True)
    for heading in ("top-1", "difference", "weights", "file", "latency", "ratio"):
        table.add_column(heading, justify="right")
    for form in forms:
        difference = np.abs(form.logits - reference).max() / np.abs(reference).max()
        table.add_row(
            form.name,
            f"{np.mean(form.logits.argmax(-1) == labels):.1%}",
            f"{difference:.1e}",
            f"{form.parameters:,}",
            f"{form.file_size / 1e6:.1f} MB",
            f"{1e3 * form.latency:.1f} ms",
            f"{form.latency / forms[0].latency:.2f}",
        )
    table.caption = (
        "difference: largest of a logit, over the largest logit\n"
        "int8: calibrated on every second of these images\n"
        "latency: batch 1, median of calls in turns, on this machine"
    )
    return table


def answers(form: Form, paths: list[Path], labels: Array) -> Table:
    """The best classes of a few images, spread over the data set."""
    names = class_names(WEIGHTS)
    probabilities = np.exp(form.logits - form.logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    table = Table(title=f"Best {TOP} classes by {form.name}", box=box.SIMPLE_HEAD)
    for heading in ("image", "class", *(f"{i + 1}." for i in range(TOP))):
        table.add_column(heading)
    for i in np.linspace(0, len(paths) - 1, SHOWN).astype(int):
        (best,) = decode_predictions(probabilities[i : i + 1], TOP, names)
        table.add_row(
            paths[i].name,
            names[labels[i]],
            *(f"{name} {score:.0%}" for _, name, score in best),
        )
    return table
