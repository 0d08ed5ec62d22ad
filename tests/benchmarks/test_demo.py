"""`make demo`, without the set-up."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.single_backend
def test_the_demo_classifies_with_four_forms() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.demo"],
        cwd=ROOT,
        env={
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "0",
            "KERAS_BACKEND": "tensorflow",
            "COLUMNS": "80",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr
    rows = re.findall(
        r"^ +(training form|fused form|\.tflite \w+) +([\d.]+)% +(\S+) +([\d,]+) +([\d.]+) MB ",
        finished.stdout,
        re.MULTILINE,
    )
    names, accuracies, differences, parameters, sizes = zip(*rows, strict=True)
    assert names == ("training form", "fused form", ".tflite float32", ".tflite int8")
    assert all(float(accuracy) >= 90 for accuracy in accuracies)
    assert all(float(difference) <= 1e-5 for difference in differences[:3])
    assert 1e-4 < float(differences[3]) < 0.2
    assert parameters == ("3,264,922", *["3,231,082"] * 3)
    assert float(sizes[3]) < 0.3 * float(sizes[2])
    # Five images, each with its class.
    assert len(re.findall(r"^ +\d{5}\.png ", finished.stdout, re.MULTILINE)) == 5
    assert finished.stderr == ""  # nothing of TensorFlow's or LiteRT's
