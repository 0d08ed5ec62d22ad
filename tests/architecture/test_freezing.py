"""`trainable` of every layer, at any depth: saved, loaded, cloned, nested and fused."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_fastvit import FastViT, fuse
from keras_fastvit.graph.keras_internals import layers_within
from keras_fastvit.tasks.segformer import SegFormerEncoder
from tests.hub_models import WIDENING
from tests.models import images, randomize, relative_difference, run, tiny


def trainability(model: keras.Model) -> dict[str, bool]:
    """`trainable` of every layer but inputs, whose own Keras does not save."""
    return {
        f"{number} {layer.name}": layer.trainable
        for number, layer in enumerate(
            x for x in layers_within(model) if not isinstance(x, keras.layers.InputLayer)
        )
    }


def freeze_some(model: keras.Model) -> keras.Model:
    """Freezes what people freeze, and leaves something trainable within what is frozen."""
    for layer in layers_within(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    model.get_layer("stem_0").trainable = False
    model.get_layer("dropout").trainable = False
    block = model.get_layer("stage_3_block_0")
    block.trainable = False
    block.mlp.fc1.trainable = True
    block.token_mixer.trainable = True
    block.token_mixer.qkv.trainable = False
    return model


def alone() -> keras.Model:
    return freeze_some(tiny(name="backbone"))


def wholly_but_the_head() -> keras.Model:
    model = tiny()
    model.trainable = False
    model.get_layer("head").trainable = True
    return model


def in_a_model() -> keras.Model:
    image = keras.Input((64, 64, 3))
    return keras.Model(image, keras.layers.Dense(2)(alone()(image)))


def in_sequential_in_a_model() -> keras.Model:
    image = keras.Input((64, 64, 3))
    inner = keras.Sequential([keras.Input((64, 64, 3)), alone(), keras.layers.Dense(2)])
    return keras.Model(image, inner(image))


def behind_layers() -> keras.Model:
    image = keras.Input((64, 64, 3))
    scaled = keras.layers.Normalization(mean=0.5, variance=0.25, trainable=False)(image)
    return freeze_some(tiny(input_tensor=scaled))


MODELS = [alone, wholly_but_the_head, in_a_model, in_sequential_in_a_model, behind_layers]


def reloaded(model: keras.Model, folder: Path) -> keras.Model:
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


@pytest.mark.parametrize("make", MODELS)
def test_survives(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    model = make()
    loaded = reloaded(model, tmp_path)
    assert trainability(loaded) == trainability(model)
    assert type(loaded) is type(model)
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    for mine, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (mine, theirs)))
    again = reloaded(loaded, tmp_path)
    assert trainability(again) == trainability(model)

    # Keras makes a clone of layers alone: the outermost model's own `trainable` is true in it.
    received, expected = (trainability(x) for x in (keras.models.clone_model(model), model))
    assert list(received.items())[1:] == list(expected.items())[1:]


def test_statistics_of_frozen_layers_stay_after_a_reload(tmp_path: Path) -> None:
    loaded = reloaded(alone(), tmp_path)
    statistics = [w for w in loaded.non_trainable_weights if w.name.startswith("moving_")]
    before = [ops.convert_to_numpy(weight).copy() for weight in statistics]
    run(loaded, images(), training=True)
    for weight, old in zip(statistics, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)


@pytest.mark.single_backend
def test_a_layer_that_is_fused_is_trained_if_any_was_that_it_is_made_of() -> None:
    model = tiny()
    model.get_layer("stem_0").conv_kxk.trainable = False  # one branch of two
    model.get_layer("stem_1").trainable = False
    model.get_layer("stage_1_downsample").large_conv.trainable = False
    model.get_layer("stage_2_downsample").pointwise.trainable = False
    convolutional, attention = (model.get_layer(f"stage_{stage}_block_0") for stage in (0, 3))
    convolutional.token_mixer.trainable = False
    convolutional.mlp.trainable = False  # but for the scale that is folded into `fc2`
    for layer in (attention.norm, attention.token_mixer.qkv, attention.mlp.fc1):
        layer.trainable = False
    model.get_layer("final_conv").se.fc1.trainable = False

    fused = fuse(model)
    frozen = {layer.name for layer in fused.layers if layer.weights and not layer.trainable}
    assert frozen == {
        "stem_1",
        "stage_2_downsample_pointwise",
        "stage_0_block_0_token_mixer",
        "stage_0_block_0_mlp_conv",
        "stage_0_block_0_mlp_fc1",
        "stage_3_block_0_token_mixer_query",
        "stage_3_block_0_token_mixer_key",
        "stage_3_block_0_token_mixer_value",
        "stage_3_block_0_mlp_fc1",
        "final_conv_se_fc1",
    }


@pytest.mark.single_backend
@pytest.mark.parametrize("nested", [False, True])
def test_a_frozen_model_fuses_to_a_frozen_one(nested: bool) -> None:
    inner = tiny()
    inner.trainable = False
    model = keras.Sequential([inner, keras.layers.Dense(2)], name="outer") if nested else inner
    fused = fuse(model)
    assert fused.trainable is nested
    backbone = fused.get_layer(inner.name) if nested else fused
    assert not any(layer.trainable for layer in layers_within(backbone) if layer.weights)
    assert not backbone.trainable


@pytest.mark.single_backend
def test_models_of_tasks(tmp_path: Path) -> None:
    encoder = SegFormerEncoder(
        randomize(FastViT(WIDENING.name, include_top=False, input_shape=(64, 64, 3)))
    )
    encoder.trainable = False
    encoder.get_layer("stem_2").conv_kxk.bn.trainable = True
    assert trainability(reloaded(encoder, tmp_path)) == trainability(encoder)


@pytest.mark.single_backend
def test_unchanged_layers_add_nothing_to_a_config() -> None:
    """So files of unchanged models can be read by versions that know no overrides."""
    config = tiny(dtype="mixed_float16").get_config()
    assert "overrides" not in config
    assert "before" not in config


@pytest.mark.single_backend
def test_configs_of_earlier_versions() -> None:
    config = tiny().get_config()
    del config["trainable"]
    model = FastViT.from_config({**config, "frozen_layers": ["stem_0"]})
    assert not any(layer.trainable for layer in layers_within(model.get_layer("stem_0")))
    assert model.get_layer("stem_1").trainable

    scaled = behind_layers()
    graph = keras.Model(scaled.input, scaled.output, name="model").get_config()
    loaded = FastViT.from_config({"graph": graph})
    assert list(trainability(loaded).values()) == list(trainability(scaled).values())


def test_layers_before_the_model_come_back(tmp_path: Path) -> None:
    model = behind_layers()
    loaded = reloaded(model, tmp_path)
    assert list(loaded.pyramid_outputs) == list(model.pyramid_outputs)
    x = images()
    assert relative_difference(run(loaded, x), run(model, x)) < 1e-6
