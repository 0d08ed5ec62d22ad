"""The README's script, from a folder of photographs to the accuracy of an int8 file."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from keras_fastvit import FastViTT8
from keras_fastvit.weights.torch_state import to_torch_state
from tests.hub_server import HubServer
from tests.photographs import CLASSES, write_photographs

ROOT = Path(__file__).resolve().parents[3]


def script() -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(# fine_tune\.sh .*?)^```", readme, re.DOTALL | re.MULTILINE)
    return str(block)


def released_weights() -> bytes:
    """A T8 with 1,000 classes, as the hub has it; its values are those of the shipped one."""
    state = to_torch_state(FastViTT8(weights="fashion_mnist", classes=10), "timm")
    state["head.fc.weight"] = np.zeros((1000, 768), "float32")
    state["head.fc.bias"] = np.zeros(1000, "float32")
    return save({name: np.ascontiguousarray(array) for name, array in state.items()})


@pytest.mark.single_backend
def test_from_photographs_to_the_accuracy_of_a_file(tmp_path: Path) -> None:
    data, run = tmp_path / "photographs", tmp_path / "run"
    write_photographs(data, count=30)  # without folders for training and validation
    (data / CLASSES[0] / "notes.png").write_bytes(b"no image")
    (tmp_path / "fine_tune.sh").write_text(script())
    more = ["--image-size", "64", "--learning-rate", "0.001", "--seed", "1", "--epochs", "9"]
    with HubServer() as hub:
        hub.add("timm/fastvit_t8.apple_in1k", "model.safetensors", released_weights())
        finished = subprocess.run(
            ["bash", "fine_tune.sh", data.name, run.name, *more],
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "KERAS_BACKEND": "tensorflow",
                "HF_ENDPOINT": hub.endpoint,
                "HF_HOME": str(tmp_path / "home"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert finished.returncode == 0, finished.stderr
    assert "72 images of 3 classes to train on, 18 to validate with" in finished.stdout
    assert "(notes.png)" in finished.stdout
    losses = [
        float(row.split(",")[1]) for row in (run / "history.csv").read_text().splitlines()[1:]
    ]
    assert len(losses) == 9
    assert losses[-1] < 0.8 * losses[0]
    sidecar = json.loads((run / "int8.json").read_text())
    assert tuple(sidecar["labels"]) == CLASSES
    assert sidecar["quantize"] == "int8"
    # The last command's table; a guess is right in a third of the cases.
    (accuracy,) = re.findall(r"int8\.tflite.*?(\d+\.\d+) ?%", finished.stdout.split("\n\n")[-1])
    assert float(accuracy) > 80, finished.stdout
