"""`export(model, path)`: a model as a `.tflite` file, run and compared before it is there."""

import os
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

import keras
from rich.console import Console

from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_together
from keras_fastvit.conversion.exporting.checks import (
    check_built_in,
    check_finite,
    check_images,
    check_runs,
)
from keras_fastvit.conversion.exporting.converter import convert
from keras_fastvit.conversion.exporting.files import check_replaceable, paths_beside
from keras_fastvit.conversion.exporting.report import Export, write_reports
from keras_fastvit.conversion.exporting.request import checked_request
from keras_fastvit.conversion.exporting.source import source_of
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.quantization.calibration import read_calibration
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.schema import operators
from keras_fastvit.images.normalizations import DEFAULT_CROP_PCT
from keras_fastvit.progress import Progress


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
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Export:
    """Writes a model's inference form as a `.tflite` file that has been seen to work.

    The file takes one image, computes what the model does with `training=False` before its final
    softmax, if it has one, and consists of operators built into LiteRT. It and the files beside it
    take their names only after it has run in LiteRT with outputs close enough to Keras', the
    operators that XNNPACK should run in XNNPACK (`exporting.checks`).

    Args:
        model: A FastViT in training or inference form, or any functional or Sequential model of
            Keras' and this package's layers, and of layers that others have composed of Keras'
            (`keras_fastvit.graph.inlining`), with one image input `(batch, height, width,
            channels)`, normalised as by `preprocess_input`. Its own backend does not matter. If
            it has several outputs, these go by the keys of their dict or by `output_0`, `output_1`.
            A model with fake quantisation (`fine_tune`) gives the file the weights, and in int8
            the ranges, that it has learnt; other precisions compute the same without rounding. It
            must have been trained for the same target, and takes neither `without` nor `gelu`.
        path: Where to write, ending in `.tflite`. What an earlier export has written there is
            replaced: the file, its sidecar and reports.
        image_size: Side in pixels or `(height, width)`, for a model whose sides are None.
        quantize: `"none"` for float32, `"fp16"` for weights in float16, `"dynamic"` for weights
            in int8, `"int8"` for weights and activations in int8.
        calibration: Folder of images like those that the app will see, their files, or float32
            array `(images, height, width, channels)` of normalised ones: at least 16. int8 needs
            it; the outputs are compared on some of it, where it is given.
        target: What will run the file: `"cpu"`, `"gpu"` or `"npu"`; see `lowering.targets`.
        without: Names of what to leave out: rewrites of the lowering (`targets.REWRITES`),
            techniques by which int8 loses less (`techniques.TECHNIQUES`).
        gelu: What int8 computes GELU with: `"sigmoid"`, `x · sigmoid(1.702 x)`, or `"operator"`,
            LiteRT's own. Default: the target's.
        labels: Names of the classes of the image or of its pixels (the output's last axis), for
            the sidecar.
        weights: Name of the weights, for the sidecar.
        crop_pct: Share of the resized image's short side that the crop keeps, for the sidecar and
            for the images of a folder.
        normalization: What images are normalised with, a key of `NORMALIZATIONS` (see
            `preprocess_input`), for the same two. Default: what the model tells
            (`keras_fastvit.graph.normalization`): one that normalises pixels itself gets those,
            another what the variant that it has the name of takes, or ImageNet's.
        overwrite: Whether files may be replaced that no export has written.
        progress: Where progress is shown; default: nowhere.

    Returns:
        What was written, and what was seen when the file ran.

    Raises:
        ImportError: If TensorFlow, LiteRT or, for int8, matplotlib is not installed.
        FileExistsError: If a file that no export has written would be replaced.
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
    request = checked_request(
        model,
        path,
        quantize=quantize,
        calibration=calibration,
        target=target,
        without=without,
        gelu=gelu,
        labels=labels,
        weights=weights,
        crop_pct=crop_pct,
        normalization=normalization,
    )
    paths = paths_beside(request.path, quantize)
    if not overwrite:
        check_replaceable(paths)
    source = source_of(model, image_size, request)
    read = None
    if calibration is not None:
        read = read_calibration(calibration, source.shape, crop_pct, request.normalization)
    images = check_images(source.shape, read, request.normalization)
    shown = progress or Progress(Console(quiet=True))
    with written_together(paths) as files:
        shown.begin("Lowering the model")
        lowered = source.logits
        if not request.trained:
            lowered = lower(lowered, source.shape[1:3], target, request.without_rewrites)
        shown.begin(f"Converting it, quantize={quantize}")
        conversion = convert(
            lowered,
            images.images,
            quantize,
            None if read is None else read.images,
            request.gelu,
            float_softmax=request.target.float_softmax,
            without=request.without_techniques,
            ranges=source.ranges,
            reference=source.logits,
            progress=shown.reach,
        )
        check_finite(conversion.outputs, model.name)
        found = operators(conversion.content)
        check_built_in(found)
        counts = None if read is None or quantize != "int8" else read.counts
        description = request.describe(conversion.content, source.activation, counts)
        content = sidecar.embed(conversion.content, description)
        shown.begin("Running the file in LiteRT")
        files["tflite"].write_bytes(content)
        delegated, check = check_runs(
            files["tflite"],
            images,
            conversion.outputs,
            quantize,
            description,
            not_for_xnnpack=request.target.not_for_xnnpack(conversion.gelu),
            layers={x.name for x in (*lowered.operations, *conversion.layers)},
        )
        shown.begin("Writing the report")
        exported = Export(
            path=request.path,
            sidecar=sidecar.finished(description, request.path, content, asdict(check)),
            operators=found,
            delegation=delegated,
            check=check,
            layers=tuple(conversion.layers),
            skipped={} if read is None else read.skipped,
        )
        write_reports(exported, files)
    return exported
