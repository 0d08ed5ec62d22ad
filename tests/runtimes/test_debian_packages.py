"""Packages that cannot be had stop `make test-runtimes`, with the reason and nothing unpacked."""

import os
import subprocess
import sys

import pytest

from tests.runtimes.models import on_t8
from tests.runtimes.processes import ARM64, HERE, RefusedError, Runtime, run

pytestmark = on_t8


def unpack(folder, *names: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, HERE / "debian_packages.py", folder, *names],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_unpacks_one_file(tmp_path):
    finished = unpack(tmp_path, "libvulkan1", "--only", "usr/share/doc/libvulkan1/copyright")
    assert finished.returncode == 0
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert "Khronos" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("names", "environment", "received"),
    [
        (("libvulkan1",), {"DEBIAN_MIRROR": "http://127.0.0.1:9/debian"}, "Could not connect"),
        (("no-such-package",), {}, "Unable to locate package no-such-package"),
        (("libvulkan1", "--only", "usr/no-such-file"), {}, "no-such-file: Not found in archive"),
        (("libvulkan1",), {"PATH": "/nowhere"}, "No such file or directory: 'apt-get'"),
    ],
)
def test_says_why_it_cannot(tmp_path, names, environment, received):
    finished = unpack(tmp_path / "folder", *names, **environment)
    assert finished.returncode == 2
    assert received in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_runtime_that_is_not_installed_is_no_success(tmp_path, demo_images):
    missing = Runtime("test-nothing", ARM64.command)
    with pytest.raises(FileNotFoundError, match="`make test-nothing` installs"):
        run(missing, tmp_path / "model.tflite", demo_images[:1])


def test_a_file_that_is_not_there_is_no_success(tmp_path, demo_images):
    with pytest.raises(RefusedError, match="Received: nothing at"):
        run(ARM64, tmp_path / "model.tflite", demo_images[:1])
