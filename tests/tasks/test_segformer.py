"""The names that KerasHub's SegFormer has for a FastViT's stages."""

import keras
import pytest

from keras_fastvit import fuse
from keras_fastvit.tasks.segformer import SegFormerEncoder
from tests.hub_models import small
from tests.models import images, relative_difference, run, tiny

SHAPE = (64, 64, 3)


def encoder() -> SegFormerEncoder:
    return SegFormerEncoder(small(include_top=False, input_shape=SHAPE))


def check_same(received, expected) -> None:
    assert list(received) == list(expected) == ["P1", "P2", "P3", "P4"]
    for level, values in expected.items():
        assert relative_difference(received[level], values) < 1e-5


def test_levels_are_the_stages_by_number():
    backbone = small(include_top=False, input_shape=SHAPE)
    model = SegFormerEncoder(backbone)
    assert model.hidden_dims == [8, 16, 32, 64]
    x = images(2, *SHAPE)
    stages = run(keras.Model(backbone.input, backbone.pyramid_outputs), x)
    check_same(run(model, x), dict(zip(model.pyramid_outputs, stages.values(), strict=True)))
    # What no map depends on is no part of it, or Keras would warn that it has no gradient.
    assert not any(weight.path.startswith("final_conv") for weight in model.weights)


def test_save_load_and_fuse(tmp_path):
    model, x = encoder(), images(2, *SHAPE)
    model.get_layer("stem_0").trainable = False
    expected = run(model, x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is SegFormerEncoder
    assert (loaded.name, loaded.hidden_dims) == (model.name, model.hidden_dims)
    assert not loaded.get_layer("stem_0").trainable
    check_same(run(loaded, x), expected)
    fused = fuse(model)
    assert list(fused.pyramid_outputs) == list(model.pyramid_outputs)
    check_same(run(fused, x), expected)


REFUSED = {
    "no FastViT": (
        lambda: keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(2, 3)], name="mine"),
        "must be a FastViT.*Received: 'mine' of type Sequential, data_format=None$",
    ),
    "channels first": (
        lambda: small(input_shape=(3, 64, 64), data_format="channels_first", name="mine"),
        "data_format='channels_last'.*'mine' of type FastViT, data_format='channels_first'$",
    ),
    "any size": (
        lambda: small(include_top=False, name="mine"),
        r"one size.*'mine' with an input of shape \(None, None, None, 3\)$",
    ),
    "stages of one width": (
        lambda: tiny(name="mine"),
        r"must differ.*Received: model 'mine' with stages of \[8, 16, 32, 32\] channels$",
    ),
}


@pytest.mark.single_backend
@pytest.mark.parametrize(("backbone", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(backbone, message):
    with pytest.raises(ValueError, match=message):
        SegFormerEncoder(backbone())
