"""The build of the Android demo without Gradle: what it checks, and what it refuses."""

import os
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from android_demo.toolchain import api_levels, apk, fetch, kotlin, report
from android_demo.toolchain.api_types import level, read_api_types
from android_demo.toolchain.modules import VERSIONS
from android_demo.toolchain.processes import ToolError, run
from android_demo.toolchain.tools import NPM

pytestmark = pytest.mark.single_backend

DECLARATIONS = """
declare module android {
  export module os {
    export class Power extends android.os.Base<java.util.List<string>> {
      public static class: java.lang.Class<android.os.Power>;
      public constructor();
      /** @since 24 */
      public constructor(param0: string);
      /** @since 29
      *  @deprecated Deprecated in API 30 */
      public thermal(): number;
      public thermal(param0: number): number;
      /** @since 31 */
      public headroom(): number;
    }
    /** @since 26 */
    export abstract class Base<T> extends java.lang.Object {
      public inherited(): void;
    }
    export module Power {
      /** @since 30 */
      export class Listener {
        /** @since 21 */
        public changed(): void;
      }
    }
  }
}
declare module java {
  export module lang {
    export class Object {
      public hashCode(): number;
    }
  }
}
"""


@pytest.fixture
def classes(tmp_path):
    path = tmp_path / "types.d.ts"
    path.write_text(DECLARATIONS, encoding="utf-8")
    return read_api_types(path)


@pytest.mark.parametrize(
    ("owner", "member", "since"),
    [
        ("android.os.Power", "<init>", 1),  # the oldest overload
        ("android.os.Power", "thermal", 1),
        ("android.os.Power", "headroom", 31),
        ("android.os.Power", "inherited", 26),  # as new as the class it comes from
        ("android.os.Power", "hashCode", 1),
        ("android.os.Power.Listener", "changed", 30),  # not older than its class
        ("android.os.Power", "nothing", None),
        ("android.os.Missing", "thermal", None),
    ],
)
def test_since_when_a_member_exists(classes, owner, member, since):
    assert level(classes, owner, member) == since


@pytest.mark.parametrize(
    ("call", "received"),
    [
        (("android.os.Power", "headroom"), r"android\.os\.Power\.headroom \(API 31\)"),
        (("android.os.Power", "nothing"), r"android\.os\.Power\.nothing \(not known\)"),
    ],
)
def test_refuses_what_the_oldest_android_lacks(classes, monkeypatch, tmp_path, call, received):
    monkeypatch.setattr(api_levels, "read_api_types", lambda path: classes)
    monkeypatch.setattr(api_levels, "called", lambda dex: [("android.os.Power", "<init>"), call])
    with pytest.raises(ToolError, match=received):
        api_levels.check(tmp_path)
    monkeypatch.setattr(api_levels, "GUARDED", {call: 31})
    if "31" in received:
        assert "headroom" in api_levels.check(tmp_path)


DEXDUMP = """
#0 : (in Lorg/kerasfastvit/demo/app/Screen;)
0004: 6e10 0000 0000 |0000: invoke-virtual {v0}, Landroid/os/Power;.thermal:()I // method@0000
0006: 7010 0100 0000 |0003: invoke-direct {v1}, Landroid/os/Power$Listener;.<init>:()V
0008: 7110 0200 0000 |0006: invoke-static/range {v2, v3}, Ljava/lang/Object;.hashCode:()I
000a: 7110 0300 0000 |0009: invoke-static {}, Lorg/kerasfastvit/demo/core/Screen;.show:()V
000c: 7110 0300 0000 |000c: invoke-static {}, Landroid/os/Power;.thermal:(I)I
"""


def test_the_calls_of_the_platform_are_read_off_the_code(monkeypatch, tmp_path):
    monkeypatch.setattr(api_levels, "run", lambda command: DEXDUMP)
    assert api_levels.called(tmp_path) == [
        ("android.os.Power", "thermal"),
        ("android.os.Power.Listener", "<init>"),
        ("java.lang.Object", "hashCode"),
    ]


def test_code_without_calls_is_not_taken_for_checked(classes, monkeypatch, tmp_path):
    monkeypatch.setattr(api_levels, "read_api_types", lambda path: classes)
    monkeypatch.setattr(api_levels, "run", lambda command: "")
    with pytest.raises(ToolError, match=r"Expected calls .* Received: none"):
        api_levels.check(tmp_path)


def test_both_builds_use_the_same_releases():
    versions = {package.name: package.version for package in NPM}
    wheels = fetch.WHEELS.read_text(encoding="utf-8")
    assert versions["kotlin-compiler"] == VERSIONS["kotlin"]
    assert re.search(r"ai-edge-litert==(\S+)", wheels)[1] == VERSIONS["litert"]
    assert int(VERSIONS["minSdk"]) < int(VERSIONS["targetSdk"]) <= int(VERSIONS["compileSdk"])


def test_reports_what_was_checked_this_time_alone(monkeypatch):
    monkeypatch.setattr(report, "verify", lambda path: ["SHA-256 of what lies there"])
    whole = report.report(list(report.VERIFIED))
    assert "SHA-256 of what lies there" in whole.split("Not verified:")[0]
    assert "NOT CHECKED" not in whole
    without = report.report(["lint", "core", "engine"])
    verified, missing = without.split("Not verified:")
    assert "app" not in verified
    assert "SHA-256" not in without
    assert f"NOT CHECKED THIS TIME: {report.VERIFIED['app']}" in missing


def test_does_not_report_an_apk_that_fails_its_check(monkeypatch, capsys):
    def refuse(path):
        raise ToolError("Expected a signature. Received: none")

    monkeypatch.setattr(report, "verify", refuse)
    with pytest.raises(SystemExit) as ended:
        report.main(["lint", "app"])
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert "Verified" not in output.out
    assert output.err.endswith("Received: none\n")


@pytest.mark.parametrize(
    "added", [[], ["android.permission.CAMERA", "android.permission.INTERNET"]]
)
def test_refuses_an_apk_with_other_permissions(monkeypatch, tmp_path, added):
    lines = "".join(f"uses-permission: name='{name}'\n" for name in added)
    monkeypatch.setattr(apk, "run", lambda command: lines)
    with pytest.raises(ToolError, match="Expected the permissions"):
        apk._permissions(tmp_path)


def test_refuses_an_npm_package_of_another_hash(monkeypatch, tmp_path):
    def pack(command):
        with tarfile.open(Path(command[command.index("--pack-destination") + 1]) / "a.tgz", "w:gz"):
            return ""

    monkeypatch.setattr(fetch, "run", pack)
    monkeypatch.setattr(fetch, "TOOLS", tmp_path)
    with pytest.raises(ToolError, match=r"Expected kotlin-compiler@\S+ with SHA-256"):
        fetch._fetch_npm_package(NPM[0])
    assert not list(tmp_path.iterdir())


def test_says_that_npm_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolError, match=r"apt install npm.*Received: none"):
        fetch.fetch_npm()


def test_links_to_the_system_lead_into_the_folder(tmp_path):
    (tmp_path / "etc" / "java").mkdir(parents=True)
    (tmp_path / "etc" / "java" / "security").write_text("ours")
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "usr" / "lib" / "security").symlink_to("/etc/java/security")
    (tmp_path / "usr" / "lib" / "beside").symlink_to("security")
    fetch._relink(tmp_path)
    assert (tmp_path / "usr" / "lib" / "beside").read_text() == "ours"
    assert os.readlink(tmp_path / "usr" / "lib" / "beside") == "security"


def test_a_module_without_tests_is_not_taken_for_tested(monkeypatch, tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.jar", "w") as jar:
        jar.writestr("org/kerasfastvit/demo/core/Frames.class", b"")
    monkeypatch.setattr(kotlin, "jar", lambda name: tmp_path / "empty.jar")
    with pytest.raises(ToolError, match="Expected classes whose names end in Test"):
        kotlin.test_module("core-test", None)


def test_a_tool_that_fails_is_quoted():
    with pytest.raises(ToolError, match=r"sh ended with 3\. Received: no such thing"):
        run(["sh", "-c", "echo no such thing >&2; exit 3"])
