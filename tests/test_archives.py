"""Archives of arrays that declare what is not there."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from keras_fastvit.archives import array_names, read_arrays

pytestmark = pytest.mark.single_backend


def declared(dtype: str, *shape: int, content: bytes = b"") -> bytes:
    """An array's header and whatever follows it."""
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def archive(folder: Path, **members: bytes) -> Path:
    path = folder / "arrays.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_numpy_writes(tmp_path, save):
    arrays = {
        "float": np.arange(6, dtype="float32").reshape(2, 3).T,
        "text": np.array(["a", "Wölfin", ""]),
        "one": np.array(7),
        "none": np.zeros((0, 3)),
        "records": np.zeros(2, [("x", "i4"), ("y", "f8")]),
        "bytes": np.array([b"", b"xy"]),
    }
    path = tmp_path / "arrays.npz"
    save(path, **arrays)
    assert array_names(path) == list(arrays)
    found = read_arrays(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert list(read_arrays(path, ["one", "another"])) == ["one"]


@pytest.mark.parametrize(
    "content",
    [
        declared("<U0", 2**31),
        declared("|S0", 2**40, 3),
        declared("|V0", 2**31),
        declared("<f4", 10**9, 10**9),
        declared("<f8", 2**33, content=bytes(64)),
        declared("<U1000000", 2**20, content=bytes(64)),
        declared("<f4", -1, content=bytes(64)),
        declared("<f4", 2**62, 4, content=bytes(64)),
    ],
    ids=range(8),
)
def test_more_values_than_bytes_are_refused_before_they_are_read(tmp_path, monkeypatch, content):
    path = archive(tmp_path, x=content)
    monkeypatch.setattr(npy, "read_array", None)
    with pytest.raises(ValueError, match=r"a damaged array 'x' \(.*bytes are too few\)"):
        read_arrays(path)


def test_what_unpacks_to_more_than_such_a_file_may_is_refused(tmp_path):
    path = archive(tmp_path, x=declared("<f4", 2**25, content=bytes(2**27)))
    with pytest.raises(ValueError, match=r"1 entries that unpack to \d+ bytes"):
        read_arrays(path)


DAMAGED = {
    "nothing": (b"", "EOF"),
    "another version": (b"\x93NUMPY\x09\x00" + bytes(100), "version"),
    "a nested header": (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 0xFFFF, "Header"),
    "a long header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{}", "EOF"),
    "objects": (declared("|O", 2, content=b"cos\nsystem\n(S'true'\ntR."), "could run code"),
    "a cut": (declared("<f4", 4, content=bytes(9)), "expected 16 bytes got 9"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_named(tmp_path, kind):
    content, reason = DAMAGED[kind]
    path = archive(tmp_path, fine=declared("<f4", content=bytes(4)), x=content)
    with pytest.raises(ValueError, match=rf"a damaged array 'x' \(.*{reason}") as error:
        read_arrays(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
    assert list(read_arrays(path, ["fine"])) == ["fine"]


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", bytes(1000)], ids=len)
def test_what_is_no_archive(tmp_path, content):
    path: Any = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{len(content)} other bytes"):
        read_arrays(path)
    with pytest.raises(ValueError, match="a folder"):
        read_arrays(tmp_path)
