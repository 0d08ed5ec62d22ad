"""Timm's models beside this package's: what the comparison says, and when it fails."""

import math
import sys

import pytest

from benchmarks import parity as module
from benchmarks.parity import OUTPUTS, TOLERANCE, Comparison, main

pytestmark = pytest.mark.single_backend

T8 = "fastvit_t8"


def test_says_what_the_comparison_needs(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "timm", None)
    module.timm_reference.import_timm.cache_clear()
    with pytest.raises(SystemExit) as caught:
        main(["--model", T8])
    assert caught.value.code == 2
    assert "The comparison needs timm" in capsys.readouterr().err


@pytest.mark.parametrize(("largest", "status"), [(0.9, 0), (1.1, 1), (math.nan, 1), (math.inf, 1)])
def test_one_difference_above_the_bound_fails(monkeypatch, capsys, largest, status):
    differences = dict.fromkeys(OUTPUTS, 0.0) | {"P3": largest * TOLERANCE}
    rows = [
        Comparison(T8, "training form", (97, 75), dict.fromkeys(OUTPUTS, 0.0)),
        Comparison(T8, "inference form", (97, 75), differences),
        Comparison(T8, "written for timm", (97, 75), dict.fromkeys(OUTPUTS, 0.0)),
    ]
    monkeypatch.setattr(module, "verify_random", lambda variant: rows)
    assert main(["--model", T8]) == status
    lines = capsys.readouterr().out.splitlines()
    assert ["above" in line for line in lines] == [False, False, bool(status), False]
