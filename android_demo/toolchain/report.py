"""Says at the end of `make android` what was verified and what was not.

    python -m android_demo.toolchain.report CHECK...

The checks are the names of `VERIFIED`; make passes those that it has just brought up to date, so
that nothing of an earlier run is reported. The APK is verified once more, as it lies there. Exits
with 2 if it is not as it must be.
"""

import argparse
import sys
from collections.abc import Collection, Sequence

from .apk import APK, verify
from .processes import ToolError

VERIFIED = {
    "lint": "ktlint finds nothing in any Kotlin file",
    "core": "core: compiled without warnings, its tests pass on the JVM; the model's input from "
    "camera frames is Python's, bit by bit",
    "engine": "the exported models below Kotlin's pipeline, from camera frames: logits are those "
    "of Python's LiteRT, bit by bit",
    "app": "app: compiled against Android's API 23 without warnings, shrunk by R8, assembled",
}

NOT_VERIFIED = (
    "Gradle's build: Google's Maven repository is not reached from here",
    "LiteRT for Android: the app is compiled against its signatures alone",
    "anything on a device: camera, screen, GPU, latencies",
)


def report(checks: Collection[str]) -> str:
    """Returns both lists, with the APK's facts; raises ToolError if it fails a check."""
    lines = ["Verified:", *(f"  {VERIFIED[name]}" for name in VERIFIED if name in checks)]
    if "app" in checks:
        lines += [f"    {fact}" for fact in verify(APK)]
    missing = [f"  NOT CHECKED THIS TIME: {VERIFIED[x]}" for x in VERIFIED if x not in checks]
    return "\n".join([*lines, "Not verified:", *missing, *(f"  {x}" for x in NOT_VERIFIED)])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Says what was verified and what was not.")
    parser.add_argument("checks", nargs="+", choices=VERIFIED, metavar="CHECK")
    args = parser.parse_args(argv)
    try:
        print(report(args.checks))
    except (OSError, ToolError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
