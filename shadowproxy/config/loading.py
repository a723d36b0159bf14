"""Reading a configuration: text → tree → options → expansion → validation → rules → what to run.

Every step adds to one list of problems. A value that is wrong by itself is taken out before the next step, so that
everything else is still checked and one mistake is one line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from shadowproxy.config.accepted import read_accepted
from shadowproxy.config.build import Builder
from shadowproxy.config.command_line import apply
from shadowproxy.config.document import Document
from shadowproxy.config.expand import expand_all
from shadowproxy.config.findings import Findings
from shadowproxy.config.messages import is_about_key, meant_key, path_of, sentence
from shadowproxy.config.overrides import Overrides
from shadowproxy.config.problems import COMMAND_LINE, BadValueError, ConfigError, Path, Problem
from shadowproxy.config.rules import RULES
from shadowproxy.config.source import text_of
from shadowproxy.config.templates import described, with_described
from shadowproxy.config.tree import Tree, read
from shadowproxy.metrics.layout import MAX_ROUTES, MAX_SERVICES
from shadowproxy.model.policy import Loaded, Registry
from shadowproxy.model.terms import OTHER

MAX_PROBLEMS: Final = 500
"""Wrong values of one round that are looked at more closely: guessing what a key was meant to be takes time."""
_ROUNDS: Final = 40
"""Validation is repeated on what is left after wrong values were taken out; each round takes at least one."""


def load(
    path: FilePath | None,
    overrides: Overrides,
    registry: Registry,
    environ: Mapping[str, str],
    *,
    from_data_dir: bool = True,
    text: str | None = None,
) -> Loaded:
    """Read `path` (None: options alone) and give back what to run. `registry` is not changed: a copy is returned.

    `from_data_dir`: accepted differences in the data directory count too. `text` is what the file is going to say,
    where it does not say so yet. Raises ConfigError with every problem.
    """
    cwd = FilePath.cwd()
    base = cwd if path is None else path.absolute().parent
    file = COMMAND_LINE if path is None else str(path)
    tree = _tree(path, file, text)
    findings = Findings(tree, file, base)
    for option, message in apply(tree, overrides, cwd):
        findings.add(Problem(COMMAND_LINE, 1, 1, option, message))
    for wrong, message in expand_all(tree, environ, base):
        findings.wrong(wrong, message)
        findings.blame(_take_out(tree.data, wrong))
    document = _validated(tree, findings)
    _check_rows(document, registry, findings)
    for rule in RULES:
        rule(document, findings)
    templates = described(document, findings)
    accepted = read_accepted(document, findings, from_data_dir=from_data_dir)
    if findings.problems:
        raise ConfigError(findings.in_order())
    rows = msgspec.structs.replace(registry, services=dict(registry.services), routes=dict(registry.routes))
    builder = Builder(document, base, rows, accepted)
    launch = builder.launch("" if path is None else str(path.absolute()), len(os.sched_getaffinity(0)))
    policy, rows = with_described(builder.policy(), rows, templates, document, findings)
    return Loaded(launch, policy, rows, tuple(findings.warnings))


def _tree(path: FilePath | None, file: str, text: str | None) -> Tree:
    """The file's tree with a mapping at its top. Raises ConfigError when there is nothing to go on with."""
    if path is None:
        return Tree({}, {}, [], set(), True)
    try:
        tree = read(text_of(path) if text is None else text, file)
        if tree.whole and tree.data is None and not tree.problems:
            raise BadValueError("the file is empty: write at least upstreams.primary.urls")
        if tree.whole and tree.data is not None and not isinstance(tree.data, dict):
            raise BadValueError("the file must be a mapping: keys such as listen and upstreams, each with a colon")
    except BadValueError as error:
        raise ConfigError([Problem(file, 1, 1, "", str(error))]) from None
    if not tree.whole or not isinstance(tree.data, dict):
        raise ConfigError(tree.problems)
    return tree


def _validated(tree: Tree, findings: Findings) -> Document:
    """The document without what is wrong in it; every wrong value becomes a problem."""
    for _ in range(_ROUNDS):
        try:
            return Document.model_validate(tree.data)
        except ValidationError as error:
            found = [(path_of(one, tree.places), one) for one in error.errors(include_url=False, include_input=False)]
        for path, one in found[:MAX_PROBLEMS]:
            findings.wrong(path, sentence(one, path, tree.places), at_key=is_about_key(one))
            meant = meant_key(path) if one["type"] == "extra_forbidden" else None
            if meant is not None:
                findings.blame((*path[:-1], meant))
        if len(found) > MAX_PROBLEMS:
            findings.wrong(found[MAX_PROBLEMS][0], f"and {len(found) - MAX_PROBLEMS} more: mend the others first")
            raise ConfigError(findings.in_order())
        for path in sorted((path for path, _ in found), key=_order, reverse=True):
            findings.blame(_take_out(tree.data, path))
    raise ConfigError(findings.in_order())


def _order(path: Path) -> tuple[str, ...]:
    return tuple(f"{step:09}" if isinstance(step, int) else step for step in path)


def _take_out(data: Any, path: Path) -> Path:
    """Remove a wrong value so that the rest is still checked and keeps its places; returns the path of what went.

    The item of a list of sections becomes an empty one, so that later items keep their index; a list of scalars
    goes as a whole.
    """
    holder, last = data, path[-1]
    for step in path[:-1]:
        try:
            holder = holder[step]
        except (KeyError, IndexError, TypeError):  # what it stood in went before it
            return path
    if isinstance(holder, dict):
        holder.pop(last, None)
    elif any(isinstance(item, dict) for item in holder):
        holder[last] = {}
    else:
        return _take_out(data, path[:-1])
    return path


def _check_rows(document: Document, registry: Registry, findings: Findings) -> None:
    """Counter rows are never given back while the proxy runs, so that a row keeps its meaning.

    Raises ConfigError at once when there are too many: rules that compare each with each would take minutes.
    """
    services = {name for name, _, _ in document.named()} | registry.services.keys()
    routes = {f"{name}\n{route.name}" for name, _, service in document.named() for route in service.routes or ()}
    routes |= {f"{name}\n{OTHER}" for name, _, _ in document.named()} | registry.routes.keys()
    more = ", those of earlier reloads included: restart to begin anew" if registry.services else ""
    where: Path = ("services",) if document.services is not None else ("routes",)
    if len(services) > MAX_SERVICES:
        findings.wrong(where, f"{len(services)} services, at most {MAX_SERVICES} can be counted{more}", at_key=True)
    elif len(routes) > MAX_ROUTES:
        right = f"{len(routes)} routes (one `other` for each service), at most {MAX_ROUTES} can be counted{more}"
        findings.wrong(where, right, at_key=True)
    else:
        return
    raise ConfigError(findings.in_order())
