"""What is read back from the folder of a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_fastvit.training.data.folders import find_training_data, write_training_data
from keras_fastvit.training.run_folder import RunFolder, read_run
from tests.photographs import CLASSES, write_photographs

pytestmark = pytest.mark.single_backend


def written(folder: Path, root: Path, **arguments: Any) -> Path:
    """A finished run on the images of `root`, without a model in its file."""
    folder.mkdir()
    facts = {"data": str(root), "model": "fastvit_sa12", "weights": None, "image_size": 256}
    (folder / "run.json").write_text(json.dumps({**facts, **arguments}))
    write_training_data(find_training_data(root, seed=0), folder / "data.json")
    (folder / "fused.keras").touch()
    return folder


@pytest.mark.parametrize("split", [True, False])
def test_both_layouts(tmp_path: Path, split: bool) -> None:
    root = tmp_path / "photographs"
    if split:
        write_photographs(root / "train", count=3)
        write_photographs(root / "val", count=2)
    else:
        write_photographs(root, count=5)
    run = read_run(written(tmp_path / "run", root))
    assert run.fused == tmp_path / "run" / "fused.keras"
    assert (run.variant, run.image_size) == ("fastvit_sa12", 256)
    assert run.data.class_names == CLASSES
    for part in (run.data.train, run.data.validation):
        for path, label in zip(part.images, part.labels, strict=True):
            assert (run.root / path).is_file()
            assert Path(path).parent.name == CLASSES[label]
    assert not set(run.data.train.images) & set(run.data.validation.images)
    assert len(run.data.train) + len(run.data.validation) == 15


@pytest.mark.parametrize(
    ("arguments", "crop_pct", "normalization"),
    [
        ({}, 0.9, "imagenet"),
        ({"weights": "imagenet"}, 0.9, "imagenet"),
        ({"model": "fastvit_sa36", "weights": "gone.weights.h5"}, 0.95, "imagenet"),
        ({"model": "fastvit_t8", "weights": "fashion_mnist"}, 1.0, "imagenet"),
        ({"model": "fastvit_mci0", "weights": "mobileclip2"}, 1.0, "unit"),
    ],
)
def test_images_are_prepared_as_in_training(
    tmp_path: Path, arguments: dict[str, str], crop_pct: float, normalization: str
) -> None:
    root = write_photographs(tmp_path / "photographs", count=2)
    run = read_run(written(tmp_path / "run", root, **arguments))
    assert (run.crop_pct, run.normalization) == (crop_pct, normalization)


@pytest.mark.parametrize("missing", ["run.json", "data.json", "fused.keras"])
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    run = written(tmp_path / "run", write_photographs(tmp_path / "photographs", count=2))
    (run / missing).unlink()
    with pytest.raises(FileNotFoundError, match=rf"Received: '.*run', without a {missing}"):
        read_run(run)


DAMAGED: list[tuple[str, Any, str]] = [
    ("run.json", "[]", "a list"),
    ("run.json", '{"data": "x", "model": 7', "no JSON"),
    ("run.json", b"\xff\xfe", "no JSON"),
    ("run.json", "[" * 100_000, "no JSON"),
    ("run.json", {"model": None}, "model: null"),
    ("run.json", {"model": "fastvit_t9"}, "'fastvit_t9'"),
    ("run.json", {"image_size": "256"}, "image_size: "),
    ("run.json", {"image_size": True}, "image_size: "),
    ("run.json", {"data": ["x"]}, "data: "),
    ("data.json", "null", "a NoneType"),
    ("data.json", {"class_names": ["one"]}, "class_names: "),
    ("data.json", {"class_names": ["one", "\x1b[31mred"]}, "class_names: "),
    ("data.json", {"train": {"a.png": 0}}, "train: "),
    ("data.json", {"train": [["a.png", 0, 0]]}, "train: "),
    ("data.json", {"train": [["a.png", 3]]}, "its class of 3"),
    ("data.json", {"validation": [["a.png", -1]]}, "validation: "),
    ("data.json", {"validation": [["a.png", True]]}, "validation: "),
    ("data.json", {"test": [["/etc/passwd", 0]]}, "in the data's folder"),
    ("data.json", {"test": [["../../secret.png", 0]]}, "in the data's folder"),
    ("data.json", {"skipped": []}, "skipped: "),
]


@pytest.mark.parametrize(("name", "content", "received"), DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: Any, received: str) -> None:
    path = written(tmp_path / "run", write_photographs(tmp_path / "photographs", count=2)) / name
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_text()), **content})
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"'.*{name}'.*Received: .*{received}") as error:
        read_run(path.parent)
    assert "\n" not in str(error.value)


def whole_state(**changes: Any) -> dict[str, Any]:
    rows = [{"epoch": 1, "loss": float("nan")}]
    return {"epoch": 1, "history": json.dumps(rows), "model_0": np.ones(3), **changes}


def test_a_state_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", {"model": "x"})
    np.savez(folder.state, **whole_state())
    saved = folder.load()
    assert (saved.epoch, list(saved.arrays), len(saved.history)) == (1, ["model_0"], 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": np.ones(2, int)},
        {"epoch": 0.5},
        {"epoch": -1},
        {"epoch": 2},
        {"history": "[" * 100_000},
        {"history": "{}"},
        {"history": '["a"]'},
        {"history": '[{"loss": "low"}]'},
        {"model_0": np.array([{}], object)},
    ],
    ids=range(9),
)
def test_a_damaged_state_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = RunFolder(tmp_path / "run", {"model": "x"})
    np.savez(folder.state, **whole_state(**changes))
    with pytest.raises(ValueError, match=r"'.*state\.npz'.*Received: "):
        folder.load()


def test_a_run_is_not_gone_on_with_from_damaged_arguments(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", {"model": "x"})
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json' the arguments of a run.*Received: 1 bytes"):
        RunFolder(tmp_path / "run", {"model": "x"})
