"""`shadowproxy rollout plan CONFIG`: what a plan will do and when, from the file alone."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from shadowproxy.cli.client import Output, OutputOption, fail, print_json
from shadowproxy.model.rollout import APPROVE, OBSERVE, PROMQL, REGRESSED_FIELDS, SAMPLE_RATIO, SLOW_BURN, WEBHOOK

if TYPE_CHECKING:
    from shadowproxy.model.policy import Loaded
    from shadowproxy.model.rollout import Check, Plan, Step
    from shadowproxy.rollout.projecting import Projected

INVALID: Final = 2
_RATE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/(s|m|h)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_BY_THEMSELVES: Final = {
    REGRESSED_FIELDS: "no field differs more than noise does",
    SAMPLE_RATIO: "users are split as configured",
    WEBHOOK: "a webhook says yes",
}
"""Checks without limits, and what they want."""


def _per_second(text: str) -> float:
    found = _RATE.fullmatch(text)
    if found is None or not float(found[1]):
        raise typer.BadParameter("write requests in a time, such as 100/s, 500/m or 20/h")
    return float(found[1]) / _SECONDS[found[2]]


def _moment(text: str) -> float:
    from shadowproxy.config.problems import BadValueError
    from shadowproxy.config.units import parse_local_time

    try:
        return parse_local_time(text, UTC, ends=False)
    except BadValueError as error:
        raise typer.BadParameter(str(error)) from None


def plan(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file.")],
    service: Annotated[str | None, typer.Option("--service", metavar="NAME", help="One of several services.")] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="N/s", parser=_per_second, help="Requests of users, such as 100/s or 500/m."),
    ] = None,
    at: Annotated[
        float | None,
        typer.Option("--at", metavar="TIME", parser=_moment, help="When it is started, UTC without an offset; or now."),
    ] = None,
    output: OutputOption = Output.text,
) -> None:
    """Say what the rollout of a configuration will do, and when, through its bakes and the freezes. Starts nothing."""
    from shadowproxy.rollout.projecting import Freezes, project

    configuration = loaded(config)
    name, found = rollout_of(configuration, service)
    freezes = Freezes(configuration.policy.freeze, (), name, found.change_class)
    steps = project(found, freezes, time.time() if at is None else at, rate)
    if output is Output.json:
        print_json(plain(name, found, steps))
    else:
        print(*render(name, found, steps), sep="\n")


def loaded(config: Path) -> Loaded:
    """Ends the command with everything that is wrong with the file."""
    from shadowproxy.config import ConfigError, Overrides, load
    from shadowproxy.model.policy import Registry

    try:
        return load(config, Overrides(), Registry(), os.environ)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        raise typer.Exit(INVALID) from None


def rollout_of(configuration: Loaded, service: str | None) -> tuple[str, Plan]:
    """The name of the service that is meant, and its plan."""
    plans = {one.name: one.rollout for one in configuration.policy.services if one.rollout is not None}
    if not plans:
        fail("no service has a rollout: write one, such as rollout: {strategy: canary}")
    if service is not None and service not in plans:
        fail(f"--service {service}: has no rollout; there is one for {', '.join(plans)}")
    if service is None and len(plans) > 1:
        fail(f"there are several rollouts: say which with --service, one of {', '.join(plans)}")
    name = service or next(iter(plans))
    return name, plans[name]


def plain(service: str, plan: Plan, steps: tuple[Projected, ...]) -> dict[str, Any]:
    """As JSON: shares 0..1, durations in seconds, times as Unix time, None where nobody can say."""
    parts = [
        {
            "part": one.step.name,
            "kind": one.step.kind,
            "weight": one.step.weight,
            "serves": who(one.step),
            "flags": {each.flag: {"variant": each.variant, "share": each.weight} for each in one.step.flags},
            "bake_seconds": one.step.bake.seconds,
            "bake_requests": one.step.bake.requests,
            "rate": one.rate,
            "begins_at": one.begins,
            "ends_at": one.ends,
            "waits_for": [{"names": wait.names, "until": wait.until, "reason": wait.reason} for wait in one.waits],
            "why": one.why,
        }
        for one in steps
    ]
    return {
        "service": service,
        "name": plan.name,
        "strategy": plan.strategy,
        "change_class": plan.change_class,
        "hash": plan.hash,
        "parts": parts,
        "finishes_at": steps[-1].ends,
        "checks": [{"name": check.name, "mode": check.mode, "means": means(check)} for check in plan.checks],
        "guarantees": list(guarantees(plan, steps)),
        "assumes": list(assumptions(plan, steps)),
    }


def render(service: str, plan: Plan, steps: tuple[Projected, ...]) -> Iterator[str]:
    from shadowproxy.rollout.phrases import moment, span

    made = f", strategy {plan.strategy}" if plan.strategy else ""
    name = f"rollout of {service}" if plan.name == service else f"rollout {plan.name} of {service}"
    yield f"{name}, a {plan.change_class}{made}"
    first, finish = steps[0].begins, steps[-1].ends
    if first is not None and finish is not None:
        yield f"all users are the candidate's at {moment(finish)}, {span(finish - first)} after its begin"
    else:
        why = next((one.why for one in steps if one.why), "")
        yield f"when it finishes cannot be said: {why}"
    yield ""
    yield from _table(steps)
    for title, lines in (
        ("checks", [f"{check.name}: {means(check)}" for check in plan.checks]),
        ("guarantees", list(guarantees(plan, steps))),
        ("assumed here", list(assumptions(plan, steps))),
    ):
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in lines)


def _table(steps: tuple[Projected, ...]) -> Iterator[str]:
    from shadowproxy.rollout.phrases import moment

    rows = [("", "part", "served by the candidate", "until there are", "not before", "over by")]
    for number, one in enumerate(steps, 1):
        begins, ends = ("?" if at is None else moment(at) for at in (one.begins, one.ends))
        rows.append((str(number), one.step.name, who(one.step), _bake(one.step), begins, ends))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield _row(rows[0], widths)
    for row, one in zip(rows[1:], steps, strict=True):
        yield _row(row, widths)
        for wait in one.waits:
            until = "no end in sight" if wait.until is None else f"until {moment(wait.until)}"
            yield f"{'':{widths[0]}}  waits for a freeze: {wait.reason}; {until}"
        if one.why and one.begins is not None:
            yield f"{'':{widths[0]}}  {one.why}"


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def who(step: Step) -> str:
    """Who is served by the candidate in a part, and what becomes of the others."""
    from shadowproxy.rollout.phrases import percent

    if step.overlay is not None:
        overlay = step.overlay
        arm = "the candidate's and the others" if step.weight else "all users"
        return f"{percent(overlay.weight)} of {arm} have {overlay.flag}={overlay.variant}"
    some = "all users" if step.weight == 1.0 else f"{percent(step.weight)} of the users" if step.weight else "nobody"
    if step.chosen:
        names = ", ".join(f"{one.header or one.cookie}={one.value or 'always'}" for one in step.chosen)
        some = f"who sends {names}" + (f", and {some}" if step.weight else "")
    if step.weight == 1.0 or step.sample == 0.0:
        return some
    return f"{some}; {'others' if step.weight or step.chosen else 'all'} mirrored" + (
        "" if step.sample in (None, 1.0) else f" up to {percent(step.sample or 0.0)}"
    )


def _bake(step: Step) -> str:
    from shadowproxy.rollout.phrases import count, span

    if step.kind == APPROVE:
        limit = "" if step.timeout is None else f", after {span(step.timeout)}: {step.on_timeout}"
        return f"an approval{limit}"
    bake = step.bake
    needs = [span(bake.seconds)] if bake.seconds else []
    needs += [count(bake.requests, "request")] if bake.requests else []
    needs += ["proof that it is not worse"] if bake.evidence == "not_worse" else []
    return ", ".join(needs) or "enough data"


def means(check: Check) -> str:
    """What a check tolerates, in words."""
    from shadowproxy.config.units import render_slope
    from shadowproxy.rollout.phrases import percent

    if check.kind in _BY_THEMSELVES:
        said = [_BY_THEMSELVES[check.kind]]
    else:
        more = [percent(check.max_relative)] if check.max_relative is not None else []
        more += [_limit(check, check.max_absolute, "pp")] if check.max_absolute is not None else []
        said = [f"at most {' and '.join(more)} more than the primary's"] if more else []
        said += [f"at most {_limit(check, check.max, '%')}"] if check.max is not None else []
        said += [f"rises at most {render_slope(check.max_slope)}"] if check.max_slope is not None else []
    return ", ".join((*said, "observed only") if check.mode == OBSERVE else said)


def _limit(check: Check, limit: float, unit: str) -> str:
    if check.kind == PROMQL:
        return f"{limit:g}"
    return f"{limit * 1000:g} ms" if check.kind.startswith("latency") else f"{round(limit * 100, 3):g}{unit}"


def guarantees(plan: Plan, steps: tuple[Projected, ...]) -> Iterator[str]:
    from shadowproxy.rollout.phrases import percent, span

    back = "users go back to the primary" if plan.on_fail == "rollback" else "the weight is 0 and a person decides"
    yield (
        f"a candidate that is no worse than tolerated is rolled back by its checks in at most "
        f"{percent(plan.false_rollback)} of all attempts, however often they are looked at"
    )
    yield f"when an enforced check fails, {back}; otherwise weights only rise"
    if any(check.kind in {SAMPLE_RATIO, SLOW_BURN} or check.max_slope is not None for check in plan.checks):
        yield "with one exception: a rise in time, or users not split as configured, holds it and sends nobody back"
    yield (
        "who has met the candidate stays with it"
        if plan.sticky is not None
        else "each request draws for itself, so that a user meets both versions: `sticky` would change that"
    )
    what = "nobody has the flag by the rollout any more" if plan.is_of_flags else "the candidate loses its users"
    yield f"if nothing renews its lease for {span(plan.lease)}, {what}"
    if any(one.step.weight == 1.0 for one in steps):
        yield (
            "at 100% nobody is left to compare with: only limits that need no primary (`max`) and a person can tell "
            "that something is wrong there"
        )
    last = max(one.step.weight for one in steps)
    if last < 1.0 and not plan.is_of_flags:
        yield f"after the last part all users move, from {percent(last)} to 100%; from then on nothing is compared"


def assumptions(plan: Plan, steps: tuple[Projected, ...]) -> Iterator[str]:
    yield "no check fails or lacks data, and no version changes"
    if any(one.step.kind == APPROVE for one in steps):
        yield "approvals are given at once"
    if plan.supervise == "required":
        yield "somebody holds the watch all the time"
    if any(one.step.bake.requests and one.rate is None for one in steps):
        yield "requests are there before the time of a bake is over (--rate tells, but not for chosen users alone)"
