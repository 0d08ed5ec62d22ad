"""Makes the app's resources, and of them and its classes a signed APK, without Gradle.

    python -m android_demo.toolchain.apk resources
    python -m android_demo.toolchain.apk assemble

`resources` compiles what `app/src/main/res` and the manifest hold into
`build/android/resources.apk`, with the model as an asset, and writes the class `R`. `assemble`
shrinks the classes with R8, by `app/rules.pro`, adds them, signs the file with a key of its own,
and verifies it: the signatures, the permissions, every call of the platform. The APK lacks LiteRT,
which cannot be had here: it shows that all fits together, and is not for a phone. Exits with 2 if
a tool refuses.
"""

import argparse
import re
import shutil
import sys
import zipfile
from pathlib import Path

from . import api_levels
from .modules import DEMO, jar
from .processes import ToolError, java, run
from .tools import ANDROID_JAR, BUILD, JAVA_HOME, KOTLIN, R8, SDK

PACKAGE = "org.kerasfastvit.demo"
TARGET_SDK = "37"
PERMISSIONS = {"android.permission.CAMERA"}

MAIN = DEMO / "app" / "src" / "main"
RULES = DEMO / "app" / "rules.pro"
RESOURCES = BUILD / "resources.apk"
GENERATED = BUILD / "generated"
KEPT = BUILD / "manifest_rules.pro"
"""What the manifest and the layouts name, which R8 must keep: aapt2 writes it."""
APK = BUILD / "app.apk"
MODEL = BUILD / "models" / "fashion_mnist"


def make_resources() -> None:
    """Compiles and links the resources; raises ToolError if aapt2 refuses."""
    compiled, manifest = BUILD / "resources.zip", BUILD / "AndroidManifest.xml"
    symbols, assets = BUILD / "R.txt", BUILD / "assets"
    run([SDK / "aapt2", "compile", "--dir", MAIN / "res", "-o", compiled])
    # Gradle takes the package from `namespace`; aapt2 alone wants it here.
    text = (MAIN / "AndroidManifest.xml").read_text(encoding="utf-8")
    manifest.write_text(text.replace("<manifest ", f'<manifest package="{PACKAGE}" '), "utf-8")
    assets.mkdir(exist_ok=True)
    for ending in (".tflite", ".json"):
        shutil.copy(MODEL.with_suffix(ending), assets / f"default{ending}")
    run(
        [
            *(SDK / "aapt2", "link", "-o", RESOURCES, "-I", ANDROID_JAR, "-A", assets),
            *("--manifest", manifest, "--output-text-symbols", symbols, "--proguard", KEPT),
            *("--min-sdk-version", str(api_levels.MIN_SDK), "--target-sdk-version", TARGET_SDK),
            *("--version-code", "1", "--version-name", "0.1.0"),
            # Newer elements than the Debian tool knows are linked as they are, with a warning.
            *("--warn-manifest-validation", "-0", "tflite", compiled),
        ]
    )
    GENERATED.mkdir(exist_ok=True)
    (GENERATED / "R.kt").write_text(_r_class(symbols.read_text(encoding="utf-8")), "utf-8")


def _r_class(symbols: str) -> str:
    """The class `R` in Kotlin: `R.string.app_name` and so on."""
    groups: dict[str, list[str]] = {}
    for kind, name, value in re.findall(r"^int (\w+) (\w+) (0x\w+)$", symbols, re.MULTILINE):
        groups.setdefault(kind, []).append(f"        const val {name} = {value}\n")
    objects = "".join(
        f"    object {kind} {{\n{''.join(constants)}    }}\n" for kind, constants in groups.items()
    )
    return f"package {PACKAGE}\n\nobject R {{\n{objects}}}\n"


def assemble() -> list[str]:
    """Makes, signs and verifies the APK; returns what was verified, in words."""
    dex, unaligned, aligned = BUILD / "dex", BUILD / "unaligned.apk", BUILD / "aligned.apk"
    shutil.rmtree(dex, ignore_errors=True)
    dex.mkdir()
    java(
        [R8],
        "com.android.tools.r8.R8",
        *("--release", "--min-api", str(api_levels.MIN_SDK), "--output", dex),
        *("--lib", ANDROID_JAR, "--classpath", jar("stubs")),
        *("--classpath", KOTLIN / "annotations-13.0.jar"),
        *("--pg-conf", RULES, "--pg-conf", KEPT),
        *(jar("app"), jar("core"), KOTLIN / "kotlin-stdlib.jar"),
    )
    shutil.copy(RESOURCES, unaligned)
    with zipfile.ZipFile(unaligned, "a", zipfile.ZIP_DEFLATED) as content:
        content.write(dex / "classes.dex", "classes.dex")
    run([SDK / "zipalign", "-f", "-p", "4", unaligned, aligned])
    _sign(aligned)
    signatures = run(
        [JAVA_HOME / "bin/java", "-jar", SDK / "apksigner.jar", "verify", "--verbose", APK]
    )
    return [
        f"R8: {(dex / 'classes.dex').stat().st_size:,} bytes of dex",
        f"calls of the platform against API {api_levels.MIN_SDK}: "
        f"{api_levels.check(dex / 'classes.dex')}",
        f"permissions: {', '.join(sorted(_permissions()))}",
        "signatures: " + ", ".join(re.findall(r"using (v\d) scheme.*: true", signatures)),
    ]


def _sign(aligned: Path) -> None:
    key = BUILD / "debug.keystore"
    secret = "android"  # of a key that is made here and used for nothing else
    if not key.is_file():
        run(
            [
                *(JAVA_HOME / "bin/keytool", "-genkeypair", "-keystore", key, "-alias", "debug"),
                *("-storepass", secret, "-keypass", secret, "-dname", "CN=Debug"),
                *("-keyalg", "RSA", "-keysize", "2048", "-validity", "10000"),
            ]
        )
    run(
        [
            *(JAVA_HOME / "bin/java", "-jar", SDK / "apksigner.jar", "sign", "--ks", key),
            *("--ks-pass", f"pass:{secret}", "--min-sdk-version", str(api_levels.MIN_SDK)),
            *("--out", APK, aligned),
        ]
    )


def _permissions() -> set[str]:
    listing = run([SDK / "aapt2", "dump", "permissions", APK])
    found = set(re.findall(r"uses-permission: name='([^']+)'", listing))
    if found != PERMISSIONS:
        raise ToolError(f"Expected the permissions {PERMISSIONS}. Received: {found}")
    return found


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Makes the demo's APK.")
    parser.add_argument("step", choices=("resources", "assemble"))
    args = parser.parse_args()
    try:
        if args.step == "resources":
            make_resources()
        else:
            print("\n".join(f"  {line}" for line in assemble()))
    except (OSError, ToolError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
