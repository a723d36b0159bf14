"""From the text of a flags file to definitions, or to everything that is wrong with it.

flagd's JSON as it is (flagd.dev/schema/v0/flags.json): what flagd would take and then never evaluate as it was meant is
refused here, with its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from shadowproxy.flags.checking import Checker
from shadowproxy.flags.definitions import (
    DISABLED,
    ENABLED,
    NO_RULE,
    Definition,
    Definitions,
    FlagsError,
    collecting_later,
)
from shadowproxy.flags.fields import MAX_KEY, is_key
from shadowproxy.flags.locating import Path, path_text, place, place_of
from shadowproxy.model.rollout import CHANGE_CLASSES

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_FLAGS: Final = 100_000
MAX_PROBLEMS: Final = 100
"""Said at once; the rest is counted."""
HEADER_NAME: Final = "header_name"
OFF_VARIANT: Final = "off_variant"
CHANGE_CLASS: Final = "change_class"
"""Metadata of a flag that mean something here."""

_TOP: Final = frozenset({"flags", "$evaluators", "metadata", "$schema"})
_FLAG: Final = frozenset({"state", "variants", "defaultVariant", "targeting", "metadata", "source", "selector"})
_TYPES: Final = ((bool, "boolean"), (str, "string"), (int | float, "number"), (dict, "object"), (list, "list"))

Problem = tuple[Path, str]


def read(text: bytes, where: str) -> Definitions:
    """Definitions of which every flag can be compiled. `where` names the file in problems. Raises FlagsError."""
    with collecting_later():
        return _read(text, where)


def _read(text: bytes, where: str) -> Definitions:
    document, source = _document(text, where)
    problems = _Reading(document).problems()
    if problems:
        told = [_said(source, where, path, why) for path, why in problems[:MAX_PROBLEMS]]
        if len(problems) > MAX_PROBLEMS:
            told.append(f"{where}: {len(problems) - MAX_PROBLEMS:,} more problems")
        raise FlagsError(tuple(told))
    flags = {}
    for key, flag in list(document["flags"].items()):
        flags[key] = _definition(flag)
        document["flags"][key] = None  # so that only one of the two is there at a time
    return Definitions(flags, document.get("$evaluators", {}), document.get("metadata", {}))


def _said(source: str, where: str, path: Path, why: str) -> str:
    name = path_text(path)
    return f"{where}:{place(source, path)}: {name + ': ' if name else ''}{why}"


def _definition(flag: dict[str, Any]) -> Definition:
    default = flag.get("defaultVariant")
    if isinstance(default, bool):
        default = str(default).lower()
    definition = Definition(flag["state"], flag["variants"], default or None, NO_RULE, flag.get("metadata") or {})
    return definition.with_rule(flag["targeting"]) if flag.get("targeting") else definition


# JSON


def _document(text: bytes, where: str) -> tuple[dict[str, Any], str]:
    if len(text) > MAX_BYTES:
        raise FlagsError((f"{where}: it has {len(text):,} bytes; at most {MAX_BYTES:,} are read",))
    try:
        source = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise FlagsError((f"{where}:{line}: it is not UTF-8, as JSON has to be",)) from None
    try:
        twins: list[str] = []
        document = json.loads(source, parse_constant=_no_constant, object_pairs_hook=_noting(twins))
    except json.JSONDecodeError as error:
        raise FlagsError((f"{where}:{error.lineno}:{error.colno}: it is not JSON: {error.msg}",)) from None
    except RecursionError:
        raise FlagsError((f"{where}: it is nested too deep",)) from None
    except ValueError as error:
        raise FlagsError((f"{where}: it is not JSON: {error}",)) from None
    if not isinstance(document, dict):
        raise FlagsError((f"{where}:1:1: a flags file is an object with `flags`, not {_kind(document)}",))
    if twins:
        raise FlagsError(tuple(_twin(name, source, where) for name in dict.fromkeys(twins)))
    return document, source


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _noting(twins: list[str]) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """Of two members of one name parsers take either: which one was meant cannot be known."""

    def make(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            names = [name for name, _ in pairs]
            twins.extend(name for name in made if names.count(name) > 1)
        return made

    return make


def _twin(name: str, source: str, where: str) -> str:
    shown = json.dumps(name, ensure_ascii=False)
    at = max(source.rfind(json.dumps(name)), source.rfind(shown))
    spot = f":{place_of(source, at)}" if at >= 0 else ""
    return f"{where}{spot}: {shown} stands twice in one object; write it once"


# What it says


class _Reading:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        evaluators = document.get("$evaluators")
        self._checker = Checker(evaluators if isinstance(evaluators, dict) else {})

    def problems(self) -> list[Problem]:
        return [*self._shape(), *self._checker.problems]

    def _shape(self) -> Iterator[Problem]:
        document = self._document
        for name in document.keys() - _TOP:
            yield (name,), f"there is no such key; a flags file has {', '.join(sorted(_TOP))}"
        flags = document.get("flags")
        if not isinstance(flags, dict):
            yield ("flags",) if "flags" in document else (), f"`flags` has to be an object of flags, not {_kind(flags)}"
            return
        if len(flags) > MAX_FLAGS:
            yield ("flags",), f"there are {len(flags):,} flags; at most {MAX_FLAGS:,} are possible"
            return
        if not isinstance(document.get("$evaluators", {}), dict):
            yield ("$evaluators",), f"it has to be an object of rules, not {_kind(document['$evaluators'])}"
        yield from _metadata(document.get("metadata"), ("metadata",))
        names: dict[str, str] = {}
        for key, flag in flags.items():
            path: Path = ("flags", key)
            if not isinstance(flag, dict):
                yield path, f"a flag is an object with `state`, `variants` and `defaultVariant`, not {_kind(flag)}"
                continue
            yield from self._flag(flag, path)
            yield from _header_name(key, flag, path, names)

    def _flag(self, flag: dict[str, Any], path: Path) -> Iterator[Problem]:
        for name in flag.keys() - _FLAG:
            yield (*path, name), f"there is no such key; a flag has {', '.join(sorted(_FLAG - {'source', 'selector'}))}"
        if flag.get("state") not in (ENABLED, DISABLED):
            yield (
                (*path, "state") if "state" in flag else path,
                f"`state` has to be {ENABLED} or {DISABLED}, not {_shown(flag.get('state'))}",
            )
        yield from _metadata(flag.get("metadata"), (*path, "metadata"))
        variants = flag.get("variants")
        if not isinstance(variants, dict) or not variants:
            here = (*path, "variants") if "variants" in flag else path
            yield here, f"`variants` has to be an object with at least one variant, not {_shown(variants)}"
            return
        yield from _variants(variants, (*path, "variants"))
        yield from _default(flag, variants, path)
        yield from _meant(flag, variants, path)
        targeting = flag.get("targeting")
        if targeting is None or targeting == {}:
            return
        if not isinstance(targeting, dict):
            yield (*path, "targeting"), f"it has to be a JsonLogic rule, an object, not {_kind(targeting)}"
        elif len(targeting) != 1:
            names = ", ".join(targeting)
            yield (*path, "targeting"), f"a rule is an object with one operator, not with {len(targeting)}: {names}"
        else:
            self._checker.rule(targeting, variants, (*path, "targeting"))


def _variants(variants: dict[str, Any], path: Path) -> Iterator[Problem]:
    first = ""
    for name, value in variants.items():
        kind = _kind(value)
        if not name:
            yield (*path, name), "a variant needs a name"
        if value is None:
            yield (*path, name), "a variant has a value, not null"
            continue
        first = first or kind
        if kind != first:
            yield (*path, name), f"it is {_article(kind)}, the one before {_article(first)}: all variants have one type"


def _default(flag: dict[str, Any], variants: dict[str, Any], path: Path) -> Iterator[Problem]:
    default = flag.get("defaultVariant")
    if default is None or default == "":
        return
    name = str(default).lower() if isinstance(default, bool) else default
    if not isinstance(name, str):
        yield (*path, "defaultVariant"), f"it has to be the name of a variant, not {_kind(default)}"
    elif name not in variants:
        yield (*path, "defaultVariant"), f"there is no variant {name!r}; there are {', '.join(variants)}"


def _meant(flag: dict[str, Any], variants: dict[str, Any], path: Path) -> Iterator[Problem]:
    """Metadata that mean something here."""
    metadata = flag.get("metadata")
    if not isinstance(metadata, dict):
        return
    off = metadata.get(OFF_VARIANT)
    if off is not None and off not in variants:
        yield (*path, "metadata", OFF_VARIANT), f"there is no variant {off!r}; there are {', '.join(variants)}"
    change = metadata.get(CHANGE_CLASS)
    if change is not None and change not in CHANGE_CLASSES:
        yield (*path, "metadata", CHANGE_CLASS), f"it has to be one of {', '.join(CHANGE_CLASSES)}, not {change!r}"


def _metadata(metadata: Any, path: Path) -> Iterator[Problem]:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield path, f"it has to be an object, not {_kind(metadata)}"
        return
    for name, value in metadata.items():
        if not name:
            yield (*path, name), "a key must not be empty"
        if not isinstance(value, str | int | float):
            yield (*path, name), f"it has to be a string, a number or a boolean, not {_kind(value)}"


def _header_name(key: str, flag: dict[str, Any], path: Path, names: dict[str, str]) -> Iterator[Problem]:
    """`names` are those of the flags before, by name the flag."""
    metadata = flag.get("metadata")
    own = metadata.get(HEADER_NAME) if isinstance(metadata, dict) else None
    name = key if own is None else own
    rule = f"lower-case letters, digits, `_-.*`, a letter or `*` first, at most {MAX_KEY} characters (RFC 9651, 3.2)"
    if not isinstance(name, str) or not is_key(name):
        if own is None:
            yield path, f"its key cannot stand in a header: give it metadata `{HEADER_NAME}`, made of {rule}"
        else:
            yield (*path, "metadata", HEADER_NAME), f"{_shown(own)} cannot stand in a header; it is made of {rule}"
    elif name in names:
        yield (
            path,
            f"its name in the header, {name!r}, is also that of {names[name]!r}: give it metadata `{HEADER_NAME}`",
        )
    else:
        names[name] = key


def header_name(key: str, definition: Definition) -> str:
    """What a flag is called in the header."""
    name = definition.metadata.get(HEADER_NAME)
    return name if isinstance(name, str) else key


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return next(name for kind, name in _TYPES if isinstance(value, kind))


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _shown(value: Any) -> str:
    return "missing" if value is None else json.dumps(value, ensure_ascii=False)[:60]
