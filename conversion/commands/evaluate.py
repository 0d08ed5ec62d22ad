"""Measures the accuracy of `.tflite` files on a folder with one sub-folder of images a class.

    keras-fastvit evaluate float32.tflite int8.tflite --data imagenet/val

prints for each file the share of the images whose class comes first (top-1) and among the first
five (top-5), and beside the float Keras model that it was made from the share of equal answers and
the signal-to-quantisation-noise ratio of the logits. The same as
`python -m keras_fastvit.conversion.commands.evaluate`.

How an image becomes an input is read from the sidecar beside each file, or from the copy in it;
without either, it is normalised as by `preprocess_input`. Which class a folder holds: see
`image_folders`. The Keras model is that of `--model` and `--weights`, or the one that the sidecar
names, if its weights have a name. Images that cannot be read are left out, counted and named.
"""

import argparse
from pathlib import Path

from keras_fastvit.conversion.commands.model_arguments import (
    add_text_embeddings_argument,
    crop_pct,
    model_name,
)
from keras_fastvit.conversion.commands.running import UsageError
from keras_fastvit.images.normalizations import DEFAULT_CROP_PCT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("files", nargs="+", type=Path, metavar="M.tflite")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="one sub-folder of images a class"
    )
    parser.add_argument(
        "--model",
        type=model_name,
        metavar="MODEL",
        help="a variant or a .keras file to compare with; default: what the sidecar names",
    )
    parser.add_argument("--weights", metavar="W", help="of that variant, as in export")
    add_text_embeddings_argument(parser)
    parser.add_argument(
        "--crop-pct",
        type=crop_pct,
        default=DEFAULT_CROP_PCT,
        metavar="P",
        help="share of an image's short side that the crop keeps, for files without a sidecar "
        f"({DEFAULT_CROP_PCT})",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write the figures")
    parser.add_argument(
        "--plot", type=Path, metavar="PATH.png", help="where to draw what is taken for what"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    import json

    from rich.console import Console

    from keras_fastvit.atomic_file import written_beside
    from keras_fastvit.conversion.commands.evaluation_report import (
        plot,
        remarks,
        to_json,
        to_table,
    )
    from keras_fastvit.conversion.commands.keras_reference import Reference
    from keras_fastvit.conversion.commands.tflite_accuracy import evaluate
    from keras_fastvit.conversion.tflite import sidecar

    if args.model is None and (args.weights is not None or args.text_embeddings is not None):
        raise UsageError("--weights and --text-embeddings are a model's: expected --model as well")
    if args.json in map(sidecar.beside, args.files):
        raise UsageError(f"--json would overwrite a sidecar. Received: {args.json}")
    reference = (
        None if args.model is None else Reference(args.model, args.weights, args.text_embeddings)
    )
    console = Console(markup=False, highlight=False)
    evaluations = evaluate(
        args.files, args.data, reference=reference, crop_pct=args.crop_pct, console=console
    )
    console.print(to_table(evaluations))
    for line in remarks(evaluations):
        console.print(line)
    if args.json is not None:
        with written_beside(args.json) as unfinished:
            unfinished.write_text(json.dumps(to_json(evaluations), indent=2) + "\n", "utf-8")
    if args.plot is not None:
        plot(evaluations, args.plot)
    return 0
