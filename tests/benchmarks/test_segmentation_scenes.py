"""Scenes whose every pixel is known: on a data set of one flat shape a class."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.segmentation_report import FLOAT, INT8, KERAS, Found, figures
from benchmarks.segmentation_scenes import (
    CLASSES,
    ITEM_SIDES,
    MOST_HIDDEN,
    SIDE,
    TEXTURES,
    Scenes,
    TrainingScenes,
    item,
)
from keras_fastvit import class_names

pytestmark = pytest.mark.single_backend

EACH = 3


def shape_of(label: int) -> np.ndarray:
    """A white shape `(28, 28)`, wider with each class, black around it and in its middle."""
    grey = np.zeros((28, 28), "uint8")
    grey[4:24, 3 : 13 + label] = 200
    grey[12:14, 6:8] = 0
    return grey


@pytest.fixture(scope="module")
def data(tmp_path_factory: Any) -> Path:
    """The files of a data set, in the layout of Fashion-MNIST."""
    folder = tmp_path_factory.mktemp("fashion-mnist")
    labels = np.repeat(np.arange(10, dtype="uint8"), EACH)
    pixels = np.stack([shape_of(label) for label in labels])
    for split in ("train", "t10k"):
        for name, header, content in (
            ("images-idx3", (2051, len(labels), 28, 28), pixels),
            ("labels-idx1", (2049, len(labels)), labels),
        ):
            with gzip.open(folder / f"{split}-{name}-ubyte.gz", "wb") as file:
                file.write(struct.pack(f">{len(header)}i", *header) + content.tobytes())
    return folder


def test_labels_are_those_of_what_was_pasted(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = Scenes("t10k", seed=0, data=data)
    # Nothing but items is then of one colour in all three channels' ratio.
    monkeypatch.setattr(Scenes, "_background", lambda self, rng: np.zeros((SIDE, SIDE, 3), "uint8"))
    seen = set()
    for number in range(40):
        image, labels = scenes.scene(number)
        assert (image.shape, labels.shape) == ((SIDE, SIDE, 3), (SIDE, SIDE))
        np.testing.assert_array_equal(labels > 0, image.any(-1))
        seen |= set(np.unique(labels))
    assert seen == set(range(len(CLASSES)))


def test_a_lone_item_has_its_class_and_shape(data: Path) -> None:
    for label in (0, 9):
        colours, shape = item(shape_of(label), np.random.default_rng(0))
        side = len(shape)
        assert ITEM_SIDES[0] <= side <= ITEM_SIDES[1]
        # The hole belongs to it.
        expected = 20 * (10 + label) * (side / 28) ** 2
        assert abs(shape.sum() - expected) < 0.1 * expected
        assert colours[shape].min() > 0


def test_an_item_may_be_mirrored() -> None:
    rng = np.random.default_rng(0)
    lefts = [item(shape_of(0), rng)[1].nonzero()[1].mean() for _ in range(20)]
    assert min(lefts) < ITEM_SIDES[0] / 2 < max(lefts)


def test_no_item_is_hidden_for_the_most_part(data: Path) -> None:
    scenes = Scenes("train", seed=1, data=data)
    for number in range(30):
        _, labels = scenes.scene(number)
        smallest = 20 * 10 * (ITEM_SIDES[0] / 28) ** 2
        areas = np.bincount(labels.ravel())[1:]
        assert areas[areas > 0].min() > 0.9 * (1 - MOST_HIDDEN) * smallest


def test_a_scene_depends_on_its_split_seed_and_number_alone(data: Path) -> None:
    first, again = (Scenes("train", seed=1, data=data) for _ in range(2))
    again.scene(4)
    for a, b in zip(first.scene(5), again.scene(5), strict=True):
        np.testing.assert_array_equal(a, b)
    images = [
        first.scene(6)[0],
        Scenes("train", seed=2, data=data).scene(5)[0],
        Scenes("t10k", seed=1, data=data).scene(5)[0],
    ]
    assert all((x != first.scene(5)[0]).any() for x in images)
    assert not set(TEXTURES["train"]) & set(TEXTURES["t10k"])


def test_each_batch_and_epoch_has_scenes_of_its_own(data: Path) -> None:
    batches = TrainingScenes(Scenes("train", seed=0, data=data), batch=2, steps=2)
    seen = [batches[i][0] for i in range(len(batches))]
    batches.on_epoch_end()
    seen += [batches[i][0] for i in range(len(batches))]
    assert all(x.shape == (2, SIDE, SIDE, 3) and x.dtype == np.float32 for x in seen)
    assert len({x.tobytes() for batch in seen for x in batch}) == 8


def test_bad_input(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at least 112 pixels\. Received: side=32"):
        Scenes("train", seed=0, side=32, data=data)
    with pytest.raises(FileNotFoundError, match="Received: "):
        Scenes("train", seed=0, data=tmp_path)


def test_every_kind_of_item_is_of_one_class() -> None:
    assert sorted(sum(CLASSES.values(), ())) == sorted(class_names("fashion_mnist"))


def test_what_is_measured() -> None:
    labels = np.zeros((1, 4, 6), "uint8")
    labels[0, 1:3] = [1, 1, 2, 2, 3, 4]
    wrong = labels.copy()
    wrong[labels == 4] = 2
    found = Found(
        scenes=np.zeros((1, 4, 6, 3), "uint8"),
        labels=labels,
        predictions={KERAS: labels, FLOAT: labels, INT8: wrong},
        sqnr_db={},
        exports={},
        parameters=7,
    )
    measured = figures(found)
    assert measured[FLOAT]["pixel_accuracy"] == measured[FLOAT]["agreement_with_keras"] == 1
    assert measured[FLOAT]["iou"] == {"mean": 1, "by_class": [1] * 5}
    assert measured[INT8]["pixel_accuracy"] == measured[INT8]["agreement_with_keras"] == 22 / 24
    assert measured[INT8]["iou"]["by_class"] == pytest.approx([1, 1, 4 / 6, 1, 0])
    assert measured[INT8]["iou"]["mean"] == pytest.approx((3 + 4 / 6) / 5)
