"""`shadowproxy rollout replay`: every decision made again from the log, and what another plan would have decided."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from shadowproxy.cli.client import NO, Output, OutputOption, fail, print_json
from shadowproxy.cli.rollout_plan import loaded, rollout_of

if TYPE_CHECKING:
    from shadowproxy.rollout.replaying import Replay
    from shadowproxy.rollout.what_if import WhatIf
    from shadowproxy.store.rollouts import RolloutStore


class Replayed(Struct, frozen=True):
    """One attempt of a service, decided again; `what_if` under another plan, where one was given."""

    service: str
    attempt: int
    replay: Replay
    what_if: WhatIf | None = None


def replay(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="The `data_dir` of the proxy.")] = Path("data"),
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="A configuration with another plan for it.")
    ] = None,
    attempt: Annotated[int | None, typer.Option("--attempt", metavar="N", help="One attempt; else all kept.")] = None,
    service: Annotated[str | None, typer.Option("--service", metavar="NAME", help="One of several services.")] = None,
    output: OutputOption = Output.text,
) -> None:
    """Derive every decision again, bit for bit; or say what another plan would have decided.

    Reads the proxy's data directory; the proxy may be running. Exits 1 where something comes out otherwise, or the
    audit was changed.
    """
    from shadowproxy.store import StoreError
    from shadowproxy.store.audit import AuditLog
    from shadowproxy.store.audit_file import FILE_NAME
    from shadowproxy.store.rollouts import RolloutStore

    if not (data / FILE_NAME).is_file():
        fail(f"--data {data}: there is no {FILE_NAME}: name the data_dir of a proxy that has carried a rollout")
    try:
        problems = AuditLog(data).verify()
        for problem in problems:
            print(f"shadowproxy: {problem}", file=sys.stderr)
        found = list(_replayed(RolloutStore(data), service, attempt, policy))
    except StoreError as error:
        fail(str(error))
    if not found:
        fail("no log of such a rollout is kept" if service or attempt else "no log of a rollout is kept")
    if output is Output.json:
        print_json({"attempts": found, "problems": problems})
    else:
        for each in found:
            print(*_lines(each), sep="\n")
    raise typer.Exit(NO if problems or not all(each.replay.is_exact for each in found) else 0)


def _replayed(store: RolloutStore, service: str | None, attempt: int | None, policy: Path | None) -> Iterator[Replayed]:
    """Raises StoreError."""
    from shadowproxy.rollout.replaying import replay as again
    from shadowproxy.rollout.what_if import against

    configuration = loaded(policy) if policy is not None else None
    for name, numbers in store.attempts().items():
        if service not in {None, name}:
            continue
        plan = rollout_of(configuration, name)[1] if configuration is not None else None
        for number in numbers:
            if attempt in {None, number}:
                other = against(store.facts(name, number), plan) if plan is not None else None
                yield Replayed(name, number, again(store.facts(name, number)), other)


def _lines(found: Replayed) -> Iterator[str]:
    from shadowproxy.report.plain import plain
    from shadowproxy.rollout.phrases import count, instant

    replay, other = found.replay, found.what_if
    span = f"{count(replay.items, 'item')} with {count(replay.decisions, 'decision')}"
    verdict = (
        "everything comes out as it did, bit for bit"
        if replay.is_exact
        else f"{count(replay.differing, 'item')} of them come out otherwise"
    )
    yield f"{found.service}, attempt {found.attempt}: {span}, {instant(replay.since)} to {instant(replay.until)}"
    yield f"  {verdict}"
    yield from (f"  {plain(said)}" for said in (*replay.mismatches, *replay.gaps))
    if other is None:
        return
    yield f"  under the plan {other.other} instead of {other.plan}:"
    yield from (f"    {plain(said)}" for said in other.differences or ("every decision would have been the same",))
    yield f"    {plain(other.end)}"
    yield from (f"    but {plain(caveat)}" for caveat in other.caveats)
