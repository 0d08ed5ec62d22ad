"""What is read back from the folder of a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from keras_fastvit.training.data.folders import find_training_data, write_training_data
from keras_fastvit.training.run_folder import read_run
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
