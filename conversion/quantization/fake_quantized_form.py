"""An int8 form with fake quantisation, to be trained; and the int8 form that training leaves.

    fake_quantized(quantize(lowered, calibration)) -> a model that computes what the file will
    int8_form_of(trained) -> plain Keras layers, and the range of each operation's output

Every operation of an int8 form gives one int8 tensor of LiteRT's, so behind each one is a
`FakeQuantize` of that tensor's range. Where LiteRT wants the same range for two tensors, both go
through the same one.
"""

from typing import Any

import keras
from keras import tree

from keras_fastvit.architecture.fake_quantization import (
    INT8_LEVELS,
    FakeQuantize,
    FakeQuantizedWeights,
)
from keras_fastvit.conversion.lowering.static_graph import static_graph
from keras_fastvit.conversion.operations import WEIGHTED, Range, known
from keras_fastvit.conversion.quantization.layer_by_layer import Quantized
from keras_fastvit.conversion.quantization.ranges import (
    keeps_range,
    symmetric_tensors,
)
from keras_fastvit.graph.keras_internals import calls_made_of, layers_within
from keras_fastvit.graph.rewriting import GraphRewriter, calls_of, copy_of, graph_of, origin

_SUFFIX = "_int8"


def fake_quantized(quantized: Quantized, levels: int = INT8_LEVELS) -> keras.Model:
    """Returns a trainable model, for batches of any size, of what a file will compute.

    It starts from the weights and ranges that were decided on. What LiteRT fixes is fixed: the
    ranges of sigmoid, tanh and softmax, and the zero point of a product's second matrix.

    Args:
        quantized: Of `quantize`; left as it is.
        levels: How many steps a filter's largest weight has; see `round_weights`.

    Raises:
        ValueError: If a layer has weights that are not rounded as they are here.
    """
    model = quantized.model
    _check_layers(model)
    symmetric = symmetric_tensors(model)

    def quantizer(operation: Any) -> FakeQuantize:
        low, high = quantized.ranges[operation.name]
        learns = "scale" if operation.name in symmetric else "ends"
        if known(operation).range is not None:
            learns = "nothing"
        return FakeQuantize(low, high, learns, name=operation.name + _SUFFIX, dtype="float32")

    source = origin(model.inputs[0])[0]
    image = keras.Input(model.inputs[0].shape[1:], name=source.name)
    quantizers = {source.name: quantizer(source)}
    values = {id(model.inputs[0]): quantizers[source.name](image)}
    for node in calls_of(model):
        operation, name = node.operation, node.operation.name
        args, kwargs = node.arguments.fill_in(values)
        (output,) = tree.flatten(_trainable(operation, levels)(*args, **kwargs))
        if keeps_range(operation):
            quantizers[name] = quantizers[origin(node.input_tensors[0])[0].name]
        else:
            quantizers[name] = quantizer(operation)
        values[id(node.outputs[0])] = quantizers[name](output)
    outputs = tree.map_structure(lambda x: values[id(x)], graph_of(model).output)
    return keras.Model(image, outputs, name=model.name)


def _trainable(operation: Any, levels: int) -> Any:
    """Returns an operation that computes the same, but for its weights, which it rounds."""
    copy = copy_of(operation)
    if not isinstance(operation, WEIGHTED):
        return copy
    copy.build(calls_made_of(operation)[0].input_tensors[0].shape)
    copy.set_weights(operation.get_weights())
    return FakeQuantizedWeights(copy, levels, name=operation.name, dtype="float32")


def _check_layers(model: keras.Model) -> None:
    for layer in model.layers:
        if layer.weights and not isinstance(layer, WEIGHTED):
            supported = ", ".join(kind.__name__ for kind in WEIGHTED)
            raise ValueError(
                "Quantisation-aware training knows how int8 rounds the weights of these layers: "
                f"{supported}. Received: layer '{layer.name}' of type {type(layer).__name__}"
            )


def is_fake_quantized(model: keras.Model) -> bool:
    """Returns whether a model has fake quantisation in it."""
    kinds = (FakeQuantize, FakeQuantizedWeights)
    return any(isinstance(layer, kinds) for layer in layers_within(model))


def int8_form_of(
    trained: keras.Model, image_size: int | tuple[int, int] | None = None
) -> tuple[keras.Model, dict[str, Range]]:
    """Returns what quantisation-aware training has decided on.

    Args:
        trained: With fake quantisation; it is left as it is.
        image_size: As of `static_graph`.

    Returns:
        The model in plain Keras layers, for one image, without rounding of activations, its weights
        the rounded ones that were trained; and by operation the range of its output, as learnt.

    Raises:
        ValueError: As `static_graph` does.
    """
    rewriter = _WithoutFakeQuantization()
    form = rewriter.rewrite(static_graph(trained, image_size))
    return form, rewriter.ranges


class _WithoutFakeQuantization(GraphRewriter):
    def __init__(self) -> None:
        super().__init__()
        self.ranges: dict[str, Range] = {}

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(operation, FakeQuantize):
            self.ranges[origin(args[0])[0].name] = operation.range()
            return args[0]
        if isinstance(operation, FakeQuantizedWeights):
            plain = self.form(lambda: self.keep_name(copy_of(operation.layer)), operation)
            output = plain(*args, **kwargs)
            plain.set_weights(operation.rounded_weights())
            return output
        return super().call(operation, args, kwargs)
