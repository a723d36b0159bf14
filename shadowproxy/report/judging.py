"""What counts as a failure, where someone says so (`--fail-on`): a report judged anew by a list of words. Pure.

Without words a report keeps its own verdict. Fewer than 50 compared pairs stay inconclusive, whatever the words, but
for `inconclusive` itself and for what is certain without any pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.evidence.ledger import OPEN
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.model.totals import ENOUGH_PAIRS
from shadowproxy.report import phrases, standing
from shadowproxy.report.build import EXIT_CODES, FAIL, INCONCLUSIVE, PASS, concluded, overall
from shadowproxy.report.plain import number
from shadowproxy.report.values import Failed, Report, ServiceReport

Found = Iterator[tuple[str, str]]
"""Routes (empty: the whole service), and what is the matter there."""


class Word(Struct, frozen=True):
    """One word of `--fail-on`. What it finds needs enough pairs to be believed, or not; it is about routes, or not."""

    meaning: str
    find: Callable[[ServiceReport], Found]
    needs_pairs: bool = True
    of_routes: bool = True


class UnknownWordError(ValueError):
    """A list that `--fail-on` does not take. The text says what would be right."""


def is_few(service: ServiceReport) -> bool:
    """Whether there is not enough to say anything; also of a report that was judged before."""
    return service.compared < ENOUGH_PAIRS


def _cannot_say(service: ServiceReport) -> bool:
    """Too few pairs, or differences in fields that nobody follows."""
    return service.verdict == INCONCLUSIVE or is_few(service)


def _fields(service: ServiceReport) -> Found:
    for route in service.routes:
        counted = [row for row in standing.fields(service, route) if row.state in standing.COUNT]
        if counted:
            yield route.name, _first([f"{row.name} {row.kind}" for row in counted], "field")
        elif route.mismatches and not route.failures and not standing.is_known(service, route):
            # A comparer that died took the names of the fields along; its verdicts were counted.
            yield route.name, f"{number(route.mismatches, 'pair')} differ"


def _errors(service: ServiceReport) -> Found:
    for route in service.routes:
        if route.errors and route.errors.regressed:
            yield route.name, next(phrases.errors(route.errors))


def _latency(service: ServiceReport) -> Found:
    for route in service.routes:
        if standing.is_slower(route):
            yield route.name, standing.slower_why(route) or "slower"


def _failures(service: ServiceReport) -> Found:
    for route in service.routes:
        if route.failures:
            yield route.name, ", ".join(f"{each.kind} {each.pairs:,}" for each in route.failures)


def _mismatches(service: ServiceReport) -> Found:
    for route in service.routes:
        if route.mismatches:
            yield route.name, f"{number(route.mismatches, 'pair')} differ"


def _open(service: ServiceReport) -> Found:
    for route in service.routes:
        rows = [row for row in standing.fields(service, route) if row.state in {OPEN, standing.DIFFERS}]
        if rows:
            yield route.name, _first([f"{row.name} {row.kind}" for row in rows], "field")


def _expired(service: ServiceReport) -> Found:
    """Before there are enough pairs nothing can have matched an entry: then only its date counts."""
    states = {"expired"} if is_few(service) else {"expired", "dead"}
    due = [
        f"{each.state} {each.field} {each.kind} on {each.route}" for each in service.accepted if each.state in states
    ]
    if due:
        yield "", _first(due, "accepted difference")


def _incomparable(service: ServiceReport) -> Found:
    for route in service.routes:
        if pairs := route.verdicts.get(CANDIDATE, {}).get("incomparable", 0):
            yield route.name, f"{number(pairs, 'pair')} could not be compared"


def _inconclusive(service: ServiceReport) -> Found:
    if _cannot_say(service):
        yield "", service.conclusion


def _nothing(_service: ServiceReport) -> Found:
    yield from ()


NONE: Final = "none"
DEFAULT: Final = ("fields", "errors", "latency", "failures")
"""What the report's own verdict looks at."""
WORDS: Final = {
    "fields": Word("fields that regressed; without second answers, any that differs", _fields),
    "errors": Word("the candidate fails more often than the primary", _errors),
    "latency": Word("the candidate is slower", _latency),
    "failures": Word("the candidate gave no whole answer, even once", _failures),
    "mismatches": Word("any pair that differs", _mismatches),
    "open": Word("fields that differ and are neither noise nor a regression yet", _open),
    "expired": Word("accepted differences that are expired or dead", _expired, needs_pairs=False, of_routes=False),
    "incomparable": Word("pairs that could not be compared", _incomparable, needs_pairs=False),
    "inconclusive": Word(
        "it cannot be said, as with fewer than 50 compared pairs: exit code 1 instead of 3",
        _inconclusive,
        needs_pairs=False,
        of_routes=False,
    ),
    NONE: Word("nothing: exit code 0, or 3", _nothing, of_routes=False),
}


def parse(lists: Iterable[str]) -> tuple[str, ...]:
    """The words of comma-separated lists, each once, in the order of WORDS. Raises UnknownWordError."""
    given = [word.strip() for text in lists for word in text.split(",")]
    for word in given:
        if word not in WORDS:
            raise UnknownWordError(f"{word!r} is not one of {', '.join(WORDS)}")
    if NONE in given and len(set(given)) > 1:
        raise UnknownWordError(f"{NONE!r} stands alone, not with {', '.join(sorted(set(given) - {NONE}))}")
    return tuple(word for word in WORDS if word in given)


def narrow(report: Report, service: str) -> Report:
    """The report of one of its services."""
    services = [each for each in report.services if each.name == service]
    verdict = overall([each.verdict for each in services])
    return replace(
        report,
        services=services,
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        conclusion=concluded(services),
    )


def judge(report: Report, words: Sequence[str]) -> Report:
    """The report with the verdict, exit code and conclusion that follow from `words`; without any it is as it was."""
    if not words:
        return report
    services = [_judged(service, words) for service in report.services]
    verdict = overall([each.verdict for each in services])
    return replace(
        report,
        services=services,
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        conclusion=concluded(services),
        fail_on=list(words),
    )


def _judged(service: ServiceReport, words: Sequence[str]) -> ServiceReport:
    failed = list(findings(service, words))
    if failed:
        verdict, conclusion = FAIL, _said(failed, words)
    elif is_few(service) or ("fields" in words and _cannot_say(service)):
        verdict, conclusion = INCONCLUSIVE, service.conclusion
    else:
        verdict, conclusion = PASS, _passed(service, words)
    return replace(service, verdict=verdict, exit_code=EXIT_CODES[verdict], conclusion=conclusion, failed=failed)


def findings(service: ServiceReport, words: Iterable[str]) -> Iterator[Failed]:
    """What each word finds in a service."""
    for word in words:
        if not (WORDS[word].needs_pairs and is_few(service)):
            yield from (Failed(word, route, says) for route, says in WORDS[word].find(service))


def _said(failed: Sequence[Failed], words: Sequence[str]) -> str:
    parts = []
    for word in words:
        places = [f"{each.says}{f' on {each.route}' if each.route else ''}" for each in failed if each.word == word]
        if places:
            parts.append(f"{word}: {_first(places, 'route')}")
    return f"failed by {'; '.join(parts)}"


def _passed(service: ServiceReport, words: Sequence[str]) -> str:
    pairs = number(service.compared, "compared pair")
    said = f"nothing fails in {pairs}" if NONE in words else f"no {' or '.join(words)} in {pairs}"
    return f"{said}; without --fail-on: {service.conclusion}" if service.verdict == FAIL else said


def _first(things: Sequence[str], noun: str) -> str:
    more = len(things) - 1
    return f"{things[0]} and {number(more, f'more {noun}')}" if more else things[0]
