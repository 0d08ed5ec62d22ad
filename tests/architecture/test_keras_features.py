"""The table of docs/fine_tuning.md: what of Keras works on which form."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_fastvit import FastViT, fuse
from keras_fastvit.graph.keras_internals import layers_within
from tests.models import BACKEND, SHORT, images, randomize, relative_difference, run

X = images(2, 32, 32, 3)
TARGETS = np.ones((2, 5), "float32")

# Keras 3.15 says of each layer that it leaves as it is: convolutions, pooling, activations.
pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")


def training() -> keras.Model:
    return randomize(
        FastViT(SHORT.name, input_shape=(32, 32, 3), classes=5, classifier_activation=None)
    )


def fused() -> keras.Model:
    return fuse(training())


each_form = pytest.mark.parametrize("form", [training, fused])
QUANTISED = {
    training: {"qkv", "proj", "head"},
    fused: {f"stage_0_block_0_token_mixer_{x}" for x in ("query", "key", "value", "proj")}
    | {"head"},
}
# The largest difference of the outputs, as a share of the largest: beside which int4 is coarse.
ROUNDING = {"int8": 0.05, "int4": 0.5, "float8": 0.2}
each_mode = pytest.mark.parametrize(
    "mode",
    ["int8", *(pytest.param(x, marks=pytest.mark.single_backend) for x in ("int4", "float8"))],
)


def reloaded(model: keras.Model, folder: Path) -> keras.Model:
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def policies(model: keras.Model) -> dict[str, Any]:
    return {layer.path: layer.dtype_policy.name for layer in layers_within(model)}


def fit(model: keras.Model) -> set[str]:
    """Trains for a step; returns the last part of the paths of the weights that it has changed."""
    before = {w.path: ops.convert_to_numpy(w).copy() for w in model.weights}
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=BACKEND == "jax")
    model.fit(X, TARGETS, verbose=0)
    return {
        weight.path
        for weight in model.weights
        if not np.array_equal(ops.convert_to_numpy(weight), before[weight.path])
    }


@each_mode
@each_form
def test_quantize(form: Callable[[], keras.Model], mode: str, tmp_path: Path) -> None:
    model = form()
    exact = run(model, X)
    model.quantize(mode)
    assert {x.name for x in layers_within(model) if x.quantization_mode == mode} == QUANTISED[form]
    rounded = run(model, X)
    assert 0 < relative_difference(rounded, exact) < ROUNDING[mode]

    loaded = reloaded(model, tmp_path)
    assert policies(loaded) == policies(model)
    np.testing.assert_allclose(run(loaded, X), rounded, rtol=1e-5, atol=1e-6)

    changed = fit(loaded)
    assert {"stem_2_bias", "stem_2/conv_kxk/conv/kernel", "stem_2/kernel"} & changed
    assert "head/bias" in changed
    # The rounded kernels stay; float8's are kept in full and trained.
    assert ("head/kernel" in changed) is (mode == "float8")


@pytest.mark.single_backend
@each_form
def test_fuse_after_quantize(form: Callable[[], keras.Model]) -> None:
    model = form()
    model.quantize("int8", filters="head")
    expected = run(model, X)
    assert relative_difference(run(fuse(model), X), expected) < 0.02  # other steps of the inputs
    assert fuse(model).get_layer("head").quantization_mode == "int8"

    model.quantize("int8", filters=["token_mixer", "qkv", "proj"])
    if form is training:
        with pytest.raises(ValueError, match=r"fuse first.*Received: .*token_mixer"):
            fuse(model)
    else:
        expected = run(model, X)
        np.testing.assert_allclose(run(fuse(model), X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.single_backend
@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_modes_for_language_models(mode: str) -> None:
    config = {"gptq": keras.quantizers.GPTQConfig, "awq": keras.quantizers.AWQConfig}[mode]
    with pytest.raises(ValueError, match="a valid quantization structure must be provided"):
        training().quantize(mode, config=config(dataset=["text"], tokenizer=str.split))


def with_lora(model: keras.Model) -> keras.Model:
    for layer in layers_within(model):
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)
            factor = layer.lora_kernel_b
            factor.assign(np.random.default_rng(0).normal(0, 0.1, factor.shape))
    return model


@each_form
def test_lora(form: Callable[[], keras.Model], tmp_path: Path) -> None:
    without = form()
    model = with_lora(form())
    expected = run(model, X)
    assert relative_difference(expected, run(without, X)) > 0.01

    inference = fuse(model)  # squeeze-and-excite's convolutions too
    assert [w.path for w in inference.weights] == [w.path for w in fuse(without).weights]
    assert relative_difference(run(inference, X), expected) < 1e-5

    loaded = reloaded(model, tmp_path)
    np.testing.assert_allclose(run(loaded, X), expected, rtol=1e-5, atol=1e-6)
    assert len(loaded.weights) == len(without.weights if form is training else model.weights)

    adapted = {layer.path for layer in layers_within(model) if hasattr(layer, "lora_rank")}
    changed = fit(model)
    assert not changed & {f"{path}/kernel" for path in adapted}
    assert {"head/lora_kernel_a", "head/lora_kernel_b"} <= changed


@pytest.mark.single_backend
@each_form
def test_lora_on_int8(form: Callable[[], keras.Model], tmp_path: Path) -> None:
    model = form()
    model.quantize("int8")
    expected = run(with_lora(model), X)
    # The sum of kernel and factors is rounded anew.
    assert relative_difference(run(reloaded(model, tmp_path), X), expected) < ROUNDING["int8"]
    assert {"head/lora_kernel_a", "head/lora_kernel_b"} <= fit(model)


@pytest.mark.single_backend
@pytest.mark.parametrize("change", ["nothing", "int8", "lora"])
@each_form
def test_export(form: Callable[[], keras.Model], change: str, tmp_path: Path) -> None:
    import tensorflow as tf

    model = form()
    if change == "int8":
        model.quantize("int8")
    elif change == "lora":
        with_lora(model)
    expected = run(model, X)
    model.export(tmp_path / "saved_model", verbose=False)
    exported = tf.saved_model.load(tmp_path / "saved_model")
    np.testing.assert_allclose(exported.serve(X), expected, rtol=1e-4, atol=1e-5)
