"""KerasHub's tasks on a FastViT as `.tflite` files, in float32 and int8."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_fastvit.conversion.quantization.techniques import TECHNIQUES
from keras_fastvit.conversion.tflite.runtime import TFLiteFile
from tests.hub_models import build, example, in_one_process, run_example, small
from tests.models import images, randomize, run

pytestmark = pytest.mark.single_backend

INT8 = {
    "quantize": "int8",
    "calibration": images(16, 64, 64, 3),
    # Solved for the heads' 2,304 weights a filter, these would take minutes.
    "without": [cure for cure in TECHNIQUES if cure in ("refit", "rounding")],
}


@pytest.mark.parametrize("name", in_one_process("segmenter", "classifier"))
def test_a_task_with_one_output(name: str, tmp_path: Path) -> None:
    from keras_fastvit.conversion.exporting.export import export

    task = randomize(build(name))
    exported = export(task, tmp_path / "int8.tflite", **INT8)
    # Of the heads' operators, too, none is left to the interpreter, and none computes in float.
    assert exported.delegation.partitions == 1
    assert exported.operators["DEQUANTIZE"] == 1  # before the attention's softmax
    assert exported.check.sqnr_db > 15


def detector() -> Any:
    """A small one: of two levels, one of them the encoder's, and one convolution a head."""
    import keras_hub

    backbone = keras_hub.models.RetinaNetBackbone(
        image_encoder=small(include_top=False, input_shape=(64, 64, 3)),
        min_level=4,
        max_level=5,
        use_p5=False,
        image_shape=(64, 64, 3),
    )
    task = keras_hub.models.RetinaNetObjectDetector(
        backbone=backbone, num_classes=3, bounding_box_format="xyxy", pre_logits_num_conv_layers=1
    )
    return randomize(task)


def test_a_detector_without_its_decoding(tmp_path: Path) -> None:
    from keras_fastvit.conversion.exporting.export import export

    task, x = detector(), images(2, 64, 64, 3)
    exported = export(task, tmp_path / "model.tflite")
    assert exported.delegation.partitions == 1
    assert not exported.operators["TILE"]
    raw = TFLiteFile(tmp_path / "model.tflite").predict_each(x)
    assert {name: y.shape for name, y in raw.items()} == {
        name: y.shape for name, y in run(task, x).items()
    }
    boxes, expected = task.decode_predictions(raw, x), task.predict(x, verbose=0)
    assert expected["num_detections"].min() > 0
    for name, values in expected.items():
        np.testing.assert_allclose(np.asarray(boxes[name]), values, rtol=1e-3, atol=1e-2)
    exported = export(task, tmp_path / "int8.tflite", **INT8)
    assert exported.delegation.partitions == 1
    assert exported.check.sqnr_db > 15


@pytest.mark.xdist_group("hub_segmenter")
def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(example("Fusing, and to a phone", 1), segmenter=build("segmenter"))
    assert Path("segmenter.tflite").exists()
