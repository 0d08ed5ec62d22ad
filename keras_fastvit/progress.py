"""Shows the progress of long work: a bar on a terminal, elsewhere a line every ten seconds."""

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Shows what is being done, how much of it is done, and how long it may still take.

    A context manager. On a terminal it draws a bar, which is gone when the work is done; elsewhere
    it prints a line every ten seconds, so nothing at all of short work.

    Args:
        console: Where to write; default: standard error.
        clock: Returns the time in seconds.

    Attributes:
        console: Where it is written.

    Example:
    >>> with Progress(Console()) as progress:
    ...     progress.begin("Classifying images", 2)
    ...     progress.advance()
    ...     progress.advance()
    """

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.console = console or Console(stderr=True, markup=False, highlight=False)
        self._clock = clock
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._bar = self._bars.add_task("", total=None)
        self._what, self._done, self._total = "", 0, 0
        self._started = self._printed = clock()

    def __enter__(self) -> "Progress":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, what: str, total: int = 0) -> None:
        """Begins another piece of work.

        Args:
            what: Such as `"Classifying images"`.
            total: How many steps it has; 0 if that is not known.
        """
        self._what, self._done, self._total = what, 0, total
        self._started = self._clock()
        self._bars.reset(self._bar, description=what, total=total or None)

    def advance(self, steps: int = 1) -> None:
        """Says that some steps more are done."""
        self.reach(self._done + steps)

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        """Begins a piece of work, and gives its items one by one; each is a step."""
        self.begin(what, total)
        for item in items:
            yield item
            self.advance()

    def reach(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """Says how many steps are done altogether.

        Args:
            done: How many.
            total: Of how many, if that has changed.
            what: What is being done, if that has changed.
        """
        self._done, self._total = done, self._total if total is None else total
        self._what = self._what if what is None else what
        self._bars.update(
            self._bar, description=self._what, completed=done, total=self._total or None
        )
        now = self._clock()
        if not self.console.is_terminal and now - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = now
            self.console.print(self._line(now), soft_wrap=True)

    def _line(self, now: float) -> str:
        if not self._total:
            return f"{self._what}: {self._done:,} done"
        line = f"{self._what}: {self._done:,} of {self._total:,} ({self._done / self._total:.0%})"
        if not 0 < self._done < self._total:
            return line
        left = (now - self._started) / self._done * (self._total - self._done)
        return f"{line}, about {duration(left)} left"


def duration(seconds: float) -> str:
    """Writes a time for people.

    >>> [duration(x) for x in (0.4, 75, 5400)]
    ['1 s', '1 min 15 s', '1 h 30 min']
    """
    whole = max(1, round(seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute} min"
    return f"{minutes} min {second} s" if minutes else f"{second} s"
