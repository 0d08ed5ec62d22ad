"""The images that a folder holds, the share that is set aside, and the files that are skipped."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_fastvit.training.data.folders import (
    Examples,
    find_training_data,
    read_training_data,
    stratified_split,
    write_training_data,
)
from keras_fastvit.training.data.randomness import Purpose, generator
from tests.photographs import CLASSES, write_photographs

pytestmark = pytest.mark.single_backend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_photographs(tmp_path / "photographs", count=5)


def examples(*counts: int) -> Examples:
    labels = np.repeat(np.arange(len(counts)), counts)
    return Examples(tuple(f"{label}/{i}.png" for i, label in enumerate(labels)), labels)


def test_a_share_of_each_class_is_set_aside() -> None:
    train, validation = stratified_split(examples(50, 10, 3, 2, 1), seed=0)
    assert np.bincount(train.labels, minlength=5).tolist() == [40, 8, 2, 1, 1]
    assert np.bincount(validation.labels, minlength=5).tolist() == [10, 2, 1, 1, 0]
    assert not set(train.images) & set(validation.images)
    assert len(train) + len(validation) == 66
    for part in (train, validation):
        assert [int(path.split("/")[0]) for path in part.images] == part.labels.tolist()


def test_the_seed_decides_which() -> None:
    chosen = [set(stratified_split(examples(50, 50), seed)[1].images) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    first, second = ({int(i.split("/")[1][:-4]) % 50 for i in chosen[0] if i[0] == c} for c in "01")
    assert first != second  # the classes are not split alike


def test_a_folder_without_a_split(folder: Path) -> None:
    found = find_training_data(folder, seed=0)
    assert found.class_names == CLASSES
    assert np.bincount(found.train.labels).tolist() == [4, 4, 4]
    assert np.bincount(found.validation.labels).tolist() == [1, 1, 1]
    for image, label in zip(found.train.images, found.train.labels, strict=True):
        assert Path(image).parts[0] == CLASSES[label]
        assert (folder / image).is_file()


def test_train_and_val(tmp_path: Path) -> None:
    write_photographs(tmp_path / "train", count=3)
    write_photographs(tmp_path / "val", count=2)
    shutil.rmtree(tmp_path / "val" / CLASSES[0])  # a class may be without
    found = find_training_data(tmp_path, seed=0)
    assert found.class_names == CLASSES
    assert np.bincount(found.train.labels).tolist() == [3, 3, 3]
    assert np.bincount(found.validation.labels).tolist() == [0, 2, 2]
    assert all(path.startswith("train") for path in found.train.images)
    assert all(path.startswith("val") for path in found.validation.images)


def test_a_test_split_is_kept_aside(tmp_path: Path) -> None:
    for seed, (name, count) in enumerate({"Train": 3, "valid": 2, "TEST": 1}.items()):
        write_photographs(tmp_path / name, count, seed)
    shutil.copytree(tmp_path / "TEST", tmp_path / "Train" / CLASSES[0] / ".ipynb_checkpoints")
    (tmp_path / "__MACOSX").mkdir()
    found = find_training_data(tmp_path, seed=0)
    assert found.class_names == CLASSES
    assert found.skipped == {}
    for folder, count, part in (
        ("Train", 3, found.train),
        ("valid", 2, found.validation),
        ("TEST", 1, found.test),
    ):
        assert np.bincount(part.labels).tolist() == [count] * 3
        assert all(path.startswith(f"{folder}/") for path in part.images)


def test_train_and_test(tmp_path: Path) -> None:
    write_photographs(tmp_path / "Training", count=5)
    write_photographs(tmp_path / "Testing", count=2, seed=1)
    found = find_training_data(tmp_path, seed=0)
    assert [len(x) for x in (found.train, found.validation, found.test)] == [12, 3, 6]
    assert {Path(image).parts[0] for image in found.validation.images} == {"Training"}
    # As if there were no other folder.
    alone = find_training_data(tmp_path / "Training", seed=0)
    assert [f"Training/{image}" for image in alone.train.images] == list(found.train.images)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("test", "one sub-folder a class. Received: .*test', without any"),  # not labelled
        ("test/images", "without a '.*train/images'"),
        ("extra/cat", "neither train, val nor test"),
    ],
)
def test_what_is_no_test_split_is_left_out_and_named(
    tmp_path: Path, folder: str, reason: str
) -> None:
    write_photographs(tmp_path / "train", count=2)
    write_photographs(tmp_path / "val", count=1, seed=1)
    (tmp_path / folder).mkdir(parents=True)
    shutil.copy(tmp_path / "train" / CLASSES[0] / "00.png", tmp_path / folder)
    found = find_training_data(tmp_path, seed=0)
    assert [len(x) for x in (found.train, found.validation, found.test)] == [6, 3, 0]
    assert list(found.skipped) == [folder.split("/")[0]]
    assert re.search(reason, found.skipped[folder.split("/")[0]])


def test_an_image_to_train_on_is_not_validated_with(tmp_path: Path) -> None:
    write_photographs(tmp_path / "train", count=2)
    write_photographs(tmp_path / "val", count=1, seed=1)
    (tmp_path / "test").symlink_to(tmp_path / "train")
    link = f"val/{CLASSES[0]}/link.png"
    (tmp_path / link).symlink_to(tmp_path / "train" / CLASSES[0] / "00.png")
    found = find_training_data(tmp_path, seed=0)
    assert [len(x) for x in (found.train, found.validation, found.test)] == [6, 3, 0]
    assert found.skipped[link] == "is an image of 'train' too"
    assert len(found.skipped) == 7


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("valid", "test"), "Beside 'valid' and 'test', .* in a folder 'train'"),
        ((".", f"val/{CLASSES[0]}"), "Beside 'val', .* in a folder 'train'"),
        (("train/train", "val"), "Received: '.*/train', where the folders are splits"),
        (("x/train", "x/val", "y/train"), "Received: '.*x', a class that has 'train' and 'val'"),
    ],
)
def test_splits_that_are_refused(tmp_path: Path, folders: tuple[str, ...], message: str) -> None:
    for folder in folders:
        for name in CLASSES[:2]:
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "1.png").touch()
    with pytest.raises(ValueError, match=message):
        find_training_data(tmp_path, seed=0)


def test_what_is_no_image_is_skipped_and_named(folder: Path) -> None:
    whole = (folder / CLASSES[0] / "00.png").read_bytes()
    (folder / CLASSES[0] / "00.png").write_bytes(whole[: len(whole) // 2])
    (folder / CLASSES[1] / "notes.txt").write_text("not an image")
    (folder / CLASSES[2] / "empty.jpg").touch()
    found = find_training_data(folder, seed=0)
    assert set(found.skipped) == {
        f"{CLASSES[0]}/00.png",
        f"{CLASSES[1]}/notes.txt",
        f"{CLASSES[2]}/empty.jpg",
    }
    assert "fail to decode" in found.skipped[f"{CLASSES[0]}/00.png"]
    assert "no suffix of an image" in found.skipped[f"{CLASSES[1]}/notes.txt"]
    assert "empty file" in found.skipped[f"{CLASSES[2]}/empty.jpg"]
    assert len(found.train) + len(found.validation) == 14


def test_goes_to_a_file_and_back(tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "val", "test")):
        write_photographs(tmp_path / part, 2, seed)
    (tmp_path / "train" / CLASSES[0] / "00.png").write_bytes(b"")
    found = find_training_data(tmp_path, seed=0)
    write_training_data(found, tmp_path / "data.json")
    again = read_training_data(tmp_path / "data.json")
    assert again.class_names == found.class_names
    assert again.skipped == found.skipped
    for part in ("train", "validation", "test"):
        assert getattr(again, part).images == getattr(found, part).images
        np.testing.assert_array_equal(getattr(again, part).labels, getattr(found, part).labels)


def test_a_file_of_a_version_without_test_images(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    write_training_data(find_training_data(folder, seed=0), path)
    content = json.loads(path.read_text())
    assert content.pop("test") == []
    path.write_text(json.dumps(content))
    assert len(read_training_data(path).test) == 0


def test_one_class(folder: Path) -> None:
    for name in CLASSES[1:]:
        shutil.rmtree(folder / name)
    with pytest.raises(ValueError, match=r"at least two.*Received: .*'astronaut' alone"):
        find_training_data(folder, seed=0)


def test_a_class_without_images(folder: Path) -> None:
    for path in (folder / CLASSES[1]).iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"Received: none in .*chelsea'; not images: 5 \(00"):
        find_training_data(folder, seed=0)


def test_a_class_to_validate_with_alone(tmp_path: Path) -> None:
    write_photographs(tmp_path / "train", count=1)
    write_photographs(tmp_path / "val", count=1)
    (tmp_path / "val" / CLASSES[0]).rename(tmp_path / "val" / "zebra")
    with pytest.raises(ValueError, match=r"Received: '.*val/zebra' without"):
        find_training_data(tmp_path, seed=0)


def test_nothing_to_validate_with(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Validation needs images.*Received: none in"):
        find_training_data(write_photographs(tmp_path, count=1), seed=0)


def test_random_numbers_of_a_place() -> None:
    places = [(0,), (0, 0), (0, 1), (1, 0), (0, 0, 0)]
    drawn = {generator(0, purpose, *p).random() for purpose in Purpose for p in places}
    drawn |= {generator(1, purpose, *p).random() for purpose in Purpose for p in places}
    assert len(drawn) == 2 * len(Purpose) * len(places)
