"""Fetches the tools by package name into `build/android/tools`; the system stays as it is.

    python -m android_demo.toolchain.fetch {npm,wheels,debian,platform}

npm's packages come through `npm pack`, the wheels through the pip of the Python that runs this, and
Debian's packages through apt, so each from where this machine's own settings say. Exits with 2 and
a line that says why it cannot.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.runtimes.debian_packages import unpack

from .processes import ToolError, run
from .tools import (
    ANDROID_JAR,
    DEBIAN,
    JNA_NATIVE,
    LIBRARIES,
    NPM,
    PLATFORM,
    TOOLS,
    WHEEL_MEMBERS,
    NpmPackage,
)

WHEELS = Path(__file__).with_name("wheels.txt")


def fetch_npm() -> None:
    """Unpacks npm's packages; raises ToolError if one cannot be had or is another."""
    if shutil.which("npm") is None:
        raise ToolError(
            "Kotlin's compiler and ktlint come as npm packages. Expected the program npm (on "
            "Debian: apt install npm). Received: none on the PATH"
        )
    for package in NPM:
        _fetch_npm_package(package)


def _fetch_npm_package(package: NpmPackage) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        name = f"{package.name}@{package.version}"
        run(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", scratch, name])
        (archive,) = Path(scratch).glob("*.tgz")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != package.sha256:
            raise ToolError(f"Expected {name} with SHA-256 {package.sha256}. Received: {digest}")
        run(["tar", "-xzf", archive, "-C", scratch])
        _replace(Path(scratch) / "package", TOOLS / package.folder)


def fetch_wheels() -> None:
    """Unpacks what is needed of the wheels; raises ToolError if one cannot be had."""
    with tempfile.TemporaryDirectory() as scratch:
        # The library inside is C's: any Python may fetch the wheel of one.
        target = ("--python-version", "3.11", "--platform", "manylinux_2_27_x86_64")
        run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--only-binary", ":all:"),
                *(*target, "--require-hashes", "--requirement", WHEELS, "--dest", scratch),
            ]
        )
        for wheel in Path(scratch).glob("*.whl"):
            with zipfile.ZipFile(wheel) as content:
                for member in WHEEL_MEMBERS.keys() & set(content.namelist()):
                    target_path = TOOLS / WHEEL_MEMBERS[member]
                    target_path.parent.mkdir(parents=True, exist_ok=True)
                    target_path.write_bytes(content.read(member))
    for path in WHEEL_MEMBERS.values():
        if not (TOOLS / path).is_file():
            raise ToolError(f"Expected {path} in one of the wheels. Received: none that holds it")


def fetch_debian() -> None:
    """Unpacks Debian 12's packages; raises OSError if one cannot be had."""
    folder = TOOLS / "debian"
    shutil.rmtree(folder, ignore_errors=True)
    unpack(folder, DEBIAN)
    _relink(folder)
    # Debian's JNA looks for it in the system's folders alone, or on the class path.
    JNA_NATIVE.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(LIBRARIES / "jni" / "libjnidispatch.system.so", JNA_NATIVE)


def fetch_platform() -> None:
    """Unpacks Android's API 23 of Debian 11; raises OSError if it cannot be had."""
    folder = TOOLS / "platform"
    shutil.rmtree(folder, ignore_errors=True)
    unpack(folder, [PLATFORM], suite="bullseye")
    if not ANDROID_JAR.is_file():
        raise ToolError(f"Expected {ANDROID_JAR.name} in {PLATFORM}. Received: none")


def _relink(folder: Path) -> None:
    """Makes links to absolute paths, as Java's to /etc, lead into the folder."""
    for parent, _, names in os.walk(folder):
        for link in (Path(parent) / name for name in names):
            if link.is_symlink() and (aim := os.readlink(link)).startswith("/"):
                inside = folder / aim.lstrip("/")
                link.unlink()
                link.symlink_to(os.path.relpath(inside, link.parent))


def _replace(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


FETCHES = {
    "npm": fetch_npm,
    "wheels": fetch_wheels,
    "debian": fetch_debian,
    "platform": fetch_platform,
}


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Fetches the Android demo's tools.")
    parser.add_argument("source", choices=FETCHES)
    args = parser.parse_args()
    try:
        FETCHES[args.source]()
    except (OSError, ToolError, subprocess.SubprocessError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
