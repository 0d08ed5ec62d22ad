"""A user's `.keras` file: loaded where it can be trusted to be data, refused where not."""

import json
import os
import zipfile

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_fastvit
from keras_fastvit.weights.model_files import read_model_file
from tests.hub_models import build
from tests.models import images, tiny

pytestmark = pytest.mark.single_backend


class Mine(layers.Layer):
    def call(self, x):
        return x


@pytest.mark.parametrize("form", ["training", "inference"])
def test_both_forms(tmp_path, form):
    model = tiny()
    saved = model if form == "training" else keras_fastvit.fuse(model)
    saved.save(tmp_path / "model.keras")
    read = read_model_file(tmp_path / "model.keras")
    assert type(read) is type(saved)
    inputs = images()
    np.testing.assert_array_equal(read.predict(inputs, verbose=0), saved.predict(inputs, verbose=0))


def test_a_compiled_models_losses_are_not_loaded(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2)])
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")
    assert not read_model_file(tmp_path / "model.keras").compiled


def test_a_model_that_compiles_itself_as_it_is_made(tmp_path):
    """A task of KerasHub's: its optimizer has a learning rate before the file's values are read."""
    task = build("classifier")
    task.save(tmp_path / "task.keras")
    read = read_model_file(tmp_path / "task.keras")
    assert type(read) is type(task)
    assert float(ops.convert_to_numpy(read.optimizer.learning_rate)) > 0
    x = images()
    np.testing.assert_array_equal(read.predict(x, verbose=0), task.predict(x, verbose=0))


def test_a_lambda_is_not_run(tmp_path):
    marker = tmp_path / "ran"
    function = eval(f"lambda x: (__import__('os').mkdir({str(marker)!r}), x)[1]")
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, layers.Lambda(function, output_shape=(4, 4, 3))(image))
    os.path.isdir(marker) and marker.rmdir()
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"without Lambda. Received: .*Lambda"):
        read_model_file(tmp_path / "model.keras")
    assert not marker.exists()


def test_a_config_that_names_a_function_is_not_called(tmp_path):
    """A pickle's trick, in JSON."""
    path, marker = tmp_path / "model.keras", tmp_path / "ran"
    keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten()]).save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    config["config"]["layers"][1] = {
        "module": "os",
        "class_name": "mkdir",
        "config": {"path": str(marker)},
        "registered_name": "mkdir",
    }
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="Cannot load a model from"):
        read_model_file(path)
    assert not marker.exists()


def test_a_layer_of_others(tmp_path):
    keras.Sequential([keras.Input((4, 4, 3)), Mine(name="mine")]).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"Received: .*Mine") as error:
        read_model_file(tmp_path / "model.keras")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("content", "received"),
    [
        (b"", "0 other bytes"),
        (b"<html>not found</html>", "22 other bytes"),
        (b"PK\x03\x04" + bytes(99), "103 other bytes"),
        ("cut", ""),
        ("empty", "config.json"),
        ("folder", "a folder"),
    ],
)
def test_no_model(tmp_path, content, received):
    path = tmp_path / "model.keras"
    if content == "folder":
        path.mkdir()
    elif content == "empty":
        zipfile.ZipFile(path, "w").close()
    elif content == "cut":
        keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(8, 3)]).save(path)
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"Cannot load a model from .*Received: .*{received}"):
        read_model_file(path)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: no '.*model\.keras'"):
        read_model_file(tmp_path / "model.keras")
