"""What the Android demo refuses of a sidecar: at least what this package does."""

import json
import re
from pathlib import Path

import pytest

from keras_fastvit.conversion.tflite.sidecar_schema import parsed

pytestmark = pytest.mark.single_backend

TESTS = Path(__file__).parents[2] / "android_demo" / "core" / "src" / "test"
REFUSED = json.loads((TESTS / "refused.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sidecar() -> str:
    """The one that the tests of the demo's core change."""
    source = next(TESTS.rglob("SidecarTest.kt")).read_text(encoding="utf-8")
    found = re.search(r'val SIDECAR =\s*"""(.*?)"""\.trimIndent', source, re.DOTALL)
    assert found
    return found[1].replace('${"0f".repeat(32)}', 32 * "0f").strip()


def test_the_sidecar_is_read(sidecar):
    assert parsed(sidecar.encode(), "the demo")["labels"] == ["cat", "dog", "Füchse"]


@pytest.mark.parametrize(("old", "new"), REFUSED)
def test_what_the_demo_must_refuse_is_refused_here(sidecar, old, new):
    """The demo's `SidecarTest` reads the same list."""
    assert old in sidecar
    with pytest.raises(ValueError, match="Received: "):
        parsed(sidecar.replace(old, new, 1).encode(), "the demo")
