"""What OFREP says (OpenFeature Remote Evaluation Protocol 0.3, github.com/open-feature/protocol), as JSON has it."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType


class Question(Struct, frozen=True):
    """Whom flags are evaluated for."""

    context: dict[str, Any] = {}


class Evaluated(Struct, frozen=True, omit_defaults=True):
    """One flag. Without `value` the caller's own default applies (ADR 0006); with `errorCode` as well."""

    key: str
    value: Any = UNSET
    reason: str | UnsetType = UNSET
    variant: str | UnsetType = UNSET
    metadata: dict[str, str | int | float | bool] | UnsetType = UNSET
    errorCode: str | UnsetType = UNSET  # noqa: N815 - the name that the protocol has
    errorDetails: str | UnsetType = UNSET  # noqa: N815 - the name that the protocol has


class Endpoint(Struct, frozen=True):
    requestUri: str  # noqa: N815 - the name that the protocol has


class EventStream(Struct, frozen=True):
    """Where changes are told (ADR 0008); the provider puts its own base address before it."""

    type: str
    endpoint: Endpoint


class EvaluatedAll(Struct, frozen=True):
    """All flags."""

    flags: list[Evaluated]
    eventStreams: list[EventStream]  # noqa: N815 - the name that the protocol has
    metadata: dict[str, str | int | float | bool]


class Unevaluated(Struct, frozen=True, omit_defaults=True):
    """Why nothing was evaluated."""

    errorCode: str  # noqa: N815 - the name that the protocol has
    errorDetails: str  # noqa: N815 - the name that the protocol has
    key: str | UnsetType = UNSET
