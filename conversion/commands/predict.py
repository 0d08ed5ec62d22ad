"""Classifies image files by a model or by a `.tflite` file.

    keras-fastvit predict cat.jpg --model fastvit_sa12 --weights imagenet
    keras-fastvit predict cat.jpg --tflite sa12.tflite
    keras-fastvit predict cat.jpg --model fastvit_mci0 --weights mobileclip2 \
        --text-embeddings labels.npz

prints for each image its best classes with their scores; the third, those of any list of texts,
without training (`keras_fastvit.clip.text_embeddings` says how such a file is made). How to prepare
an image for a `.tflite` file, how to read its output and what its classes are called is in the
sidecar beside it or, without one, in the file itself; for a file without either, `--model` and
`--weights` say so.
"""

import argparse
from pathlib import Path

from keras_fastvit.conversion.commands.model_arguments import add_model_arguments, check_weights
from keras_fastvit.conversion.commands.running import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="JPEG, PNG, WebP, …")
    add_model_arguments(parser, required=False)
    parser.add_argument(
        "--tflite",
        type=Path,
        metavar="M.tflite",
        help="file to run in place of the model; a file that export has written needs no --model",
    )
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes to name (5)")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if args.model is None and args.tflite is None:
        raise UsageError("expected --model, --tflite, or both")
    if args.tflite is not None and (args.classes or args.image_size or args.text_embeddings):
        raise UsageError("--tflite knows its own classes and image size")
    if args.tflite is None:
        check_weights(args)
    from keras_fastvit.conversion.commands.prediction import of_file, of_model

    classifier = of_model(args) if args.tflite is None else of_file(args)
    for path in args.images:
        best = classifier.classify(path, args.top)
        print(path)
        for label, name, score in best:
            print(f"  {score:8.4f}  {label}  {name}", flush=True)
    return 0
