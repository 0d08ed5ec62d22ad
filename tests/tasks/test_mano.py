"""MANO's layer against a reference in plain loops, and files that are not MANO's."""

import os
import pickle
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.spatial.transform import Rotation

from keras_fastvit.tasks.mano import POSE, Mano, axis_angle_to_matrix
from keras_fastvit.tasks.mano_file import hand_model, read_mano
from tests.models import gradients, run

VERTICES, FACES = 23, 31
PARENTS = [2**32 - 1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14]
FLOATS = (
    *("v_template", "shapedirs", "posedirs", "J_regressor"),
    *("weights", "hands_mean", "hands_components"),
)


def arrays(seed=0):
    """MANO's arrays of a shape that no symmetry of a hand hides faults in."""
    rng = np.random.default_rng(seed)
    regressor = rng.uniform(size=(16, VERTICES))
    weights = rng.uniform(size=(VERTICES, 16)) ** 4
    return {
        "v_template": rng.normal(0, 0.1, (VERTICES, 3)),
        "shapedirs": rng.normal(0, 0.01, (VERTICES, 3, 10)),
        "posedirs": rng.normal(0, 0.01, (VERTICES, 3, 135)),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "kintree_table": np.array([PARENTS, range(16)], "uint32"),
        "f": rng.integers(0, VERTICES, (FACES, 3)).astype("uint32"),
        "hands_mean": rng.normal(0, 0.2, 45),
        "hands_components": np.linalg.qr(rng.normal(size=(45, 45)))[0],
    }


def reference(file, pose, shape):
    """One hand's vertices and joints in float64: the paper's equations, one number at a time."""
    vectors = pose.astype("float64").copy()
    vectors[3:] += file["hands_mean"]
    rotations = [Rotation.from_rotvec(vectors[3 * j : 3 * j + 3]).as_matrix() for j in range(16)]
    shaped = file["v_template"].copy()
    for n in range(10):
        shaped += shape[n] * file["shapedirs"][:, :, n]
    joints = np.array([sum(file["J_regressor"][j, v] * shaped[v] for v in range(VERTICES))
                       for j in range(16)])  # fmt: skip
    posed = shaped.copy()
    for j in range(1, 16):
        for row in range(3):
            for column in range(3):
                amount = rotations[j][row, column] - (row == column)
                posed += amount * file["posedirs"][:, :, 9 * (j - 1) + 3 * row + column]
    world = []
    for j in range(16):
        # From this joint's frame, whose origin is the joint at rest, to the world.
        local = np.eye(4)
        local[:3, :3] = rotations[j]
        parent = None if j == 0 else int(file["kintree_table"][0, j])
        local[:3, 3] = joints[j] - (0 if parent is None else joints[parent])
        world.append(local if parent is None else world[parent] @ local)
    vertices = np.zeros((VERTICES, 3))
    for v in range(VERTICES):
        for j in range(16):
            at_joint = np.append(posed[v] - joints[j], 1)
            vertices[v] += file["weights"][v, j] * (world[j] @ at_joint)[:3]
    return vertices, np.array([frame[:3, 3] for frame in world])


def model_of(layer):
    pose, shape = keras.Input((POSE,)), keras.Input((10,))
    return keras.Model([pose, shape], layer(pose, shape))


@pytest.fixture(scope="module")
def hand():
    """The layer as a model of two inputs; its float64 arrays are `arrays()`."""
    return model_of(Mano.from_model(hand_model(arrays())))


def posed(hand, pose, shape):
    return run(hand, [np.asarray(pose, "float32"), np.asarray(shape, "float32")])


def test_vertices_and_joints_are_the_references(hand):
    rng = np.random.default_rng(1)
    pose, shape = rng.normal(0, 0.8, (3, POSE)), rng.normal(size=(3, 10))
    vertices, joints = posed(hand, pose, shape)
    for i in range(3):
        expected = reference(arrays(), pose[i], shape[i])
        np.testing.assert_allclose(vertices[i], expected[0], atol=2e-6)
        np.testing.assert_allclose(joints[i], expected[1], atol=2e-6)


def test_at_rest_it_is_the_template_with_its_shape(hand):
    file, shape = arrays(), np.random.default_rng(2).normal(size=(2, 10))
    shape[0] = 0
    rest = np.tile(np.append(np.zeros(3), -file["hands_mean"]), (2, 1))
    vertices, joints = posed(hand, rest, shape)
    shaped = file["v_template"] + file["shapedirs"] @ shape[1]
    np.testing.assert_allclose(vertices[0], file["v_template"], atol=1e-6)
    np.testing.assert_allclose(vertices[1], shaped, atol=1e-6)
    np.testing.assert_allclose(joints[1], file["J_regressor"] @ shaped, atol=1e-6)


def test_the_orientation_turns_the_whole_hand_around_its_wrist(hand):
    rng = np.random.default_rng(3)
    pose, shape = np.repeat(rng.normal(0, 0.5, (1, POSE)), 2, axis=0), np.zeros((2, 10))
    pose[0, :3] = 0
    vertices, joints = posed(hand, pose, shape)
    wrist = joints[0, :1]
    turn = Rotation.from_rotvec(pose[1, :3])
    np.testing.assert_allclose(joints[1, :1], wrist, atol=1e-7)
    for points in (vertices, joints):
        np.testing.assert_allclose(points[1] - wrist, turn.apply(points[0] - wrist), atol=2e-6)


@pytest.mark.parametrize("angle", [0, 1e-20, 1e-8, 1e-4, 0.0999, 0.1001, 1, 3.1416, 6.0, 40])
def test_rotations_are_scipys(angle):
    axes = np.random.default_rng(4).normal(size=(5, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    vectors = (angle * axes).astype("float32")
    received = ops.convert_to_numpy(axis_angle_to_matrix(ops.convert_to_tensor(vectors)))
    expected = Rotation.from_rotvec(vectors.astype("float64")).as_matrix()
    np.testing.assert_allclose(received, expected, atol=4e-6 if angle == 40 else 5e-7)


def test_gradients_of_the_pose_are_those_of_the_reference():
    """At rest too, where the axis of a rotation is not defined."""
    file, rng = arrays(), np.random.default_rng(5)
    rest = np.append(np.zeros(3), -file["hands_mean"])
    sizes = np.array([0.0, 1e-3, 0.06, 0.5])
    poses = rest + sizes[:, None] * rng.normal(size=(4, POSE))
    towards = rng.normal(size=(VERTICES, 3))
    # A layer whose weights are the poses, as models are what gradients are computed of.
    which, shape = keras.Input((4,)), keras.Input((10,))
    chosen = layers.Dense(POSE, use_bias=False)
    vertices, _ = Mano.from_model(hand_model(file))(chosen(which), shape)
    model = keras.Model([which, shape], vertices)
    chosen.kernel.assign(poses)
    weights = ops.convert_to_tensor(towards.astype("float32"))
    inputs = [np.eye(4, dtype="float32"), np.zeros((4, 10), "float32")]
    (received,) = gradients(model, inputs, lambda y: ops.sum(y * weights))

    def value(pose):
        return np.sum(reference(file, pose, np.zeros(10))[0] * towards)

    h = 1e-5
    for pose, found in zip(poses, received, strict=True):
        expected = [(value(pose + h * e) - value(pose - h * e)) / (2 * h) for e in np.eye(POSE)]
        np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


def test_computes_in_float32_under_mixed_precision(hand):
    model = model_of(Mano.from_model(hand_model(arrays()), dtype="mixed_float16"))
    inputs = np.full((1, POSE), 0.25), np.zeros((1, 10))
    for received, expected in zip(posed(model, *inputs), posed(hand, *inputs), strict=True):
        assert received.dtype == "float32"
        np.testing.assert_allclose(received, expected, atol=1e-6)


def test_a_saved_model_holds_the_arrays(hand, tmp_path):
    layer = Mano.from_model(hand_model(arrays()), fingertips=(3, 20))
    assert not layer.trainable_variables
    model = model_of(layer)
    model.save(tmp_path / "hand.keras")
    loaded = keras.saving.load_model(tmp_path / "hand.keras")
    pose, shape = np.full((2, POSE), 0.1), np.ones((2, 10))
    vertices, joints = posed(loaded, pose, shape)
    expected, without_tips = posed(hand, pose, shape)
    np.testing.assert_array_equal(vertices, expected)
    np.testing.assert_array_equal(joints[:, :16], without_tips)
    np.testing.assert_array_equal(joints[:, 16:], vertices[:, [3, 20]])
    config = layer.get_config()
    assert Mano.from_config(config).get_config() == config


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"parents": PARENTS[:15]}, "parents"),
        ({"parents": [-1, 0, 3, *range(2, 15)]}, "parents"),
        ({"fingertips": (0, VERTICES)}, "fingertips"),
        ({"fingertips": (-1,)}, "fingertips"),
    ],
)
def test_arguments_that_are_not_a_hands(arguments, name):
    with pytest.raises(ValueError, match=rf"`{name}` must be.*Received: {name}="):
        Mano(**{"vertices": VERTICES, "parents": [-1, *PARENTS[1:]], **arguments})


@pytest.mark.single_backend
@pytest.mark.parametrize(("pose", "shape"), [((2, 45), (2, 10)), ((48,), (10,)), ((2, 48), (2, 9))])
def test_parameters_that_are_not_a_hands(pose, shape):
    layer = Mano.from_model(hand_model(arrays()))
    with pytest.raises(ValueError, match=r"pose of shape \(batch, 48\).*Received: \("):
        layer(np.zeros(pose, "float32"), np.zeros(shape, "float32"))


def write(path, content):
    np.savez(path, **content)
    return path


@pytest.mark.single_backend
def test_reads_a_file_as_it_is_made(tmp_path):
    content = {**arrays(), "hands_coeffs": np.zeros((1554, 45))}
    found = read_mano(write(tmp_path / "hand.npz", content))
    assert found.parents == (-1, *PARENTS[1:])
    for name in FLOATS:
        np.testing.assert_array_equal(getattr(found, name), content[name].astype("float32"))
    np.testing.assert_array_equal(found.f, content["f"])
    layer = Mano.from_file(tmp_path / "hand.npz")
    np.testing.assert_array_equal(layer.v_template, found.v_template)


@pytest.mark.single_backend
@pytest.mark.parametrize("name", sorted(arrays()))
def test_a_missing_array_is_named(name, tmp_path):
    content = arrays()
    del content[name]
    with pytest.raises(ValueError, match=rf"'{name}' cannot be used. Expected an array of shape"):
        read_mano(write(tmp_path / "hand.npz", content))


@pytest.mark.single_backend
@pytest.mark.parametrize("name", sorted(arrays()))
def test_a_misshapen_array_is_named_with_both_shapes(name, tmp_path):
    content = arrays()
    expected = content[name].shape
    for misshapen in (content[name][None], content[name][..., :-1], content[name][:0]):
        content[name] = misshapen
        with pytest.raises(ValueError, match=rf"'{name}' cannot be used") as error:
            read_mano(write(tmp_path / "hand.npz", content))
        wanted = {"v_template": "(vertices, 3)", "f": "(faces, 3)"}.get(name, str(expected))
        assert f"Expected an array of shape {wanted}. Received: {misshapen.shape}" in str(
            error.value
        )


@pytest.mark.single_backend
@pytest.mark.parametrize("name", FLOATS)
def test_nan_is_named(name, tmp_path):
    content = arrays()
    content[name].flat[7:9] = np.nan, 1e300
    with pytest.raises(ValueError, match=rf"'{name}'.*finite float32 numbers. Received: 2 NaN"):
        read_mano(write(tmp_path / "hand.npz", content))


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("kintree_table", lambda x: x[::-1], "parents that precede"),
        ("kintree_table", lambda x: np.array([[0, *PARENTS[1:]], range(16)]), "parents that"),
        ("kintree_table", lambda x: x + 3 * (np.arange(32).reshape(2, 16) == 2), "parents that"),
        ("kintree_table", lambda x: np.array([PARENTS, range(1, 17)]), "the joints 0 to 15"),
        ("f", lambda x: x + VERTICES, "numbers of vertices, 0 to 22"),
        ("f", lambda x: x + 0.5, "whole numbers"),
        ("weights", lambda x: x.astype(str), "real numbers"),
        ("weights", lambda x: x + 0j, "real numbers"),
    ],
)
def test_values_that_cannot_be(name, change, expected, tmp_path):
    content = arrays()
    content[name] = change(content[name])
    with pytest.raises(ValueError, match=rf"'{name}'.*Expected {expected}.*Received: "):
        read_mano(write(tmp_path / "hand.npz", content))


class Trap:
    """What a pickle runs when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.single_backend
def test_no_pickle_is_run(tmp_path):
    sprung = tmp_path / "sprung"
    (tmp_path / "MANO_RIGHT.pkl").write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(ValueError, match=r"Expected an \.npz file.*Received: \d+ other bytes"):
        read_mano(tmp_path / "MANO_RIGHT.pkl")
    content = {**arrays(), "J_regressor": np.array([Trap(sprung)], object)}
    with pytest.raises(ValueError, match=r"'J_regressor' \(Python objects, which could run code"):
        read_mano(write(tmp_path / "hand.npz", content))
    assert not sprung.exists()


@pytest.mark.single_backend
def test_what_is_no_npz_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: '.*nowhere\.npz'"):
        read_mano(tmp_path / "nowhere.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    whole = write(tmp_path / "whole.npz", arrays()).read_bytes()
    Path(tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for path in (tmp_path, tmp_path / "one.npy", tmp_path / "cut.npz"):
        with pytest.raises(ValueError, match=r"Expected an \.npz file.*Received: "):
            read_mano(path)
    at = whole.index(b"v_template") + 300
    Path(tmp_path / "hurt.npz").write_bytes(whole[:at] + b"????" + whole[at + 4 :])
    with pytest.raises(ValueError, match=r"hurt\.npz'.*Received: a damaged array 'v_template'"):
        read_mano(tmp_path / "hurt.npz")
