"""Says at the end of `make android` what was verified and what was not.

python -m android_demo.toolchain.report
"""

import sys

from .tools import BUILD

VERIFIED = {
    ".lint": "ktlint finds nothing in any Kotlin file",
    ".core-tested": "core: compiled without warnings, its tests pass on the JVM",
    ".engine-tested": "the exported model under Kotlin: logits bit-equal to Python's LiteRT",
    "app.apk": "app: compiled against Android's API 23 without warnings, shrunk by R8, every call "
    "of the platform there in API 24, assembled, signed, signatures and permissions verified",
}

NOT_VERIFIED = (
    "Gradle's build: Google's Maven repository is not reached from here",
    "LiteRT for Android: the app is compiled against its signatures alone",
    "anything on a device: camera, screen, GPU, latencies",
)


def main() -> int:
    """Prints the lists; returns 0."""
    missing = [text for stamp, text in VERIFIED.items() if not (BUILD / stamp).exists()]
    print("Verified:")
    print("\n".join(f"  {text}" for text in VERIFIED.values() if text not in missing))
    print("Not verified:")
    print("\n".join(f"  {text}" for text in (*missing, *NOT_VERIFIED)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
