"""The losses of a head for hand meshes, and the meshes that its parameters stand for."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_fastvit.arrays import Array
from keras_fastvit.tasks.hand_mesh import project, split_parameters
from keras_fastvit.tasks.mano import Mano

PARTS = ("pose", "shape", "camera")
"""The names of what `split_parameters` returns."""

LOSSES = {"pose": 1.0, "shape": 0.1, "camera": 1.0, "joints": 50.0, "image_joints": 2.0}
"""Factors of the mean absolute errors: in radians, deviations, the camera's units, metres and half
image sides. They make the parts about equal at first, but for the shape, which is hard to see."""

_AT_ONCE = 500


def learner(head: keras.Model, mano: Mano, order: Sequence[int] | None = None) -> keras.Model:
    """Returns a model with the outputs that a head's losses need, in place of its parameters.

    Args:
        head: A `HandMesh`, whose layers are shared.
        mano: Hand model.
        order: Which of its joints are to be learnt, and in which order; default: as they are.

    Returns:
        A model with the outputs `PARTS`, `"joints"` `(batch, joints, 3)` in metres, relative to
        the first one, and `"image_joints"` `(batch, joints, 2)`, as `project` gives them.
    """
    parts = dict(zip(PARTS, split_parameters(head.output), strict=True))
    _, joints = mano(parts["pose"], parts["shape"])
    if order is not None:
        joints = ops.take(joints, np.array(order), axis=1)
    outputs = {
        **parts,
        "joints": joints - joints[:, :1],
        "image_joints": project(joints, parts["camera"]),
    }
    return keras.Model(head.input, outputs)


def meshes(mano: Mano, parameters: Array) -> tuple[Array, Array, Array, Array]:
    """Returns vertices and joints of hands, then both as they are in the image.

    Args:
        mano: Hand model.
        parameters: float32 `(hands, 61)`, as a `HandMesh` gives them.

    Returns:
        `(hands, vertices, 3)` and `(hands, joints, 3)` in metres, then `(…, 2)` in half image
        sides.
    """
    found = []
    for start in range(0, len(parameters), _AT_ONCE):
        part = ops.convert_to_tensor(parameters[start : start + _AT_ONCE])
        pose, shape, camera = split_parameters(part)
        points = mano(pose, shape)
        found.append([*points, *(project(x, camera) for x in points)])
    vertices, joints, image_vertices, image_joints = (
        np.concatenate([ops.convert_to_numpy(part) for part in parts])
        for parts in zip(*found, strict=True)
    )
    return vertices, joints, image_vertices, image_joints
