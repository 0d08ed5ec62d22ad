"""Trains a classifier of your own photographs, from one command to a model for the phone.

    keras-fastvit train --data DIR --model fastvit_sa12 --weights imagenet \
        --recipe finetune --output RUN

trains on `DIR/train/CLASS/…` and validates with `DIR/val/CLASS/…`; without these two folders, on
`DIR/CLASS/…`, of which it sets a fifth of each class aside.

It prints a line an epoch, and writes to RUN: `model.keras` (training form, probabilities),
`fused.keras` (inference form), `labels.txt`, `history.csv`, `curves.png`, `confusion.png` and
`report.md`, which names the commands for what comes next. Interrupted at any moment, even killed,
the same command goes on after the last whole epoch, to the same result.

The recipes are in `recipes.py`: `finetune` for your own images; `paper`, `paper_distilled` (with
`--teacher`) and `finetune_384` as in the paper.
"""

import argparse
from pathlib import Path

from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.conversion.commands.running import UsageError
from keras_fastvit.training.recipes import RECIPES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="one sub-folder a class, or train/ and val/ with those",
    )
    parser.add_argument(
        "--model", required=True, choices=VARIANTS, metavar="MODEL", help=", ".join(VARIANTS)
    )
    parser.add_argument(
        "--weights",
        metavar="W",
        help="what to start from: imagenet, imagenet_distilled, or the path of a .weights.h5, "
        ".keras, .safetensors, .pth or .pth.tar file; default: random weights",
    )
    parser.add_argument("--recipe", choices=RECIPES, default="finetune", help="(default: finetune)")
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="T.keras",
        help="for a distilled recipe: a model of the same images and classes",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="RUN", help="folder to write to"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="default: the recipe's")
    parser.add_argument("--batch-size", type=int, metavar="N", help="default: the recipe's")
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="R",
        help="its peak; default: the recipe's, in proportion to the batch size",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="S",
        help="side in pixels; default: the recipe's, or that of the weights",
    )
    parser.add_argument(
        "--quantization-aware",
        type=int,
        default=0,
        metavar="N",
        help="epochs of fine-tuning for int8 that follow (0)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (0)")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if args.seed < 0:
        raise UsageError(f"--seed must be 0 or more. Received: {args.seed}")
    if args.quantization_aware < 0:
        raise UsageError(
            f"--quantization-aware must be 0 epochs or more. Received: {args.quantization_aware}"
        )
    from rich.console import Console

    from keras_fastvit.conversion.commands.quantization_aware import fine_tune_trained
    from keras_fastvit.training.classifier import train
    from keras_fastvit.training.recipes import get_recipe

    console = Console(markup=False, highlight=False)
    recipe = get_recipe(
        args.recipe,
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        image_size=args.image_size,
    )
    trained = train(
        args.data,
        args.output,
        args.model,
        recipe,
        weights=args.weights,
        teacher=args.teacher,
        seed=args.seed,
        command=["keras-fastvit", *args.argv],
        console=console,
    )
    last = trained.history[-1]
    console.print(
        f"{args.output / 'model.keras'}: validation accuracy {last['val_accuracy']:.2%}; see "
        f"{args.output / 'report.md'}",
        soft_wrap=True,
    )
    if args.quantization_aware:
        fine_tune_trained(args, recipe, trained, console)
    return 0
