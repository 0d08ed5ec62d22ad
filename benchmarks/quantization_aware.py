"""Measures what quantisation-aware fine-tuning recovers: FastViT-T8 on Fashion-MNIST at 64×64.

    KERAS_BACKEND=tensorflow python -m benchmarks.quantization_aware

needs the data set (Debian: `apt-get install dataset-fashion-mnist`) and half an hour on two cores;
`--limit 1000 --epochs 1` shows in minutes that it works. Writes `quantization_aware.json` to this
folder after each row, and brings `training.md` up to date.

All rows but the first are `.tflite` files, run by LiteRT on the test images. int8 takes little from
this model, so there is little to recover. With weights of 4 bits there is: -7..7 steps a filter,
each put on the nearest of int8's steps, at most 1/36 of its own away, so that the file holds the
weights that were trained.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from benchmarks.train_fashion_mnist import DATA, load_split, to_inputs, upscale
from benchmarks.training_report import write_report
from keras_fastvit import FastViTT8, fuse
from keras_fastvit.architecture.fake_quantization import INT8_LEVELS
from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.exporting.converter_process import to_int8_tflite
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.quantization.calibration import (
    LIMIT as CALIBRATION_IMAGES,
)
from keras_fastvit.conversion.quantization.fake_quantized_form import int8_form_of
from keras_fastvit.conversion.quantization.fine_tuning import fine_tune
from keras_fastvit.conversion.quantization.layer_by_layer import (
    Quantized,
    quantize,
    quantize_as_trained,
)
from keras_fastvit.conversion.quantization.techniques import TECHNIQUES
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.metrics import agreement, sqnr_db, top_k_accuracy
from keras_fastvit.graph.logits import to_logits

FOUR_BITS = 7
"""Steps of a filter's largest weight."""

LEARNING_RATES = {INT8_LEVELS: 1e-4, FOUR_BITS: 5e-4}
"""By levels: a weight must be moved by half a step before it is another one."""

LIMIT = 5_000
EPOCHS = 2


@dataclass(frozen=True)
class Row:
    """The results of a model on the test images.

    Attributes:
        name: What was done to it.
        top1: Accuracy, 0..1.
        agreement: Share of the images with the float model's best class, 0..1.
        sqnr_db: Signal to noise of the logits, the float model's being the signal; None of itself.
    """

    name: str
    top1: float
    agreement: float
    sqnr_db: float | None


def make_rows(
    training: Array, images: Array, labels: Array, epochs: int, tell: Callable[[Row], None]
) -> None:
    """Measures one model after the other.

    Args:
        training: Normalised images to calibrate on and to train on.
        images: To test on.
        labels: Theirs.
        epochs: Of fine-tuning.
        tell: Called with each row.
    """
    logits, _ = to_logits(fuse(FastViTT8(weights="fashion_mnist", classes=10)))
    lowered = lower(logits)
    calibration = training[:: max(len(training) // CALIBRATION_IMAGES, 1)][:CALIBRATION_IMAGES]
    wanted = logits.predict(images, batch_size=100, verbose=0)
    tell(Row("float", top_k_accuracy(wanted, labels), 1.0, None))

    def measure(name: str, quantized: Quantized) -> None:
        received = _outputs(to_int8_tflite(quantized, float_softmax=True), images)
        tell(
            Row(
                name,
                top_k_accuracy(received, labels),
                agreement(wanted, received),
                sqnr_db(wanted, received),
            )
        )

    for bits, levels in (("int8", INT8_LEVELS), ("4-bit weights", FOUR_BITS)):
        for cures, without in (("", ()), (", no cures", TECHNIQUES)):
            quantized = quantize(lowered, calibration, without=without, levels=levels)
            measure(f"post-training {bits}{cures}", quantized)
        keras.utils.set_random_seed(0)
        rate = LEARNING_RATES[levels]
        trained = fine_tune(logits, training, calibration, epochs, rate, levels=levels, verbose=2)
        form, ranges = int8_form_of(trained)
        measure(f"quantisation-aware {bits}", quantize_as_trained(form, ranges, calibration))


def _outputs(content: bytes, images: Array) -> Array:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        return TFLiteModel(path).predict(images)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command in the module's docstring."""
    parser = argparse.ArgumentParser(description="Measures quantisation-aware fine-tuning.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data set's files")
    parser.add_argument("--limit", type=int, default=LIMIT, help="of images, of each split")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="DIR")
    args = parser.parse_args(argv)
    if keras.backend.backend() != "tensorflow":
        parser.error(f"expected KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()}")
    training = load_split(args.data, "train")[0][: args.limit]
    images, labels = load_split(args.data, "t10k")
    images, labels = images[: args.limit], labels[: args.limit]
    facts = {"training": len(training), "test": len(images), "epochs": args.epochs}
    rows: list[Row] = []

    def tell(row: Row) -> None:
        rows.append(row)
        print(row, flush=True)
        report = {**facts, "rows": [asdict(row) for row in rows]}
        with written_beside(args.output / "quantization_aware.json") as unfinished:
            unfinished.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

    inputs = to_inputs(upscale(training)), to_inputs(upscale(images))
    make_rows(*inputs, labels, args.epochs, tell)
    print(write_report(args.output).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
