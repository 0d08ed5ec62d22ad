"""`evaluate` of Keras models: from a folder of images to a report."""

import csv
import importlib.util
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from keras_fastvit import class_names, load_image, preprocess_input
from keras_fastvit.conversion.evaluation import report
from keras_fastvit.conversion.evaluation.comparison import Evaluation, evaluate
from keras_fastvit.evaluation.classifier import Answers, Classifier
from keras_fastvit.evaluation.grad_cam_sheet import choose
from keras_fastvit.evaluation.metrics import calibration_error, softmax
from keras_fastvit.images.preparation import Preparation
from tests.commands import command
from tests.models import run, tiny

DEMO = Path(__file__).resolve().parents[3] / "demo_images" / "fashion_mnist"
FILES = {
    *("report.md", "evaluation.json", "per_class.csv", "grad_cam.png"),
    *("confusion.png", "robustness.csv", "robustness.png"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two of the demo's images a class, a cut file and one that is no image."""
    root = tmp_path_factory.mktemp("data")
    for folder in DEMO.iterdir():
        (root / folder.name).mkdir()
        for path in sorted(folder.iterdir())[:2]:
            shutil.copy(path, root / folder.name)
    (root / "3_Dress" / "notes.txt").write_text("not an image")
    whole = next((root / "8_Bag").iterdir()).read_bytes()
    (root / "8_Bag" / "cut.png").write_bytes(whole[:60])
    return root


def inputs_and_labels(data: Path, size: int, crop_pct: float):
    pixels, labels = [], []
    for folder in sorted(data.iterdir()):
        for path in sorted(folder.glob("0*.png")):
            pixels.append(load_image(path, size, crop_pct))
            labels.append(int(folder.name[0]))
    return preprocess_input(np.stack(pixels), "channels_last"), np.array(labels)


def check_files(folder: Path, logits: np.ndarray, labels: np.ndarray) -> None:
    """Compares what was written with what follows from the model's logits."""
    assert {path.name for path in folder.iterdir()} == FILES
    (content,) = json.loads((folder / "evaluation.json").read_text())
    best = logits.argsort(axis=1)[:, ::-1]
    right = best[:, 0] == labels
    assert content["images"] == len(labels) == 20
    assert content["top1"] == pytest.approx(right.mean())
    assert content["top5"] == pytest.approx((best[:, :5] == labels[:, None]).any(axis=1).mean())
    assert content["calibration_error"] == pytest.approx(
        calibration_error(softmax(logits), labels), abs=1e-4
    )
    assert content["robustness"]["images"] == 2
    assert len(content["robustness"]["accuracy"]) == 19
    assert {Path(path).name for path in content["skipped"]} == {"notes.txt", "cut.png"}
    rows = list(csv.DictReader((folder / "per_class.csv").read_text().splitlines()))
    assert [int(row["class"]) for row in rows] == list(range(10))
    assert [int(row["images"]) for row in rows] == [2] * 10
    for row in rows:
        own = right[labels == int(row["class"])]
        assert float(row["top1"]) == pytest.approx(own.mean())
    for name in ("grad_cam.png", "robustness.png"):
        picture = Image.open(folder / name).convert("RGB")
        assert len(picture.getcolors(10**7)) > 100
    text = (folder / "report.md").read_text()
    assert f" | {right.mean():.2%} | " in text
    assert text.count("\n| jpeg compression |") == 1
    assert "drawn by a program" in text


@pytest.mark.single_backend
def test_a_keras_file(data, tmp_path, capsys):
    """On every backend: a small model of a user's own, with probabilities, in training form."""
    model = tiny(
        input_shape=(32, 32, 3),
        classes=10,
        classifier_activation="softmax",
        data_format="channels_last",
    )
    model.save(tmp_path / "mine.keras")
    names = tmp_path / "labels.txt"
    names.write_text("\n".join(f"kind {i}" for i in range(10)))
    arguments = [tmp_path / "mine.keras", "--labels", names, "--data", data, "--crop-pct", "0.8"]
    arguments += ["--corruptions", "--corrupted", "2", "--grad-cam"]
    assert command("evaluate", *arguments, "--output", tmp_path / "RUN") == 0

    inputs, labels = inputs_and_labels(data, 32, 0.8)
    check_files(tmp_path / "RUN", np.log(run(model, inputs).astype("float64")), labels)
    printed = capsys.readouterr().out
    assert "mine.keras" in printed
    assert "20 images, folders told apart by their numbers" in printed
    assert "2 files were left out" in printed
    text = (tmp_path / "RUN" / "report.md").read_text()
    assert "20 images of 10 classes, folders told apart by their numbers." in text
    assert "2 (notes.txt, cut.png)" in text
    assert "kind 3" in (tmp_path / "RUN" / "per_class.csv").read_text()


@pytest.mark.single_backend
def test_the_shipped_model(data, tmp_path, capsys):
    arguments = ["fastvit_t8", "--weights", "fashion_mnist", "--data", data]
    more = ["--corrupted", "2", "--grad-cam", "--output", tmp_path]
    assert command("evaluate", *arguments, *more) == 0
    from keras_fastvit import FastViTT8

    model = FastViTT8(weights="fashion_mnist", classes=10, classifier_activation=None)
    inputs, labels = inputs_and_labels(data, 64, 1.0)
    logits = run(model, inputs)
    check_files(tmp_path, logits, labels)
    assert json.loads((tmp_path / "evaluation.json").read_text())[0]["top1"] >= 0.8
    assert class_names("fashion_mnist")[9] in (tmp_path / "per_class.csv").read_text()
    capsys.readouterr()

    # Without --output nothing but the table, and the same again.
    assert command("evaluate", *arguments) == 0
    printed = capsys.readouterr().out
    assert f"{np.mean(logits.argmax(axis=1) == labels):.2%}" in printed
    assert "corruptions" not in printed


def answers(right: int, wrong: int) -> Answers:
    """The i-th of the wrong answers is the more confident the higher i."""
    count = right + wrong
    logits = np.zeros((count, 2), "float32")
    logits[:right, 0] = 3
    logits[right:, 1] = 0.1 + np.arange(wrong)
    return Answers(
        tuple(Path(f"{i}.png") for i in range(count)),
        *(logits, np.zeros(count, "int64"), np.arange(2), False),
        *(("a", "b"), "by chance", {}),
    )


@pytest.mark.single_backend
class TestChoiceOfPictures:
    def test_spread_and_most_confident(self):
        right, wrong = choose(answers(101, 20))
        assert right.tolist() == [0, 20, 40, 60, 80, 100]
        assert wrong.tolist() == [120, 119, 118, 117, 116, 115]

    def test_few_of_either(self):
        assert [x.tolist() for x in choose(answers(2, 0))] == [[0, 1], []]
        assert [x.tolist() for x in choose(answers(0, 1))] == [[], [0]]


@pytest.mark.single_backend
def test_the_report_names_partial_classes_and_hard_ones():
    base = answers(3, 1)
    partial = Answers(
        *(base.paths, base.logits, np.array([0, 0, 0, 1]), np.array([4, 7]), True),
        *(("cat|`<b>", "dog"), "by their synsets", {Path("\x1b[2J.png"): "no '\x1b[2J.png'"}),
    )
    classifier = Classifier("mine", lambda images: images, Preparation((8, 8)), 2)
    found = [Evaluation(classifier, Path("data"), partial)]
    assert any("Only the 2 classes that have folders count" in x for x in report.remarks(found))
    assert "mine,4,cat|`<b>,3,1.000000" in report.per_class_csv(found)
    assert "mine,7,dog,1,1.000000" in report.per_class_csv(found)
    assert report.to_figures(found)[0]["robustness"] is None
    text = report.to_markdown(found, ["keras-fastvit", "evaluate"])
    assert "Robustness" not in text
    assert r"| cat\|\`\<b> | 100.0% |" in text
    assert not any("\x1b" in line for line in [text, *report.remarks(found)])
    assert report.remarks([Evaluation(classifier, Path("data"), base)]) == []


@pytest.mark.single_backend
def test_a_model_whose_places_are_not_known(data, tmp_path):
    """It reads an image by its rows, so that there is nothing to look at, and is evaluated."""
    image = keras.Input((16, 16, 3))
    rows = layers.SimpleRNN(8)(layers.Reshape((16, 48))(image))
    keras.Model(image, layers.Dense(10)(rows)).save(tmp_path / "rows.keras")
    options = ["--data", data, "--grad-cam", "--output", tmp_path / "RUN"]
    assert command("evaluate", tmp_path / "rows.keras", *options) == 0
    text = (tmp_path / "RUN" / "report.md").read_text()
    assert "No pictures: Grad-CAM needs a model all of whose output" in text
    assert not (tmp_path / "RUN" / "grad_cam.png").exists()


@pytest.mark.single_backend
def test_a_missing_package_is_named_at_the_start(data, tmp_path, capsys, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "scipy" else find_spec(name)
    )
    arguments = ["fastvit_t8", "--weights", "fashion_mnist", "--data", data, "--corruptions"]
    assert command("evaluate", *arguments, "--output", tmp_path / "RUN") == 2
    assert 'pip install "keras-fastvit[evaluate]"' in capsys.readouterr().err
    assert not (tmp_path / "RUN").exists()


@pytest.mark.single_backend
def test_several_models_share_corrupted_images(data, tmp_path):
    """Two that answer alike."""
    image = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(image)
    dense = layers.Dense(10)
    keras.Model(image, dense(pooled)).save(tmp_path / "first.keras")
    dense.set_weights([2 * x for x in dense.get_weights()])  # the same best class
    keras.Model(image, dense(pooled)).save(tmp_path / "second.keras")
    models = [tmp_path / "first.keras", tmp_path / "second.keras"]
    first, second = evaluate(models, data, image_size=(16, 16), corrupted=2)
    assert first.robustness is not None
    assert second.robustness is not None
    np.testing.assert_array_equal(first.robustness.accuracy, second.robustness.accuracy)
    assert second.agreement == 1
    assert second.sqnr_db == pytest.approx(0, abs=1e-4)  # as much noise as signal
