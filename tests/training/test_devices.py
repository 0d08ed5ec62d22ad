"""Two devices that share each batch come to what one device comes to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_fastvit.training.devices import all_devices, idle_devices
from tests.models import PAIR, tiny
from tests.photographs import write_photographs
from tests.training.training_on_devices import run

BACKEND = keras.backend.backend()


def test_two_devices_come_to_the_same_as_one(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photographs", count=8)
    weights, teacher = tmp_path / "start.weights.h5", tmp_path / "teacher.keras"
    tiny(PAIR.name, input_shape=(32, 32, 3), classes=3).save_weights(weights)
    tiny(PAIR.name, input_shape=(32, 32, 3), classes=3, layer_scale_init_value=0.2).save(teacher)
    one, two = tmp_path / "one", tmp_path / "two"

    result = subprocess.run(
        [
            *(sys.executable, "-m", "tests.training.training_on_devices"),
            *map(str, (folder, two, weights, teacher)),
        ],
        cwd=Path(__file__).resolve().parents[2],
        env={
            **os.environ,
            "KERAS_BACKEND": BACKEND,
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    # torch trains on one device, and does not say otherwise.
    assert ("shared by 2 devices" in result.stdout) == (BACKEND != "torch")

    expected = run(*map(str, (folder, one, weights, teacher)))
    with np.load(two / "state.npz") as found, np.load(one / "state.npz") as wanted:
        assert found.keys() == wanted.keys()
        for name in wanted.keys() - {"history"}:
            np.testing.assert_allclose(
                found[name], wanted[name], rtol=1e-2, atol=1e-3, err_msg=name
            )
    with np.load(two / "state.npz") as found:
        history = json.loads(str(found["history"]))
    for row, other in zip(history, expected.history, strict=True):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
            assert row[name] == pytest.approx(other[name], rel=1e-3), name


def test_here_is_one_device() -> None:
    with all_devices() as devices:
        assert devices == 1
    assert idle_devices() == 0
