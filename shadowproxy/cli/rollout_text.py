"""A rollout as text: where it is, what changed, what was decided. Times are UTC, as in the sentences they stand by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Final

from shadowproxy.admin.rollout_values import COMING, NOW, OVER, STOPPED
from shadowproxy.cli.client import left_out
from shadowproxy.model.rollout import (
    ABORTED,
    APPROVE,
    FAIL,
    INCONCLUSIVE,
    OBSERVE,
    PASS,
    PENDING,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
)
from shadowproxy.report.plain import clip, moment, plain
from shadowproxy.report.terminal import WIDTH, Paint, paragraph, wrapped
from shadowproxy.rollout.phrases import count, percent, span
from shadowproxy.rollout.values import PRODUCT

if TYPE_CHECKING:
    from shadowproxy.admin.rollout_values import (
        BakeStatus,
        FreezeStatus,
        FreezeTurn,
        HistoryPage,
        RolloutStatus,
        StepStatus,
        WatchStatus,
    )
    from shadowproxy.rollout.values import CheckResult, Hold

_PHASES: Final = {
    PENDING: ("pending", "dim"),
    RUNNING: ("running", "cyan"),
    PROMOTED: ("promoted", "green"),
    ROLLED_BACK: ("rolled back", "red"),
    ABORTED: ("aborted", "yellow"),
}
_VERDICTS: Final = {PASS: ("✓", "green"), FAIL: ("✗", "red"), INCONCLUSIVE: ("?", "yellow")}
_SAYS: Final = {PASS: "has not shown that it is not worse", FAIL: "fails", INCONCLUSIVE: "lacks data"}
_STEPS: Final = {OVER: "✓", NOW: "▸", COMING: " ", STOPPED: "✗"}
_BAR: Final = 20
_NAME: Final = 22
_CHECK: Final = 21
_EARLIER: Final = 3
"""Attempts before this one that are shown; the history has all of them."""
_GLANCED: Final = {"why", "missing", "next", "finish", "override", "watch", "alert"}
_THIS_WEEK: Final = 6 * 86400.0


def headline(status: RolloutStatus, paint: Paint) -> str:
    """`checkout-v2 · attempt 1 · running · first users · 5% to the candidate`."""
    words, style = _PHASES[status.phase]
    parts = [
        paint("bold", plain(status.name)),
        f"attempt {status.attempt}",
        paint(style, words),
        *([plain(status.stage)] if status.stage and status.phase == RUNNING else []),
        *([] if status.flags and not status.weight else [f"{percent(status.weight)} to the candidate"]),
        *(f"{percent(each.share)} with {plain(each.flag)}={plain(each.variant)}" for each in status.flags),
    ]
    return " · ".join(parts)


def render(status: RolloutStatus, paint: Paint, width: int = WIDTH, *, is_brief: bool = False) -> Iterator[str]:
    """All of it: the plan with the present part, its bake, the checks, what holds it, and what comes next.

    What a check says stands beside the check alone; holds and notes name it. `is_brief`: where nothing is wrong, one
    line says enough.
    """
    shown = [check for check in status.checks if _matters(check, status)]
    yield headline(status, paint)
    for line in wrapped(_about(status), width - 2):
        yield f"  {line}"
    for label, words, style in _holds(status):
        yield from paragraph(label, _named(words, shown), paint, style, width)
    blocks = [
        list(_steps(status, paint)),
        [] if status.bake is None else list(_bake(status.bake)),
        [line for check in shown for line in _check(check, paint, width, is_brief)],
        [
            line
            for label, said, style in _notes(status)
            for line in paragraph(label, _named(said, shown), paint, style, width)
        ],
    ]
    for block in filter(None, blocks):
        yield ""
        yield from block


def glance(status: RolloutStatus, paint: Paint, width: int = WIDTH) -> Iterator[str]:
    """Where it is, what holds it, how far its part is, why, what is missing and what is next: no plan and no checks."""
    yield from paragraph("rollout", headline(status, Paint(False)), paint, _PHASES[status.phase][1], width)
    for label, words, style in _holds(status):
        yield from paragraph(label, words, paint, style, width)
    if status.bake is not None:
        yield from _bake(status.bake)
    failed = [check for check in status.checks if check.verdict == FAIL]
    for check in failed:
        yield from paragraph("check", f"✗ {check.name}: {check.words}", paint, "red", width)
    for label, said, style in _notes(status):
        if label in _GLANCED:
            yield from paragraph(label, _named(said, failed), paint, style, width)


def banner(found: list[FreezeStatus], now: float) -> Iterator[str]:
    """A line for each freeze that is in force."""
    for each in found:
        if each.active:
            of = f" of {', '.join(each.services)}" if each.services else ""
            said = f": {each.reason}" if each.reason else ""
            yield f"{each.name} {_when(each, now)}: no {', '.join(each.classes)} change{of}{said}"


def outcome(status: RolloutStatus, paint: Paint) -> Iterator[str]:
    """Where a command has led."""
    yield headline(status, paint)
    for label, words, style in (*_holds(status), *(each for each in _notes(status) if each[0] == "next")):
        yield from paragraph(label, words, paint, style)


def changes(before: RolloutStatus | None, status: RolloutStatus) -> Iterator[str]:
    """A line for everything that is not as it was, with its time. Without `before` the lines say what is so."""
    when = moment(status.at)
    failed = [check for check in status.checks if check.verdict == FAIL]  # they say why themselves
    paint = Paint(False)
    if before is None or headline(before, paint) != headline(status, paint):
        yield f"{when}  {headline(status, paint)}" + (f": {plain(_named(status.why, failed))}" if status.why else "")
    known = {hold.reason for hold in before.holds} if before else set()
    for hold in status.holds:
        if hold.reason not in known:
            yield f"{when}  hold: {plain(_named(hold_words(hold, status.at), failed))}"
    for reason in sorted(known - {hold.reason for hold in status.holds}):
        yield f"{when}  no hold any more: {reason}"
    failing = {check.name for check in before.checks if check.verdict == FAIL} if before else set()
    for check in status.checks:
        if (check.verdict == FAIL) != (check.name in failing):  # others are inconclusive at each begin of a part
            yield f"{when}  check {plain(check.name)}: {check.verdict}: {plain(check.words)}"
    watched = before.watch.holder if before else ""
    if status.watch.holder != watched:
        yield f"{when}  watch: {_watch(status.watch, status.at)}"


def history(page: HistoryPage) -> Iterator[str]:
    """Oldest first, as it happened."""
    for entry in reversed(page.items):
        said = f"{entry.action:<17} {clip(entry.by, 16):<16} {plain(entry.why)}"
        yield f"{entry.number:>5}  {moment(entry.at)}  {said}"
    if not page.items:
        yield "nothing was decided yet" if not page.total else f"nothing before that; there are {page.total:,}"
    yield from left_out(page, ", from the newest; older ones")
    if not page.problems:
        yield f"the chain holds: nothing was changed, nothing is missing ({count(page.total, 'decision')})"


def freezes(found: list[FreezeStatus], now: float) -> Iterator[str]:
    if not found:
        yield "no freezes"
    for each in found:
        state = "ACTIVE" if each.active else "inactive"
        yield f"{plain(each.id or each.name)}  {each.kind} · {state} · {_when(each, now)}"
        scope = f"{', '.join(each.classes)} changes of {', '.join(each.services) or 'every service'}"
        yield f"  stops {plain(scope)}; a rollout that runs: {each.in_flight}"
        said = plain(": ".join(filter(None, (each.by, each.reason))))
        if said:
            yield f"  {said}"


def _when(freeze: FreezeStatus, now: float) -> str:
    """Until when it is active, or from when on."""
    if freeze.active:
        return "until it is ended" if freeze.ends_at is None else f"until {clock(freeze.ends_at, now)}"
    return "not again" if freeze.begins_at is None else f"from {clock(freeze.begins_at, now)}"


def turns(found: list[FreezeTurn], days: int) -> Iterator[str]:
    """When freezes are active, a line each."""
    if not found:
        yield f"no freeze in the next {days} days"
    for each in found:
        until = "until it is ended" if each.ends_at is None else f"until {moment(each.ends_at)}"
        yield f"{moment(each.begins_at)}  {until:<28}  {each.kind}  {plain(each.name)}"


def _named(said: str, shown: list[CheckResult]) -> str:
    """`said` with the verdict instead of the words of each check that is shown."""
    for check in shown:
        if check.words:
            said = said.replace(f"{check.name}: {check.words}", f"{check.name} {_SAYS[check.verdict]}")
    return said


def hold_words(hold: Hold, now: float) -> str:
    by = "" if hold.by == PRODUCT else f" by {hold.by}"
    detail = f": {hold.detail}" if hold.detail else ""
    return f"{hold.reason}{by} for {span(max(0.0, now - hold.since))}{detail}"


def clock(at: float, now: float) -> str:
    """`04:10:37 UTC` in an hour at most, `Fri 04:10 UTC` in a week, else with the date."""
    far = abs(at - now)
    format_ = "%H:%M:%S UTC" if far < 3600 else "%a %H:%M UTC" if far < _THIS_WEEK else "%Y-%m-%d %H:%M UTC"
    return datetime.fromtimestamp(at, UTC).strftime(format_)


def _holds(status: RolloutStatus) -> Iterator[tuple[str, str, str]]:
    for hold in status.holds:
        yield "hold", hold_words(hold, status.at), "yellow"


def _notes(status: RolloutStatus) -> Iterator[tuple[str, str, str]]:
    """Label, words and style of what stands below the plan."""
    now = status.at
    if not (status.holds and status.why.startswith("held: ")):  # the holds say it above, as it is now
        yield "why", status.why, ""
    if status.missing and not any(hold.reason == INCONCLUSIVE for hold in status.holds):  # that says the same
        yield "missing", "; ".join(status.missing), ""
    if status.next:
        yield "next", status.next, ""
    if status.finish_at is not None:
        goes_on = " if it goes on now" if status.holds else ", if nothing holds it"
        condition = " if it is started now" if status.phase == PENDING else goes_on
        yield "finish", f"about {clock(status.finish_at, now)}{condition}", ""
    elif status.finish_why:
        yield "finish", f"cannot be said: {status.finish_why}", ""
    if status.override_until is not None and status.override_until > now:
        yield "override", f"freezes do not hold it until {clock(status.override_until, now)}", ""
    if status.watch.holder or status.phase in {PENDING, RUNNING}:
        yield "watch", _watch(status.watch, now), ""
    if not status.settled:
        yield "alert", "the promotion is not in the configuration: make what was the candidate its primary", "red"
    if status.fault:
        yield "alert", f"it cannot be driven: {status.fault}", "red"
    if status.pending_plan:
        yield "plan", f"a changed plan ({status.pending_plan}) is for the next attempt", "yellow"
    for each in reversed(status.earlier[-_EARLIER:]):
        how = "given up" if each.phase == RUNNING else _PHASES[each.phase][0]
        ended = f"attempt {each.number} {how} {clock(each.ended_at, now)}"
        yield "earlier", f"{ended}: {each.why.removeprefix('rolled back: ')}", "dim"


def _about(status: RolloutStatus) -> str:
    versions = [f"{arm} {plain(version)}" for arm, version in status.identity.items() if version]
    parts = [f"service {status.service}", status.strategy, f"{status.change_class} change", *versions]
    return " · ".join([*filter(None, parts), f"plan {status.plan}"])


def _steps(status: RolloutStatus, paint: Paint) -> Iterator[str]:
    """The plan, in columns as narrow as it allows."""
    rows = [(step, clip(step.stage, _NAME), _bakes(step)) for step in status.steps]
    names = max((len(name) for _, name, _ in rows), default=0)
    bakes = max((len(bake) for _, _, bake in rows), default=0)
    for step, name, bake in rows:
        weight = percent(step.weight) if step.weight else "chosen" if step.chosen else ""
        if step.flag is not None:
            weight = percent(step.flag.share)
        until = (
            f"until about {clock(step.ends_at, status.at)}" if step.ends_at is not None and step.kind != APPROVE else ""
        )
        line = f"  {_STEPS[step.state]} {name:<{names}}  {weight:>6}  {bake:<{bakes}}  {until}".rstrip()
        yield paint({OVER: "dim", NOW: "bold", COMING: "", STOPPED: "red"}[step.state], line)


def _bakes(step: StepStatus) -> str:
    wants = [span(step.bake_seconds)] if step.bake_seconds else []
    wants += [count(step.bake_requests, "request")] if step.bake_requests else []
    return f"bakes {', '.join(wants)}" if wants else "approval" if step.kind == APPROVE else ""


def _bake(bake: BakeStatus) -> Iterator[str]:
    if bake.warmup > 0:
        yield f"  {'warm-up':<11}{span(ceil(bake.warmup))} left"
    if bake.needed_seconds:
        yield _progress("time", bake.seconds / bake.needed_seconds, span(int(bake.seconds)), span(bake.needed_seconds))
    if bake.needed_requests:
        done = bake.requests / bake.needed_requests
        yield _progress("requests", done, f"{bake.requests:,}", f"{bake.needed_requests:,}")


def _progress(label: str, done: float, there: str, needed: str) -> str:
    """`9 s of 10 s`, or `12 s, 10 s needed`."""
    said = f"{there}, {needed} needed" if done > 1.0 else f"{there} of {needed}"
    return f"  {label:<11}{_bar(done)}  {said}"


def _bar(done: float) -> str:
    full = int(min(1.0, max(0.0, done)) * _BAR)
    return "█" * full + "░" * (_BAR - full)


def _matters(check: CheckResult, status: RolloutStatus) -> bool:
    """Of an attempt that is over: only what failed it."""
    return status.phase == RUNNING or check.verdict == FAIL


def _check(check: CheckResult, paint: Paint, width: int, is_brief: bool) -> Iterator[str]:
    mark, style = _VERDICTS[check.verdict]
    words = (check.words or check.verdict) + ("; observed only" if check.mode == OBSERVE else "")
    label = f"{mark} {clip(check.name, _CHECK - 3)}"
    room = width - _CHECK - 2
    for line in [clip(words, room)] if is_brief and check.verdict == PASS else wrapped(words, room):
        yield f"  {paint(style, f'{label:<{_CHECK}}')}{line}"
        label = ""


def _watch(watch: WatchStatus, now: float) -> str:
    if watch.holder:
        return f"{watch.holder} holds it" + (
            f" for {span(max(0.0, now - watch.since))}" if watch.since is not None else ""
        )
    return "nobody holds it, and nothing advances without" if watch.required else "nobody holds it; not required"
