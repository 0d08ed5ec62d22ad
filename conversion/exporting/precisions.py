"""Precisions as data: the types of a file's numbers, one row each. Imports nothing of Keras."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """A precision, and what a file of it must show.

    Attributes:
        name: As `--quantize` has it.
        meaning: For people.
        smallest_sqnr_db: Least signal-to-quantisation-noise ratio of the file's outputs against
            Keras', in decibels; None where they must be equal but for the order of sums.
        left_over: Those of LiteRT's operators that XNNPACK leaves to the interpreter although it
            has kernels for them.
    """

    name: str
    meaning: str
    smallest_sqnr_db: float | None = None
    left_over: frozenset[str] = frozenset()


# fp16 rounds weights to 11 bits and nothing else. With 8 bits the bounds tell broken files from
# honest ones, not good from bad, which is the report's to show. Plain int8 files of T8, SA12 and a
# small model, trained or random, had 21 to 29 dB, weights in int8 alone 28 to 30; a trained T8 with
# one convolution's scales doubled, channels shifted or bias lost had 1 to 11, with red and blue
# swapped 7 (where it had more, it had as much as the honest one, and its answers).
_ROWS = (
    Precision("none", "float32"),
    Precision("fp16", "weights in float16, computed in float32", 55.0),
    # In XNNPACK's depthwise convolutions, weights of 8 bits need activations of 8 bits.
    Precision(
        "dynamic",
        "weights in int8, activations in float32",
        15.0,
        frozenset({"DEPTHWISE_CONV_2D"}),
    ),
    # Products of more than four axes, as in an attention that is not lowered; means of fewer pixels
    # at the borders, which are no convolution.
    Precision(
        "int8",
        "int8, weights and activations",
        12.0,
        frozenset({"BATCH_MATMUL", "AVERAGE_POOL_2D"}),
    ),
)

PRECISIONS: Mapping[str, Precision] = {row.name: row for row in _ROWS}
"""All precisions by name."""
