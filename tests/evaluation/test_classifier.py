"""Folders as ImageNet and its relatives have them, and any Keras classifier."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from keras_fastvit import class_names, preprocess_input
from keras_fastvit.evaluation.classifier import KerasClassifier, classify, considered_classes
from keras_fastvit.images.folders import find_images
from keras_fastvit.images.preprocessing import decode_predictions
from tests.models import run, tiny

SYNSETS = [
    str(synset) for synset, _, _ in decode_predictions(-np.arange(1000.0)[None], top=1000)[0]
]
LAST = {"data_format": "channels_last"}


def grey_reader(classes: int, **kwargs) -> keras.Model:
    """A model whose best class is an image's brightness, 0..1, times the number of classes."""
    image = keras.Input((8, 8, 3))
    dense = layers.Dense(classes, **kwargs)
    model = keras.Model(image, dense(layers.GlobalAveragePooling2D(**LAST)(image)))
    # −(y − (c + ½)/classes)² but for y², which is the same for all classes; y as normalised.
    levels = (np.arange(classes) + 0.5) / classes
    centres = preprocess_input(
        255 * np.repeat(levels[:, None], 3, axis=1)[:, None, None], "channels_last"
    )[:, 0, 0]
    dense.set_weights([40 * centres.T, -20 * (centres**2).sum(axis=1)])
    return model


def pooling(shape: tuple[int | None, ...]) -> keras.Model:
    """A model whose scores are the means of the channels."""
    return keras.Sequential([keras.Input(shape), layers.GlobalAveragePooling2D(**LAST)])


def write(folder, level: float, name: str = "0.png", size: int = 9) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (round(255 * level),) * 3).save(folder / name)


def test_answers_and_their_order(tmp_path):
    write(tmp_path / "0_black", 0.1)
    write(tmp_path / "1_grey", 0.5)
    write(tmp_path / "1_grey", 0.1, "wrong.png")
    write(tmp_path / "2_white", 0.9)
    (tmp_path / "2_white" / "text.png").write_text("not an image")
    (tmp_path / "0_black" / "empty.png").write_bytes(b"")
    advanced = []
    (answers,) = classify(
        [KerasClassifier(grey_reader(3), 1.0)], find_images(tmp_path), lambda: advanced.append(1)
    )
    assert [path.name for path in answers.paths] == ["0.png", "0.png", "wrong.png", "0.png"]
    assert answers.labels.tolist() == [0, 1, 1, 2]
    assert answers.logits.argmax(axis=1).tolist() == [0, 1, 0, 2]
    assert answers.names == ("0_black", "1_grey", "2_white")
    assert answers.rule == "by their numbers"
    assert {path.name for path in answers.skipped} == {"text.png", "empty.png"}
    assert len(advanced) == 6


def test_more_images_than_a_batch(tmp_path):
    for i in range(70):
        write(tmp_path / str(i % 2), 0.2 + 0.6 * (i % 2), f"{i:02d}.png")
    (answers,) = classify([KerasClassifier(grey_reader(2), 1.0)], find_images(tmp_path))
    assert answers.logits.shape == (70, 2)
    assert (answers.logits.argmax(axis=1) == answers.labels).all()


@pytest.fixture(scope="module")
def classifier() -> KerasClassifier:
    """A model of 1,000 classes; of an image of brightness b it answers class 1000·b."""
    return KerasClassifier(grey_reader(1000), 1.0, class_names("imagenet"))


class TestImageNet:
    def test_validation_set_and_sketch(self, classifier, tmp_path):
        for index in (100, 700, 701):
            write(tmp_path / SYNSETS[index], (index + 0.5) / 1000)
        (answers,) = classify([classifier], find_images(tmp_path))
        assert answers.rule == "by their synsets"
        assert answers.logits.shape == (3, 1000)
        assert sorted(answers.labels) == [100, 700, 701]
        assert np.abs(answers.logits.argmax(axis=1) - answers.labels).max() <= 2

    def test_version_2_is_numbered(self, classifier, tmp_path):
        """ "10" comes before "9" in sorted order, and is class 10 all the same."""
        for index in (9, 10, 100, 999):
            write(tmp_path / str(index), (index + 0.5) / 1000)
        (answers,) = classify([classifier], find_images(tmp_path))
        assert answers.rule == "by their numbers"
        assert sorted(answers.labels) == [9, 10, 100, 999]
        assert np.abs(answers.logits.argmax(axis=1) - answers.labels).max() <= 2

    def test_of_200_synsets_the_others_do_not_count(self, classifier, tmp_path):
        """As of ImageNet-A and -R: what lies between two of the classes is the nearer one's."""
        for index in range(0, 1000, 5):
            (tmp_path / SYNSETS[index]).mkdir()
        write(tmp_path / SYNSETS[500], 0.5015)  # in the thousand it is class 501
        write(tmp_path / SYNSETS[505], 0.5045)
        (answers,) = classify([classifier], find_images(tmp_path))
        assert answers.considered.tolist() == list(range(0, 1000, 5))
        assert answers.logits.shape == (2, 200)
        assert answers.labels.tolist() == [100, 101]
        assert answers.logits.argmax(axis=1).tolist() == [100, 101]
        assert answers.names[100] == class_names("imagenet")[500]

    def test_which_folders_are_partial(self):
        some = SYNSETS[::5]
        assert len(considered_classes(some, range(0, 1000, 5), 1000)) == 200
        assert len(considered_classes(some[1:], range(5, 1000, 5), 1000)) == 1000
        assert len(considered_classes(list(map(str, range(200))), range(200), 1000)) == 1000
        assert len(considered_classes(some, range(200), 200)) == 200


class TestClassifier:
    def test_gives_logits_of_a_model_that_gives_probabilities(self):
        pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
        logits = KerasClassifier(grey_reader(4), 1.0).logits(pixels)
        probabilities = KerasClassifier(grey_reader(4, activation="softmax"), 1.0).logits(pixels)
        np.testing.assert_allclose(logits, probabilities, rtol=1e-5)
        assert logits.dtype == np.float32

    def test_a_fastvit_of_any_size(self):
        model = tiny(input_shape=(None, None, 3), **LAST)
        classifier = KerasClassifier(model, 0.9, list("abcde"), (32, 64))
        assert (classifier.preparation.size, classifier.classes) == ((32, 64), 5)
        pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), dtype=np.uint8)
        expected = run(model, preprocess_input(pixels, "channels_last"))
        np.testing.assert_allclose(classifier.logits(pixels), expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("normalization", ["clip", "unit"])
    def test_normalises_as_told(self, normalization):
        model = tiny(input_shape=(32, 32, 3), **LAST)
        pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
        received = KerasClassifier(model, 0.9, normalization=normalization).logits(pixels)
        expected = run(model, preprocess_input(pixels, "channels_last", normalization))
        np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-4)

    def test_crops_as_told(self, tmp_path):
        image = Image.new("RGB", (80, 80), "white")
        image.paste("black", (20, 20, 60, 60))
        image.save(tmp_path / "0.png")
        whole, middle = (
            KerasClassifier(grey_reader(2), crop_pct).preparation.load(tmp_path / "0.png")
            for crop_pct in (1, 0.4)
        )
        assert whole.shape == middle.shape == (8, 8, 3)
        assert whole.mean() > 180
        assert middle.mean() < 5

    @pytest.mark.parametrize(
        ("model", "kwargs", "message"),
        [
            (pooling((None, None, 3)), {}, "which --image-size can give"),
            (grey_reader(2), {"image_size": (9, 9)}, r"image_size=\(9, 9\)"),
            (grey_reader(2), {"labels": ["a"]}, "1 labels for 2 classes"),
            (pooling((8, 8, 1)), {}, r"input \(None, 8, 8, 1\)"),
            (
                keras.Sequential([keras.Input((8, 8, 3)), layers.ReLU()]),
                {},
                r"output \(None, 8, 8, 3\)",
            ),
        ],
    )
    def test_refuses(self, model, kwargs, message):
        with pytest.raises(ValueError, match=message):
            KerasClassifier(model, 1.0, **kwargs)


def test_no_image_at_all(tmp_path):
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"None of the 2 files .* Received: .*notes.txt"):
        classify([KerasClassifier(grey_reader(2), 1.0)], find_images(tmp_path))
