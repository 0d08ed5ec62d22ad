"""Unpacks packages of Debian 12 into a folder, without root: the system stays as it is.

    python debian_packages.py FOLDER NAME... [--architecture amd64] [--only PATH] [--suite bookworm]

gives each package's files their paths below FOLDER, with `--only` a single one of them; `--suite`
names another release of Debian than 12. The packages come from the mirror that this machine's own
apt uses, or else from the one that the environment's `DEBIAN_MIRROR` names, and apt checks their
signatures. What they depend on is not added. Exits with 2 and a line that says why if anything is
missing.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unpack(
    folder: Path,
    names: Sequence[str],
    architecture: str = "amd64",
    only: str | None = None,
    suite: str = SUITE,
) -> None:
    """Does what the module's docstring says.

    Raises:
        OSError: If Debian's tools, keys or mirror are missing, or a package is.
    """
    if not KEYRING.is_file():
        raise OSError(
            "Debian's keys are missing. Expected the package debian-archive-keyring to be "
            f"installed. Received: no file {KEYRING}"
        )
    with tempfile.TemporaryDirectory() as scratch:
        apt = _apt(Path(scratch), architecture, suite)
        # Without this apt goes on where a mirror cannot be reached.
        _run([*apt, "-o", "APT::Update::Error-Mode=any", "update"])
        _run([*apt, "download", *names], cwd=scratch)
        members = [] if only is None else [f"./{only}"]
        folder.mkdir(parents=True, exist_ok=True)
        for package in sorted(Path(scratch).glob("*.deb")):
            reading = ["dpkg-deb", "--fsys-tarfile", str(package)]
            with subprocess.Popen(reading, stdout=subprocess.PIPE) as content:
                _run(["tar", "-x", "-C", str(folder), *members], stdin=content.stdout)


def _apt(scratch: Path, architecture: str, suite: str) -> list[str]:
    """apt-get with lists, cache and sources of its own in a folder."""
    sources, status = scratch / "sources.list", scratch / "status"
    sources.write_text(f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n")
    status.touch()
    (scratch / "lists" / "partial").mkdir(parents=True)
    (scratch / "archives" / "partial").mkdir(parents=True)
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": scratch / "lists",
        "Dir::State::Status": status,
        "Dir::Cache": scratch,
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",  # root's unprivileged stand-in cannot write to this folder
        "Acquire::Languages": "none",
    }
    return [
        "apt-get",
        "-qq",
        *(x for item in options.items() for x in ("-o", "{}={}".format(*item))),
    ]


def _mirror() -> str:
    if mirror := os.environ.get("DEBIAN_MIRROR"):
        return mirror
    system = platform.freedesktop_os_release()
    if system["ID"] == "debian":
        fields = ["--no-release-info", "--format", "$(COMPONENT) $(RELEASE) $(REPO_URI)"]
        for line in _run(["apt-get", "indextargets", *fields, "Created-By: Packages"]).splitlines():
            component, release, uri = line.split(" ", 2)
            if component == "main" and release in (system["VERSION_CODENAME"], "stable"):
                return uri
    raise OSError(
        "No mirror of Debian is known here. Expected an apt that has one, or its address in the "
        f"environment variable DEBIAN_MIRROR. Received: {system['PRETTY_NAME']} without either"
    )


def _run(command: list[str], cwd: str | None = None, stdin: IO[bytes] | None = None) -> str:
    try:
        finished = subprocess.run(command, cwd=cwd, stdin=stdin, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise OSError(
            f"Debian packages are unpacked with apt-get, dpkg-deb and tar. Received: {error}"
        ) from error
    if finished.returncode:
        received = " ".join(finished.stderr.split())[-500:]
        raise OSError(
            f"Could not get packages of Debian: {command[0]} failed. Expected a network "
            f"with the mirror on it, and room on the disk. Received: {received}"
        )
    return finished.stdout


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Unpacks packages of Debian 12 into a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--architecture", default="amd64")
    parser.add_argument("--only", metavar="PATH", help="the one file to unpack, as usr/bin/…")
    parser.add_argument("--suite", default=SUITE, help="Debian's release (default: %(default)s)")
    args = parser.parse_args()
    try:
        unpack(args.folder, args.names, args.architecture, args.only, args.suite)
    except OSError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
