"""Whole runs on real images: what they learn, what they write, and how they go on."""

import csv
import json
import os
import re
import resource
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_fastvit import load_image, preprocess_input
from keras_fastvit.conversion.__main__ import main
from keras_fastvit.training import callbacks
from keras_fastvit.training.classifier import Trained, train
from keras_fastvit.training.data.folders import read_training_data
from keras_fastvit.training.recipes import Augmentation, Phase, Recipe, get_recipe
from keras_fastvit.training.starting_point import starting_point
from keras_fastvit.weights.torch_state import to_torch_state
from tests.models import PAIR, randomize, relative_difference, tiny
from tests.photographs import CLASSES, write_photographs

SMALL = Recipe(
    name="small",
    phases=(Phase(epochs=2, learning_rate=4e-3),),
    batch_size=8,
    image_size=32,
    augmentation=Augmentation(crop_area=(0.5, 1.0)),
    weight_decay=0.05,
    final_share=0.01,
    label_smoothing=0.0,
    ema_momentum=None,
)
# All that is random at once, and the moving average.
RANDOM = replace(
    SMALL,
    augmentation=get_recipe("paper").augmentation,
    label_smoothing=0.1,
    ema_momentum=0.9,
    batch_size=2,  # enough steps for an average
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Roboflow exports one."""
    root = tmp_path_factory.mktemp("data") / "photographs"
    for seed, (split, count) in enumerate((("train", 6), ("valid", 2), ("test", 3))):
        write_photographs(root / split, count, seed)
    (root / "train" / CLASSES[0] / os.fsdecode(b"K\xf6nig.txt")).touch()  # no Unicode
    return root


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    output = tmp_path_factory.mktemp("runs") / "run"
    return output, train(folder, output, PAIR.name, SMALL, command=["made", "by a test", "\udcf6"])


@pytest.fixture(scope="module")
def random_run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "random"
    train(folder, output, PAIR.name, RANDOM, seed=3)
    return output


def state(output: Path) -> dict[str, np.ndarray]:
    with np.load(output / "state.npz") as file:
        return {name: x for name, x in file.items() if name not in ("history", "epoch")}


def rows(output: Path) -> list[dict[str, float]]:
    with (output / "history.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def assert_same_run(actual: Path, expected: Path) -> None:
    for row, other in zip(rows(actual), rows(expected), strict=True):
        for name in row.keys() - {"images_per_second"}:
            assert row[name] == pytest.approx(other[name], rel=1e-3, abs=1e-5), name
    found, wanted = state(actual), state(expected)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4, err_msg=name)
    for name in ("model.keras", "fused.keras"):
        models = [keras.saving.load_model(run / name) for run in (actual, expected)]
        for x, y in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)


def train_until(epoch: int, step: int, *arguments: Any, **kwargs: Any) -> None:
    """Trains until the user presses Ctrl-C after a step of an epoch, both from 0."""
    proceed = callbacks.Steps.on_train_batch_end

    def interrupted(self: Any, batch: int, logs: Any = None) -> None:
        proceed(self, batch, logs)
        if (self.epoch, batch) == (epoch, step):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.Steps, "on_train_batch_end", interrupted)
        patch.setattr(callbacks.Steps, "async_safe", False)
        with pytest.raises(KeyboardInterrupt):
            train(*arguments, **kwargs)


def test_the_loss_falls(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photographs", count=24)
    recipe = replace(SMALL, phases=(Phase(epochs=15, learning_rate=1e-2),), batch_size=6)
    losses = [row["loss"] for row in train(folder, tmp_path / "run", PAIR.name, recipe).history]
    assert losses[-1] < 0.8 * losses[0]


def test_writes_all_that_one_needs(run: tuple[Path, Trained], folder: Path) -> None:
    output, trained = run
    assert sorted(path.name for path in output.iterdir()) == [
        *("confusion.png", "curves.png", "data.json", "fused.keras", "history.csv"),
        *("labels.txt", "model.keras", "report.md", "run.json", "state.npz"),
    ]
    assert tuple((output / "labels.txt").read_text().splitlines()) == CLASSES
    assert [row["epoch"] for row in rows(output)] == [1, 2]
    assert rows(output)[-1] == pytest.approx(trained.history[-1])
    report = (output / "report.md").read_text()
    assert r"made 'by a test' '\udcf6'" in report
    assert rf"- train/{CLASSES[0]}/K\\udcf6nig.txt: '.txt' is no suffix of an image" in report
    tflite = output / "int8.tflite"
    assert f"export --run {output} --quantize int8 --output {tflite}" in report
    assert f"evaluate {tflite} --run {output}" in report
    assert f"{trained.history[-1]['val_accuracy']:.2%}" in report
    assert f"right about **{trained.test_accuracy:.2%}** of the 9 test images" in report


def test_what_is_written_has_the_accuracy_that_was_measured(
    run: tuple[Path, Trained], folder: Path
) -> None:
    output, trained = run
    validation, test = trained.data.validation, trained.data.test
    paths = [*validation.images, *test.images]
    images = np.stack([load_image(folder / path, 32, PAIR.crop_pct) for path in paths])
    inputs = preprocess_input(images, "channels_last")
    expected = trained.model.predict(inputs, verbose=0)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    for name in ("model.keras", "fused.keras"):
        found = keras.saving.load_model(output / name).predict(inputs, verbose=0)
        assert relative_difference(found, expected) < 1e-4
        right = found.argmax(axis=1) == [*validation.labels, *test.labels]
        assert right[: len(validation)].mean() == trained.history[-1]["val_accuracy"]
        assert right[len(validation) :].mean() == trained.test_accuracy


def test_an_interrupted_run_comes_to_the_same(
    folder: Path, random_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    train_until(1, 0, folder, output, PAIR.name, RANDOM, seed=3)
    assert not (output / "model.keras").exists()
    train(folder, output, PAIR.name, RANDOM, seed=3)
    assert_same_run(output, random_run)


@pytest.mark.single_backend
def test_a_finished_run_is_not_trained_again(
    folder: Path, random_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(random_run, tmp_path / "run")
    (copy / "model.keras").unlink()
    (copy / ".unfinished-1-state.npz").write_bytes(b"of a killed process")
    monkeypatch.delattr(callbacks.Steps, "on_train_batch_end")
    train(folder, copy, PAIR.name, RANDOM, seed=3)
    assert_same_run(copy, random_run)
    assert not list(copy.glob(".unfinished*"))


def test_the_average_of_the_weights_is_saved(random_run: Path) -> None:
    """The state has the weights as trained; the model's are their average."""
    arrays = state(random_run)
    model = tiny(PAIR.name, input_shape=(32, 32, 3), classes=3)
    raw = {v.path: arrays[f"model_{i}"] for i, v in enumerate(model.variables)}
    saved = keras.saving.load_model(random_run / "model.keras")
    optimizer = [x for name, x in arrays.items() if name.startswith("optimizer")]
    differences = []
    for variable in saved.trainable_variables:
        value = keras.ops.convert_to_numpy(variable)
        same = [x for x in optimizer if x.shape == value.shape and np.array_equal(x, value)]
        assert same, variable.path
        differences.append(np.abs(value - raw[variable.path]).max())
    assert np.median(differences) > 1e-6  # the last steps are small; without it 0


def test_it_is_the_average_that_is_validated(random_run: Path, folder: Path) -> None:
    examples = read_training_data(random_run / "data.json").validation
    images = np.stack([load_image(folder / path, 32, PAIR.crop_pct) for path in examples.images])
    model = keras.saving.load_model(random_run / "model.keras")
    shares = model.predict(preprocess_input(images, "channels_last"), verbose=0)
    loss = -np.log(np.take_along_axis(shares, examples.labels[:, None], axis=1)).mean()
    assert rows(random_run)[-1]["val_loss"] == pytest.approx(loss, rel=1e-5)


def test_the_backbone_is_frozen_until_the_head_is_trained(folder: Path, tmp_path: Path) -> None:
    start = tiny(PAIR.name, input_shape=(32, 32, 3), classes=3)
    start.save_weights(tmp_path / "start.weights.h5")
    recipe = replace(
        SMALL,
        phases=(Phase(2, 1e-2, head_only=True), Phase(1, 1e-3, warmup_epochs=0.5)),
        batch_size=2,
        pretrained=True,
        ema_momentum=0.9,
    )
    arguments = (folder, tmp_path / "run", PAIR.name, recipe)
    weights = tmp_path / "start.weights.h5"
    train_until(2, 0, *arguments, weights=weights)

    changed = set()
    arrays = state(tmp_path / "run")
    for i, variable in enumerate(start.variables):
        before = keras.ops.convert_to_numpy(variable)
        if variable.name != "seed_generator_state" and (arrays[f"model_{i}"] != before).any():
            changed.add(variable.path.split("/")[-2])
    assert changed == {"head"}

    # Between the phases the head's average takes the place of the head, in both runs.
    train(*arguments, weights=weights)
    train(folder, tmp_path / "whole", PAIR.name, recipe, weights=weights)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".safetensors"])
def test_weights_of_other_classes_start_a_model_of_these(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"start{suffix}"
    trained = randomize(tiny(PAIR.name, input_shape=(32, 32, 3), classes=7))
    if suffix == ".safetensors":
        save_file(to_torch_state(trained, "timm"), path)
    elif suffix == ".keras":
        trained.save(path)
    else:
        trained.save_weights(path)
    start = starting_point(PAIR.name, path, SMALL)
    model = start.build(3)
    head = [np.array(x) for x in model.get_layer("head").get_weights()]
    start.load_weights(model)
    assert "is not one for 3 classes: all but it is loaded" in caplog.text
    for layer in trained.layers[1:]:
        wanted = head if layer.name == "head" else layer.get_weights()
        for x, y in zip(model.get_layer(layer.name).get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=layer.name)


def test_weights_of_another_variant_do_not(tmp_path: Path) -> None:
    path = tmp_path / "start.weights.h5"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    start = starting_point(PAIR.name, path, SMALL)
    with pytest.raises(ValueError, match=r"start\.weights\.h5"):
        start.load_weights(start.build(3))


@pytest.mark.single_backend
def test_a_teacher_in_a_file_is_believed(folder: Path, tmp_path: Path) -> None:
    """One that takes everything for the last class, against labels of all three."""
    image = keras.Input((None, None, 3))
    head = keras.layers.Dense(3)
    teacher = keras.Model(image, head(keras.layers.GlobalAveragePooling2D()(image)))
    head.set_weights([np.zeros((3, 3)), np.array([0.0, 0.0, 9.0])])
    teacher.save(tmp_path / "teacher.keras")
    phase = Phase(epochs=6, learning_rate=2e-2)
    recipe = replace(SMALL, phases=(phase,), batch_size=2, distilled=True)
    trained = train(folder, tmp_path / "run", PAIR.name, recipe, teacher=tmp_path / "teacher.keras")
    paths = [folder / path for path in trained.data.train.images]
    images = np.stack([load_image(path, 32, PAIR.crop_pct) for path in paths])
    shares = trained.model.predict(preprocess_input(images, "channels_last"), verbose=0)
    assert shares[:, 2].mean() > 0.5


@pytest.mark.single_backend
def test_a_name_that_cannot_be_written_is_refused_before_the_first_epoch(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photographs", count=2)
    (folder / CLASSES[0]).rename(os.fsdecode(os.fsencode(folder) + b"/K\xf6nig"))
    with pytest.raises(ValueError, match=r"name of a class must be .* Received: 'K\\udcf6nig'"):
        train(folder, tmp_path / "run", PAIR.name, SMALL)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]


@pytest.mark.single_backend
def test_another_command_does_not_take_the_folder(folder: Path, run: tuple[Path, Trained]) -> None:
    before = (run[0] / "state.npz").read_bytes()
    other = replace(SMALL, phases=(replace(SMALL.phases[0], epochs=3),))
    with pytest.raises(ValueError, match=r"another run, with epochs=2\. .*Received: epochs=3"):
        train(folder, run[0], PAIR.name, other)
    with pytest.raises(ValueError, match=r"another run, with seed=0\. .*Received: seed=1"):
        train(folder, run[0], PAIR.name, SMALL, seed=1)
    assert (run[0] / "state.npz").read_bytes() == before


@pytest.mark.single_backend
def test_without_a_whole_epoch_the_command_may_change(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 32 pixels"):
        train(folder, tmp_path / "run", PAIR.name, replace(SMALL, image_size=16))
    before = (tmp_path / "run" / "run.json").read_text()
    with pytest.raises(FileNotFoundError):
        train(tmp_path / "nowhere", tmp_path / "run", PAIR.name, SMALL)
    assert (tmp_path / "run" / "run.json").read_text() != before
    assert not (tmp_path / "run" / "data.json").exists()


@pytest.mark.single_backend
def test_a_folder_of_other_files_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("chapter 1")
    with pytest.raises(ValueError, match=r"new or empty folder.*Received: .*other files"):
        train(folder, tmp_path, PAIR.name, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def copied(folder: Path, tmp_path: Path, run: tuple[Path, Trained]) -> tuple[Path, Path]:
    """A copy of the images, and a run on them whose last epoch is missing."""
    images = shutil.copytree(folder, tmp_path / "photographs")
    output = shutil.copytree(run[0], tmp_path / "run")
    arguments = json.loads((output / "run.json").read_text())
    (output / "run.json").write_text(json.dumps({**arguments, "data": str(images)}))
    arrays = state(output)
    history = run[1].history[:1]
    np.savez(output / "state.npz", epoch=1, history=json.dumps(history), **arrays)
    return images, output


@pytest.mark.single_backend
@pytest.mark.parametrize("what", ["folder", "class", "damaged"])
def test_images_that_are_gone(
    folder: Path, run: tuple[Path, Trained], tmp_path: Path, what: str
) -> None:
    images, output = copied(folder, tmp_path, run)
    before = (output / "state.npz").read_bytes()
    if what == "folder":
        shutil.rmtree(images)
        error, message = FileNotFoundError, r"Received: '.*photographs', where there is none"
    elif what == "class":
        shutil.rmtree(images / "train" / CLASSES[1])
        error, message = FileNotFoundError, r"no image file '.*/chelsea/\d\d\.png'"
    else:
        for path in (images / "train" / CLASSES[1]).iterdir():
            path.write_bytes(path.read_bytes()[:200])
        error, message = ValueError, r"Cannot use '.*/chelsea/\d\d\.png' as an image"
    with pytest.raises(error, match=message) as caught:
        train(images, output, PAIR.name, SMALL)
    if what != "folder":
        assert "state after epoch 1 is kept in" in caught.value.__notes__[0]
    assert (output / "state.npz").read_bytes() == before


@pytest.mark.single_backend
def test_a_full_disk(folder: Path, run: tuple[Path, Trained], tmp_path: Path) -> None:
    images, output = copied(folder, tmp_path, run)
    before = (output / "state.npz").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            train(images, output, PAIR.name, SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "state after epoch 1 is kept in" in caught.value.__notes__[0]
    assert (output / "state.npz").read_bytes() == before
    assert not list(output.glob(".unfinished*"))


@pytest.mark.single_backend
def test_a_loss_that_is_no_number(
    folder: Path, run: tuple[Path, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, output = copied(folder, tmp_path, run)
    before = (output / "state.npz").read_bytes()
    monkeypatch.setattr(
        "keras_fastvit.training.data.pipeline.preprocess_input",
        lambda pixels, *how: np.full(pixels.shape, np.nan, "float32"),
    )
    with pytest.raises(FloatingPointError, match=r"Received: loss=nan in epoch 2, step \d"):
        train(images, output, PAIR.name, SMALL)
    assert (output / "state.npz").read_bytes() == before


@pytest.mark.single_backend
def test_a_damaged_state_is_named(folder: Path, run: tuple[Path, Trained], tmp_path: Path) -> None:
    output = shutil.copytree(run[0], tmp_path / "run")
    whole = (output / "state.npz").read_bytes()
    (output / "state.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"state of a run in '.*state\.npz'; remove the file"):
        train(folder, output, PAIR.name, SMALL)


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], r"Received: '.*nowhere', where there is none"),
        (["--recipe", "finetune"], r"'finetune' changes a trained model.*weights=None"),
        (["--recipe", "paper_distilled"], r"expects a teacher\. Received: teacher=None"),
        (["--teacher", "t.keras"], r"expects no teacher\. Received: teacher=.*t\.keras"),
        (["--epochs", "0"], r"--epochs: expected a positive number\. Received: 0"),
        (["--seed", "-1"], r"--seed: expected 0 or more\. Received: -1"),
        (["--learning-rate", "nan"], r"--learning-rate: expected a positive number"),
        (["--steps", "3"], r"--steps only with --task segmentation\. Received: .*classification"),
        (["--evaluate", "m.keras"], r"only with --task segmentation or hand-mesh"),
        (["--weights", "imagnet"], r"Unknown `weights`"),
        (["--image-size", "16"], r"at least 32 pixels"),
    ],
)
def test_the_command_says_in_a_line_what_is_wrong(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    common = ["--data", str(folder), "--model", PAIR.name, "--recipe", "paper"]
    assert exit_status(["train", *common, "--output", str(tmp_path / "run"), *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 or error[0].startswith("usage: ")
    assert re.search(message, error[-1]), error
    assert error[-1].startswith("keras-fastvit train: ")


@pytest.mark.single_backend
def test_a_model_and_an_output_are_needed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["train", "--data", str(folder), "--model", PAIR.name]) == 2
    assert capsys.readouterr().err.endswith("error: expected --model and --output\n")


def exit_status(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as ended:  # argparse's
        return int(ended.code or 0)


@pytest.mark.single_backend
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = write_photographs(tmp_path / "photographs", 8)  # without folders for the splits
    (images / CLASSES[0] / "00.png").write_bytes(b"no image")
    output = tmp_path / "run"
    status = main(
        [
            *("train", "--data", str(images), "--model", PAIR.name, "--recipe", "paper"),
            *("--epochs", "1", "--batch-size", "8", "--image-size", "32", "--seed", "7"),
            *("--output", str(output)),
        ]
    )
    assert status == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "18 images of 3 classes to train on, 5 to validate with"
    assert lines[1] == "Skipped, for reasons that the report names: 1 (00.png)"
    assert lines[2] == callbacks.COMPILING
    assert lines[-2].startswith("epoch   1  loss ")  # before it lines of progress, if it takes long
    assert "model.keras: validation accuracy" in lines[-1]
    report = (output / "report.md").read_text()
    assert "--batch-size 8 --image-size 32 --seed 7" in report
    assert "- astronaut/00.png: " in report
