"""Ports weights between Keras, timm and Apple, and compares with timm.

    keras-fastvit port INPUT --model fastvit_t8 --output W.weights.h5
    keras-fastvit port INPUT --model fastvit_t8 --to timm --output W.safetensors
    keras-fastvit port --verify

INPUT is anything that `weights=` of the model takes: a name such as `imagenet`, or a `.pth`,
`.pth.tar`, `.pt`, `.safetensors`, `.weights.h5` or `.keras` file. Prints what it has written.

`--verify`, where timm is installed, runs timm's models beside this package's, both forms of both,
with random weights that go through files in both directions, or with INPUT. It prints the largest
difference over the largest value of each output, about 1e-6, and exits with 1 if one is above
1e-5.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from keras_fastvit import FastViT, fuse
from keras_fastvit.architecture.variants import VARIANTS, get_variant
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.references import timm as timm_reference
from keras_fastvit.weights.keras_files import save_keras_file
from keras_fastvit.weights.loading import load_weights
from keras_fastvit.weights.named import NamedWeights, find_weights
from keras_fastvit.weights.torch_state import to_torch_state

Layout = Literal["keras", "timm", "apple"]

SUFFIXES: dict[Layout, str] = {
    "keras": ".weights.h5",
    "timm": ".safetensors",
    "apple": ".safetensors",
}

TOLERANCE = 1e-5
OUTPUTS = ("logits", "P2", "P3", "P4", "P5", "P6")
ODD_SIZE = (97, 75)
FULL_SIZE = (256, 256)
ALSO_AT_FULL_SIZE = ("fastvit_t8", "fastvit_sa12")


def port_weights(
    weights: str | Path,
    variant: str,
    output: str | Path,
    to: Layout = "keras",
    classes: int | None = None,
) -> None:
    """Writes weights in another layout.

    They are always written in training form: if the branches of the input have been folded, as in
    Apple's `_reparam` files, they are written as a training form that computes the same.

    Args:
        weights: As for `weights=` of the model: a name or the path of a file.
        variant: Such as `"fastvit_t8"`.
        output: File to write: `.weights.h5`, or `.safetensors` for timm's and Apple's layout.
        to: Whose layout.
        classes: Number of classes; default: that of the named weights, of a file the variant's.

    Raises:
        ValueError: If an argument is not one of the above, or the weights do not fit the variant.
        OSError: If a file cannot be read, fetched or written.
        ImportError: If a pickle (`.pth`, `.pt`) is to be read and PyTorch is not installed.
    """
    if to not in SUFFIXES or not str(output).endswith(SUFFIXES[to]):
        expected = ", ".join(f"{suffix} for {name!r}" for name, suffix in SUFFIXES.items())
        raise ValueError(
            f"The output's name must end in its layout's suffix. Expected {expected}. "
            f"Received: output='{output}' for {to!r}"
        )
    _write(load(weights, variant, classes), output, to)


def load(weights: str | Path, variant: str, classes: int | None = None) -> FastViT:
    """Returns a variant in training form that takes images of any size and returns logits.

    Raises:
        Exception: As `port_weights`.
    """
    found = find_weights(weights, variant)
    known = found.classes if isinstance(found, NamedWeights) else None
    if known is not None and classes not in (None, known):
        raise ValueError(
            f"'{weights}' weights have a classifier for {known} classes. Expected "
            f"classes={known}, or none at all. Received: classes={classes}"
        )
    model = FastViT(
        variant,
        input_shape=(None, None, 3),
        classes=known or classes or get_variant(variant).classes,
        classifier_activation=None,
        data_format="channels_last",
        dtype="float32",
    )
    load_weights(model, found)
    return model


def _write(model: FastViT, output: str | Path, to: Layout) -> None:
    with written_beside(output) as unfinished:
        try:
            if to == "keras":
                save_keras_file(model, unfinished)
            else:
                save_file(to_torch_state(model, to), unfinished, {"format": "pt"})
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"Cannot write '{output}'; nothing was left there. Expected room for about "
                f"{4 * model.count_params()} bytes. Received: {error}"
            ) from error


@dataclass(frozen=True)
class Comparison:
    """A model of timm's beside one of this package's, on one image.

    Attributes:
        variant: Name of the variant.
        form: What was compared.
        size: Height and width of the image.
        differences: By name of the output, its largest difference over its largest value.
    """

    variant: str
    form: str
    size: tuple[int, int]
    differences: dict[str, float]

    @property
    def passes(self) -> bool:
        """Whether all differences are within `TOLERANCE`; NaN is not."""
        return all(difference <= TOLERANCE for difference in self.differences.values())

    def __str__(self) -> str:
        height, width = self.size
        differences = "".join(
            f"{self.differences[name]:9.1e}" if name in self.differences else " " * 9
            for name in OUTPUTS
        )
        verdict = "" if self.passes else f"  above {TOLERANCE:.0e}"
        return f"{self.variant:13} {self.form:17} {height:4}×{width:<4}{differences}{verdict}"


def verify_random(variant: str) -> Iterator[Comparison]:
    """Compares a variant at random weights, which files carry from timm and back.

    Raises:
        ImportError: If timm is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = Path(folder, "theirs.safetensors"), Path(folder, "ours.safetensors")
        classes = get_variant(variant).classes
        reference = timm_reference.create_model(variant, classes)
        timm_reference.randomize(reference, seed=0)
        timm_reference.save(reference, theirs)
        model = load(theirs, variant)
        yield from _both_forms(reference, model)

        _write(model, ours, "timm")
        reloaded = timm_reference.create_model(variant, classes)
        timm_reference.load(reloaded, ours)
        yield _compare(reloaded, model, variant, "written for timm", ODD_SIZE)


def verify_weights(
    weights: str | Path, variant: str, classes: int | None = None
) -> Iterator[Comparison]:
    """Compares a variant with given weights, which a file carries to timm.

    Args:
        weights: As for `weights=` of the model: a name or the path of a file.
        variant: Such as `"fastvit_t8"`.
        classes: As for `port_weights`.

    Raises:
        ImportError: If timm is not installed.
    """
    model = load(weights, variant, classes)
    reference = timm_reference.create_model(variant, model.get_config()["classes"])
    with tempfile.TemporaryDirectory() as folder:
        ours = Path(folder, "ours.safetensors")
        _write(model, ours, "timm")
        timm_reference.load(reference, ours)
    yield from _both_forms(reference, model)


def _both_forms(reference: Any, model: FastViT) -> Iterator[Comparison]:
    variant = model.variant
    reference_fused, fused = timm_reference.fused(reference), fuse(model)
    for size in (ODD_SIZE, FULL_SIZE) if variant in ALSO_AT_FULL_SIZE else (ODD_SIZE,):
        yield _compare(reference, model, variant, "training form", size)
        yield _compare(reference_fused, fused, variant, "inference form", size)


def _compare(
    reference: Any, model: keras.Model, variant: str, form: str, size: tuple[int, int]
) -> Comparison:
    images = np.random.default_rng(0).normal(size=(1, *size, 3)).astype("float32")
    expected = timm_reference.outputs(reference, images)
    tapped = keras.Model(model.input, {"logits": model.output, **model.pyramid_outputs})
    received = {name: keras.ops.convert_to_numpy(output) for name, output in tapped(images).items()}
    differences = {
        name: float(np.abs(received[name] - expected[name]).max() / np.abs(expected[name]).max())
        for name in expected
    }
    return Comparison(variant, form, size, differences)


def print_table(comparisons: Iterable[Comparison]) -> bool:
    """Prints comparisons as they come; returns whether all pass."""
    print(" " * 42 + "".join(f"{name:>9}" for name in OUTPUTS))
    passed = True
    for comparison in comparisons:
        print(comparison, flush=True)
        passed &= comparison.passes
    return passed


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Ports weights between Keras, timm and Apple.")
    parser.add_argument("input", nargs="?", help="name or file, as for weights= of the model")
    parser.add_argument("--model", choices=VARIANTS, help="variant, such as fastvit_t8")
    parser.add_argument("--output", type=Path, help="file to write")
    parser.add_argument("--to", choices=SUFFIXES, default="keras", help="whose layout to write")
    parser.add_argument(
        "--classes", type=int, help="classes of a file's classifier; default: the variant's"
    )
    parser.add_argument("--verify", action="store_true", help="compare with timm")
    args = parser.parse_args(argv)
    if not (args.output or args.verify):
        parser.error("expected --output, --verify, or both")
    if args.input is None and args.output:
        parser.error("--output needs an INPUT to write")
    if args.input is not None and args.model is None:
        parser.error("INPUT needs a --model to load it into")
    try:
        if args.output:
            port_weights(args.input, args.model, args.output, args.to, args.classes)
            print(f"{args.output}: {args.output.stat().st_size} bytes, {args.to}'s layout")
        if not args.verify:
            return 0
        if args.input is not None:
            return 0 if print_table(verify_weights(args.input, args.model, args.classes)) else 1
        variants = VARIANTS if args.model is None else [args.model]
        rows = itertools.chain.from_iterable(map(verify_random, variants))
        return 0 if print_table(rows) else 1
    except (ValueError, OSError, ImportError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    sys.exit(main())
