"""A replay from beginning to end: read, fork the comparers, play, rest, report."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TextIO

import msgspec
import uvloop
from msgspec import Struct

from shadowproxy.config import host_names
from shadowproxy.control.examples import with_examples
from shadowproxy.control.links import Feed
from shadowproxy.control.state import State
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.metrics.reading import routes
from shadowproxy.model.policy import Loaded
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.replay.comparers import Comparers
from shadowproxy.replay.endpoints import with_learned
from shadowproxy.replay.messages import Preparer
from shadowproxy.replay.notes import describe
from shadowproxy.replay.pacing import AtOnce, Even, Pace, Recorded
from shadowproxy.replay.plane import Plane
from shadowproxy.replay.player import Player
from shadowproxy.replay.progress import Progress
from shadowproxy.replay.progress import State as Shown
from shadowproxy.replay.recording import Recording, RecordingError
from shadowproxy.replay.rules import Targets, UsageError, replay_policy
from shadowproxy.report import MOST_EXAMPLES, Report
from shadowproxy.report.build import build
from shadowproxy.runtime.loader import POLICY_FILE, masking_key, resolve
from shadowproxy.runtime.logs import Log, capture_logging, open_log
from shadowproxy.runtime.main import raise_descriptor_limit
from shadowproxy.runtime.sockets import BindError
from shadowproxy.store.sqlite import SqliteStore
from shadowproxy.upstream.tasks import spawn

_WEIGH: Final = 10
"""Seconds between bets on the pairs that came."""
_POLL: Final = 0.01
_LAST_WORDS: Final = 10.0
"""Seconds for the comparers to say what they found last."""
_STORE: Final = 10.0
"""Seconds for the store to write what waits."""


class Options(Struct, frozen=True):
    """`speed` None: as fast as possible; `rate` a second instead of the recorded spacing. `fields` are set on all."""

    files: Sequence[str]
    targets: Targets
    speed: float | None = 1.0
    rate: float | None = None
    fields: dict[str, str] = {}
    config: Path | None = None
    service: str | None = None
    data_dir: Path | None = None
    concurrency: int = 64


class Interrupted(Exception):  # noqa: N818 - no error: the user asked twice
    """A second signal came: `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def replay(options: Options, err: TextIO = sys.stderr) -> Report:
    """Play the recording and say what differs. Progress goes to `err`.

    The first SIGINT or SIGTERM ends the sending, a second one everything. Raises UsageError, RecordingError and
    Interrupted.
    """
    with ExitStack() as stack:
        recording = stack.enter_context(contextlib.closing(Recording.read(options.files)))
        ask = options.targets.primary is not None
        if not ask and not recording.answered:
            raise UsageError("the recording has no answers that could be the primary's: give --primary URL")
        loaded = replay_policy(
            options.targets, options.config, options.service, recording.methods, _name(options.files), os.environ
        )
        loaded = with_learned(loaded, recording)
        names = _resolved(loaded, ask)
        data_dir = _data_dir(options, stack)
        log = open_log("replay", loaded.launch.log_format)
        capture_logging(log)
        raise_descriptor_limit()
        loaded, key = _prepared(loaded, data_dir)
        counters = Counters(1)
        comparers = _comparers(loaded, data_dir, key, counters, log)
        stack.callback(comparers.close)
        counters.supervisor[at.STARTED_AT] = int(time.time() * 1000)
        store = SqliteStore(data_dir, loaded.launch.store, loaded.policy.epoch)
        store.start()
        state = State(loaded.launch, loaded.policy, loaded.registry, counters, store)
        gc.collect()
        gc.freeze()  # what was read stays: no collection has to look at it
        gc.set_threshold(50_000, 20, 50)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_play(options, recording, loaded, names, comparers, state, err))


def _name(files: Sequence[str]) -> str:
    more = len(files) - 1
    return f"recorded in {files[0]}" + (f" and {more} more" if more else "")


@contextmanager
def _temporary() -> Generator[str, None, None]:
    with tempfile.TemporaryDirectory(prefix="shadowproxy-replay-", ignore_cleanup_errors=True) as directory:
        yield directory


def _data_dir(options: Options, stack: ExitStack) -> Path:
    if options.data_dir is None:
        return Path(stack.enter_context(_temporary()))
    if (options.data_dir / POLICY_FILE).exists():
        raise UsageError(f"--data-dir: {options.data_dir} belongs to a proxy: name a directory of its own")
    return options.data_dir


def _resolved(loaded: Loaded, ask: bool) -> dict[str, tuple[str, ...]]:
    """The addresses of every host in a URL. Raises UsageError for a name that has none."""
    services = loaded.policy.services
    if not ask:
        arms = {arm: each for arm, each in services[0].upstreams.items() if arm != "primary"}
        services = (msgspec.structs.replace(services[0], upstreams=arms),)
    names = host_names(msgspec.structs.replace(loaded.policy, services=services))
    addresses = resolve(names)
    missing = sorted(set(names) - addresses.keys())
    if missing:
        raise UsageError(*(f"the name {name} has no address" for name in missing))
    return addresses


def _prepared(loaded: Loaded, data_dir: Path) -> tuple[Loaded, bytes]:
    key, _ = masking_key(data_dir)
    policy = msgspec.structs.replace(loaded.policy, epoch=os.urandom(8).hex(), sequence=1)
    launch = msgspec.structs.replace(loaded.launch, data_dir=str(data_dir))
    return msgspec.structs.replace(loaded, policy=policy, launch=launch), key


def _comparers(loaded: Loaded, data_dir: Path, key: bytes, counters: Counters, log: Log) -> Comparers:
    try:
        return Comparers(loaded, data_dir, key, counters, log)
    except (BindError, OSError) as error:
        raise UsageError(str(error)) from None


def _pace(options: Options, first: int) -> Pace:
    if options.rate is not None:
        return Even(options.rate)
    return AtOnce() if options.speed is None else Recorded(first, options.speed)


async def _play(
    options: Options,
    recording: Recording,
    loaded: Loaded,
    names: dict[str, tuple[str, ...]],
    comparers: Comparers,
    state: State,
    err: TextIO,
) -> Report:
    ask = options.targets.primary is not None
    feed = Feed(state.hear, state.knowledge.lessons)
    await feed.listen(comparers.feed)
    learning = spawn(_learn(state, feed))
    plane = Plane(loaded.policy, names, state.counters.block(0), state.counters.control, comparers.paths, ask)
    preparer = Preparer(loaded.policy.limits, options.fields, loaded.policy.epoch)
    pace = _pace(options, recording.entries[0].at)
    player = Player(plane, recording, preparer, pace, options.concurrency, ask)
    plane.on_change = player.changed
    began = time.monotonic()
    try:
        await _started(plane)
        await _heard(feed, len(comparers.paths))
        with _stopped_by_signals(player):
            await _shown(player, state, err, began)
    finally:
        learning.cancel()
        plane.close()
        await comparers.quit(_LAST_WORDS)
        await feed.drained(_LAST_WORDS)
        feed.close()
        await asyncio.to_thread(state.store.close, _STORE)
    took = time.monotonic() - began
    facts = await state.facts(time.time())
    notes = [*describe(player.played, player.lateness, recording, took, paced=options.speed is not None), *facts.notes]
    # Whole: what is stored goes away with the replay, unless a directory was named.
    return await with_examples(state, build(msgspec.structs.replace(facts, notes=notes)), MOST_EXAMPLES)


async def _started(plane: Plane) -> None:
    try:
        await plane.start()
    except TimeoutError:
        raise UsageError("the comparers did not start: what they said is above") from None


async def _heard(feed: Feed, comparers: int) -> None:
    """Wait until all comparers are connected: what one that comes and goes at once says last might be missed."""
    for _ in range(round(_LAST_WORDS / _POLL)):
        if feed.comparers >= comparers:
            return
        await asyncio.sleep(_POLL)


async def _learn(state: State, feed: Feed) -> None:
    """Once a second what was learned of noise goes to the comparers, as it does from control."""
    for second in itertools.count():
        feed.tell(state.tick(time.time()))
        if second % _WEIGH == 0:
            state.weigh(time.time())
        await asyncio.sleep(1.0)


async def _shown(player: Player, state: State, err: TextIO, began: float) -> None:
    """Play, and show how far it is meanwhile."""
    progress = Progress(err)

    def look() -> Shown:
        return _look(player, state, time.monotonic() - began)

    async def watch() -> None:
        while True:
            await asyncio.sleep(progress.every)
            progress.show(look())

    watching = spawn(watch())
    try:
        await player.run()
    finally:
        watching.cancel()
        progress.close(look())


def _look(player: Player, state: State, elapsed: float) -> Shown:
    mirrors = [totals.mirrors[CANDIDATE] for totals in routes(state.counters, state.registry, state.policy)]
    kinds = [count for each in mirrors for kind, count in each.mismatches.items() if kind.startswith("candidate_")]
    played = player.played
    failed = sum(kinds)
    return Shown(
        total=played.total,
        sent=played.sent,
        answered=played.done,
        differ=sum(each.verdicts["mismatch"] for each in mirrors) - failed,
        failed=failed,
        late=player.late if player.is_paced else None,
        left=player.left(elapsed),
    )


@contextmanager
def _stopped_by_signals(player: Player) -> Generator[None, None, None]:
    """The first signal ends the sending, the second one everything: then Interrupted is raised."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    seen: list[int] = []

    def hear(number: int) -> None:
        seen.append(number)
        if len(seen) == 1:
            player.stop()
        elif task is not None:
            task.cancel()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, hear, number)
    try:
        yield
    except asyncio.CancelledError:
        if len(seen) < 2:
            raise
        if task is not None:
            task.uncancel()
        raise Interrupted(seen[-1]) from None
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


__all__ = ["Interrupted", "Options", "RecordingError", "UsageError", "replay"]
