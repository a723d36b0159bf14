"""What a comparison has found so far: the fields that differ, each with its first pair of values."""

from __future__ import annotations

from typing import Final

from shadowproxy.compare.masks import hides
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
    """`counted` are differences that stand, `ruled` those that a rule of the user explains away, `noise` those that
    the primary's own version shows as well, `accepted` those that an entry of the accepted ones covers.

    `values` are all values of the shadow's side in what counts, by finding, where somebody has to look at each.

    `repeated`: they are of JSON read with every value of members that occur more than once. `recorded`: the primary's
    answer comes from a recording, and what differs from a masked value of it explains itself away.
    """

    __slots__ = ("accepted", "counted", "noise", "recorded", "repeated", "ruled", "values")

    def __init__(self, recorded: bool = False, *, every: bool = False) -> None:
        self.recorded = recorded
        self.values: dict[Key, list[object]] | None = {} if every else None
        self.counted: dict[Key, Values] = {}
        self.ruled: dict[Key, Values] = {}
        self.noise: dict[Key, Values] = {}
        self.accepted: dict[Key, Values] = {}
        self.repeated = False

    def add(
        self, field: str, kind: str, primary: object, shadow: object, *, ruled: bool = False, whole: bool = True
    ) -> None:
        """One difference. Further ones of the same field and kind are the same finding.

        `whole`: nothing but these two values differs, so that they tell whether a mask explains it.
        """
        ruled = ruled or (self.recorded and whole and shadow is not ABSENT and hides(primary, shadow))
        (self.ruled if ruled else self.counted).setdefault((field, kind), (primary, shadow))
        if self.values is not None and not ruled:
            self.values.setdefault((field, kind), []).append(shadow)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The distinct kinds that count, in the order of `KINDS`."""
        kinds = {kind for _, kind in self.counted}
        return tuple(kinds) if len(kinds) < 2 else tuple(sorted(kinds, key=KINDS.index))
