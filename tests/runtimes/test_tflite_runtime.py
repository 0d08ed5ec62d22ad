"""The last release of tflite-runtime, which old apps still have, gives what LiteRT gives."""

import numpy as np
import pytest

from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.metrics import agreement, sqnr_db
from tests.models import chance_of_difference, relative_difference
from tests.runtimes.models import VARIANTS, on_sa12, on_t8
from tests.runtimes.processes import TFLITE_RUNTIME, run


@on_t8
def test_which_runtime_this_is(exported, demo_images):
    _, report = run(TFLITE_RUNTIME, exported("fastvit_t8", "none"), demo_images[:1])
    assert (report["runtime"], report["version"]) == ("tflite_runtime", "2.14.0")
    assert report["numpy"].startswith("1.")


@pytest.mark.parametrize("quantize", ["none", "fp16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_float(exported, demo_images, variant, quantize):
    path = exported(variant, quantize)
    outputs, _ = run(TFLITE_RUNTIME, path, demo_images)
    assert relative_difference(outputs, TFLiteModel(path)(demo_images)) <= 1e-5


# Other kernels round elsewhere, which dynamic ranges and SA12's attention do not forgive: such
# files are compared by what their weights were rounded from.
@pytest.mark.parametrize(
    ("variant", "quantize"),
    [
        pytest.param("fastvit_t8", "dynamic", marks=on_t8),
        pytest.param("fastvit_sa12", "dynamic", marks=on_sa12),
        pytest.param("fastvit_sa12", "int8", marks=on_sa12),
    ],
)
def test_as_near_to_float_as_litert(exported, demo_images, variant, quantize):
    path, float_path = exported(variant, quantize), exported(variant, "none")
    outputs, _ = run(TFLITE_RUNTIME, path, demo_images)
    expected = TFLiteModel(float_path)(demo_images)
    in_litert = sqnr_db(expected, TFLiteModel(path).predict(demo_images))
    assert sqnr_db(expected, outputs) >= in_litert - 1.5


@on_t8
def test_int8_on_the_test_set(exported, test_set):
    path = exported("fastvit_t8", "int8")
    litert = TFLiteModel(path, num_threads=2)
    images, labels = test_set
    some = [images(start, start + 2000) for start in range(0, len(labels), 2000)]
    outputs = np.concatenate([run(TFLITE_RUNTIME, path, x)[0] for x in some])
    expected = np.concatenate([litert.predict(x) for x in some])
    # Of an image's ten logits the one that is furthest off.
    steps = np.abs(outputs - expected).max(axis=1) / litert.output_quantization[0]
    near = np.mean(np.round(steps) <= 4)
    right, right_in_litert = (x.argmax(axis=1) == labels for x in (outputs, expected))
    accuracy, in_litert = right.mean(), right_in_litert.mean()
    same = agreement(expected, outputs)
    print(f"{near:.2%} of the images within 4 steps, all within {steps.max():.0f};", end=" ")
    print(f"{same:.2%} equal, {accuracy:.2%} correct, {in_litert:.2%} in LiteRT")
    assert near >= 0.99
    assert same >= 0.99
    # Which way an image goes that lies between two classes is chance; that most go one way is not.
    assert chance_of_difference(right, right_in_litert) > 1e-6
    assert accuracy > 0.9
