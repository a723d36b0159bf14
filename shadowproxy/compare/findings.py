"""What a comparison has found so far: the fields that differ, each with its first pair of values."""

from __future__ import annotations

from typing import Final

from shadowproxy.model.terms import KINDS


class Absent:
    """The value of a field that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()

Key = tuple[str, str]
"""A field and the kind of its difference."""
Values = tuple[object, object]


class Findings:
    """`counted` are differences that stand, `ruled` those that a rule of the user explains away.

    `repeated`: they are of JSON read with every value of members that occur more than once.
    """

    __slots__ = ("counted", "repeated", "ruled")

    def __init__(self) -> None:
        self.counted: dict[Key, Values] = {}
        self.ruled: dict[Key, Values] = {}
        self.repeated = False

    def add(self, field: str, kind: str, primary: object, shadow: object, *, ruled: bool = False) -> None:
        """One difference. Further ones of the same field and kind are the same finding."""
        (self.ruled if ruled else self.counted).setdefault((field, kind), (primary, shadow))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The distinct kinds that count, in the order of `KINDS`."""
        kinds = {kind for _, kind in self.counted}
        return tuple(kinds) if len(kinds) < 2 else tuple(sorted(kinds, key=KINDS.index))
