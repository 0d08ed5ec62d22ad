"""Semantic FPN, beside the same head written in plain PyTorch."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch.nn import functional

from keras_fastvit import FastViT, fuse
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.metrics import sqnr_db
from keras_fastvit.tasks import SemanticFPN
from tests.models import (
    BACKEND,
    DATA_FORMATS,
    TINY,
    added,
    images,
    randomize,
    relative_difference,
    run,
    tiny,
)

# Like the largest image towers.
FIVE_STAGES = added(
    replace(
        TINY,
        name="fastvit_tiny_5",
        layers=(*TINY.layers, 1),
        widths=(*TINY.widths, 32),
        token_mixers=(*TINY.token_mixers, TINY.token_mixers[-1]),
    )
)

WIDTHS = {"neck_filters": 8, "head_filters": 6}


def backbone(*sides: int | None, data_format: str = "channels_last", **kwargs: Any) -> FastViT:
    shape = (*sides, 3) if data_format == "channels_last" else (3, *sides)
    return tiny(include_top=False, input_shape=shape, data_format=data_format, **kwargs)


def segmenter(*sides: int | None, data_format: str = "channels_last", **kwargs: Any) -> Any:
    model = SemanticFPN(backbone(*sides, data_format=data_format), 5, **{**WIDTHS, **kwargs})
    return randomize(model)


@pytest.fixture(scope="module")
def stages() -> FastViT:
    return backbone(32, 32)


def values(layer: Any) -> list[torch.Tensor]:
    return [torch.from_numpy(x.astype("float64")) for x in layer.get_weights()]


def torch_conv(x: torch.Tensor, kernel: torch.Tensor, bias: Any = None) -> torch.Tensor:
    return functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=kernel.shape[0] // 2)


def torch_norm(x: torch.Tensor, norm: Any) -> torch.Tensor:
    gamma, beta, mean, variance = values(norm)
    return functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-5)


def torch_head(model: keras.Model, maps: dict[str, np.ndarray], finest: int) -> np.ndarray:
    """The neck and the head as the papers have them, in float64, of the model's own weights.

    Args:
        model: Gives the weights.
        maps: The backbone's levels by name, `(batch, height, width, channels)`, fine to coarse.
        finest: Stride of the first of them.
    """
    levels = {k: torch.from_numpy(x.astype("float64")).permute(0, 3, 1, 2) for k, x in maps.items()}
    laterals = {}
    above: torch.Tensor | None = None
    for level in reversed(levels):
        layer = model.get_layer(f"neck_{level}_lateral")
        x = torch_conv(torch_norm(levels[level], layer.bn), *values(layer.conv))
        if above is not None:
            x = x + functional.interpolate(above, size=x.shape[2:], mode="nearest")
        laterals[level] = above = x
    total = 0.0
    for doublings, level in enumerate(levels):
        x = torch_conv(laterals[level], *values(model.get_layer(f"neck_{level}_conv")))
        for step in range(max(doublings, 1)):
            layer = model.get_layer(f"head_{level}_{step}")
            x = torch_norm(torch_conv(x, *values(layer.conv)), layer.bn).relu()
            if doublings:
                x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        total = total + x
    x = torch_conv(total, *values(model.get_layer("segmentation_classifier")))
    x = functional.interpolate(x, scale_factor=finest, mode="bilinear", align_corners=False)
    return x.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(
    ("variant", "sides", "levels"),
    [
        ("fastvit_tiny", (64, 64), ("P2", "P3", "P4", "P5")),
        ("fastvit_tiny", (32, 96), ("P3", "P4", "P5")),
        ("fastvit_tiny_5", (64, 128), ("P2", "P3", "P4", "P5", "P6")),
    ],
)
def test_is_the_head_of_the_papers(
    variant: str, sides: tuple[int, int], levels: tuple[str, ...]
) -> None:
    trunk = randomize(FastViT(variant, include_top=False, input_shape=(*sides, 3)))
    model = randomize(SemanticFPN(trunk, 5, levels, **WIDTHS))
    x = images(2, *sides, 3)
    maps = run(keras.Model(trunk.input, {k: trunk.pyramid_outputs[k] for k in levels}), x)
    expected = torch_head(model, {k: maps[k] for k in levels}, 2 ** int(levels[0][1]))
    assert expected.shape == (2, *sides, 5)
    received = run(model, x)
    # Every level matters, or a wrong one would not be seen.
    assert np.ptp(expected) > 0.1
    assert relative_difference(received, expected.astype("float32")) < 1e-4


def test_has_the_papers_widths_by_default(stages: FastViT) -> None:
    model = SemanticFPN(stages, 3)
    assert model.get_layer("neck_P2_conv").kernel.shape == (3, 3, 256, 256)
    assert model.get_layer("head_P5_2").conv.kernel.shape == (3, 3, 128, 128)
    assert model.get_layer("segmentation_dropout").rate == 0.1
    assert model.name == "fastvit_tiny_semantic_fpn"


def test_any_size_that_fits_and_either_layout() -> None:
    fixed = segmenter(64, 32)
    assert fixed.output_shape == (None, 64, 32, 5)
    x = images(2, 64, 32, 3)
    expected = run(fixed, x)
    for data_format in DATA_FORMATS:
        free = segmenter(None, None, data_format=data_format)
        assert free.output_shape == (None, None, None, 5)
        for other in (x, images(1, 32, 96, 3)):
            y = run(free, other if data_format == "channels_last" else np.moveaxis(other, -1, 1))
            assert y.shape == (*other.shape[:3], 5)
            if other is x:
                assert relative_difference(y, expected) < 1e-5


@pytest.mark.parametrize("data_format", DATA_FORMATS)
def test_folds_whole(data_format: str) -> None:
    model = segmenter(64, 64, data_format=data_format)
    fused = fuse(model)
    x = images(2, *model.input_shape[1:])
    assert relative_difference(run(fused, x), run(model, x)) < 1e-5
    kinds = {type(layer) for layer in fused._flatten_layers()}
    assert all(kind.__module__.startswith("keras.") for kind in kinds)
    assert keras.layers.BatchNormalization not in kinds


def test_a_step_of_training_lowers_the_loss() -> None:
    model = segmenter(32, 32, dropout=0.0)
    model.compile(
        keras.optimizers.SGD(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.MeanIoU(5, sparse_y_pred=False)],
        # XLA would take longer to compile than a step takes.
        jit_compile=BACKEND == "jax",
    )
    x = images(4, 32, 32, 3)
    y = np.random.default_rng(0).integers(0, 5, (4, 32, 32))
    first, iou = model.train_on_batch(x, y)
    later = [model.train_on_batch(x, y)[0] for _ in range(4)][-1]
    assert later < first
    assert 0 <= iou <= 1


def test_training_trains_the_backbone(stages: FastViT) -> None:
    model = SemanticFPN(stages, 5, **WIDTHS)
    own = {id(x) for x in model.trainable_variables}
    used = [
        x for layer in stages.layers if "stage" in layer.name for x in layer.trainable_variables
    ]
    assert used
    assert all(id(x) in own for x in used)
    assert not any(layer.name.startswith("final_conv") for layer in model.layers)


@pytest.mark.parametrize("form", ["training", "inference"])
def test_saves_and_loads(tmp_path: Any, form: str) -> None:
    model = segmenter(32, 64)
    model = fuse(model) if form == "inference" else model
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    x = images(1, 32, 64, 3)
    assert relative_difference(run(loaded, x), run(model, x)) < 1e-6


def test_logits_are_float32_under_mixed_precision() -> None:
    model = SemanticFPN(
        backbone(32, 32, dtype="mixed_bfloat16"), 5, dtype="mixed_bfloat16", **WIDTHS
    )
    assert model.get_layer("neck_P2_conv").compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"


@pytest.mark.single_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "Received: classes=0"),
        ({"classes": 2.5}, "Received: classes=2.5"),
        ({"classes": True}, "Received: classes=True"),
        ({"neck_filters": -1}, "Received: neck_filters=-1"),
        ({"head_filters": "8"}, "Received: head_filters='8'"),
        ({"dropout": 1.0}, "Received: dropout=1.0"),
        ({"levels": ("P2", "P6")}, r"some of P2, P3, P4, P5\. Received: levels=\('P2', 'P6'\)"),
        ({"levels": ("P5", "P6")}, r"Received: levels=\('P5', 'P6'\)"),
        ({"levels": ("P3", "P2")}, r"from fine to coarse.* Received: levels=\('P3', 'P2'\)"),
        ({"levels": ("P2", "P4")}, r"Received: levels=\('P2', 'P4'\)"),
        ({"levels": ()}, r"Received: levels=\(\)"),
    ],
    ids=str,
)
def test_bad_arguments(stages: FastViT, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SemanticFPN(stages, **{"classes": 5, **arguments})


@pytest.mark.single_backend
@pytest.mark.parametrize("data_format", DATA_FORMATS)
def test_sides_that_do_not_double(data_format: str) -> None:
    trunk = backbone(64, 48, data_format=data_format)
    with pytest.raises(ValueError, match=r"multiples of 32, the stride of P5.* Received: .*48"):
        SemanticFPN(trunk, 5)
    assert SemanticFPN(trunk, 5, ("P2", "P3", "P4"), **WIDTHS).output_shape == (None, 64, 48, 5)


def test_other_backbones(stages: FastViT) -> None:
    for other in (fuse(stages), keras.Sequential(name="other")):
        with pytest.raises(ValueError, match=r"training form; fuse the .* Received: '\w+' of"):
            SemanticFPN(other, 5)


@pytest.mark.single_backend
class TestExport:
    def test_a_whole_in_int8(self, tmp_path: Any) -> None:
        model = segmenter(64, 32, neck_filters=16, head_filters=16)
        labels = ["sky", "road", "car", "tree", "person"]
        calibration = images(16, 64, 32, 3)
        exported = export(
            model,
            tmp_path / "model.tflite",
            quantize="int8",
            calibration=calibration,
            labels=labels,
        )
        assert exported.output_shape == (1, 64, 32, 5)
        assert exported.sidecar["labels"] == labels
        # Six on the way to the finest level, one to the image; repeated pixels are none of them.
        assert exported.operators["RESIZE_BILINEAR"] == 7
        assert not {"RESIZE_NEAREST_NEIGHBOR", "BROADCAST_TO", "TILE"} & set(exported.operators)
        assert (exported.delegation.partitions, not exported.delegation.outside) == (1, True)
        received = TFLiteModel(exported.path).predict(calibration)
        expected = run(model, calibration)
        assert sqnr_db(expected, received) > 20
        assert np.mean(expected.argmax(-1) == received.argmax(-1)) > 0.9

    @pytest.mark.parametrize("quantize", ["none", "fp16", "dynamic"])
    def test_a_whole_in_float(self, tmp_path: Any, quantize: str) -> None:
        exported = export(segmenter(32, 64), tmp_path / "model.tflite", quantize=quantize)
        assert exported.output_shape == (1, 32, 64, 5)
        assert exported.check.agreement is None
        outside = set(exported.delegation.outside)
        assert outside <= ({"DEPTHWISE_CONV_2D"} if quantize == "dynamic" else set())
