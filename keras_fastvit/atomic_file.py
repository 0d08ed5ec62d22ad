"""Files that are whole or not there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a path in the same folder to write to; moves it to `path` when the block succeeds.

    If the block raises, or the process is interrupted, what was at `path` is still there, whole.

    Args:
        path: Where the file is to be. Its name ends the name of the path that is yielded, as some
            writers look at the suffix.

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"Cannot write '{path}': expected an existing folder. Received: '{path.parent}'"
        )
    unfinished = path.with_name(f".unfinished-{os.getpid()}-{path.name}")
    try:
        yield unfinished
        # Some writers make files that only their owner can read.
        unfinished.chmod(0o666 & ~_umask())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
