"""What the API says of feature flags, and what changes of them are made of. Times are Unix time, shares 0..1."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from shadowproxy.admin.words import Percentage


class Share(Struct, frozen=True):
    """A variant for a share of the users."""

    variant: str
    share: float
    """Of all users, 0..1."""
    service: str = ""
    """Whose rollout gives it; empty: the flag's own ramp."""


class FlagStatus(Struct, frozen=True, kw_only=True):
    """One flag as it is in force."""

    key: str
    """Its key in the file."""
    state: str
    """`ENABLED`, or `DISABLED`: left to each caller's own default."""
    variants: list[str]
    """The names of its variants."""
    default: str | None
    """The variant of whom targeting gives none; None: the caller's own value."""
    targeting: bool
    """Whether it has rules."""
    killed: bool
    """Whether everybody gets the off variant, because somebody said so."""
    source: Literal["file", "api"]
    """Whether the file or the API says what is in force."""
    change_class: str
    """What freezes look at: `feature`, `fix` or `security`."""
    header_name: str
    """Its name in `Feature-Flags`."""
    in_header: bool
    """Whether requests of some route carry it."""
    evaluations: int
    """How often it was evaluated since the start."""
    ramp: Share | None = None
    """Its own ramp; None: it has none."""
    overlays: list[Share] = []
    """What rollouts lay over it now."""
    held: str = ""
    """Why an edit of the file waits; else empty."""


class FlagList(Struct, frozen=True):
    """All flags."""

    version: int
    """The version in force."""
    file: str
    """The file with the definitions."""
    in_force: bool
    """Whether every worker has this version."""
    problems: list[str]
    """What is wrong with the file as it is now: what was good before counts."""
    warnings: list[str]
    """What is doubtful about it."""
    items: list[FlagStatus]
    """In the order of the file."""


class LastChange(Struct, frozen=True):
    """Who changed a flag last by the API."""

    who: str
    reason: str
    at: float


class FlagSplit(Struct, frozen=True):
    """How often a flag was evaluated so."""

    variant: str
    """The variant; empty: the caller's own default applied."""
    reason: str
    """Why, by OpenFeature's words: `STATIC`, `TARGETING_MATCH`, `SPLIT`, `DISABLED`, …"""
    count: int
    """How often since the start."""


class FlagDetail(Struct, frozen=True):
    """One flag with its definition."""

    flag: FlagStatus
    """What it is now."""
    version: int
    """The version in force."""
    definition: dict[str, Any]
    """What counts, in flagd's format."""
    written: dict[str, Any] | None
    """What the file says; None: nothing."""
    changed: LastChange | None
    """The last change by the API; None: the file's word counts."""
    split: list[FlagSplit] = []
    """How often it was evaluated how, since the start."""


class FlagVersion(Struct, frozen=True):
    """One version: who made it, why and by what."""

    version: int
    """Its number."""
    at: float
    who: str
    reason: str
    source: str
    """`file` or `api`."""
    action: str
    """What was done."""
    flags: list[str]
    """Those that changed, at most 100."""
    number: int
    """How many changed."""


class FlagHistory(Struct, frozen=True):
    """Newest first."""

    items: list[FlagVersion]
    total: int
    limit: int
    offset: int


class FlagAnswer(Struct, frozen=True):
    """What a change came to."""

    version: int
    """The version in force now."""
    in_force: bool
    """Whether every worker has it."""
    flag: FlagStatus | None
    """What the flag is now; None: several changed, or it is gone."""


class FlagChange(Struct, frozen=True, forbid_unknown_fields=True):
    """A change of one flag."""

    flag: str
    reason: str = ""
    """Why; the audit keeps it."""
    version: int | None = None
    """Do it only if this version is still in force; else 409."""
    override: bool = False
    """Freezes that permit it do not hold it; needs a reason."""


class FlagSetChange(FlagChange, frozen=True, forbid_unknown_fields=True):
    """Either a `variant` for everybody, or a whole `definition`."""

    variant: str | None = None
    """The variant."""
    default: bool = False
    """Give the variant only to those whom targeting gives none."""
    definition: dict[str, Any] | None = None
    """A whole definition, in flagd's format."""


class FlagRampChange(FlagChange, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A share of the users get a variant, the others the default variant."""

    variant: str
    """The variant."""
    share: Percentage
    """Of all users, such as `10%`."""


class FlagRevertChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Back to what was in force in an earlier version."""

    to: int
    """The number of that version."""
    flag: str = ""
    """The flag; without one all of them."""
    reason: str = ""
    """Why; the audit keeps it."""
    version: int | None = None
    """Do it only if this version is still in force; else 409."""
    override: bool = False
    """Freezes that permit it do not hold it; needs a reason."""
