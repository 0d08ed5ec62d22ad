"""Makes the app's resources and its class `R`, without Gradle.

    python -m android_demo.toolchain.resources

compiles what `app/src/main/res` and the manifest hold into `build/android/resources.apk`, with the
model as an asset, and writes the class `R`. Exits with 2 if aapt2 refuses.
"""

import argparse
import re
import shutil
import sys

from .modules import DEMO, MIN_SDK, TARGET_SDK
from .processes import ToolError, run
from .tools import ANDROID_JAR, BUILD, SDK

PACKAGE = "org.kerasfastvit.demo"
MAIN = DEMO / "app" / "src" / "main"
RESOURCES = BUILD / "resources.apk"
GENERATED = BUILD / "generated"
KEPT = BUILD / "manifest_rules.pro"
"""What the manifest and the layouts name, which R8 must keep: aapt2 writes it."""
MODEL = BUILD / "models" / "fashion_mnist"


def make_resources() -> None:
    """Compiles and links the resources; raises ToolError if aapt2 refuses."""
    compiled, manifest = BUILD / "resources.zip", BUILD / "AndroidManifest.xml"
    symbols, assets = BUILD / "R.txt", BUILD / "assets"
    run([SDK / "aapt2", "compile", "--dir", MAIN / "res", "-o", compiled])
    # Gradle takes the package from `namespace`; aapt2 alone wants it here.
    text = (MAIN / "AndroidManifest.xml").read_text(encoding="utf-8")
    manifest.write_text(text.replace("<manifest ", f'<manifest package="{PACKAGE}" '), "utf-8")
    shutil.rmtree(assets, ignore_errors=True)
    assets.mkdir()
    for ending in (".tflite", ".json"):
        shutil.copy(MODEL.with_suffix(ending), assets / f"default{ending}")
    partial = RESOURCES.with_suffix(".partial")
    run(
        [
            *(SDK / "aapt2", "link", "-o", partial, "-I", ANDROID_JAR, "-A", assets),
            *("--manifest", manifest, "--output-text-symbols", symbols, "--proguard", KEPT),
            *("--min-sdk-version", str(MIN_SDK), "--target-sdk-version", str(TARGET_SDK)),
            *("--version-code", "1", "--version-name", "0.1.0"),
            # Newer elements than the Debian tool knows are linked as they are, with a warning.
            *("--warn-manifest-validation", "-0", "tflite", compiled),
        ]
    )
    GENERATED.mkdir(exist_ok=True)
    (GENERATED / "R.kt").write_text(r_class(symbols.read_text(encoding="utf-8")), "utf-8")
    partial.replace(RESOURCES)


def r_class(symbols: str) -> str:
    """The class `R` in Kotlin, from what aapt2 lists.

    >>> print(r_class("int string app_name 0x7f0a0000"))
    package org.kerasfastvit.demo
    <BLANKLINE>
    object R {
        object string {
            const val app_name = 0x7f0a0000
        }
    }
    <BLANKLINE>
    """
    groups: dict[str, list[str]] = {}
    for kind, name, value in re.findall(r"^int (\w+) (\w+) (0x\w+)$", symbols, re.MULTILINE):
        groups.setdefault(kind, []).append(f"        const val {name} = {value}\n")
    objects = "".join(
        f"    object {kind} {{\n{''.join(constants)}    }}\n" for kind, constants in groups.items()
    )
    return f"package {PACKAGE}\n\nobject R {{\n{objects}}}\n"


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Makes the demo's resources and its class R.")
    parser.parse_args()
    try:
        make_resources()
    except (OSError, ToolError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
