"""Tests of one group share a process: the largest models are never in memory twice."""

import subprocess
import sys
from pathlib import Path

import pytest

GROUPED = """
import os
import pathlib
import pytest

@pytest.mark.xdist_group("largest")
@pytest.mark.parametrize("i", range(8))
def test_leaves_its_process_id(i):
    pathlib.Path(str(i)).write_text(str(os.getpid()))
"""


@pytest.mark.single_backend
def test_a_group_stays_in_one_process(tmp_path: Path) -> None:
    """With pytest 9.2, pytest-xdist 3.8 silently spreads it over all."""
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    subprocess.run(
        [*command, "--numprocesses", "2", "--dist", "loadgroup"], cwd=tmp_path, check=True
    )
    assert len({(tmp_path / str(i)).read_text() for i in range(8)}) == 1
