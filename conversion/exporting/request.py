"""The arguments of an export, checked before the long work begins."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from keras_fastvit.conversion.exporting.precisions import PRECISIONS
from keras_fastvit.conversion.lowering.targets import GELUS, Target, get_target
from keras_fastvit.conversion.quantization.fake_quantized_form import is_fake_quantized
from keras_fastvit.conversion.quantization.techniques import TECHNIQUES
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.sidecar_schema import FORMAT, Description
from keras_fastvit.graph.normalization import normalization_of
from keras_fastvit.images.normalizations import NORMALIZATIONS


@dataclass(frozen=True)
class Request:
    """The arguments of `export` that do not concern the model's form, with defaults filled in.

    Attributes:
        path: Where the file is to be.
        model_name: For the sidecar and for errors.
        trained: Whether quantisation-aware training has decided how the model computes.
        quantize: A key of `PRECISIONS`.
        target: What runs the file.
        without: Names of rewrites and techniques to leave out.
        gelu: What int8 computes GELU with, one of `GELUS`.
        labels: Names of the classes, or None.
        weights: Name of the weights, or None.
        crop_pct: Share of the resized image's short side that the crop keeps.
        normalization: A key of `NORMALIZATIONS`.
    """

    path: Path
    model_name: str
    trained: bool
    quantize: str
    target: Target
    without: tuple[str, ...]
    gelu: str
    labels: tuple[str, ...] | None
    weights: str | None
    crop_pct: float
    normalization: str

    @property
    def without_techniques(self) -> list[str]:
        """Techniques of int8 to leave out."""
        return [name for name in self.without if name in TECHNIQUES]

    @property
    def without_rewrites(self) -> list[str]:
        """Rewrites of the lowering to leave out: all other names, so that `lower` checks them."""
        return [name for name in self.without if name not in TECHNIQUES]

    def describe(
        self, content: bytes, activation: str, calibration: dict[str, int] | None
    ) -> Description:
        """Returns what is embedded in the file.

        Args:
            content: Of the file, as converted.
            activation: What is left to be applied to its output, `"softmax"` or `"linear"`.
            calibration: How many images were read and how many files skipped, of an int8 file.
        """
        return {
            "format": FORMAT,
            "model": self.model_name,
            "weights": self.weights,
            "quantize": self.quantize,
            "target": self.target.name,
            "without": sorted(self.without),
            **sidecar.tensors(content, self.crop_pct, activation, self.normalization),
            "labels": None if self.labels is None else list(self.labels),
            "versions": sidecar.versions(),
            "calibration": calibration,
        }


def checked_request(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    quantize: str,
    calibration: Any,
    target: str,
    without: Collection[str],
    gelu: str | None,
    labels: Sequence[str] | None,
    weights: str | None,
    crop_pct: float,
    normalization: str | None,
) -> Request:
    """Checks the arguments of `export`, which describes them.

    Raises:
        ImportError: If a package that the export needs is not installed.
        ValueError: If an argument is out of range, or they do not go together.
    """
    trained = is_fake_quantized(model)
    if trained and (without or gelu is not None):
        raise ValueError(
            "Quantisation-aware training has decided how the model computes: expected no `without` "
            f"and no `gelu`. Received: model '{model.name}' with fake quantisation, "
            f"without={without!r}, gelu={gelu!r}"
        )
    row = get_target(target)
    gelu = gelu or row.gelu
    normalization = normalization or normalization_of(model)
    path = Path(path)
    if path.suffix != ".tflite":
        raise ValueError(f"The file's name must end in .tflite. Received: '{path}'")
    for name, value, known in (
        ("quantize", quantize, PRECISIONS),
        ("gelu", gelu, GELUS),
        ("normalization", normalization, NORMALIZATIONS),
    ):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}. Received: {value!r}")
    if isinstance(without, str):
        raise ValueError(f"`without` must be a list of names. Received: without={without!r}")
    if quantize == "int8" and calibration is None:
        raise ValueError(
            "int8 needs calibration: a folder of images like those that the app will see. "
            f"Received: calibration={calibration}"
        )
    _check_installed(quantize)
    return Request(
        path=path,
        model_name=model.name,
        trained=trained,
        quantize=quantize,
        target=row,
        without=tuple(without),
        gelu=gelu,
        labels=None if labels is None else tuple(labels),
        weights=weights,
        crop_pct=crop_pct,
        normalization=normalization,
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
