"""Procrustes alignment: exact where it can be, best where not, and never a mirror's."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from keras_fastvit.evaluation.point_errors import (
    mean_point_error,
    procrustes_align,
    procrustes_error,
)

pytestmark = pytest.mark.single_backend


def points(seed=0, hands=4, count=16):
    return np.random.default_rng(seed).normal(size=(hands, count, 3))


def moved(x, seed=1):
    rng = np.random.default_rng(seed)
    turned = [Rotation.random(rng=rng).apply(hand) for hand in x]
    return rng.uniform(0.3, 3, (len(x), 1, 1)) * turned + rng.normal(size=(len(x), 1, 3))


def test_a_similarity_is_undone():
    x = points()
    np.testing.assert_allclose(procrustes_align(moved(x), x), x, atol=1e-12)
    assert procrustes_error(moved(x), x) < 1e-12
    assert mean_point_error(moved(x), x) > 0.5


def test_a_mirror_image_is_not():
    x = points()
    mirrored = x * (-1, 1, 1)
    assert procrustes_error(mirrored, x) > 0.2
    # Nor is the wrong axis turned: nothing beside it is nearer.
    assert_best(mirrored, x)


def assert_best(x, target):
    aligned = procrustes_align(x, target)
    error = np.sum((aligned - target) ** 2, axis=(1, 2))
    rng = np.random.default_rng(3)
    middle = aligned.mean(axis=1, keepdims=True)
    for _ in range(200):
        turn = Rotation.from_rotvec(rng.normal(0, 0.05, 3)).as_matrix()
        other = rng.normal(1, 0.05) * (aligned - middle) @ turn.T + middle + rng.normal(0, 0.02, 3)
        assert (np.sum((other - target) ** 2, axis=(1, 2)) >= error - 1e-9).all()
    # A rotation and a scale of what came in: distances keep their ratios, handedness its sign.
    before, after = (np.linalg.norm(y[:, 1:] - y[:, :1], axis=-1) for y in (x, aligned))
    np.testing.assert_allclose(after / before, (after / before)[:, :1] + 0 * after, rtol=1e-9)
    volumes = [np.linalg.det(y[:, 1:4] - y[:, :1]) for y in (x, aligned)]
    assert (np.sign(volumes[0]) == np.sign(volumes[1])).all()


def test_no_similarity_near_it_is_better():
    x = points()
    assert_best(moved(x) + points(5) * 0.3, x)


def test_hands_without_extent():
    flat = points() * (1, 1, 0)
    np.testing.assert_allclose(procrustes_align(moved(flat), flat), flat, atol=1e-12)
    x, one = points(), np.ones((4, 16, 3))
    expected = np.repeat(x.mean(axis=1, keepdims=True), 16, axis=1)
    np.testing.assert_allclose(procrustes_align(one, x), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b"), [((4, 16, 2), (4, 16, 2)), ((16, 3), (16, 3)), ((4, 16, 3), (4, 15, 3))]
)
def test_shapes_that_do_not_fit(a, b):
    with pytest.raises(ValueError, match=r"same shape \(hands, points, 3\).*Received: \("):
        procrustes_error(np.zeros(a), np.zeros(b))
