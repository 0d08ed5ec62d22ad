"""Text embeddings: what a file must hold, and what is refused."""

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_fastvit
from keras_fastvit.clip.text_embeddings import LOGIT_SCALE, TextEmbeddings, read_text_embeddings

pytestmark = pytest.mark.single_backend

NAMES = ["cat", "König", "red fox"]
WIDTH = 8


def rows(count: int = 3, length: float = 1.0) -> np.ndarray:
    drawn = np.random.default_rng(0).normal(size=(count, WIDTH))
    return (length * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("float32")


def written(folder: Path, **changes: Any) -> Path:
    """A file of three names, their embeddings and a scale; an array that is None is left out."""
    arrays = {"names": NAMES, "embeddings": rows(), "logit_scale": 50.0, **changes}
    path = folder / "labels.npz"
    np.savez(path, **{name: x for name, x in arrays.items() if x is not None})
    return path


def test_a_file(tmp_path):
    text = keras_fastvit.read_text_embeddings(str(written(tmp_path)))
    assert text.names == ("cat", "König", "red fox")
    assert text.embeddings.dtype == "float32"
    np.testing.assert_allclose(text.embeddings, rows(), rtol=1e-6)
    assert (text.logit_scale, text.note) == (50.0, None)


def test_without_a_scale_it_is_clips(tmp_path):
    assert read_text_embeddings(written(tmp_path, logit_scale=None)).logit_scale == LOGIT_SCALE


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("length", [1e-3, 0.9, 30.0])
def test_other_lengths_are_normalised_with_a_note(tmp_path, dtype, length):
    text = read_text_embeddings(written(tmp_path, embeddings=rows(length=length).astype(dtype)))
    np.testing.assert_allclose(np.linalg.norm(text.embeddings, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(text.embeddings, rows(), atol=1e-3)
    assert re.search(r"lengths from [\d.]+ to [\d.]+, and have been normalised", text.note)


def test_one_row_of_another_length_is_noted():
    embeddings = rows()
    embeddings[1] *= 1.5
    assert "from 1 to 1.5" in TextEmbeddings(NAMES, embeddings).note
    assert "from 1.5 to 1.5" in TextEmbeddings(NAMES, rows(length=1.5)).note


def test_rounding_is_not_noted():
    assert TextEmbeddings(NAMES, rows().astype("float16")).note is None


@pytest.mark.parametrize("factor", [1e-300, 1e307])
def test_float64s_smallest_and_largest_numbers(factor):
    text = TextEmbeddings(NAMES, rows().astype("float64") * factor)
    np.testing.assert_allclose(text.embeddings, rows(), rtol=1e-5)


def test_what_was_given_is_left_as_it_is():
    given = rows(length=2.0)
    before = given.copy()
    TextEmbeddings(NAMES, given)
    np.testing.assert_array_equal(given, before)


def test_names_are_stripped():
    assert TextEmbeddings([" cat", "dog\n", "👩‍👧"], rows()).names == ("cat", "dog", "👩‍👧")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"names": None}, "none named names among 'embeddings', 'logit_scale'"),
    ({"embeddings": None}, "none named embeddings among 'names'"),
    ({"names": None, "embeddings": None, "logit_scale": None}, "names or embeddings among none"),
    ({"names": ["cat", "dog"]}, r"2 names for embeddings of shape \(3, 8\)"),
    ({"names": ["cat", "dog", "cat"]}, "twice 'cat'"),
    ({"names": ["cat", "dog", "cat "]}, "twice 'cat'"),
    ({"names": ["cat", "", "dog"]}, "an empty one in place 1"),
    ({"names": ["cat", "  ", "dog"]}, "an empty one in place 1"),
    ({"names": ["cat", "a\nb", "dog"]}, r"line of text. Received: 'a\\nb'"),
    ({"names": [1, 2, 3]}, r"strings of shape.* Received: int64 of shape \(3,\)"),
    ({"names": [b"cat", b"dog", b"fox"]}, r"strings of shape.* Received: \|S3 of"),
    ({"names": [["cat"], ["dog"], ["fox"]]}, r"strings of shape.* Received: <U3 of shape \(3, 1\)"),
    ({"names": ["cat"], "embeddings": rows(1)}, "two or more classes.* Received: 'cat'"),
    ({"names": np.array([], "U1"), "embeddings": rows(0)}, "Received: none"),
    ({"names": np.array(NAMES, object)}, "Python objects, which could run code"),
    ({"embeddings": rows()[0]}, r"float32 of shape \(8,\)"),
    ({"embeddings": rows()[None]}, r"float32 of shape \(1, 3, 8\)"),
    ({"embeddings": rows()[:, :0]}, r"float32 of shape \(3, 0\)"),
    ({"embeddings": np.ones((3, WIDTH), int)}, r"int64 of shape \(3, 8\)"),
    ({"embeddings": rows() + 0j}, r"complex64 of shape \(3, 8\)"),
    ({"embeddings": np.full((3, WIDTH), "0.1")}, r"<U3 of shape \(3, 8\)"),
    ({"embeddings": rows() * np.array([[1], [np.nan], [1]])}, "for 'König'"),
    ({"embeddings": rows() * np.array([[1], [1], [np.inf]])}, "for 'red fox'"),
    ({"embeddings": rows() * np.array([[0], [1], [0]])}, "zeros alone for 'cat', 'red fox'"),
    ({"embeddings": np.zeros((3, WIDTH), object)}, "Python objects, which could run code"),
    ({"logit_scale": 0.0}, r"positive, finite number. Received: 0.0"),
    ({"logit_scale": -4.6}, "Received: -4.6"),
    ({"logit_scale": np.nan}, "Received: nan"),
    ({"logit_scale": np.inf}, "Received: inf"),
    ({"logit_scale": 1e39}, r"Received: 1e\+39"),
    ({"logit_scale": True}, "Received: True"),
    ({"logit_scale": "100"}, "Received: '100'"),
    ({"logit_scale": np.ones(3)}, r"Received: float64 of shape \(3,\)"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_arrays(tmp_path, changes, message):
    path = written(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        read_text_embeddings(path)
    assert f"'{path}'" in str(error.value)
    assert "Received: " in str(error.value)
    assert "\n" not in str(error.value)
    assert "allow_pickle" not in str(error.value)


@pytest.mark.parametrize("names", ["cat", ["cat", 1, "dog"], [["cat"], ["dog"]]])
def test_names_that_are_no_strings(names):
    with pytest.raises(ValueError, match=r"strings of shape.* Received: object of shape"):
        TextEmbeddings(names, rows())


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_file_cannot_run_code(tmp_path):
    mark = tmp_path / "mark"
    for name in ("names", "embeddings", "logit_scale"):
        path = written(tmp_path, **{name: np.array([Payload(mark)] * 3, object)})
        with pytest.raises(ValueError, match="could run code"):
            read_text_embeddings(path)
    # A pickle alone, under the name of an .npz.
    path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ValueError, match="other bytes"):
        read_text_embeddings(path)
    assert not mark.exists()


class TestNoNpz:
    def refused(self, path: Path, message: str) -> None:
        with pytest.raises(ValueError, match=message) as error:
            read_text_embeddings(path)
        assert "Received: " in str(error.value)
        assert "\n" not in str(error.value)

    def test_nothing_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"Received: nothing at '.*no.npz'"):
            read_text_embeddings(tmp_path / "no.npz")

    def test_a_folder(self, tmp_path):
        self.refused(tmp_path, "a folder")

    @pytest.mark.parametrize("content", [b"", b"cat\ndog\n", b"PK\x03\x04"])
    def test_other_bytes(self, tmp_path, content):
        (tmp_path / "labels.npz").write_bytes(content)
        self.refused(tmp_path / "labels.npz", f"{len(content)} other bytes")

    def test_one_array_alone(self, tmp_path):
        np.save(tmp_path / "labels.npy", rows())
        self.refused(tmp_path / "labels.npy", "other bytes")

    def test_a_zip_of_other_files(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "labels.npz", "w") as file:
            file.writestr("names.txt", "cat\ndog")
        self.refused(tmp_path / "labels.npz", "none named names or embeddings among 'names.txt'")

    def test_arrays_that_are_no_arrays(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "labels.npz", "w") as file:
            file.writestr("names.npy", "cat\ndog")
            file.writestr("embeddings.npy", b"\x93NUMPY garbage")
        self.refused(tmp_path / "labels.npz", "Received: ")

    def test_a_whole_file_cut_short(self, tmp_path):
        content = written(tmp_path).read_bytes()
        (tmp_path / "labels.npz").write_bytes(content[: len(content) // 2])
        self.refused(tmp_path / "labels.npz", "other bytes")

    def test_damage_inside(self, tmp_path):
        path = written(tmp_path)
        content = bytearray(path.read_bytes())
        start = content.index(rows().tobytes())
        content[start : start + 8] = bytes(8)
        path.write_bytes(content)
        self.refused(path, "a damaged array 'embeddings' .*CRC")

    def test_a_size_that_no_memory_holds(self, tmp_path):
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            buffer, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}
        )
        with zipfile.ZipFile(tmp_path / "labels.npz", "w") as file:
            file.writestr("embeddings.npy", buffer.getvalue())
            names = io.BytesIO()
            np.save(names, np.array(NAMES))
            file.writestr("names.npy", names.getvalue())
        self.refused(tmp_path / "labels.npz", "a damaged array 'embeddings' .* bytes are too few")
