"""Runs timm's models beside this package's, both forms of both.

    make parity
    .venv/bin/python -m benchmarks.parity INPUT --model fastvit_t8

uses random weights, which go through files in both directions, or those of INPUT: anything that
`weights=` of the model takes. Prints the largest difference over the largest value of each output,
about 1e-6, and exits with 1 if one is above 1e-5. Needs timm, which `make parity` installs.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_fastvit import FastViT, fuse
from keras_fastvit.architecture.variants import VARIANTS, get_variant
from keras_fastvit.conversion.references import timm as timm_reference
from keras_fastvit.weights.porting import load, write

TOLERANCE = 1e-5
OUTPUTS = ("logits", "P2", "P3", "P4", "P5", "P6")
ODD_SIZE = (97, 75)
FULL_SIZE = (256, 256)
ALSO_AT_FULL_SIZE = ("fastvit_t8", "fastvit_sa12")


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
        """Returns whether all differences are within `TOLERANCE`; NaN is not."""
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

        write(model, ours, "timm")
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
        write(model, ours, "timm")
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
    """Runs the comparison; returns its exit status."""
    parser = argparse.ArgumentParser(description="Compares models with timm's.")
    parser.add_argument("input", nargs="?", help="name or file, as for weights= of the model")
    parser.add_argument("--model", choices=VARIANTS, help="one variant; default: all of them")
    parser.add_argument("--classes", type=int, help="classes of a file's classifier")
    args = parser.parse_args(argv)
    if args.input is not None and args.model is None:
        parser.error("INPUT needs a --model to load it into")
    try:
        if args.input is not None:
            return 0 if print_table(verify_weights(args.input, args.model, args.classes)) else 1
        variants = VARIANTS if args.model is None else [args.model]
        rows = itertools.chain.from_iterable(map(verify_random, variants))
        return 0 if print_table(rows) else 1
    except (ValueError, OSError, ImportError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    sys.exit(main())
