"""The accuracy of `.tflite` files on folders of images, and how near they are to Keras."""

import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from keras_fastvit import FastViTT8, class_names, load_image, preprocess_input
from keras_fastvit.conversion.evaluation.comparison import Evaluation, evaluate
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.confusion_plot import confusion, plot_confusion
from keras_fastvit.images.folders import classes_of_folders, find_images
from keras_fastvit.images.preparation import Preparation
from keras_fastvit.images.preprocessing import decode_predictions
from tests.commands import command
from tests.tflite_files import crashing_content, to_tflite, write_sidecar

pytestmark = [pytest.mark.single_backend, pytest.mark.xdist_group("tflite_files")]

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "demo_images" / "fashion_mnist"
FASHION_MNIST = list(class_names("fashion_mnist"))
COLORS = ("red", "green", "blue")


def which_color(**kwargs) -> keras.Model:
    """A model whose best class is an image's strongest normalised channel."""
    image = keras.Input((16, 16, 3))
    dense = layers.Dense(3, **kwargs)
    logits = dense(layers.GlobalAveragePooling2D()(image))
    dense.set_weights([10 * np.eye(3), np.zeros(3)])
    return keras.Model(image, logits)


@pytest.fixture(scope="module")
def color_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("colors") / "colors.tflite"
    path.write_bytes(to_tflite(which_color()))
    return path


def fill(folder: Path, *colors: str, size: tuple[int, int] = (20, 20)) -> Path:
    """Puts a plain image of each color in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, color in enumerate(colors):
        Image.new("RGB", size, color).save(folder / f"{i}_{color}.png")
    return folder


def top1(found: Evaluation) -> float | None:
    return found.figures()["top1"]


def matrix(found: Evaluation) -> list[list[int]]:
    """Images by class and by what they were taken for."""
    answers = found.answers
    best = answers.logits.argmax(axis=1)
    return confusion(answers.labels, best, len(answers.considered)).tolist()


@pytest.fixture
def data(tmp_path) -> Path:
    """Nine images, of which the model gets seven right, and eight with two guesses."""
    root = tmp_path / "data"
    fill(root / "0_red", "red", "#ff4020", "#ff2040")
    fill(root / "1_green", "lime", "#40ff20", "#ff8020")  # the last is taken for red, then green
    fill(root / "2_blue", "blue", "#2040ff", "#ff8020")
    return root


class TestEvaluate:
    def test_counts(self, color_file, data):
        (found,) = evaluate([color_file], data)
        assert found.classifier.name == str(color_file)
        assert (len(found.answers.paths), found.answers.skipped) == (9, {})
        figures = found.figures()
        assert figures["top1"] == pytest.approx(7 / 9)
        assert figures["mean_per_class"] == pytest.approx(7 / 9)  # of as many images each
        assert figures["top5"] == 1  # of three classes
        assert figures["calibration_error"] is None  # whether a softmax follows is not known
        assert matrix(found) == [[3, 0, 0], [1, 2, 0], [1, 0, 2]]
        assert found.answers.rule == "by their numbers"
        assert found.agreement is found.sqnr_db is None
        assert "neither a sidecar nor the file itself names one" in found.no_reference

    def test_images_that_cannot_be_read_are_left_out(self, color_file, data):
        (data / "0_red" / "notes.txt").write_text("not an image")
        whole = (data / "1_green" / "0_lime.png").read_bytes()
        (data / "1_green" / "cut.png").write_bytes(whole[:40])
        (data / "2_blue" / "empty.png").write_bytes(b"")
        (data / "2_blue" / ".hidden").write_text("not looked at")
        (data / ".cache").mkdir()
        (found,) = evaluate([color_file], data)
        assert len(found.answers.paths) == 9
        assert top1(found) == pytest.approx(7 / 9)
        assert {path.name for path in found.answers.skipped} == {
            "notes.txt",
            "cut.png",
            "empty.png",
        }
        assert all(str(path) in reason for path, reason in found.answers.skipped.items())

    def test_prepares_images_as_the_sidecar_says(self, color_file, tmp_path):
        path = shutil.copy(color_file, tmp_path / "colors.tflite")
        # Red in the middle, and a wide blue frame.
        image = Image.new("RGB", (80, 80), "blue")
        image.paste("red", (20, 20, 60, 60))
        for name in COLORS:
            (tmp_path / "data" / name).mkdir(parents=True)
        image.save(tmp_path / "data" / "red" / "framed.png")

        def taken_for(**changes) -> str:
            sidecar = write_sidecar(path, "mine", None, labels=list(COLORS))
            description = json.loads(sidecar.read_text())
            description["input"].update(changes)
            sidecar.write_text(json.dumps(description))
            (found,) = evaluate([path], tmp_path / "data")
            assert found.answers.rule == "by the labels"
            return COLORS[np.argmax(matrix(found)[0])]

        assert taken_for(crop_pct=1.0) == "blue"
        assert taken_for(crop_pct=0.5) == "red"
        # The framed image is 1/4 red and 3/4 blue.
        assert taken_for(mean=[0.0, 0.5, 1.0], std=[1.0, 1.0, 1.0]) == "red"
        assert taken_for(mean=[0.2, 0.2, 0.2], std=[0.01, 1.0, 1.0]) == "red"

    def test_reads_the_copy_in_the_file(self, color_file, data, tmp_path):
        path = Path(shutil.copy(color_file, tmp_path / "colors.tflite"))
        beside = write_sidecar(path, "mine", "mine.h5", labels=["GREEN", "RED", "BLUE"])
        description = json.loads(beside.read_text())
        for key in ("file", "sha256", "size", "self_check"):
            del description[key]
        beside.unlink()
        path.write_bytes(sidecar.embed(path.read_bytes(), description))
        for folder in data.iterdir():
            folder.rename(data / folder.name[2:])
        (found,) = evaluate([path], data)
        assert found.answers.rule == "by the labels"
        assert found.answers.names == ("GREEN", "RED", "BLUE")
        # Class 0 is "green" by its name, and red by what the model answers.
        assert matrix(found) == [[1, 2, 0], [3, 0, 0], [1, 0, 2]]

    def test_without_a_sidecar_crops_as_told(self, color_file, tmp_path):
        image = Image.new("RGB", (80, 80), "blue")
        image.paste("red", (20, 20, 60, 60))
        fill(tmp_path / "0", "red")
        image.save(tmp_path / "0" / "0_red.png")
        (whole,) = evaluate([color_file], tmp_path, crop_pct=1.0)
        (middle,) = evaluate([color_file], tmp_path, crop_pct=0.5)
        assert (top1(whole), top1(middle)) == (0, 1)

    def test_files_of_different_needs_side_by_side(self, color_file, data, tmp_path):
        """Their sizes, crops and labels differ; each is evaluated as if alone."""
        image = keras.Input((8, 24, 3))
        dense = layers.Dense(3)
        wide = keras.Model(image, dense(layers.GlobalAveragePooling2D()(image)))
        dense.set_weights([np.eye(3)[:, ::-1], np.zeros(3)])  # its classes: blue, green, red
        wide_file = tmp_path / "wide.tflite"
        wide_file.write_bytes(to_tflite(wide))
        write_sidecar(wide_file, "mine", None, labels=["Blue!", "Green", "RED"])
        for name in COLORS:
            next(data.glob(f"*_{name}")).rename(data / name)
        reversed_, other = evaluate([wide_file, color_file], data)
        (alone,) = evaluate([color_file], data)
        # Without labels the folders are the classes in sorted order: blue, green, red.
        assert (alone.answers.rule, matrix(alone)) == (other.answers.rule, matrix(other))
        assert other.answers.rule == "in sorted order"
        assert matrix(other)[0] == [1, 0, 2]
        assert reversed_.answers.rule == "by the labels"
        assert top1(reversed_) == pytest.approx(7 / 9)


@pytest.fixture(scope="module")
def fashion_files(tmp_path_factory) -> tuple[Path, Path]:
    """The shipped T8 at 64 pixels in float32 and in int8, with their sidecars."""
    folder = tmp_path_factory.mktemp("fashion")
    model = FastViTT8(weights="fashion_mnist", classes=10, classifier_activation=None)
    prepare = Preparation(model.input_shape[1:3], 1.0)
    calibration = np.stack([prepare(path) for path in find_images(DEMO).images[::10]])
    contents = {
        "float32.tflite": to_tflite(model.fuse()),
        "int8.tflite": to_tflite(model.fuse(), calibration),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        write_sidecar(folder / name, "fastvit_t8", "fashion_mnist", labels=FASHION_MNIST)
    return folder / "float32.tflite", folder / "int8.tflite"


@pytest.fixture(scope="module")
def fashion_data(tmp_path_factory) -> Path:
    """Four images a class, in folders named as the labels are, as far as files can be."""
    root = tmp_path_factory.mktemp("fashion_data")
    for folder in DEMO.iterdir():
        name = FASHION_MNIST[int(folder.name.split("_")[0])].replace("/", " ").upper()
        (root / name).mkdir()
        for path in sorted(folder.iterdir())[:4]:
            shutil.copy(path, root / name)
    return root


class TestBesideKeras:
    def test_the_sidecars_model(self, fashion_files, fashion_data):
        float32, int8 = evaluate(fashion_files, fashion_data)
        model = FastViTT8(weights="fashion_mnist", classes=10, classifier_activation=None)
        folders = find_images(fashion_data)
        labels = np.array(
            [
                FASHION_MNIST.index(name.capitalize().replace("T-shirt ", "T-shirt/"))
                for name in folders.names
            ]
        )[folders.folders]
        pixels = [load_image(path, model.input_shape[1:3], 1.0) for path in folders.images]
        inputs = preprocess_input(np.stack(pixels), "channels_last")
        expected = model.predict(inputs, verbose=0)
        for found, path in ((float32, fashion_files[0]), (int8, fashion_files[1])):
            received = TFLiteModel(path).predict(inputs)
            ranks = np.argsort(-received, axis=1, kind="stable")
            assert len(found.answers.paths) == 40
            assert found.reference == "fastvit_t8 fashion_mnist"
            assert found.answers.rule == "by the labels"
            assert found.no_reference is None
            assert top1(found) == pytest.approx(np.mean(ranks[:, 0] == labels))
            assert found.figures()["top5"] == np.mean((ranks[:, :5] == labels[:, None]).any(axis=1))
            assert found.agreement == np.mean(ranks[:, 0] == expected.argmax(axis=1))
        # Of int8 alone: a float32 file's noise is rounding, another one each time it is summed.
        ratio = (expected**2).sum() / ((expected - received) ** 2).sum()
        assert int8.sqnr_db == pytest.approx(10 * np.log10(ratio), abs=0.05)
        assert top1(float32) > 0.85
        assert float32.agreement == 1
        assert float32.sqnr_db > 100 > 40 > int8.sqnr_db > 15

    def test_a_given_model(self, fashion_files, fashion_data, tmp_path):
        """A user's model with a softmax at its end, which its file lacks."""
        bare = shutil.copy(fashion_files[0], tmp_path / "bare.tflite")
        model = FastViTT8(weights="fashion_mnist", classes=10)
        model.save(tmp_path / "mine.keras")
        # The bare file has no labels, and its folders are not numbered.
        shutil.copytree(fashion_data / "BAG", tmp_path / "data" / "8_bag")
        models = [bare, tmp_path / "mine.keras"]
        found, mine = evaluate(models, tmp_path / "data", crop_pct=1.0)
        assert mine.reference is mine.no_reference is mine.agreement is None
        assert found.agreement == 1
        assert found.sqnr_db > 100

    def test_the_given_model_comes_before_the_sidecars(self, color_file, data, tmp_path):
        path = shutil.copy(color_file, tmp_path / "colors.tflite")
        write_sidecar(path, "fastvit_t8", "imagenet")
        which_color(activation="softmax").save(tmp_path / "mine.keras")
        found, mine = evaluate([path, tmp_path / "mine.keras"], data)
        assert found.reference == "mine.keras"
        # The sidecar keeps the whole image, and a model of one's own nine tenths of it.
        assert found.classifier.preparation != mine.classifier.preparation
        assert found.agreement == 1
        assert found.sqnr_db > 100

    @pytest.mark.parametrize(
        ("model", "weights"),
        [("fastvit_t8", None), ("fastvit_t8", "mine.weights.h5"), ("mine.keras", None)],
    )
    def test_a_sidecar_without_a_name_for_its_weights(
        self, color_file, data, tmp_path, model, weights
    ):
        path = shutil.copy(color_file, tmp_path / "colors.tflite")
        write_sidecar(path, model, weights)
        (found,) = evaluate([path], data)
        assert found.agreement is None
        assert repr(model) in found.no_reference
        assert repr(weights) in found.no_reference

    def test_a_sidecars_model_that_cannot_be_built(self, color_file, data, tmp_path):
        path = shutil.copy(color_file, tmp_path / "colors.tflite")
        write_sidecar(path, "fastvit_t8", "fashion_mnist")  # of ten classes, not of three
        (found,) = evaluate([path], data)
        assert top1(found) == pytest.approx(7 / 9)
        assert "10 classes" in found.no_reference


class TestFolders:
    IMAGENET = tuple(
        synset for synset, _, _ in decode_predictions(-np.arange(1000.0)[None], top=1000)[0]
    )

    @pytest.mark.parametrize(
        ("names", "classes", "labels", "expected", "rule"),
        [
            (["ankle BOOT", "t-shirt_top"], 10, FASHION_MNIST, [9, 0], "by the labels"),
            (["0_T-shirt-top", "9_Ankle-boot"], 10, FASHION_MNIST, [0, 9], "by their numbers"),
            (["07", "3-cat", "5 dog"], 8, None, [7, 3, 5], "by their numbers"),
            (["cat", "dog"], 2, None, [0, 1], "in sorted order"),
            (["3d_printer", "cat"], 2, None, [0, 1], "in sorted order"),
            (["Ärger", "größe"], 3, ["GRÖSSE", "x", "ärger"], [2, 0], "by the labels"),
            (list(IMAGENET), 1000, None, list(range(1000)), "by their synsets"),
            (["n03445777", "n01440764"], 1000, None, [574, 0], "by their synsets"),
            (
                ["tench", "goldfish"],
                1000,
                ["tench", "goldfish", *"?" * 998],
                [0, 1],
                "by the labels",
            ),
        ],
    )
    def test_rules(self, names, classes, labels, expected, rule):
        assert classes_of_folders(names, classes, labels) == (expected, rule)

    def test_imagenet_is_in_sorted_order(self):
        assert list(self.IMAGENET) == sorted(self.IMAGENET)

    @pytest.mark.parametrize(
        ("names", "classes", "labels", "message"),
        [
            (
                ["cat", "dgo"],
                2,
                ["cat", "dog"],
                "by the labels, as 'cat' .* Received: folder 'dgo'",
            ),
            (["1_a", "2_b"], 2, None, "0 to 1. Received: folder '2_b'"),
            (["1_a", "b"], 2, None, "as '1_a' shows.* Received: folder 'b'"),
            (["cat", "dog"], 3, None, "which of the 3 classes .* Received: 2 folders, 'cat'"),
            (["n01440764", "n99999999"], 1000, None, "synsets.* Received: folder 'n99999999'"),
            (["1_a", "1_b"], 2, None, "Received: '1_a' and '1_b', both class 1"),
            (["CRANE", "tench"], 3, ["crane", "Crane", "tench"], "Received: folder 'CRANE'"),
        ],
    )
    def test_what_is_not_clear(self, names, classes, labels, message):
        with pytest.raises(ValueError, match=message):
            classes_of_folders(names, classes, labels)

    def test_finds_files_at_any_depth(self, tmp_path):
        fill(tmp_path / "b" / "part", "red", "blue")
        fill(tmp_path / "a", "lime")
        (tmp_path / "c").mkdir()
        (tmp_path / "readme.txt").write_text("beside the folders")
        found = find_images(tmp_path)
        assert found.names == ("a", "b", "c")
        assert [path.name for path in found.images] == ["0_lime.png", "0_red.png", "1_blue.png"]
        assert found.folders.tolist() == [0, 1, 1]


def test_preparation_is_that_of_preprocess_input():
    path = next(DEMO.glob("*/*.png"))
    expected = preprocess_input(load_image(path, (32, 48), 0.8), "channels_last")
    received = Preparation((32, 48), 0.8)(path)
    assert received.dtype == np.float32
    np.testing.assert_array_equal(received, expected)


class TestPlot:
    def test_confusion_counts_rows_by_class(self):
        counts = confusion(np.array([0, 0, 2]), np.array([1, 1, 2]), 3)
        assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 1]]

    def test_names_are_no_formulas_and_leave_room(self, tmp_path):
        names = ["$5_$10", r"$\frac$", "x" * 255]
        plot_confusion([np.eye(3, dtype="int64")], [r"$\a$: 100%"], names, tmp_path / "plot.png")
        Image.open(tmp_path / "plot.png").verify()

    @pytest.mark.parametrize("classes", [3, 10, 1000])
    def test_shows_the_diagonal(self, tmp_path, classes):
        right = np.eye(classes, dtype="int64")
        plot_confusion([right, 0 * right], ["a", "b"], None, tmp_path / "plot.png")
        with Image.open(tmp_path / "plot.png") as image:
            assert image.format == "PNG"
            dark = np.asarray(image.convert("RGB")).astype(int) - (0x44, 0x01, 0x54)
        painted = np.abs(dark).max(axis=-1) < 8
        left, right_half = np.split(painted[:, : painted.shape[1] // 2 * 2], 2, axis=1)
        # The color bar is in the right half; of the empty matrix nothing is painted.
        assert left.sum() > 500
        assert right_half.sum() < left.sum()


CASES = {
    "text alone": ["--text-embeddings", "labels.npz"],
    "variant alone": ["fastvit_t8"],
    "nothing": [],
    "no data given": [],
    "no gradients": ["--grad-cam", "--output", "out"],
    "no folder": ["--grad-cam"],
    "few": ["--corrupted", "-1"],
}
"""Arguments that do not go together."""


class TestMain:
    def test_prints_and_writes(self, color_file, data, tmp_path, capsys):
        path = shutil.copy(color_file, tmp_path / "colors.tflite")
        write_sidecar(path, "mine", None, labels=["Red", "Green", "Blue"])
        for i in range(7):
            (data / "0_red" / f"bad{i}.png").write_text("not an image")
        which_color().save(tmp_path / "mine.keras")
        figures = tmp_path / "figures.json"
        options = ["--data", data, "--json", figures]
        assert command("evaluate", path, color_file, *options, "--output", tmp_path / "out") == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert "9 images, folders told apart by their numbers" in printed
        assert "77.78% │ 100.00%" in printed
        assert "7 files were left out" in printed
        unwrapped = printed.replace(" ", "")  # a long path is broken at the console's width
        assert "bad4.png" in unwrapped
        assert "bad5.png" not in unwrapped
        assert "and 2 more" in printed
        assert "no Keras model beside it" in printed
        first, second = json.loads(figures.read_text())
        assert first["model"] == str(path)
        assert second["top1"] == pytest.approx(7 / 9)
        assert len(first["skipped"]) == 7
        assert first["agreement"] is None
        assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == [first, second]
        assert (tmp_path / "out" / "confusion.png").read_bytes().startswith(b"\x89PNG")

        assert command("evaluate", path, tmp_path / "mine.keras", *options[:2], "--json", "-") == 0
        printed = capsys.readouterr()
        assert re.search(r"100.00% │ .* dB", printed.err)
        first, mine = json.loads(printed.out)
        assert first["agreement"] == 1
        assert mine["agreement"] is None

    @pytest.mark.filterwarnings("default:.*works until 0.3:DeprecationWarning")
    def test_what_earlier_releases_took(self, color_file, data, tmp_path, capsys):
        which_color().save(tmp_path / "mine.keras")
        chart, figures = tmp_path / "chart.png", tmp_path / "figures.json"
        options = ["--plot", chart, "--model", tmp_path / "mine.keras", "--json", figures]
        assert command("evaluate", color_file, "--data", data, *options) == 0
        printed = capsys.readouterr().err
        assert "warning: `evaluate --model` works until 0.3: name the model" in printed
        assert "warning: `evaluate --plot` works until 0.3: `--output DIR` draws" in printed
        assert json.loads(figures.read_text())[0]["agreement"] == 1
        assert chart.read_bytes().startswith(b"\x89PNG")
        assert command("evaluate", "--help") == 0
        printed = capsys.readouterr().out
        assert "--output" in printed
        assert "--plot" not in printed
        assert "--model " not in printed

    @pytest.mark.parametrize(
        ("case", "message"),
        [
            ("missing", "nothing at"),
            ("cut", "does not load"),
            ("crash", "crashes LiteRT"),
            ("hash", "SHA-256"),
            ("no classifier", r"scores \(1, classes\)"),
            ("no data", "Received: nothing at"),
            ("file as data", "which is no folder"),
            ("no folders", "without any"),
            ("empty folders", "3 folders without a file"),
            ("no images", "None of the 2 files .* is an image"),
            ("more folders than classes", "Received: 4 folders, 'a'"),
            ("labels", "2 labels for .*3"),
            ("other classes", "10 classes. Expected that number"),
            ("weights alone", "--weights is for a variant"),
            ("text alone", "--text-embeddings are a Keras model's"),
            ("variant alone", "expected --weights"),
            ("nothing", "expected models to evaluate, or --run"),
            ("no data given", "expected --data"),
            ("no gradients", "only Keras models have"),
            ("no folder", "expected --output as well"),
            ("few", "Received: -1"),
            ("crop", "expected 0 < P <= 1"),
            ("sidecar", "would overwrite a sidecar"),
        ],
    )
    def test_bad_input(self, color_file, data, tmp_path, capsys, case, message):
        path = Path(shutil.copy(color_file, tmp_path / "model.tflite"))
        options = []
        if case == "missing":
            path.unlink()
        elif case == "cut":
            path.write_bytes(path.read_bytes()[:500])
        elif case == "crash":
            path.write_bytes(crashing_content())
        elif case == "hash":
            write_sidecar(path, "mine", None)
            path.write_bytes(path.read_bytes() + bytes(8))
        elif case == "no classifier":
            image = keras.Input((16, 16, 3))
            path.write_bytes(to_tflite(keras.Model(image, layers.ReLU()(image))))
        elif case == "no data":
            data = tmp_path / "nowhere"
        elif case == "file as data":
            data = path
        elif case == "labels":
            write_sidecar(path, "mine", None, labels=["a", "b"])
        elif case == "other classes":
            options = ["fastvit_t8", "--weights", "fashion_mnist"]
        elif case == "weights alone":
            options = ["--weights", "fashion_mnist"]
        elif case in CASES:
            options = CASES[case]
        elif case == "crop":
            options = ["--crop-pct", "1.1"]
        elif case == "sidecar":
            options = ["--json", str(path.with_suffix(".json"))]
        else:
            shutil.rmtree(data)
            data.mkdir()
            if case == "empty folders":
                for name in COLORS:
                    (data / name).mkdir()
            elif case == "no images":
                for name in COLORS:
                    (data / name).mkdir()
                (data / "red" / "a.png").write_bytes(b"")
                (data / "blue" / "b.png").write_text("not an image")
            elif case == "more folders than classes":
                for name in "abcd":
                    fill(data / name, "red")
        models = [] if case == "nothing" else [path]
        given = [] if case == "no data given" else ["--data", data]
        assert command("evaluate", *models, *options, *given) == 2
        printed = capsys.readouterr()
        assert re.search(message, printed.err)
        assert "Traceback" not in printed.err
        assert "%" not in printed.out
