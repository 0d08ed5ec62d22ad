"""The synthetic hand is a hand, and its pictures show it."""

import json
import re
from collections import Counter
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from keras import ops
from PIL import Image
from scipy.spatial.transform import Rotation

from benchmarks.hand_mesh import main, measure, pictured
from benchmarks.hand_mesh import meshes as meshes_of
from benchmarks.hand_mesh_report import plot, to_json, to_markdown
from benchmarks.rendering import rasterize, render, vertex_normals
from benchmarks.synthetic_hand import (
    FINGERS,
    PALM,
    PARENTS,
    _tubes,
    random_parameters,
    synthetic_hand_model,
)
from keras_fastvit.tasks import Mano, project, split_parameters

pytestmark = pytest.mark.single_backend


@pytest.fixture(scope="module")
def model():
    return synthetic_hand_model()


def tubes(model):
    """The vertices' numbers of the palm and each finger."""
    sizes = [rings * sides + 2 for rings, sides in _tubes()]
    ends = [0, *np.cumsum(sizes)]
    assert ends[-1] == len(model.v_template)
    return [range(a, b) for a, b in pairwise(ends)]


def meshes(model, parameters):
    pose, shape, camera = split_parameters(ops.convert_to_tensor(parameters))
    vertices, joints = Mano.from_model(model)(pose, shape)
    found = (vertices, joints, project(vertices, camera))
    return [ops.convert_to_numpy(x).astype("float64") for x in found]


def test_its_parts_are_closed_and_face_outwards(model):
    for numbers in tubes(model):
        faces = model.f[np.isin(model.f, numbers).all(axis=1)]
        edges = Counter((int(f[i]), int(f[i - 1])) for f in faces for i in range(3))
        assert all(edges[b, a] == count == 1 for (a, b), count in edges.items())
        corners = model.v_template.astype("float64")[faces]
        volume = np.linalg.det(corners).sum() / 6
        assert 5e-6 < volume < 4e-4  # Cubic metres.
        normals = vertex_normals(model.v_template.astype("float64"), model.f)[list(numbers)]
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)


def test_skin_follows_the_bones_around_it(model):
    np.testing.assert_allclose(model.weights.sum(axis=1), 1, atol=1e-6)
    assert model.weights.min() >= 0
    palm, *fingers = tubes(model)
    assert (model.weights[list(palm), 0] == 1).all()
    for number, finger in enumerate(fingers):
        own = [0, *range(3 * number + 1, 3 * number + 4)]
        assert (model.weights[list(finger)][:, own].sum(axis=1) > 0.999).all()
        assert model.weights[finger[-1], own[-1]] == 1


def test_joints_are_where_the_bones_meet(model):
    joints = model.J_regressor @ model.v_template
    assert model.parents == PARENTS
    for number, finger in enumerate(FINGERS):
        first = 3 * number + 1
        np.testing.assert_allclose(joints[first, :2], finger.knuckle, atol=1e-6)
        bones = np.linalg.norm(np.diff(joints[first : first + 3], axis=0), axis=1)
        np.testing.assert_allclose(bones, finger.bones[:2], atol=1e-6)
    np.testing.assert_allclose(joints[0], 0, atol=1e-6)
    assert PALM[1][0] == 0


def test_fingers_bend_towards_the_camera(model):
    """Where the palm is; the mean hand is a little bent."""
    parameters = np.zeros((2, 61), "float32")
    parameters[0, 3:48] = -model.hands_mean
    vertices, _, _ = meshes(model, parameters)
    for finger in tubes(model)[1:]:
        rest, bent = vertices[:, finger[-1], 2]
        assert abs(rest) < 1e-3
        assert -0.06 < bent < -0.01


def test_random_hands_are_within_the_stated_limits(model):
    parameters = random_parameters(400, model.hands_mean, np.random.default_rng(0))
    assert parameters.shape == (400, 61)
    angles = np.degrees(np.linalg.norm(parameters[:, :3], axis=1))
    assert angles.max() <= 60
    assert angles.max() > 55
    bends = (parameters[:, 3:48] + model.hands_mean).reshape(400, 5, 3, 3)
    assert np.linalg.norm(bends, axis=-1).max() < 1.6
    _, _, flat = meshes(model, parameters)
    inside = (np.abs(flat) < 1).all(axis=-1)
    assert inside.mean() > 0.97
    assert inside.mean(axis=1).min() > 0.6
    turns = [Rotation.from_rotvec(hand[:3]) for hand in parameters]
    middles = np.array([turn.apply([0, -0.085, 0])[:2] for turn in turns]) * 10
    in_the_image = parameters[:, 58:59] * middles + parameters[:, 59:]
    assert 0.14 < np.abs(in_the_image).max() < 0.151


def square(depth, side=10.0):
    """A square in the middle of a 16×16 image that faces the camera, as two triangles."""
    low, high = 8 - side / 2, 8 + side / 2
    points = np.array([[low, low], [low, high], [high, high], [high, low]])
    return np.column_stack([points, np.full(4, depth)]), np.array([[0, 1, 2], [0, 2, 3]])


def test_draws_what_faces_the_camera_where_it_is():
    points, faces = square(1.0)
    canvas = np.zeros((16, 16, 3))
    rasterize(points, np.tile([1.0, 0.5, 0.25], (4, 1)), faces, canvas)
    drawn = np.zeros((16, 16), bool)
    drawn[3:13, 3:13] = True
    np.testing.assert_allclose(canvas, drawn[..., None] * [1.0, 0.5, 0.25], atol=1e-12)
    behind = np.zeros((16, 16, 3))
    rasterize(points, np.ones((4, 3)), faces[:, ::-1], behind)
    assert not behind.any()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_is_nearer_hides_what_is_behind(order):
    near, faces = square(1.0, side=4.0)
    far, _ = square(2.0)
    points, colours = np.concatenate([near, far]), np.repeat([[1.0] * 3, [0.5] * 3], 4, axis=0)
    both = np.concatenate([faces + 4 * i for i in order])
    canvas = np.zeros((16, 16, 3))
    rasterize(points, colours, both, canvas)
    assert np.isclose(canvas, 1).all(axis=-1).sum() == 16
    assert np.isclose(canvas, 0.5).all(axis=-1).sum() == 84


def test_beyond_the_border_nothing_is_drawn():
    points, faces = square(1.0, side=100.0)
    canvas = np.zeros((16, 16, 3))
    rasterize(points, np.ones((4, 3)), faces, canvas)
    np.testing.assert_allclose(canvas, 1)
    rasterize(points + np.array([500, 0, 0]), np.zeros((4, 3)), faces, canvas)
    np.testing.assert_allclose(canvas, 1)


def test_pictures_differ_where_the_hand_is(model):
    parameters = random_parameters(2, model.hands_mean, np.random.default_rng(1))
    vertices, _, flat = meshes(model, parameters)
    pictures = [
        render(vertices[0], flat[0] + shift, model.f, 64, np.random.default_rng(5))
        for shift in (0.0, 5.0)  # The same draws; the second hand is outside.
    ]
    assert pictures[0].shape == (64, 64, 3)
    assert pictures[0].dtype == "uint8"
    differ = (pictures[0].astype(int) != pictures[1]).any(axis=-1)
    columns, rows = ((flat[0].T + 1) * 32).astype(int)
    hand = np.zeros((64, 64), bool)
    hand[np.clip(rows, 0, 63), np.clip(columns, 0, 63)] = True
    assert differ[hand].mean() > 0.9
    box = np.zeros((64, 64), bool)
    box[max(rows.min() - 1, 0) : rows.max() + 2, max(columns.min() - 1, 0) : columns.max() + 2] = 1
    assert not differ[~box].any()
    again = render(vertices[0], flat[0], model.f, 64, np.random.default_rng(5))
    np.testing.assert_array_equal(again, pictures[0])


def test_the_benchmark_measures_and_shows_errors(model, tmp_path):
    parameters = random_parameters(3, model.hands_mean, np.random.default_rng(2))
    mano = Mano.from_model(model)
    hands = pictured(mano, model.f, parameters, seed=0)
    assert asdict(measure(mano, parameters, hands)) == pytest.approx(
        {"mpjpe": 0, "pa_mpjpe": 0, "mpvpe": 0, "pa_mpvpe": 0, "pixels": 0}, abs=1e-3
    )
    # Turned by 0.1 radians and moved by a tenth of half the image: nothing is left once aligned.
    other = parameters.copy()
    other[:, :3] *= 1 + 0.1 / np.linalg.norm(other[:, :3], axis=1, keepdims=True)
    other[:, 60] += 0.1
    errors = measure(mano, other, hands)
    assert errors.pa_mpjpe < 0.01 < 2 < errors.mpjpe < 15
    assert errors.pa_mpvpe < 0.01 < 2 < errors.mpvpe < 15
    assert 2 < errors.pixels < 8
    facts = {"training_images": 8000, "epochs": 4, "test_images": 3, "int8_sqnr_db": 20.0}
    assert f"| int8 | {errors.mpjpe:.2f} | 0.00 |" in to_markdown({"int8": errors}, facts)
    assert json.loads(to_json({"int8": errors}, facts))["errors"]["int8"] == asdict(errors)
    vertices, _, _, joints = meshes_of(mano, other)
    plot(hands.images, hands.image_joints, joints, vertices, model, tmp_path / "hands.png")
    with Image.open(tmp_path / "hands.png") as picture:
        assert picture.width > 400


def test_the_benchmark_refuses_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--images", "3", "--output", str(tmp_path)])
    assert re.search(r"^.*Expected at least 200 images.*Received: 3.*\n$", capsys.readouterr().err)
    assert not list(tmp_path.iterdir())
