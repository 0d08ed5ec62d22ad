"""The pins that `make` installs are releases that pyproject.toml allows."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.single_backend

ROOT = Path(__file__).resolve().parents[2]


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = {line: Requirement(line) for group in groups for line in group}
    return [x for x in found.values() if x.name != project["name"]]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_package_is_pinned_in_its_range(requirement: Requirement) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    version = pinned[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version), f"{requirement} and {version}"
