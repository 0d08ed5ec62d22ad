"""Runs a functional model one operation at a time, and forgets what is no longer needed."""

from collections import Counter
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_fastvit.arrays import Array
from keras_fastvit.graph.rewriting import calls_of, infer

_IMAGES_AT_A_TIME = 25


class GraphValues:
    """The tensors of a model's graph for some images.

    Args:
        model: With one input.
        images: Its values, `(images, …)`: any number, even if the model's batch is 1.
    """

    def __init__(self, model: keras.Model, images: Array) -> None:
        (image,) = model.inputs
        self._values = {id(image): images}
        self._uses = Counter(id(x) for node in calls_of(model) for x in node.input_tensors)

    def knows(self, tensor: Any) -> bool:
        """Returns whether a tensor of the graph has a value."""
        return id(tensor) in self._values

    def value(self, tensor: Any) -> Array:
        """The value of a tensor of the graph."""
        return self._values[id(tensor)]

    def compute(self, node: Any) -> Array:
        """Makes a call, the calls before it having been made; returns its (first) output."""
        first, *rest = self._all_of(node.operation, node)
        self.set(node, first)
        for x, value in zip(node.outputs[1:], rest, strict=True):
            self._values[id(x)] = value
        return first

    def give(self, operation: Any, node: Any) -> Array:
        """Returns what an operation with one output gives for the arguments of a call."""
        (output,) = self._all_of(operation, node)
        return output

    def _all_of(self, operation: Any, node: Any) -> list[Array]:
        inputs = {id(x): self._values[id(x)] for x in node.input_tensors}
        count = len(next(iter(inputs.values())))
        parts = []
        for start in range(0, count, _IMAGES_AT_A_TIME):
            part = {
                key: ops.convert_to_tensor(x[start : start + _IMAGES_AT_A_TIME])
                for key, x in inputs.items()
            }
            outputs = tree.flatten(infer(operation, *node.arguments.fill_in(part)))
            parts.append([ops.convert_to_numpy(x) for x in outputs])
        return [np.concatenate(x) for x in zip(*parts, strict=True)]

    def set(self, node: Any, value: Array) -> None:
        """Puts a value in the place of a call's (first) output."""
        output = id(node.outputs[0])
        if output not in self._values:
            for x in node.input_tensors:
                self._uses[id(x)] -= 1
                if not self._uses[id(x)]:
                    del self._values[id(x)]
        self._values[output] = value
