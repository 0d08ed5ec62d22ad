"""Rounding weights: on LiteRT's grid, with less error in the outputs than the nearest has."""

import numpy as np
import pytest

from keras_fastvit.architecture.fake_quantization import INT8_LEVELS as LEVELS
from keras_fastvit.conversion.quantization.weight_rounding import (
    bias_for,
    refit,
    round_kernel,
)

pytestmark = pytest.mark.single_backend


def problem(problems=1, rows=400, taps=12, filters=5, seed=0):
    """Inputs that are correlated, as neighbouring pixels and channels are, and a kernel."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(problems, taps, taps)) + 2 * rng.normal(size=(problems, 1, taps))
    inputs = rng.normal(size=(problems, rows, taps)) @ mixing + rng.normal(size=taps)
    kernel = rng.normal(size=(problems, taps, filters))
    return inputs.astype("float32"), kernel.astype("float32")


def nearest(kernel):
    scales = np.abs(kernel).max(1, keepdims=True) / LEVELS
    return np.rint(kernel / scales) * scales


def error(inputs, kernel, rounded):
    """Mean square of what is wrong with the outputs, apart from their means, a filter each."""
    difference = inputs @ (rounded - kernel)
    return difference.var(1)


@pytest.mark.parametrize(
    ("problems", "taps", "filters"), [(1, 12, 5), (7, 9, 1), (3, 150, 4), (2, 1, 3)]
)
def test_weights_are_what_litert_makes_of_them(problems, taps, filters):
    inputs, kernel = problem(problems, taps=taps, filters=filters)
    rounded = round_kernel(inputs, kernel)
    assert rounded.shape == kernel.shape
    assert rounded.dtype == np.float32
    largest = np.abs(rounded).max(1, keepdims=True)
    # The scale is that of the kernel before, so that other weights keep their steps.
    np.testing.assert_allclose(largest, np.abs(kernel).max(1, keepdims=True), rtol=1e-6)
    scales = largest / np.float32(LEVELS)
    steps = rounded / scales
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert np.abs(np.rint(steps)).max() == LEVELS
    np.testing.assert_allclose(np.rint(steps) * scales, rounded, rtol=1e-6)


def test_signs_of_the_largest_weights_stay():
    inputs, kernel = problem(filters=40)
    rounded = round_kernel(inputs, kernel)
    place = np.abs(kernel).argmax(1)[:, None]
    np.testing.assert_allclose(
        np.take_along_axis(rounded, place, 1), np.take_along_axis(kernel, place, 1), rtol=1e-6
    )


def test_filters_of_zeros_stay_zero():
    inputs, kernel = problem(3)
    kernel[1, :, 2] = 0
    kernel[2] = 0
    rounded = round_kernel(inputs, kernel)
    assert not rounded[1, :, 2].any()
    assert not rounded[2].any()
    assert rounded[0].any(0).all()
    assert rounded[1, :, [0, 1, 3, 4]].any(1).all()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_inputs_that_never_change_round_to_the_nearest(value):
    _, kernel = problem(2)
    rounded = round_kernel(np.full((2, 50, 12), value, "float32"), kernel)
    np.testing.assert_allclose(rounded, nearest(kernel), atol=1e-5)


@pytest.mark.parametrize("taps", [12, 150])  # within a block and beyond one
def test_outputs_are_nearer_than_with_the_nearest_weights(taps):
    inputs, kernel = problem(4, rows=1000, taps=taps, filters=16)
    ours = error(inputs, kernel, round_kernel(inputs, kernel)).mean()
    assert ours < 0.5 * error(inputs, kernel, nearest(kernel)).mean()


def test_outputs_are_nearer_than_with_any_other_step_of_few_weights():
    inputs, kernel = problem(1, taps=4, filters=6, seed=3)
    found = error(inputs, kernel, round_kernel(inputs, kernel))[0]
    plain = error(inputs, kernel, nearest(kernel))[0]
    scales = np.abs(kernel[0]).max(0) / LEVELS
    floors = np.floor(kernel[0] / scales)
    best = np.full(6, np.inf)
    for ups in np.ndindex(2, 2, 2, 2):
        steps = np.clip(floors + np.array(ups)[:, None], -LEVELS, LEVELS)
        best = np.minimum(best, error(inputs, kernel, (steps * scales)[None])[0])
    # Not the best there is, which takes a search, but on its side of the nearest.
    assert np.log(found / best).mean() < 0.5 * np.log(plain / best).mean()


def test_the_mean_of_the_inputs_is_the_bias_affair():
    inputs, kernel = problem(4)
    moved = round_kernel(inputs + np.float32(512), kernel)
    assert error(inputs, kernel, moved).mean() < 0.5 * error(inputs, kernel, nearest(kernel)).mean()


def test_blocks_are_for_speed_alone(monkeypatch):
    inputs, kernel = problem(taps=150)
    expected = round_kernel(inputs, kernel)
    monkeypatch.setattr("keras_fastvit.conversion.quantization.weight_rounding._BLOCK", 1000)
    np.testing.assert_allclose(round_kernel(inputs, kernel), expected, rtol=1e-6)


@pytest.mark.parametrize("taps", [12, 100])
def test_the_order_of_taps_and_filters_does_not_matter(taps):
    inputs, kernel = problem(taps=taps)
    expected = round_kernel(inputs, kernel)
    taps, filters = np.random.default_rng(1).permutation(taps), np.array([3, 1, 4, 0, 2])
    received = round_kernel(inputs[:, :, taps], kernel[:, taps][:, :, filters])
    np.testing.assert_allclose(received, expected[:, taps][:, :, filters], rtol=1e-6)


def test_problems_are_independent_and_results_repeat():
    inputs, kernel = problem(6)
    together = round_kernel(inputs, kernel)
    np.testing.assert_array_equal(together, round_kernel(inputs, kernel))
    alone = np.concatenate([round_kernel(inputs[i : i + 1], kernel[i : i + 1]) for i in range(6)])
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_arguments_are_left_alone():
    inputs, kernel = problem()
    copies = inputs.copy(), kernel.copy()
    round_kernel(inputs, refit(inputs, inputs @ kernel, kernel, 0.1))
    np.testing.assert_array_equal(inputs, copies[0])
    np.testing.assert_array_equal(kernel, copies[1])


def test_refit_finds_the_kernel_that_made_the_outputs():
    inputs, kernel = problem(3)
    outputs = inputs @ kernel + 5
    wrong = kernel + np.random.default_rng(1).normal(0, 0.3, kernel.shape).astype("float32")
    found = refit(inputs, outputs, wrong, ridge=1e-9)
    np.testing.assert_allclose(found, kernel, atol=1e-2)
    np.testing.assert_allclose(bias_for(inputs, outputs, found), 5, atol=5e-2)


def test_a_large_ridge_leaves_the_kernel():
    inputs, kernel = problem(3)
    outputs = np.random.default_rng(1).normal(size=(3, 400, 5)).astype("float32")
    np.testing.assert_allclose(refit(inputs, outputs, kernel, ridge=1e9), kernel, atol=1e-6)


def test_refit_is_the_minimum_of_its_docstring():
    inputs, kernel = problem()
    outputs = (inputs @ kernel) ** 2 / 30
    centred = (inputs - inputs.mean(1, keepdims=True)).astype("float64")
    wanted = outputs - outputs.mean(1, keepdims=True)
    power = np.square(centred).mean()

    def cost(candidate):
        difference = candidate.astype("float64") - kernel
        square = np.square(centred @ candidate - wanted).sum() / inputs.shape[1]
        return square + 0.3 * power * np.square(difference).sum()

    found = refit(inputs, outputs, kernel, ridge=0.3)
    least = cost(found)
    assert least < 0.9 * cost(kernel)
    rng = np.random.default_rng(2)
    for _ in range(20):
        assert cost(found + rng.normal(0, 0.01, kernel.shape)) > least


def test_refit_of_few_rows_or_constant_inputs_is_finite():
    inputs, kernel = problem(rows=3)
    assert np.isfinite(refit(inputs, inputs @ kernel + 1, kernel * 0.9, ridge=1.0)).all()
    zeros = np.zeros_like(inputs)
    np.testing.assert_array_equal(refit(zeros, zeros @ kernel + 1, kernel, ridge=1.0), kernel)


def test_bias_gives_the_outputs_means():
    inputs, kernel = problem(3)
    outputs = np.random.default_rng(1).normal(2, 1, size=(3, 400, 5)).astype("float32")
    bias = bias_for(inputs, outputs, kernel)
    assert bias.shape == (3, 5)
    means = (inputs @ kernel + bias[:, None]).mean(1)
    np.testing.assert_allclose(means, outputs.mean(1), atol=1e-3)
