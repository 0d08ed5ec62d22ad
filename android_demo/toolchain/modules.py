"""The Kotlin modules: which sources, compiled against what, into which jar below `build/android`.

`core` and the engine for the JVM are plain Kotlin; `app` sees Android's API 23 alone, and what is
newer or not to be had here through stubs: signatures without code, never part of the app.
"""

from dataclasses import dataclass
from pathlib import Path

from .tools import ANDROID_JAR, BUILD, JARS, KOTLIN, ROOT

DEMO = ROOT / "android_demo"
STUBS = DEMO / "toolchain" / "stubs"
JNA = (JARS / "jna.jar",)
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
    uses: tuple[str, ...] = ()
    """Other modules, by name."""
    jars: tuple[Path, ...] = ()
    friend: str | None = None
    """The module whose `internal` declarations are visible here: a test's."""
    android: bool = False
    """True: compiled against Android's API alone, without the JDK's classes."""


MODULES = {
    "core": Module(DEMO / "core/src/main/kotlin"),
    "core-test": Module(DEMO / "core/src/test/kotlin", ("core",), TEST_JARS, friend="core"),
    "engine-jvm": Module(DEMO / "engine-jvm/src/main/kotlin", ("core",), JNA),
    "engine-jvm-test": Module(
        DEMO / "engine-jvm/src/test/kotlin",
        ("core", "engine-jvm"),
        (*JNA, *TEST_JARS),
        friend="engine-jvm",
    ),
    # Core once more, against Android's API instead of the JDK's: what the app is made of.
    "core-android": Module(DEMO / "core/src/main/kotlin", jars=(ANDROID_JAR,), android=True),
    "stubs": Module(STUBS, jars=(ANDROID_JAR,), android=True),
    "app": Module(
        DEMO / "app/src/main/kotlin", ("core-android", "stubs"), (ANDROID_JAR,), android=True
    ),
}


def jar(name: str) -> Path:
    """Where a module's classes go."""
    return BUILD / f"{name}.jar"


def classpath(name: str) -> list[Path]:
    """What a module is compiled against and, if it is for the JVM, runs with."""
    module = MODULES[name]
    return [*(jar(used) for used in module.uses), *module.jars, KOTLIN / "kotlin-stdlib.jar"]
