r"""Names the classes of image files, by a model or by a .tflite file.

    keras-fastvit predict cat.jpg --model fastvit_sa12 --weights imagenet
    keras-fastvit predict cat.jpg --model sa12.tflite
    keras-fastvit predict cat.jpg --model fastvit_mci0 --weights mobileclip2 \
        --text-embeddings labels.npz

prints for each image its best classes with their scores; the third, those of any list of texts,
without training (keras_fastvit.clip.text_embeddings says how such a file is made). How to prepare
an image for a .tflite file, how to read its output and what its classes are called is in the
sidecar beside it or, without one, in the file itself; for a file without either, --crop-pct,
--normalization and --labels say so.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_fastvit.conversion.commands.deprecated_options import (
    add_deprecated_option,
    warn_of_deprecated_options,
)
from keras_fastvit.conversion.commands.figures import (
    STANDARD_OUTPUT,
    add_json_argument,
    check_json,
    write_json,
)
from keras_fastvit.conversion.commands.model_arguments import (
    TFLITE_SUFFIX,
    add_labels_argument,
    add_model_arguments,
    source_of,
)
from keras_fastvit.conversion.commands.running import UsageError

if TYPE_CHECKING:
    from keras_fastvit.evaluation.classifier import Classifier

NAME = "predict"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="JPEG, PNG, WebP, …")
    add_model_arguments(parser, files=True)
    add_labels_argument(parser)
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes to name (5)")
    add_json_argument(parser)
    add_deprecated_option(parser, NAME, "--tflite")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    warn_of_deprecated_options(NAME, args)
    file = args.deprecated_tflite
    if file is None and args.model is not None and args.model.endswith(TFLITE_SUFFIX):
        file = args.model
    if file is None and args.model is None:
        raise UsageError("expected --model: a variant, a .keras file or a .tflite file")
    if file is not None and (args.classes or args.image_size or args.text_embeddings):
        raise UsageError("a .tflite file knows its own classes and image size")
    check_json(args.json, [] if file is None else [Path(file)])
    classifier = _keras_classifier(args) if file is None else _file_classifier(args, file)
    from keras_fastvit.images.preprocessing import decode_predictions

    answers = []
    for path in args.images:
        scores = classifier.scores(classifier.preparation.load(path)[None])
        (best,) = decode_predictions(scores, args.top, _names(classifier))
        answers.append(
            {
                "image": path,
                "classes": [{"label": x, "name": y, "score": float(z)} for x, y, z in best],
            }
        )
        if args.json != STANDARD_OUTPUT:
            print(path)
            for label, name, score in best:
                print(f"  {score:8.4f}  {label}  {name}", flush=True)
    write_json(answers, args.json)
    return 0


def _keras_classifier(args: argparse.Namespace) -> "Classifier":
    source = source_of(args)
    from keras_fastvit.conversion.evaluation.classifiers import keras_classifier
    from keras_fastvit.images.labels import read_labels

    return keras_classifier(source, None if args.labels is None else read_labels(args.labels))


def _file_classifier(args: argparse.Namespace, file: str) -> "Classifier":
    from keras_fastvit.conversion.evaluation.classifiers import TFLiteClassifier
    from keras_fastvit.images.labels import read_labels

    labels: Sequence[str] | None = None if args.labels is None else read_labels(args.labels)
    crop_pct, normalization = args.crop_pct, args.normalization
    if args.deprecated_tflite is not None and args.model is not None:
        # Until 0.3: beside --tflite, --model says what a file without a sidecar does not.
        from keras_fastvit.conversion.model_source import model_facts

        facts = model_facts(source_of(args))
        crop_pct, normalization = facts.crop_pct, facts.normalization
        labels = facts.labels if labels is None else labels
    classifier = TFLiteClassifier(file, crop_pct, normalization, labels)
    if classifier.description is None and crop_pct is None:
        raise UsageError(
            f"'{file}' has no sidecar that says how images are prepared for it: expected "
            "--crop-pct, and --normalization and --labels where it needs them"
        )
    return classifier


def _names(classifier: "Classifier") -> Sequence[str] | None:
    """Returns the classes' names, as `decode_predictions` takes them; numbers if not known."""
    from keras_fastvit.images.preprocessing import class_names

    imagenet = class_names("imagenet")
    if classifier.labels == imagenet:
        return None
    if classifier.labels is None and classifier.classes == len(imagenet):
        return None
    return classifier.labels or [f"class {label}" for label in range(classifier.classes)]
