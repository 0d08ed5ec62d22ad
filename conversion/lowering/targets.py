"""Targets as data: the hardware a file is made for, one row each. Imports nothing of Keras."""

from collections.abc import Mapping
from dataclasses import dataclass

GELUS = ("sigmoid", "operator")
"""What int8 can compute GELU with: `x · sigmoid(1.702 x)`, or LiteRT's operator GELU."""

REWRITES = (
    "batch_norm",
    # Before the others: the einsums that it replaces hide that a map is a single pixel.
    "attention",
    "depth_multiplier",
    "depthwise",
    "strided_depthwise",
    "upsampling",
)
"""Names of the lowering's rewrites, in the order in which they are applied."""


@dataclass(frozen=True)
class Target:
    """The hardware that runs a file.

    Attributes:
        name: As `--target` has it.
        rewrites: Those of `REWRITES` that it gains from.
        gelu: What int8 computes GELU with, one of `GELUS`, unless told otherwise.
        float_softmax: Whether int8 computes softmax in float32.
    """

    name: str
    rewrites: tuple[str, ...]
    gelu: str
    float_softmax: bool

    def not_for_xnnpack(self, gelu: str | None) -> set[str]:
        """Returns operators of an int8 file that may stay outside of XNNPACK.

        It has no int8 kernels for them; they are better for what else may run the file.

        Args:
            gelu: What GELU is computed with; None if the file is not int8.
        """
        if gelu is None:
            return set()
        wanted = {"GELU"} if gelu == "operator" else set()
        return wanted if self.float_softmax else wanted | {"SOFTMAX"}


_EVERYWHERE = ("batch_norm", "attention", "depth_multiplier", "upsampling")

_ROWS = (
    # Everything that XNNPACK gains from; measured, see each rewrite. It has int8 kernels neither
    # for GELU nor for softmax.
    Target("cpu", REWRITES, gelu="sigmoid", float_softmax=True),
    # Not measured. A GPU computes 49 taps in one pass over memory, which is what it waits for; a
    # sum of three convolutions is five passes. It refuses tensors with five axes, which pixels are
    # otherwise repeated in.
    Target("gpu", _EVERYWHERE, gelu="sigmoid", float_softmax=False),
    # Not measured. A Snapdragon's NPU takes 459 ms for one strided 7×7 convolution of depth
    # multiplier 2, and 0.68 ms for the same with multiplier 1 (litert-torch issue 1211), which
    # needs no splitting.
    Target("npu", _EVERYWHERE, gelu="operator", float_softmax=False),
)

TARGETS: Mapping[str, Target] = {row.name: row for row in _ROWS}
"""All targets by name."""


def get_target(name: str) -> Target:
    """Returns a target's row.

    >>> get_target("cpu").float_softmax
    True

    Raises:
        ValueError: If there is no such target.
    """
    if name not in TARGETS:
        raise ValueError(f"`target` must be one of {', '.join(TARGETS)}. Received: {name!r}")
    return TARGETS[name]
