"""The wheel, as a user gets it: built from this checkout, installed where there is nothing else."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import safetensors.numpy
import skimage.data
from PIL import Image

from tests.hub_server import HubServer
from tests.reference.fixtures import load

pytestmark = [pytest.mark.single_backend, pytest.mark.xdist_group("wheel")]

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("keras_fastvit", "conversion")


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    """Runs a command in a folder, with these environment variables, and returns its output."""
    environment = {**os.environ, **variables}
    environment.pop("PYTHONPATH", None)
    finished = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in a copy: a build leaves files behind, which slip into the next wheel."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", built, "."),
        folder=source,
    )
    (path,) = built.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of an environment with the wheel and the smallest backend, JAX."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder, folder=folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    run(
        *(programs / "python", "-m", "pip", "install", "--quiet", "--progress-bar", "off"),
        *("--constraint", ROOT / "constraints.txt", f"{wheel}[jax]"),
        folder=folder,
    )
    return programs


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A colour photograph of a cat, cat.jpg, alone in its folder."""
    path = tmp_path / "cat.jpg"
    Image.fromarray(skimage.data.chelsea()).save(path)
    return path


def test_claims_one_top_level_name_and_holds_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        path.relative_to(ROOT).as_posix().replace("conversion/", "keras_fastvit/conversion/", 1)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == files
    assert {name.split("/")[0] for name in names} == {"keras_fastvit"}


def test_carries_the_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition(".dist-info/")[2] for name in archive.namelist()}
    assert {"licenses/LICENSE", "licenses/NOTICE"} <= names


def test_dependencies_agree(installed: Path, tmp_path: Path) -> None:
    run(installed / "python", "-m", "pip", "check", folder=tmp_path)


def test_commands_start_without_tensorflow(installed: Path, tmp_path: Path) -> None:
    by_name = run(installed / "keras-fastvit", "--help", folder=tmp_path, KERAS_BACKEND="jax")
    by_module = run(
        *(installed / "python", "-m", "keras_fastvit.conversion", "--help"),
        folder=tmp_path,
        KERAS_BACKEND="jax",
    )
    for subcommand in ("port", "export", "predict", "inspect", "benchmark", "evaluate"):
        assert subcommand in by_name
        assert subcommand in by_module


def test_first_lines_of_the_readme(installed: Path, photograph: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert block is not None
    weights = safetensors.numpy.save(load("timm", "fastvit_sa12").weights())

    with HubServer() as hub:
        hub.add("timm/fastvit_sa12.apple_in1k", "model.safetensors", weights)
        output = run(
            *(installed / "python", "-c", block[1]),
            folder=photograph.parent,
            KERAS_BACKEND="jax",
            HF_ENDPOINT=hub.endpoint,
            HF_HOME=str(photograph.parent / "home"),
        )

    classes = re.findall(r"'(n\d{8})'", output)
    assert len(set(classes)) == 5
