"""Rules that ignore fields: as lines to paste into a configuration, or written into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shadowproxy.config.document import DEFAULT_SERVICE
from shadowproxy.config.editing import EditError, edit, shown
from shadowproxy.config.loading import load
from shadowproxy.config.overrides import Overrides
from shadowproxy.config.problems import ConfigError, spell
from shadowproxy.model.policy import Registry


class Written(NamedTuple):
    """Where the rule stands now, as `services.shop.compare.ignore`, and which fields it did not have before."""

    place: str
    added: list[str]


def lines(service: str | None, route: str | None, fields: Sequence[str], rule_name: str = "ignore") -> str:
    """The rule as lines of configuration; `service` None: the only one, whose keys stand at the top level."""
    rule: dict[str, Any] = {"compare": {rule_name: list(fields)}}
    if route is not None:
        rule = {"routes": [{"name": route, **rule}]}
    return shown(rule if service in {None, DEFAULT_SERVICE} else {"services": {service: rule}})


def write(
    path: Path, service: str | None, route: str | None, fields: Sequence[str], environ: Mapping[str, str]
) -> Written:
    """Put the rule into a file: of a route that it configures, or (None) of the whole service.

    The file is checked before it is replaced. Raises EditError.
    """
    done = Written("", [])

    def change(data: Any) -> Any:
        nonlocal done
        holder, place = _holder(data, path, service, route)
        compare = holder.setdefault("compare", {})
        ignored = compare.setdefault("ignore", []) if isinstance(compare, dict) else None
        if not isinstance(ignored, list):
            raise EditError(f"{path}: {spell((*place, 'compare', 'ignore'))} is no list: mend the file first")
        done = Written(spell((*place, "compare", "ignore")), [field for field in fields if field not in ignored])
        ignored += done.added
        return data

    def check(before: str, after: str) -> None:
        known = {problem[3:] for problem in _problems(path, before, environ)}
        for problem in _problems(path, after, environ):
            if problem[3:] not in known:
                raise EditError(str(problem))

    if not path.is_file():
        raise EditError(f"{path}: there is no such file: name the configuration that the proxy runs with")
    edit(path, change, check)
    return done


def _problems(path: Path, text: str, environ: Mapping[str, str]) -> Sequence[tuple[Any, ...]]:
    try:
        load(path, Overrides(), Registry(), environ, text=text)
    except ConfigError as error:
        return error.problems
    return ()


def _holder(
    data: Any, path: Path, service: str | None, route: str | None
) -> tuple[dict[str, Any], tuple[str | int, ...]]:
    """The section whose `compare` gets the rule, and where it stands."""
    if not isinstance(data, dict):
        raise EditError(f"{path}: this is no configuration: write at least upstreams.primary.urls")
    holder: Any = data
    place: tuple[str | int, ...] = ()
    services = data.get("services")
    if isinstance(services, dict) and services:
        if service is None and len(services) > 1:
            raise EditError(f"{path} has several services: choose one of {', '.join(services)}")
        name = next(iter(services)) if service is None else service
        if name not in services:
            raise EditError(f"{path}: there is no service {name}; there are {', '.join(services)}")
        holder, place = services[name], ("services", name)
    elif service not in {None, data.get("service", DEFAULT_SERVICE)}:
        raise EditError(
            f"{path}: there is no service {service}; its only one is {data.get('service', DEFAULT_SERVICE)}"
        )
    if not isinstance(holder, dict):
        raise EditError(f"{path}: {spell(place)} is no mapping: mend the file first")
    if route is None:
        return holder, place
    routes = holder.get("routes")
    there = {each.get("name"): index for index, each in enumerate(routes or ()) if isinstance(each, dict)}
    if route not in there:
        right = f"there are {', '.join(map(str, there))}" if there else "there is none"
        raise EditError(f"{path}: there is no route {route} in {spell(place) or 'it'}; {right}")
    return holder["routes"][there[route]], (*place, "routes", there[route])
