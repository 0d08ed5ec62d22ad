"""Calls litert-torch and ai-edge-quantizer in the environment that `make bench` keeps for them.

They want releases of NumPy, torch and others of their own choice, so they live in
`.venv-litert-torch`, beside this package's environment and filled from
`requirements/litert_torch.txt`.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-litert-torch" / "bin" / "python"
PACKAGES = ("litert-torch", "ai-edge-quantizer", "ai-edge-litert", "torch", "timm")


def convert(variant: str, weights: Path, side: int, output: Path) -> None:
    """Writes litert-torch's float32 file of timm's model.

    Args:
        variant: Such as `"fastvit_t8"`.
        weights: A `.safetensors` file in timm's layout, with a classifier.
        side: Of the square images, in pixels.
        output: Where to write.

    Raises:
        ImportError: If the environment is not there.
        RuntimeError: If the conversion fails.
        OSError: If the file cannot be written.
    """
    with written_beside(output.resolve()) as unfinished:
        _run("convert", variant, weights.resolve(), side, unfinished)


def quantize(source: Path, kind: str, images: Array, output: Path) -> None:
    """Writes ai-edge-quantizer's file of a float32 file.

    Args:
        source: A `.tflite` file with one signature of one input.
        kind: `"static"` or `"dynamic"`.
        images: float32 `(count, height, width, 3)`, normalised: what a static file's ranges are
            found with.
        output: Where to write.

    Raises:
        ImportError: If the environment is not there.
        RuntimeError: If the quantisation fails.
        OSError: If the file cannot be written.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        written_beside(output.resolve()) as unfinished,
    ):
        saved = Path(folder, "images.npy")
        np.save(saved, images)
        _run("quantize", source.resolve(), kind, saved, unfinished)


def versions() -> dict[str, str]:
    """Returns the releases in that environment.

    Raises:
        ImportError: If the environment is not there.
        RuntimeError: If one of them is not installed.
    """
    code = (
        "import importlib.metadata, json, sys; "
        "print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))"
    )
    found: dict[str, str] = json.loads(_python("-c", code, *PACKAGES))
    return found


def _run(*arguments: Any) -> None:
    _python("-m", "benchmarks.litert_torch_reference", *map(str, arguments))


def _python(*arguments: str) -> str:
    if not PYTHON.exists():
        raise ImportError(
            "The comparison needs litert-torch in an environment of its own, which `make bench` "
            f"makes. Expected: {PYTHON}. Received: nothing there"
        )
    # This package is not installed there. -P: else it would be looked for in the checkout first.
    paths = os.pathsep.join(map(str, (ROOT / "build" / "package", ROOT)))
    finished = subprocess.run(
        [PYTHON, "-P", *arguments],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    if finished.returncode:
        last = finished.stderr.strip().rpartition("\n")[-1]
        raise RuntimeError(f"{' '.join(arguments)} failed in {PYTHON}. Received: {last}")
    return finished.stdout
