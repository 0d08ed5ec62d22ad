"""Static int8: which range every tensor gets, and which weights make the best of it.

    quantize(lowered, calibration) -> the int8 form, its weights on LiteRT's grid; the ranges

The converter then only writes down what was decided here. What keeps int8's noise
low, none of which takes time on the phone:

- channels are scaled to fill their tensor's range (`channel_scales`);
- ranges are those of the least squared error, for a GELU's input that of what GELU makes of it:
  GELU does not tell -5 from -9, and a range that ends at -5 has finer steps (`activation_ranges`);
- layer by layer, in the order of the graph, weights are fitted to give the float layer's outputs
  from the inputs that int8 has left, and rounded so that errors cancel (`weight_rounding`). Biases
  take up what is left of the means.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fastvit.architecture.fake_quantization import INT8_LEVELS, round_weights
from keras_fastvit.arrays import Array
from keras_fastvit.conversion.operations import WEIGHTED, Range, known
from keras_fastvit.conversion.quantization.channel_scales import (
    Scales,
    apply_scales,
    channel_scales,
    without_weights,
)
from keras_fastvit.conversion.quantization.graph_values import GraphValues
from keras_fastvit.conversion.quantization.int8_form import (
    int8_form,
    is_gelu,
    is_gelu_gate,
)
from keras_fastvit.conversion.quantization.layer_inputs import layer_problem
from keras_fastvit.conversion.quantization.layer_report import LayerError
from keras_fastvit.conversion.quantization.ranges import (
    best_range,
    exact_range,
    keeps_range,
    rounded,
    symmetric,
    symmetric_tensors,
    wide_enough,
)
from keras_fastvit.conversion.quantization.techniques import TECHNIQUES
from keras_fastvit.conversion.quantization.weight_rounding import (
    bias_for,
    refit,
    round_kernel,
)
from keras_fastvit.evaluation.metrics import sqnr_db
from keras_fastvit.graph.rewriting import calls_of, linear_copy, origin

RIDGE = 5.0
"""How near refitted weights stay to the float model's; see `weight_rounding.refit`.

For as many rows as there are inputs to a filter: the more rows, the more they are believed.
"""

_EQUALISING_IMAGES = 64


@dataclass(frozen=True)
class Quantized:
    """A model ready to be written as int8.

    Attributes:
        model: The int8 form, its weights multiples of what LiteRT will take for their scales.
        ranges: By operation, the range of its output; the input's, by the input layer's name.
        gelu: What GELU is computed with, `"sigmoid"` or `"operator"`.
        layers: The error of every layer's output on the calibration images, in the graph's order.

    Example:
    >>> image = keras.Input((8, 8, 3), name="image")
    >>> Quantized(keras.Model(image, image), {"image": (-2.0, 2.0)}, "sigmoid").ranges
    {'image': (-2.0, 2.0)}
    """

    model: keras.Model
    ranges: dict[str, Range]
    gelu: str
    layers: list[LayerError] = field(default_factory=list)


def quantize(
    lowered: keras.Model,
    calibration: Array,
    gelu: str = "sigmoid",
    ranges: Mapping[str, Range] | None = None,
    without: Collection[str] = (),
    levels: int = INT8_LEVELS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Quantized:
    """Decides on the ranges and the weights of a lowered model's int8 form.

    Args:
        lowered: See `lowering`; it is left as it is.
        calibration: Normalised images, float32 `(images, height, width, channels)`.
        gelu: `"sigmoid"` or `"operator"`; see `int8_form`.
        ranges: Ranges of the lowered model's tensors that are known, such as those learnt in
            training, by operation; the others are chosen here. If any is given, channels are not
            scaled.
        without: Which of `TECHNIQUES` to leave out.
        levels: How many steps a filter's largest weight has; fewer than int8's, such as 7 for 4
            bits, show what fewer bits would do.
        progress: Called with the number of operations that are done, and of all.

    Returns:
        The int8 form, each of its weights a multiple of its filter's scale, and the range of each
        tensor.

    Example:
    >>> from keras_fastvit.conversion import lower
    >>> image = keras.Input((8, 8, 3), name="image")
    >>> x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    >>> images = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    >>> quantized = quantize(lower(keras.Model(image, x)), images)
    >>> list(quantized.ranges), quantized.ranges["conv"][0], quantized.layers[0].sqnr_db > 30
    (['image', 'conv'], 0.0, True)
    """
    given = dict(ranges or {})
    only_gelu = "equalise" in without or bool(given)
    model, scales = _scaled(lowered, calibration, gelu, only_gelu)
    walk = _LayerByLayer(lowered, model, scales, given, without, levels)
    layers = walk.run(calibration, progress)
    return Quantized(model, walk.ranges, gelu, layers)


def quantize_as_trained(
    form: keras.Model,
    ranges: Mapping[str, Range],
    images: Array,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Quantized:
    """Takes over what quantisation-aware training has decided on, and finds each layer's error.

    Args:
        form: An int8 form, its weights multiples of what LiteRT will take for their scales.
        ranges: By operation; of one that is missing, the range is chosen here.
        images: Normalised images, float32 `(images, height, width, channels)`.
        progress: As of `quantize`.
    """
    nodes = list(calls_of(form))
    names = [origin(form.inputs[0])[0].name, *(node.operation.name for node in nodes)]
    scales = {name: np.ones(1, "float32") for name in names}
    walk = _LayerByLayer(form, form, scales, ranges, TECHNIQUES, INT8_LEVELS)
    layers = walk.run(images, progress)
    gelu = "operator" if any(is_gelu(node.operation) for node in nodes) else "sigmoid"
    return Quantized(form, walk.ranges, gelu, layers)


def _scaled(
    lowered: keras.Model, calibration: Array, gelu: str, only_gelu: bool
) -> tuple[keras.Model, Scales]:
    """Returns the int8 form, its channels scaled, and the factors."""
    model = int8_form(lowered, gelu)
    if scaled := without_weights(model):
        model = int8_form(lowered, gelu, scaled)
    largest = {} if only_gelu else _largest_values(lowered, calibration[:_EQUALISING_IMAGES])
    own = {node.operation.name for node in calls_of(model)}
    scales = channel_scales(model, {name: x for name, x in largest.items() if name in own})
    apply_scales(model, scales)
    return model, scales


def _largest_values(model: keras.Model, images: Array) -> dict[str, Array]:
    values = GraphValues(model, images)
    return {
        name: np.abs(x).max(tuple(range(x.ndim - 1))) for name, x in _each_output(model, values)
    }


def _each_output(model: keras.Model, values: GraphValues) -> Iterator[tuple[str, Array]]:
    for node in calls_of(model):
        yield node.operation.name, values.compute(node)


class _LayerByLayer:
    """Walks the float model and its int8 form side by side."""

    def __init__(
        self,
        lowered: keras.Model,
        model: keras.Model,
        scales: Scales,
        given: Mapping[str, Range],
        without: Collection[str],
        levels: int,
    ) -> None:
        self._lowered, self._model, self._scales = lowered, model, scales
        self._given, self._without, self._levels = given, without, levels
        self._symmetric = symmetric_tensors(model)
        self._gates = {
            origin(node.input_tensors[0])[0].name
            for node in calls_of(model)
            if is_gelu_gate(node.operation)
        }
        self._readers: dict[int, list[Any]] = defaultdict(list)
        for node in calls_of(model):
            for x in node.input_tensors:
                self._readers[id(x)].append(node)
        self.ranges: dict[str, Range] = {}

    def run(self, images: Array, progress: Callable[[int, int], None]) -> list[LayerError]:
        (image,) = self._model.inputs
        name = origin(image)[0].name
        self.ranges[name] = self._range(name, images, lambda x: x)
        wanted = GraphValues(self._lowered, images)
        received = GraphValues(self._model, rounded(images, self.ranges[name]))
        # What the float model gives, in the int8 form's scales, for operations that it has not.
        rest = GraphValues(self._model, images)
        in_lowered: dict[str, Any] = {}
        for node in calls_of(self._lowered):
            in_lowered.setdefault(node.operation.name, node)

        report = []
        nodes = list(calls_of(self._model))
        for done, node in enumerate(nodes):
            operation, name = node.operation, node.operation.name
            outputs = None
            if isinstance(operation, WEIGHTED):
                outputs = self._before_activation(node, rest)
            if name in in_lowered:
                reference = _compute(wanted, in_lowered[name])
                if np.issubdtype(reference.dtype, np.floating):
                    reference = (reference * self._scales[name]).astype("float32")
                rest.set(node, reference)
            else:
                reference = rest.compute(node)
            if not np.issubdtype(reference.dtype, np.floating):  # such as places of values
                received.compute(node)
                continue
            self.ranges[name] = self._range_of(node, reference, rest)
            if isinstance(operation, WEIGHTED):
                if outputs is None:
                    outputs = reference + self._error_beside(node, rest, received)
                self._round_weights(operation, received.value(node.input_tensors[0]), outputs)
            result = rounded(received.compute(node), self.ranges[name])
            received.set(node, result)
            # What was cut off because GELU does not tell it apart is no error.
            use = self._use(name)
            error = sqnr_db(use(reference), use(result))
            report.append(LayerError(name, type(operation).__name__, error))
            progress(done + 1, len(nodes))
        return report

    def _before_activation(self, node: Any, wanted: GraphValues) -> Array | None:
        """Returns the float layer's outputs before its own activation, if it has one."""
        if node.operation.activation is keras.activations.linear:
            return None
        return wanted.give(linear_copy(node.operation, node.operation.name), node)

    def _range_of(self, node: Any, values: Array, rest: GraphValues) -> Range:
        name = node.operation.name
        if (fixed := known(node.operation).range) is not None:
            return fixed
        if keeps_range(node.operation):
            return self.ranges[origin(node.input_tensors[0])[0].name]
        limits = self._range(name, values, self._use(name))
        _, other = self._summation(node)
        if other is None or not rest.knows(other):
            return limits
        return exact_range(wide_enough(limits, values + rest.value(other)))

    def _use(self, name: str) -> Callable[[Array], Array]:
        """Returns the function that is applied to this output before anything else reads it."""
        return _silu if name in self._gates else lambda x: x

    def _range(self, name: str, values: Array, function: Callable[[Array], Array]) -> Range:
        if name in self._given:
            # Nothing but a GELU's factor, one for all channels, scales where ranges are given.
            factor = float(self._scales[name].max())
            low, high = self._given[name]
            return exact_range((low * factor, high * factor))
        if "ranges" in self._without:
            limits = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        else:
            limits = best_range(values, function)
        return exact_range(symmetric(limits) if name in self._symmetric else limits)

    def _error_beside(self, node: Any, wanted: GraphValues, received: GraphValues) -> Array | float:
        """Returns the error of the summand that this part of a convolution is added to, if known.

        The last part of a large kernel can so make up for the rounding errors of the others, as far
        as its inputs tell of them. The end of a residual branch cannot: that gained nothing.
        """
        reader, other = self._summation(node)
        parts = isinstance(reader, keras.layers.Add) and "refit" not in self._without
        if not parts or other.shape != node.outputs[0].shape or not received.knows(other):
            return 0.0
        return wanted.value(other) - received.value(other)

    def _summation(self, node: Any) -> tuple[Any, Any]:
        """The sum that alone reads this call's output, and its other summand; or None twice."""
        readers = self._readers[id(node.outputs[0])]
        if len(readers) == 1 and "ADD" in known(readers[0].operation).operators:
            others = [x for x in readers[0].input_tensors if x is not node.outputs[0]]
            if len(others) == 1:
                return readers[0].operation, others[0]
        return None, None

    def _round_weights(self, layer: Any, inputs: Array, outputs: Array) -> None:
        problem = layer_problem(layer, inputs, outputs)
        kernel = problem.kernel
        refits = "refit" not in self._without
        if refits:
            _, rows, taps = problem.inputs.shape
            kernel = refit(problem.inputs, problem.outputs, kernel, RIDGE * taps / rows)
        if "rounding" not in self._without:
            kernel = round_kernel(problem.inputs, kernel, self._levels)
        elif self._levels < INT8_LEVELS:  # the converter rounds to int8's own
            kernel = np.asarray(ops.convert_to_numpy(round_weights(kernel, self._levels, 1)))
        bias = bias_for(problem.inputs, problem.outputs, kernel)
        problem.assign(layer, kernel, bias if refits and layer.use_bias else None)


def _compute(values: GraphValues, node: Any) -> Array:
    """Makes a call, and those before it that the int8 form does without."""
    for x in node.input_tensors:
        if not values.knows(x):
            _compute(values, origin(x)[1])
    return values.compute(node)


def _silu(x: Array) -> Array:
    return x / (1 + np.exp(np.minimum(-x, 80)))  # beyond, float32 overflows
