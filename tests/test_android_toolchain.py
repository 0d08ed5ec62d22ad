"""The check of the calls that the app makes: since when one exists is found, and not guessed."""

import pytest

from android_demo.toolchain import api_levels
from android_demo.toolchain.api_types import level, read_api_types
from android_demo.toolchain.processes import ToolError

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
