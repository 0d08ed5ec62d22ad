"""`export(model, path)`: a model as a `.tflite` file, run and compared before it is there."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from keras_fastvit import fuse
from keras_fastvit.conversion.exporting.checks import (
    check_built_in,
    check_delegation,
    check_finite,
    check_images,
    compare_each,
)
from keras_fastvit.conversion.exporting.converter import Conversion, convert
from keras_fastvit.conversion.exporting.files import paths_beside, written_together
from keras_fastvit.conversion.exporting.precisions import PRECISIONS
from keras_fastvit.conversion.exporting.report import Export, to_markdown
from keras_fastvit.conversion.lowering.exportable import input_shape
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.lowering.targets import GELUS, Target, get_target
from keras_fastvit.conversion.quantization import layer_report
from keras_fastvit.conversion.quantization.calibration import (
    Calibration,
    read_calibration,
)
from keras_fastvit.conversion.quantization.fake_quantized_form import (
    int8_form_of,
    is_fake_quantized,
)
from keras_fastvit.conversion.quantization.layer_by_layer import CURES
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.delegation import delegation
from keras_fastvit.conversion.tflite.runtime import TFLiteFile
from keras_fastvit.conversion.tflite.schema import operators
from keras_fastvit.conversion.tflite.sidecar_schema import FORMAT
from keras_fastvit.graph.inlining import inline
from keras_fastvit.graph.logits import to_logits
from keras_fastvit.images.labels import check_labels
from keras_fastvit.images.normalizations import DEFAULT_CROP_PCT, NORMALIZATIONS, normalization_of
from keras_fastvit.progress import Progress

Array = NDArray[Any]


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    image_size: int | tuple[int, int] | None = None,
    quantize: str = "none",
    calibration: str | os.PathLike[str] | Sequence[Path] | Array | None = None,
    target: str = "cpu",
    without: Collection[str] = (),
    gelu: str | None = None,
    labels: Sequence[str] | None = None,
    weights: str | None = None,
    crop_pct: float = DEFAULT_CROP_PCT,
    normalization: str | None = None,
    progress: Progress | None = None,
) -> Export:
    """Writes a model's inference form as a `.tflite` file that has been seen to work.

    The file takes one image, computes what the model does with `training=False` before its final
    softmax, if it has one, and consists of operators built into LiteRT. It and the files beside it
    take their names only after it has run in LiteRT with outputs close enough to Keras'
    (`self_check`), the operators that XNNPACK should run in XNNPACK.

    Args:
        model: A FastViT in training or inference form, or any functional or Sequential model of
            Keras' and this package's layers, and of layers that others have composed of Keras'
            (`keras_fastvit.graph.inlining`), with one image input `(batch, height, width,
            channels)`, normalised as by `preprocess_input`. Its own backend does not matter. If
            it has several outputs, these go by the keys of their dict or by `output_0`, `output_1`.
            Of a model with fake quantisation (`quantization_aware`) the weights, and in int8 the
            ranges, are those that it has learnt; other precisions compute the same without
            rounding. It must have been trained for the same target, and leaves nothing to decide.
        path: Where to write, ending in `.tflite`. What is there is replaced.
        image_size: Side in pixels or `(height, width)`, for a model whose sides are None.
        quantize: `"none"` for float32, `"fp16"` for weights in float16, `"dynamic"` for weights
            in int8, `"int8"` for weights and activations in int8.
        calibration: Folder of images like those that the app will see, their files, or float32
            array `(images, height, width, channels)` of normalised ones: at least 16. int8 needs
            it; the outputs are compared on some of it, where it is given.
        target: What will run the file: `"cpu"`, `"gpu"` or `"npu"`; see `lowering`.
        without: Names of what to leave out: rewrites of the lowering (`lowering.REWRITES`), cures
            of int8's noise (`quantization.CURES`).
        gelu: What int8 computes GELU with: `"sigmoid"`, `x · sigmoid(1.702 x)`, or `"operator"`,
            LiteRT's own. Default: the target's.
        labels: Names of the classes of the image or of its pixels (the output's last axis), for
            the sidecar.
        weights: Name of the weights, for the sidecar.
        crop_pct: Share of the resized image's short side that the crop keeps, for the sidecar and
            for the images of a folder.
        normalization: What images are normalised with, `"imagenet"`, `"clip"` or `"unit"` (see
            `preprocess_input`), for the same two. Default: that of the variant that the model has
            the name of, ImageNet's for others.
        progress: Where progress is shown; default: nowhere.

    Raises:
        ImportError: If TensorFlow, LiteRT or, for int8, matplotlib is not installed.
        OSError: If a file cannot be written, or the folder not be read.
        ValueError: If an argument is not as above, or the model cannot be converted.
        ArithmeticError: If the file's outputs are not those of Keras, or XNNPACK does not run it.

    Example:
    >>> import tempfile
    >>> from keras_fastvit import FastViTT8
    >>> model = FastViTT8(weights=None, input_shape=(32, 32, 3), classes=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exported = export(model, f"{folder}/model.tflite")
    >>> exported.output_shape, exported.operators["GELU"], exported.check.max_difference < 1e-5
    ((1, 10), 17, True)
    """
    path = Path(path)
    trained = is_fake_quantized(model)
    if trained:
        _check_left_to_decide(model, without, gelu)
    row = get_target(target)
    gelu = gelu or row.gelu
    normalization = normalization or normalization_of(model)
    _check_arguments(path, quantize, calibration, gelu, normalization)
    _check_installed(quantize)
    fused, ranges = int8_form_of(model, image_size) if trained else (inline(fuse(model)), None)
    shape = input_shape(fused, image_size)
    logits, activation = to_logits(fused)
    if labels is not None:
        _check_labels(labels, logits)
    read = (
        None
        if calibration is None
        else read_calibration(calibration, shape, crop_pct, normalization)
    )
    photographs = None if read is None else read.images
    begin, reach = _shown(progress)
    with written_together(paths_beside(path, quantize)) as files:
        begin("Lowering the model")
        rewrites = [name for name in without if name not in CURES]
        lowered = logits if trained else lower(logits, shape[1:3], target, rewrites)
        begin(f"Converting it, quantize={quantize}")
        images = check_images(shape, photographs)
        conversion = convert(
            lowered,
            images,
            quantize,
            photographs,
            gelu,
            float_softmax=row.float_softmax,
            without_cures=[name for name in without if name in CURES],
            ranges=ranges,
            reference=logits,
            progress=reach,
        )
        check_finite(conversion.outputs, model.name)
        found = operators(conversion.content)
        check_built_in(found)
        description = {
            "format": FORMAT,
            "model": model.name,
            "weights": weights,
            "quantize": quantize,
            "target": target,
            "without": sorted(without),
            **sidecar.tensors(conversion.content, crop_pct, activation, normalization),
            "labels": None if labels is None else list(labels),
            "versions": sidecar.versions(),
            "calibration": _counts(read) if quantize == "int8" else None,
        }
        content = sidecar.embed(conversion.content, description)
        begin("Running the file in LiteRT")
        files["tflite"].write_bytes(content)
        delegated = delegation(files["tflite"])
        check_delegation(delegated, quantize, _not_for_the_cpu(conversion, row))
        received = TFLiteFile(files["tflite"]).predict_each(images)
        check = compare_each(received, conversion.outputs, quantize)
        begin("Writing the report")
        exported = Export(
            path=path,
            sidecar=sidecar.finished(description, path, content, asdict(check)),
            operators=found,
            delegation=delegated,
            check=check,
            layers=tuple(conversion.layers),
            skipped={} if read is None else read.skipped,
        )
        _write_reports(exported, files)
    return exported


def _not_for_the_cpu(conversion: Conversion, target: Target) -> set[str]:
    """Operators that an int8 file may have although XNNPACK has no int8 kernel for them."""
    if not conversion.gelu:
        return set()
    return {
        *({"GELU"} if conversion.gelu == "operator" else ()),
        *({"SOFTMAX"} if not target.float_softmax else ()),
    }


def _write_reports(exported: Export, files: dict[str, Path]) -> None:
    if "csv" in files:
        files["csv"].write_text(layer_report.to_csv(exported.layers), encoding="utf-8")
        layer_report.plot(exported.layers, files["png"], exported.path.name)
    files["report"].write_text(to_markdown(exported), encoding="utf-8")
    files["sidecar"].write_text(sidecar.to_json(exported.sidecar), encoding="utf-8")


def _check_left_to_decide(model: keras.Model, without: Collection[str], gelu: str | None) -> None:
    if without or gelu is not None:
        raise ValueError(
            "Quantisation-aware training has decided how the model computes: expected no `without` "
            f"and no `gelu`. Received: model '{model.name}' with fake quantisation, "
            f"without={without!r}, gelu={gelu!r}"
        )


def _check_labels(labels: Sequence[str], logits: keras.Model) -> None:
    if len(logits.outputs) > 1:
        raise ValueError(
            "Labels name the classes of a classifier, which has one output. "
            f"Received: {len(labels)} labels for a model with {len(logits.outputs)} outputs"
        )
    check_labels(labels, logits.outputs[0].shape, of_pixels=True)


def _check_arguments(
    path: Path, quantize: str, calibration: Any, gelu: str, normalization: str
) -> None:
    if path.suffix != ".tflite":
        raise ValueError(f"The file's name must end in .tflite. Received: '{path}'")
    for name, value, known in (
        ("quantize", quantize, PRECISIONS),
        ("gelu", gelu, GELUS),
        ("normalization", normalization, NORMALIZATIONS),
    ):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}. Received: {value!r}")
    if quantize == "int8" and calibration is None:
        raise ValueError(
            "int8 needs calibration: a folder of images like those that the app will see. "
            f"Received: calibration={calibration}"
        )


def _check_installed(quantize: str) -> None:
    packages = {"tensorflow": "TensorFlow", "ai_edge_litert": "LiteRT"}
    if quantize == "int8":
        packages["matplotlib"] = "matplotlib"
    for module in packages:
        if find_spec(module) is None:
            raise ImportError(
                f"Exporting to .tflite needs {' and '.join(packages.values())}: `pip install "
                f'"keras-fastvit[convert]"`. Received: an environment without {module}'
            )


def _counts(read: Calibration | None) -> dict[str, int] | None:
    return None if read is None else {"images": len(read.images), "skipped": len(read.skipped)}


def _shown(progress: Progress | None) -> tuple[Callable[[str], None], Callable[[int, int], None]]:
    """Returns what says that a piece of work begins, and how much of it is done."""
    if progress is None:
        return lambda what: None, lambda done, total: None
    return progress.begin, progress.reach
