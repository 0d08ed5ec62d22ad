"""COCO's layout, its boxes in batches, and the command with KerasHub's RetinaNet."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks.coco import detections, main
from benchmarks.coco_data import DetectionBatches, find_pictures, fitted
from keras_fastvit.progress import Progress
from tests.models import TINY

pytestmark = pytest.mark.single_backend

SIZES = {"train2017": [(90, 61), (47, 80), (64, 64), (71, 50)], "val2017": [(77, 52), (40, 95)]}
CATEGORIES = [
    {"id": 90, "name": "toothbrush"},
    {"id": 1, "name": "person"},
    {"id": 13, "name": "sign"},
]
BOXES = {1: [5, 8, 20.5, 30], 13: [22, 3, 12, 14]}
"""By category; in red and in blue."""


def write(root: Path) -> Path:
    (root / "annotations").mkdir(parents=True)
    for split, sizes in SIZES.items():
        (root / split).mkdir()
        images, annotations = [], []
        for i, (width, height) in enumerate(sizes):
            number = 139 + 7 * i
            pixels = np.full((height, width, 3), (30, 120, 40), "uint8")
            for category, (left, top, w, h) in BOXES.items():
                color = (220, 20, 20) if category == 1 else (20, 20, 220)
                pixels[int(top) : int(top + h), int(left) : int(left + w)] = color
                if i != 3:  # of the fourth nothing is annotated but a crowd
                    annotations.append((number, category, [left, top, w, h], 0))
            annotations.append((number, 90, [0, 0, width, height], 1))
            name = f"{number:012d}.jpg"
            Image.fromarray(pixels).save(root / split / name, quality=95, subsampling=0)
            images.append({"id": number, "file_name": name, "width": width, "height": height})
        content = {
            "images": images,
            "categories": CATEGORIES,
            "annotations": [
                {"id": i, "image_id": n, "category_id": c, "bbox": b, "iscrowd": crowd, "area": 9}
                for i, (n, c, b, crowd) in enumerate(annotations, 1)
            ],
        }
        path = root / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "coco")


def test_boxes_and_classes_are_read(data: Path) -> None:
    found = find_pictures(data, "train2017")
    assert found.categories == (1, 13, 90)
    assert found.numbers == (139, 146, 153, 160)
    assert found.boxes[0].tolist() == [[5, 8, 25.5, 38], [22, 3, 34, 17]]
    assert found.labels[0].tolist() == [0, 1]
    assert found.boxes[3].shape == (0, 4)
    assert found.with_boxes().numbers == (139, 146, 153)


def test_boxes_follow_the_picture(data: Path) -> None:
    found = find_pictures(data, "train2017").with_boxes()
    batches = DetectionBatches(found, 64, 3, seed=0, normalization="unit")
    mirrored = 0
    for epoch in range(6):
        images, labels = batches.make(epoch, 0)
        assert images.shape == (3, 64, 64, 3)
        assert labels["boxes"].shape == (3, 2, 4)
        for image, boxes, classes in zip(images, labels["boxes"], labels["labels"], strict=True):
            assert classes.tolist() == [0, 1]
            mirrored += boxes[0, 0] > boxes[1, 0]
            for box, color in zip(boxes, ((220, 20, 20), (20, 20, 220)), strict=True):
                left, top, right, bottom = np.round(box + np.array([2, 2, -2, -2])).astype(int)
                # The blue box lies over a corner of the red one.
                middle = np.median(image[top:bottom, left:right] * 255, axis=(0, 1))
                np.testing.assert_allclose(middle, color, atol=12)
    assert 3 < mirrored < 15
    batches.close()


class _Perfect:
    """A detector that finds what is annotated."""

    name, input_shape = "perfect", (None, 64, 64, 3)

    def __init__(self, pictures: Any) -> None:
        self.scaled = [
            fitted(path, 64)[1] * boxes
            for path, boxes in zip(pictures.paths, pictures.boxes, strict=True)
        ]
        self.labels = pictures.labels
        self.at = 0

    def predict(self, images: Any, batch_size: int, verbose: int) -> Any:
        part = slice(self.at, self.at + len(images))
        self.at += len(images)
        padded = np.full((len(images), 5, 4), -1.0)
        padded[:, :2] = self.scaled[part]
        labels = np.full((len(images), 5), -1)
        labels[:, :2] = self.labels[part]
        count = np.full(len(images), 2)
        confidence = np.full((len(images), 5), 0.75)
        return {
            "boxes": padded,
            "labels": labels,
            "confidence": confidence,
            "num_detections": count,
        }


def test_detections_are_in_cocos_format(data: Path) -> None:
    pictures = find_pictures(data, "val2017")
    rows = detections(_Perfect(pictures), pictures, 1, Progress(Console(quiet=True)))  # type: ignore[arg-type]
    content = json.loads((data / "annotations/instances_val2017.json").read_text())
    true = [row for row in content["annotations"] if not row["iscrowd"]]
    assert [(row["image_id"], row["category_id"]) for row in rows] == [
        (row["image_id"], row["category_id"]) for row in true
    ]
    for row, expected in zip(rows, true, strict=True):
        np.testing.assert_allclose(row["bbox"], expected["bbox"], atol=0.01)
        assert row["score"] == 0.75


def arguments(data: Path, run: Path, *more: str) -> list[str]:
    return [
        *("--data", str(data), "--model", TINY.name, "--output", str(run), "--image-size", "64"),
        *("--batch-size", "2", "--epochs", "1", *more),
    ]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    return capsys.readouterr().err.splitlines()[-1]


# A task that is made from a file compiles itself, so Keras finds an optimizer, but a new one.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
def test_the_command(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(arguments(data, run)) == 0
    printed = capsys.readouterr().out
    assert "3 images of 3 classes to train on, 1 epochs of 1 steps" in printed
    assert "boxes in 2 images" in printed
    first, second = (run / "history.csv").read_text().splitlines()
    loss = float(second.split(",")[first.split(",").index("loss")])
    assert 0 < loss < np.inf
    rows = json.loads((run / "detections.json").read_text())
    for row in rows:
        assert row["image_id"] in (139, 146)
        assert row["category_id"] in (1, 13, 90)
        assert min(row["bbox"]) >= 0
        assert 0.05 <= row["score"] <= 1

    model = keras.saving.load_model(run / "model.keras", compile=False)
    for head, bias in ((model.classification_head, np.log(0.01 / 0.99)), (model.box_head, 0)):
        np.testing.assert_allclose(head.prediction_layer.bias, bias, atol=1e-3)

    (run / "detections.json").unlink()
    words = ["--data", str(data), "--batch-size", "2", "--evaluate", str(run / "model.keras")]
    assert main(words) == 0
    assert json.loads((run / "detections.json").read_text()) == rows

    content = json.loads((data / "annotations/instances_val2017.json").read_text())
    fewer = write(tmp_path / "fewer")
    content["categories"] = content["categories"][:2]
    content["annotations"] = []
    (fewer / "annotations/instances_val2017.json").write_text(json.dumps(content))
    words[1] = str(fewer)
    assert "RetinaNet of 2 classes" in refused(words, capsys)


def test_what_does_not_fit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "coco")
    run = tmp_path / "run"
    assert "at most 3 images" in refused(arguments(data, run, "--batch-size", "4"), capsys)
    (data / "val2017/000000000146.jpg").unlink()
    assert "no '" in refused(arguments(data, run), capsys)
    path = data / "annotations/instances_val2017.json"
    path.write_text(path.read_text().replace('"category_id": 13', '"category_id": 12', 1))
    assert "Received: KeyError: 12" in refused(arguments(data, run), capsys)
    path.write_text("[]")
    assert "Cannot use" in refused(arguments(data, run), capsys)
    path.unlink()
    assert "instances_val2017.json" in refused(arguments(data, run), capsys)
    image = keras.Input((8, 8, 3))
    keras.Model(image, image).save(tmp_path / "m.keras")
    write(tmp_path / "again")
    words = ["--data", str(tmp_path / "again"), "--evaluate", str(tmp_path / "m.keras")]
    assert "Received: Functional" in refused(words, capsys)
