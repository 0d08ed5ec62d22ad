"""What a file must show: each check lets good ones pass, and refuses what it is for."""

from collections import Counter

import numpy as np
import pytest

from keras_fastvit.conversion.exporting.checks import (
    IMAGES,
    NOISE_IMAGES,
    check_delegation,
    check_images,
    compare,
)
from keras_fastvit.conversion.quantization.calibration import Calibration
from keras_fastvit.conversion.tflite.delegation import Delegation
from keras_fastvit.images.normalizations import NORMALIZATIONS
from keras_fastvit.images.preprocessing import preprocess_input
from tests.models import images

pytestmark = pytest.mark.single_backend


def outside(**counts: int) -> Delegation:
    return Delegation(2, Counter(CONV_2D=9), Counter(counts))


@pytest.mark.parametrize(
    ("quantize", "wanted", "counts"),
    [
        ("none", (), {}),
        ("none", (), {"CUMSUM": 1}),  # a user's, for which XNNPACK has no kernel
        ("dynamic", (), {"DEPTHWISE_CONV_2D": 20}),
        ("int8", (), {"BATCH_MATMUL": 4}),
        ("int8", ("GELU", "SOFTMAX"), {"GELU": 17, "SOFTMAX": 2}),
    ],
)
def test_what_the_delegate_may_leave(quantize, wanted, counts):
    check_delegation(outside(**counts), quantize, wanted)


@pytest.mark.parametrize(
    ("quantize", "wanted", "counts"),
    [
        ("none", (), {"GELU": 1}),
        ("none", (), {"SOFTMAX": 1}),
        ("fp16", (), {"DEPTHWISE_CONV_2D": 1}),
        ("dynamic", (), {"CONV_2D": 1}),
        ("dynamic", (), {"GELU": 1}),
        ("int8", (), {"GELU": 1}),
        ("int8", ("GELU",), {"SOFTMAX": 1}),
        ("int8", (), {"SOFTMAX": 1}),
        ("int8", ("GELU", "SOFTMAX"), {"DEPTHWISE_CONV_2D": 1}),
    ],
)
def test_what_the_delegate_must_take(quantize, wanted, counts):
    (name,) = counts
    with pytest.raises(ArithmeticError, match=rf"XNNPACK.*Received: 1 {name} outside of it"):
        check_delegation(outside(**counts, CUMSUM=1), quantize, wanted)


def with_noise(outputs: np.ndarray, decibels: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=outputs.shape)
    noise *= np.linalg.norm(outputs) / np.linalg.norm(noise) * 10 ** (-decibels / 20)
    return (outputs + noise).astype("float32")


@pytest.mark.parametrize(("quantize", "floor"), [("fp16", 55), ("dynamic", 15), ("int8", 12)])
def test_the_noise_of_quantisation(quantize, floor):
    outputs = images(32, 10)
    check = compare(with_noise(outputs, floor + 0.1), outputs, quantize)
    assert check.images == 32
    assert check.sqnr_db == pytest.approx(floor + 0.1, abs=0.01)
    with pytest.raises(ArithmeticError, match=rf"at least {floor} dB.*Received: {floor - 1}\.9 dB"):
        compare(with_noise(outputs, floor - 0.1), outputs, quantize)


def test_the_difference_of_float32():
    outputs = images(3, 10)
    largest = np.abs(outputs).max()
    off = outputs.copy()
    off[1, 2] += 0.9e-4 * largest
    assert compare(off, outputs, "none").max_difference == pytest.approx(0.9e-4, rel=0.05)
    off[1, 2] += 0.2e-4 * largest
    with pytest.raises(ArithmeticError, match=r"within 1e-04.*Received: a difference of 1\.1e-04"):
        compare(off, outputs, "none")
    assert compare(outputs, outputs, "none").sqnr_db == float("inf")


@pytest.mark.parametrize("quantize", ["none", "fp16", "dynamic", "int8"])
def test_not_a_number_is_refused(quantize):
    outputs = images(3, 10)
    with pytest.raises(ArithmeticError, match="nan"):
        compare(np.full_like(outputs, np.nan), outputs, quantize)


def test_agreement_is_of_classes():
    outputs = np.array([[1, 2], [5, 1], [3, 4], [8, 1]], "float32")
    swapped = np.array([[1, 2], [5, 1], [3, 2.9], [8, 1]], "float32")
    assert compare(swapped, outputs, "int8").agreement == 0.75
    assert compare(images(2, 4, 4, 3), images(2, 4, 4, 3), "int8").agreement is None


def test_images_are_spread_over_the_calibrations():
    given = np.arange(100, dtype="float32").reshape(100, 1, 1, 1)
    taken = check_images((1, 1, 1, 1), Calibration(given, {}), "imagenet").images.ravel()
    assert len(set(taken)) == IMAGES
    assert (taken[0], taken[-1]) == (0, 99)
    few = Calibration(given[:20], {}, np.arange(20, dtype="uint8"))
    taken = check_images((1, 1, 1, 1), few, "imagenet")
    assert len(taken.images) == len(taken.pixels) == 20


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_noise_is_of_pixels(normalization):
    found = check_images((1, 40, 50, 3), None, normalization)
    assert (found.pixels.dtype, found.pixels.shape) == ("uint8", (NOISE_IMAGES, 40, 50, 3))
    assert found.pixels.min() < 20
    assert found.pixels.max() > 235
    expected = preprocess_input(found.pixels, "channels_last", normalization)
    np.testing.assert_array_equal(found.images, expected)
    assert check_images((1, 8, 8, 4), None, normalization).pixels is None
