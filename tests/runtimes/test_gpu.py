"""LiteRT's GPU accelerator takes all of every file; the GPU is a driver in software."""

import pytest

from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.metrics import sqnr_db
from tests.models import relative_difference
from tests.runtimes.models import VARIANTS, on_sa12, on_t8
from tests.runtimes.processes import GPU, RefusedError, run

IMAGES = 8


@on_t8
def test_which_gpu_this_is(exported, demo_images):
    _, report = run(GPU, exported("fastvit_t8", "none"), demo_images[:1])
    assert "SwiftShader" in report["stderr"]
    assert "backend=Vulkan" in report["stderr"]


@pytest.mark.parametrize(
    ("quantize", "target"),
    [(q, "cpu") for q in ("none", "fp16", "dynamic", "int8")] + [("none", "gpu"), ("int8", "gpu")],
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_takes_the_whole_file(exported, demo_images, variant, quantize, target):
    path, images = exported(variant, quantize, target), demo_images[:IMAGES]
    outputs, report = run(GPU, path, images)
    assert report["fully_accelerated"]
    litert = TFLiteModel(path)
    on_cpu = litert.predict(images)
    if quantize == "int8":
        step, _ = litert.output_quantization
        assert round(abs(outputs - on_cpu).max() / step) <= 3
    elif quantize == "dynamic":
        # A GPU rounds weights only, a CPU activations too.
        expected = TFLiteModel(exported(variant, "none", target))(images)
        assert sqnr_db(expected, outputs) >= sqnr_db(expected, on_cpu) - 1.5
    else:
        assert relative_difference(outputs, on_cpu) <= 1e-5


@on_sa12
def test_refuses_a_file_rather_than_fall_back_on_the_cpu(exported, demo_images):
    path = exported("fastvit_sa12", "none", without=("attention",))
    with pytest.raises(RefusedError, match="Some ops are not accelerated"):
        run(GPU, path, demo_images[:1])
