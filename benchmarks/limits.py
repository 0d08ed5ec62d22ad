"""Limits that a measurement is held to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A limit that a number must meet, and a goal that is hoped for.

    Attributes:
        wanted: What it must reach.
        goal: What would be better still; the same as `wanted` where nothing more is hoped for.
        at_most: Whether it must not be above, rather than below.

    >>> Limit(1.6, 1.3, at_most=True).verdict(1.4)
    'met'
    """

    wanted: float
    goal: float
    at_most: bool = False

    def verdict(self, value: float) -> str:
        """Returns `"goal reached"`, `"met"` or `"missed"`; NaN misses."""
        for limit, verdict in ((self.goal, "goal reached"), (self.wanted, "met")):
            if value <= limit if self.at_most else value >= limit:
                return verdict if self.goal != self.wanted else "met"
        return "missed"

    def cells(self, value: float, form: str = "g") -> str:
        """Returns cells of a table: the value, what is wanted, the goal, the verdict.

        >>> Limit(1.9, 2.2).cells(2, ".2f")
        '**2.00** | ≥ 1.9 | ≥ 2.2 | met'
        """
        sign = "≤" if self.at_most else "≥"
        goal = "" if self.goal == self.wanted else f"{sign} {self.goal:g}"
        return f"**{value:{form}}** | {sign} {self.wanted:g} | {goal} | {self.verdict(value)}"
