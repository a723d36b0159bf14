"""The file of accepted differences: a YAML list of entries, read and checked with the configuration.

A service has a file of its own where it says so; the others share `accepted.yaml` in the data directory, where there
is one. An entry without `service` is about every service that reads the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import ValidationError

from shadowproxy.compare.accepted import EVERY_ROUTE
from shadowproxy.compare.paths import compile_path
from shadowproxy.config import document as doc
from shadowproxy.config import values as v
from shadowproxy.config.findings import Findings
from shadowproxy.config.messages import is_about_key, path_of, sentence
from shadowproxy.config.outline import meaning
from shadowproxy.config.problems import BadValueError, Path, Problem
from shadowproxy.config.section import Section, about
from shadowproxy.config.source import text_of
from shadowproxy.config.tree import Place, Tree, read
from shadowproxy.config.units import parse_moment
from shadowproxy.model.policy import AcceptedPolicy, Launch
from shadowproxy.model.terms import OTHER

FILE_NAME: Final = "accepted.yaml"
MAX_ENTRIES: Final = 1_000
"""In one file: each is matched against what differs, and each is for a person to look after."""
_ROOMS: Final = {"status": "status", "header": "header"}


class AcceptedEntry(Section):
    """One accepted difference: the candidate may differ so, on this route, until it expires."""

    needs: ClassVar[tuple[str, ...]] = ("route", "field", "kind", "owner", "reason")
    route: v.AnyRoute | None = about('The route: its name, the template of a learned one, `other`, or `"*"` for all.')
    field: v.FieldPath | None = about("The field as the report writes it; `.*`, `..name` and `[]` stand for several.")
    kind: v.DifferenceKind | None = about("How it differs. Another kind of difference in the same field still counts.")
    shape: v.Shape | None = about(
        "Only values of the candidate that look so, such as `uuid` or `integer e3`. Absent: whatever they are."
    )
    owner: v.Owner | None = about("Who answers for it.")
    reason: v.Reason | None = about("Why it is accepted.")
    expires: v.Moment | None = about(
        "The last day, UTC, or a time (RFC 3339). After it the entry covers nothing and every report names it."
    )
    service: v.Name | None = about("The service, where several read the file. Absent: all of them.")

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two entries of one service the same."""
        return self.route or "", self.field or "", self.kind or "", self.shape or ""

    def policy(self) -> AcceptedPolicy:
        return AcceptedPolicy(
            *(self.route or "", self.field or "", self.kind or "", self.owner or "", self.reason or ""),
            shape=self.shape or "",
            expires=self.expires or "",
            until=None if self.expires is None else parse_moment(self.expires),
        )


class AcceptedDifferences(NamedTuple):
    """Of one service: the file that holds them, whether it is there or not, and its entries about the service.

    Without a candidate there is nothing to accept, and no file.
    """

    file: str
    entries: tuple[AcceptedPolicy, ...]


class _File(NamedTuple):
    """A file to read: how messages write it, who reads it, and the key that names it, if one does."""

    shown: str
    key: Path | None
    readers: list[str]


class Parsed(NamedTuple):
    """The entries that are fine, by their place in the list, and what is wrong."""

    entries: dict[int, AcceptedEntry]
    findings: Findings

    @property
    def problems(self) -> list[Problem]:
        return self.findings.in_order()


def read_accepted(document: doc.Document, findings: Findings, *, from_data_dir: bool) -> dict[str, AcceptedDifferences]:
    """The accepted differences of every service. What is wrong with their files is added to `findings`.

    `from_data_dir`: files that nobody named are looked for.
    """
    data_dir = findings.base / document.data_dir if document.data_dir else FilePath(Launch().data_dir).absolute()
    files: dict[FilePath, _File] = {}
    found: dict[str, AcceptedDifferences] = {}
    for name, path, service in document.named():
        own = service.accepted
        where = data_dir / FILE_NAME if own is None else findings.base / own
        compares = service.upstreams is not None and service.upstreams.candidate is not None
        found[name] = AcceptedDifferences(str(where) if compares else "", ())
        if compares and (from_data_dir if own is None else not findings.is_blamed((*path, "accepted"))):
            shown = str(where if own is None else FilePath(findings.file).parent / own)
            key = None if own is None else (*path, "accepted")
            files.setdefault(where, _File(shown, key, [])).readers.append(name)
    routes = {name: {route.name for route in service.routes or ()} for name, _, service in document.named()}
    for where, each in files.items():
        for entry in _read(where, each, findings, routes).entries.values():
            for name in each.readers if entry.service is None else [entry.service]:
                found[name] = found[name]._replace(entries=(*found[name].entries, entry.policy()))
    return found


def _read(path: FilePath, file: _File, findings: Findings, routes: Mapping[str, set[str | None]]) -> Parsed:
    text = ""
    try:
        text = text_of(path) if _is_there(path) else ""
        if not text and file.key is not None and not _is_there(path):
            findings.warn(file.key, "there is no such file: nothing is accepted until there is one")
    except BadValueError as error:
        findings.add(Problem(file.shown, 1, 1, "", str(error)))
    parsed = parse(text, file.shown, file.readers)
    for index, entry in parsed.entries.items():
        readers = file.readers if entry.service is None else [entry.service]
        if not any(_can_be_a_route(entry.route or "", routes.get(name, set())) for name in readers):
            parsed.findings.warn((index, "route"), f"there is no route {entry.route}: nothing can match this entry")
    findings.problems += parsed.problems
    findings.warnings += parsed.findings.warnings
    return parsed


def _is_there(path: FilePath) -> bool:
    """Raises BadValueError where nobody can tell."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise BadValueError(f"the file cannot be read ({error.strerror}): let this user read it") from None
    return True


def _can_be_a_route(name: str, configured: set[str | None]) -> bool:
    """Learned routes are named by their path."""
    return name in {EVERY_ROUTE, OTHER} or name in configured or name.startswith("/")


def parse(text: str, shown: str, services: list[str]) -> Parsed:
    """What the text of a file says. `services` are those that read it."""
    tree = read(text, shown)
    findings = Findings(tree, shown, FilePath())
    if not tree.whole:
        return Parsed({}, findings)
    items = tree.data if tree.data is not None else []
    if not isinstance(items, list):
        right = "the file must be a list: entries that each begin with a dash and have route, field and kind"
        findings.wrong((), right)
        return Parsed({}, findings)
    if len(items) > MAX_ENTRIES:
        findings.wrong((MAX_ENTRIES,), f"is one too many: write at most {MAX_ENTRIES:,} entries")
    entries = {index: entry for index, item in enumerate(items) if (entry := _entry(index, item, tree, findings))}
    _check_services(entries, services, findings)
    _check_twice(entries, findings)
    return Parsed({i: entry for i, entry in entries.items() if not findings.blames_below((i,))}, findings)


def entry_from(values: Mapping[str, Any]) -> AcceptedEntry:
    """One entry from values that no file holds. Raises BadValueError with everything that is wrong, in one line."""
    given = {name: value for name, value in values.items() if value is not None}
    places: dict[Path, Place] = {(0, name): Place("", 1, 1, (1, 1), str(value)) for name, value in given.items()}
    tree = Tree([given], {(0,): Place("", 1, 1, (1, 1)), **places}, [], set(), True)
    findings = Findings(tree, "", FilePath())
    entry = _entry(0, given, tree, findings)
    if entry is None or findings.problems:
        raise BadValueError("; ".join(f"{p.path.removeprefix('[0].')} {p.message}" for p in findings.problems))
    return entry


def _entry(index: int, item: Any, tree: Tree, findings: Findings) -> AcceptedEntry | None:
    """An entry that is fine by itself; None where something is wrong with it."""
    for name in AcceptedEntry.needs if isinstance(item, dict) else ():
        if name not in item:
            findings.lacks((index,), name, f"is missing: {meaning(AcceptedEntry, name)}")
    try:
        entry = AcceptedEntry.model_validate(item)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            path = path_of({"loc": (index, *one["loc"])}, tree.places)
            findings.wrong(path, sentence(one, path, tree.places, AcceptedEntry), at_key=is_about_key(one))
        return None
    wrong = _kind_elsewhere(entry) if entry.field and entry.kind else ""
    if wrong:
        findings.wrong((index, "kind"), wrong)
    return None if findings.blames_below((index,)) else entry


def _kind_elsewhere(entry: AcceptedEntry) -> str:
    """Why a field never differs in this kind; empty if it may."""
    room = compile_path(entry.field or "").room
    right = _ROOMS.get(room)
    if right is not None and entry.kind != right:
        return f'cannot be "{entry.kind}": {entry.field} differs in the kind {right}'
    if right is None and entry.kind in _ROOMS:
        return f'cannot be "{entry.kind}": {entry.field} is part of a body, its kinds begin with body_'
    return ""


def _check_services(entries: dict[int, AcceptedEntry], services: list[str], findings: Findings) -> None:
    for index, entry in entries.items():
        if entry.service is not None and entry.service not in services:
            which = f"the services that read this file are {', '.join(services)}"
            findings.wrong((index, "service"), f"there is no {entry.service}: {which}")


def _check_twice(entries: dict[int, AcceptedEntry], findings: Findings) -> None:
    first: dict[tuple[str, ...], list[tuple[int, str | None]]] = {}
    for index, entry in entries.items():
        earlier = first.setdefault(entry.identity, [])
        for other, service in earlier:
            if entry.service is None or service in {None, entry.service}:
                findings.wrong((index,), f"says the same as entry {other + 1}: keep one of them")
                break
        earlier.append((index, entry.service))


def written(entry: AcceptedEntry) -> Iterator[tuple[str, str]]:
    """The keys of an entry and their values, in the order in which they are documented."""
    for name in AcceptedEntry.model_fields:
        value = getattr(entry, name)
        if value is not None:
            yield name, value
