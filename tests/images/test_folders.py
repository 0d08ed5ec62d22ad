"""What counts in a folder of images, and what its sub-folders are for."""

import os
from pathlib import Path

import pytest

from keras_fastvit.images.folders import TEST, TRAIN, VALIDATION, files_in, find_images, find_splits

pytestmark = pytest.mark.single_backend


def tree(root: Path, *files: str) -> Path:
    for file in files:
        path = Path(os.fsdecode(os.fsencode(root) + b"/" + os.fsencode(file)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def names_of(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in find_images(root).images]


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", None),
        ("train", "valid", "test"),  # Roboflow
        ("train", "validation", "test"),  # Hugging Face
        ("Training", None, "Testing"),
        ("TRAIN", "Val", "TEST"),
        ("train", "dev", None),
        ("train", None, None),
    ],
)
def test_splits_as_tools_call_them(tmp_path, train, validation, test):
    called = {TRAIN: train, VALIDATION: validation, TEST: test}
    called = {purpose: name for purpose, name in called.items() if name}
    tree(tmp_path, *(f"{name}/cat/1.png" for name in called.values()), "README.roboflow.txt")
    found = find_splits(tmp_path)
    assert found == {purpose: tmp_path / name for purpose, name in called.items()}
    assert list(found) == list(called)


@pytest.mark.parametrize(
    "files",
    [
        ["cat/1.png", "dog/1.png"],
        [*(f"{name}/1.png" for name in "abcdefghij"), "test/1.png"],
        ["train/1.png", "bus/1.png"],  # a vehicle
        ["train/steam/1.png", "train/diesel/1.png", "bus/1.png"],
        ["valid/1.png", "invalid/1.png"],
        ["test1/a/1.png", "test2/a/1.png"],  # a subject's
        ["latest/train/1.png", "other/1.png"],
        [],
    ],
)
def test_classes_are_no_splits(tmp_path, files):
    assert find_splits(tree(tmp_path, *files)) == {}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["train/a/1.png", "Val/a/1.png", "validation/a/1.png"],
            "one folder that is called validation.* Received: 'Val' and 'validation'",
        ),
        (["train/a/1.png", "Train/a/1.png", "val/a/1.png"], "Received: 'Train' and 'train'"),
        (
            ["training_set/a/1.png", "test_set/a/1.png"],
            "called train, val and test. Received: 'test_set' and 'training_set'",
        ),
        (["seg_train/a/1.png", "seg_test/a/1.png"], "Received: 'seg_test' and 'seg_train'"),
    ],
)
def test_splits_that_cannot_be_told_apart(tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        find_splits(tree(tmp_path, *files))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train/a/1.png", "valid/a/1.png"], "'train' and 'valid': give the one .* '.*/valid'"),
        (["a/1.png", "b/1.png", "test/b/1.png"], "splits, 'test': give the one"),
        (
            ["a/train/1.png", "a/val/1.png", "b/train/1.png"],
            "'.*/train/a'. Received: '.*a'",
        ),
        (["cat\n/1.png", "dog/1.png"], r"one line of Unicode text.* Received: 'cat\\n'"),
        (["cat\u2028fox/1.png", "dog/1.png"], r"Received: 'cat\\u2028fox'"),
        (["K\udcf6nig/1.png", "dog/1.png"], r"Received: 'K\\udcf6nig'"),
        (["cat/1.png", "cat /1.png"], "spaces around them. Received: 'cat' and 'cat '"),
        ([" /1.png", "cat/1.png"], "spaces around them. Received: ' '"),
    ],
)
def test_what_are_no_classes(tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        find_images(tree(tmp_path, *files))


def test_what_is_hidden_is_nowhere(tmp_path):
    root = tmp_path / ".cache" / "photographs"  # only what is below counts
    seen = ["cat/1.png", "cat/part/2.png", "dog/1.png"]
    hidden = [
        *("cat/.ipynb_checkpoints/1.png", ".git/1.png", "cat/._1.png", "cat/part/.a/b/1.png"),
        *("__MACOSX/cat/1.png", "dog/__MACOSX/1.png", "cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg"),
        *("dog/Thumbs.db", "dog/Desktop.ini", "$RECYCLE.BIN/1.png", "lost+found/1.png"),
    ]
    found = find_images(tree(root, *seen, *hidden))
    assert found.names == ("cat", "dog")
    assert [str(path.relative_to(root)) for path in found.images] == seen
    assert files_in(root) == list(found.images)


def test_links_are_followed_and_end(tmp_path):
    root = tree(tmp_path / "data", "cat/1.png", "dog/1.png")
    elsewhere = tree(tmp_path / "elsewhere", "2.png").rename(tmp_path / "more")
    (root / "cat" / "more").symlink_to(elsewhere)
    (root / "cat" / "again").symlink_to(elsewhere)
    (root / "cat" / "around").symlink_to(root)
    (root / "dog" / "itself").symlink_to(root / "dog")
    for place in (root, root / "dog"):
        (place / "loop").symlink_to("loop")
    (root / "dog" / "gone.png").symlink_to(root / "nothing.png")
    assert names_of(root) == ["cat/1.png", "cat/again/2.png", "dog/1.png"]


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    scandir = os.scandir

    def closed(path):
        if str(path).endswith("part"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    tree(tmp_path, "cat/1.png", "cat/part/2.png", "dog/1.png")
    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError, match="part"):
        find_images(tmp_path)
