"""The shipped checkpoint on the shipped images, beside timm; and the script that trained it."""

import gzip
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

import keras_fastvit
from benchmarks import train_fashion_mnist as fashion_mnist
from keras_fastvit.weights.torch_state import to_torch_state
from tests.models import TINY

ROOT = Path(__file__).resolve().parents[2]
IMAGES = sorted((ROOT / "demo_images/fashion_mnist").rglob("*.png"))
CHECKPOINT = ROOT / "keras_fastvit/data/fashion_mnist_t8.safetensors"

pytestmark = pytest.mark.xdist_group("fashion_mnist")


@pytest.fixture(scope="module")
def model() -> Any:
    return keras_fastvit.FastViTT8(
        weights="fashion_mnist", classes=10, classifier_activation=None, data_format="channels_last"
    )


@pytest.fixture(scope="module")
def inputs() -> Any:
    images = [keras_fastvit.load_image(path, size=64, crop_pct=1.0) for path in IMAGES]
    return keras_fastvit.preprocess_input(np.stack(images), "channels_last")


@pytest.fixture(scope="module")
def timm_logits() -> Any:
    with np.load(ROOT / "tests/fixtures/timm_fashion_mnist.npz") as file:
        return file["logits"]


@pytest.mark.parametrize("form", ["training", "inference"])
def test_gives_timms_logits(model: Any, inputs: Any, timm_logits: Any, form: str) -> None:
    tested = model.fuse() if form == "inference" else model
    logits = tested.predict(inputs, batch_size=100, verbose=0)
    assert np.abs(logits - timm_logits).max() <= 1e-5 * np.abs(timm_logits).max()


def test_classifies_the_shipped_images(timm_logits: Any) -> None:
    assert len(IMAGES) == 200
    labels = np.array([int(path.parent.name[0]) for path in IMAGES])
    assert np.bincount(labels).tolist() == [20] * 10
    assert np.mean(timm_logits.argmax(-1) == labels) >= 0.9


def test_folders_are_named_after_the_classes() -> None:
    names = keras_fastvit.class_names("fashion_mnist")
    folders = sorted({path.parent.name for path in IMAGES})
    assert folders == [f"{i}_{fashion_mnist.folder_name(name)}" for i, name in enumerate(names)]


@pytest.mark.single_backend
def test_goes_back_to_timm_unchanged(model: Any) -> None:
    stored = load_file(CHECKPOINT)
    written = to_torch_state(model, "timm")
    assert {n for n in stored if "num_batches_tracked" not in n} == {
        n for n in written if "num_batches_tracked" not in n
    }
    for name, array in written.items():
        np.testing.assert_array_equal(array, stored[name])


@pytest.mark.single_backend
def test_every_branch_matters(model: Any) -> None:
    """A checkpoint with idle branches would not notice a fault in folding them."""
    scales = [w for w in model.weights if "layer_scale" in w.path]
    assert len(scales) == 20
    for scale in scales:
        assert np.abs(keras.ops.convert_to_numpy(scale)).mean() > 0.01


def write_split(folder: Path, split: str, images: Any, labels: Any) -> None:
    for part, header, array in (("images-idx3", 16, images), ("labels-idx1", 8, labels)):
        with gzip.open(folder / f"{split}-{part}-ubyte.gz", "wb") as file:
            file.write(bytes(header) + array.astype("uint8").tobytes())


@pytest.mark.single_backend
def test_the_training_script(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(256) % 10
    images = rng.integers(0, 60, (256, 28, 28))
    for label, image in zip(labels, images, strict=True):
        image[:, :14] += 190 * (label % 2)
    for split in ("train", "t10k"):
        write_split(tmp_path, split, images, labels)
    arguments = ["--data", str(tmp_path), "--output", str(tmp_path / "run"), "--epochs", "2"]
    arguments += ["--variant", TINY.name]

    fashion_mnist.main(arguments)

    run = tmp_path / "run"
    report = json.loads((run / "report.json").read_text())
    assert report["training_images"] == report["test_images"] == 256
    assert len(list((run / "images").rglob("*.png"))) == 200
    state = load_file(run / "fashion_mnist_tiny.safetensors")
    assert {array.dtype for array in state.values() if array.dtype.kind == "f"} == {
        np.dtype("float16")
    }
    assert len((run / "history.csv").read_text().splitlines()) == 3  # a header, two epochs

    # A finished run is not trained again, and gives the same.
    fashion_mnist.main(arguments)
    assert len((run / "history.csv").read_text().splitlines()) == 3
    for name, array in load_file(run / "fashion_mnist_tiny.safetensors").items():
        np.testing.assert_array_equal(array, state[name])


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Fashion-MNIST.*Received: .*train-images"):
        fashion_mnist.load_split(tmp_path, "train")
