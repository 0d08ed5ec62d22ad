"""Keras' tests of layers and KerasHub's of models, run on ours: suites that nobody here wrote."""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import ops
from keras.src import testing

from keras_fastvit import FastViT
from keras_fastvit.architecture.fake_quantization import FakeQuantize, FakeQuantizedWeights
from keras_fastvit.architecture.layers import FastViTLayer
from keras_fastvit.registration import MODULES
from keras_fastvit.tasks.mano import Mano
from keras_fastvit.tasks.semantic_fpn import Lateral
from tests.architecture.test_layers import CASES
from tests.models import SHORT, images

pytestmark = [
    # Keras 3.15's test of a layer trains on a generator, KerasHub 0.32's of saving names a format.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning"),
    pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning"),
    pytest.mark.filterwarnings("ignore:The `save_format` argument is deprecated:UserWarning"),
]

BLOCKS = "keras_fastvit.architecture.blocks"


def rounded_convolution(dtype: Any = None, **kwargs: Any) -> keras.Layer:
    return FakeQuantizedWeights(keras.layers.Conv2D(3, 1, dtype=dtype), dtype=dtype, **kwargs)


# The first case of each layer, which `test_layers` has for every backend or the first.
LAYERS: dict[Any, tuple[Callable[..., keras.Layer], dict[str, Any], int]] = {
    case.cls: (case.cls, case.arguments, case.channels) for case in reversed(CASES)
}
LAYERS |= {
    Lateral: (Lateral, {"filters": 3}, 4),
    FakeQuantize: (FakeQuantize, {"low": -1.0, "high": 2.0}, 4),
    FakeQuantizedWeights: (rounded_convolution, {}, 4),
}


@pytest.mark.single_backend
def test_no_layer_is_left_out() -> None:
    modules = [importlib.import_module(x) for x in (*MODULES, FastViTLayer.__module__, BLOCKS)]
    registered = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, keras.Layer)
        and not issubclass(value, keras.Model)
        and value.__module__.startswith("keras_fastvit.")
    }
    assert registered - {FastViTLayer} == {*LAYERS, Mano}


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_keras_layer_test(cls: type[keras.Layer]) -> None:
    """Serialises, builds, calls symbolically and eagerly, trains, in float32 and mixed float16."""
    make, arguments, channels = LAYERS[cls]
    testing.TestCase().run_layer_test(
        make,
        arguments,
        input_shape=(2, 8, 8, channels),
        expected_output_dtype="float32",
        supports_masking=issubclass(cls, keras.layers.Dropout),
    )


def test_keras_serialization_test_of_mano() -> None:
    """Keras' test of a whole layer is for layers of one tensor, or that are built by shapes."""
    parents = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14]
    testing.TestCase().run_class_serialization_test(Mano(23, parents, [3, 5]))


@pytest.fixture
def keras_hub_tests(tmp_path: Path) -> Any:
    from keras_hub.src.tests.test_case import TestCase

    tests = TestCase()
    tests.get_temp_dir = lambda: str(tmp_path)  # its own reads the command line
    return tests


def arguments(**kwargs: Any) -> dict[str, Any]:
    return {"variant": SHORT.name, "input_shape": (32, 32, 3), **kwargs}


@pytest.mark.parametrize("include_top", [False, True])
def test_keras_hub_serialization_test(keras_hub_tests: Any, include_top: bool) -> None:
    keras_hub_tests.run_serialization_test(FastViT(**arguments(include_top=include_top)))


def test_keras_hub_saving_test(keras_hub_tests: Any) -> None:
    keras_hub_tests.run_model_saving_test(FastViT, arguments(classes=5), images(1, 32, 32, 3))


def test_keras_hub_precision_test(keras_hub_tests: Any) -> None:
    # Without the top: probabilities are float32 under every policy.
    x = ops.convert_to_tensor(images(1, 32, 32, 3))
    keras_hub_tests.run_precision_test(FastViT, arguments(include_top=False), x)


def test_keras_hub_quantization_test(keras_hub_tests: Any) -> None:
    model = FastViT(**arguments(classes=5))
    x = images(1, 32, 32, 3)
    keras_hub_tests.run_quantization_test(model, FastViT, arguments(classes=5), x)
