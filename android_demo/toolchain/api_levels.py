"""Checks that the app calls nothing of Android or Java that its oldest Android lacks.

    python -m android_demo.toolchain.api_levels APP.apk

looks up every method of the platform that its code calls, or that of a .dex file. What is newer
than `MIN_SDK` must be in `GUARDED`: the app asks for the level before it calls it. Exits with 2 if
one is not.
"""

import argparse
import re
import sys
from pathlib import Path

from .api_types import level, read_api_types
from .modules import MIN_SDK
from .processes import ToolError, run
from .tools import API_TYPES, SDK

GUARDED = {
    ("android.os.PowerManager", "getCurrentThermalStatus"): 29,
    ("android.media.Image", "getDataSpace"): 33,
}
"""Since which level each exists. Its caller compares `Build.VERSION.SDK_INT`."""

PACKAGES = ("android.", "java.", "javax.", "dalvik.", "org.json.")


def called(code: Path) -> list[tuple[str, str]]:
    """The platform's methods that an APK or dex file calls, as classes and names."""
    listing = run([SDK / "dexdump", "-d", code])
    calls = set(re.findall(r"invoke-\S+ \{[^}]*\}, L([^;]+);\.([^:]+):", listing))
    names = {(re.sub("[/$]", ".", owner), method) for owner, method in calls}
    return sorted(name for name in names if name[0].startswith(PACKAGES))


def check(code: Path) -> str:
    """Returns what was checked, in words; raises ToolError with what is too new or not known."""
    classes = read_api_types(API_TYPES)
    calls = called(code)
    if not calls:
        raise ToolError(f"Expected calls of the platform in {code}. Received: none")
    levels = {call: level(classes, *call) for call in calls}
    faults = [
        f"{'.'.join(call)} ({'not known' if since is None else f'API {since}'})"
        for call, since in levels.items()
        if since is None or (since > MIN_SDK and GUARDED.get(call) != since)
    ]
    if faults:
        raise ToolError(f"Expected calls that API {MIN_SDK} has. Received: {', '.join(faults)}")
    guarded = [".".join(call) for call, since in levels.items() if (since or 0) > MIN_SDK]
    return f"{len(calls)} methods; newer ones, guarded: {', '.join(guarded) or 'none'}"


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Checks which calls the oldest Android lacks.")
    parser.add_argument("code", type=Path, metavar="APP.apk")
    args = parser.parse_args()
    try:
        print(check(args.code))
    except (OSError, ToolError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
