"""Accuracy by rank and by class, and how honest confidences are."""

import numpy as np
import pytest

from keras_fastvit.evaluation.metrics import (
    agreement,
    calibration_error,
    per_class_accuracy,
    ranks,
    reliability,
    softmax,
    sqnr_db,
    top_k_accuracy,
)
from tests.models import chance_of_difference

pytestmark = pytest.mark.single_backend


class TestTopK:
    def test_counts_as_sorting_does(self):
        rng = np.random.default_rng(0)
        scores, labels = rng.normal(size=(50, 7)).astype("float32"), rng.integers(0, 7, 50)
        for k in range(1, 8):
            best = np.argsort(-scores, axis=1)[:, :k]
            expected = np.mean([label in row for label, row in zip(labels, best, strict=True)])
            assert top_k_accuracy(scores, labels, k) == expected
        assert top_k_accuracy(scores, labels, 7) == 1

    def test_equal_scores_rank_by_class(self):
        scores = np.zeros((3, 3), "int8")
        labels = np.array([0, 1, 2])
        assert [top_k_accuracy(scores, labels, k) for k in (1, 2, 3)] == [1 / 3, 2 / 3, 1]
        assert top_k_accuracy(scores, labels) == np.mean(scores.argmax(axis=1) == labels)

    def test_nan_is_wrong(self):
        scores = np.array([[np.nan, 1.0], [np.nan, 1.0]])
        assert top_k_accuracy(scores, np.array([0, 0]), 2) == 0
        assert top_k_accuracy(scores, np.array([1, 1]), 1) == 0

    def test_nan_is_wrong_with_more_guesses_than_classes(self):
        assert top_k_accuracy(np.array([[np.nan, 1.0]]), np.array([0]), 5) == 0

    def test_ranks(self):
        scores = np.array([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
        assert ranks(scores, np.array([0, 1, 1])).tolist() == [2, 0, 1]


def test_softmax_of_large_logits():
    found = softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3)], [-1e4, 1e4]], "float32"))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75], [0, 1]], rtol=1e-6)


class TestPerClass:
    def test_is_the_recall(self):
        """The share of the diagonal in each row of the confusion matrix."""
        rng = np.random.default_rng(0)
        scores, labels = rng.normal(size=(300, 6)), rng.integers(0, 5, 300)  # none of class 5
        confusion = np.zeros((6, 6))
        for label, row in zip(labels, scores, strict=True):
            confusion[label, row.argmax()] += 1
        found = per_class_accuracy(scores, labels)
        np.testing.assert_allclose(found[:5], np.diag(confusion)[:5] / confusion[:5].sum(axis=1))
        assert np.isnan(found[5])
        # Weighted by their images, classes make the accuracy.
        weights = np.bincount(labels, minlength=6)[:5]
        assert np.average(found[:5], weights=weights) == pytest.approx(
            top_k_accuracy(scores, labels)
        )

    def test_with_more_guesses(self):
        scores = np.array([[3, 2, 1], [1, 2, 3], [2, 1, 3]])
        labels = np.array([1, 1, 0])
        assert per_class_accuracy(scores, labels).tolist()[:2] == [0, 0]
        assert per_class_accuracy(scores, labels, 2).tolist()[:2] == [1, 1]


class TestCalibration:
    def test_by_hand(self):
        """Bins of five: (0.4, 0.6] with 0.6 and 0.5, (0.8, 1] with 0.9, 1 and 0.85."""
        best = np.array([0.6, 0.5, 0.9, 1.0, 0.85])
        probabilities = np.column_stack([best, 1 - best])
        labels = np.array([0, 1, 0, 0, 1])  # the second ties: class 0 is the best
        shares, confidences, accuracies = reliability(probabilities, labels, 5)
        np.testing.assert_allclose(shares, [0, 0, 0.4, 0, 0.6])
        np.testing.assert_allclose(confidences, [np.nan, np.nan, 0.55, np.nan, 2.75 / 3])
        np.testing.assert_allclose(accuracies, [np.nan, np.nan, 0.5, np.nan, 2 / 3])
        expected = 0.4 * 0.05 + 0.6 * (2.75 / 3 - 2 / 3)
        assert calibration_error(probabilities, labels, 5) == pytest.approx(expected)

    def test_as_the_paper_has_it(self):
        """Equation 3, image by image, over 15 bins."""
        rng = np.random.default_rng(1)
        probabilities = softmax(rng.normal(size=(400, 5)) * 2)
        labels = rng.integers(0, 5, 400)
        best, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        expected = 0.0
        for m in range(15):
            inside = [
                i for i in range(400) if m / 15 < confidence[i] and confidence[i] <= (m + 1) / 15
            ]
            if inside:
                accuracy = np.mean([best[i] == labels[i] for i in inside])
                expected += len(inside) / 400 * abs(accuracy - np.mean(confidence[inside]))
        assert calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-12)
        assert expected > 0.1

    def test_extremes(self):
        sure = np.eye(4)
        assert calibration_error(sure, np.arange(4)) == 0
        assert calibration_error(sure, (np.arange(4) + 1) % 4) == 1
        # Rounding may lift a probability above 1: it is in the last bin all the same.
        assert calibration_error(np.array([[1 + 1e-12, 0.0]]), np.array([0])) < 1e-9

    def test_a_temperature_changes_it_and_not_the_accuracy(self):
        rng = np.random.default_rng(2)
        labels = rng.integers(0, 3, 3000)
        logits = np.log(np.where(labels[:, None] == np.arange(3), 0.7, 0.15))
        wrong = rng.random(3000) < 0.3
        logits[wrong] = np.roll(logits[wrong], 1, axis=1)
        assert calibration_error(softmax(logits), labels) < 0.03
        assert calibration_error(softmax(10 * logits), labels) > 0.25


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
