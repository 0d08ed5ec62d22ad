"""Zero-shot: an image tower and text embeddings as a classifier, by itself and by the commands."""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_fastvit
from keras_fastvit import FastViT, TextEmbeddings, decode_predictions, load_image, preprocess_input
from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from tests.commands import command
from tests.models import DATA_FORMATS, TINY, images, randomize, relative_difference, run, tiny
from tests.photographs import CLASSES, write_photographs

LAST = {"data_format": "channels_last"}
WIDTH = 16
TOWER = replace(
    TINY,
    name="fastvit_tiny_tower",
    top1=None,
    top1_distilled=None,
    embedding_width=WIDTH,
    normalization="unit",
    attention_norm="layer_norm",
    squeeze_excite_stages=(2,),
    downsample_activation=True,
    stem_scale_branches=False,
)


@pytest.fixture(autouse=True, scope="module")
def known_variant() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, TOWER.name, TOWER)
        yield


def small_tower(data_format: str = "channels_last", **kwargs) -> FastViT:
    """A small image tower with random weights, for images 48 pixels square."""
    shape = (48, 48, 3) if data_format == "channels_last" else (3, 48, 48)
    settings = {"classes": WIDTH, "classifier_activation": None, "input_shape": shape, **kwargs}
    return randomize(FastViT(TOWER.name, data_format=data_format, **settings))


def some_text(classes: int = WIDTH, logit_scale: float = 5.0) -> TextEmbeddings:
    """As many texts as the embedding is wide: a matrix the other way round would fit as well."""
    drawn = np.random.default_rng(1).normal(size=(classes, WIDTH))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return TextEmbeddings([f"text {i}" for i in range(classes)], drawn, logit_scale)


def probabilities(embeddings: np.ndarray, text: TextEmbeddings) -> np.ndarray:
    """The definition, in float64: a softmax of scaled cosines."""
    rows = embeddings.astype("float64")
    cosines = rows @ text.embeddings.astype("float64").T
    cosines /= np.sqrt((rows**2).sum(axis=1))[:, None]
    powers = np.exp(text.logit_scale * cosines)
    return powers / powers.sum(axis=1)[:, None]


class TestModel:
    @pytest.mark.parametrize("data_format", DATA_FORMATS)
    def test_is_the_definition_in_both_forms(self, data_format):
        tower, text = small_tower(data_format), some_text()
        x = images(3, *tower.input_shape[1:])
        expected = probabilities(run(tower, x), text)
        # Neither certain nor even, where a wrong scale would not show.
        assert 0.1 < expected.max(axis=1).mean() < 0.9
        model = keras_fastvit.zero_shot(tower, text)
        assert relative_difference(run(model, x), expected) < 1e-4
        fused = keras_fastvit.fuse(model)
        assert relative_difference(run(fused, x), expected) < 1e-4
        of_fused = keras_fastvit.zero_shot(tower.fuse(), text)
        assert relative_difference(run(of_fused, x), expected) < 1e-4
        assert {m.name for m in (model, fused, of_fused)} == {TOWER.name}

    def test_photographs_are_recognised_as_themselves(self, tmp_path):
        tower = small_tower()
        paths = sorted(write_photographs(tmp_path, count=5).rglob("*.png"))
        x = preprocess_input(np.stack([load_image(p, 48, 1.0) for p in paths]), "channels_last")
        embeddings = run(tower, x)
        names = [f"{path.parent.name} {path.stem}" for path in paths]
        model = keras_fastvit.zero_shot(tower, TextEmbeddings(names, embeddings))
        decoded = decode_predictions(run(model, x), top=1, class_names=names)
        assert [best[0][1] for best in decoded] == names

    def test_saves_and_loads(self, tmp_path):
        model = keras_fastvit.fuse(keras_fastvit.zero_shot(small_tower(), some_text(5)))
        assert all(type(x).__module__.startswith("keras.") for x in model._flatten_layers())
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        x = images(2, 48, 48, 3)
        assert relative_difference(run(loaded, x), run(model, x)) < 1e-6

    def test_texts_are_compared_in_float32_whatever_the_tower_computes_in(self):
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            text, tower = some_text(logit_scale=100.0), small_tower()
            model = keras_fastvit.zero_shot(tower, text)
        finally:
            keras.config.set_dtype_policy(policy)
        x = images(2, 48, 48, 3)
        received = run(model, x)
        assert received.dtype == "float32"
        np.testing.assert_allclose(received, probabilities(run(tower, x), text), atol=1e-3)

    def test_any_functional_tower(self):
        tower = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Rescaling(3.0)])
        x, text = images(4, WIDTH), some_text()
        model = keras_fastvit.zero_shot(tower, text)
        assert relative_difference(run(model, x), probabilities(x, text)) < 1e-5

    def test_an_embedding_of_zeros_is_near_to_no_text(self):
        tower = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Rescaling(0.0)])
        scores = run(keras_fastvit.zero_shot(tower, some_text(4)), images(2, WIDTH))
        np.testing.assert_allclose(scores, 0.25)

    def test_normalising_is_noted(self, caplog):
        tower = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Rescaling(3.0)])
        with caplog.at_level(logging.WARNING, "keras_fastvit"):
            keras_fastvit.zero_shot(tower, some_text())
            assert not caplog.messages
            keras_fastvit.zero_shot(tower, TextEmbeddings(["a", "b"], 3 * np.eye(2, WIDTH)))
        (message,) = caplog.messages
        assert "lengths from 3 to 3, and have been normalised" in message

    @pytest.mark.single_backend
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: small_tower(classes=8), r"8 wide .* Received: .* \(16, 16\)"),
            (lambda: tiny(classes=WIDTH, classifier_activation="softmax"), "without a softmax"),
            (lambda: small_tower(include_top=False), r"one output .*\(None, 2, 2, 64\)"),
            (lambda: keras.Model(*[[keras.Input((WIDTH,)) for _ in "ab"]] * 2), "one output"),
        ],
    )
    def test_what_is_no_tower_of_that_width(self, make, message):
        with pytest.raises(ValueError, match=message) as error:
            keras_fastvit.zero_shot(make(), some_text())
        assert "Received: " in str(error.value)

    @pytest.mark.single_backend
    def test_a_classifier_by_texts_is_no_tower(self):
        classifier = keras_fastvit.zero_shot(small_tower(), some_text())
        with pytest.raises(ValueError, match="without a softmax"):
            keras_fastvit.zero_shot(classifier, some_text())


def plain_tower() -> keras.Model:
    """A tower of Keras' own layers, with a variant's name: commands normalise by it."""
    return randomize(
        keras.Sequential(
            [
                keras.Input((48, 48, 3)),
                keras.layers.Conv2D(8, 5, strides=3, activation="relu", **LAST),
                keras.layers.Conv2D(16, 3, strides=2, activation="relu", **LAST),
                keras.layers.GlobalAveragePooling2D(**LAST),
                keras.layers.Dense(WIDTH),
            ],
            name=TOWER.name,
        )
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tower in a file, photographs, and the embedding of one of a kind for that of its name."""
    folder = tmp_path_factory.mktemp("zero_shot")
    write_photographs(folder / "photographs", count=16)
    paths = sorted((folder / "photographs").rglob("*.png"))
    tower = plain_tower()
    # At random, all images have nearly the same embedding. A trained tower's tell them apart.
    kernel, bias = tower.layers[-1].get_weights()
    common = run(tower, prepared(paths)).mean(axis=0)
    tower.layers[-1].set_weights([kernel, bias - 0.9 * common])
    tower.save(folder / "tower.keras")
    np.savez(
        folder / "labels.npz",
        names=CLASSES,
        embeddings=run(tower, prepared(paths[::16])),
        logit_scale=10.0,
    )
    return folder


def prepared(paths: list[Path]) -> np.ndarray:
    pixels = np.stack([load_image(path, 48, 0.9) for path in paths])
    return preprocess_input(pixels, "channels_last", "unit")


@pytest.mark.single_backend
@pytest.mark.xdist_group("zero_shot_files")
class TestCommands:
    def expected(self, folder: Path) -> tuple[np.ndarray, np.ndarray, TextEmbeddings]:
        """The photographs and the tower's probabilities for them, by the definition."""
        text = keras_fastvit.read_text_embeddings(folder / "labels.npz")
        x = prepared(sorted((folder / "photographs").rglob("*.png")))
        tower = keras.saving.load_model(folder / "tower.keras")
        return x, probabilities(run(tower, x), text), text

    def test_predict(self, folder, capsys):
        _, expected, text = self.expected(folder)
        paths = sorted((folder / "photographs").rglob("*.png"))[::6]
        options = ["--model", folder / "tower.keras", "--text-embeddings", folder / "labels.npz"]
        assert command("predict", *paths, *options, "--top", "2") == 0
        printed = capsys.readouterr().out.splitlines()
        assert [Path(line) for line in printed[::3]] == paths
        for scores, best in zip(expected[::6], printed[1::3], strict=True):
            score, label, name = re.fullmatch(r" +([\d.]+)  (\d+)  (.+)", best).groups()
            assert abs(float(score) - scores.max()) < 1e-4
            assert (int(label), name) == (scores.argmax(), text.names[scores.argmax()])

    @pytest.mark.parametrize("quantize", ["none", "int8"])
    def test_export(self, folder, tmp_path, capsys, quantize):
        options = ["--model", str(folder / "tower.keras"), "--quantize", quantize]
        if quantize == "int8":
            options += ["--calibration", str(folder / "photographs")]
        options += ["--text-embeddings", str(folder / "labels.npz")]
        path = tmp_path / "labels.tflite"
        assert command("export", *options, "--output", path) == 0
        x, expected, text = self.expected(folder)
        described = sidecar.read(path)
        assert described["labels"] == list(text.names)
        assert described["output"]["activation"] == "softmax"
        assert described["output"]["shape"] == [1, len(text.names)]
        assert (described["input"]["mean"], described["input"]["std"]) == ([0.0] * 3, [1.0] * 3)
        assert described["weights"] == "tower.keras, labels.npz"
        logits = TFLiteModel(path).predict(x)
        logits -= logits.max(axis=1, keepdims=True)
        received = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        agreement = (received.argmax(axis=1) == expected.argmax(axis=1)).mean()
        if quantize == "none":
            np.testing.assert_allclose(received, expected, atol=1e-4)
        assert agreement >= (1 if quantize == "none" else 0.8)
        # The file tells all that is needed to use it, and what it was made from can be named.
        capsys.readouterr()
        photograph = str(folder / "photographs/chelsea/00.png")
        assert command("predict", photograph, "--model", path, "--top", "1") == 0
        place = sorted((folder / "photographs").rglob("*.png")).index(Path(photograph))
        (_, best) = capsys.readouterr().out.splitlines()
        assert best.endswith(text.names[received[place].argmax()])
        options = [folder / "tower.keras", "--json", tmp_path / "found.json"]
        options += ["--text-embeddings", folder / "labels.npz"]
        assert command("evaluate", path, *options, "--data", folder / "photographs") == 0
        (found, _) = json.loads((tmp_path / "found.json").read_text())
        assert found["agreement"] == agreement
        assert found["sqnr_db"] > (80 if quantize == "none" else 15)

    def test_evaluate_the_keras_model(self, folder, capsys):
        options = ["--text-embeddings", folder / "labels.npz", "--data", folder / "photographs"]
        assert command("evaluate", folder / "tower.keras", *options) == 0
        printed = capsys.readouterr().out
        assert "tower.keras" in printed
        assert "labels.npz" in printed

    def test_a_variant_by_its_name(self, tmp_path, capsys):
        weights = tmp_path / "tower.weights.h5"
        tower = keras_fastvit.FastViTMCi0(input_shape=(32, 32, 3), data_format="channels_last")
        tower.save_weights(weights)
        names = ["cat", "dog"]
        np.savez(tmp_path / "labels.npz", names=names, embeddings=5 * np.eye(2, 512))
        (photograph, *_) = sorted(write_photographs(tmp_path / "data", count=1).rglob("*.png"))
        options = ["--model", "fastvit_mci0", "--weights", str(weights), "--image-size", "32"]
        options += ["--text-embeddings", str(tmp_path / "labels.npz")]
        assert command("predict", photograph, *options) == 0
        printed = capsys.readouterr().out.splitlines()
        pixels = load_image(photograph, 32, 0.95)  # the variant's crop and normalisation
        x = preprocess_input(pixels[None], "channels_last", "unit")
        expected = probabilities(run(tower, x), TextEmbeddings(names, np.eye(2, 512)))
        for line in printed[1:]:
            score, label, name = line.split()
            assert name == names[int(label)]
            assert abs(float(score) - expected[0, int(label)]) < 1e-3

    @pytest.mark.parametrize("name", ["predict", "export"])
    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"embeddings": np.eye(3, 7)}, r"16 wide .*Received: .* of shape \(3, 7\)"),
            ({"names": ["a", "b", "a"]}, "twice 'a'"),
            ({"names": ["a", "b"]}, "2 names for embeddings"),
            ({"names": np.array(["a", "b", "c"], object)}, "could run code"),
            ({"embeddings": np.full((3, WIDTH), np.nan)}, "NaN"),
            ({"logit_scale": 0.0}, "positive"),
            (None, "nothing at"),
        ],
    )
    def test_bad_input(self, folder, tmp_path, capsys, name, arrays, message):
        path = tmp_path / "labels.npz"
        if arrays is not None:
            np.savez(path, **{"names": ["a", "b", "c"], "embeddings": np.eye(3, WIDTH), **arrays})
        options = ["--model", str(folder / "tower.keras"), "--text-embeddings", str(path)]
        if name == "predict":
            options.append(str(folder / "photographs/chelsea/00.png"))
        else:
            options += ["--output", str(tmp_path / "labels.tflite")]
        assert command(name, *options) == 2
        printed = capsys.readouterr()
        assert re.search(message, printed.err)
        assert printed.err.count("\n") == 1
        assert "Received: " in printed.err
        assert printed.out == ""
        assert not (tmp_path / "labels.tflite").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["predict", "a.png", "--model", "a.tflite"], "knows its own classes"),
            (["evaluate", "a.tflite", "--data", "images"], "are a Keras model's"),
        ],
    )
    def test_of_a_file_alone_the_texts_are_its_own(self, capsys, arguments, message):
        assert command(*arguments, "--text-embeddings", "labels.npz") == 2
        assert message in capsys.readouterr().err
