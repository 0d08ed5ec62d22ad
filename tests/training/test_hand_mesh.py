"""FreiHAND's layout, its joints and their augmentation, and the command, on hands made here."""

import csv
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from benchmarks.synthetic_hand import random_parameters, synthetic_hand_model
from keras_fastvit import fuse
from keras_fastvit.conversion.__main__ import main
from keras_fastvit.tasks import HandMesh, Mano, split_parameters
from keras_fastvit.training.hand_mesh.batches import HandBatches, augmented_hand
from keras_fastvit.training.hand_mesh.freihand import (
    FINGERTIPS,
    ORDER,
    find_evaluation_hands,
    find_training_hands,
)
from keras_fastvit.training.hand_mesh.losses import learner
from keras_fastvit.training.hand_mesh.task import errors
from keras_fastvit.training.heads import backbone
from tests.models import TINY

HANDS, SIDE = 3, 75
CAMERA = np.array([[150.0, 0, SIDE / 2], [0, 150.0, SIDE / 2], [0, 0, 1]])

# Of the data set's toolbox: which keypoint each of MANO's joints is, and each of five vertices.
KEYPOINTS = {0: 0, 1: 5, 2: 6, 3: 7, 4: 9, 5: 10, 6: 11, 7: 17, 8: 18, 9: 19, 10: 13, 11: 14,
             12: 15, 13: 1, 14: 2, 15: 3}  # fmt: skip
TIPS = {4: 744, 8: 320, 12: 443, 16: 555, 20: 672}


def hands(seed: int) -> tuple[Any, Any, Any]:
    """MANO's numbers, 21 keypoints and vertices of hands that a camera sees."""
    model = synthetic_hand_model()
    rng = np.random.default_rng(seed)
    parameters = random_parameters(HANDS, model.hands_mean.astype("float64"), rng)
    pose, shape, _ = split_parameters(ops.convert_to_tensor(parameters))
    vertices, joints = map(ops.convert_to_numpy, Mano.from_model(model)(pose, shape))
    keypoints = np.zeros((HANDS, 21, 3))
    for joint, keypoint in KEYPOINTS.items():
        keypoints[:, keypoint] = joints[:, joint]
    for keypoint, vertex in TIPS.items():
        keypoints[:, keypoint] = vertices[:, vertex]
    place = np.array([0, 0.08, 0.7])
    mano = np.concatenate([parameters[:, :58], [[37, 37, 214]] * HANDS], axis=1)
    return mano, keypoints + place, vertices + place


def colored(keypoints: Any) -> Any:
    """A dark picture with a green point at the middle finger's tip, a red one at the thumb's."""
    pixels = np.full((SIDE, SIDE, 3), (8, 8, 12), "uint8")
    for keypoint, color in ((12, (0, 255, 0)), (4, (255, 0, 0))):
        x, y, z = CAMERA @ keypoints[keypoint]
        column, row = round(x / z - 0.5), round(y / z - 0.5)
        pixels[row - 1 : row + 2, column - 1 : column + 2] = color
    return pixels


def write(root: Path) -> Path:
    for split, seed, copies in (("training", 0, 4), ("evaluation", 1, 1)):
        mano, keypoints, vertices = hands(seed)
        folder = root / split / "rgb"
        folder.mkdir(parents=True)
        for number in range(copies * HANDS):
            image = Image.fromarray(colored(keypoints[number % HANDS]))
            image.save(folder / f"{number:08d}.jpg", quality=95, subsampling=0)
        found = {
            "K": [CAMERA] * HANDS,
            "mano": mano[:, None],
            "xyz": keypoints,
            "verts": vertices,
        }
        for name, rows in found.items():
            content = json.dumps([np.asarray(row).tolist() for row in rows])
            (root / f"{split}_{name}.json").write_text(content)
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("hands") / "FreiHAND_pub_v2")


@pytest.fixture(scope="module")
def mano_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = synthetic_hand_model()
    path = tmp_path_factory.mktemp("mano") / "mano_right.npz"
    np.savez(path, **{field.name: getattr(model, field.name) for field in fields(model)})
    return path


def arguments(data: Path, mano: Path, run: Path, *more: str) -> list[str]:
    return [
        *("train", "--task", "hand-mesh"),
        *("--data", str(data), "--mano", str(mano), "--model", TINY.name, "--output", str(run)),
        *("--image-size", "64", "--batch-size", "6", "--epochs", "2", *more),
    ]


@pytest.mark.single_backend
def test_annotations_are_read(data: Path) -> None:
    found = find_training_hands(data)
    mano, keypoints, _ = hands(0)
    assert len(found.images) == 4 * HANDS
    np.testing.assert_allclose(found.pose, mano[:, :48], rtol=1e-6)
    np.testing.assert_allclose(found.shape, mano[:, 48:58], rtol=1e-6)
    np.testing.assert_allclose(found.joints, keypoints, rtol=1e-6)
    for hand in range(HANDS):
        for keypoint in range(21):
            x, y, z = CAMERA @ keypoints[hand, keypoint]
            expected = [x / z, y / z]
            np.testing.assert_allclose(found.pixels[hand, keypoint], expected, rtol=1e-5)


def test_manos_joints_are_the_data_sets() -> None:
    """In its order, fingertips among them: what is annotated, MANO's numbers give."""
    mano, keypoints, vertices = hands(0)
    layer = Mano.from_model(synthetic_hand_model(), FINGERTIPS)
    pose, shape = (
        ops.convert_to_tensor(x.astype("float32")) for x in (mano[:, :48], mano[:, 48:58])
    )
    found_vertices, joints = layer(pose, shape)
    joints = ops.convert_to_numpy(joints)[:, list(ORDER)]
    np.testing.assert_allclose(joints - joints[:, :1], keypoints - keypoints[:, :1], atol=1e-6)
    spread = ops.convert_to_numpy(found_vertices) - vertices
    np.testing.assert_allclose(spread - spread[:, :1], 0, atol=1e-6)


def green(pixels: Any) -> Any:
    """Where the green point is, in half image sides."""
    weight = np.clip(pixels[..., 1].astype("float64") - pixels[..., 0] - 60, 0, None)
    rows, columns = np.indices(weight.shape) + 0.5
    middle = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    return middle * 2 / len(pixels) - 1


@pytest.mark.single_backend
def test_joints_follow_the_picture_through_the_augmentation() -> None:
    _, keypoints, _ = hands(0)
    relative = keypoints[0] - keypoints[0, :1]
    projected = keypoints[0] @ CAMERA.T
    points = projected[:, :2] / projected[:, 2:] * 2 / SIDE - 1
    image = Image.fromarray(colored(keypoints[0]))
    turned = seen = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        pixels, joints, found = augmented_hand(image, relative, points, 64, rng)
        assert pixels.shape == (64, 64, 3)
        np.testing.assert_allclose(
            np.linalg.norm(joints, axis=-1), np.linalg.norm(relative, axis=-1), atol=1e-6
        )
        np.testing.assert_allclose(joints[:, 2], relative[:, 2], atol=1e-9)
        # In the plane the joints turn by the angle by which the points do.
        angles = [
            np.angle(after[..., 0] + 1j * after[..., 1])
            - np.angle(before[..., 0] + 1j * before[..., 1])
            for before, after in ((relative[9], joints[9]), (points[9], found[9]))
        ]
        assert np.cos(angles[0] - angles[1]) == pytest.approx(1, abs=1e-6)
        turned += abs(np.sin(angles[0])) > 1e-3
        if np.abs(found[12]).max() < 0.9:
            seen += 1
            np.testing.assert_allclose(green(pixels), found[12], atol=0.03)
    assert 12 < turned < 36  # two in five
    assert seen > 30


@pytest.mark.single_backend
def test_each_image_has_its_hand(data: Path) -> None:
    found = find_training_hands(data)
    batches = HandBatches(found, 64, batch_size=4, seed=0)
    assert len(batches) == 3
    seen = []
    for index in range(3):
        images, targets = batches.make(0, index)
        assert images.shape == (4, 64, 64, 3)
        assert images.dtype == np.float32
        assert {name: x.shape[1:] for name, x in targets.items()} == {
            "pose": (48,),
            "shape": (10,),
            "joints": (21, 3),
            "image_joints": (21, 2),
        }
        assert {x.dtype for x in targets.values()} == {np.dtype("float32")}
        np.testing.assert_array_equal(targets["joints"][:, 0], 0)
        for shape, joints, points, image in zip(
            targets["shape"], targets["joints"], targets["image_joints"], images, strict=True
        ):
            (hand,) = np.flatnonzero(np.isclose(found.shape, shape).all(axis=1))
            seen.append(int(hand))
            depths = found.joints[hand, :, 2] - found.joints[hand, 0, 2]
            np.testing.assert_allclose(joints[:, 2], depths, atol=1e-6)
            pixels = (image * [0.229, 0.224, 0.225] + [0.485, 0.456, 0.406]) * 255
            if np.abs(points[12]).max() < 0.9:
                np.testing.assert_allclose(green(pixels), points[12], atol=0.04)
    assert sorted(seen) == [0] * 4 + [1] * 4 + [2] * 4
    first, again = batches.make(0, 0)[0], batches.make(1, 0)[0]
    assert np.abs(first - again).max() > 0.1
    batches.close()


@pytest.mark.single_backend
def test_what_is_learnt_is_what_is_annotated(mano_file: Path) -> None:
    """A head that gives a hand's own numbers is right about its joints."""
    mano, keypoints, _ = hands(0)
    head = HandMesh(backbone(TINY.name, None, 64))
    numbers = np.concatenate([mano[0, :58], [1.0, 0.1, -0.2]]).astype("float32")
    dense = head.get_layer("parameters")
    dense.set_weights([np.zeros_like(dense.get_weights()[0]), numbers])
    found = learner(head, Mano.from_file(mano_file, FINGERTIPS), ORDER)(np.zeros((1, 64, 64, 3)))
    joints = ops.convert_to_numpy(found["joints"])[0]
    np.testing.assert_allclose(joints, keypoints[0] - keypoints[0, 0], atol=1e-6)
    flat = ops.convert_to_numpy(found["image_joints"])[0]
    np.testing.assert_allclose(flat - flat[0], joints[:, :2] / 0.1, atol=1e-5)
    np.testing.assert_allclose(found["camera"], [[1.0, 0.1, -0.2]], atol=1e-6)


@pytest.mark.single_backend
def test_true_parameters_have_no_error(data: Path, mano_file: Path) -> None:
    evaluated = find_evaluation_hands(data)
    mano, _, _ = hands(1)
    layer = Mano.from_file(mano_file, FINGERTIPS)
    parameters = mano.astype("float32")
    assert max(errors(layer, parameters, evaluated)) < 1e-3
    parameters[:, 3:48] = 0
    joints, vertices = errors(layer, parameters, evaluated)
    assert 3 < joints < 40
    assert 3 < vertices < 40


@pytest.mark.single_backend
def test_the_command(
    data: Path, mano_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(arguments(data, mano_file, run)) == 0
    printed = capsys.readouterr().out
    assert "12 images of 3 hands to train on, 2 epochs of 2 steps" in printed
    (line,) = (line for line in printed.splitlines() if line.startswith("PA-MPJPE"))
    assert line.endswith("on 3 images")
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    # 1e-4 for batches of 256, a tenth of it in the second half.
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([1e-4 * 6 / 256, 1e-5 * 6 / 256], rel=1e-5)
    assert {"pose_loss", "shape_loss", "joints_loss", "image_joints_loss"} <= rows[0].keys()

    model = keras.saving.load_model(run / "model.keras")
    assert model.output_shape == (None, 61)
    assert all("skinning" not in x.path and x.shape != (16, 804) for x in model.weights)
    evaluated = [
        "train",
        "--task",
        "hand-mesh",
        "--data",
        str(data),
        "--mano",
        str(mano_file),
        "--evaluate",
    ]
    assert main([*evaluated, str(run / "model.keras")]) == 0
    assert capsys.readouterr().out.splitlines() == [line]
    fuse(model).save(tmp_path / "fused.keras")
    assert main([*evaluated, str(tmp_path / "fused.keras")]) == 0
    assert capsys.readouterr().out.startswith("PA-MPJPE")


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    try:
        status: Any = main(words)
    except SystemExit as stopped:  # argparse's
        status = stopped.code
    assert status == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.single_backend
def test_what_does_not_fit_is_named(
    tmp_path: Path, mano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = write(tmp_path / "data"), tmp_path / "run"
    words = arguments(data, mano_file, run)

    def changed(name: str, change: Any) -> str:
        path = data / name
        before = path.read_text()
        path.write_text(change(before))
        message = refused(words, capsys)
        path.write_text(before)
        return message

    one_less = lambda text: json.dumps(json.loads(text)[:-1])  # noqa: E731
    assert "Expected as many rows as training_xyz.json has, 3. Received: 2" in changed(
        "training_K.json", one_less
    )
    assert "Received: 3, 2 and 3" in changed("evaluation_xyz.json", one_less)
    assert "Expected numbers of shape (hands, 1, 61). Received: shape (3, 1, 58)" in changed(
        "training_mano.json", lambda text: json.dumps([[h[0][:58]] for h in json.loads(text)])
    )
    assert "NaN is no number" in changed(
        "training_K.json", lambda text: text.replace("150.0", "NaN", 1)
    )
    assert "Expected finite numbers" in changed(
        "training_K.json", lambda text: text.replace("150.0", "1e39", 1)
    )
    assert "in front of the camera" in changed(
        "training_xyz.json", lambda text: json.dumps((-np.array(json.loads(text))).tolist())
    )
    assert "(hands, vertices, 3)" in changed("evaluation_verts.json", lambda text: text[:-9])

    (data / "training/rgb/00000011.jpg").unlink()
    assert "Received: 11 images" in refused(words, capsys)
    (data / "training/rgb/00000004.jpg").unlink()
    assert "00000005.jpg' in the place of 00000004.jpg" in refused(words, capsys)
    (data / "evaluation_verts.json").unlink()
    assert "Received: no" in refused(words, capsys)
    assert "evaluation/rgb" in refused(arguments(tmp_path, mano_file, run), capsys)
    assert "no hand model at this path" in refused(
        arguments(data, tmp_path / "none.npz", run), capsys
    )


@pytest.mark.single_backend
def test_other_models_and_batches_are_refused(
    data: Path, mano_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = keras.Input((8, 8, 3))
    keras.Model(image, image).save(tmp_path / "m.keras")
    words = ["train", "--task", "hand-mesh", "--data", str(data), "--evaluate"]
    words.append(str(tmp_path / "m.keras"))
    assert "to (None, 61)" in refused([*words, "--mano", str(mano_file)], capsys)
    assert "expected --mano" in refused(words, capsys)
    words = arguments(data, mano_file, tmp_path / "run", "--batch-size", "13")
    assert "at most 12 images" in refused(words, capsys)
