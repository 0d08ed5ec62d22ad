"""`inline`: layers of others as the graphs that they stand for."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit.graph.inlining import inline
from tests.models import images, randomize, relative_difference, run


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """Two convolutions, one of them in a model inside, a function, and a mode of training."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.conv = layers.Conv2D(filters, 3, padding="same", name="conv")
        self.inner = keras.Sequential(
            [layers.Conv2D(filters, 1, name="conv_2"), layers.BatchNormalization(name="norm")]
        )

    def build(self, shape):
        self.conv.build(shape)
        self.inner.build((*shape[:-1], self.filters))

    def call(self, x, training=False):
        x = ops.relu(self.conv(x)) + ops.relu(-self.conv(x))
        return x + 100 if training else self.inner(x)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("tests")
class Outer(layers.Layer):
    """A dict of two maps to a dict of two, by a block in the layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block = Block(4, name="block")

    def build(self, shapes):
        self.block.build(shapes["a"])

    def call(self, maps):
        return {"sum": self.block(maps["a"]) + self.block(maps["b"]), "b": maps["b"]}


def of(layer, **kwargs):
    image = keras.Input((8, 8, 3), name="image")
    return randomize(keras.Model(image, layer(image), **kwargs))


def check(model):
    before = [np.array(w) for w in model.weights]
    calls = {layer: len(layer._inbound_nodes) for layer in model._flatten_layers()}
    inlined = inline(model)
    x = images(2, 8, 8, 3)
    expected, received = (keras.tree.flatten(run(m, x)) for m in (model, inlined))
    for mine, theirs in zip(received, expected, strict=True):
        assert relative_difference(mine, theirs) < 1e-6
    assert inlined.name == model.name
    assert all(type(x).__module__.startswith("keras.") for x in inlined.operations)
    names = [operation.name for operation in inlined.operations]
    assert len(set(names)) == len(names)
    # The model is as it was.
    np.testing.assert_equal([np.array(w) for w in model.weights], before)
    assert {layer: len(layer._inbound_nodes) for layer in model._flatten_layers()} == calls
    return inlined


def test_a_layer_becomes_what_its_call_does():
    inlined = check(of(Block(4, name="block"), name="mine"))
    kinds = {x.name: type(x).__name__ for x in inlined.operations}
    assert kinds["block_conv"] == kinds["block_conv_2"] == "Conv2D"
    assert kinds["block_norm"] == "BatchNormalization"
    # Called twice, the convolution is one.
    assert sum(kind == "Conv2D" for kind in kinds.values()) == 2


def test_layers_in_layers_with_several_inputs_and_outputs():
    image = keras.Input((8, 8, 3), name="image")
    outer = Outer(name="outer")
    first = outer({"a": image, "b": ops.flip(image, axis=2)})
    second = outer({"a": image, "b": first["b"]})
    inlined = check(randomize(keras.Model(image, [first["sum"], second])))
    convs = [x.name for x in inlined.operations if isinstance(x, layers.Conv2D)]
    assert convs == ["outer_block_conv", "outer_block_conv_2"]


def test_nested_models_with_layers_of_one_name():
    first, second = (of(Block(3, name="block"), name=name) for name in ("first", "second"))
    image = keras.Input((8, 8, 3), name="image")
    check(keras.Model(image, second(first(image))))


def test_a_model_of_keras_own_layers_is_left():
    model = keras.Sequential([keras.Input((8, 8, 3)), of(layers.Conv2D(2, 3))])
    assert inline(model) is model


class Weighted(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(name="factor")

    def call(self, x):
        return self.factor * x


class Untraceable(layers.Layer):
    def call(self, x):
        return x * float(np.asarray(ops.max(x)))

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Weighted, "Keras' layers in it only.*'mine' of type Weighted with the weight 'factor'$"),
        (Untraceable, r"`keras.ops`.*Received: layer 'mine' of type Untraceable \(\w+: .*\)$"),
    ],
)
def test_refuses(layer, message):
    with pytest.raises(ValueError, match=message):
        inline(of(layer(name="mine")))
