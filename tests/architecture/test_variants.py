"""Every variant, one sweep: beside timm and Apple, its size, its gradients, its files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import ops

from keras_fastvit import FastViT, fuse
from keras_fastvit.architecture.variants import ATTENTION, get_variant
from keras_fastvit.weights.torch_state import load_torch_state, to_torch_state
from tests.models import BACKEND, RELEASED, at_full_width, count, gradients, images, run
from tests.reference.fixtures import VARIANTS as NAMES
from tests.reference.fixtures import VARIANTS_OF, load

TOLERANCE = 1e-5


class Parameters(NamedTuple):
    training: int
    inference: int


PARAMETERS = {
    "fastvit_t8": Parameters(4_026_232, 3_992_392),
    "fastvit_t12": Parameters(7_553_704, 7_502_952),
    "fastvit_s12": Parameters(9_473_576, 9_422_824),
    "fastvit_sa12": Parameters(11_580_968, 11_537_384),
    "fastvit_sa24": Parameters(21_554_216, 21_485_416),
    "fastvit_sa36": Parameters(31_527_464, 31_433_448),
    "fastvit_ma36": Parameters(44_068_004, 43_956_360),
    "fastvit_mci0": Parameters(11_406_976, 11_346_496),
    "fastvit_mci1": Parameters(21_541_632, 21_439_040),
    "fastvit_mci2": Parameters(35_815_232, 35_672_912),
    "fastvit_mci3": Parameters(125_235_648, 125_026_272),
    "fastvit_mci4": Parameters(321_784_832, 321_489_280),
}


# Convolutions alone; attention; channel attention. What the others add is more of the same: once it
# is computed right (the parity, of all on every backend), the first backend alone looks at the rest
# of them.
KINDS = ("fastvit_t8", "fastvit_sa12", "fastvit_mci0")


class Tapped(NamedTuple):
    """A model with logits, and the same graph with all the outputs that the fixtures hold."""

    model: FastViT
    outputs: keras.Model


@pytest.fixture(scope="module", params=at_full_width(NAMES))
def tapped(request: pytest.FixtureRequest) -> Tapped:
    """One model a variant, with the weights of timm's fixture, built once for all tests."""
    model = FastViT(
        request.param,
        input_shape=(None, None, 3),
        classes=get_variant(request.param).classes,
        classifier_activation=None,
        drop_path_rate=0.0,  # a dropped branch has no gradient
        data_format="channels_last",
    )
    load_torch_state(model, load("timm", request.param).weights(), "fixture")
    outputs = {
        "logits": model.output,
        "features": model.get_layer("final_conv").output,
        **model.pyramid_outputs,
    }
    return Tapped(model, keras.Model(model.input, outputs))


def each_of(names: Sequence[str]) -> pytest.MarkDecorator:
    """Parametrises a test by variants, on other backends than the first by one of each kind."""
    variants = [
        pytest.param(
            *variant.values,
            marks=[*variant.marks, *([] if name in KINDS else [pytest.mark.single_backend])],
            id=name,
        )
        for name, variant in zip(names, at_full_width(names), strict=True)
    ]
    return pytest.mark.parametrize("tapped", variants, indirect=True, scope="module")


each_kind = each_of(NAMES)


def weights_by_path(model: Any) -> dict[str, np.ndarray]:
    return {weight.path: ops.convert_to_numpy(weight) for weight in model.weights}


# --- before the parity, which loads other weights -----------------------------------------------


@each_kind
def test_parameters(tapped: Tapped) -> None:
    expected = PARAMETERS[tapped.model.variant]
    assert count(tapped.model.trainable_weights) == expected.training
    fused = tapped.model.fuse()
    assert fused.count_params() == expected.inference
    assert count(fused.trainable_weights) == expected.inference


@each_of(KINDS)
def test_gradients_reach_every_variable(tapped: Tapped) -> None:
    row = get_variant(tapped.model.variant)
    # Two pixels are left in the last stage: with one, attention would have nothing to weigh.
    side = 2 ** (len(row.layers) + 1)
    image = images(2, side + 1, side, 3)
    direction = ops.convert_to_tensor(images(2, row.classes, seed=1))
    found = gradients(tapped.model, image, lambda logits: ops.mean(logits * direction))
    for variable, gradient in zip(tapped.model.trainable_variables, found, strict=True):
        assert gradient is not None, variable.path
        assert gradient.shape == tuple(variable.shape)
        assert np.isfinite(gradient).all(), variable.path
        shift = re.search(r"_downsample/(large|small)_conv/bn/beta$", variable.path)
        if shift and not row.downsample_activation:
            # A shift that the next normalisation takes away: no gradient, in PyTorch neither.
            assert np.abs(gradient).max() < 1e-6, variable.path
        else:
            assert np.abs(gradient).max() > 1e-5, variable.path


@each_of(KINDS)
def test_files(tapped: Tapped, tmp_path: Path) -> None:
    model = tapped.model
    expected = weights_by_path(model)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is FastViT
    assert loaded.get_config() == model.get_config()
    assert list(weights_by_path(loaded)) == list(expected)
    assert all(np.array_equal(x, expected[path]) for path, x in weights_by_path(loaded).items())

    for variable in loaded.weights:
        if variable.dtype == "float32":
            variable.assign(np.zeros(variable.shape))
    model.save_weights(tmp_path / "model.weights.h5")
    loaded.load_weights(tmp_path / "model.weights.h5")
    assert all(np.array_equal(x, expected[path]) for path, x in weights_by_path(loaded).items())


def test_pyramid_outputs(tapped: Tapped) -> None:
    widths = get_variant(tapped.model.variant).widths
    assert type(tapped.model.pyramid_outputs) is dict
    assert {name: x.shape for name, x in tapped.model.pyramid_outputs.items()} == {
        f"P{stage + 2}": (None, None, None, width) for stage, width in enumerate(widths)
    }


# --- parity -------------------------------------------------------------------------------------


def test_parity(tapped: Tapped) -> None:
    """Logits, features and stages, in training form and in inference form, by every source.

    Each gets its names back, too. A source's weights become the same arrays on every backend: what
    is computed from them is seen with timm's.
    """
    variant = tapped.model.variant
    sources = [source for source, variants in VARIANTS_OF.items() if variant in variants]
    for source in sources if BACKEND == "tensorflow" else ["timm"]:
        reference = load(source, variant)
        weights = reference.weights()
        folded = load_torch_state(tapped.model, weights, f"fixture of {source}")
        assert folded == (source == "apple_reparam")
        if source in ("timm", "apple"):
            state = to_torch_state(tapped.model, source)
            assert state.keys() == weights.keys()
            for name, array in weights.items():
                np.testing.assert_array_equal(state[name], array, name)
        forms = {"training": tapped.outputs, "inference": fuse(tapped.outputs)}
        for case in reference.cases:
            for form, model in forms.items():
                outputs = run(model, case.image)
                for name, expected in case.expected.items():
                    difference = expected.compare(outputs[name])
                    assert difference <= TOLERANCE * expected.scale, (source, case.name, form, name)


@pytest.mark.single_backend
def test_parity_covers_the_sizes_that_matter() -> None:
    for source, names in VARIANTS_OF.items():
        for name in names:
            shapes = [case.shape[1:] for case in load(source, name).cases]
            assert any(h % 2 and w % 2 and h != w for h, w in shapes), (source, name)
            if name in ("fastvit_t8", "fastvit_sa12"):
                assert (256, 256) in shapes, (source, name)


# --- the table ----------------------------------------------------------------------------------


@pytest.mark.single_backend
def test_the_table_is_complete() -> None:
    assert set(PARAMETERS) == set(NAMES) == set(RELEASED)


@pytest.mark.single_backend
@pytest.mark.parametrize("name", NAMES)
def test_rows_are_consistent(name: str) -> None:
    row = get_variant(name)
    assert row.name == name
    assert len(row.layers) == len(row.widths) == len(row.token_mixers)
    tower = "mci" in name
    assert (row.token_mixers[-1] == ATTENTION) == (tower or "a" in name.removeprefix("fastvit_"))
    assert all(wide == 2 * narrow for narrow, wide in zip(row.widths, row.widths[1:], strict=False))
    assert 0 <= row.drop_path_rate_distilled <= row.drop_path_rate < 1
    assert row.layer_scale_init_value == (1e-6 if name.endswith("36") else 1e-5)
    assert row.crop_pct == (0.95 if tower or name.endswith("36") else 0.9)
    assert all(0 < stage < len(row.layers) for stage in row.squeeze_excite_stages)
    if tower:
        assert (row.top1, row.top1_distilled, row.classifier_activation) == (None, None, None)
        assert row.classes == row.embedding_width == {4: 512, 5: 768}[len(row.layers)]
        assert row.normalization == {4: "unit", 5: "clip"}[len(row.layers)]
    else:
        assert row.top1 is not None
        assert row.top1_distilled is not None
        assert row.top1 < row.top1_distilled < 100
        assert (row.classes, row.classifier_activation) == (1000, "softmax")
        assert row.normalization == "imagenet"


@pytest.mark.single_backend
def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match=r"fastvit_t8, .*Received: variant='fastvit_t9'"):
        get_variant("fastvit_t9")
