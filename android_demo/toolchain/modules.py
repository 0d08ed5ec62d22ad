"""The Kotlin modules: which sources, compiled against what, into which jar below `build/android`.

`core` and `app` see Android's API 23 alone, `app` what is newer or not to be had here through
stubs: signatures without code, never part of the app. The tests on the JVM run the same `core` that
the app holds; only where Android's API could not be fetched is it compiled against the JDK's.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .tools import ANDROID_JAR, BUILD, JARS, JNA, KOTLIN, ROOT

DEMO = ROOT / "android_demo"
STUBS = DEMO / "toolchain" / "stubs"
VERSIONS: dict[str, str] = tomllib.loads(
    (DEMO / "gradle" / "libs.versions.toml").read_text(encoding="utf-8")
)["versions"]
"""Gradle's: what both builds must agree on stands there."""
MIN_SDK, TARGET_SDK = int(VERSIONS["minSdk"]), int(VERSIONS["targetSdk"])
ANDROID = (ANDROID_JAR,) if ANDROID_JAR.is_file() else ()
JNA_JARS = (JARS / "jna.jar", JNA)
TEST_JARS = (
    KOTLIN / "kotlin-test.jar",
    KOTLIN / "kotlin-test-junit.jar",
    JARS / "junit4.jar",
    JARS / "hamcrest-all.jar",
)


@dataclass(frozen=True)
class Module:
    """What is compiled into one jar."""

    sources: Path
    generated: Path | None = None
    """Sources that the build makes."""
    uses: tuple[str, ...] = ()
    """Other modules, by name."""
    jars: tuple[Path, ...] = ()
    friend: str | None = None
    """The module whose `internal` declarations are visible here: a test's."""
    android: bool = False
    """True: compiled against Android's API alone, without the JDK's classes."""
    library: bool = False
    """True: what it shows to others must say so, and of which type it is."""


MODULES = {
    "core": Module(
        DEMO / "core/src/main/kotlin", jars=ANDROID, android=bool(ANDROID), library=True
    ),
    "core-test": Module(
        DEMO / "core/src/test/kotlin", uses=("core",), jars=TEST_JARS, friend="core"
    ),
    "core-benchmark": Module(DEMO / "core/src/benchmark/kotlin", uses=("core",)),
    "engine-jvm": Module(
        DEMO / "engine-jvm/src/main/kotlin", uses=("core",), jars=JNA_JARS, library=True
    ),
    "engine-jvm-test": Module(
        DEMO / "engine-jvm/src/test/kotlin",
        uses=("core", "core-test", "engine-jvm"),
        jars=(*JNA_JARS, *TEST_JARS),
        friend="engine-jvm",
    ),
    "stubs": Module(STUBS, jars=ANDROID, android=True),
    "app": Module(
        DEMO / "app/src/main/kotlin",
        generated=BUILD / "generated",
        uses=("core", "stubs"),
        jars=ANDROID,
        android=True,
    ),
}


def jar(name: str) -> Path:
    """Where a module's classes go."""
    return BUILD / f"{name}.jar"


def classpath(name: str) -> list[Path]:
    """What a module is compiled against and, if it is for the JVM, runs with."""
    module = MODULES[name]
    return [*(jar(used) for used in module.uses), *module.jars, KOTLIN / "kotlin-stdlib.jar"]
