"""Describes the machine and the software that something was measured with."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """Returns facts by name: the processor, the cores to run on, the system, packages' releases.

    Raises:
        importlib.metadata.PackageNotFoundError: If a package is not installed.
    """
    return {
        "processor": processor(),
        "cores": cores(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def cores() -> int:
    """Returns how many cores this process may run on; where only Linux tells, those there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Returns the processor's name, with family and model where the kernel tells them."""
    facts: dict[str, str] = {}
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    if "model name" not in facts:
        return platform.processor() or "unknown"
    # A virtual machine's name may end before the number that tells which processor it is.
    return f"{facts['model name']} (family {facts['cpu family']}, model {facts['model']})"
