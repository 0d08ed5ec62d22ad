"""Batch normalisation and ReLU as parts of the convolution before them."""

from collections import defaultdict
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_fastvit.architecture import fusion
from keras_fastvit.conversion.lowering.convolutions import weights_of, with_weights
from keras_fastvit.graph.keras_internals import calls_made_of
from keras_fastvit.graph.rewriting import GraphRewriter, calls_of

_LINEAR = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)


def fold_batch_norms(model: keras.Model) -> keras.Model:
    """Folds a batch normalisation, and a ReLU, into the linear layer that alone they read.

    `relu(gamma · (conv(x) - mean) / sqrt(variance + epsilon) + beta)` is one convolution of scaled
    filters with another bias, which applies the ReLU itself. FastViT's own are gone when it is
    fused; these are those of a head of other layers, such as KerasHub's DeepLabV3 and SegFormer.
    LiteRT's converter would fold them in float32, but not in int8, where a convolution, a product,
    a sum and a ReLU would each round.
    """
    return _FoldBatchNorms(model).rewrite(model)


class _FoldBatchNorms(GraphRewriter):
    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self._outputs = {id(x) for x in model.outputs}
        self._calls: dict[Any, list[Any]] = defaultdict(list)
        self._readers: dict[int, list[Any]] = defaultdict(list)
        for node in calls_of(model):
            self._calls[node.operation].append(node)
            for x in node.input_tensors:
                self._readers[id(x)].append(node.operation)
        # By the linear layer: what becomes part of it, its own ReLUs last.
        self._parts = {layer: self._followers(layer) for layer in self._calls if _is_linear(layer)}
        self._folded = {part for parts in self._parts.values() for part in parts}

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if operation in self._folded:
            return args[0]
        if parts := self._parts.get(operation):
            once = len(self._calls[operation]) == 1
            name = parts[-1].name if once else operation.name
            layer = self.form(lambda: _with_parts(operation, parts, name), operation)
            return self.keep_name(layer)(*args, **kwargs)
        return super().call(operation, args, kwargs)

    def _followers(self, layer: keras.Layer) -> list[Any]:
        norms = self._only_readers([layer])
        if len(norms) != 1 or not _normalises_channels(norms[0]):
            norms = []
        relus = self._only_readers(norms or [layer])
        return [*norms, *(relus if all(map(_is_relu, relus)) else [])]

    def _only_readers(self, operations: list[Any]) -> list[Any]:
        """Returns the readers of these outputs, if each tensor is read once and by nothing else."""
        outputs = [node.outputs[0] for x in operations for node in self._calls[x]]
        readers = {reader for x in outputs for reader in self._readers[id(x)]}
        reads = sum(len(self._readers[id(x)]) for x in outputs)
        calls = sum(len(self._calls[reader]) for reader in readers)
        if any(id(x) in self._outputs for x in outputs) or not len(outputs) == reads == calls:
            return []
        return sorted(readers, key=lambda reader: reader.name)


def _is_linear(operation: Any) -> bool:
    return type(operation) in _LINEAR and operation.activation is keras.activations.linear


def _is_relu(operation: Any) -> bool:
    return (
        isinstance(operation, layers.Activation) and operation.activation is keras.activations.relu
    )


def _normalises_channels(operation: Any) -> bool:
    if not isinstance(operation, layers.BatchNormalization):
        return False
    return operation.axis in (-1, len(calls_made_of(operation)[0].outputs[0].shape) - 1)


def _with_parts(layer: keras.Layer, parts: list[Any], name: str) -> keras.Layer:
    kernel, bias = weights_of(layer)
    if isinstance(parts[0], layers.BatchNormalization):
        channels = kernel.shape[-1] * (kernel.shape[-2] if _is_depthwise(layer) else 1)
        zero = np.zeros(channels) if bias is None else bias
        kernel, bias = fusion.affine_after(
            fusion.Kernel(kernel.astype("float64"), zero.astype("float64")), _affine(parts[0])
        )
    activation = "relu" if _is_relu(parts[-1]) else "linear"
    return with_weights(layer, name, kernel, bias, activation=activation)


def _affine(norm: layers.BatchNormalization) -> fusion.Affine:
    mean, variance = _array(norm.moving_mean), _array(norm.moving_variance)
    gamma = _array(norm.gamma) if norm.scale else np.ones_like(mean)
    beta = _array(norm.beta) if norm.center else np.zeros_like(mean)
    return fusion.batch_norm(gamma, beta, mean, variance, norm.epsilon)


def _array(x: Any) -> fusion.Array:
    values: fusion.Array = ops.convert_to_numpy(x).astype("float64")
    return values


def _is_depthwise(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.DepthwiseConv2D)
