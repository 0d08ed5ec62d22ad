"""What `make bench-runtimes` reports of what it has seen."""

import pytest

from benchmarks.litert_report import LITERT_TORCH, OURS
from benchmarks.other_runtimes import VARIANTS, Row, ratio, to_markdown

pytestmark = pytest.mark.single_backend


def rows(ours: float, theirs: float) -> list[Row]:
    return [
        Row(variant, maker, precision, seconds if precision == "int8" else None, maker == OURS)
        for variant in VARIANTS
        for maker, seconds in ((LITERT_TORCH, theirs), (OURS, ours))
        for precision in ("float32", "int8")
    ]


@pytest.mark.parametrize(
    ("seconds", "judgement"), [(0.8, "at most 0.4, reached"), (0.82, "at most 0.4, missed")]
)
def test_our_time_over_theirs_is_judged(seconds, judgement):
    seen = rows(ours=seconds, theirs=2.0)
    assert ratio(seen, "fastvit_t8") == seconds / 2
    assert judgement in to_markdown(seen)


def test_the_table_has_a_line_for_each_file():
    table = to_markdown(rows(ours=0.75, theirs=2.0))
    assert f"| fastvit_sa12 | {OURS} | int8 | 0.75 s | whole file |" in table
    assert f"| fastvit_t8 | {LITERT_TORCH} | float32 |  | refused |" in table
