"""The files that an export writes beside each other."""

from pathlib import Path

from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.sidecar_schema import read_description


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


def check_replaceable(paths: dict[str, Path]) -> None:
    """Checks that what is there is an earlier export's, so that nothing of a user's is lost.

    An export is known by its sidecar, which names the `.tflite` file, and by the description in
    that. An empty file, as `tempfile` makes it, is nothing to lose.

    Args:
        paths: What `paths_beside` gives.

    Raises:
        FileExistsError: If a file is there that no export has written.
    """
    there = {
        kind: path for kind, path in paths.items() if path.is_file() and path.stat().st_size > 0
    }
    exported = {
        "sidecar": "sidecar" in there and _is_sidecar_of(there["sidecar"], paths["tflite"]),
        "tflite": "tflite" in there and sidecar.METADATA.encode() in there["tflite"].read_bytes(),
    }
    for kind, path in there.items():
        if not exported.get(kind, any(exported.values())):
            raise FileExistsError(
                f"'{path}' is there already, and no export has written it. Move it away, give the "
                "export another path, or let it be replaced (overwrite=True, on the command line "
                f"--overwrite). Received: path='{paths['tflite']}'"
            )


def _is_sidecar_of(path: Path, tflite: Path) -> bool:
    try:
        return read_description(path).get("file") == tflite.name
    except ValueError:
        return False
