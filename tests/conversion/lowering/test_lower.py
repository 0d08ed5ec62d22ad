"""`lower`: whole models stay exact, and become what the runtime has kernels for."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_fastvit import FastViT, fuse
from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.conversion.exporting.converter import convert
from keras_fastvit.conversion.lowering.depthwise import MAX_TAPS, split_depthwise
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.lowering.targets import REWRITES, TARGETS
from keras_fastvit.conversion.tflite.schema import operators
from tests.lowered_models import (
    check,
    depthwise,
    kinds,
    noise,
    of_type,
    precision,
    set_precision,
    taps,
)
from tests.models import BACKEND, images, randomize, relative_difference, run, tiny

__all__ = ["precision"]  # applies to every test here


# --- whole models -------------------------------------------------------------------------------


def thin(name: str) -> FastViT:
    """A variant with all its layers, of a few channels each."""
    row = VARIANTS[name]
    widths = (8, 16, 32, 64, 128)[: len(row.layers)]
    VARIANTS["thin"] = replace(row, name="thin", widths=widths, layer_scale_init_value=0.2)
    try:
        return randomize(
            FastViT(
                "thin",
                input_shape=(None, None, 3),
                classes=5,
                classifier_activation=None,
                data_format="channels_last",
            )
        )
    finally:
        del VARIANTS["thin"]


# Convolutions alone; attention; channel attention.
KINDS = ("fastvit_t8", "fastvit_sa12", "fastvit_mci0")


@pytest.mark.single_backend
@pytest.mark.parametrize("name", KINDS)
def test_variants(name: str) -> None:
    fused = fuse(thin(name))
    lowered = check(lower(fused, (45, 103)), fused)
    assert lowered.input_shape == (1, 45, 103, 3)
    assert lowered.name == fused.name
    assert max(taps(lowered)) <= MAX_TAPS
    assert max(len(operation.output.shape) for operation in lowered.operations) <= 4
    assert all(conv.depth_multiplier == 1 for conv in of_type(lowered, layers.DepthwiseConv2D))


def fused_tiny(side: int | None = 64, **kwargs: Any) -> keras.Model:
    """An inference form, made once, as no test changes it."""
    return _fused_tiny(keras.config.floatx(), side, **kwargs)


@cache
def _fused_tiny(floatx: str, side: int | None, **kwargs: Any) -> keras.Model:
    return fuse(tiny(input_shape=(side, side, 3), data_format="channels_last", **kwargs))


def test_on_every_backend() -> None:
    fused = fused_tiny()
    check(lower(fused), fused, tolerance=1e-5)


@pytest.mark.single_backend
@pytest.mark.parametrize("side", [32, 33, 96, 128, 256])
def test_sizes(side: int) -> None:
    fused = fused_tiny(None)
    check(lower(fused, side), fused)


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("target", "without"),
    [*((target, None) for target in TARGETS), *(("cpu", name) for name in REWRITES)],
)
def test_targets_and_switches(target: str, without: str | None) -> None:
    fused = fused_tiny()
    lowered = check(lower(fused, target=target, without=[without] if without else []), fused)
    applied = set(TARGETS[target].rewrites) - {without}
    convs = of_type(lowered, layers.DepthwiseConv2D)
    large = [c for c in convs if np.prod(c.kernel_size) > MAX_TAPS]
    assert ("depth_multiplier" in applied) == all(c.depth_multiplier == 1 for c in convs)
    assert ("depthwise" in applied) == all(c.strides == (2, 2) for c in large)
    assert ("strided_depthwise" in applied) == all(c.strides == (1, 1) for c in large)
    assert ("attention" in applied) == (not of_type(lowered, layers.EinsumDense))


@pytest.mark.single_backend
def test_every_rewrite_changes_something_on_a_cpu() -> None:
    fused = fused_tiny(include_top=False)
    norm = layers.BatchNormalization()(layers.Conv2D(4, 1)(fused.output))
    model = keras.Model(fused.input, layers.UpSampling2D()(norm))
    everything = kinds(lower(model))
    assert all(kinds(lower(model, without=[name])) != everything for name in REWRITES)
    assert TARGETS["cpu"].rewrites == REWRITES


@pytest.mark.single_backend
def test_leaves_the_model_alone() -> None:
    fused = fused_tiny()
    before = [np.array(w) for w in fused.weights]
    calls = {id(layer): len(layer._inbound_nodes) for layer in fused._flatten_layers()}
    names = [operation.name for operation in fused.operations]
    lowered = lower(fused)
    for weight in lowered.weights:
        weight.assign(np.zeros(weight.shape))
    for old, weight in zip(before, fused.weights, strict=True):
        np.testing.assert_array_equal(old, np.array(weight))
    assert {id(layer): len(layer._inbound_nodes) for layer in fused._flatten_layers()} == calls
    assert [operation.name for operation in fused.operations] == names


@pytest.mark.single_backend
def test_lowering_twice_is_lowering_once() -> None:
    once = lower(fused_tiny())
    twice = check(lower(once), once, tolerance=1e-15)
    assert [x.name for x in twice.operations] == [x.name for x in once.operations]
    assert kinds(twice) == kinds(once)


@pytest.mark.single_backend
def test_names_do_not_depend_on_what_ran_before() -> None:
    first = [x.name for x in lower(fused_tiny()).operations[1:]]
    assert [x.name for x in lower(fused_tiny()).operations[1:]] == first
    assert "stage_0_block_0_mlp_conv_rows_135" in first
    assert "stage_0_block_0_mlp_fc2_add" in first


LOAD_WITHOUT_PACKAGE = """
import sys
sys.modules["keras_fastvit"] = sys.modules["conversion"] = None
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
print("\\n".join(operation.name for operation in model.operations))
"""


def test_loads_without_this_package(tmp_path: Path) -> None:
    set_precision("float32")
    lowered, x = lower(fused_tiny()), images(1, 64, 64, 3)
    lowered.save(tmp_path / "lowered.keras")
    np.save(tmp_path / "x.npy", x)
    finished = subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_PACKAGE, "lowered.keras", "x.npy", "y.npy"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": BACKEND},
        check=True,
        timeout=300,
        capture_output=True,
        text=True,
    )
    assert finished.stdout.split() == [operation.name for operation in lowered.operations]
    assert relative_difference(np.load(tmp_path / "y.npy"), run(lowered, x)) < 1e-6


# --- models of users ----------------------------------------------------------------------------


@pytest.mark.single_backend
def test_nested_under_a_new_head() -> None:
    backbone = fused_tiny(None, include_top=False, pooling="avg")
    inputs = keras.Input((48, 64, 3))
    x = layers.Dropout(0.5)(backbone(layers.Rescaling(0.5)(inputs), training=False))
    model = randomize(keras.Model(inputs, layers.Dense(4, name="mine")(layers.ReLU()(x))))
    lowered = check(lower(model), model)
    assert lowered.get_layer("mine").units == 4
    assert not of_type(lowered, (keras.Model, layers.Dropout))
    assert "Take" not in kinds(lowered)


@pytest.mark.single_backend
def test_sequential() -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), fused_tiny(None, include_top=False)])
    check(lower(model, (40, 56)), model)


@pytest.mark.single_backend
def test_called_twice() -> None:
    """Once for each size that it is called on."""
    shared = fused_tiny(None, include_top=False, pooling="max")
    inputs = keras.Input((80, 64, 3))
    halves = [shared(inputs), shared(layers.AveragePooling2D(2)(inputs)), shared(inputs)]
    model = keras.Model(inputs, layers.Add()(halves))
    check(lower(model), model)


def test_several_outputs() -> None:
    backbone = fused_tiny()
    model = keras.Model(backbone.input, backbone.pyramid_outputs)
    lowered = lower(model)
    x = noise(lowered)
    mine, theirs = run(lowered, x), run(model, x)
    assert mine.keys() == theirs.keys()
    assert all(relative_difference(mine[key], theirs[key]) < 1e-5 for key in mine)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lower(tiny()), r"inference form.*fuse.*Received: layer.*MobileOneBlock"),
        (lambda: lower(fused_tiny(), target="tpu"), r"cpu, gpu, npu. Received: 'tpu'"),
        (lambda: lower(fused_tiny(), without=["gelu"]), r"depthwise.*Received: .*'gelu'"),
        (lambda: lower(fused_tiny(), without="depthwise"), r"Received: without='depthwise'"),
        (lambda: lower(fused_tiny(None)), r"one size.*Received: image_size=None"),
        (lambda: lower(fused_tiny(), 65), r"one size.*Received: image_size=65"),
        (lambda: lower(fused_tiny(None), (64, 64, 3)), r"Received: image_size=\(64, 64, 3\)"),
        (lambda: lower(fused_tiny(None), 0), r"Received: image_size=0"),
        (lambda: lower("model.tflite"), r"Received: 'model.tflite' of type str"),
        (
            lambda: lower(keras.Sequential([keras.Input((4,)), layers.Dense(2)])),
            r"one image.*Received: .*\(None, 4\)",
        ),
        (
            lambda: lower(
                fuse(tiny(data_format="channels_first")),
            ),
            r"channels last.*Received: layer",
        ),
        (
            lambda: lower(
                keras.Sequential([keras.Input((8, 8, 3), batch_size=2), layers.Conv2D(3, 1)])
            ),
            r"one image.*Received: .*\(2, 8, 8, 3\)",
        ),
    ],
)
def test_refuses(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# --- what TensorFlow's converter makes of it ----------------------------------------------------


def converted(model: keras.Model) -> tuple[Counter[str], int]:
    """The operators of the `.tflite` file, and the most axes that a tensor in it has."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    content = convert(model, images(1, *model.input_shape[1:])).content
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    axes = max(len(tensor["shape"]) for tensor in interpreter.get_tensor_details())
    return operators(content), axes


@pytest.mark.single_backend
def test_operators_of_a_large_kernel() -> None:
    set_precision("float32")
    found, _ = converted(split_depthwise(depthwise(9, 12, 4)))
    assert found == {"DEPTHWISE_CONV_2D": 3, "ADD": 2}


@pytest.mark.single_backend
def test_operators_of_a_model() -> None:
    set_precision("float32")
    found, axes = converted(lower(fuse(thin("fastvit_sa12")), 160))
    assert axes == 4
    blocks, mixers = 12, 10
    assert found == {
        "PAD": 2 + 3 * 3,
        "CONV_2D": 2 + 3 + 2 * blocks + 4 * 2 + 2,  # the last: squeeze-and-excite
        "DEPTHWISE_CONV_2D": 1 + mixers + 3 * (3 + blocks + 1) + 1,
        "STRIDED_SLICE": 2 * 3,
        "ADD": 2 * (3 + blocks + 1) + blocks + 2,
        "CONCATENATION": 3 + 1,
        "GELU": 3 + 3 + blocks + 1,
        "MEAN": 2,
        "LOGISTIC": 1,
        "MUL": 1,
        "RESHAPE": 4 * 2,
        "TRANSPOSE": 4 * 2,
        "BATCH_MATMUL": 2 * 2,
        "SOFTMAX": 2,
        "FULLY_CONNECTED": 1,
    }
