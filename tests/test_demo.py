"""`make demo`, without the set-up."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.single_backend
def test_the_demo_classifies_with_three_forms() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "conversion.demo"],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr
    rows = re.findall(
        r"│ (training form|fused form|\.tflite) +│ +([\d.]+)% │ +(\S+) │ +([\d,]+) │",
        finished.stdout,
    )
    assert [name for name, *_ in rows] == ["training form", "fused form", ".tflite"]
    assert all(float(accuracy) >= 90 for _, accuracy, *_ in rows)
    assert all(float(difference) <= 1e-5 for _, _, difference, _ in rows)
    assert [parameters for *_, parameters in rows] == ["3,264,922", "3,231,082", "3,231,082"]
    # Five images, each with its class.
    assert len(re.findall(r"│ \d{5}\.png │", finished.stdout)) == 5
