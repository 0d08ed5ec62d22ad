"""Runs a `.tflite` file in whatever interpreter the environment has, on images one by one.

    PYTHONPATH=build/package python run_tflite.py M.tflite IMAGES.npy OUTPUTS.npy

Images are float32, outputs too, whatever the file's own dtypes are. Needs NumPy and a runtime,
`ai_edge_litert` or `tflite_runtime`. Prints, as JSON, which one ran, on which processor, and the
least CPU time of one image in seconds, on one thread.
"""

import json
import platform
import sys
import time
from importlib.metadata import version

import numpy as np

from keras_fastvit.conversion.tflite.runtime import TFLiteModel


def main(path: str, images_path: str, outputs_path: str) -> None:
    """Runs the command in the module's docstring."""
    model = TFLiteModel(path, num_threads=1)
    outputs, seconds = [], []
    for image in np.load(images_path, mmap_mode="r"):
        start = time.process_time()
        outputs.append(model.predict(image[None]))
        seconds.append(time.process_time() - start)
    np.save(outputs_path, np.concatenate(outputs))
    runtime = next(name for name in ("ai_edge_litert", "tflite_runtime") if name in sys.modules)
    report = {
        "runtime": runtime,
        "version": version(runtime),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpu_seconds": min(seconds),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
