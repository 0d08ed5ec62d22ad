r"""Measures the accuracy of models on a folder with one sub-folder of images a class.

    keras-fastvit evaluate float32.tflite int8.tflite --data imagenet/val
    keras-fastvit evaluate int8.tflite fastvit_t8 --weights imagenet --data imagenet/val \
        --corruptions --grad-cam --output report
    keras-fastvit evaluate int8.tflite --run RUN

prints for each .tflite file, .keras file or variant the share of the images whose class comes first
(top-1) and among the first five (top-5), the mean over classes, how far confidences are from the
shares that are right (calibration error), and beside a Keras model the share of equal answers and
the signal-to-quantisation-noise ratio of the logits: beside the first one among them or, where
there is none, the one that a file's sidecar names.

How an image becomes the input of a .tflite file is read from the sidecar beside it, or from the
copy in it; without either, it is normalised as by preprocess_input. ImageNet's validation set and
ImageNet-A, -R, -V2 and -Sketch work as they are published; of other folders, a name is a label,
begins with the number of its class, or they are the classes in sorted order. Of a data set with
splits give the folder of one. Images that cannot be read are left out, counted and named. `--run
RUN` takes the images that the run was validated with, with `--data DIR/test` those of a test split.

--output writes report.md, evaluation.json, per_class.csv and confusion.png, of --corruptions
robustness.csv and robustness.png, and of --grad-cam where Keras models looked in images that they
got right and wrong. Pictures and corruptions need `pip install "keras-fastvit[evaluate]"`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.conversion.commands.deprecated_options import (
    add_deprecated_option,
    warn_of_deprecated_options,
)
from keras_fastvit.conversion.commands.figures import (
    add_json_argument,
    check_json,
    console_beside,
    write_json,
)
from keras_fastvit.conversion.commands.model_arguments import (
    TFLITE_SUFFIX,
    add_labels_argument,
    add_run_argument,
    add_source_arguments,
    check_weights,
    model_or_file,
    weights_of,
)
from keras_fastvit.conversion.commands.running import UsageError

CORRUPTED = 100
NAME = "evaluate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "models",
        nargs="*",
        type=model_or_file,
        metavar="MODEL",
        help=f"a {TFLITE_SUFFIX} file, a .keras file, or a variant with --weights: "
        f"{', '.join(VARIANTS)}",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="one sub-folder of images a class")
    add_run_argument(parser, "the images that it was validated with")
    add_source_arguments(parser)
    add_labels_argument(parser)
    parser.add_argument(
        "--corruptions",
        action="store_true",
        help="classify some images under ImageNet-C's 19 corruptions at 5 severities, too",
    )
    parser.add_argument(
        "--corrupted",
        type=int,
        metavar="N",
        help=f"the same, with this number of images, evenly from all ({CORRUPTED})",
    )
    parser.add_argument(
        "--grad-cam", action="store_true", help="draw where the Keras models looked, to --output"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write a report to")
    add_json_argument(parser)
    add_deprecated_option(parser, NAME, "--model", type=model_or_file)
    add_deprecated_option(parser, NAME, "--plot", type=Path)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    warn_of_deprecated_options(NAME, args)
    models: list[str] = [*args.models]
    if args.deprecated_model is not None:
        models.append(args.deprecated_model)
    _check(args, models)
    corrupted = args.corrupted if args.corrupted is not None else CORRUPTED * args.corruptions
    _check_installed(
        pictures=args.output is not None or args.deprecated_plot is not None,
        corruptions=corrupted > 0,
    )
    from keras_fastvit.conversion.evaluation import report
    from keras_fastvit.conversion.evaluation.comparison import evaluate
    from keras_fastvit.images.labels import read_labels
    from keras_fastvit.progress import Progress

    data = args.data
    labels: Sequence[str] | None = None if args.labels is None else read_labels(args.labels)
    crop_pct, normalization = args.crop_pct, args.normalization
    if args.trained is not None:
        from keras_fastvit.conversion.commands.finished_run import validation_images
        from keras_fastvit.training.run_folder import read_run

        trained = read_run(args.trained)
        if trained.fused.resolve() not in [Path(model).resolve() for model in models]:
            models.append(str(trained.fused))
        data = validation_images(trained) if data is None else data
        labels = labels or trained.data.class_names
        crop_pct = crop_pct or trained.crop_pct
        normalization = normalization or trained.normalization
    console = console_beside(args.json)
    with Progress() as progress:
        evaluations = evaluate(
            models,
            data,
            weights=weights_of(args),
            classes=args.classes,
            image_size=args.image_size,
            text_embeddings=args.text_embeddings,
            labels=labels,
            crop_pct=crop_pct,
            normalization=normalization,
            corrupted=corrupted,
            ema=args.ema,
            progress=progress,
        )
    for table in report.to_tables(evaluations):
        console.print(table)
    for line in report.remarks(evaluations):
        console.print(line)
    write_json(report.to_figures(evaluations), args.json)
    if args.deprecated_plot is not None:
        report.plot(evaluations, args.deprecated_plot)
    if args.output is not None:
        report.write(evaluations, args.output, ["keras-fastvit", *args.argv], args.grad_cam)
        console.print(f"See {args.output / 'report.md'}", soft_wrap=True)
    return 0


def _check(args: argparse.Namespace, models: list[str]) -> None:
    """Checks that the arguments go together.

    Raises:
        UsageError: If they do not.
    """
    files = [Path(model) for model in models if model.endswith(TFLITE_SUFFIX)]
    of_keras = [model for model in models if not model.endswith(TFLITE_SUFFIX)]
    if not models and args.trained is None:
        raise UsageError("expected models to evaluate, or --run")
    if args.data is None and args.trained is None:
        raise UsageError("expected --data: a folder with one sub-folder of images a class")
    of_a_variant = {
        "--weights": args.weights is not None,
        "--classes": args.classes is not None,
        "--no-ema": not args.ema,
    }
    for name, given in of_a_variant.items():
        if given and not VARIANTS.keys() & set(models):
            raise UsageError(f"{name} is for a variant: expected one among the models")
    if args.text_embeddings is not None and not of_keras:
        raise UsageError("--text-embeddings are a Keras model's: expected one among the models")
    for model in of_keras:
        check_weights(model, args.weights)
    if args.corrupted is not None and args.corrupted < 0:
        raise UsageError(f"--corrupted is a number of images from 0. Received: {args.corrupted}")
    if args.grad_cam and args.output is None:
        raise UsageError("--grad-cam draws pictures: expected --output as well")
    if args.grad_cam and not of_keras and args.trained is None:
        raise UsageError(
            "--grad-cam needs gradients, which only Keras models have: expected one among the "
            f"models. Received: {', '.join(models)}"
        )
    check_json(args.json, files)


def _check_installed(pictures: bool, corruptions: bool) -> None:
    """Checks at the start what would else be missing at the end."""
    from importlib.util import find_spec

    needed = {"matplotlib": pictures, "scipy": corruptions}
    missing = [name for name, is_needed in needed.items() if is_needed and not find_spec(name)]
    if missing:
        raise ImportError(
            'Pictures and corruptions need `pip install "keras-fastvit[evaluate]"`. '
            f"Received: an environment without {' and '.join(missing)}"
        )
