"""The files that an export writes beside each other: all of them, or none."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.tflite import sidecar


def paths_beside(path: Path, quantize: str) -> dict[str, Path]:
    """Returns what is written with a `.tflite` file, and itself; the sidecar first."""
    paths = {
        "sidecar": sidecar.beside(path),
        "tflite": path,
        "report": path.with_name(f"{path.stem}_report.md"),
    }
    if quantize == "int8":
        for kind in ("csv", "png"):
            paths[kind] = path.with_name(f"{path.stem}_layers.{kind}")
    return paths


@contextlib.contextmanager
def written_together(paths: dict[str, Path]) -> Iterator[dict[str, Path]]:
    """Yields a path to write to for each; moves them all when the block succeeds, the first last.

    So the sidecar, which has the file's hash, never tells of a file that is not there yet.

    Raises:
        OSError: If one cannot be written; then what was there before is there.
    """
    for path in paths.values():
        if path.is_dir():
            raise IsADirectoryError(f"Cannot write '{path}': expected a file. Received: a folder")
    try:
        with contextlib.ExitStack() as stack:
            files = {
                name: stack.enter_context(written_beside(path)) for name, path in paths.items()
            }
            for file in files.values():
                file.touch()  # a folder that refuses files does so before the long work
            yield files
    except OSError as error:
        if error.errno is None:  # already in these words
            raise
        raise OSError(
            f"Cannot write '{paths['tflite']}' and the files beside it; nothing was left there. "
            "Expected a folder that can be written to, with room for them. "
            f"Received: {error}"
        ) from error
