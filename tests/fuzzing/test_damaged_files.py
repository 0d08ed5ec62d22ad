"""Inputs that have failed once are refused as documented, and the fuzzer sees what it is to see."""

import random
from pathlib import Path

import numpy as np
import pytest

from tests.fuzzing.mutations import damaged
from tests.fuzzing.process import Reader
from tests.fuzzing.report import to_markdown
from tests.fuzzing.targets import KEPT, TARGETS, Target

pytestmark = pytest.mark.single_backend

TARGET = {target.name: target for target in TARGETS}
FILES = sorted(path for path in KEPT.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_has_failed_once(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / path.parent.name.replace(" ", "_")
    folder.mkdir()
    outcome = Reader(TARGET[path.parent.name], folder)(path.read_bytes())
    assert outcome.fault is None, outcome.detail


def reader(folder: Path, read: object) -> Reader:
    return Reader(Target("x", "x.txt", read, lambda: [b"1\n"]), folder)


def fails(error: Exception) -> object:
    def read(path: Path) -> None:
        raise error

    return read


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("'x.txt' is no number. Received: b'x'"), None),
        (ValueError("no number"), "without the file's name"),
        (ValueError("x.txt: \x1b[2J"), "control characters"),
        (ValueError("x.txt: " + "a" * 9999), "more than 4000 characters"),
        (KeyError("x.txt"), "KeyError in read"),
        (MemoryError(), "MemoryError in read"),
    ],
)
def test_faults_are_seen(tmp_path: Path, error: Exception, fault: str | None) -> None:
    outcome = reader(tmp_path, fails(error))(b"x")
    assert (outcome.fault is None) if fault is None else fault in outcome.fault


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are Linux's")
def test_memory_is_measured(tmp_path: Path) -> None:
    outcome = reader(tmp_path, lambda path: np.ones(3 << 27, "uint8").sum())(b"1\n")
    assert outcome.memory == pytest.approx(3 << 27, rel=0.1)


def test_the_same_seed_gives_the_same_damage() -> None:
    (content,) = TARGET["MANO"].seeds()
    once, again, other = (damaged(content, random.Random(x), [content]) for x in (1, 1, 2))
    assert once == again != other


@pytest.mark.parametrize("name", ["text embeddings", "MANO", "sidecars", "ADE20K annotations"])
def test_checksums_do_not_hide_the_damage(tmp_path: Path, name: str) -> None:
    """Most damaged files are read to the values in them, some of them to the end."""
    one = Reader(TARGET[name], tmp_path)
    one.try_undamaged()
    outcomes = [one(one.input(0, i)) for i in range(60)]
    assert not [outcome for outcome in outcomes if outcome.fault]
    assert 5 < sum(outcome.refused for outcome in outcomes) < 59
    assert sum("CRC" in outcome.detail for outcome in outcomes) < 15


def test_a_process_that_ends_or_hangs_is_a_fault(tmp_path, monkeypatch) -> None:
    from tests.fuzzing import __main__ as command

    monkeypatch.setattr(command, "FOUND", tmp_path / "found")
    lane = command.Lane(tmp_path)
    try:
        result = lane.run(TARGET["labels"], seed=0, count=40, seconds=60)
        assert (result.inputs, result.faults.total()) == (40, 0)
        lane.process.kill()
        lane.process.join()
        lane.number.value = 7
        assert "ends the process with status" in lane._watch(TARGET["labels"], result)
    finally:
        lane.stop()


def test_the_table() -> None:
    row = {"inputs": 1200, "refused": 1000, "seconds": 0.25, "memory": 3 << 20, "faults": {"a": 2}}
    assert "| labels | 1,200 | 198 | 1,000 | 2 | 0.2 | 3 |\n" in to_markdown({"labels": row})
    assert "| **all** | **2,400** |" in to_markdown({"labels": row, "images": row})
