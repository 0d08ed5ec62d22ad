"""Progress without a terminal: lines, and not too many of them."""

import io

import pytest
from rich.console import Console

from keras_fastvit.progress import Progress

pytestmark = pytest.mark.single_backend


def test_a_line_every_ten_seconds() -> None:
    times = iter(range(1000))
    written = io.StringIO()
    with Progress(Console(file=written), clock=lambda: float(next(times))) as progress:
        progress.begin("Classifying images", 40)  # one second a step from here on
        for _ in range(40):
            progress.advance()
    lines = written.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == "Classifying images: 9 of 40 (22%), about 31 s left"


def test_an_unknown_total() -> None:
    times = iter((0.0, 0.0, 20.0))
    written = io.StringIO()
    with Progress(Console(file=written), clock=lambda: next(times)) as progress:
        progress.begin("Reading")
        progress.advance(1234)
    assert written.getvalue() == "Reading: 1,234 done\n"


def test_a_terminal_gets_no_lines() -> None:
    times = iter(range(0, 10_000, 100))
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80)
    with Progress(console, clock=lambda: float(next(times))) as progress:
        progress.begin("Reading", 3)
        progress.advance(3)
    assert "of 3" not in written.getvalue()
