r"""Writes a model as a .tflite file, which is run and compared before it is reported.

    keras-fastvit export --model fastvit_sa12 --weights imagenet --output sa12.tflite
    keras-fastvit export --run RUN --quantize int8 --output mine.tflite
    keras-fastvit export --model mine.keras --labels names.txt --quantize int8 \
        --calibration photographs --output mine.tflite
    keras-fastvit export --model fastvit_mci0 --weights mobileclip2 --text-embeddings labels.npz \
        --output labels.tflite

writes the file, beside it the sidecar `mine.json` with all that an app must know, and the report
`mine_report.md`, of int8 with each layer's error (`mine_layers.csv`, `mine_layers.png`). Prints the
file's size, input, output and operators, and how far its outputs are from Keras'. Works with
any Keras backend; TensorFlow, which converts, and LiteRT, which runs the file, come
with `pip install "keras-fastvit[convert]"`.

The last classifies by the texts of `labels.npz` (`keras_fastvit.clip.text_embeddings` says how
such a file is made), which become the file's last layer and its labels.

The file takes normalised images (`preprocess_input`), one at a time, and gives logits: a softmax
at the model's end is left to whoever shows probabilities, and the sidecar says so.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_fastvit.conversion.commands.figures import STANDARD_OUTPUT, add_json_argument, write_json
from keras_fastvit.conversion.commands.model_arguments import (
    add_labels_argument,
    add_model_arguments,
    add_run_argument,
    source_of,
)
from keras_fastvit.conversion.commands.running import UsageError
from keras_fastvit.conversion.exporting.precisions import PRECISIONS
from keras_fastvit.conversion.lowering.targets import GELUS, REWRITES, TARGETS
from keras_fastvit.conversion.quantization.techniques import FEWEST_IMAGES, TECHNIQUES

if TYPE_CHECKING:
    from keras_fastvit.conversion.exporting.report import Export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_model_arguments(parser)
    add_run_argument(parser, "the images that it was trained on, to calibrate with")
    parser.add_argument(
        "--quantize",
        choices=PRECISIONS,
        default="none",
        help="none: float32; fp16: weights in float16; dynamic: weights in int8; int8: weights "
        "and activations in int8, which needs --calibration (default: none)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR",
        help=f"folder of at least {FEWEST_IMAGES} images like those that the app will see; of "
        "one with splits, such as train/ and val/, those to train on are taken",
    )
    add_labels_argument(parser)
    parser.add_argument("--target", choices=TARGETS, default="cpu", help="(default: cpu)")
    parser.add_argument(
        "--without",
        choices=(*REWRITES, *TECHNIQUES),
        action="append",
        default=[],
        metavar="NAME",
        help=f"leave out a rewrite of the target's ({', '.join(REWRITES)}) or one of int8's "
        f"techniques ({', '.join(TECHNIQUES)}); may be repeated",
    )
    parser.add_argument(
        "--gelu",
        choices=GELUS,
        help="what int8 computes GELU with: x·sigmoid(1.702x), or LiteRT's operator, which "
        "leaves the CPU's fast path (default: operator for the npu, else sigmoid)",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="M.tflite")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace what is there by the same names, even if no export wrote it",
    )
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if (args.model is None) == (args.trained is None):
        received = "neither" if args.model is None else "both"
        raise UsageError(f"expected either --model or --run. Received: {received}")
    if args.json is not None and args.json in (args.output, args.output.with_suffix(".json")):
        raise UsageError(f"--json would overwrite what export writes. Received: {args.json}")
    labels, calibration = None, args.calibration
    if args.trained is None:
        source = source_of(args)
    else:
        of_a_model = (args.weights, args.classes, args.image_size, args.text_embeddings)
        if any(given is not None for given in of_a_model) or not args.ema:
            raise UsageError(
                "a run has its own weights, classes and image size: expected no --weights, "
                "--no-ema, --classes, --image-size and --text-embeddings"
            )
        from keras_fastvit.conversion.commands.finished_run import training_images
        from keras_fastvit.conversion.model_source import ModelSource
        from keras_fastvit.training.run_folder import read_run

        trained = read_run(args.trained)
        labels = trained.data.class_names
        if calibration is None and args.quantize == "int8":
            calibration = training_images(trained)
        source = ModelSource(
            str(trained.fused),
            crop_pct=args.crop_pct or trained.crop_pct,
            normalization=args.normalization or trained.normalization,
        )
    from keras_fastvit.conversion.exporting.export import export
    from keras_fastvit.conversion.exporting.report import summary
    from keras_fastvit.conversion.model_source import load_model, model_facts
    from keras_fastvit.images.labels import read_labels
    from keras_fastvit.progress import Progress

    facts = model_facts(source)
    if args.labels is not None:
        labels = tuple(read_labels(args.labels))
    with Progress() as progress:
        exported = export(
            load_model(source),
            args.output,
            image_size=args.image_size,
            quantize=args.quantize,
            calibration=calibration,
            target=args.target,
            without=args.without,
            gelu=args.gelu,
            labels=facts.labels if labels is None else labels,
            weights=facts.weights,
            crop_pct=facts.crop_pct,
            normalization=facts.normalization,
            overwrite=args.overwrite,
            progress=progress,
        )
    if args.json != STANDARD_OUTPUT:
        print(summary(exported))
    write_json(_figures(exported), args.json)
    return 0


def _figures(exported: "Export") -> dict[str, Any]:
    """Returns what the report says: the sidecar, the operators, and who runs them."""
    from keras_fastvit.conversion.tflite import sidecar

    delegation = exported.delegation
    return {
        **json.loads(sidecar.to_json(exported.sidecar)),
        "operators": exported.operators,
        "xnnpack": {
            "inside": delegation.inside,
            "outside": delegation.outside,
            "partitions": delegation.partitions,
        },
        "layers": [asdict(layer) for layer in exported.layers],
        "skipped": {str(path): reason for path, reason in exported.skipped.items()},
    }
