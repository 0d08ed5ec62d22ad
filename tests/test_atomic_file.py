"""Files that appear whole or not at all, alone or together, whatever ends the process."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from keras_fastvit.atomic_file import sweep, written_beside, written_together

pytestmark = pytest.mark.single_backend

NAMES = ("a.json", "a.tflite", "a.md")

# Writes two generations of files, and kills itself at the nth call of one of `os`' functions in
# the second.
KILLED = """
import os, signal, sys
from pathlib import Path
from keras_fastvit.atomic_file import written_together

folder, function, nth = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
paths = {name: folder / name for name in sys.argv[4:]}

def write(text):
    with written_together(paths) as files:
        for file in files.values():
            file.write_text(text)

write("old")
real, calls = getattr(os, function), []

def killing(*args, **kwargs):
    calls.append(args)
    if len(calls) == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)

setattr(os, function, killing)
write("new")
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize(
    ("function", "nth", "expected"),
    [
        ("fsync", 1, "old"),
        ("fsync", 3, "old"),
        ("fsync", 4, "old"),  # of the folder, before it counts as finished
        ("fsync", 5, "new"),
        ("replace", 1, "new"),
        ("replace", 2, "new"),
        ("replace", 3, "new"),
        ("fsync", 6, "new"),
    ],
)
def test_killed_anywhere_it_leaves_all_or_nothing(
    tmp_path: Path, function: str, nth: int, expected: str
) -> None:
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), function, str(nth), *NAMES]
    assert subprocess.run(arguments, check=False, timeout=60).returncode == -9
    assert len(names_in(tmp_path)) > 3  # something is left behind
    with written_beside(tmp_path / "other") as unfinished:
        unfinished.write_text("")
    assert names_in(tmp_path) == sorted([*NAMES, "other"])
    assert [(tmp_path / name).read_text() for name in NAMES] == [expected] * 3


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), OSError(13, "Refused")])
def test_what_was_there_stays_after_an_error(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / NAMES[0]).write_text("old")

    def fail() -> None:
        with written_together({name: tmp_path / name for name in NAMES}) as files:
            files[NAMES[0]].write_text("new")
            raise error

    with pytest.raises(OSError if isinstance(error, OSError) else type(error)):
        fail()
    assert names_in(tmp_path) == [NAMES[0]]
    assert (tmp_path / NAMES[0]).read_text() == "old"


def test_the_first_is_moved_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: moved.append(b.name) or replace(a, b))
    with written_together({name: tmp_path / name for name in NAMES}) as files:
        for file in files.values():
            file.write_text("")
        assert moved == []
    assert moved == [*reversed(NAMES)]


@pytest.mark.skipif(sys.platform == "win32", reason="no locks: a day must pass")
def test_what_others_are_writing_stays(tmp_path: Path) -> None:
    with written_beside(tmp_path / "one") as first:
        first.write_text("1")
        with written_beside(tmp_path / "one") as second:
            second.write_text("2")
        sweep(tmp_path)
        assert first.read_text() == "1"
    assert names_in(tmp_path) == ["one"]
    assert (tmp_path / "one").read_text() == "1"


def test_threads_do_not_meet(tmp_path: Path) -> None:
    def write(text: str) -> None:
        for _ in range(20):
            with written_beside(tmp_path / "one") as unfinished:
                unfinished.write_text(text * 1000)

    threads = [threading.Thread(target=write, args=(text,)) for text in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names_in(tmp_path) == ["one"]
    text = (tmp_path / "one").read_text()
    assert text == text[0] * 1000


def test_what_looks_alike_and_is_not_ours_stays(tmp_path: Path) -> None:
    for name in (".unfinished-symphony.ogg", ".unfinished"):
        (tmp_path / name).write_text("")
    (tmp_path / ".unfinished-12-state.npz").write_text("of an earlier version")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".unfinished-link").symlink_to(tmp_path / "elsewhere")
    sweep(tmp_path)
    assert names_in(tmp_path) == [
        *(".unfinished", ".unfinished-link", ".unfinished-symphony.ogg"),
        "elsewhere",
    ]


@pytest.mark.parametrize("full", ["output", "temporary"])
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    for name in ("output", "temporary"):
        (tmp_path / name).mkdir()
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(12 if path.name == full else 1e9))
    with (
        pytest.raises(OSError, match=rf"Cannot write one.* disk of '.*{full}', which has 12 b"),
        written_beside(tmp_path / "output" / "one"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not names_in(tmp_path / "output")


def test_a_folder_that_is_not_there_or_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Cannot write '.*x': expected an existing folder"):
        contextlib.ExitStack().enter_context(written_beside(tmp_path / "none" / "x"))
    with pytest.raises(IsADirectoryError, match=r"expected a file\. Received: a folder"):
        contextlib.ExitStack().enter_context(written_beside(tmp_path))


def test_permissions_are_those_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    with written_beside(tmp_path / "one") as unfinished:
        unfinished.write_text("")
        unfinished.chmod(0o600)
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "usual").stat().st_mode
