"""The ARM64 build of LiteRT, emulated, gives what the build for this machine gives."""

import numpy as np
import pytest

from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.metrics import sqnr_db
from tests.models import relative_difference
from tests.runtimes.models import VARIANTS, on_t8
from tests.runtimes.processes import ARM64, run

IMAGES = 8
"""Few: emulation is about a hundred times slower."""


@on_t8
def test_which_runtime_this_is(exported, demo_images):
    _, report = run(ARM64, exported("fastvit_t8", "none"), demo_images[:1])
    assert (report["runtime"], report["machine"]) == ("ai_edge_litert", "aarch64")


@pytest.mark.parametrize("quantize", ["none", "fp16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_float(exported, demo_images, variant, quantize):
    path, images = exported(variant, quantize), demo_images[:IMAGES]
    outputs, _ = run(ARM64, path, images)
    assert relative_difference(outputs, TFLiteModel(path)(images)) <= 1e-5


@pytest.mark.parametrize("variant", VARIANTS)
def test_int8_is_equal_to_the_bit(exported, demo_images, variant):
    path, images = exported(variant, "int8"), demo_images[:IMAGES]
    outputs, _ = run(ARM64, path, images)
    np.testing.assert_array_equal(outputs, TFLiteModel(path).predict(images))
    assert len(np.unique(outputs[0])) > 3


@pytest.mark.parametrize("variant", VARIANTS)
def test_dynamic_is_as_near_to_float(exported, demo_images, variant):
    path, images = exported(variant, "dynamic"), demo_images[:IMAGES]
    outputs, _ = run(ARM64, path, images)
    expected = TFLiteModel(exported(variant, "none"))(images)
    assert sqnr_db(expected, outputs) >= sqnr_db(expected, TFLiteModel(path)(images)) - 1.5
