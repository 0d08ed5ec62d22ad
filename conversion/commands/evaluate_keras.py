"""Evaluates a Keras model on a folder of images with one sub-folder a class.

    python -m keras_fastvit.evaluate --model fastvit_t8 --weights fashion_mnist \
        --data demo_images/fashion_mnist --output RUN

prints top-1, top-5 and mean per-class accuracy, the calibration error, and the accuracy on some
images under ImageNet-C's nineteen corruptions at five severities. To RUN it writes `report.md`,
`evaluation.json`, `per_class.csv`, `robustness.csv`, `robustness.png`, and `grad_cam.png`: where
the model looked in images that it got right and wrong.

The model is a FastViT by its name or any `.keras` file of an image classifier. ImageNet's
validation set and ImageNet-A, -R, -V2 and -Sketch work as they are published, one folder a class;
of other folders see `image_folders`. Images that cannot be read are left out, counted and named.
Needs `pip install "keras-fastvit[evaluate]"`.

    python -m keras_fastvit.evaluate --all-released imagenet/val

compares all released FastViT weights with their published accuracy: `keras-fastvit
evaluate-released`, where more is said about it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from keras_fastvit.conversion.commands.model_arguments import add_model_arguments
from keras_fastvit.conversion.commands.model_loading import load_model, model_facts
from keras_fastvit.evaluation import grad_cam_sheet, report
from keras_fastvit.evaluation.classifier import Answers, Classifier, classify
from keras_fastvit.evaluation.robustness import RUNS, Robustness, measure
from keras_fastvit.images.folders import find_images
from keras_fastvit.images.labels import read_labels
from keras_fastvit.images.normalizations import normalization_of
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX as SUFFIX

CORRUPTED = 100
"""How many images are corrupted, unless more are asked for: each is classified 96 times."""


def evaluate(
    classifier: Classifier, name: str, data: Path, corrupted: int, console: Console
) -> report.Evaluation:
    """Runs a classifier on the images of a folder, and on some of them corrupted.

    Args:
        classifier: To evaluate.
        name: Of the model, for the report.
        data: Folder with one sub-folder a class.
        corrupted: How many images to corrupt, evenly from all of them; 0 for none.
        console: For progress bars.

    Raises:
        ImportError: If SciPy is not installed, and images are to be corrupted.
        OSError: If the folder is not there or cannot be read.
        ValueError: If the folders do not fit the classes, or no image can be read.
    """
    folders = find_images(data)
    robustness = None
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Classifying images", total=len(folders.images))
        answers = classify(classifier, folders, lambda: progress.advance(task))
        if corrupted:
            task = progress.add_task("Corrupting some of them", total=RUNS)
            robustness = _robustness(classifier, answers, corrupted, lambda: progress.advance(task))
    return report.Evaluation(name, data, answers, robustness)


def _robustness(
    classifier: Classifier, answers: Answers, count: int, advance: Callable[[], None]
) -> Robustness:
    last = len(answers.paths) - 1
    places = np.unique(np.linspace(0, last, min(count, last + 1)).round().astype("int64"))
    pixels = np.stack([classifier.load(answers.paths[place]) for place in places])
    model = {"": lambda images: classifier.logits(images)[:, answers.considered]}
    return measure(model, pixels, answers.labels[places], advance)[""]


def _draw(classifier: Classifier, answers: Answers, path: Path) -> str | None:
    """Draws where the classifier looked; returns why it cannot be known, if so."""
    try:
        right, wrong = (
            grad_cam_sheet.pictures(classifier, answers, places)
            for places in grad_cam_sheet.choose(answers)
        )
    except ValueError as error:
        return str(error)
    grad_cam_sheet.draw(right, wrong, path)
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    prog = "python -m keras_fastvit.evaluate"
    parser = argparse.ArgumentParser(prog=prog, description="Evaluates a Keras model.")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="one sub-folder of images a class"
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="text with the name of a class in each line"
    )
    parser.add_argument(
        "--corrupted",
        type=int,
        default=CORRUPTED,
        metavar="N",
        help="how many images, evenly from all, to classify under each of 19 corruptions at 5 "
        f"severities; 0: none (default: {CORRUPTED})",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write to")
    args = parser.parse_args(argv)
    if args.weights is None and not args.model.endswith(SUFFIX):
        parser.error("expected --weights: what --model is to classify with")
    if args.corrupted < 0:
        parser.error(f"--corrupted is a number of images from 0. Received: {args.corrupted}")
    console = Console(markup=False, highlight=False)
    command = [
        "python",
        "-m",
        "keras_fastvit.evaluate",
        *(sys.argv[1:] if argv is None else argv),
    ]
    try:
        _check_installed(args.output is not None, args.corrupted > 0)
        if args.output is not None:
            args.output.mkdir(parents=True, exist_ok=True)
        facts = model_facts(args)
        labels = facts.labels if args.labels is None else read_labels(args.labels)
        model = load_model(args)
        classifier = Classifier(
            *(model, facts.crop_pct, labels, args.image_size),
            normalization=facts.normalization or normalization_of(model),
        )
        name = " ".join(dict.fromkeys([Path(args.model).name, facts.weights or ""])).strip()
        found = evaluate(classifier, name, args.data, args.corrupted, console)
        if args.output is not None:
            reason = _draw(classifier, found.answers, args.output / "grad_cam.png")
            found = replace(found, no_pictures=reason)
            report.write(found, args.output, command)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    console.print(report.to_table(found))
    for line in found.remarks():
        console.print(line)
    if args.output is not None:
        console.print(f"Written to {args.output}; see {args.output / 'report.md'}")
    return 0


def _check_installed(draws: bool, corrupts: bool) -> None:
    """Checks at the start what would else be missing at the end."""
    needed = {"matplotlib": draws, "scipy": corrupts}
    missing = [
        module for module, is_needed in needed.items() if is_needed and not find_spec(module)
    ]
    if missing:
        raise ImportError(
            'Evaluating needs matplotlib and SciPy: `pip install "keras-fastvit[evaluate]"`. '
            f"Received: an environment without {' and '.join(missing)}"
        )


if __name__ == "__main__":
    sys.exit(main())
