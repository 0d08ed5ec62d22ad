"""Runs that are killed at random moments, and one in the middle of writing, come to the same end.

`KERAS_FASTVIT_KILLS=20` kills it 20 times at random moments; by default it is once. On TensorFlow
alone: the moments are about files, which are written alike on every backend.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import tests.models  # noqa: F401 - for models to be loaded
from keras_fastvit.training.interruption import ANSWER
from tests.photographs import write_photographs

BACKEND = keras.backend.backend()
KILLS = int(os.environ.get("KERAS_FASTVIT_KILLS", "1"))
EPOCHS = max(3, KILLS)


def start(arguments: list[str], *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.training_command", *options, *arguments],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "KERAS_BACKEND": BACKEND},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    return output


def state(output: Path) -> dict[str, np.ndarray]:
    with np.load(output / "state.npz") as file:
        return {name: x for name, x in file.items() if name != "history"}


@pytest.mark.single_backend
def test_comes_to_the_same(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photographs", count=8)
    # Drop path, every augmentation and the moving average.
    common = [
        *("--data", str(folder), "--model", "fastvit_pair", "--recipe", "paper"),
        *("--epochs", str(EPOCHS), "--batch-size", "6", "--image-size", "32"),
        *("--learning-rate", "0.004", "--output"),
    ]
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    process = start([*common, str(whole)])
    while not (whole / "data.json").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    began = time.monotonic()
    finish(process)
    seconds = time.monotonic() - began

    process = start([*common, str(killed)], "--kill-while-writing", "2")
    process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL
    assert state(killed)["epoch"] == 1
    assert list(killed.glob(".unfinished*"))
    moments = random.Random(0)
    for _ in range(KILLS):
        left = killed / ".unfinished-0-state.npz"
        left.touch()
        process = start([*common, str(killed)])
        while left.exists():  # it is the first thing that is removed
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        time.sleep(moments.uniform(0, seconds))
        process.kill()
        process.communicate()
    last = finish(start([*common, str(killed)]))
    assert "Going on after epoch" in last

    expected, found = state(whole), state(killed)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4, err_msg=name)
    for name in ("model.keras", "fused.keras"):
        models = [keras.saving.load_model(run / name) for run in (killed, whole)]
        for x, y in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)
    assert not list(killed.glob(".unfinished*"))


SAID = "keras-fastvit train: interrupted; the same command goes on after the last whole epoch"


def endless(tmp_path: Path) -> list[str]:
    folder = write_photographs(tmp_path / "photographs", count=8)
    return [
        *("--data", str(folder), "--model", "fastvit_pair", "--recipe", "paper"),
        *("--epochs", "1000", "--batch-size", "6", "--image-size", "32"),
        *("--output", str(tmp_path / "run")),
    ]


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    while (printed := process.stdout.readline()) != f"{line}\n":
        assert printed, process.communicate()[1]


@pytest.mark.single_backend
def test_ctrl_c_ends_it_in_a_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(endless(tmp_path))
    while not (run / "state.npz").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    wait_for(process, ANSWER)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == SAID
    assert "Traceback" not in error
    assert not (run / "model.keras").exists()


@pytest.mark.single_backend
@pytest.mark.skipif(sys.platform != "linux", reason="stays in native code by a mutex of glibc's")
def test_ctrl_c_twice_does_not_wait_for_native_code(tmp_path: Path) -> None:
    process = start(endless(tmp_path), "--endless-step")
    wait_for(process, "an endless step")
    process.send_signal(signal.SIGINT)
    wait_for(process, ANSWER)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == SAID
    assert "Traceback" not in error
