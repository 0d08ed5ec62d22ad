"""A synthetic hand in MANO's layout, and random poses of it.

A stand-in for what may not be passed on (MANO) and what is not at hand (FreiHAND): made of tubes,
with MANO's joints, arrays and conventions, but neither its shape nor its statistics. At rest the
fingers point up (−y) and the palm towards the camera (−z), as in an image whose x points right and
whose y points down; the thumb is on the right. The wrist is near the origin. Lengths in metres.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.rendering import vertex_normals
from keras_fastvit.tasks.hand_mesh import SCALE_UNIT
from keras_fastvit.tasks.mano_file import ARTICULATION, JOINTS, SHAPES, HandModel, hand_model

Array = NDArray[np.float64]


class Finger(NamedTuple):
    """A finger at rest: its knuckle (x, y), degrees from −y towards x, its bones, its radius."""

    knuckle: tuple[float, float]
    degrees: float
    bones: tuple[float, float, float]
    radius: float


FINGERS = (  # In MANO's order: joints 1 to 3 are the index finger's, 13 to 15 the thumb's.
    Finger((0.024, -0.088), 6, (0.042, 0.025, 0.021), 0.0090),  # index
    Finger((0.004, -0.092), 0, (0.046, 0.029, 0.022), 0.0092),  # middle
    Finger((-0.034, -0.074), -16, (0.033, 0.020, 0.019), 0.0078),  # little
    Finger((-0.016, -0.086), -7, (0.043, 0.027, 0.022), 0.0087),  # ring
    Finger((0.026, -0.026), 50, (0.044, 0.033, 0.027), 0.0110),  # thumb
)
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)

PALM = (  # y, half width and half thickness of each ring; the second is at the wrist.
    (0.030, 0.025, 0.016),
    (0.000, 0.026, 0.015),
    (-0.020, 0.033, 0.015),
    (-0.045, 0.040, 0.014),
    (-0.068, 0.042, 0.013),
    (-0.086, 0.036, 0.010),
    (-0.092, 0.024, 0.005),
)
WRIST_RING = 1
PALM_SIDES, FINGER_SIDES = 16, 8
STEPS = 4
"""Rings of a phalanx."""

BLEND = 0.007
"""Metres before and behind a joint in which skin follows both of its bones."""

STEP = 0.05
"""By how much of itself a length grows with one unit of a shape parameter."""

BULGE = 0.0015
"""Metres by which skin moves near a joint that turns by a radian or so."""

MEAN_BEND = 0.25
"""Radians by which the joints of the fingers are bent in the mean pose."""

TURN = np.radians(60)
"""The largest angle between a hand and the one at rest, about any axis."""

BENDS = ((-0.2, 1.4), (0.0, 1.5), (0.0, 1.0))
"""Radians by which a finger's joints bend, from the palm outwards."""

THUMB_BENDS = ((-0.2, 0.6), (0.0, 0.8), (0.0, 1.0))

SPREAD = 0.2
"""Radians by which a finger turns in the palm's plane at its knuckle, either way."""


def synthetic_hand_model() -> HandModel:
    """Returns the arrays of the synthetic hand; always the same."""
    template, rings = _vertices(np.zeros(SHAPES))
    eye = np.eye(SHAPES)
    directions = [_vertices(unit)[0] - template for unit in eye]
    regressor = np.zeros((JOINTS, len(template)))
    for joint, ring in enumerate(rings):
        regressor[joint, ring] = 1 / len(ring)
    faces = _faces()
    axes = np.repeat([axis for _, axis in _frames()], 3, axis=0)
    return hand_model(
        {
            "v_template": template,
            "shapedirs": np.stack(directions, axis=-1),
            "posedirs": _pose_directions(template, regressor @ template, faces),
            "J_regressor": regressor,
            "weights": _skinning_weights(),
            "kintree_table": np.array([PARENTS, range(JOINTS)]),
            "f": faces,
            "hands_mean": (MEAN_BEND * axes).reshape(ARTICULATION),
            "hands_components": np.eye(ARTICULATION),
        }
    )


def random_parameters(count: int, mean: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draws hands: poses within a hand's limits, shapes, and cameras that see all or most of them.

    Bends, spreads and shapes are uniform or normal and independent; each hand is turned by up to
    60° about an axis of any direction.

    Args:
        count: How many.
        mean: `hands_mean`.
        rng: Where the numbers come from.

    Returns:
        `(count, 61)`, as a `HandMesh` gives them.
    """
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    orientation = direction * rng.uniform(0, TURN, (count, 1))
    joints = np.empty((count, JOINTS - 1, 3))
    for finger, (_, axis) in enumerate(_frames()):
        limits = np.array(THUMB_BENDS if finger == len(FINGERS) - 1 else BENDS)
        # Half of a bend is all of a finger's joints', as a fist closes.
        shares = 0.5 * rng.uniform(size=(count, 1)) + 0.5 * rng.uniform(size=(count, 3))
        bends = limits[:, 0] + shares * (limits[:, 1] - limits[:, 0])
        joints[:, 3 * finger : 3 * finger + 3] = bends[..., None] * axis
        joints[:, 3 * finger, 2] += rng.uniform(-SPREAD, SPREAD, count)
    pose = np.concatenate([orientation, joints.reshape(count, ARTICULATION) - mean], axis=1)
    shape = np.clip(rng.normal(size=(count, SHAPES)), -2, 2)
    scale = rng.uniform(0.75, 1.0, count)
    # The hand's middle, a little above its palm's, comes near the image's.
    middle = _rotate(orientation, np.array([0.0, -0.085, 0.0]))[:, :2] * scale[:, None] / SCALE_UNIT
    offset = rng.uniform(-0.15, 0.15, (count, 2)) - middle
    return np.concatenate([pose, shape, scale[:, None], offset], axis=1).astype("float32")


def _rotate(vectors: Array, point: Array) -> Array:
    """Turns a point by axis-angle vectors `(count, 3)`, none of them zero."""
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    axis = vectors / angle
    along = axis * (axis @ point)[:, None]
    return along + np.cos(angle) * (point - along) + np.sin(angle) * np.cross(axis, point)


def _frames() -> list[tuple[Array, Array]]:
    """Each finger's direction at rest, and the axis about which it bends towards the palm."""
    angles = [np.radians(finger.degrees) for finger in FINGERS]
    directions = [np.array([np.sin(angle), -np.cos(angle), 0.0]) for angle in angles]
    return [(direction, np.cross(direction, [0.0, 0.0, -1.0])) for direction in directions]


def _distances(bones: Array) -> Array:
    """Returns the distances of a finger's rings from its knuckle; some lie in the palm."""
    ends = np.concatenate([[0.0], np.cumsum(bones)])
    phalanges = [np.linspace(a, b, STEPS, endpoint=False) for a, b in pairwise(ends)]
    return np.concatenate([[-0.012, -0.006], *phalanges])


def _vertices(shape: Array) -> tuple[Array, list[NDArray[np.int64]]]:
    """The hand at rest `(vertices, 3)`, and the vertices of the ring around each joint."""
    size, width, length, thickness, palm, *lengths = 1 + STEP * shape
    circle = _circle(PALM_SIDES)
    rings = [
        np.stack([width * a * circle[0], np.full(PALM_SIDES, palm * y), thickness * b * circle[1]])
        for y, a, b in PALM
    ]
    points = [np.concatenate([_with_poles([ring.T for ring in rings])])]
    at_joints = [1 + WRIST_RING * PALM_SIDES + np.arange(PALM_SIDES)]
    first = len(points[0])
    for finger, own, (direction, axis) in zip(FINGERS, lengths, _frames(), strict=True):
        start = np.array([finger.knuckle[0] * width, finger.knuckle[1] * palm, 0.0])
        distances = _distances(np.array(finger.bones) * length * own)
        end = sum(finger.bones) * length * own
        radii = finger.radius * thickness * (1.1 - 0.3 * distances / end)
        # A rounded tip: the last rings are a hemisphere's.
        tip = radii[-1] * np.cos(np.radians([0.0, 40.0, 70.0]))
        beyond = end - radii[-1] * (1 - np.sin(np.radians([0.0, 40.0, 70.0])))
        # Across the finger, so that outside is to the right of the direction of the rings.
        circle = _circle(FINGER_SIDES)
        across = circle[0][:, None] * axis + circle[1][:, None] * np.array([0.0, 0.0, 1.0])
        tube = [
            start + direction * distance + radius * across
            for distance, radius in zip(
                np.append(distances, beyond), np.append(radii, tip), strict=True
            )
        ]
        points.append(_with_poles(tube))
        for bone in range(3):
            ring = 2 + bone * STEPS
            at_joints.append(first + 1 + ring * FINGER_SIDES + np.arange(FINGER_SIDES))
        first += len(points[-1])
    return size * np.concatenate(points), at_joints


def _circle(sides: int) -> Array:
    angles = 2 * np.pi * np.arange(sides) / sides
    return np.stack([np.cos(angles), np.sin(angles)])


def _with_poles(rings: list[Array]) -> Array:
    """A tube's vertices: the middle of its first ring, its rings, the middle of its last one."""
    first, last = rings[0].mean(axis=0), rings[-1].mean(axis=0)
    return np.concatenate([first[None], *rings, last[None]])


def _tubes() -> list[tuple[int, int]]:
    """Rings and sides of the palm and the fingers."""
    return [(len(PALM), PALM_SIDES), *[(2 + 3 * STEPS + 3, FINGER_SIDES)] * len(FINGERS)]


def _faces() -> NDArray[np.int64]:
    """The triangles of all tubes; the cross product of their first two edges points outwards."""
    faces, first = [], 0
    for rings, sides in _tubes():
        here = np.arange(sides)
        after = (here + 1) % sides
        last = rings * sides + 1
        pole = np.zeros(sides, "int64")
        found = [np.stack([pole, 1 + after, 1 + here], axis=-1)]
        for ring in range(rings - 1):
            a, b = 1 + ring * sides + here, 1 + ring * sides + after
            found += [np.stack([a, b, a + sides], -1), np.stack([b, b + sides, a + sides], -1)]
        end = last - sides
        found.append(np.stack([end + here, end + after, pole + last], axis=-1))
        faces.append(first + np.concatenate(found))
        first += last + 1
    return np.concatenate(faces)


def _skinning_weights() -> Array:
    """`(vertices, 16)`: around each joint skin passes smoothly from one bone to the next."""
    (rings, sides), *_ = _tubes()
    weights = [np.zeros((rings * sides + 2, JOINTS))]
    weights[0][:, 0] = 1
    for number, finger in enumerate(FINGERS):
        distances = _distances(np.array(finger.bones))
        distances = np.append(distances, [sum(finger.bones)] * 3)
        at = np.concatenate([distances[:1], np.repeat(distances, FINGER_SIDES), distances[-1:]])
        starts = np.concatenate([[0.0], np.cumsum(finger.bones)[:2]])
        share = np.clip((at[:, None] - starts + BLEND) / (2 * BLEND), 0, 1)
        share = share**2 * (3 - 2 * share)
        own = np.zeros((len(at), JOINTS))
        # Beyond each joint all that follows the bone before follows the next one.
        passed = np.concatenate([np.ones((len(at), 1)), share, np.zeros((len(at), 1))], axis=1)
        own[:, [0, *range(3 * number + 1, 3 * number + 4)]] = passed[:, :-1] - passed[:, 1:]
        weights.append(own)
    return np.concatenate(weights)


def _pose_directions(template: Array, joints: Array, faces: NDArray[np.int64]) -> Array:
    """Skin that bulges where a joint bends: along its normal, at random, nearby only."""
    normals = vertex_normals(template, faces)
    squared = np.sum((template[:, None] - joints[None, 1:]) ** 2, axis=-1)
    near = BULGE * np.exp(-squared / 0.012**2)
    factors = np.random.default_rng(0).normal(size=(JOINTS - 1, 9))
    amounts = (near[..., None] * factors).reshape(len(template), 1, 9 * (JOINTS - 1))
    return normals[..., None] * amounts
