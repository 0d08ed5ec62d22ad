"""The three other runtimes, as processes to run a `.tflite` file in: `make` installs each."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INSTALLED = ROOT / "build" / "runtimes"
PACKAGE = ROOT / "build" / "package"
INTERPRETER, ON_GPU = HERE / "run_tflite.py", HERE / "run_on_gpu.py"


@dataclass(frozen=True)
class Runtime:
    """A program that runs `.tflite` files.

    Attributes:
        target: The Makefile's target that installs it.
        command: The program and what comes before the file, the images and the outputs.
        environment: Variables on top of this process's own.
    """

    target: str
    command: tuple[str | Path, ...]
    environment: dict[str, str] = field(default_factory=dict)


TFLITE_RUNTIME = Runtime(
    "test-tflite-runtime",
    (INSTALLED / "tflite_runtime/bin/python", INTERPRETER),
    {"PYTHONPATH": f"{PACKAGE}"},
)
ARM64 = Runtime(
    "test-arm64",
    (
        INSTALLED / "arm64/usr/bin/qemu-aarch64-static",
        *("-L", INSTALLED / "arm64/root", "-cpu", "neoverse-n1"),
        *(INSTALLED / "arm64/root/usr/bin/python3.11", INTERPRETER),
    ),
    {"PYTHONPATH": f"{PACKAGE}{os.pathsep}{INSTALLED / 'arm64/packages'}"},
)
GPU = Runtime(
    "test-gpu",
    (sys.executable, ON_GPU),
    {
        "PYTHONPATH": f"{ROOT}",
        "VK_DRIVER_FILES": f"{INSTALLED / 'gpu/usr/lib/chromium/vk_swiftshader_icd.json'}",
        "LD_LIBRARY_PATH": f"{INSTALLED / 'gpu/usr/lib/x86_64-linux-gnu'}",
    },
)


class RefusedError(Exception):
    """A runtime does not run a file; its message is what the runtime wrote."""


def run(runtime: Runtime, path: Path, images: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Runs a file on images `(count, height, width, channels)`.

    Returns:
        The outputs `(count, classes)` and what the program reports of itself, of which `stderr`
        is what it wrote there.

    Raises:
        FileNotFoundError: If the runtime is not installed.
        RefusedError: If it does not run the file.
    """
    if not (INSTALLED / f".{runtime.target}").exists():
        raise FileNotFoundError(
            f"Expected a runtime that `make {runtime.target}` installs. "
            f"Received: nothing in {INSTALLED}"
        )
    with tempfile.TemporaryDirectory() as folder:
        images_path, outputs_path = Path(folder, "images.npy"), Path(folder, "outputs.npy")
        np.save(images_path, images)
        finished = subprocess.run(
            [*runtime.command, path, images_path, outputs_path],
            env={**os.environ, **runtime.environment},
            capture_output=True,
            text=True,
        )
        if finished.returncode:
            raise RefusedError(f"exit status {finished.returncode}: {finished.stderr}")
        report = json.loads(finished.stdout.splitlines()[-1])  # LiteRT may write before it
        return np.load(outputs_path), {**report, "stderr": finished.stderr}
