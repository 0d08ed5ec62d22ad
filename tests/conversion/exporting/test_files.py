"""The files that an export writes beside each other, and those of others that it leaves alone."""

import shutil
from pathlib import Path

import pytest

from keras_fastvit.conversion.exporting.files import check_replaceable, paths_beside

pytestmark = pytest.mark.single_backend


def test_what_is_written(tmp_path):
    path = tmp_path / "a.b.tflite"
    names = {kind: file.name for kind, file in paths_beside(path, "int8").items()}
    assert names == {
        "sidecar": "a.b.json",
        "tflite": "a.b.tflite",
        "report": "a.b_report.md",
        "csv": "a.b_layers.csv",
        "png": "a.b_layers.png",
    }
    assert {file.parent for file in paths_beside(path, "int8").values()} == {tmp_path}
    assert set(paths_beside(path, "none")) == {"sidecar", "tflite", "report"}


GOLDEN = Path(__file__).parents[2] / "golden/0.1.0/tflite"


@pytest.fixture
def exported(tmp_path):
    """A folder with what an export has written, and its places."""
    for name in ("int8.tflite", "int8.json"):
        shutil.copy(GOLDEN / name, tmp_path)
    paths = paths_beside(tmp_path / "int8.tflite", "int8")
    for kind in ("report", "csv", "png"):
        paths[kind].write_text(kind)
    return paths


def test_an_exports_files_are_replaced(exported):
    check_replaceable(exported)
    exported["sidecar"].unlink()  # the description inside the file is enough
    check_replaceable(exported)


def test_a_place_without_files_and_one_that_was_made_by_tempfile(tmp_path):
    paths = paths_beside(tmp_path / "M.tflite", "none")
    check_replaceable(paths)
    paths["tflite"].touch()
    check_replaceable(paths)


@pytest.mark.parametrize("kind", ["sidecar", "tflite", "report", "csv", "png"])
def test_a_users_files_stay(tmp_path, kind):
    paths = paths_beside(tmp_path / "labels.tflite", "int8")
    paths[kind].write_text('["cat", "dog"]')
    with pytest.raises(FileExistsError, match=rf"'.*{paths[kind].name}' is there already.*overwr"):
        check_replaceable(paths)


@pytest.mark.parametrize("kind", ["sidecar", "tflite"])
def test_a_users_file_among_an_exports_stays(exported, kind):
    exported[kind].write_text('["cat", "dog"]')
    with pytest.raises(FileExistsError, match=f"{exported[kind].name}' is there already"):
        check_replaceable(exported)


def test_the_sidecar_of_another_file_stays(exported):
    paths = paths_beside(exported["tflite"].with_name("other.tflite"), "none")
    exported["sidecar"].rename(paths["sidecar"])
    with pytest.raises(FileExistsError, match=r"other\.json' is there already"):
        check_replaceable(paths)
