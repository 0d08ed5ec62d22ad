"""How a model's images are to be normalised, as far as the model itself tells."""

import contextlib
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.arrays import Array
from keras_fastvit.graph.keras_internals import Functional
from keras_fastvit.graph.rewriting import calls_of, graph_of, infer
from keras_fastvit.images.normalizations import DEFAULT_NORMALIZATION

_OF_PIXELS = 1 / 16
"""A model that makes its input smaller than by this factor is given pixels of 0..255: what it makes
of them is as wide as 16 then, of 0..1 it would be narrower than 1/16."""

_UNKNOWN_SIDE = 32


def normalization_of(model: Any) -> str:
    """Returns how images are to be normalised for a model, a key of `NORMALIZATIONS`.

    A model that begins with a normalisation of its own (`Rescaling`, `Normalization`, arithmetic)
    gets `"pixels"`, 0..255, or `"unit"`, 0..1, whichever is what that makes a few units wide. Any
    other gets the normalisation of the variant that it, or the model that it begins with, has the
    name of: a FastViT's inference form keeps the name, and in a `.keras` file nothing else is left
    to tell. The default is ImageNet's.

    Example:
    >>> image = keras.Input((32, 32, 3))
    >>> x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 127.5, offset=-1)(image))
    >>> normalization_of(keras.Model(image, x))
    'pixels'
    """
    found = _FirstSteps()
    with contextlib.suppress(ValueError):  # of a model without a graph
        found.follow(model)
    if found.changed:
        return "pixels" if found.factor < _OF_PIXELS else "unit"
    for name in found.names:
        if name in VARIANTS:
            return VARIANTS[name].normalization
    return DEFAULT_NORMALIZATION


class _FirstSteps:
    """What a model makes of an image of zeros and one of ones before it weights their pixels.

    Attributes:
        names: Of the models that the image enters, from without.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._values: Any = None
        self._before: Array | None = None

    @property
    def factor(self) -> float:
        """By how much the difference of the two images is multiplied."""
        zeros, ones = ops.convert_to_numpy(self._values)
        return float(np.median(np.abs(ones - zeros)))

    @property
    def changed(self) -> bool:
        """Whether the values have become others."""
        if self._values is None:
            return False
        zeros, ones = ops.convert_to_numpy(self._values)
        # Not all: a border of zeros changes nothing.
        return not (np.median(zeros) == 0 and abs(np.median(ones) - 1) < 1e-3)

    def follow(self, model: Any) -> bool:
        """Follows the image through a model; returns whether to its end."""
        self.names.append(getattr(model, "name", ""))
        graph = graph_of(model)
        x = graph.inputs[0]
        if self._values is None:
            sides = [side or _UNKNOWN_SIDE for side in x.shape[1:]]
            self._values = ops.stack([ops.zeros(sides), ops.ones(sides)])
        nodes = list(calls_of(graph))
        while not any(x is output for output in graph.outputs):
            readers = [node for node in nodes if any(x is y for y in node.input_tensors)]
            if len(readers) != 1 or not self._step(readers[0], x):
                return False
            (x,) = readers[0].outputs
        return True

    def _step(self, node: Any, x: Any) -> bool:
        """Takes one operation's step; returns whether it was one that weights no pixels."""
        operation = node.operation
        if isinstance(operation, (Functional, keras.Sequential)):
            return self.follow(operation)
        learnt = (layers.Normalization, layers.BatchNormalization)
        weighs = getattr(operation, "weights", ()) and not isinstance(operation, learnt)
        alike = len(node.input_tensors) == len(node.outputs) == 1 and _are_alike(x, *node.outputs)
        if weighs or not alike:
            return False
        args, kwargs = node.arguments.fill_in({id(x): self._values})
        self._values = infer(operation, args, kwargs)
        return True


def _are_alike(x: Any, y: Any) -> bool:
    """Returns whether both are images, of as many channels in the same place."""
    channels = (x.shape[-1] == y.shape[-1], x.shape[1] == y.shape[1])
    return len(x.shape) == len(y.shape) == 4 and any(channels)
