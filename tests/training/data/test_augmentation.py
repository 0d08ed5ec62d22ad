"""What is done to training images: within its ranges, at random, and the same again for a seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_fastvit.images.files import read_rgb
from keras_fastvit.training.data.augmentation import (
    ASPECT_RATIOS,
    augmented_batch,
    augmented_image,
    random_box,
)
from keras_fastvit.training.data.rand_augment import OPERATIONS, rand_augment
from keras_fastvit.training.recipes import Augmentation
from tests.photographs import CLASSES, write_photographs

pytestmark = pytest.mark.single_backend

PLAIN = Augmentation(crop_area=(1.0, 1.0))
FULL = Augmentation((0.08, 1.0), 9, 0.4, 0.25, 0.8, 1.0)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_photographs(tmp_path_factory.mktemp("photographs"), count=1)
    return folder / CLASSES[1] / "00.png"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def batch() -> tuple[np.ndarray, np.ndarray]:
    images = rng().normal(size=(16, 32, 32, 3)).astype("float32")
    return images, np.eye(4, dtype="float32")[np.arange(16) % 4]


def test_crops_are_of_the_area_and_shape_that_they_may_have() -> None:
    random, boxes = rng(), []
    for _ in range(500):
        left, top, right, bottom = random_box(80, 60, (0.25, 0.5), random)
        assert 0 <= left < right <= 80
        assert 0 <= top < bottom <= 60
        boxes.append((right - left, bottom - top))
    width, height = np.array(boxes).T
    shares = width * height / (80 * 60)
    assert 0.23 < shares.min() < 0.27
    assert 0.48 < shares.max() < 0.52
    assert ASPECT_RATIOS[0] * 0.95 < (width / height).min() < 0.8
    assert 1.25 < (width / height).max() < ASPECT_RATIOS[1] * 1.05


@pytest.mark.parametrize("size", [(400, 20), (20, 400), (1000, 2)])
def test_a_crop_of_a_narrow_image_is_central(size: tuple[int, int]) -> None:
    left, top, right, bottom = random_box(*size, (0.9, 1.0), rng())
    assert abs(left - (size[0] - right)) <= 1
    assert abs(top - (size[1] - bottom)) <= 1
    ratio = (right - left) / (bottom - top)
    assert ASPECT_RATIOS[0] * 0.9 <= ratio <= ASPECT_RATIOS[1] * 1.2


def test_whole_images_are_mirrored_half_of_the_time(photograph: Path) -> None:
    image = read_rgb(photograph).resize((32, 32), Image.Resampling.BICUBIC)
    whole, mirrored = np.asarray(image), np.asarray(image)[:, ::-1]
    count = 0
    for seed in range(40):
        # Of the full area only a square fits, so the crop is the whole image.
        found = augmented_image(photograph, 32, PLAIN, rng(seed))
        assert found.shape == (32, 32, 3)
        assert found.dtype == np.uint8
        assert np.array_equal(found, whole) or np.array_equal(found, mirrored)
        count += np.array_equal(found, mirrored)
    assert 10 <= count <= 30


@pytest.mark.parametrize("name", ["crop_area", "rand_augment", "color_jitter"])
def test_each_part_changes_images(photograph: Path, name: str) -> None:
    changed = replace(PLAIN, **{name: getattr(FULL, name)})
    same = [
        np.array_equal(*(augmented_image(photograph, 32, x, rng(s)) for x in (PLAIN, changed)))
        for s in range(10)
    ]
    assert sum(same) <= 6  # RandAugment leaves a quarter of the images as they are


def test_equal_seeds_give_equal_images(photograph: Path) -> None:
    first, again, other = (augmented_image(photograph, 32, FULL, rng(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("index", range(len(OPERATIONS)))
def test_every_operation_changes_more_at_a_greater_magnitude(index: int, photograph: Path) -> None:
    image = read_rgb(photograph)
    pixels = np.asarray(image, "float32")
    for sign in (-1.0, 1.0):
        changes = []
        for magnitude in (0.0, 0.4, 0.9, 1.0):
            result = OPERATIONS[index](image, magnitude, sign)
            assert (result.size, result.mode) == (image.size, "RGB")
            changes.append(np.abs(np.asarray(result, "float32") - pixels).mean())
        assert changes == sorted(changes)
        assert changes[-1] > 1
        # Those that have a magnitude begin where nothing is changed; but posterising keeps four
        # bits at most.
        assert (changes[0] < 0.01) == (index not in (0, 1, 2, 4))


def test_rand_augment_draws_every_operation(
    photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, float, float]] = []

    def recorded(index: int):
        return lambda image, magnitude, sign: (drawn.append((index, magnitude, sign)), image)[1]

    recorders = tuple(recorded(index) for index in range(len(OPERATIONS)))
    monkeypatch.setattr("keras_fastvit.training.data.rand_augment.OPERATIONS", recorders)
    random, image = rng(), read_rgb(photograph)
    for _ in range(2000):
        rand_augment(image, 9, random)
    indices, magnitudes, signs = map(np.array, zip(*drawn, strict=True))
    # Two draws an image, each applied half of the time.
    assert 1900 < len(indices) < 2100
    assert np.bincount(indices, minlength=15).min() > 90
    assert magnitudes.mean() == pytest.approx(0.9, abs=0.01)
    assert magnitudes.std() == pytest.approx(0.05, abs=0.01)
    assert magnitudes.max() == 1
    assert abs(signs.mean()) < 0.1


@pytest.mark.parametrize("name", ["random_erasing", "mixup", "cutmix"])
def test_a_seed_decides_what_happens_to_a_batch(name: str) -> None:
    augmentation = replace(PLAIN, **{name: getattr(FULL, name)})
    images, labels = batch()
    first, again, other = (
        augmented_batch(images, labels, augmentation, rng(seed)) for seed in (3, 3, 4)
    )
    for x, y in zip(first, again, strict=True):
        np.testing.assert_array_equal(x, y)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], images)
    assert (first[0].shape, first[0].dtype) == (images.shape, np.float32)
    assert (first[1].shape, first[1].dtype) == (labels.shape, np.float32)


def test_nothing_is_done_to_a_plain_batch() -> None:
    images, labels = batch()
    same_images, same_labels = augmented_batch(images, labels, PLAIN, rng())
    np.testing.assert_array_equal(same_images, images)
    np.testing.assert_array_equal(same_labels, labels)


def test_a_quarter_of_the_images_are_erased_in_part() -> None:
    augmentation = replace(PLAIN, random_erasing=0.25)
    images, labels = batch()
    changed = []
    for seed in range(20):
        erased, same_labels = augmented_batch(images, labels, augmentation, rng(seed))
        np.testing.assert_array_equal(same_labels, labels)
        changed += list((erased != images).any(axis=-1).mean(axis=(1, 2)))
    touched = [share for share in changed if share]
    assert 0.15 < len(touched) / len(changed) < 0.35
    assert min(touched) > 0.015
    assert max(touched) < 0.35


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_labels_are_mixed_as_images_are(name: str) -> None:
    """Images that show their label's index: the mean of an image is that of its label."""
    augmentation = replace(PLAIN, **{name: 1.0})
    labels = np.eye(4, dtype="float32")[np.arange(16) % 4]
    values = (np.arange(16) % 4).astype("float32")
    images = np.broadcast_to(values[:, None, None, None], (16, 32, 32, 3)).copy()
    mixed_images, mixed_labels = augmented_batch(images, labels, augmentation, rng(1))
    np.testing.assert_allclose(mixed_labels.sum(axis=1), 1, atol=1e-5)
    assert ((mixed_labels > 0.01).sum(axis=1) > 1).any()
    expected = mixed_labels @ np.arange(4)
    np.testing.assert_allclose(mixed_images.mean(axis=(1, 2, 3)), expected, atol=1e-4)


def test_a_batch_has_mixup_or_cutmix() -> None:
    augmentation = replace(PLAIN, mixup=0.8, cutmix=1.0)
    images, labels = batch()
    blended = []
    for seed in range(12):
        mixed, _ = augmented_batch(images, labels, augmentation, rng(seed))
        blended.append(not np.isin(mixed, images).all())  # cutmix moves values, and makes none
    assert 0 < sum(blended) < len(blended)
