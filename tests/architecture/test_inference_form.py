"""`fuse`: what it keeps, what it leaves alone, and the models that it must cope with."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit import FastViT, fuse
from keras_fastvit.architecture.blocks import AttentionBlock, RepMixerBlock
from keras_fastvit.architecture.layers import Dropout, FastViTLayer, MobileOneBlock
from tests.models import (
    BACKEND,
    DATA_FORMATS,
    TINY,
    count,
    images,
    randomize,
    relative_difference,
    run,
    tiny,
)

TOLERANCE = 1e-5


def backbone(**kwargs: Any) -> FastViT:
    return tiny(include_top=False, pooling="avg", **kwargs)


def holds_only_plain_layers(model: keras.Model) -> bool:
    return all(
        type(layer).__module__.startswith("keras.") and not isinstance(layer, FastViTLayer)
        for layer in model._flatten_layers()
    )


def check(model: keras.Model, x: Any, tolerance: float = TOLERANCE) -> keras.Model:
    """Fuses a model, checks that it still computes the same, and returns the inference form."""
    expected = run(model, x)
    fused = fuse(model)
    assert holds_only_plain_layers(fused)
    received = run(fused, x)
    flat_expected, flat_received = keras.tree.flatten(expected), keras.tree.flatten(received)
    assert len(flat_expected) == len(flat_received)
    for mine, theirs in zip(flat_received, flat_expected, strict=True):
        assert relative_difference(mine, theirs) < tolerance
    return fused


# --- one FastViT --------------------------------------------------------------------------------


@pytest.mark.parametrize("data_format", DATA_FORMATS)
def test_computes_the_same_in_fewer_parameters(data_format: str) -> None:
    model = tiny(data_format=data_format)
    x = images(*((2, 64, 64, 3) if data_format == "channels_last" else (2, 3, 64, 64)))
    fused = check(model, x)
    assert fused.name == model.name
    assert fused.count_params() < count(model.trainable_weights)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in fused.layers)


def test_leaves_the_model_alone() -> None:
    model = tiny()
    before = [ops.convert_to_numpy(w).copy() for w in model.weights]
    calls = {id(layer): len(layer._inbound_nodes) for layer in model._flatten_layers()}
    expected = run(model, images())
    fused = model.fuse()
    for weight in fused.weights:
        weight.assign(np.zeros(weight.shape))
    assert all(
        np.array_equal(ops.convert_to_numpy(w), old)
        for w, old in zip(model.weights, before, strict=True)
    )
    assert {id(layer): len(layer._inbound_nodes) for layer in model._flatten_layers()} == calls
    assert not {id(layer) for layer in fused.layers} & {id(layer) for layer in model.layers}
    np.testing.assert_array_equal(run(model, images()), expected)


def test_fusing_twice_is_fusing_once() -> None:
    once = tiny().fuse()
    twice = fuse(once)
    assert [layer.name for layer in twice.layers] == [layer.name for layer in once.layers]
    for mine, theirs in zip(twice.weights, once.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(mine), ops.convert_to_numpy(theirs))
    np.testing.assert_array_equal(run(twice, images()), run(once, images()))


def test_pyramid_outputs() -> None:
    model = tiny()
    fused = model.fuse()
    assert type(fused.pyramid_outputs) is dict
    mine = run(keras.Model(fused.input, fused.pyramid_outputs), images())
    theirs = run(keras.Model(model.input, model.pyramid_outputs), images())
    assert mine.keys() == theirs.keys() == {"P2", "P3", "P4", "P5"}
    for level in mine:
        assert relative_difference(mine[level], theirs[level]) < TOLERANCE
        assert fused.pyramid_outputs[level].shape == model.pyramid_outputs[level].shape


@pytest.mark.parametrize("sides", [(32, 32), (45, 71), (64, 33)])
def test_any_size(sides: tuple[int, int]) -> None:
    check(tiny(input_shape=(None, None, 3)), images(1, *sides, 3))


LOAD_WITHOUT_PACKAGE = """
import sys
sys.modules["keras_fastvit"] = None
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
assert not any(name.startswith("keras_fastvit.") for name in sys.modules)
"""


def test_loads_without_this_package(tmp_path: Path) -> None:
    fused, x = tiny(input_shape=(None, None, 3)).fuse(), images(2, 45, 71, 3)
    fused.save(tmp_path / "fused.keras")
    with zipfile.ZipFile(tmp_path / "fused.keras") as archive:
        assert "keras_fastvit" not in json.dumps(json.loads(archive.read("config.json")))
    np.save(tmp_path / "x.npy", x)
    subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_PACKAGE, "fused.keras", "x.npy", "y.npy"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": BACKEND},
        check=True,
        timeout=300,
    )
    assert relative_difference(np.load(tmp_path / "y.npy"), run(fused, x)) < 1e-6


# --- after a model's other doings ---------------------------------------------------------------


def test_after_load_weights(tmp_path: Path) -> None:
    source = tiny()
    source.save_weights(tmp_path / "w.weights.h5")
    model = randomize(tiny(), seed=1)
    assert relative_difference(run(model, images()), run(source, images())) > 0.01
    model.load_weights(tmp_path / "w.weights.h5")
    assert relative_difference(run(fuse(model), images()), run(source, images())) < TOLERANCE


def test_after_fit() -> None:
    model = tiny()
    statistics = ops.convert_to_numpy(model.get_layer("stem_0").conv_kxk.bn.moving_mean).copy()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss, jit_compile=BACKEND == "jax")
    model.fit(images(4, 64, 64, 3), np.arange(4), batch_size=2, verbose=0)
    moved = ops.convert_to_numpy(model.get_layer("stem_0").conv_kxk.bn.moving_mean)
    assert not np.array_equal(moved, statistics)
    fused = check(model, images())
    # Neither model's training frees the other's arrays.
    model.fit(images(4, 64, 64, 3), np.arange(4), batch_size=2, verbose=0)
    assert np.isfinite(run(fused, images())).all()


def test_after_a_reload(tmp_path: Path) -> None:
    inputs = keras.Input((64, 64, 3))
    model = keras.Model(inputs, layers.Dense(4)(backbone()(inputs, training=False)))
    model.save(tmp_path / "user.keras")
    loaded = keras.models.load_model(tmp_path / "user.keras")
    assert relative_difference(run(check(loaded, images()), images()), run(model, images())) < 1e-5


# --- models of users ----------------------------------------------------------------------------


@pytest.mark.parametrize("training", [None, False])
def test_nested_under_a_new_head(training: bool | None) -> None:
    inputs = keras.Input((64, 64, 3))
    x = backbone()(layers.Rescaling(0.5)(inputs), training=training)
    x = layers.Dropout(0.5)(layers.BatchNormalization()(x))
    model = keras.Model(inputs, {"a": layers.Dense(4, name="a")(x), "b": layers.Dense(2)(x)})
    randomize(model)
    fused = check(model, images())
    assert fused.get_layer("a").units == 4
    assert set(run(fused, images())) == {"a", "b"}


def test_sequential() -> None:
    inner = keras.Sequential([keras.Input((64, 64, 3)), layers.Rescaling(2.0), backbone()])
    model = keras.Sequential([keras.Input((64, 64, 3)), inner, layers.Dense(3)])
    check(model, images())


def test_sequential_of_single_layers() -> None:
    model = keras.Sequential(
        [
            keras.Input((33, 32, 3)),
            MobileOneBlock(32, 3, strides=2),
            AttentionBlock(2, drop_path_rate=0.5, layer_scale_init_value=0.5),
            Dropout(0.5),
            layers.GlobalMaxPooling2D(),
        ]
    )
    check(randomize(model), images(2, 33, 32, 3))


def test_a_backbone_that_is_called_twice_stays_shared() -> None:
    shared = backbone()
    left, right = keras.Input((64, 64, 3)), keras.Input((64, 64, 3))
    model = keras.Model([left, right], [shared(left), shared(right)])
    fused = check(model, [images(seed=1), images(seed=2)])
    assert fused.count_params() == fuse(shared).count_params()
    # A weight that changes, changes both branches.
    last = fused.weights[-1]
    last.assign(ops.convert_to_numpy(last) + 10)
    before = run(fuse(shared), images())
    for output in run(fused, [images(), images()]):
        assert relative_difference(output, before) > 0.01


def test_a_layer_that_is_called_twice_stays_shared() -> None:
    block, dense = RepMixerBlock(2, layer_scale_init_value=0.5), layers.Dense(8)
    inputs = keras.Input((16, 16, 8))
    model = keras.Model(inputs, dense(block(dense(block(inputs)))))
    fused = check(randomize(model), images(2, 16, 16, 8))
    kernels = [layer for layer in fused.layers if isinstance(layer, layers.DepthwiseConv2D)]
    assert len(kernels) == 2  # the mixer's and the ConvFFN's, once each
    assert sum(isinstance(layer, layers.Dense) for layer in fused.layers) == 1


def test_two_models_with_the_same_layers_names() -> None:
    inputs = keras.Input((64, 64, 3))
    parts = [tiny(name=name)(inputs) for name in ("one", "two")]
    check(keras.Model(inputs, ops.concatenate(parts)), images())


def test_layers_with_state_and_operations() -> None:
    normalization = layers.Normalization(axis=-1)
    normalization.adapt(images(8, 64, 64, 3, seed=5) * 3 + 1)
    image, token = keras.Input((64, 64, 3)), keras.Input((), dtype="int32")
    x = backbone()(normalization(image))
    y = layers.Embedding(7, x.shape[-1])(token)
    z = ops.tanh(ops.concatenate([x * y, ops.flip(x, axis=1)], axis=-1))
    model = keras.Model([image, token], layers.Dense(3)(z))
    check(model, [images(), np.array([2, 5], dtype="int32")])


def test_frozen_layers_stay_frozen() -> None:
    inputs = keras.Input((64, 64, 3))
    frozen = layers.Dense(4, trainable=False, name="frozen")
    model = keras.Model(inputs, layers.Dense(2, name="free")(frozen(backbone()(inputs))))
    fused = fuse(model)
    assert not fused.get_layer("frozen").trainable
    assert fused.get_layer("free").trainable


def test_a_frozen_backbone_stays_frozen() -> None:
    frozen = backbone()
    frozen.trainable = False
    fused = fuse(keras.Sequential([frozen, layers.Dense(2)]))
    assert [weight.path.split("/")[-1] for weight in fused.trainable_weights] == ["kernel", "bias"]


def test_names_of_a_loaded_model_are_not_taken_twice() -> None:
    """Keras counts automatic names from the start of the process, files bring older ones."""
    inputs = keras.Input((16, 16, 32))
    x = AttentionBlock(2, layer_scale_init_value=0.5, name="block")(inputs)
    x = layers.Conv2D(8, 1, name="block_mlp_fc1")(x)
    number = keras.backend.get_uid("add")
    for ahead in range(8):
        x = layers.Rescaling(0.9, name=f"add_{number + ahead}")(x)
    x = layers.Softmax(name="softmax")(layers.Softmax(name="einsum")(x))
    model = randomize(keras.Model(inputs, x))
    fused = check(model, images(2, 16, 16, 32))
    kept = {layer.name for layer in model.layers if layer.name != "block"}
    assert kept <= {layer.name for layer in fused.layers}
    assert isinstance(fused.get_layer("softmax"), layers.Softmax)
    assert fused.get_layer("block_mlp_fc1").filters == 8


def test_functions_of_the_user() -> None:
    """A `Lambda` is copied with its function, which no configuration could bring back."""
    factor = ops.convert_to_tensor(images(64))
    scale = layers.Lambda(
        lambda x, offset: x * factor + offset, output_shape=(64,), arguments={"offset": 2.0}
    )
    inputs = keras.Input((64, 64, 3))
    fused = check(keras.Model(inputs, scale(backbone()(inputs))), images())
    assert fused.layers[-1] is not scale
    assert fused.layers[-1].name == scale.name
    assert len(scale._inbound_nodes) == 1


@keras.saving.register_keras_serializable("tests")
class Doubling(keras.Model):
    """A subclassed model without a FastViT inside: a layer like any other."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)

    def call(self, x: Any) -> Any:
        return 2 * self.dense(x)


def test_a_subclassed_model_as_a_layer() -> None:
    inputs = keras.Input((64, 64, 3))
    model = keras.Model(inputs, Doubling()(backbone()(inputs)))
    assert relative_difference(run(fuse(model), images()), run(model, images())) < TOLERANCE


def test_a_part_of_a_backbone_used_on_its_own() -> None:
    """Its layers are shared with the whole, in the result too."""
    whole = backbone()
    stem = keras.Model(whole.input, whole.get_layer("stem_2").output)
    tail = keras.Model(whole.get_layer("stem_2").output, whole.output)
    check(stem, images())
    check(tail, run(stem, images()))
    inputs = keras.Input((64, 64, 3))
    fused = check(keras.Model(inputs, [whole(inputs), stem(inputs)]), images())
    assert fused.count_params() == fuse(whole).count_params()


def test_masks() -> None:
    image, words = keras.Input((64, 64, 3)), keras.Input((6,), dtype="int32")
    y = layers.LSTM(4)(layers.Embedding(9, 4, mask_zero=True)(words))
    model = keras.Model([image, words], layers.Concatenate()([backbone()(image), y]))
    check(model, [images(), np.array([[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 8, 1]], "int32")])


def test_dropout_that_is_always_on() -> None:
    """`training=True` in the user's graph stays: Monte Carlo dropout."""
    inputs = keras.Input((64, 64, 3))
    x = layers.Dropout(0.5, seed=1)(backbone()(inputs), training=True)
    fused = fuse(keras.Model(inputs, x))
    dropped = ops.convert_to_numpy(fused(images()) == 0)  # `training=False` here would win.
    assert dropped.mean() == pytest.approx(0.5, abs=0.25)


def test_inputs_and_outputs_by_name() -> None:
    inputs = {name: keras.Input((64, 64, 3), name=name) for name in ("left", "right")}
    shared = backbone()
    difference = shared(inputs["left"]) - shared(inputs["right"])
    model = keras.Model(inputs, {"difference": difference, "both": [difference, difference]})
    x = {"right": images(seed=1), "left": images(seed=2)}
    fused = check(model, x)
    assert set(fused.input) == {"left", "right"}
    assert set(run(fused, x)) == {"difference", "both"}


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_after_a_reload_of_the_result(policy: str, data_format: str, tmp_path: Path) -> None:
    shape = (64, 64, 3) if data_format == "channels_last" else (3, 64, 64)
    fused = tiny(dtype=policy, data_format=data_format, input_shape=shape).fuse()
    fused.save(tmp_path / "fused.keras")
    loaded = keras.models.load_model(tmp_path / "fused.keras")
    x = images(2, *shape)
    for again in (loaded, fuse(loaded)):
        np.testing.assert_array_equal(run(again, x), run(fused, x))
        policies = [layer.dtype_policy.name for layer in again.layers if layer.weights]
        assert set(policies) == {policy}


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
def test_keeps_dtype_policies(policy: str) -> None:
    fused = tiny(dtype=policy).fuse()
    kept = {layer.dtype_policy.name for layer in fused.layers if layer.weights}
    assert kept == {policy}


# --- what cannot be fused -----------------------------------------------------------------------


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = backbone()

    def call(self, x: Any) -> Any:
        return self.backbone(x)


def in_time_distributed() -> keras.Model:
    inputs = keras.Input((2, 64, 64, 3))
    return keras.Model(inputs, layers.TimeDistributed(backbone())(inputs))


def inside_a_functional_model() -> keras.Model:
    inputs = keras.Input((64, 64, 3))
    return keras.Model(inputs, Subclassed()(inputs))


class Wrapping(layers.Layer):
    """A layer of the user's that calls one of FastViT's."""

    def __init__(self) -> None:
        super().__init__()
        self.block = RepMixerBlock()

    def call(self, x: Any) -> Any:
        return self.block(x)


def in_a_layer() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 4)), Wrapping()])


def quantised() -> keras.Model:
    model = tiny()
    model.get_layer("stage_3_block_0").token_mixer.proj.quantize("int8")
    return model


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Subclassed, r"no graph to rewrite.*Received: .*Subclassed"),
        (in_time_distributed, r"inside another layer.*Received: .*TimeDistributed"),
        (in_a_layer, r"inside another layer.*Received: .*Wrapping"),
        (quantised, r"before they are quantised.*Received: .*proj.*int8"),
        (inside_a_functional_model, r"inside another layer.*Received: .*Subclassed"),
        (lambda: keras.Sequential([MobileOneBlock(8, 3)]), r"must be built.*Received: .*not built"),
        (lambda: "model.keras", r"no graph to rewrite.*Received: 'model.keras' of type str"),
    ],
)
def test_refuses(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fuse(make())


@pytest.mark.single_backend
def test_a_layer_without_weights_has_no_inference_form() -> None:
    with pytest.raises(ValueError, match=r"built.*Received: .*MobileOneBlock"):
        MobileOneBlock(8, 3).fuse()


@pytest.mark.single_backend
def test_variant_of_the_tests() -> None:
    """All blocks occur in the small variant that these tests are about."""
    classes = {type(layer).__name__ for layer in tiny()._flatten_layers()}
    assert {"Downsample", "AttentionBlock", "RepMixerBlock", "SqueezeExcite"} <= classes
    assert TINY.widths[2] == TINY.widths[3]
