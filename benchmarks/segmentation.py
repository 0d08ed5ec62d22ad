"""Trains Semantic FPN on scenes of Fashion-MNIST items, and measures what int8 costs it.

    make bench-segmentation

that is `python -m benchmarks.segmentation` with KERAS_BACKEND=tensorflow: about an hour on two
cores. Writes `benchmarks/segmentation.json`, `benchmarks/segmentation.md`, which it prints, and
`benchmarks/segmentation.png`. Needs Fashion-MNIST (Debian: `apt-get install
dataset-fashion-mnist`) and scikit-image, whose pictures are the backgrounds.

The model is the shipped FastViT-T8 with Semantic FPN, its neck a quarter and its head half of the
paper's width, trained on scenes of training images for `--steps` batches (AdamW, warm-up, half a
cosine). It is judged on `--images` scenes of test images, which are on other backgrounds: in Keras
as trained, fused as `.tflite` in float32 and in int8, calibrated on training scenes. The weights of
the last step count.
`--model M.keras` measures a model that an earlier run has left beside its report.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import keras
from rich.progress import Progress

from benchmarks import segmentation_report
from benchmarks.segmentation_report import FLOAT, INT8, KERAS, Found
from benchmarks.segmentation_scenes import CLASSES, SIDE, Scenes, TrainingScenes
from keras_fastvit import FastViTT8, fuse, preprocess_input
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.exporting.report import Export
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.metrics import sqnr_db
from keras_fastvit.tasks import SemanticFPN

NECK_FILTERS, HEAD_FILTERS = 64, 64
STEPS = 12_000
BATCH = 8
PEAK_LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
IMAGES = 500
CALIBRATION_IMAGES = 200
TRAINING_SEED, CALIBRATION_SEED, EVALUATION_SEED = 1, 2, 3


def build_model() -> keras.Model:
    """Semantic FPN on the shipped T8, for images `(SIDE, SIDE, 3)`."""
    backbone = FastViTT8(
        weights="fashion_mnist",
        include_top=False,
        input_shape=(SIDE, SIDE, 3),
        data_format="channels_last",
    )
    return SemanticFPN(backbone, len(CLASSES), neck_filters=NECK_FILTERS, head_filters=HEAD_FILTERS)


def train(model: keras.Model, steps: int, progress: Progress) -> None:
    """Trains on new scenes in every step.

    Args:
        model: Gives logits of `CLASSES`.
        steps: How many batches.
        progress: Shows how far it is.
    """
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(steps - steps // 20, 1),
        warmup_target=PEAK_LEARNING_RATE,
        warmup_steps=steps // 20,
        alpha=0.01,
    )
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    task = progress.add_task("Training", total=steps)

    def show(batch: int, logs: dict[str, float]) -> None:
        progress.update(task, advance=1, description=f"Training, loss {logs['loss']:.3f}")

    scenes = TrainingScenes(Scenes("train", TRAINING_SEED), BATCH, steps)
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=show)
    model.fit(scenes, epochs=1, shuffle=False, verbose=0, callbacks=[callback])


def measure(model: keras.Model, count: int, progress: Progress) -> Found:
    """Compares Keras and the files on evaluation scenes.

    Args:
        model: Trained.
        count: How many scenes.
        progress: Shows how far it is.

    Raises:
        ArithmeticError, ImportError, OSError, ValueError: As export does.
    """
    pixels, labels = Scenes("t10k", EVALUATION_SEED).batch(range(count))
    images = preprocess_input(pixels, "channels_last")
    calibration = preprocess_input(
        Scenes("train", CALIBRATION_SEED).batch(range(CALIBRATION_IMAGES))[0], "channels_last"
    )
    task = progress.add_task("Measuring", total=3)
    logits = {KERAS: model.predict(images, batch_size=16, verbose=0)}
    progress.advance(task)
    fused = fuse(model)
    exports: dict[str, Export] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, quantize in ((FLOAT, "none"), (INT8, "int8")):
            path = Path(folder) / f"{name}.tflite"
            exports[name] = export(
                fused, path, quantize=quantize, calibration=calibration, labels=tuple(CLASSES)
            )
            logits[name] = TFLiteModel(path, os.cpu_count()).predict(images)
            progress.advance(task)
    return Found(
        scenes=pixels,
        labels=labels,
        predictions={name: x.argmax(-1).astype("uint8") for name, x in logits.items()},
        sqnr_db={name: sqnr_db(logits[KERAS], logits[name]) for name in exports},
        exports=exports,
        parameters=fused.count_params(),
    )


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Trains Semantic FPN, and measures int8's cost.")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=f"({STEPS})")
    parser.add_argument("--images", type=int, default=IMAGES, metavar="N", help=f"({IMAGES})")
    parser.add_argument("--model", type=Path, metavar="M.keras", help="measure this one instead")
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="folder")
    parser.add_argument(
        "--trained",
        type=Path,
        default=Path("build/segmentation.keras"),
        metavar="M.keras",
        help="where to keep the trained model (build/segmentation.keras)",
    )
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    try:
        with Progress() as progress:
            if args.model is None:
                model = build_model()
                train(model, args.steps, progress)
                args.trained.parent.mkdir(parents=True, exist_ok=True)
                model.save(args.trained)
            else:
                model = keras.saving.load_model(args.model, compile=False)
            found = measure(model, args.images, progress)
        args.output.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("segmentation.json", segmentation_report.to_json(found)),
            ("segmentation.md", segmentation_report.to_markdown(found)),
        ):
            with written_beside(args.output / name) as unfinished:
                unfinished.write_text(text, encoding="utf-8")
        segmentation_report.plot(found, args.output / "segmentation.png")
    except (ArithmeticError, ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(segmentation_report.to_markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
