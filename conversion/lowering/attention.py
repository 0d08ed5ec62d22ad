"""Attention for runtimes whose tensors have four axes, and that multiply matrices in batches."""

from typing import Any, NamedTuple

import keras
from keras import layers, ops

from keras_fastvit.architecture.layers import InferenceForm, chain
from keras_fastvit.graph.keras_internals import Einsum, Softmax
from keras_fastvit.graph.rewriting import GraphRewriter, named, origin


def split_heads(model: keras.Model) -> keras.Model:
    """Makes attention two batched matrix products of tensors `(1, heads, tokens, 32)`.

    `y_h = softmax(q_h @ k_h^T) @ v_h` for every head h, where the heads are the batch. Query, key
    and value are a 1×1 convolution each, of which one reshape and one transpose make heads; one
    of each brings the result back for the projection, a 1×1 convolution too. The inference form
    keeps height and width apart, so that they may be unknown, in tensors with five axes, which
    GPU delegates refuse. Where the map is one pixel the softmax is 1, and only the value is left.

    All that is added to the four convolutions takes 4 % of their time in float32, measured in
    LiteRT on 8×8×512. In int8 XNNPACK takes the products only if key and value have the zero
    point 0 (symmetric ranges), and never the softmax: 0.95 ms with free ranges, 0.34 with
    symmetric ones, 0.22 with a softmax in float as well; the convolutions alone take 0.16. One
    convolution for query, key and value, or transposing the key beforehand, is no faster.
    """
    return _SplitHeads().rewrite(model)


class _SplitHeads(GraphRewriter):
    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        attention = _attention_before(operation, args)
        if attention is None:
            return super().call(operation, args, kwargs)
        shape = attention.x.shape
        return self.form(lambda: _heads(attention, shape), operation, shape)(attention.x)


class _Attention(NamedTuple):
    x: Any
    query: layers.EinsumDense
    key: layers.EinsumDense
    value: layers.EinsumDense
    projection: layers.EinsumDense


def _attention_before(operation: Any, args: tuple[Any, ...]) -> _Attention | None:
    """Returns the attention that ends in this operation, as the inference form writes it, if any.

    From the end to the beginning; what comes before something else is None.
    """
    attended = args[0] if _computes(operation, "bhwnd,ndc->bhwc") else None
    weights, value = _inputs(attended, "bnhwk,bknd->bhwnd")
    logits, _ = _inputs(weights, Softmax)
    query, key = _inputs(logits, "bhwnd,bknd->bnhwk")
    x, _ = _inputs(query, "bhwc,cnd->bhwnd")
    sources = [
        _inputs(_inputs(tokens, "bkc,cnd->bknd")[0], layers.Reshape)[0] for tokens in (key, value)
    ]
    if x is None or any(source is not x for source in sources) or origin(weights)[0].axis != -1:
        return None
    return _Attention(x, origin(query)[0], origin(key)[0], origin(value)[0], operation)


def _inputs(x: Any, what: str | type) -> tuple[Any, Any]:
    """Returns the one or two inputs of what made a tensor; None in place of what is not there."""
    if x is None or not _computes(origin(x)[0], what):
        return None, None
    first, *rest = origin(x)[1].input_tensors
    return first, rest[0] if rest else None


def _computes(operation: Any, what: str | type) -> bool:
    """Returns whether an operation is of a class, or an einsum with these subscripts."""
    if isinstance(what, type):
        return isinstance(operation, what)
    if isinstance(operation, Einsum):
        return bool(operation.subscripts == what)
    return isinstance(operation, layers.EinsumDense) and operation.equation == what


def _heads(attention: _Attention, shape: tuple[int, ...]) -> InferenceForm:
    _, query, key, value, projection = attention
    _, height, width, channels = shape
    heads, head_dim = query.kernel.shape[1:]
    common = {"dtype": projection.dtype_policy}
    name = projection.name.removesuffix("_proj")

    def split(layer: layers.EinsumDense, axes: tuple[int, int, int]) -> InferenceForm:
        return chain(
            _pointwise(layer, channels, heads * head_dim),
            layers.Reshape((-1, heads, head_dim), name=f"{layer.name}_heads", **common),
            layers.Permute(axes, name=f"{layer.name}_transposed", **common),
        )

    last = _pointwise(projection, heads * head_dim, channels)
    if height * width == 1:
        return chain(_pointwise(value, channels, heads * head_dim), last)
    queries, keys, values = split(query, (2, 1, 3)), split(key, (2, 3, 1)), split(value, (2, 1, 3))
    softmax = layers.Softmax(name=f"{name}_softmax", **common)
    merge = chain(
        layers.Permute((2, 1, 3), name=f"{name}_transposed", **common),
        layers.Reshape((height, width, heads * head_dim), name=f"{name}_merged", **common),
        last,
    )

    def attend(x: Any) -> Any:
        logits = named(ops.matmul(queries(x), keys(x)), f"{name}_logits")
        return merge(named(ops.matmul(softmax(logits), values(x)), f"{name}_heads"))

    return attend


def _pointwise(layer: layers.EinsumDense, inputs: int, outputs: int) -> layers.Conv2D:
    """The 1×1 convolution that computes what a dense layer does for each pixel."""
    conv = layers.Conv2D(
        outputs, 1, use_bias=layer.bias is not None, dtype=layer.dtype_policy, name=layer.name
    )
    conv.build((None, None, None, inputs))
    weights = map(ops.convert_to_numpy, layer.weights)
    conv.set_weights([w.reshape(v.shape) for w, v in zip(weights, conv.weights, strict=True)])
    return conv
