"""What the API says of feature flags, and what changes of them are made of. Times are Unix time, shares 0..1."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class Share(Struct, frozen=True):
    """A variant for a share of the users. `service`: whose rollout gives it; empty: the flag's own ramp."""

    variant: str
    share: float
    service: str = ""


class FlagStatus(Struct, frozen=True, kw_only=True):
    """`default` is the variant of whom targeting gives none, None: the caller's own value. `source` is `file` or `api`.

    `in_header`: requests of some route carry it, as `header_name`. `held` says why an edit of the file waits.
    """

    key: str
    state: str
    variants: list[str]
    default: str | None
    targeting: bool
    killed: bool
    source: Literal["file", "api"]
    change_class: str
    header_name: str
    in_header: bool
    evaluations: int
    ramp: Share | None = None
    overlays: list[Share] = []
    held: str = ""


class FlagList(Struct, frozen=True):
    """`in_force`: every worker has this version. `problems` of the file as it is now: what was good before counts."""

    version: int
    file: str
    in_force: bool
    problems: list[str]
    warnings: list[str]
    items: list[FlagStatus]


class LastChange(Struct, frozen=True):
    who: str
    reason: str
    at: float


class FlagSplit(Struct, frozen=True):
    """How often it was evaluated so; without a `variant` the caller's own default applied."""

    variant: str
    reason: str
    count: int


class FlagDetail(Struct, frozen=True):
    """`definition` is what counts, `written` what the file says, None: nothing. `split` since the start."""

    flag: FlagStatus
    version: int
    definition: dict[str, Any]
    written: dict[str, Any] | None
    changed: LastChange | None
    split: list[FlagSplit] = []


class FlagVersion(Struct, frozen=True):
    """One version: who made it, why and by what; `flags` are those that changed, at most 100 of `number`."""

    version: int
    at: float
    who: str
    reason: str
    source: str
    action: str
    flags: list[str]
    number: int


class FlagHistory(Struct, frozen=True):
    """Newest first."""

    items: list[FlagVersion]
    total: int
    limit: int
    offset: int


class FlagAnswer(Struct, frozen=True):
    """`in_force`: every worker has it. `flag` is what it is now; None: several changed, or it is gone."""

    version: int
    in_force: bool
    flag: FlagStatus | None


class FlagChange(Struct, frozen=True, forbid_unknown_fields=True):
    """`version`: only if it is still in force. `override`: freezes that permit it do not hold it; needs a reason."""

    flag: str
    reason: str = ""
    version: int | None = None
    override: bool = False


class FlagSetChange(FlagChange, frozen=True, forbid_unknown_fields=True):
    """Either a `variant` for everybody, with `default` for those whom targeting gives none, or a whole `definition`."""

    variant: str | None = None
    default: bool = False
    definition: dict[str, Any] | None = None


class FlagRampChange(FlagChange, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`share` of the users, such as `10%`, get the variant, the others the default variant."""

    variant: str
    share: str


class FlagRevertChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Back to what was in force in version `to`: one `flag`, or without one all of them."""

    to: int
    flag: str = ""
    reason: str = ""
    version: int | None = None
    override: bool = False
