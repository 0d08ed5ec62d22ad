"""Files that appear together or not at all."""

import os

import pytest

from keras_fastvit.conversion.exporting.files import paths_beside, written_together

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


def test_the_sidecar_takes_its_name_last(tmp_path, monkeypatch):
    moved, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: moved.append(b.name) or replace(a, b))
    with written_together(paths_beside(tmp_path / "M.tflite", "int8")) as files:
        for kind, file in files.items():
            file.write_text(kind)
        assert moved == []
    assert moved[-2:] == ["M.tflite", "M.json"]
    assert (tmp_path / "M.json").read_text() == "sidecar"
    assert len(list(tmp_path.iterdir())) == len(moved) == 5


def fail(path, error) -> None:
    with written_together(paths_beside(path, "none")) as files:
        files["sidecar"].write_text("new")
        raise error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ArithmeticError(), ArithmeticError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, "No space"), OSError),
    ],
)
def test_what_was_there_stays_after_an_error(tmp_path, error, kind):
    (tmp_path / "M.json").write_text("old")
    with pytest.raises(kind):
        fail(tmp_path / "M.tflite", error)
    assert [path.name for path in tmp_path.iterdir()] == ["M.json"]
    assert (tmp_path / "M.json").read_text() == "old"


def test_errors_in_their_own_words_are_kept(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        fail(tmp_path / "M.tflite", FileNotFoundError("no image"))
    assert str(error.value) == "no image"
