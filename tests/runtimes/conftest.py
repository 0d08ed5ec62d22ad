"""What the tests of the other runtimes run there: the files that this project exports."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.train_fashion_mnist import load_split, to_inputs, upscale
from keras_fastvit import load_image, preprocess_input
from keras_fastvit.conversion.exporting.export import export
from tests.runtimes.models import model
from tests.runtimes.processes import INSTALLED, ROOT

DEMO_IMAGES = ROOT / "demo_images" / "fashion_mnist"
FASHION_MNIST = INSTALLED / "fashion_mnist/usr/share/datasets/fashion-mnist"

Exported = Callable[..., Path]
"""Maps a variant's name, `quantize` and, if not "cpu", `target` to an exported file."""


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, demo_images: np.ndarray) -> Exported:
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def file(
        variant: str, quantize: str, target: str = "cpu", without: tuple[str, ...] = ()
    ) -> Path:
        path = folder / f"{'_'.join((variant, quantize, target, *without))}.tflite"
        calibration = demo_images if quantize == "int8" else None
        export(
            model(variant),
            path,
            quantize=quantize,
            calibration=calibration,
            target=target,
            without=without,
        )
        return path

    return file


@pytest.fixture(scope="session")
def demo_images() -> np.ndarray:
    """The 200 images of the demo, normalised, `(200, 64, 64, 3)`, the classes mixed."""
    paths = sorted(DEMO_IMAGES.rglob("*.png"), key=lambda path: path.name)
    images = np.stack([load_image(path, size=64, crop_pct=1.0) for path in paths])
    return preprocess_input(images, "channels_last")


@pytest.fixture(scope="session")
def test_set() -> tuple[Callable[[int, int], np.ndarray], np.ndarray]:
    """Fashion-MNIST's 10,000 test images, as a function of a range of them, and their labels."""
    images, labels = load_split(FASHION_MNIST, "t10k")
    return lambda start, stop: to_inputs(upscale(images[start:stop])), labels
