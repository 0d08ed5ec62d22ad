"""The files that `make bench` times: litert-torch's, the bounds, ours, of the same weights.

They hold timm's models at random, 256×256 pixels, 1000 classes: how long a file takes depends on
its operators, not on the values in it. For the same reason noise will do where int8 wants images.
"""

import hashlib
from pathlib import Path

import keras
import numpy as np

from benchmarks import litert_torch_environment
from benchmarks.bound import build_bound
from benchmarks.litert_torch_environment import ROOT
from benchmarks.plain_tflite import to_plain_tflite
from keras_fastvit.applications import CONSTRUCTORS
from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.references import timm as timm_reference

SIDE, CLASSES, SEED = 256, 1000, 0

PRECISIONS = {"float32": "none", "fp16": "fp16", "dynamic": "dynamic", "int8": "int8"}
"""What the report calls our files, and what they are to `export`."""

KINDS = {"dynamic": "dynamic", "int8": "static"}
"""What the report calls litert-torch's files, and what they are to ai-edge-quantizer."""

OUR_CALIBRATION_IMAGES, KINDS_CALIBRATION_IMAGES, BOUND_CALIBRATION_IMAGES = 16, 4, 2

DECISIVE = (
    "benchmarks/litert_files.py",
    "benchmarks/bound.py",
    "benchmarks/litert_torch_reference.py",
    "benchmarks/plain_tflite.py",
    "conversion/references/timm.py",
    "requirements/litert_torch.txt",
    "requirements/reference.txt",
)
"""What the contents of litert-torch's files and of the bounds follow from."""


def kept_folder(build: Path) -> Path:
    """Returns the folder in which files that others' tools make are kept from run to run.

    Its name changes with what decides their contents, so that no run meets stale ones.
    """
    sources = b"\n".join((ROOT / name).read_bytes() for name in DECISIVE)
    return build / hashlib.sha256(sources).hexdigest()[:12]


def write_weights(variant: str, folder: Path) -> Path:
    """Writes timm's model at random as `.safetensors`, unless it is there; returns the file.

    Raises:
        ImportError: If timm is not installed.
        OSError: If it cannot be written.
    """
    path = folder / f"{variant}.safetensors"
    if not path.exists():
        model = timm_reference.create_model(variant, CLASSES)
        timm_reference.randomize(model, SEED)
        with written_beside(path) as unfinished:
            timm_reference.save(model, unfinished)
    return path


def litert_torch_files(variant: str, weights: Path, folder: Path) -> dict[str, Path]:
    """Writes litert-torch's file of the weights and what ai-edge-quantizer makes of it.

    Returns:
        The files, which were written unless they were there: `"float32"`, `"dynamic"`, `"int8"`.

    Raises:
        ImportError: If the environment of litert-torch is not there.
        RuntimeError: If litert-torch or ai-edge-quantizer fails.
        OSError: If a file cannot be written.
    """
    files = {
        precision: folder / f"{variant}_litert_torch_{precision}.tflite"
        for precision in ("float32", *KINDS)
    }
    if not files["float32"].exists():
        litert_torch_environment.convert(variant, weights, SIDE, files["float32"])
    images = random_images(KINDS_CALIBRATION_IMAGES)
    for precision, kind in KINDS.items():
        if not files[precision].exists():
            litert_torch_environment.quantize(files["float32"], kind, images, files[precision])
    return files


def bound_files(variant: str, folder: Path) -> dict[str, Path]:
    """Writes a variant's bound in `"float32"` and `"int8"`, unless it is there.

    Raises:
        ValueError: If Keras does not run on TensorFlow.
        OSError: If a file cannot be written.
    """
    images = {"float32": None, "int8": random_images(BOUND_CALIBRATION_IMAGES)}
    files = {precision: folder / f"{variant}_bound_{precision}.tflite" for precision in images}
    if not all(path.exists() for path in files.values()):
        keras.utils.set_random_seed(SEED)
        model = build_bound(VARIANTS[variant], SIDE, CLASSES)
        for precision, path in files.items():
            with written_beside(path) as unfinished:
                unfinished.write_bytes(to_plain_tflite(model, images[precision]))
    return files


def our_files(variant: str, weights: Path, folder: Path) -> dict[str, Path]:
    """Exports the weights in each of `PRECISIONS`; returns the files.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If `export` refuses the model.
        ArithmeticError: If a file does not compute what the model does.
    """
    model = CONSTRUCTORS[variant](
        weights=weights,
        input_shape=(SIDE, SIDE, 3),
        classes=CLASSES,
        classifier_activation=None,
        data_format="channels_last",
        dtype="float32",
    )
    files = {precision: folder / f"{variant}_{precision}.tflite" for precision in PRECISIONS}
    images = random_images(OUR_CALIBRATION_IMAGES)
    for precision, quantize in PRECISIONS.items():
        calibration = images if quantize == "int8" else None
        export(model, files[precision], quantize=quantize, calibration=calibration)
    return files


def random_images(count: int) -> Array:
    """Returns normally distributed float32 values `(count, 256, 256, 3)`."""
    rng = np.random.default_rng(SEED)
    return rng.standard_normal((count, SIDE, SIDE, 3)).astype("float32")
