"""Compiles Kotlin, runs its tests on the JVM and ktlint, all without Gradle.

    python -m android_demo.toolchain.kotlin compile MODULE...
    python -m android_demo.toolchain.kotlin test MODULE [CLASS]
    python -m android_demo.toolchain.kotlin fuzz [--inputs N] [--seconds S] [--seed K]
    python -m android_demo.toolchain.kotlin lint [--format]

The modules are those of `modules.py`. Warnings are errors. `test` runs JUnit on every class
of the module's jar whose name ends in Test, or on the named one. `fuzz` feeds damaged files to
core's readers and prints a line of JSON for each; what one fails on is left in
`build/android/fuzz`. Exits with 2 and what the tool said if it refuses.
"""

import argparse
import re
import sys
import zipfile
from pathlib import Path

from .modules import DEMO, MODULES, classpath, jar
from .processes import ToolError, java
from .tools import BUILD, KOTLIN, KTLINT, LITERT

COMPILER = [
    KOTLIN / f"{name}.jar"
    for name in (
        "kotlin-compiler",
        "kotlin-stdlib",
        "kotlin-script-runtime",
        "kotlin-reflect",
        "kotlin-daemon-client",
        "kotlinx-coroutines-core-jvm",
        "annotations-13.0",
    )
]


def compile_module(name: str) -> Path:
    """Compiles a module into its jar; raises ToolError with what the compiler said."""
    module, target = MODULES[name], jar(name)
    if not any(module.sources.rglob("*.kt")):
        raise ToolError(f"Expected Kotlin files below {module.sources}. Received: none")
    sources = [folder for folder in (module.sources, module.generated) if folder]
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial.jar")
    # Not 17: that has sealed classes, which this R8 does not know.
    options: list[str | Path] = ["-Werror", "-jvm-target", "11", "-no-stdlib", "-no-reflect"]
    options += ["-module-name", name]
    if module.android:
        options.append("-no-jdk")
    if module.library:
        options.append("-Xexplicit-api=strict")
    if module.friend:
        options.append(f"-Xfriend-paths={jar(module.friend)}")
    path = ":".join(str(entry) for entry in classpath(name))
    main = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
    java(COMPILER, main, *options, "-classpath", path, "-d", partial, *sources)
    partial.replace(target)
    return target


def test_module(name: str, test_class: str | None) -> None:
    """Runs a module's tests with JUnit, which prints; raises ToolError if one fails."""
    with zipfile.ZipFile(jar(name)) as content:
        found = [
            re.sub(r"\.class$", "", member).replace("/", ".")
            for member in content.namelist()
            if re.search(r"Test\.class$", member)
        ]
    names = [x for x in found if test_class in (None, x, x.rpartition(".")[2])]
    if not names:
        raise ToolError(f"Expected classes whose names end in Test. Received: {found}")
    options = [
        "-ea",
        f"-Djna.library.path={LITERT.parent}",
        f"-Dproject={DEMO.parent}",
    ]
    path = [jar(name), *classpath(name)]
    java(path, "org.junit.runner.JUnitCore", *names, options=options, quiet=False)


def fuzz(inputs: int, seconds: int, seed: int) -> None:
    """Feeds damaged files to core's readers; raises ToolError if one does what it must not."""
    path = [jar("core-test"), *classpath("core-test")]
    main, folder = "org.kerasfastvit.demo.core.FuzzingKt", BUILD / "fuzz"
    java(path, main, *map(str, (inputs, seconds, seed)), folder, quiet=False)


def lint(repair: bool) -> None:
    """Runs ktlint over all Kotlin files; raises ToolError with what it finds."""
    options = ["--relative", *(["--format"] if repair else [])]
    patterns = [f"{DEMO}/**/*.kt", f"{DEMO}/**/*.kts"]
    java([KTLINT], "com.pinterest.ktlint.Main", *options, *patterns)


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Compiles and tests the demo's Kotlin.")
    commands = parser.add_subparsers(dest="command", required=True)
    compiling = commands.add_parser("compile")
    compiling.add_argument("modules", nargs="+", choices=MODULES)
    testing = commands.add_parser("test")
    testing.add_argument("module", choices=[name for name in MODULES if name.endswith("-test")])
    testing.add_argument("test_class", nargs="?", metavar="CLASS")
    fuzzing = commands.add_parser("fuzz")
    fuzzing.add_argument("--inputs", type=int, default=100_000, help="of all readers together")
    fuzzing.add_argument("--seconds", type=int, default=600, help="for all together, at most")
    fuzzing.add_argument("--seed", type=int, default=0, help="of the damage")
    linting = commands.add_parser("lint")
    linting.add_argument("--format", action="store_true", help="repair what can be repaired")
    args = parser.parse_args()
    try:
        if args.command == "compile":
            for name in args.modules:
                compile_module(name)
        elif args.command == "test":
            test_module(args.module, args.test_class)
        elif args.command == "fuzz":
            fuzz(args.inputs, args.seconds, args.seed)
        else:
            lint(args.format)
    except (OSError, ToolError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
