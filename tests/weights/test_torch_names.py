"""PyTorch's names, timm's and Apple's, both ways, against lists that their own code printed."""

import re

import keras
import numpy as np
import pytest

from keras_fastvit import FastViT
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.weights.torch_names import detect, from_torch, layer_names, to_torch, torch_name
from keras_fastvit.weights.torch_state import load_torch_state, to_torch_state
from tests.reference.fixtures import FOUR_STAGE_TOWERS, VARIANTS, load

CONVENTIONS = ("timm", "apple")


def build(variant, **kwargs):
    defaults = {"input_shape": (32, 32, 3), "classes": get_variant(variant).classes}
    return FastViT(variant, **{**defaults, "classifier_activation": None, **kwargs})


def values(model):
    return [keras.ops.convert_to_numpy(variable) for variable in model.weights]


# --- All names, all variants


# Shapes and values, both ways: with the parity, in test_variants.py.
@pytest.mark.single_backend
@pytest.mark.parametrize("variant", VARIANTS)
def test_both_conventions_name_every_layer_once(variant):
    for column in range(2):
        prefixes = [names[column] for names in layer_names(get_variant(variant)).values()]
        assert len(set(prefixes)) == len(prefixes)


# --- Apple's files of a whole MobileCLIP


@pytest.mark.single_backend
@pytest.mark.parametrize("variant", FOUR_STAGE_TOWERS)
def test_names_of_a_whole_clip(variant):
    """Apple's, as timm reads them; and the same tower as open_clip names it."""
    weights, model = load("apple_clip", variant).weights(), build(variant)
    load_torch_state(model, weights, "some.file")
    apple, timm = to_torch_state(model, "apple"), to_torch_state(model, "timm")
    assert not apple.pop("head.bias").any()
    tower = {
        name.removeprefix("image_encoder.model."): array
        for name, array in weights.items()
        if name.startswith("image_encoder.")
    }
    np.testing.assert_array_equal(apple.pop("head.weight"), tower.pop("head.proj").T)
    assert apple.keys() == tower.keys()
    assert all((apple[name] == tower[name]).all() for name in tower)

    other = build(variant)
    text = {"logit_scale": np.array(1.0), "text.token_embedding.weight": np.zeros((3, 2))}
    clip = {f"visual.trunk.{name}": array for name, array in timm.items()}
    load_torch_state(other, {**text, **clip}, "some.file")
    assert all((array == timm[name]).all() for name, array in to_torch_state(other).items())


# --- Apple's files of folded branches


def assert_logits(model, case):
    logits = case.expected["logits"]
    received = keras.ops.convert_to_numpy(model(case.image))
    assert logits.compare(received) <= 1e-5 * logits.scale


# All kinds of blocks are in SA12.
@pytest.mark.parametrize(
    "variant", [pytest.param("fastvit_t8", marks=pytest.mark.single_backend), "fastvit_sa12"]
)
def test_folded_branches_are_taken_apart_again(variant):
    reference = load("apple_reparam", variant)
    model = build(variant, input_shape=reference.cases[0].image.shape[1:])
    assert load_torch_state(model, reference.weights(), "fixture") is True
    assert_logits(model, reference.cases[0])
    assert_logits(model.fuse(), reference.cases[0])


# --- State dicts that do not fit

T8 = "fastvit_t8"
NAME = "stages.2.blocks.1.mlp.fc1.weight"


@pytest.fixture(scope="module")
def weights():
    return load("timm", T8).weights()


@pytest.fixture(scope="module")
def model():
    return build(T8)


def without(name):
    return lambda state: {key: array for key, array in state.items() if key != name}


def with_(name, change):
    return lambda state: {**state, name: change(state.get(name))}


def spoilt(value):
    def change(array):
        array = array.copy()
        array.flat[7] = value
        return array

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without(NAME), f"1 missing ({NAME}) and 0 unexpected"),
        (without("head.fc.bias"), "1 missing (head.fc.bias)"),
        (with_("stages.4.weight", lambda _: np.zeros(3)), "1 unexpected (stages.4.weight)"),
        (with_(NAME, lambda array: array[:-1]), "Expected (576, 192, 1, 1). Received: (575, 192"),
        (with_(NAME, lambda array: array.squeeze()), "Received: (576, 192)"),
        (with_(NAME, spoilt(np.nan)), "Received: 1 values that are NaN or infinite"),
        (with_(NAME, spoilt(-np.inf)), "Received: 1 values that are NaN or infinite"),
        (with_(NAME, lambda array: array.astype("float64") * 1e60), "NaN or infinite"),
        (with_(NAME, lambda array: array.astype("int64")), "Expected a floating dtype"),
        (with_(NAME, lambda array: array.astype("complex64")), "Expected a floating dtype"),
        (lambda state: load("timm", "fastvit_t12").weights(), "is it another variant or form?"),
        (lambda state: load("timm", "fastvit_s12").weights(), "is it another variant or form?"),
        (lambda state: load("apple", "fastvit_sa12").weights(), "is it another variant or form?"),
        (lambda state: {}, "holds no FastViT weights. Expected"),
        (lambda state: {"conv1.weight": np.zeros(3)}, "Received: 1 tensors (conv1.weight)"),
        (lambda state: {"visual.trunk.conv1.weight": np.zeros(3)}, "holds no FastViT weights"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_changes_nothing(model, weights, change, expected):
    before = values(model)
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        load_torch_state(model, change(weights), "some.file")
    assert "'some.file'" in str(caught.value)
    for value, kept in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(value, kept)


@pytest.mark.single_backend
def test_another_number_of_classes_is_refused(weights):
    with pytest.raises(ValueError, match=r"number of classes\? Expected \(10, 768\)"):
        load_torch_state(build(T8, classes=10), weights, "some.file")


def test_skipping_the_head_leaves_it_as_it_was(weights):
    model = build(T8, classes=10)
    before = values(model.get_layer("head"))
    load_torch_state(model, weights, "some.file", skip_head=True)
    for value, kept in zip(values(model.get_layer("head")), before, strict=True):
        np.testing.assert_array_equal(value, kept)
    state = to_torch_state(model)
    assert all((state[name] == weights[name]).all() for name in state if "head" not in name)


def test_a_model_without_a_head_ignores_the_checkpoints(weights):
    model = build(T8, include_top=False)
    load_torch_state(model, weights, "some.file")
    state = to_torch_state(model)
    assert state.keys() == {name for name in weights if not name.startswith("head.")}
    assert all((state[name] == weights[name]).all() for name in state)


def test_counters_of_batches_are_ignored(model, weights):
    counters = {
        name.replace("running_mean", "num_batches_tracked"): np.array(7)
        for name in weights
        if name.endswith("running_mean")
    }
    assert len(counters) > 50
    load_torch_state(model, weights | counters, "some.file")


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floating_dtypes_are_converted(model, weights, dtype):
    load_torch_state(model, {k: x.astype(dtype) for k, x in weights.items()}, "some.file")
    expected = weights[NAME].astype(dtype).astype("float32")
    np.testing.assert_array_equal(to_torch_state(model)[NAME], expected)


def test_data_format_and_dtype_do_not_matter(weights):
    model = build(T8, input_shape=(3, 32, 32), data_format="channels_first", dtype="bfloat16")
    load_torch_state(model, weights, "some.file")
    state = to_torch_state(model)
    assert state.keys() == weights.keys()
    for name, array in state.items():
        assert array.dtype == "float32"
        np.testing.assert_allclose(array, weights[name], rtol=2**-8)


# --- The parts


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("layout", "shape", "torch_shape"),
    [
        ("conv", (3, 5, 2, 7), (7, 2, 3, 5)),
        ("depthwise", (3, 5, 4, 1), (4, 1, 3, 5)),
        ("depthwise", (3, 5, 4, 2), (8, 1, 3, 5)),
        ("dense", (3, 5), (5, 3)),
        ("layer_scale", (3,), (3, 1, 1)),
        ("vector", (3,), (3,)),
    ],
)
def test_layouts_both_ways(layout, shape, torch_shape):
    array = np.random.default_rng(0).normal(size=shape)
    stored = to_torch(array, layout)
    assert stored.shape == torch_shape
    assert stored.flags["C_CONTIGUOUS"]  # safetensors writes the memory as it is
    np.testing.assert_array_equal(from_torch(stored, layout, shape), array)


@pytest.mark.single_backend
def test_outputs_of_a_depthwise_multiplier_stay_beside_each_other():
    array = np.arange(6).reshape(1, 1, 3, 2)
    assert to_torch(array, "depthwise").ravel().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("source", "found"),
    [("timm", ("timm", False)), ("apple", ("apple", False)), ("apple_reparam", ("apple", True))],
)
def test_detects_whose_names_these_are(source, found):
    assert detect(load(source, "fastvit_sa12").shapes) == found


@pytest.mark.single_backend
def test_names_of_attention_models_shift_by_the_positional_encoding():
    name = torch_name(
        "stage_3_block_0/token_mixer/qkv/kernel", get_variant("fastvit_sa12"), "apple"
    )
    assert name == "network.7.0.token_mixer.qkv.weight"
