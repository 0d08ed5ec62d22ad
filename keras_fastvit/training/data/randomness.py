"""Random numbers that depend on a place in the training, not on what was drawn before.

So a run that was interrupted draws in its fifth epoch what it would have drawn anyway.
"""

import functools
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Purpose(IntEnum):
    """Purposes of random numbers; each has a stream of its own."""

    SPLIT = 0
    ORDER = 1
    SAMPLE = 2
    BATCH = 3


def generator(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """Returns the generator of a place, the same one each time.

    Args:
        seed: Seed of the run.
        purpose: What the numbers are for.
        place: Where they are used, such as `(epoch, step, sample)`.

    >>> draws = [generator(7, Purpose.SAMPLE, *at).random() for at in [(0, 1), (0, 1), (0, 1, 0)]]
    >>> draws[0] == draws[1], draws[0] == draws[2]
    (True, False)
    """
    # A spawn key, unlike more entropy, tells (0, 1) from (0, 1, 0).
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *place)))


@functools.lru_cache(maxsize=4)  # batches of two epochs are made at the same time
def order(seed: int, epoch: int, count: int) -> NDArray[Any]:
    """Returns the order in which an epoch takes so many samples, the same one each time."""
    return generator(seed, Purpose.ORDER, epoch).permutation(count)
