"""What a command knows of the model that its arguments name."""

import argparse
from typing import Any

import keras
import pytest

from keras_fastvit import FastViT
from keras_fastvit.conversion.commands.model_arguments import add_model_arguments
from keras_fastvit.conversion.model_source import ModelFacts, load_model, model_facts
from keras_fastvit.graph.normalization import normalization_of
from keras_fastvit.images.normalizations import CLIP_MEAN, CLIP_STD
from keras_fastvit.images.preparation import Preparation
from keras_fastvit.images.preprocessing import class_names

pytestmark = pytest.mark.single_backend


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_model_arguments(parser)
    return parser.parse_args(["--model", *arguments])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["fastvit_sa36", "--weights", "imagenet"],
            ModelFacts("imagenet", 0.95, class_names("imagenet"), "imagenet"),
        ),
        (
            ["fastvit_mci0", "--weights", "mobileclip2"],
            ModelFacts("mobileclip2", 1.0, None, "unit"),
        ),
        (["fastvit_mci4"], ModelFacts(None, 0.95, None, "clip")),
        (
            ["fastvit_mci4", "--normalization", "imagenet", "--crop-pct", "0.5"],
            ModelFacts(None, 0.5, None, "imagenet"),
        ),
        (["mine.keras"], ModelFacts("mine.keras", 0.9, None, None)),
        (
            ["mine.keras", "--normalization", "clip"],
            ModelFacts("mine.keras", 0.9, None, "clip"),
        ),
    ],
)
def test_facts(arguments: list[str], expected: ModelFacts) -> None:
    assert model_facts(parsed(*arguments)) == expected


def test_an_unknown_normalization_is_refused(capsys: Any) -> None:
    with pytest.raises(SystemExit) as error:
        parsed("fastvit_t8", "--normalization", "none")
    assert error.value.code == 2
    assert "'imagenet', 'clip', 'unit', 'pixels'" in capsys.readouterr().err


def test_an_inference_form_is_normalised_for_as_its_variant() -> None:
    x = keras.Input((4,))
    for name, expected in (("fastvit_mci1", "unit"), ("fastvit_t8", "imagenet"), ("a", "imagenet")):
        assert normalization_of(keras.Model(x, x, name=name)) == expected
    prepared = Preparation.normalized((32, 48), 0.95, "clip")
    assert prepared == Preparation((32, 48), 0.95, "bicubic", CLIP_MEAN, CLIP_STD)


def test_a_tower_is_as_wide_as_its_released_embedding(tmp_path: Any) -> None:
    path = str(tmp_path / "tower.weights.h5")
    FastViT("fastvit_mci0", classes=512, input_shape=(32, 32, 3)).save_weights(path)
    model = load_model(parsed("fastvit_mci0", "--weights", path, "--image-size", "32"))
    assert model.output_shape == (None, 512)
    assert model.get_config()["classifier_activation"] in (None, "linear")
