"""Agreement and signal-to-noise ratio of a classifier's outputs."""

import numpy as np
import pytest

from conversion.metrics import agreement, sqnr_db
from tests.models import chance_of_difference

pytestmark = pytest.mark.single_backend


def test_agreement_is_of_the_best_classes():
    reference = np.array([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    received = np.array([[10, 90], [51, 49], [60, 40], [0, 1]])
    assert agreement(reference, received) == 0.75


class TestSqnr:
    def test_is_the_ratio_of_energies(self):
        rng = np.random.default_rng(0)
        reference = rng.normal(size=(100, 10)).astype("float32")
        noise = rng.normal(size=(100, 10)).astype("float32")
        expected = 10 * np.log10((reference**2).sum() / (0.01**2 * (noise**2).sum()))
        assert sqnr_db(reference, reference + 0.01 * noise) == pytest.approx(expected, abs=1e-3)
        # Of all values together: not a mean of each image's.
        assert sqnr_db(np.array([[10.0], [1.0]]), np.array([[10.0], [2.0]])) == pytest.approx(
            20.04, abs=0.01
        )

    def test_extremes(self):
        values = np.ones((2, 2), "float32")
        assert sqnr_db(values, values) == np.inf
        assert sqnr_db(0 * values, values) == -np.inf
        assert np.isnan(sqnr_db(values, np.nan * values))


def test_the_chance_of_a_difference_is_that_of_coins():
    right, other = np.zeros((2, 10_000), bool)
    assert chance_of_difference(right, other) == 1
    right[:3], other[3:4] = True, True
    right[100:], other[100:] = True, True  # these do not tell
    assert chance_of_difference(right, other) == 2 * (1 + 4) / 16
    right, other = np.arange(100) < 58, np.arange(100) >= 58
    assert 0.1 < chance_of_difference(right, other) < 0.2  # 16 images of 100 that differ
    right, other = np.arange(100) < 80, np.arange(100) >= 80
    assert chance_of_difference(right, other) < 1e-6
