"""Makes of the app's resources and classes a signed APK, without Gradle, and verifies it.

    python -m android_demo.toolchain.apk

shrinks the classes with R8, by `app/rules.pro`, adds them to the resources, signs the file with a
key of its own, and verifies it: the signatures, the permissions, every call of the platform. Only
then it is `build/android/app.apk`. The APK lacks LiteRT, which cannot be had here: it shows that
all fits together, and is not for a phone. Exits with 2 if a tool refuses.
"""

import argparse
import hashlib
import re
import shutil
import sys
import zipfile
from pathlib import Path

from . import api_levels
from .modules import DEMO, MIN_SDK, jar
from .processes import ToolError, java, run
from .resources import KEPT, RESOURCES
from .tools import ANDROID_JAR, BUILD, JAVA_HOME, KOTLIN, R8, ROOT, SDK

APK = BUILD / "app.apk"
RULES = DEMO / "app" / "rules.pro"
PERMISSIONS = {"android.permission.CAMERA"}


def assemble() -> None:
    """Makes and verifies the APK; raises ToolError if a tool refuses or a check fails."""
    dex, unaligned, aligned = BUILD / "dex", BUILD / "unaligned.apk", BUILD / "aligned.apk"
    shutil.rmtree(dex, ignore_errors=True)
    dex.mkdir()
    java(
        [R8],
        "com.android.tools.r8.R8",
        *("--release", "--min-api", str(MIN_SDK), "--output", dex),
        *("--lib", ANDROID_JAR, "--classpath", jar("stubs")),
        *("--classpath", KOTLIN / "annotations-13.0.jar"),
        *("--pg-conf", RULES, "--pg-conf", KEPT),
        *(jar("app"), jar("core"), KOTLIN / "kotlin-stdlib.jar"),
    )
    shutil.copy(RESOURCES, unaligned)
    with zipfile.ZipFile(unaligned, "a", zipfile.ZIP_DEFLATED) as content:
        content.write(dex / "classes.dex", "classes.dex")
    run([SDK / "zipalign", "-f", "-p", "4", unaligned, aligned])
    signed = APK.with_suffix(".partial")
    _sign(aligned, signed)
    verify(signed)
    signed.replace(APK)


def verify(apk: Path) -> list[str]:
    """Returns what is so of an APK, in words; raises ToolError if a check fails."""
    run([SDK / "zipalign", "-c", "-p", "4", apk])
    said = _apksigner("verify", "--verbose", "--min-sdk-version", str(MIN_SDK), apk)
    schemes = re.findall(r"using (v\d) scheme.*: true", said)
    if "v2" not in schemes:
        raise ToolError(f"Expected an APK signed by scheme v2. Received: {schemes}")
    digest = hashlib.sha256(apk.read_bytes()).hexdigest()
    with zipfile.ZipFile(apk) as content:
        model = hashlib.sha256(content.read("assets/default.tflite")).hexdigest()
        dex = content.getinfo("classes.dex").file_size
    return [
        f"{apk.relative_to(ROOT)}: {apk.stat().st_size:,} bytes, SHA-256 {digest}",
        f"its model: SHA-256 {model}",
        f"its code: {dex:,} bytes after R8",
        f"its calls of the platform, against API {MIN_SDK}: {api_levels.check(apk)}",
        f"its permissions: {', '.join(sorted(_permissions(apk)))}",
        f"its signatures: {', '.join(schemes)}",
    ]


def _sign(aligned: Path, signed: Path) -> None:
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
    _apksigner(
        *("sign", "--ks", key, "--ks-pass", f"pass:{secret}", "--min-sdk-version", str(MIN_SDK)),
        *("--v4-signing-enabled", "false", "--out", signed, aligned),
    )


def _apksigner(*arguments: str | Path) -> str:
    return run([JAVA_HOME / "bin/java", "-jar", SDK / "apksigner.jar", *arguments])


def _permissions(apk: Path) -> set[str]:
    listing = run([SDK / "aapt2", "dump", "permissions", apk])
    found = set(re.findall(r"uses-permission: name='([^']+)'", listing))
    if found != PERMISSIONS:
        raise ToolError(f"Expected the permissions {PERMISSIONS}. Received: {found}")
    return found


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Makes and verifies the demo's APK.")
    parser.parse_args()
    try:
        assemble()
    except (OSError, ToolError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
