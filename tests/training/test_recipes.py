"""Recipes as data, and the learning rates, decays and averages that they lead to."""

import keras
import numpy as np
import pytest

from keras_fastvit.training.optimization import ema_momentum, optimizer, schedule
from keras_fastvit.training.recipes import RECIPES, get_recipe
from tests.models import tiny


@pytest.mark.single_backend
def test_the_papers_figures() -> None:
    paper = RECIPES["paper"]
    (phase,) = paper.phases
    assert (phase.epochs, phase.learning_rate, phase.warmup_epochs) == (300, 1e-3, 5)
    assert (paper.batch_size, paper.image_size, paper.weight_decay) == (1024, 256, 0.05)
    assert phase.learning_rate * paper.final_share == pytest.approx(1e-5)
    assert (paper.label_smoothing, paper.ema_momentum) == (0.1, 0.9995)
    augmentation = paper.augmentation
    assert augmentation.rand_augment == 9
    assert augmentation.color_jitter == 0.4
    assert (augmentation.mixup, augmentation.cutmix) == (0.8, 1.0)
    assert augmentation.random_erasing == 0.25
    assert RECIPES["paper_distilled"].distilled
    assert RECIPES["paper_distilled"].augmentation == augmentation
    larger = RECIPES["finetune_384"]
    assert (larger.epochs, larger.image_size, larger.weight_decay) == (30, 384, 1e-8)
    assert larger.phases[0].learning_rate == 5e-5


@pytest.mark.single_backend
def test_the_backbone_is_frozen_first() -> None:
    first, second = RECIPES["finetune"].phases
    assert first.head_only
    assert not second.head_only


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [(3, 1e-3), (12, 1e-4)]),
        ({"epochs": 30}, [(6, 1e-3), (24, 1e-4)]),
        ({"epochs": 1}, [(1, 1e-4)]),
        ({"batch_size": 64}, [(3, 2e-3), (12, 2e-4)]),
        ({"learning_rate": 5e-5}, [(3, 5e-4), (12, 5e-5)]),
        ({"batch_size": 64, "learning_rate": 5e-5}, [(3, 5e-4), (12, 5e-5)]),
    ],
)
def test_figures_of_the_users(arguments: dict, expected: list) -> None:
    recipe = get_recipe("finetune", **arguments)
    assert [phase.epochs for phase in recipe.phases] == [epochs for epochs, _ in expected]
    rates = [phase.learning_rate for phase in recipe.phases]
    assert rates == pytest.approx([rate for _, rate in expected])
    assert recipe.batch_size == arguments.get("batch_size", 32)


@pytest.mark.single_backend
def test_a_short_training_has_a_short_warmup() -> None:
    (phase,) = get_recipe("paper", epochs=30).phases
    assert phase.warmup_epochs == pytest.approx(0.5)
    (phase,) = get_recipe("paper", epochs=600).phases
    assert phase.warmup_epochs == 5


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, r"`epochs` must be positive.*Received: epochs=0"),
        ({"batch_size": -1}, r"`batch_size` must be positive"),
        ({"learning_rate": float("nan")}, r"`learning_rate` must be positive.*nan"),
        ({"image_size": 0}, r"`image_size` must be positive"),
    ],
)
def test_impossible_figures(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_recipe("paper", **arguments)


@pytest.mark.single_backend
def test_an_unknown_recipe() -> None:
    with pytest.raises(ValueError, match=r"one of paper, .*Received: recipe='papre'"):
        get_recipe("papre")


def test_learning_rates_of_the_paper() -> None:
    recipe = RECIPES["paper"]
    rates = schedule(recipe.phases[0], 10, recipe.final_share)
    at = {step: float(rates(step)) for step in (0, 25, 50, 1525, 2999, 3000, 4000)}
    assert at[0] == pytest.approx(1e-6)
    assert at[25] == pytest.approx((1e-6 + 1e-3) / 2, rel=1e-4)
    assert at[50] == pytest.approx(1e-3)
    assert at[1525] == pytest.approx((1e-3 + 1e-5) / 2, rel=1e-4)  # half of the decay
    assert at[2999] == pytest.approx(1e-5, rel=1e-3)
    assert at[3000] == at[4000] == pytest.approx(1e-5)


def test_learning_rates_without_a_warmup() -> None:
    recipe = RECIPES["finetune_384"]
    rates = schedule(recipe.phases[0], 10, recipe.final_share)
    assert float(rates(0)) == pytest.approx(5e-5)
    assert float(rates(300)) == pytest.approx(5e-7)


@pytest.mark.single_backend
def test_kernels_alone_decay() -> None:
    """With gradients of zero AdamW changes a variable by its decay alone."""
    model = tiny(input_shape=(32, 32, 3))
    recipe = get_recipe("paper", learning_rate=0.1)
    adamw = optimizer(recipe, recipe.phases[0], 1, model)
    before = [keras.ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    zeros = [keras.ops.zeros(v.shape) for v in model.trainable_variables]
    for _ in range(6):  # the first learning rates are tiny
        adamw.apply(zeros)

    decayed = {}
    for variable, old in zip(model.trainable_variables, before, strict=True):
        new = keras.ops.convert_to_numpy(variable)
        decayed[variable.path] = not np.array_equal(new, old)
        assert decayed[variable.path] == (variable.name == "kernel"), variable.path
    assert any("layer_scale" in path for path in decayed)
    assert {path.rsplit("/")[-1] for path in decayed} == {"kernel", "bias", "gamma", "beta"}


@pytest.mark.single_backend
def test_the_average_is_of_the_length_of_the_training() -> None:
    paper = RECIPES["paper"]
    assert ema_momentum(paper, 10) == 0
    assert ema_momentum(paper, 1000) == pytest.approx(0.99)
    assert ema_momentum(paper, 10**6) == 0.9995
    assert ema_momentum(RECIPES["finetune"], 1000) is None
