"""Cross-layer equalisation: channels scaled so that each one fills its tensor's int8 range.

An int8 tensor has one step for all its channels, so a channel of small values has few levels. A
positive factor a channel leaves the model as it is, in real arithmetic, if every convolution that
writes the channel multiplies its kernel by the factor and every one that reads it divides by it
(Nagel et al., arXiv 1906.04721). Depthwise convolutions and additions let factors pass, so in a
FastViT a stage's whole residual stream can be scaled, but no GELU, input or output of the model.

The same factors serve `u · sigmoid(u)` in place of GELU: they make `u = 1.702 x` of its input.
Where nothing beside the GELU can take them up, `int8_form` puts weights that can.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_fastvit.arrays import Array
from keras_fastvit.conversion.operations import WEIGHTED, known
from keras_fastvit.conversion.quantization.int8_form import GELU_SLOPE, is_gelu_gate
from keras_fastvit.graph.rewriting import calls_of, origin

Scales = dict[str, Array]
"""By operation: the factor of each channel of its output, `(channels,)`."""

LARGEST = 16.0
"""More would win little, and a channel that is small on the images that were looked at may be large
on others: a unit of a ReLU that is silent on all of them would be cut off whenever it fires."""


def channel_scales(model: keras.Model, largest: Mapping[str, Array]) -> Scales:
    """Chooses the factors: as large as they can be without widening any tensor's range.

    Args:
        model: An int8 form, with weights wherever a GELU needs them (`without_weights`).
        largest: By operation, the largest absolute value of each channel of its output; of those
            without an entry, the factors do not depend.
    """
    return _Channels(model).scales(largest)


def without_weights(model: keras.Model) -> frozenset[str]:
    """Finds the ends of GELUs whose factor no weights can take up, before or behind it.

    Args:
        model: An int8 form.

    Returns:
        Names of GELUs' gates, whose input something else wants unscaled, and of their products,
        whose output does: what reads it, or what it is added to, is no convolution.
    """
    return _Channels(model).in_conflict()


def apply_scales(model: keras.Model, scales: Scales) -> None:
    """Multiplies and divides the weights of an int8 form's layers by the factors."""
    for node in calls_of(model):
        layer = node.operation
        if isinstance(layer, WEIGHTED):
            before = scales[origin(node.input_tensors[0])[0].name]
            after = scales[layer.name]
            kernel, *bias = layer.get_weights()
            if isinstance(layer, layers.DepthwiseConv2D):
                factors = after.reshape(kernel.shape[2:]) / before[:, None]
            else:
                groups = getattr(layer, "groups", 1)
                read = before.reshape(groups, -1).repeat(len(after) // groups, axis=0)
                factors = after / read.T
            layer.set_weights([kernel * factors, *(b * after for b in bias)])


class _Channels:
    """All channels of all tensors, which of them share a factor, and which factors are given."""

    def __init__(self, model: keras.Model) -> None:
        outputs = [*model.inputs, *(node.outputs[0] for node in calls_of(model))]
        # An `EinsumDense` may not know how many channels it has; they all get the factor 1.
        ends = np.cumsum([0, *(x.shape[-1] or 1 for x in outputs)])
        self._own = {
            origin(x)[0].name: np.arange(start, end)
            for x, start, end in zip(outputs, ends, ends[1:], strict=False)
        }
        self._equal: list[tuple[Array, Array]] = []
        self._given: list[tuple[Array, float]] = []
        self._gelus: dict[str, Array] = {}
        for x in (*model.inputs, *model.outputs):
            self._give(x, 1.0)
        for node in calls_of(model):
            self._constrain(node)

    def _constrain(self, node: Any) -> None:
        """Adds what a call demands of the factors of its inputs and its output."""
        operation, inputs, output = node.operation, node.input_tensors, node.outputs[0]
        scales = known(operation).scales
        if is_gelu_gate(operation):
            self._give(inputs[0], GELU_SLOPE)
            self._gelus[operation.name] = self._of(inputs[0])
            self._give(output, 1.0)
        elif scales == "weights":
            if operation.activation not in (keras.activations.linear, keras.activations.relu):
                self._give(output, 1.0)
        elif scales == "joined" and operation.axis in (-1, len(output.shape) - 1):
            self._tie(np.concatenate([self._of(x) for x in inputs]), self._of(output))
        elif scales == "kept":
            for x in inputs:
                self._tie(self._of(x), self._of(output))
        elif scales == "regrouped":
            short, long = sorted((self._of(inputs[0]), self._of(output)), key=len)
            if long.size % short.size:
                self._give_all(inputs, output)
            else:  # the channels of one pixel, and of several in a row
                self._tie(np.tile(short, long.size // short.size), long)
        elif scales == "product" and len(inputs) == 2:
            if any(is_gelu_gate(origin(x)[0]) for x in inputs):
                self._give(output, GELU_SLOPE)
                self._gelus[operation.name] = self._of(output)
            else:
                # Squeeze-and-excite: the map's factors pass, the gate has none.
                gate, features = sorted(inputs, key=lambda x: np.prod(x.shape))
                self._give(gate, 1.0)
                self._tie(self._of(features), self._of(output))
        else:
            self._give_all(inputs, output)

    def scales(self, largest: Mapping[str, Array]) -> Scales:
        group = self._groups()
        factors = np.ones(group.size)
        for name in largest:
            factors[group[self._own[name]]] = LARGEST
        for name, values in largest.items():
            room = values.max() / np.maximum(values, 1e-9)
            own = np.broadcast_to(group[self._own[name]], room.shape)
            np.minimum.at(factors, own, np.maximum(room, 1.0))
        for channels, factor in self._given:
            factors[group[channels]] = factor
        return {name: factors[group[channels]] for name, channels in self._own.items()}

    def in_conflict(self) -> frozenset[str]:
        group = self._groups()
        unscaled = np.zeros(group.size, bool)
        for channels, factor in self._given:
            unscaled[group[channels]] |= factor == 1
        return frozenset(
            name for name, channels in self._gelus.items() if unscaled[group[channels]].any()
        )

    def _groups(self) -> Array:
        """The smallest of the channels that must have the same factor, for each channel."""
        group = np.arange(sum(channels.size for channels in self._own.values()))
        while True:
            before = group.copy()
            for first, second in self._equal:
                smaller = np.minimum(group[first], group[second])
                np.minimum.at(group, first, smaller)
                np.minimum.at(group, second, smaller)
            if np.array_equal(before, group):
                return group

    def _of(self, x: Any) -> Array:
        return self._own[origin(x)[0].name]

    def _tie(self, first: Array, second: Array) -> None:
        """Gives channels the factors of others, one those of many where it is broadcast."""
        pair = np.broadcast_arrays(first, second)
        self._equal.append((pair[0], pair[1]))

    def _give(self, x: Any, factor: float) -> None:
        self._given.append((self._of(x), factor))

    def _give_all(self, inputs: list[Any], output: Any) -> None:
        for x in (*inputs, output):
            self._give(x, 1.0)
