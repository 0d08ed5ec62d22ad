"""Checks of a written file before it is reported: operators, delegate, outputs."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.conversion.exporting.output_names import ONLY
from keras_fastvit.conversion.exporting.precisions import PRECISIONS
from keras_fastvit.conversion.operations import DELEGATED
from keras_fastvit.conversion.quantization.calibration import Calibration
from keras_fastvit.conversion.tflite.delegation import Delegation, delegation
from keras_fastvit.conversion.tflite.runtime import TFLiteFile
from keras_fastvit.conversion.tflite.sidecar_schema import Description
from keras_fastvit.evaluation.metrics import agreement, sqnr_db
from keras_fastvit.images.preparation import Preparation
from keras_fastvit.images.preprocessing import preprocess_input

LARGEST_DIFFERENCE = 1e-4
"""Of a float32 file's outputs from Keras' before the lowering, over the largest output.

Trained or random, T8 has 1e-6; of an SA12 with random weights at 256×256, which adds up more than
any trained one, the lowering alone makes 1.3e-5, by the order of its sums.
"""

IMAGES = 32
"""How many of the calibration images the outputs are compared on."""

NOISE_IMAGES = 3
"""How many where there are none."""


@dataclass(frozen=True)
class SelfCheck:
    """The difference between a file's outputs and Keras'.

    Attributes:
        images: Number of images.
        max_difference: `max|file - Keras| / max|Keras|`.
        sqnr_db: Signal-to-quantisation-noise ratio of all outputs, in decibels; infinite if equal.
        agreement: Share of the images with the same best class, 0..1; None if the output is not
            that of a classifier.
    """

    images: int
    max_difference: float
    sqnr_db: float
    agreement: float | None


def check_images(
    shape: tuple[int, int, int, int], calibration: Calibration | None, normalization: str
) -> Calibration:
    """Returns the images to compare on: some of the calibration's, or noise.

    Noise is of pixels, coarse and fine, as pooling hides the fine; of a model that does not take
    RGB images it is in the range of normalised photographs.

    Args:
        shape: Of the file's input.
        calibration: Images, or None.
        normalization: How images are normalised for the model; see `preprocess_input`.
    """
    if calibration is not None:
        count = min(IMAGES, len(calibration.images))
        places = np.linspace(0, len(calibration.images) - 1, count).round().astype(int)
        pixels = calibration.pixels
        return Calibration(
            calibration.images[places], {}, None if pixels is None else pixels[places]
        )
    _, height, width, channels = shape
    rng = np.random.default_rng(0)
    fine = rng.uniform(-1, 1, (NOISE_IMAGES, height, width, channels))
    coarse = rng.uniform(-1, 1, (NOISE_IMAGES, -(-height // 16), -(-width // 16), channels))
    coarse = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    noise = fine + coarse
    if channels != 3:
        return Calibration(noise.astype("float32"), {})
    pixels = (127.5 + 63 * noise).round().astype("uint8")
    return Calibration(preprocess_input(pixels, "channels_last", normalization), {}, pixels)


def check_finite(outputs: Mapping[str, Array], name: str) -> None:
    """Checks a model's outputs, by their names.

    Raises:
        ValueError: If there is NaN or infinity in them.
    """
    for output, values in outputs.items():
        if not np.isfinite(values).all():
            raise ValueError(
                f"The outputs of model '{name}' must be finite. Received: "
                f"{np.count_nonzero(~np.isfinite(values))} NaN or infinite values for "
                f"{len(values)} images in '{output}'"
            )


def check_built_in(operators: Iterable[str]) -> None:
    """Checks the operators' names, as given by `schema.operators`.

    Raises:
        ValueError: If one is not built into LiteRT, such as TensorFlow's own.
    """
    if foreign := sorted(name for name in operators if not name.isupper()):
        raise ValueError(
            "The file must hold operators that are built into LiteRT only. "
            f"Received: {', '.join(foreign)}"
        )


def check_delegation(delegation: Delegation, quantize: str, wanted: Collection[str] = ()) -> None:
    """Checks that the delegate takes what it should: a slow file is a fault too.

    Operators that XNNPACK has no kernel for at all, in a user's part of the model, may stay.

    Args:
        delegation: Of the file.
        quantize: Its precision.
        wanted: Operators that XNNPACK has no int8 kernel for, and that the file is to have all the
            same: they are better for what else may run it.

    Raises:
        ArithmeticError: If it leaves out an operator that it should take.
    """
    allowed = PRECISIONS[quantize].left_over | set(wanted)
    wrong = {
        name: count
        for name, count in delegation.outside.items()
        if name in DELEGATED and name not in allowed
    }
    if wrong:
        causes = [
            layer for layer, found in delegation.layers.items() if wrong.keys() & found.keys()
        ]
        raise ArithmeticError(
            "The file would be slow, and was not kept: XNNPACK, which runs it on a CPU, must take "
            f"all its operators{f' but {_listed(allowed)}' if allowed else ''}. Received: "
            f"{_listed(f'{count} {name}' for name, count in wrong.items())} outside of it"
            f"{f', of {_listed(causes)}' if causes else ''}"
        )


def check_runs(
    path: Path,
    images: Calibration,
    expected: Mapping[str, Array],
    quantize: str,
    description: Description,
    not_for_xnnpack: Collection[str] = (),
    layers: Collection[str] = (),
) -> tuple[Delegation, SelfCheck]:
    """Runs a file in LiteRT, and compares it with Keras.

    The file is used as an app would use it: its images are prepared as its description says.

    Args:
        path: The file.
        images: What Keras was given.
        expected: Keras' outputs for them, by name.
        quantize: The file's precision.
        description: What is embedded in it.
        not_for_xnnpack: Operators that may stay outside of XNNPACK.
        layers: Names of the layers that the file was made from.

    Raises:
        ArithmeticError: If its outputs are not Keras', or XNNPACK leaves out what it should run.
    """
    delegated = delegation(path, layers)
    check_delegation(delegated, quantize, not_for_xnnpack)
    inputs = images.images
    if images.pixels is not None:
        size = images.pixels.shape[1:3]
        inputs = Preparation.from_sidecar(description, size).normalize(images.pixels)
    received = TFLiteFile(path).predict_each(inputs)
    return delegated, compare_each(received, expected, quantize)


def compare_each(
    received: Mapping[str, Array], expected: Mapping[str, Array], quantize: str
) -> SelfCheck:
    """Compares a file's outputs, by their names, with Keras'; see `compare`.

    Returns:
        What was found; of several outputs the worst of each.
    """
    found = [compare(received[name], x, quantize, name) for name, x in expected.items()]
    return SelfCheck(
        images=found[0].images,
        max_difference=max(check.max_difference for check in found),
        sqnr_db=min(check.sqnr_db for check in found),
        agreement=found[0].agreement if len(found) == 1 else None,
    )


def compare(received: Array, expected: Array, quantize: str, name: str = ONLY) -> SelfCheck:
    """Compares an output of a file with Keras'.

    Args:
        received: float32 `(images, ...)` of the file.
        expected: The same of Keras, finite.
        quantize: The file's precision.
        name: Of the output.

    Raises:
        ArithmeticError: If they are further apart than `LARGEST_DIFFERENCE` or
            the precision's `smallest_sqnr_db` allow.
    """
    largest = float(np.max(np.abs(expected)))
    difference = float(np.max(np.abs(received - expected))) / (largest or 1.0)
    ratio = sqnr_db(expected, received)
    # Written so that NaN is refused.
    smallest = PRECISIONS[quantize].smallest_sqnr_db
    if smallest is None:
        if not difference <= LARGEST_DIFFERENCE:
            raise ArithmeticError(
                "The file does not compute what the model does, and was not kept. Expected "
                f"outputs within {LARGEST_DIFFERENCE:.0e} of the largest of Keras', "
                f"{largest:.3g}. Received: a difference of {difference:.1e} of it in '{name}'"
            )
    elif not ratio >= smallest:
        raise ArithmeticError(
            "The file does not compute what the model does, and was not kept. Expected outputs "
            f"with at least {smallest:g} dB of signal to {quantize}'s noise. "
            f"Received: {ratio:.1f} dB, a largest difference of {difference:.1%} of Keras' "
            f"largest output, {largest:.3g}, in '{name}'"
        )
    classifier = expected.ndim == 2
    return SelfCheck(
        images=len(expected),
        max_difference=difference,
        sqnr_db=ratio,
        agreement=agreement(expected, received) if classifier else None,
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
