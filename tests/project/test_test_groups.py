"""Tests of one group share a process: the largest models are never in memory twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.single_backend

ROOT = Path(__file__).resolve().parents[2]
GROUPED = """
import os
import pathlib
import pytest

@pytest.fixture(scope="module")
def shared():
    return None

@pytest.mark.xdist_group("largest")
@pytest.mark.parametrize("i", range(8))
def test_leaves_its_process_id(i):
    pathlib.Path(f"group-{i}").write_text(str(os.getpid()))

@pytest.mark.parametrize("i", range(8))
def test_leaves_it_beside_a_fixture(i, shared):
    pathlib.Path(f"fixture-{i}").write_text(str(os.getpid()))
"""


def test_a_group_and_the_users_of_a_modules_fixture_stay_in_one_process(tmp_path: Path) -> None:
    """With pytest 9.2, pytest-xdist 3.8 silently spreads a group over all."""
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    subprocess.run(
        [*command, "-p", "tests.grouping", "--numprocesses", "2", "--dist", "loadgroup"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    for kind in ("group", "fixture"):
        processes = {path.read_text() for path in tmp_path.glob(f"{kind}-*")}
        assert len(processes) == 1, kind
