"""What OFREP says (OpenFeature Remote Evaluation Protocol 0.3, github.com/open-feature/protocol), as JSON has it."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType


class Question(Struct, frozen=True):
    """Whom flags are evaluated for."""

    context: dict[str, Any] | None = None
    """What rules may look at, `targetingKey` among it: whom shares are drawn by."""


class Evaluated(Struct, frozen=True, omit_defaults=True):
    """One flag. Without `value` the caller's own default applies (ADR 0006); with `errorCode` as well."""

    key: str
    """The flag's key."""
    value: Any = UNSET
    """The variant's value."""
    reason: str | UnsetType = UNSET
    """Why, by OpenFeature's words: `STATIC`, `TARGETING_MATCH`, `SPLIT`, `DISABLED`, …"""
    variant: str | UnsetType = UNSET
    """The variant."""
    metadata: dict[str, str | int | float | bool] | UnsetType = UNSET
    """What the definition says besides."""
    errorCode: str | UnsetType = UNSET  # noqa: N815 - the name that the protocol has
    """Why there is none: `PARSE_ERROR`, `GENERAL`, …"""
    errorDetails: str | UnsetType = UNSET  # noqa: N815 - the name that the protocol has
    """The same in words."""


class Endpoint(Struct, frozen=True):
    """Where a stream of events is."""

    requestUri: str  # noqa: N815 - the name that the protocol has
    """Path and query, below the provider's own base address."""


class EventStream(Struct, frozen=True):
    """Where changes are told (ADR 0008); the provider puts its own base address before it."""

    type: str
    """`sse`: server-sent events."""
    endpoint: Endpoint
    """Where it is."""


class EvaluatedAll(Struct, frozen=True):
    """All flags."""

    flags: list[Evaluated]
    """In the order of the file."""
    eventStreams: list[EventStream]  # noqa: N815 - the name that the protocol has
    """Where changes are told."""
    metadata: dict[str, str | int | float | bool]
    """What the file says of all flags, and their `version`."""


class Refetch(Struct, frozen=True):
    """Flags have changed: ask again."""

    type: str
    """`refetchEvaluation`."""
    etag: str
    """Of what is in force now."""
    lastModified: int  # noqa: N815 - the name that the protocol has
    """When it changed, Unix time."""


class Unevaluated(Struct, frozen=True, omit_defaults=True):
    """Why nothing was evaluated."""

    errorCode: str  # noqa: N815 - the name that the protocol has
    """By OpenFeature's words: `PARSE_ERROR`, `INVALID_CONTEXT`, `FLAG_NOT_FOUND`, `GENERAL`."""
    errorDetails: str  # noqa: N815 - the name that the protocol has
    """The same in words."""
    key: str | UnsetType = UNSET
    """The flag that was asked for."""
