"""Models of Keras' layers around a convolution: the file computes what Keras does, and fast."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit import fuse
from keras_fastvit.conversion.exporting import converter_process
from keras_fastvit.conversion.exporting.converter import convert
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.exporting.report import summary
from keras_fastvit.conversion.lowering.exportable import input_shape
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.quantization.int8_form import is_gelu_gate
from keras_fastvit.conversion.quantization.layer_by_layer import quantize as decide
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.delegation import Delegation, delegation
from keras_fastvit.conversion.tflite.runtime import TFLiteFile
from keras_fastvit.evaluation.metrics import sqnr_db
from keras_fastvit.graph.inlining import inline
from tests.models import images, randomize, run

pytestmark = pytest.mark.single_backend

X = images(16, 16, 16, 3)


def model_of(function: Callable[[Any], Any]) -> keras.Model:
    """A convolution, and what the function makes of its map, 8×8×8."""
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="first")(image)
    return randomize(keras.Model(image, function(x), name="of_a_user"))


def check(model: keras.Model, path: Path, quantize: str) -> Delegation:
    """Writes a model's file, by the steps of an export; checks each output."""
    plain = inline(fuse(model))
    lowered = lower(plain, input_shape(plain)[1:3])
    path.write_bytes(convert(lowered, X[:1], quantize, X, reference=plain).content)
    expected = run(model, X)
    if not isinstance(expected, dict):
        several = isinstance(expected, (list, tuple))
        expected = (
            {f"output_{i}": y for i, y in enumerate(expected)} if several else {"output": expected}
        )
    received = TFLiteFile(path).predict_each(X)
    assert set(received) == set(expected)
    for name, y in expected.items():
        assert np.ptp(y) > 0
        # Of a sparsemax most values are zero, and most of the others near it.
        assert sqnr_db(y, received[name]) > (90 if quantize == "none" else 15), name
    return delegation(path, [x.name for x in lowered.operations])


def dense(x: Any, units: int = 4) -> Any:
    return layers.Dense(units)(x)


def conv(x: Any, **kwargs: Any) -> Any:
    return layers.Conv2D(8, 1, **kwargs)(x)


def pooled(x: Any) -> Any:
    return layers.GlobalAveragePooling2D()(x)


def gelu(x: Any) -> Any:
    return layers.Activation("gelu")(conv(x))


# Of `glu`, which halves the channels, Keras gets the shape of a layer wrong; `threshold` needs more
# arguments than a layer gives.
OTHERS = ("get", "serialize", "deserialize", "glu", "threshold")
NAMES = [name for name in dir(keras.activations) if not (name.startswith("_") or name in OTHERS)]
# In Keras 3.15 these do not take tensors of a graph, as functions.
CALLED = [x for x in NAMES if x not in ("hard_silu", "hard_swish", "mish", "sparsemax")]


def named_silu(x: Any) -> Any:
    return ops.silu(x)


def relu(x: Any) -> Any:
    """Not what its name says."""
    return ops.leaky_relu(x, 0.5)


PLACES: dict[str, Callable[[Any], Any]] = {
    "strings": lambda x: [layers.Activation(name)(x) for name in NAMES],
    "inside, by string": lambda x: [layers.Dense(2, activation=name)(x) for name in NAMES],
    "functions": lambda x: [getattr(keras.activations, name)(x) for name in CALLED],
    "operations": lambda x: [
        *[getattr(ops, n)(x) for n in NAMES if hasattr(ops, n) and n not in ("mish", "linear")],
        ops.glu(x),
        ops.threshold(x, 0.5, 0.1),
        ops.gelu(x, approximate=True),
        ops.gelu(conv(x), approximate=False),
        ops.relu6(x),
        ops.swish(x),
    ],
    "layers, inside and apart": lambda x: [
        conv(x, activation=layers.LeakyReLU(0.1)),
        conv(x, activation=layers.PReLU(shared_axes=(1, 2))),
        conv(x, activation=layers.ReLU()),
        conv(x, activation=layers.ReLU(max_value=2)),
        conv(x, activation=layers.Softmax()),
        conv(x, activation=layers.Activation("gelu")),
        layers.DepthwiseConv2D(3, activation=layers.ELU())(x),
        layers.Activation(layers.PReLU())(x),
        layers.Activation(layers.Activation("silu"))(x),
        layers.LeakyReLU()(x),
    ],
    "functions of a user's": lambda x: [
        conv(x, activation=named_silu),
        conv(x, activation=functools.partial(keras.activations.leaky_relu, negative_slope=0.4)),
        conv(x, activation=lambda x: x * ops.sigmoid(x)),
        conv(x, activation=ops.gelu),
        conv(x, activation=relu),
        layers.Activation(relu)(x),
        layers.Lambda(lambda x: 2 * ops.abs(x) - 1)(x),
    ],
}


@pytest.mark.parametrize("quantize", ["none", "int8"])
@pytest.mark.parametrize("place", PLACES)
def test_activations(tmp_path, place, quantize):
    check(model_of(PLACES[place]), tmp_path / "model.tflite", quantize)


# Each has a GELU of whose factor the layers before or behind it want to know nothing.
BESIDE_GELUS: dict[str, Callable[[Any], Any]] = {
    "global max pooling": lambda x: dense(layers.GlobalMaxPooling2D()(gelu(x))),
    "flatten": lambda x: dense(layers.Flatten()(gelu(x))),
    "average pooling": lambda x: dense(layers.Flatten()(layers.AveragePooling2D(4)(gelu(x)))),
    "adaptive poolings": lambda x: dense(
        layers.Flatten()(
            layers.Concatenate()(
                [
                    layers.AdaptiveAveragePooling2D(2)(gelu(x)),
                    layers.AdaptiveMaxPooling2D(2)(gelu(x)),
                ]
            )
        )
    ),
    "both poolings": lambda x: dense(
        layers.Concatenate(axis=1)([pooled(gelu(x)), layers.GlobalMaxPooling2D()(gelu(x))])
    ),
    "poolings of tokens": lambda x: dense(
        layers.GlobalMaxPooling1D()(
            layers.AveragePooling1D(2)(layers.MaxPooling1D(2)(layers.Reshape((-1, 8))(gelu(x))))
        )
    ),
    "functions": lambda x: dense(ops.max(gelu(x), axis=(1, 2)) + ops.mean(gelu(x), axis=(1, 2))),
    "layer normalization": lambda x: dense(layers.LayerNormalization()(pooled(gelu(x)))),
    "unit normalization": lambda x: dense(layers.UnitNormalization()(pooled(gelu(x)))),
    "before it": lambda x: dense(
        pooled(layers.Activation("gelu")(layers.LayerNormalization()(conv(x))))
    ),
    "residual": lambda x: dense(pooled(gelu(x) + ops.tanh(x))),
    "attention": lambda x: dense(
        layers.GlobalAveragePooling1D()(
            (lambda t: layers.MultiHeadAttention(2, 4)(t, t))(layers.Reshape((-1, 8))(gelu(x)))
        )
    ),
    "inside": lambda x: dense(pooled(conv(x, activation="gelu"))),
    "inside, at the end": lambda x: layers.Dense(5, activation="gelu")(pooled(x)),
    "one behind another": lambda x: dense(
        layers.Activation("gelu")(layers.Dense(6, activation="gelu")(pooled(x)))
    ),
}


@pytest.mark.parametrize("third", range(3))
def test_what_stands_beside_a_gelu_keeps_the_file_in_one_piece(tmp_path, third):
    some = [*BESIDE_GELUS.items()][third::3]
    model = model_of(lambda x: {name: make(x) for name, make in some})
    found = check(model, tmp_path / "model.tflite", "int8")
    assert (found.partitions, found.outside) == (1, {})
    assert "GELU" not in found.inside


@pytest.mark.parametrize(
    ("name", "identities"),
    [
        ("global max pooling", 0),
        ("flatten", 0),
        ("both poolings", 0),
        ("inside", 0),
        ("layer normalization", 1),
        ("before it", 1),
        ("one behind another", 0),
        ("inside, at the end", 1),
    ],
)
def test_only_where_no_weights_take_its_factor_a_gelu_gets_some(name, identities):
    form = decide(lower(model_of(BESIDE_GELUS[name])), X).model
    assert any(is_gelu_gate(x) for x in form.operations)
    found = [x for x in form.operations if isinstance(x, layers.DepthwiseConv2D)]
    assert len(found) == identities


def test_other_layers(tmp_path):
    """Several outputs of a layer, a wrapper, an argument by its name, a flag of training, an output
    that is read by an operator in float."""

    def function(x: Any) -> Any:
        left, right = ops.split(gelu(x), 2, axis=-1)
        tokens = layers.Reshape((-1, 8))(layers.AveragePooling2D(4)(gelu(x)))
        _, hidden, cell = layers.LSTM(4, return_state=True, name="lstm")(tokens)
        return {
            "gated": conv(ops.multiply(left, ops.sigmoid(right))),
            "hidden": hidden,
            "cell": cell,
            "best": ops.top_k(dense(pooled(x)), 2),
            "wrapped": layers.SpectralNormalization(layers.Conv2D(4, 3))(x),
            "separable": layers.SeparableConv2D(4, 3, activation="gelu")(x),
            "named": layers.Dropout(0.5)(inputs=conv(layers.Activation("gelu")(inputs=x))),
            "norm": layers.BatchNormalization()(gelu(x), training=True),
            "map": x,
            "rooted": ops.sqrt(ops.softplus(x)),
        }

    model = model_of(function)
    path = tmp_path / "model.tflite"
    exported = export(model, path, quantize="int8", calibration=X)
    expected, received = run(model, X), TFLiteFile(path).predict_each(X)
    values, places = expected.pop("best")
    np.testing.assert_array_equal(received["best_1"][:, 0], places[:, 0])
    for name, y in {**expected, "best_0": values}.items():
        assert sqnr_db(y, received[name]) > 20, name
    # XNNPACK has nothing for these: the report says whose they are.
    causes = exported.delegation.layers
    assert causes["lstm"]["WHILE"] > 0
    assert sum(found["TOPK_V2"] for found in causes.values()) == 1
    assert re.search(r"slow path .*lstm: .*WHILE", summary(exported))


AUGMENTATION = (
    layers.RandomFlip,
    lambda: layers.RandomRotation(0.2),
    layers.RandomGrayscale,
    lambda: layers.RandomContrast(0.5),
    lambda: layers.RandAugment(value_range=(-3, 3)),
    lambda: layers.Pipeline([layers.RandomFlip(), layers.RandomZoom(0.3)]),
    lambda: layers.GaussianNoise(0.3),
    lambda: layers.AlphaDropout(0.3),
    layers.Identity,
)


def test_augmentation_is_left_out(tmp_path):
    image = keras.Input((16, 16, 3), name="image")
    x = image
    for make in AUGMENTATION:
        x = make()(x)
    model = keras.Model(image, dense(pooled(conv(layers.RandomCrop(12, 12)(x)))))
    randomize(model)
    kinds = [type(x).__name__ for x in lower(model).operations]
    assert kinds == ["InputLayer", "RandomCrop", "Conv2D", "GlobalAveragePooling2D", "Dense"]
    for quantize in ("none", "int8"):
        check(model, tmp_path / f"{quantize}.tflite", quantize)


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_tensor_that_is_given_out_twice(tmp_path, quantize):
    def function(x: Any) -> Any:
        logits = dense(pooled(x))
        return {"a": logits, "b": layers.Dropout(0.5)(logits), "c": logits, "map": x}

    path = tmp_path / "model.tflite"
    export(model_of(function), path, quantize=quantize, calibration=X)
    received = TFLiteFile(path).predict_each(X)
    for name, y in run(model_of(function), X).items():
        assert sqnr_db(y, received[name]) > (90 if quantize == "none" else 30), name
    described = {x["name"]: x["shape"] for x in sidecar.read(path)["outputs"]}
    assert described == {"a": [1, 4], "b": [1, 4], "c": [1, 4], "map": [1, 8, 8, 8]}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: layers.UpSampling2D(2, interpolation="bicubic", name="larger")(x),
            r"layer 'larger' of type UpSampling2D: operations that LiteRT lacks: ResizeBicubic$",
        ),
        (
            lambda x: layers.Lambda(lambda x: x * float(np.max(x)), (8, 8, 8), name="mine")(x),
            r"`keras.ops`.*layer 'mine' of type Lambda",
        ),
        (
            lambda x: layers.TimeDistributed(layers.Lambda(lambda x: x), name="outer")(x),
            r"`get_config\(\)`.*layer 'outer' of type TimeDistributed",
        ),
    ],
    ids=["LiteRT", "Lambda", "wrapped"],
)
def test_refuses_before_anything_slow(tmp_path, monkeypatch, function, message):
    monkeypatch.setattr(converter_process, "quantize", None)
    with pytest.raises(ValueError, match=message) as caught:
        export(model_of(function), tmp_path / "m.tflite", quantize="int8", calibration=X)
    assert "\n" not in str(caught.value)
