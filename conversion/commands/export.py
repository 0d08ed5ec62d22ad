"""Writes a model as a .tflite file, which is run and compared before it is reported.

    keras-fastvit export --model fastvit_sa12 --weights imagenet --output sa12.tflite
    keras-fastvit export --model mine.keras --labels names.txt --quantize int8 \
        --calibration photographs --output mine.tflite
    keras-fastvit export --model fastvit_mci0 --weights mobileclip2 --text-embeddings labels.npz \
        --output labels.tflite

writes the file, beside it the sidecar `mine.json` with all that an app must know, and the report
`mine_report.md`, of int8 with each layer's error (`mine_layers.csv`, `mine_layers.png`). Prints the
file's size, input, output and operators, and how far its outputs are from Keras'. Works with
any Keras backend; TensorFlow, which converts, and LiteRT, which runs the file, come
with `pip install "keras-fastvit[convert]"`.

The third classifies by the texts of `labels.npz` (`keras_fastvit.clip.text_embeddings` says how
such a file is made), which become the file's last layer and its labels.

The file takes normalised images (`preprocess_input`), one at a time, and gives logits: a softmax
at the model's end is left to whoever shows probabilities, and the sidecar says so.
"""

import argparse
from pathlib import Path

from keras_fastvit.conversion.commands.model_arguments import add_model_arguments, check_weights

PRECISIONS = ("none", "fp16", "dynamic", "int8")
TARGETS = ("cpu", "gpu", "npu")
GELUS = ("sigmoid", "operator")
FEWEST = 16
REWRITES = (
    "batch_norm",
    "attention",
    "depth_multiplier",
    "depthwise",
    "strided_depthwise",
    "upsampling",
)
CURES = ("equalise", "ranges", "refit", "rounding")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_model_arguments(parser)
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
        help=f"folder of at least {FEWEST} images like those that the app will see",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="text with the name of a class in each line"
    )
    parser.add_argument("--target", choices=TARGETS, default="cpu", help="(default: cpu)")
    parser.add_argument(
        "--without",
        choices=(*REWRITES, *CURES),
        action="append",
        default=[],
        metavar="NAME",
        help=f"leave out a rewrite of the target's ({', '.join(REWRITES)}) or a cure of int8's "
        f"noise ({', '.join(CURES)}); may be repeated",
    )
    parser.add_argument(
        "--gelu",
        choices=GELUS,
        help="what int8 computes GELU with: x·sigmoid(1.702x), or LiteRT's operator, which "
        "leaves the CPU's fast path (default: operator for the npu, else sigmoid)",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="M.tflite")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    check_weights(args)
    from keras_fastvit.conversion.exporting.export import export
    from keras_fastvit.conversion.exporting.report import summary
    from keras_fastvit.conversion.model_source import load_model, model_facts
    from keras_fastvit.images.labels import read_labels

    facts = model_facts(args)
    exported = export(
        load_model(args),
        args.output,
        image_size=args.image_size,
        quantize=args.quantize,
        calibration=args.calibration,
        target=args.target,
        without=args.without,
        gelu=args.gelu,
        labels=facts.labels if args.labels is None else read_labels(args.labels),
        weights=facts.weights,
        crop_pct=facts.crop_pct,
        normalization=facts.normalization,
    )
    print(summary(exported))
    return 0
