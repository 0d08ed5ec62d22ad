"""MANO as a differentiable layer: a hand's pose and shape become its mesh and joints."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fastvit.tasks.mano_file import ARTICULATION, JOINTS, SHAPES, HandModel, read_mano

POSE = 3 * JOINTS
"""Numbers of a pose: an axis-angle vector a joint, the first one the whole hand's orientation."""

_SMALL = 1e-2
"""Squared angle in radians², below which sines are computed by their series: to float32's last bit,
and with gradients at zero, where those of the quotient are 0 / 0."""


@keras.saving.register_keras_serializable(package="keras_fastvit")
class Mano(keras.Layer):
    """MANO's vertices and joints, from axis-angle vectors θ and shape parameters β.

    Of "Embodied Hands" (SIGGRAPH Asia 2017), section 3, on the body model SMPL (SIGGRAPH Asia
    2015). With the file's names, `R_j` the rotation matrix of joint `j` (Rodrigues' formula) and
    the file's mean pose added to the fingers' θ:

        shaped     = v_template + Σ_n β_n · shapedirs[…, n]
        J          = J_regressor · shaped
        posed      = shaped + Σ_n (R_1 … R_15 − I)_n · posedirs[…, n]
        G_0        = R_0,                  t_0 = J_0
        G_j        = G_parent(j) · R_j,    t_j = t_parent(j) + G_parent(j) · (J_j − J_parent(j))
        vertex_v   = Σ_j weights[v, j] · (G_j · (posed_v − J_j) + t_j)
        joint_j    = t_j

    The hand turns around its wrist, which stays where the shape puts it. Computes in float32 under
    any dtype policy: in 16 bits a hand is millimetres off.

    The arrays are weights that are not trained, so a saved model holds them: what the file's
    licence says holds for the model too. `Mano.from_file` makes a layer with a file's arrays; one
    that is made without has zeros, for a model's weights to be loaded.

    Args:
        vertices: Number of vertices.
        parents: The parent of each of the 16 joints, −1 of the root; parents precede children.
        fingertips: Vertices whose positions follow the joints', such as a data set's fingertips:
            MANO has none. Of its right hand, `(744, 320, 443, 554, 671)` are in use for thumb,
            index, middle, ring and little finger, and others near them.
        **kwargs: Further arguments of `keras.Layer`.

    Call arguments:
        pose: `(batch, 48)`: the orientation of the hand, then joints 1 to 15 relative to the file's
            mean pose (as FreiHAND's annotations are), axis-angle vectors in radians.
        shape: `(batch, 10)`, in standard deviations of hands.

    Returns:
        Vertices `(batch, vertices, 3)` and joints `(batch, 16 + fingertips, 3)` in metres: in
        MANO's order wrist, index, middle, little, ring finger and thumb, from the palm outwards.

    Raises:
        ValueError: If an argument is not as above.

    Example:
    >>> parents = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14]
    >>> layer = Mano(778, parents, fingertips=[744, 320, 443, 554, 671])
    >>> vertices, joints = layer(np.zeros((2, 48)), np.zeros((2, 10)))
    >>> tuple(vertices.shape), tuple(joints.shape)
    ((2, 778, 3), (2, 21, 3))
    """

    def __init__(
        self,
        vertices: int,
        parents: Sequence[int],
        fingertips: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.vertices = vertices
        self.parents = tuple(int(parent) for parent in parents)
        self.fingertips = tuple(int(tip) for tip in fingertips)
        if len(self.parents) != JOINTS or any(
            not 0 <= parent < joint for joint, parent in enumerate(self.parents) if joint > 0
        ):
            raise ValueError(
                f"`parents` must be {JOINTS} numbers that precede their joints', the first of which"
                f" is the root. Received: parents={tuple(parents)}"
            )
        if any(not 0 <= tip < vertices for tip in self.fingertips):
            raise ValueError(
                f"`fingertips` must be numbers of vertices, 0 to {vertices - 1}. "
                f"Received: fingertips={tuple(fingertips)}"
            )

        def constant(name: str, *shape: int) -> Any:
            return self.add_weight(shape=shape, initializer="zeros", trainable=False, name=name)

        self.v_template = constant("v_template", vertices, 3)
        self.shapedirs = constant("shapedirs", vertices, 3, SHAPES)
        self.posedirs = constant("posedirs", vertices, 3, 9 * (JOINTS - 1))
        self.J_regressor = constant("J_regressor", JOINTS, vertices)
        self.skinning_weights = constant("weights", vertices, JOINTS)
        self.hands_mean = constant("hands_mean", ARTICULATION)
        self.built = True

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], fingertips: Sequence[int] = (), **kwargs: Any
    ) -> "Mano":
        """Makes the layer of an `.npz` file in MANO's layout; see `read_mano`.

        Raises:
            FileNotFoundError: If there is nothing at `path`.
            ValueError: If it is not such a file, or `fingertips` are not vertices of it.
        """
        return cls.from_model(read_mano(path), fingertips, **kwargs)

    @classmethod
    def from_model(cls, model: HandModel, fingertips: Sequence[int] = (), **kwargs: Any) -> "Mano":
        """Makes the layer of arrays that have been read."""
        layer = cls(len(model.v_template), model.parents, fingertips, **kwargs)
        for variable in layer.weights:
            variable.assign(getattr(model, variable.name))
        return layer

    def call(self, pose: Any, shape: Any) -> tuple[Any, Any]:
        if pose.shape[1:] != (POSE,) or shape.shape[1:] != (SHAPES,):
            raise ValueError(
                f"Expected a pose of shape (batch, {POSE}) and a shape of shape (batch, {SHAPES}). "
                f"Received: {tuple(pose.shape)} and {tuple(shape.shape)}"
            )
        pose = ops.concatenate([pose[:, :3], pose[:, 3:] + self.hands_mean], axis=-1)
        rotations = axis_angle_to_matrix(ops.reshape(pose, (-1, JOINTS, 3)))

        shaped = self.v_template + ops.einsum("bs,vcs->bvc", shape, self.shapedirs)
        joints = ops.einsum("jv,bvc->bjc", self.J_regressor, shaped)
        bent = rotations[:, 1:] - ops.eye(3, dtype=rotations.dtype)
        bent = ops.reshape(bent, (-1, 9 * (JOINTS - 1)))
        posed = shaped + ops.einsum("bp,vcp->bvc", bent, self.posedirs)

        turned, moved = self._along_the_tree(rotations, joints)
        # G · (v − J) + t of all joints, averaged before it is applied: fewer products.
        offsets = moved - ops.einsum("bjmn,bjn->bjm", turned, joints)
        turn = ops.einsum("vj,bjmn->bvmn", self.skinning_weights, turned)
        move = ops.einsum("vj,bjm->bvm", self.skinning_weights, offsets)
        vertices = ops.einsum("bvmn,bvn->bvm", turn, posed) + move
        if self.fingertips:
            tips = ops.take(vertices, np.array(self.fingertips), axis=1)
            moved = ops.concatenate([moved, tips], axis=1)
        return vertices, moved

    def _along_the_tree(self, rotations: Any, joints: Any) -> tuple[Any, Any]:
        """Each joint's orientation `(batch, 16, 3, 3)` and position `(batch, 16, 3)`."""
        turned, moved = [rotations[:, 0]], [joints[:, 0]]
        for joint, parent in enumerate(self.parents[1:], 1):
            bone = joints[:, joint] - joints[:, parent]
            moved.append(moved[parent] + ops.einsum("bmn,bn->bm", turned[parent], bone))
            turned.append(ops.matmul(turned[parent], rotations[:, joint]))
        return ops.stack(turned, axis=1), ops.stack(moved, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vertices": self.vertices,
            "parents": list(self.parents),
            "fingertips": list(self.fingertips),
        }


def axis_angle_to_matrix(vectors: Any) -> Any:
    """Returns rotation matrices, by Rodrigues' formula `I + sin(a)/a · K + (1 − cos(a))/a² · K²`.

    `K` is the matrix of the cross product with a vector, `a` its length. Gradients are finite
    everywhere, at zero too.

    Args:
        vectors: `(..., 3)`: the axis, as long as the angle in radians.

    Returns:
        `(..., 3, 3)`; they turn columns: `matrix @ point`.
    """
    squared = ops.sum(ops.square(vectors), axis=-1)[..., None, None]
    small = squared < _SMALL
    # A branch that is not taken still has a gradient, which must not be infinite.
    safe = ops.where(small, ops.ones_like(squared), squared)
    angle = ops.sqrt(safe)
    series = 1 - squared / 6 * (1 - squared / 20)
    sine = ops.where(small, series, ops.sin(angle) / angle)
    series = 0.5 - squared / 24 * (1 - squared / 30)
    # 1 − cos(a) as 2 · sin²(a/2), which loses no digits.
    versine = ops.where(small, series, 2 * ops.square(ops.sin(angle / 2)) / safe)

    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    zero = ops.zeros_like(x)
    rows = [(zero, -z, y), (z, zero, -x), (-y, x, zero)]
    cross = ops.stack([ops.stack(row, axis=-1) for row in rows], axis=-2)
    return ops.eye(3, dtype=cross.dtype) + sine * cross + versine * ops.matmul(cross, cross)
