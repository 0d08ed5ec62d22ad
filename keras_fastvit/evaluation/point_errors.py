"""Distances of predicted points of hands, joints or vertices, from true ones. Pure NumPy."""

import numpy as np

from keras_fastvit.arrays import Array


def mean_point_error(predicted: Array, true: Array) -> float:
    """Mean distance between points: of joints the MPJPE, of a mesh's vertices the MPVPE.

    Subtract each hand's root from both first, `joints - joints[:, :1]`, where no absolute
    positions are predicted.

    Args:
        predicted: `(hands, points, 3)`.
        true: The same.

    Returns:
        In the points' unit.

    >>> mean_point_error(np.zeros((1, 2, 3)), np.array([[[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]]))
    3.0
    """
    _check(predicted, true)
    return float(np.linalg.norm(predicted - true, axis=-1).mean())


def procrustes_error(predicted: Array, true: Array) -> float:
    """`mean_point_error` after `procrustes_align`: PA-MPJPE of joints, PA-MPVPE of vertices.

    What FreiHAND is judged by, and the paper's table of hand meshes: the error of pose and shape,
    without that of orientation, size and place.

    Args:
        predicted: `(hands, points, 3)`.
        true: The same.

    Returns:
        In the points' unit.
    """
    return mean_point_error(procrustes_align(predicted, true), true)


def procrustes_align(points: Array, target: Array) -> Array:
    """Moves each hand's points by the similarity that brings them nearest to their targets.

    A rotation, one scale and a translation of least squared distance, by S. Umeyama,
    "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns" (IEEE PAMI
    13(4), 1991), equations 39 to 43. Never a reflection: a left hand is not a right one.

    Args:
        points: `(hands, points, 3)`.
        target: The same.

    Returns:
        float64 `(hands, points, 3)`. Points that all coincide are moved to the target's middle.

    Raises:
        ValueError: If the shapes are others, or differ.
    """
    _check(points, target)
    points, target = points.astype("float64"), target.astype("float64")
    middle = target.mean(axis=1, keepdims=True)
    a, b = points - points.mean(axis=1, keepdims=True), target - middle
    u, values, vt = np.linalg.svd(np.swapaxes(b, 1, 2) @ a)
    signs = np.ones_like(values)
    signs[:, 2] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1, 1)
    rotation = u * signs[:, None] @ vt
    spread = np.sum(a**2, axis=(1, 2))
    scale = np.sum(values * signs, axis=1) / np.where(spread > 0, spread, 1)
    aligned: Array = scale[:, None, None] * (a @ np.swapaxes(rotation, 1, 2)) + middle
    return aligned


def _check(points: Array, target: Array) -> None:
    if points.ndim != 3 or points.shape[2] != 3 or points.shape != target.shape:
        raise ValueError(
            "Expected two arrays of the same shape (hands, points, 3). "
            f"Received: {points.shape} and {target.shape}"
        )
