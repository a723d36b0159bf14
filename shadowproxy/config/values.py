"""The kinds of scalar that the document is made of: how each is parsed, rendered, and described to an editor.

A kind is put into an annotation; pydantic calls its `parse`, the schema and the reference take the rest. YAML gives
str, int, float or bool; a string that came from `${…}` (`Expanded`) may stand for a number or a truth value as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from shadowproxy.compare.accepted import EVERY_ROUTE
from shadowproxy.compare.paths import check_names, check_path
from shadowproxy.compare.patterns import check_pattern
from shadowproxy.compare.shapes import check_shape
from shadowproxy.config import addresses, matching, units
from shadowproxy.config.expand import Expanded
from shadowproxy.config.problems import BadValueError
from shadowproxy.config.tree import resolve
from shadowproxy.model.policy import Bind, Endpoint
from shadowproxy.model.slots import MOST
from shadowproxy.model.terms import KINDS

NONE: Final = "none"
"""The word that turns a limit off where there may be none."""
_VARIABLE: Final = r"\$\{"
ACCEPTABLE: Final = tuple(kind for kind in KINDS if not kind.startswith("candidate_"))
"""Kinds of difference that can be accepted."""


class SecretError(BadValueError):
    """A secret that cannot be used: its text is never shown."""


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of scalar. `label` names it in the reference, `schema` describes it in JSON Schema."""

    label: str
    parse: Callable[[Any], Any]
    schema: dict[str, Any]
    render: Callable[[Any], str] = str
    accepts_none: bool = False
    """Whether the word `none` may stand here."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)


def scalar(value: Any, right: str) -> Any:
    if isinstance(value, dict | list):
        raise BadValueError(f"{right}: one value, not a {'mapping' if isinstance(value, dict) else 'list'}")
    return resolve(str(value)) if isinstance(value, Expanded) else value


def text_kind(
    label: str, parse: Callable[[str], Any], pattern: str | None = None, render: Callable[[Any], str] = str
) -> Kind:
    """A kind written as text that `parse` understands; `pattern` tells editors what it looks like."""

    def read(value: Any) -> Any:
        if isinstance(value, dict | list):
            scalar(value, f"write a {label}")
        parsed = parse(str(value))
        if not isinstance(value, str):
            raise BadValueError("this is text: put quotes around it")
        return parsed

    return Kind(label, read, {"type": "string"} | ({"pattern": f"{pattern}|{_VARIABLE}"} if pattern else {}), render)


def unit_kind(
    label: str, parse: Callable[[str], Any], pattern: str, render: Callable[[Any], str], least: str = ""
) -> Kind:
    """A number with a unit. A plain number is refused with the parser's own advice; `least` excludes what is below."""

    def read(value: Any) -> Any:
        if isinstance(value, dict | list):
            scalar(value, f"write a {label}")
        number = parse(str(value))
        if least and number < parse(least):
            raise BadValueError(f"write at least {least}")
        return number

    return Kind(label, read, {"type": "string", "pattern": f"{pattern}|{_VARIABLE}"}, render)


def _or_none(kind: Kind) -> Kind:
    def read(value: Any) -> Any:
        return None if value == NONE else kind.parse(value)

    def render(value: Any) -> str:
        return NONE if value is None else kind.render(value)

    return Kind(f"{kind.label} or `{NONE}`", read, {"anyOf": [kind.schema, {"const": NONE}]}, render, True)


def count_kind(least: int, most: int) -> Kind:
    right = f"write a whole number from {least} to {most}"

    def read(value: Any) -> int:
        number = scalar(value, right)
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise BadValueError(right)
        return number

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Kind(f"{least} … {most}", read, or_variable(schema))


def or_variable(schema: dict[str, Any]) -> dict[str, Any]:
    """For editors: the value itself, or text that is expanded to it."""
    return {"anyOf": [schema, {"type": "string", "pattern": _VARIABLE}]}


def choice_kind(*words: str) -> Kind:
    right = "write one of: " + ", ".join(words)

    def read(value: Any) -> str:
        word = str(scalar(value, right))
        if word not in words:
            raise BadValueError(right)
        return word

    return Kind(" or ".join(f"`{word}`" for word in words), read, or_variable({"enum": list(words)}))


def _flag(value: Any) -> bool:
    right = "write true or false (in YAML 1.2 yes, no, on and off are text)"
    flag = scalar(value, right)
    if not isinstance(flag, bool):
        raise BadValueError(right)
    return flag


class Relative(float):
    """A difference in relation to the larger number, as a share."""


def _difference(value: Any) -> float:
    right = "write the largest difference that is still equal: a number such as 0.001, or a percentage such as 1%"
    number = scalar(value, right)
    if isinstance(number, str):
        try:
            return Relative(units.parse_percent(number))
        except BadValueError:
            raise BadValueError(right) from None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < float("inf"):
        raise BadValueError(right)
    try:
        return float(number)
    except OverflowError:
        raise BadValueError(right) from None


def _workers(value: Any) -> int | str:
    right = "write a whole number from 1 to 256, or auto for one per processor"
    number = scalar(value, right)
    if number == "auto":
        return "auto"
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 256:
        raise BadValueError(right)
    return number


def _hold_out(text: str) -> float:
    share = units.parse_percent(text)
    if share > MOST:
        raise BadValueError(f"write at most {units.render_percent(MOST)}, so that every slot has neighbours")
    return share


def _discovery_rate(text: str) -> float:
    share = units.parse_percent(text)
    if not 0.0001 <= share <= 0.5:
        raise BadValueError("write a share from 0.01% to 50%, such as 5%")
    return share


def _version(text: str) -> str:
    if not text.isprintable() or not 0 < len(text.strip()) <= 64:
        raise BadValueError("write 1 to 64 printable characters, such as v2.7.1")
    return text.strip()


def _secret(value: Any) -> str:
    if not isinstance(value, str):
        raise SecretError("this is text: put quotes around it")
    if not re.fullmatch(r"[A-Za-z0-9\-._~+/]{1,1024}=*", value):
        raise SecretError(
            "write what a Bearer token may hold: letters, digits and -._~+/ (RFC 6750 section 2.1), not empty"
        )
    return str(value)


def _set_value(value: Any) -> str:
    try:
        if not isinstance(value, str):
            raise BadValueError("this is text: put quotes around it")
        return matching.parse_field_value(str(value))
    except BadValueError as error:
        raise SecretError(str(error)) from None


def _pattern(value: Any) -> str:
    """A pattern may itself be a secret that must not be stored: what an expansion gave is not quoted back."""
    if not isinstance(value, str):
        raise BadValueError("write a regular expression, in quotes")
    why = check_pattern(value)
    if why is not None:
        raise BadValueError("write a safe regular expression" if isinstance(value, Expanded) else _without(value, why))
    return str(value)


def _field(text: str) -> str:
    why = check_path(text)
    if why is not None:
        raise BadValueError(_without(text, why))
    return text


def _body_field(text: str) -> str:
    why = check_path(text, json=True)
    if why is not None:
        raise BadValueError(_without(text, why))
    return text


def _member(text: str) -> str:
    why = check_names(text)
    if why is not None:
        raise BadValueError(_without(text, why))
    return text


def _acceptable(text: str) -> str:
    if text.startswith("candidate_"):
        raise BadValueError(
            "an exchange without a whole answer cannot be accepted: mend what fails, or do not mirror it"
        )
    if text not in ACCEPTABLE:
        raise BadValueError("write one of: " + ", ".join(ACCEPTABLE))
    return text


def _shape(text: str) -> str:
    why = check_shape(text)
    if why is not None:
        raise BadValueError(why)
    return text


def _moment(text: str) -> str:
    units.parse_moment(text)
    return text


def _some_route(text: str) -> str:
    if text == EVERY_ROUTE or (text.startswith("/") and text.isprintable() and len(text) <= 1000):
        return text
    try:
        return matching.parse_name(text)
    except BadValueError:
        raise BadValueError('write the name of a route, its template if it was learned, or "*" for all') from None


def _owner(text: str) -> str:
    return matching.parse_words(text, 100, "who answers for it, a name or an address")


def _without(text: str, why: str) -> str:
    """Another room's message less the value that it begins with: the caller knows whether that may be shown."""
    return why.removeprefix(repr(text)).lstrip(" :,")


def _some(text: str) -> str:
    if not text or "\0" in text:
        raise BadValueError("write the path of a file")
    return text


_PERCENTAGE: Final = {"type": "string", "pattern": f"{units.PERCENT_PATTERN}|{_VARIABLE}"}
_WORKERS: Final = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 256}, {"const": "auto"}]}
_DURATION: Final = unit_kind("duration", units.parse_duration, units.DURATION_PATTERN, units.render_duration)
_POSITIVE: Final = unit_kind("duration", units.parse_duration, units.DURATION_PATTERN, units.render_duration, "1ms")
_SIZE: Final = unit_kind("size", units.parse_size, units.SIZE_PATTERN, units.render_size)
_BUFFER: Final = unit_kind("size", units.parse_size, units.SIZE_PATTERN, units.render_size, "256B")

Share = Annotated[float, unit_kind("percentage", units.parse_percent, units.PERCENT_PATTERN, units.render_percent)]
HoldOut = Annotated[float, unit_kind("percentage", _hold_out, units.PERCENT_PATTERN, units.render_percent)]
DiscoveryRate = Annotated[float, unit_kind("percentage", _discovery_rate, units.PERCENT_PATTERN, units.render_percent)]
Duration = Annotated[float, _DURATION]
Positive = Annotated[float, _POSITIVE]
MaybePositive = Annotated[float | None, _or_none(_POSITIVE)]
Size = Annotated[int, _SIZE]
Buffer = Annotated[int, _BUFFER]
MaybeSize = Annotated[int | None, _or_none(_SIZE)]
Rate = Annotated[int, unit_kind("rate", units.parse_rate, units.RATE_PATTERN, units.render_rate)]
Few = Annotated[int, count_kind(1, 1000)]
Count = Annotated[int, count_kind(1, 1_000_000)]
Templates = Annotated[int, count_kind(1, 200)]
Waiting = Annotated[int, count_kind(0, 1_000_000)]
Depth = Annotated[int, count_kind(1, 200)]
Processes = Annotated[int, count_kind(1, 64)]
Workers = Annotated[int | str, Kind("1 … 256 or `auto`", _workers, or_variable(_WORKERS))]
Flag = Annotated[bool, Kind("`true` or `false`", _flag, or_variable({"type": "boolean"}))]
Difference = Annotated[float, Kind("number or percentage", _difference, {"anyOf": [{"type": "number"}, _PERCENTAGE]})]
Name = Annotated[str, text_kind("name", matching.parse_name, matching.NAME_PATTERN)]
Version = Annotated[str, text_kind("version", _version)]
Method = Annotated[str, text_kind("method", matching.parse_method)]
Prefix = Annotated[str, text_kind("path", matching.parse_prefix, "^/")]
Target = Annotated[str, text_kind("path", matching.parse_target, "^/")]
Template = Annotated[str, text_kind("path template", matching.parse_template, "^/")]
Host = Annotated[str, text_kind("host name", addresses.parse_host)]
Hosts = Annotated[str, text_kind("host name or `*.` and a domain", addresses.parse_hosts)]
Address = Annotated[Bind, text_kind("address", addresses.parse_bind)]
Url = Annotated[Endpoint, text_kind("URL", addresses.parse_url)]
Network = Annotated[str, text_kind("network", addresses.parse_network)]
File = Annotated[str, text_kind("file", _some)]
FieldPath = Annotated[str, text_kind("field", _field)]
BodyPath = Annotated[str, text_kind("JSON field", _body_field)]
Member = Annotated[str, text_kind("name of a member", _member)]
AnyRoute = Annotated[str, text_kind("route", _some_route)]
DifferenceKind = Annotated[str, text_kind("kind of difference", _acceptable)]
Shape = Annotated[str, text_kind("look of a value", _shape)]
Owner = Annotated[str, text_kind("name", _owner)]
Reason = Annotated[str, text_kind("reason", matching.parse_reason)]
Moment = Annotated[str, text_kind("date or time", _moment)]
Pattern = Annotated[str, Kind("regular expression", _pattern, {"type": "string"})]
FieldName = Annotated[str, text_kind("header name", matching.parse_field_name)]
FieldValue = Annotated[str, Kind("header value", _set_value, {"type": "string"})]
Text = Annotated[str, text_kind("text", lambda text: matching.parse_words(text, 200, "a name"))]
Secret = Annotated[str, Kind("secret", _secret, {"type": "string"})]
Role = Annotated[str, choice_kind("viewer", "operator", "evaluator")]
Balance = Annotated[str, choice_kind("round_robin", "least_connections")]
Writes = Annotated[str, choice_kind("never", "allow")]
LogFormat = Annotated[str, choice_kind("auto", "json", "text")]
