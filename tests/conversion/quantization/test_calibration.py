"""Reading a folder of images to calibrate on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_fastvit import load_image, preprocess_input
from keras_fastvit.conversion.quantization.calibration import read_folder
from keras_fastvit.conversion.quantization.techniques import FEWEST_IMAGES

pytestmark = pytest.mark.single_backend

PHOTOGRAPHS = Path(__file__).resolve().parents[3] / "demo_images/fashion_mnist"
SIZE = (32, 48)


def fill(folder: Path, count: int, suffix: str = ".png") -> list[Path]:
    """Writes images whose colour is their number."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:04}{suffix}" for i in range(count)]
    for i, path in enumerate(paths):
        Image.new("RGB", (64, 64), (i % 256, i // 256, 7)).save(path)
    return paths


def numbers(images: np.ndarray) -> list[int]:
    """Which of `fill`'s images these are."""
    pixels = images[:, 0, 0] * [0.229, 0.224, 0.225] + [0.485, 0.456, 0.406]
    red, green, _ = np.round(pixels * 255).astype(int).T
    return (red + 256 * green).tolist()


def test_images_are_what_the_model_sees():
    found = read_folder(PHOTOGRAPHS, SIZE, crop_pct=0.8)
    paths = sorted(PHOTOGRAPHS.rglob("*.png"))
    assert found.images.shape == (200, *SIZE, 3)
    assert found.images.dtype == "float32"
    assert found.skipped == {}
    pixels = np.stack([load_image(path, SIZE, 0.8) for path in paths])
    np.testing.assert_array_equal(found.images, preprocess_input(pixels, "channels_last"))


def test_folders_in_the_folder_are_read_in_order(tmp_path):
    fill(tmp_path / "b", 10)
    shutil.copytree(tmp_path / "b", tmp_path / "a" / "deep")
    assert numbers(read_folder(tmp_path, SIZE, 0.9).images) == [*range(10), *range(10)]


def test_only_the_images_to_train_on_of_a_folder_with_splits(tmp_path):
    fill(tmp_path / "valid" / "cat", 40)
    fill(tmp_path / "test" / "cat", 40)
    for path in fill(tmp_path / "train" / "cat", 20)[10:]:
        path.rename(tmp_path / "train" / path.name)
    shutil.copytree(tmp_path / "valid", tmp_path / "train" / ".ipynb_checkpoints")
    found = read_folder(tmp_path, SIZE, 0.9)
    assert sorted(numbers(found.images)) == [*range(20)]
    assert found.skipped == {}


@pytest.mark.parametrize("count", [17, 100, 128, 300])
def test_an_even_spread_of_a_larger_folder(tmp_path, count):
    fill(tmp_path, count)
    found = numbers(read_folder(tmp_path, SIZE, 0.9, limit=16).images)
    assert len(set(found)) == 16
    assert found == sorted(found)
    # No gap is larger than twice that of a perfect spread.
    gaps = np.diff([*found, count])
    assert gaps.max() <= 2 * -(-count // 16)
    assert found == numbers(read_folder(tmp_path, SIZE, 0.9, limit=16).images)


def test_bad_files_are_skipped_and_others_read_in_their_place(tmp_path):
    paths = fill(tmp_path, 40)
    paths[0].write_bytes(paths[0].read_bytes()[:100])
    paths[20].write_bytes(b"")
    paths[30].write_text("<html>not found</html>")
    (tmp_path / "film.mp4").write_bytes(bytes(1000))
    (tmp_path / ".DS_Store").write_bytes(bytes(10))
    found = read_folder(tmp_path, SIZE, 0.9, limit=30)
    assert len(found.images) == 30
    assert not {0, 20, 30} & set(numbers(found.images))
    assert {path.name for path in found.skipped} <= {"0000.png", "0020.png", "0030.png", "film.mp4"}
    whole = read_folder(tmp_path, SIZE, 0.9)
    assert len(whole.images) == 37
    reasons = {path.name: reason for path, reason in whole.skipped.items()}
    assert sorted(reasons) == ["0000.png", "0020.png", "0030.png", "film.mp4"]
    assert "empty file" in reasons["0020.png"]
    assert "'.mp4' is no suffix of an image" in reasons["film.mp4"]


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp", ".bmp"])
def test_other_formats(tmp_path, suffix):
    fill(tmp_path, FEWEST_IMAGES, suffix)
    assert len(read_folder(tmp_path, SIZE, 0.9).images) == FEWEST_IMAGES


def test_too_few(tmp_path):
    fill(tmp_path, FEWEST_IMAGES - 1)
    for i in range(7):
        (tmp_path / f"notes{i}.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"at least 16 images. Received: 15 in") as error:
        read_folder(tmp_path, SIZE, 0.9)
    assert "other files, or damaged: 7 (notes" in str(error.value)
    assert str(error.value).endswith("and 2 more)")


def test_no_images(tmp_path):
    with pytest.raises(ValueError, match="Received: 0 in"):
        read_folder(tmp_path, SIZE, 0.9)
    with pytest.raises(FileNotFoundError, match="Received: nothing at"):
        read_folder(tmp_path / "no", SIZE, 0.9)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="which is no folder"):
        read_folder(tmp_path / "file", SIZE, 0.9)


def test_no_image_is_opened_that_is_not_wanted(tmp_path, monkeypatch):
    """Nor are files that are no images: they may be large."""
    from keras_fastvit.conversion.quantization import calibration

    opened = []
    monkeypatch.setattr(
        calibration,
        "load_image",
        lambda path, *args: opened.append(path) or load_image(path, *args),
    )
    fill(tmp_path, 100)
    (tmp_path / "film.mp4").touch()
    read_folder(tmp_path, SIZE, 0.9, limit=20)
    assert len(opened) == 20
