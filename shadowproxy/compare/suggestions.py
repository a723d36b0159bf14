"""What would settle a cause, where something would: lines of configuration, each with its reason. Pure.

Everything is valid YAML: the reasons are comments. A rule is suggested only for what the values themselves show to be
no data: ids, tokens and clocks made anew for each answer, another order, numbers a hair apart, fields that name the
server. A value that changed, and one that is missing, are never suggested to be ignored for that alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import floor, log10
from typing import Final, NamedTuple

from shadowproxy.compare.findings import Key
from shadowproxy.compare.paths import PathError, compile_path
from shadowproxy.compare.traits import CLOSE, EPOCH, LOCATION, TIME, TOKEN, UUID, Traits

ENOUGH: Final = 20
"""Pairs before the values of a field say anything."""
FEW: Final = 3
"""Pairs before anything is suggested: once is chance."""
ROUNDING: Final = 0.001
"""The largest relative difference where one side is always the larger, as rounding makes it."""
_NARROW: Final = 0.05
"""A tolerance larger than this share of the smallest number seen would hide more than jitter."""
_MOSTLY: Final = 0.1
"""Both directions occur when each has at least this share."""
_SETTLED: Final = ("header", "body_value", "body_type", "body_order")
"""Kinds that a rule may settle; what is missing or new, and another size or shape, is never ignored for that."""
_MAX_KEYS: Final = 12
"""A cause of more fields is not settled by a list of rules."""
EVERYTHING: Final = 0.95
"""The share of a route's pairs from which on it is nearly all of them."""

_SERVERS: Final = re.compile(
    r"alt-svc|cf-(?:cache-status|ray)|nel|report-to|server(?:-timing)?|via|x-amz-cf-(?:id|pop)|x-amzn-trace-id"
    r"|x-(?:aspnet-version|b3-traceid|backend(?:-server)?|cache(?:-hits)?|correlation-id|generator|instance|node|pod)"
    r"|x-(?:powered-by|process-time|request-id|response-time|runtime|served-by|server|timer|trace-id|varnish)"
)
"""Header fields that name who answered and how long it took, whatever the answer."""
_MEANING: Final = re.compile(
    r"accept-ranges|allow|cache-control|clear-site-data|etag|expires|last-modified|link|location|refresh|retry-after"
    r"|set-cookie|strict-transport-security|vary|www-authenticate|x-(?:frame-options|robots-tag|xss-protection)"
    r"|(?:access-control|content|cross-origin|permissions|referrer|x-content)-.*"
)
"""Header fields that clients and caches act upon: no rule is suggested for them."""
_LOOKS: Final = {
    UUID: "a UUID",
    TOKEN: "a random token",
    TIME: "the time of the answer",
    EPOCH: "the time of the answer",
}

_CREDENTIALS: Final = """\
# The candidate does not accept the credentials that the primary accepts. Its copies can carry some of its own:
shadow:
  headers: {candidate: {set: {Authorization: "Bearer ${CANDIDATE_TOKEN}"}}}"""
_ELSEWHERE: Final = """\
# The candidate redirects to another host than the primary and the request name. Look at the public URL that it is
# configured with, and at whether it trusts X-Forwarded-Host and X-Forwarded-Proto."""
_UNKNOWN_ROUTE: Final = """\
# The candidate answers 404 to nearly everything of this route. Look at whether it serves these paths at all, under
# which base path, and whether it chooses by Host: copies carry the user's."""


class _Rule(NamedTuple):
    """One entry of `compare`: `entry` as it stands in the list, or in the mapping of tolerances."""

    name: str
    entry: str
    reason: str


def suggest(
    statuses: tuple[int, int | None],
    keys: Sequence[Key],
    mixed: bool,
    left_out: int,
    seen: int,
    traits: Mapping[Key, Traits],
) -> str | None:
    """What would settle a cause seen in `seen` mismatches; empty: nothing does, None: not enough to say."""
    primary, shadow = statuses
    if not keys or shadow is None:
        return ""
    if seen < FEW:
        return None
    if primary < 400 and shadow in (401, 403):
        return _CREDENTIALS
    location = traits.get((LOCATION, "header"))
    if 300 <= shadow < 400 and location is not None and location.pairs == location.elsewhere:
        return _ELSEWHERE
    if primary != shadow or left_out or len(keys) > _MAX_KEYS:
        return ""
    rules = [_rule(key, traits.get(key)) for key in keys]
    if "" in rules:
        return ""
    return None if None in rules else _written([rule for rule in rules if isinstance(rule, _Rule)], mixed)


def unknown_route(primary: int, shadow: int | None, pairs: int, compared: int) -> str:
    """What to look at where the candidate does not know a route; empty where it does. Pairs of the cause and route."""
    lost = primary < 400 and shadow == 404 and compared >= ENOUGH and pairs >= EVERYTHING * compared
    return _UNKNOWN_ROUTE if lost else ""


def _rule(key: Key, traits: Traits | None) -> _Rule | str | None:
    """The rule that settles one field; empty: none does, None: not enough to say."""
    field, kind = key
    if kind not in _SETTLED or not _can_be_written(field):
        return ""
    if traits is None or traits.pairs < FEW:
        return None
    if kind == "body_order":
        reason = f"{field} keeps arriving in another order ({traits.pairs:,} pairs). If its order has no meaning:"
        return _Rule("unordered", json.dumps(field, ensure_ascii=False), reason)
    if kind == "header":
        return _header(field, traits)
    return _made_anew(field, traits) if traits.look and kind == "body_value" else _tolerance(field, traits)


def _can_be_written(field: str) -> bool:
    """Whether a rule can name the field, in a file where `${…}` is expanded: only JSON and header fields, whole."""
    try:
        whole = field.isprintable() and not field.endswith("…") and "${" not in field
        return whole and compile_path(field).room in ("json", "header")
    except PathError:
        return False


def _header(field: str, traits: Traits) -> _Rule | str | None:
    name = field.partition(":")[2]
    if _MEANING.fullmatch(name):
        return ""
    if _SERVERS.fullmatch(name):
        return _ignore(field, f"{field} tells who answered, not what.")
    if traits.look:
        return _made_anew(field, traits)
    if traits.one_sided or not traits.constant:
        return ""
    if traits.pairs < ENOUGH:
        return None
    return _ignore(field, f"{field} is always the same on each side ({traits.pairs:,} pairs): it names the version.")


def _made_anew(field: str, traits: Traits) -> _Rule | str | None:
    """Ids and clocks. An id that the same request gets again is data: then another one is a regression."""
    if traits.again and traits.look not in (TIME, EPOCH):
        return ""
    if traits.pairs < ENOUGH:
        return None
    what = f"{field} is {_LOOKS[traits.look]} on both sides in each of {traits.pairs:,} pairs"
    if traits.look in (TIME, EPOCH):
        return _ignore(field, f"{what}.")
    if traits.anew:
        return _ignore(field, f"{what}, and the primary answers the same request with another one.")
    return _ignore(field, f"{what}. If it is made anew for each answer:")


def _tolerance(field: str, traits: Traits) -> _Rule | str | None:
    if traits.numeric < traits.pairs or traits.share > CLOSE:
        return ""
    if traits.pairs < ENOUGH:
        return None
    if traits.equal == traits.pairs:
        reason = f"{field} is the same number, written with and without a fraction ({traits.pairs:,} pairs)."
        return _tolerate(field, 0.0, reason)
    limit = rounded_up(traits.apart)
    both = min(traits.larger, traits.smaller) >= _MOSTLY * (traits.pairs - traits.equal)
    if limit > _NARROW * traits.least or not (both or (traits.share <= ROUNDING and not traits.whole)):
        return ""
    side = "" if both else f"; the candidate's is {'larger' if traits.larger >= traits.smaller else 'smaller'}"
    reason = f"{field} differs by at most {traits.share * 100:.2g} % in {traits.pairs:,} pairs{side}."
    return _tolerate(field, limit, reason)


def rounded_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(value))
    step = next((step for step in (1, 2, 5) if value <= step * power * (1 + 1e-9)), 10)
    return float(f"{step * power:.1g}")


def _ignore(field: str, reason: str) -> _Rule:
    return _Rule("ignore", json.dumps(field, ensure_ascii=False), reason)


def _tolerate(field: str, limit: float, reason: str) -> _Rule:
    return _Rule("tolerance", f"{json.dumps(field, ensure_ascii=False)}: {limit:g}", reason)


def _written(rules: Sequence[_Rule], mixed: bool) -> str:
    lines = [f"# {rule.reason}" for rule in rules]
    if mixed:
        lines.append("# It settles this field; the others that differ beside it have causes of their own.")
    lines.append("compare:")
    for name in dict.fromkeys(rule.name for rule in rules):
        entries = ", ".join(rule.entry for rule in rules if rule.name == name)
        lines.append(f"  {name}: {{{entries}}}" if name == "tolerance" else f"  {name}: [{entries}]")
    return "\n".join(lines)
