r"""Trains a model on your own images, from one command to a model for the phone.

    keras-fastvit train --data DIR --model fastvit_sa12 --weights imagenet \
        --recipe finetune --output RUN

trains a classifier on `DIR/train/CLASS/…` and validates with `DIR/val/CLASS/…`; without `val`, with
a fifth of each class that it sets aside, of `DIR/train/CLASS/…` or `DIR/CLASS/…`. If there is a
`DIR/test/CLASS/…`, the finished model is measured on it, too. `Train`, `training`, `valid`,
`validation`, … will do as well; hidden files and folders are not looked at.

It prints a line an epoch, and writes to RUN: `model.keras` (training form, probabilities),
`fused.keras` (inference form), `labels.txt`, `history.csv`, `curves.png`, `confusion.png` and
`report.md`, which names the commands for what comes next. Interrupted at any moment, even killed,
the same command goes on after the last whole epoch, to the same result.

The recipes are in `recipes.py`: `finetune` for your own images; `paper`, `paper_distilled` (with
`--teacher`) and `finetune_384` as in the paper.

    keras-fastvit train --task segmentation --data ADEChallengeData2016 \
        --model fastvit_sa12 --weights imagenet --output RUN
    keras-fastvit train --task hand-mesh --data FreiHAND_pub_v2 --mano mano_right.npz \
        --model fastvit_ma36 --weights imagenet --output RUN

train the paper's other heads: Semantic FPN on ADE20K (40,000 steps of 32 parts of 512 pixels), and
the hand-mesh head on FreiHAND (200 epochs, 256 images of 224 pixels a step). RUN then has
`model.keras` and `history.csv`. They print the mIoU, or the errors of joints and vertices after
Procrustes alignment (for which the paper has 6.6 and 6.7 mm), on the validation images. With
`--evaluate RUN/model.keras`, in training or inference form, they do only that.
"""

import argparse
import math
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.conversion.commands.model_arguments import add_ema_argument
from keras_fastvit.conversion.commands.running import UsageError
from keras_fastvit.training.recipes import RECIPES
from keras_fastvit.weights.file_kinds import SUFFIXES

if TYPE_CHECKING:
    from rich.console import Console

CLASSIFICATION, SEGMENTATION, HAND_MESH = TASKS = ("classification", "segmentation", "hand-mesh")

TASKS_OF = {
    "recipe": (CLASSIFICATION,),
    "teacher": (CLASSIFICATION,),
    "quantization_aware": (CLASSIFICATION,),
    "epochs": (CLASSIFICATION, HAND_MESH),
    "steps": (SEGMENTATION,),
    "mano": (HAND_MESH,),
    "evaluate": (SEGMENTATION, HAND_MESH),
}
"""The tasks that have an argument, by its name, where not all tasks have it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--task", choices=TASKS, default=CLASSIFICATION, help="(default: classification)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="one sub-folder a class, or train/, val/ and perhaps test/ with those; "
        "ADEChallengeData2016 or FreiHAND_pub_v2 for the other tasks",
    )
    parser.add_argument("--model", choices=VARIANTS, metavar="MODEL", help=", ".join(VARIANTS))
    parser.add_argument(
        "--weights",
        metavar="W",
        help="what to start from: imagenet, imagenet_distilled, or the path of a "
        f"{', '.join(SUFFIXES)} file; default: random weights",
    )
    add_ema_argument(parser)
    parser.add_argument("--output", type=Path, metavar="RUN", help="folder to write to")
    for name, unit in (("--batch-size", "images a step"), ("--image-size", "side in pixels")):
        parser.add_argument(
            name, type=positive_int, metavar="N", help=f"{unit}; default: the recipe's"
        )
    parser.add_argument(
        "--learning-rate",
        type=positive_float,
        metavar="R",
        help="its peak; default: the recipe's, in proportion to the batch size",
    )
    parser.add_argument(
        "--seed", type=not_negative_int, default=0, metavar="N", help="of all that is random (0)"
    )
    parser.add_argument(
        "--epochs",
        type=positive_int,
        metavar="N",
        help="default: the recipe's; not for segmentation",
    )

    only = parser.add_argument_group("for classification alone")
    only.add_argument("--recipe", choices=RECIPES, help="(default: finetune)")
    only.add_argument(
        "--teacher",
        type=Path,
        metavar="T.keras",
        help="for a distilled recipe: a model of the same images and classes",
    )
    only.add_argument(
        "--quantization-aware",
        type=not_negative_int,
        metavar="N",
        help="epochs of fine-tuning for int8 that follow (none)",
    )

    only = parser.add_argument_group("for segmentation and hand-mesh alone")
    only.add_argument(
        "--steps", type=positive_int, metavar="N", help="of segmentation (default: 40000)"
    )
    only.add_argument(
        "--mano", type=Path, metavar="M.npz", help="the arrays of MANO's right hand, for hand-mesh"
    )
    only.add_argument(
        "--evaluate", type=Path, metavar="M.keras", help="only evaluate this trained model"
    )


def _number(kind: Callable[[str], Any], zero: bool = False) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
            expected = "0 or more" if zero else "a positive number"
            raise argparse.ArgumentTypeError(f"expected {expected}. Received: {text}")
        return value

    return read


positive_int = _number(int)
positive_float = _number(float)
not_negative_int = _number(int, zero=True)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    for name, tasks in TASKS_OF.items():
        if getattr(args, name) is not None and args.task not in tasks:
            raise UsageError(
                f"expected --{name.replace('_', '-')} only with --task {' or '.join(tasks)}. "
                f"Received: --task {args.task}"
            )
    if (args.model is None or args.output is None) == (args.evaluate is None):
        only = "" if args.task == CLASSIFICATION else " to train, or --evaluate alone"
        raise UsageError(f"expected --model and --output{only}")
    if args.task == HAND_MESH and args.mano is None:
        raise UsageError("expected --mano, the arrays of MANO's right hand")
    from rich.console import Console

    from keras_fastvit.training.interruption import at_second_press

    console = Console(markup=False, highlight=False)
    work = {CLASSIFICATION: _classify, SEGMENTATION: _segment, HAND_MESH: _find_hands}[args.task]
    told = threading.Lock()

    def tell() -> None:
        if told.acquire(blocking=False):
            console.show_cursor()
            print(
                f"{args.parser.prog}: interrupted; the same command goes on after the last whole "
                "epoch",
                file=sys.stderr,
                flush=True,
            )

    def leave() -> None:
        tell()
        sys.stdout.flush()
        os._exit(130)  # whatever the main thread does: the run's files are whole at any moment

    try:
        with at_second_press(leave):
            work(args, console)
    except KeyboardInterrupt:
        tell()
        return 130
    return 0


def _given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Returns the arguments that were given; for the others functions have their defaults."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _classify(args: argparse.Namespace, console: "Console") -> None:
    from keras_fastvit.conversion.commands.quantization_aware import fine_tune_trained
    from keras_fastvit.training.classifier import train
    from keras_fastvit.training.recipes import get_recipe

    recipe = get_recipe(
        args.recipe or "finetune",
        **_given(args, "epochs", "batch_size", "learning_rate", "image_size"),
    )
    trained = train(
        args.data,
        args.output,
        args.model,
        recipe,
        weights=args.weights,
        ema=args.ema,
        teacher=args.teacher,
        seed=args.seed,
        command=["keras-fastvit", *args.argv],
        console=console,
    )
    accuracy, test = trained.history[-1]["val_accuracy"], trained.test_accuracy
    tested = "" if test is None else f", test accuracy {test:.2%}"
    console.print(
        f"{args.output / 'model.keras'}: validation accuracy {accuracy:.2%}{tested}; see "
        f"{args.output / 'report.md'}",
        soft_wrap=True,
    )
    if args.quantization_aware:
        fine_tune_trained(args, recipe, trained, console)


def _segment(args: argparse.Namespace, console: "Console") -> None:
    from keras_fastvit.training.segmentation import task
    from keras_fastvit.training.segmentation.ade20k import find_scenes

    validation = find_scenes(args.data, "validation")
    if args.evaluate is not None:
        model = task.read_model(args.evaluate)
    else:
        names = ("weights", "ema", "steps", "batch_size", "image_size", "learning_rate", "seed")
        model = task.train(
            find_scenes(args.data, "training"),
            args.data,
            args.output,
            args.model,
            console,
            **_given(args, *names),
        )
    task.evaluate(model, validation, args.image_size or task.SIDE, console)


def _find_hands(args: argparse.Namespace, console: "Console") -> None:
    from keras_fastvit.tasks.mano import Mano
    from keras_fastvit.training.hand_mesh import task
    from keras_fastvit.training.hand_mesh.freihand import (
        FINGERTIPS,
        find_evaluation_hands,
        find_training_hands,
    )

    # First: a fault in it is found before thousands of images are looked for.
    mano = Mano.from_file(args.mano, FINGERTIPS)
    evaluated = find_evaluation_hands(args.data)
    if args.evaluate is not None:
        model = task.read_model(args.evaluate)
    else:
        names = ("weights", "ema", "epochs", "batch_size", "image_size", "learning_rate", "seed")
        model = task.train(
            find_training_hands(args.data),
            mano,
            args.output,
            args.model,
            console,
            data=args.data,
            mano_file=args.mano,
            **_given(args, *names),
        )
    task.evaluate(model, mano, evaluated, args.batch_size or task.BATCH, console)
