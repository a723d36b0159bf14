"""The kinds of scalar that rollouts and freezes alone use: users, failures, limits of checks, zones."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shadowproxy.config import matching, units
from shadowproxy.config.problems import BadValueError
from shadowproxy.config.values import (
    Kind,
    SecretError,
    choice_kind,
    count_kind,
    or_variable,
    scalar,
    text_kind,
    unit_kind,
)
from shadowproxy.model import rollout as r
from shadowproxy.rollout import cron
from shadowproxy.rollout.freeze import ALLOW, DENY, IN_FLIGHT

_COOKIE_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]*")
"""RFC 6265 section 4.1.1, cookie-octet."""
_PATH: Final = "path:"
_TIMEOUT: Final = "timeout"
_FAILURE_RIGHT: Final = "write 4xx, 5xx, timeout, or a status from 400 to 599"


class Points(float):
    """A difference of two shares."""


class Seconds(float):
    """A duration."""


class Percentage(float):
    """A share."""


def _header_name(text: str) -> str:
    if not matching.TOKEN.fullmatch(text) or len(text) > 256:
        raise BadValueError("write the name of a header field, such as x-user-id")
    return text.lower()


def _cookie_name(text: str) -> str:
    if not matching.TOKEN.fullmatch(text) or len(text) > 256:
        raise BadValueError("write the name of a cookie, such as session")
    return text


def _user(text: str) -> r.Sticky:
    where, _, name = text.partition(":")
    if where == "header" and name:
        return r.Sticky(header=_header_name(name))
    if where == "cookie" and name:
        return r.Sticky(cookie=_cookie_name(name))
    raise BadValueError("write header:NAME or cookie:NAME, such as header:x-user-id")


def _chosen_header(text: str) -> r.Chosen:
    name, colon, value = text.partition(":")
    wanted = matching.parse_field_value(value.strip()) if colon else None
    if wanted == "":
        raise BadValueError("write the value after the colon, or the name alone")
    return r.Chosen(header=_header_name(name.strip()), value=wanted)


def _chosen_cookie(text: str) -> r.Chosen:
    name, equals, value = text.partition("=")
    if equals and not (value and _COOKIE_VALUE.fullmatch(value)):
        raise BadValueError("write NAME=VALUE as it stands in the header, or the name alone")
    return r.Chosen(cookie=_cookie_name(name), value=value if equals else None)


def _failure(value: Any) -> str:
    text = str(scalar(value, _FAILURE_RIGHT))
    if text not in ("4xx", "5xx", _TIMEOUT) and not re.fullmatch("[45][0-9][0-9]", text):
        raise BadValueError(_FAILURE_RIGHT)
    return text


def failures_of(written: tuple[str, ...]) -> r.Failures:
    return r.Failures(
        classes=tuple(sorted({int(text[0]) for text in written if text.endswith("xx")})),
        statuses=tuple(sorted({int(text) for text in written if text.isdigit()})),
        timeouts=_TIMEOUT in written,
    )


FAILURES: Final = ("5xx", _TIMEOUT)
"""`model.rollout.Failures()` as it is written."""


def _excluded(text: str) -> str:
    if not text.startswith(_PATH):
        raise BadValueError("write path: and a path or a template, such as path:/healthz or path:/internal/*")
    return matching.parse_template(text.removeprefix(_PATH))


def _weight(text: str) -> float:
    share = units.parse_percent(text)
    if not share:
        raise BadValueError("write more than 0%, up to 100%")
    return share


def _max_absolute(value: Any) -> float:
    text = str(scalar(value, "write percentage points such as 0.1pp, or a duration such as 20ms"))
    if text.endswith("pp"):
        return Points(units.parse_points(text))
    try:
        return Seconds(units.parse_duration(text))
    except BadValueError:
        raise BadValueError("write percentage points such as 0.1pp, or for latencies a duration such as 20ms") from None


def _max(value: Any) -> float:
    right = "write a percentage for shares, a duration for latencies, a number for promql"
    number = scalar(value, right)
    if isinstance(number, int | float) and not isinstance(number, bool):
        return float(number)
    text = str(number)
    try:
        return Percentage(units.parse_percent(text)) if text.endswith("%") else Seconds(units.parse_duration(text))
    except BadValueError:
        raise BadValueError(right) from None


def _link(text: str) -> str:
    right = "write an address such as https://hooks.example/rollouts"
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[!-~]{1,2048}", text) or parts.fragment:
        raise SecretError(right)
    if parts.username is not None or parts.password is not None:
        raise SecretError("an address with a user in it is not sent: write the address alone")
    return text


def _key(value: Any) -> str:
    if not isinstance(value, str) or not 8 <= len(value) <= 1024:
        raise SecretError("write a secret of 8 to 1024 characters, in quotes")
    return str(value)


def _promql(text: str) -> str:
    if not text.strip() or len(text) > 4096:
        raise BadValueError("write a query of at most 4096 characters")
    return text.strip()


def _cron(text: str) -> str:
    try:
        cron.check(text)
    except cron.BadCronError as error:
        raise BadValueError(f"{error}: write minute, hour, day, month, weekday, such as 0 18 * * FRI") from None
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadValueError("write the name of a time zone, such as Europe/Berlin or UTC") from None
    return text


def _local_time(text: str) -> str:
    units.parse_local_time(text, ZoneInfo("UTC"), ends=False)
    return text


_GROWTH: Final = unit_kind("percentage", units.parse_growth, units.PERCENT_PATTERN, units.render_percent)
_STATUS: Final = {"type": "integer", "minimum": 400, "maximum": 599}
_FAILURE: Final = {"anyOf": [_STATUS, *or_variable({"enum": ["4xx", "5xx", _TIMEOUT]})["anyOf"]]}

User = Annotated[r.Sticky, text_kind("`header:NAME` or `cookie:NAME`", _user, "^(header|cookie):")]
ChosenHeader = Annotated[r.Chosen, text_kind("header name, or `name: value`", _chosen_header)]
ChosenCookie = Annotated[r.Chosen, text_kind("cookie name, or `name=value`", _chosen_cookie)]
Fallback = Annotated[str, choice_kind("client_ip", "request_id")]
Failure = Annotated[str, Kind("`4xx`, `5xx`, status or `timeout`", _failure, _FAILURE)]
Excluded = Annotated[str, text_kind("`path:` and a path template", _excluded, "^path:/", lambda path: _PATH + path)]
Weight = Annotated[float, unit_kind("percentage", _weight, units.PERCENT_PATTERN, units.render_percent)]
Growth = Annotated[float, _GROWTH]
Slope = Annotated[float, unit_kind("slope", units.parse_slope, units.SLOPE_PATTERN, units.render_slope)]
MaxAbsolute = Annotated[float, Kind("percentage points or duration", _max_absolute, {"type": "string"})]
Max = Annotated[float, Kind("percentage, duration or number", _max, {"type": ["string", "number"]})]
Link = Annotated[str, text_kind("address", _link)]
Key = Annotated[str, Kind("secret", _key, {"type": "string"})]
Promql = Annotated[str, text_kind("query", _promql)]
Cron = Annotated[str, text_kind("cron expression", _cron)]
Zone = Annotated[str, text_kind("time zone", _zone)]
LocalTime = Annotated[str, text_kind("date or time", _local_time)]
Retries = Annotated[int, count_kind(0, 10)]
StageName = Annotated[str, text_kind("text", lambda text: matching.parse_words(text, 64, "a name"))]
FlagKey = Annotated[str, text_kind("text", lambda text: matching.parse_words(text, 200, "a name"))]
Strategy = Annotated[str, choice_kind("shadow", "canary", "progressive", "blue-green")]
ChangeClass = Annotated[str, choice_kind(*r.CHANGE_CLASSES)]
CheckKind = Annotated[str, choice_kind(*r.CHECK_KINDS)]
Mode = Annotated[str, choice_kind(r.ENFORCE, r.OBSERVE)]
Against = Annotated[str, choice_kind("primary")]
Evidence = Annotated[str, choice_kind("no_failure", "not_worse")]
OnTimeout = Annotated[str, choice_kind("hold", "rollback", "advance")]
Event = Annotated[str, choice_kind(*r.EVENTS)]
OnFail = Annotated[str, choice_kind("rollback", "pause")]
Supervise = Annotated[str, choice_kind("optional", "required")]
WindowKind = Annotated[str, choice_kind(DENY, ALLOW)]
InFlight = Annotated[str, choice_kind(*IN_FLIGHT)]
