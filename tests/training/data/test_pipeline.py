"""Batches that depend on their place alone, made by threads, of what the exported model sees."""

from pathlib import Path

import numpy as np
import pytest

from keras_fastvit import load_image, preprocess_input
from keras_fastvit.images.normalizations import NORMALIZATIONS
from keras_fastvit.training.data.folders import Examples, find_training_data
from keras_fastvit.training.data.pipeline import TrainingBatches, ValidationBatches
from keras_fastvit.training.recipes import Augmentation
from tests.photographs import write_photographs

SOFT = Augmentation(crop_area=(0.3, 1.0), color_jitter=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs"), count=6)


@pytest.fixture(scope="module")
def examples(folder: Path) -> Examples:
    return find_training_data(folder, seed=0).train


def training(folder: Path, examples: Examples, seed: int = 0) -> TrainingBatches:
    return TrainingBatches(folder, examples, 3, 32, 4, SOFT, 0.1, seed)


def epoch_of(batches: TrainingBatches, epoch: int) -> list:
    batches.epoch = epoch
    return [batches[i] for i in range(len(batches))]


@pytest.mark.single_backend
def test_a_batch_depends_on_its_place_alone(folder: Path, examples: Examples) -> None:
    batches, again = training(folder, examples), training(folder, examples)
    first, second = epoch_of(batches, 0), epoch_of(batches, 1)
    assert len(first) == len(examples) // 4 == 3
    # Another object, the epochs and steps in another order, a step twice.
    again.epoch = 1
    for index in (2, 0, 0, 1):
        for x, y in zip(again[index], second[index], strict=True):
            np.testing.assert_array_equal(x, y)
    for batch, same in zip(epoch_of(again, 0), first, strict=True):
        np.testing.assert_array_equal(batch[0], same[0])
    assert not np.array_equal(first[0][0], second[0][0])
    assert not np.array_equal(epoch_of(training(folder, examples, 1), 0)[0][0], first[0][0])
    batches.close()
    again.close()


@pytest.mark.single_backend
def test_an_epoch_has_each_image_once(folder: Path, examples: Examples) -> None:
    batches = TrainingBatches(folder, examples, 3, 32, 1, Augmentation((1.0, 1.0)), 0.0, 0)
    seen = []
    for images, labels in epoch_of(batches, 3):
        (pixels,) = images
        candidates = [
            i
            for i, path in enumerate(examples.images)
            if any(np.array_equal(pixels, x) for x in whole_and_mirrored(folder / path))
        ]
        assert examples.labels[candidates[0]] == labels.argmax()
        seen += candidates
    assert sorted(seen) == list(range(len(examples)))
    assert seen != sorted(seen)
    batches.close()


def whole_and_mirrored(path: Path) -> list[np.ndarray]:
    image = load_image(path, 32, 1.0)
    return [preprocess_input(x, "channels_last") for x in (image, image[:, ::-1])]


@pytest.mark.single_backend
def test_labels_are_smoothed(folder: Path, examples: Examples) -> None:
    batches = training(folder, examples)
    images, labels = batches[0]
    assert (images.dtype, labels.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(np.sort(labels, axis=1), [[0.1 / 3, 0.1 / 3, 0.9 + 0.1 / 3]] * 4)
    batches.close()


@pytest.mark.single_backend
def test_training_normalises_as_its_variant_wants(folder: Path, examples: Examples) -> None:
    """One linear map of the same pixels, whatever has been done to them before."""
    arguments = (folder, examples, 3, 32, 4, Augmentation((1.0, 1.0)), 0.0, 0)
    received = {}
    for name in NORMALIZATIONS:
        batches = TrainingBatches(*arguments, normalization=name)
        received[name] = batches[0][0]
        batches.close()
    assert 0 <= received["unit"].min() < received["unit"].max() <= 1
    for name, (mean, std) in NORMALIZATIONS.items():
        expected = (received["unit"] - np.array(mean)) / np.array(std)
        np.testing.assert_allclose(received[name], expected, atol=1e-5)


@pytest.mark.single_backend
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_validation_sees_what_the_exported_model_sees(
    folder: Path, examples: Examples, normalization: str
) -> None:
    batches = ValidationBatches(folder, examples, 32, 6, 0.8, normalization)
    assert len(batches) == 3
    images = np.concatenate([batches[i][0] for i in range(3)])
    expected = np.stack([load_image(folder / path, 32, 0.8) for path in examples.images])
    expected = preprocess_input(expected, "channels_last", normalization)
    np.testing.assert_array_equal(images[: len(examples)], expected)
    # The last batch is filled.
    assert len(images) == 18
    np.testing.assert_array_equal(images[len(examples) :], expected[[-1] * 3])
    batches.close()


@pytest.mark.single_backend
def test_an_image_that_is_gone_is_named(folder: Path, examples: Examples) -> None:
    missing = Examples((*examples.images[:3], "coffee/gone.png"), examples.labels[:4])
    batches = training(folder, missing)
    with pytest.raises(FileNotFoundError, match=r"coffee/gone\.png"):
        batches[0]
    assert isinstance(batches.failure, FileNotFoundError)
    batches.close()


def test_keras_iterates_over_them(folder: Path, examples: Examples) -> None:
    """`predict` of a model that gives its input back."""
    import keras

    image = keras.Input((32, 32, 3))
    model = keras.Model(image, keras.layers.Identity()(image))
    model.compile(jit_compile=False)
    batches = ValidationBatches(folder, examples, 32, 5, crop_pct=0.9)
    answers = model.predict(batches, verbose=0)
    np.testing.assert_allclose(answers, np.concatenate([batches[i][0] for i in range(3)]))
    batches.close()
