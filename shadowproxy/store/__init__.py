"""Where examples and what is known of fields are kept: the interface, and SQLite behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from shadowproxy.metrics.fields import FieldKey, FieldRow
from shadowproxy.model.pair import Example
from shadowproxy.model.totals import CauseTotal, FieldExample, StoreFigures


class StoreError(Exception):
    """The store cannot be read now. The text says why, for people."""


class DiffQuery(Struct, frozen=True):
    """Which examples to list, newest first. None does not filter."""

    service: str | None = None
    route: str | None = None
    arm: str | None = None
    field: str | None = None
    kind: str | None = None
    limit: int = 50
    offset: int = 0


class DiffSummary(Struct, frozen=True):
    """One line of a list of examples."""

    id: str
    """Its id."""
    at: float
    """When the request came, Unix time."""
    service: str
    route: str
    arm: str
    method: str
    """The request's method."""
    target: str
    """The request's path and query."""
    primary_status: int
    """The primary's status."""
    shadow_status: int | None
    """The other arm's status; None: it gave none."""
    failure: str | None
    """How the other arm failed (`candidate_*`); None: it gave a whole answer."""
    field: str | None
    """The field that differs first."""
    kind: str | None
    """How that one differs."""
    differences: int
    """How many fields differ."""


class DiffPage(Struct, frozen=True):
    """Examples, newest first."""

    items: list[DiffSummary]
    total: int
    limit: int
    offset: int


class Known(Struct, frozen=True):
    """Something learned about a service, as bytes that its owner understands. It outlives the instance.

    `kind` says whose it is, `key` is unique within kind and service. `value` None: forget it.
    """

    kind: str
    service: str
    key: str
    value: bytes | None


class Kept(Struct, frozen=True):
    """What one instance (`epoch`) has to find again after its control process died."""

    fields: Sequence[tuple[FieldKey, FieldRow]] = ()
    incomparable: Sequence[tuple[tuple[str, str, str], int]] = ()
    suppressed: Sequence[tuple[str, int]] = ()


class Store(Protocol):
    """`offer`, `keep` and `learn` never block and never raise; the rest may wait for a disk and raises StoreError."""

    def offer(self, examples: Iterable[Example]) -> None:
        """Keep these examples, or count them as dropped."""

    def keep(self, changed: Kept) -> None:
        """Replace the kept values of these keys. What cannot be written now is tried again with the next call."""

    def kept(self) -> Kept:
        """Everything kept for this instance."""

    def learn(self, items: Iterable[Known]) -> None:
        """Replace what is known under these keys. Tried again as `keep` does."""

    def known(self, kind: str) -> list[Known]:
        """Everything of one kind, whichever instance learned it, oldest first."""

    def find(self, query: DiffQuery) -> DiffPage: ...

    def example(self, prefix: str) -> Example | None:
        """The example whose id is `prefix`, or the only one whose id begins with it."""

    def field_examples(self) -> list[FieldExample]:
        """One example of this instance for each field that differs."""

    def cause_examples(self, causes: Sequence[CauseTotal]) -> dict[str, FieldExample]:
        """The smallest example of each cause, by its id, whichever instance kept it."""

    def cause_example(self, cause: CauseTotal) -> Example | None:
        """The same of one cause, whole."""

    def figures(self) -> StoreFigures: ...

    def close(self, timeout: float) -> None:
        """Write what is waiting, for at most `timeout` seconds."""
