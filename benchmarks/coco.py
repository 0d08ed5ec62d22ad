"""Trains KerasHub's RetinaNet on COCO with a FastViT as its backbone, and detects.

    python -m benchmarks.coco --data coco --model fastvit_sa12 --weights imagenet --output RUN

prints a line an epoch and writes to RUN `model.keras`, `history.csv`, and `detections.json`, the
boxes that it finds in `val2017`, in COCO's format of results. Interrupted at any moment, the same
command goes on after the last whole epoch. With `--evaluate M.keras` it only detects. It needs
`pip install keras-hub`. pycocotools scores the boxes:

    pip install pycocotools
    python -c "from pycocotools.coco import COCO; from pycocotools.cocoeval import COCOeval;
    truth = COCO('coco/annotations/instances_val2017.json');
    found = COCOeval(truth, truth.loadRes('RUN/detections.json'), 'bbox');
    found.evaluate(); found.accumulate(); found.summarize()"

The paper's detector is Mask R-CNN, which KerasHub does not have: its box and mask AP are not
reproduced. This is what KerasHub users can do instead, with PoolFormer's RetinaNet configuration
(`detection/configs/retinanet_poolformer_s12_fpn_1x_coco.py` of sail-sg/poolformer on
mmdetection's 1x schedule): ImageNet weights, AdamW at 1e-4 with weight decay 1e-4, batches of 16,
12 epochs, a tenth of the learning rate after 8 and again after 11, mirrored half of the time.
What differs: images are fitted into a square of 800 pixels, not 1333×800; no warm-up; KerasHub's
boxes have one class each and are suppressed across classes.

Written to that layout and tested on a small folder of the same. Not run on COCO itself.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from benchmarks.coco_data import DetectionBatches, Pictures, find_pictures, fitted
from keras_fastvit.architecture.variants import VARIANTS, get_variant
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.commands import running
from keras_fastvit.conversion.commands.train import not_negative_int, positive_float, positive_int
from keras_fastvit.graph.normalization import normalization_of
from keras_fastvit.images.preprocessing import preprocess_input
from keras_fastvit.progress import Progress
from keras_fastvit.training.heads import backbone, compiled, fit
from keras_fastvit.training.run_folder import RunFolder
from keras_fastvit.weights.model_files import read_model_file

EPOCHS = 12
STEPS_DOWN = (8 / 12, 11 / 12)
"""Shares of the training after which the learning rate is a tenth of what it was."""
BATCH = 16
SIDE = 800
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 1e-4
FORMAT = "xyxy"
LEAST_CONFIDENCE = 0.05


def detector(encoder: keras.Model, side: int, classes: int, name: str) -> keras.Model:
    """Returns KerasHub's RetinaNet on a backbone, levels P3 to P7.

    Raises:
        ImportError: If KerasHub is not installed.
    """
    import keras_hub

    encoder.get_layer("final_conv").trainable = False  # behind the levels, so without a gradient
    pyramid = keras_hub.models.RetinaNetBackbone(
        image_encoder=encoder,
        min_level=3,
        max_level=7,
        use_p5=False,
        image_shape=(side, side, 3),
    )
    model = keras_hub.models.RetinaNetObjectDetector(
        backbone=pyramid,
        num_classes=classes,
        bounding_box_format=FORMAT,
        prediction_decoder=keras_hub.layers.NonMaxSuppression(
            FORMAT, from_logits=True, confidence_threshold=LEAST_CONFIDENCE
        ),
        name=name,
    )
    # KerasHub 0.32 gives the boxes the prior of rare classes (arXiv 1708.02002, section 4.1).
    for head, bias in ((model.box_head, 0.0), (model.classification_head, -math.log(99))):
        logits = head.prediction_layer
        logits.bias.assign(np.full(logits.bias.shape, bias))
    return model


def train(args: argparse.Namespace, pictures: Pictures, console: Console) -> keras.Model:
    """Trains as the command's arguments say, and writes the model.

    Raises:
        ArithmeticError, ImportError, OSError, ValueError: As the pieces do.
    """
    normalization = get_variant(args.model).normalization
    if len(pictures.paths) < args.batch_size:
        raise ValueError(
            f"Expected a batch of at most {len(pictures.paths)} images, as many as have boxes. "
            f"Received: --batch-size {args.batch_size}"
        )
    batches = DetectionBatches(pictures, args.image_size, args.batch_size, args.seed, normalization)
    rate = args.learning_rate or LEARNING_RATE * args.batch_size / BATCH
    facts = {
        "data": str(args.data.resolve()),
        **{name: getattr(args, name) for name in ("model", "weights", "image_size", "batch_size")},
        **{"epochs": args.epochs, "learning_rate": rate, "seed": args.seed},
        "backend": keras.backend.backend(),
    }
    folder = RunFolder(args.output, facts)
    console.print(
        f"{len(pictures.paths)} images of {len(pictures.categories)} classes to train on, "
        f"{args.epochs} epochs of {len(batches)} steps"
    )
    keras.utils.set_random_seed(args.seed)
    model = detector(
        backbone(args.model, args.weights, args.image_size),
        args.image_size,
        len(pictures.categories),
        args.model,
    )
    steps = [round(share * args.epochs * len(batches)) for share in STEPS_DOWN]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        steps, [rate, rate / 10, rate / 100]
    )
    compiled(model, optimizer=keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY))
    fit(model, batches, args.epochs, folder, console)
    with written_beside(args.output / "model.keras") as unfinished:
        model.save(unfinished)
    return model


def detections(
    model: keras.Model, pictures: Pictures, batch_size: int, progress: Progress
) -> list[dict[str, Any]]:
    """Returns the boxes that a detector finds, as rows of COCO's format of results.

    Args:
        model: RetinaNet of KerasHub, of as many classes as there are categories.
        pictures: Where to look.
        batch_size: Images at once.
        progress: Where it is shown.

    Raises:
        FileNotFoundError, ValueError: If an image cannot be read.
    """
    side = model.input_shape[1]
    rows: list[dict[str, Any]] = []
    starts = range(0, len(pictures.paths), batch_size)
    for start in progress.track(starts, "Detecting", len(starts)):
        part = slice(start, start + batch_size)
        squares = [fitted(path, side) for path in pictures.paths[part]]
        pixels = np.stack([np.asarray(square) for square, _ in squares])
        images = preprocess_input(pixels, "channels_last", normalization_of(model))
        found = model.predict(images, batch_size=batch_size, verbose=0)
        for i, (number, (_, factor)) in enumerate(
            zip(pictures.numbers[part], squares, strict=True)
        ):
            for place in range(int(found["num_detections"][i])):
                left, top, right, bottom = np.clip(found["boxes"][i][place], 0, side) / factor
                box = (left, top, right - left, bottom - top)
                rows.append(
                    {
                        "image_id": number,
                        "category_id": pictures.categories[int(found["labels"][i][place])],
                        "bbox": [round(float(x), 2) for x in box],
                        "score": round(float(found["confidence"][i][place]), 5),
                    }
                )
    return rows


def read(path: Path, classes: int) -> keras.Model:
    """Reads a trained detector.

    Raises:
        FileNotFoundError: If there is no file.
        ImportError: If KerasHub is not installed.
        ValueError: If it is no RetinaNet of so many classes.
    """
    import keras_hub

    model = read_model_file(path)
    known = isinstance(model, keras_hub.models.RetinaNetObjectDetector)
    if not known or model.num_classes != classes:
        received = f"one of {model.num_classes} classes" if known else type(model).__name__
        raise ValueError(
            f"Expected KerasHub's RetinaNet of {classes} classes in '{path}'. Received: {received}"
        )
    return model


def _run(args: argparse.Namespace) -> int:
    if (args.model is None or args.output is None) == (args.evaluate is None):
        raise running.UsageError("expected --model and --output to train, or --evaluate alone")
    console = Console(markup=False, highlight=False)
    looked_at = find_pictures(args.data, "val2017")
    if args.evaluate is None:
        model = train(args, find_pictures(args.data, "train2017").with_boxes(), console)
        path = args.output / "detections.json"
    else:
        model = compiled(read(args.evaluate, len(looked_at.categories)))
        path = args.evaluate.with_name("detections.json")
    with Progress(console) as progress:
        rows = detections(model, looked_at, args.batch_size, progress)
    with written_beside(path) as unfinished:
        unfinished.write_text(json.dumps(rows), encoding="utf-8")
    console.print(f"{path}: {len(rows)} boxes in {len(looked_at.paths)} images", soft_wrap=True)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coco",
        description="Trains KerasHub's RetinaNet on COCO with a FastViT, and detects.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with annotations, train2017 and val2017",
    )
    parser.add_argument("--model", choices=VARIANTS, metavar="MODEL", help=", ".join(VARIANTS))
    parser.add_argument("--weights", metavar="W", help="what the backbone starts from")
    parser.add_argument("--output", type=Path, metavar="RUN", help="folder to write to")
    parser.add_argument("--evaluate", type=Path, metavar="M.keras", help="only detect with this")
    parser.add_argument("--learning-rate", type=positive_float, metavar="R")
    parser.add_argument("--seed", type=not_negative_int, default=0, metavar="N")
    for name, default, text in (
        ("--epochs", EPOCHS, "of training"),
        ("--batch-size", BATCH, "images a step"),
        ("--image-size", SIDE, "side of the images in pixels"),
    ):
        parser.add_argument(
            name, type=positive_int, default=default, metavar="N", help=f"{text} ({default})"
        )
    parser.set_defaults(run=_run, parser=parser, verbose=True)
    args = parser.parse_args(argv)
    try:
        return running.run(args)
    except running.UsageError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
