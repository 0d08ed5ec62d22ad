"""Files that are whole or not there, alone or together, also when a process is killed.

They are written in a folder beside their places, `.unfinished-TOKEN`, which its process keeps
locked. Once they are on the disk the folder becomes `.finished-TOKEN`: from then on they count as
written. They are moved to their places, and the folder goes. What a killed process has left, which
nobody has locked, is seen to by the next that writes there: unfinished files are removed, finished
ones are moved to their places.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

UNFINISHED, FINISHED = ".unfinished-", ".finished-"
SCRATCH = "keras-fastvit-scratch-"
_TIMES = 10
_OF_EARLIER_VERSIONS = re.compile(r"\.unfinished-\d+-")
_LOCKS = find_spec("fcntl") is not None  # Windows has none
_ABANDONED = 24 * 60 * 60  # seconds; where there are no locks


@contextlib.contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a path to write to; what is there when the block succeeds is moved to `path`.

    If the block raises, or the process is killed, what was at `path` is still there, whole.

    Args:
        path: Where the file is to be. The path that is yielded has the same name.

    Raises:
        FileNotFoundError: If the folder does not exist.
        OSError: If the file cannot be written; it says which disk is full, if one is.

    Example:
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_beside(f"{folder}/answer.txt") as unfinished:
    ...         _ = unfinished.write_text("42")
    ...     os.listdir(folder)
    ['answer.txt']
    """
    with written_together({"": Path(path)}) as files:
        yield files[""]


@contextlib.contextmanager
def written_together(paths: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Yields a path to write to for each; all are moved to their places when the block succeeds.

    If the block raises, or the process is killed, either all places hold what is new, at the latest
    when the next process has begun to write there, or all hold what they held.

    Args:
        paths: Places in one folder, by name. They are moved there from the last to the first.

    Raises:
        FileNotFoundError: If the folder does not exist.
        IsADirectoryError: If one of the places is a folder.
        OSError: If a file cannot be written; it says which disk is full, if one is.
    """
    (folder,) = {path.parent for path in paths.values()}
    if not folder.is_dir():
        first = next(iter(paths.values()))
        raise FileNotFoundError(
            f"Cannot write '{first}': expected an existing folder. Received: '{folder}'"
        )
    for path in paths.values():
        if path.is_dir():
            raise IsADirectoryError(f"Cannot write '{path}': expected a file. Received: a folder")
    sweep(folder)
    with _explained(folder, ", ".join(path.name for path in paths.values())):
        unfinished, lock = _locked(lambda: _make(folder / f"{UNFINISHED}{secrets.token_hex(8)}"))
        finished = folder / unfinished.name.replace(UNFINISHED, FINISHED)
        try:
            files = {name: unfinished / path.name for name, path in paths.items()}
            yield files
            for file in files.values():
                file.chmod(0o666 & ~_umask())  # some writers make files for their owner alone
                _to_disk(file)
            _to_disk(unfinished)
            unfinished.rename(finished)
            _to_disk(folder)
            for path in reversed(list(paths.values())):
                os.replace(finished / path.name, path)
            _to_disk(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(finished, ignore_errors=True)
            if lock is not None:
                os.close(lock)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yields a new folder among the temporary ones, which is removed at the end of the block.

    What a killed process has left there is removed by the next that makes one.

    Raises:
        OSError: If it cannot be made.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        if not left.is_symlink() and (lock := _lock(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    folder, lock = _locked(lambda: Path(tempfile.mkdtemp(prefix=SCRATCH)))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def sweep(folder: Path) -> None:
    """Sees to what killed processes have left in a folder; what others are writing stays."""
    for left in [*folder.glob(f"{UNFINISHED}*"), *folder.glob(f"{FINISHED}*")]:
        if left.is_symlink() or not left.is_dir():
            if _OF_EARLIER_VERSIONS.match(left.name):
                left.unlink(missing_ok=True)
            continue
        lock = _lock(left)
        if lock is None and not _abandoned(left):
            continue
        with contextlib.suppress(OSError):  # whoever writes next tries again
            if left.name.startswith(FINISHED):
                for file in sorted(left.iterdir()):
                    os.replace(file, folder / file.name)
            shutil.rmtree(left)
        if lock is not None:
            os.close(lock)


def _make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _locked(make: Callable[[], Path]) -> tuple[Path, int | None]:
    """Returns a new folder and its lock; None where there are none."""
    for _ in range(_TIMES):
        folder = make()
        lock = _lock(folder)
        if not _LOCKS or (lock is not None and folder.is_dir()):
            break
        # Before it was locked, another process took it for what a killed one had left.
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)
    else:  # a file system without locks, or one that refuses them
        folder, lock = make(), None
    return folder, lock


def _lock(folder: Path) -> int | None:
    """Locks a folder until the descriptor is closed; None if another process has, or cannot be."""
    if not _LOCKS:
        return None
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # it has been moved or removed
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _abandoned(folder: Path) -> bool:
    if _LOCKS:
        return False
    with contextlib.suppress(OSError):
        return time.time() - folder.stat().st_mtime > _ABANDONED
    return False


def _to_disk(path: Path) -> None:
    """Waits until a file's content, or the names in a folder, would survive a loss of power."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(folder: Path, names: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:  # already in our own words
            raise
        expected = "a folder that can be written to"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            # Writers do not say where: the output, or what they keep among temporary files.
            places = (folder, Path(tempfile.gettempdir()))
            free = {place: shutil.disk_usage(place).free for place in places}
            full = min(places, key=lambda place: free[place])
            expected = f"room on the disk of '{full}', which has {free[full]:,} bytes left (free "
            expected += "some" if full == folder else "some, or set TMPDIR to another folder"
            expected += ", then run the same command again)"
        raise OSError(
            f"Cannot write {names} to '{folder}'; what was there before is there. "
            f"Expected {expected}. Received: {error}"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
