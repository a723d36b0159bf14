"""The desk of feature flags: watches the file, takes changes, gives each a version, and tells the workers.

What switches something off is in force first and written then; what switches something on is written first, or
refused. What is known outlives the process in the store. Until it has been read nothing is changed: workers go on with
what the supervisor has.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from shadowproxy.config.flag_file import contradictions, read_bytes, remarks
from shadowproxy.control.flags.commands import (
    FlagCommand,
    UnknownFlagError,
    UnwritableError,
    made,
    plain,
    signature_of,
    words_of,
)
from shadowproxy.control.flags.laying import Layer
from shadowproxy.control.flags.tally import FlagTally
from shadowproxy.control.rollout.journal import Note
from shadowproxy.control.watchers import FlagsChanged, Watchers
from shadowproxy.flags import changing
from shadowproxy.flags.changing import Change, Effective, Kept, RefusedError
from shadowproxy.flags.definitions import Definition, Definitions, FlagsError
from shadowproxy.flags.evaluation import Evaluation, Flag, FlagSet
from shadowproxy.flags.reading import header_name, read
from shadowproxy.flags.selection import in_force
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.reading import workers
from shadowproxy.model.flags import FlagsInForce
from shadowproxy.model.totals import FlagFigures
from shadowproxy.rollout.freeze import Blocking, blocking
from shadowproxy.rollout.values import PRODUCT, Entry
from shadowproxy.store import StoreError
from shadowproxy.store.flags import MAX_VERSIONS, STATE, Version, as_of, kept_in, key_of, versions

if TYPE_CHECKING:
    from shadowproxy.control.state import State as Control

LOOK_EVERY: Final = 0.3
"""Seconds between two looks at the file."""
TOLD_WITHIN: Final = 1.0
"""Seconds in which every worker has the flags."""
MAX_FOLLOWERS: Final = 500
_SHOWN: Final = 20
"""Flags of one change whose definitions the audit has."""

log = logging.getLogger(__name__)


class Cause(NamedTuple):
    """Why something changes."""

    who: str
    reason: str
    source: str
    action: str
    at: float


class Desk:
    """One per control process. Only the loop's thread touches it. `send` reaches the supervisor."""

    def __init__(self, control: Control, clock: Callable[[], float] = time.time) -> None:
        self._control = control
        self._clock = clock
        self._kept = Kept()
        self._effective = Effective(Definitions(), frozenset())
        self._signature: object = None
        self._digest = b""
        self._changing = asyncio.Lock()
        self._told: FlagsInForce | None = None
        self._is_read = False
        self.tally = FlagTally()
        self.set = FlagSet(0, Definitions())
        self.history: list[Version] = []
        """Oldest first."""
        self.known = asyncio.Event()
        """Set once what is kept has been read and the file was looked at."""
        self._refused: tuple[str, ...] = ()
        """Why the file as it is now cannot be read; what it said before is in force."""
        self._file: Definitions | None = None
        """What it said then."""
        self.remarks: tuple[str, ...] = ()
        self.loaded_at = 0.0
        self.watchers = Watchers(MAX_FOLLOWERS)
        """SDKs that want to hear of changes."""
        self.changed_at = 0.0
        self._layer = Layer()
        self._changes = 0
        self.send: Callable[[FlagsInForce], None] = lambda flags: None

    @property
    def is_on(self) -> bool:
        """Whether there is a flags section at all."""
        return self._control.policy.flags is not None

    @property
    def version(self) -> int:
        return self._kept.version

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the file as it is now, or with what the configuration says of its flags."""
        if self._refused or self._file is None:
            return self._refused
        return tuple(contradictions(self._file, self._control.policy))

    @property
    def kept(self) -> Kept:
        return self._kept

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("flags cannot be looked after")
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Once: at what is kept, the first time, and at the file."""
        if self.is_on and (self._is_read or await self._load()):
            self._layer = Layer(self._control.policy.services)
            async with self._changing:
                await self._look()
            self.known.set()

    def apply(self) -> None:
        """Another policy is in force: other flags may be needed by workers, and rollouts may lay others over."""
        self._tell()
        layer = Layer(self._control.policy.services)
        self._layer, before = layer, self._layer
        if layer.laid != before.laid:
            self._changed()

    @property
    def event(self) -> str:
        """Names what is in force, for those who listen."""
        return f"{self._control.policy.epoch[:8]}-{self.version}-{self._changes}"

    def evaluate(self, flag: Flag, context: dict[str, Any], now: float) -> Evaluation:
        """As a request would have it, counted. `now` is Unix time."""
        page, clock = self._control.counters.control, time.monotonic() * 1000
        lapsed = {each.name for each in self._control.policy.services if page[at.LEASES + each.index] <= clock}
        found = self._layer.evaluate(flag, context, now, lapsed)
        self.tally.count((flag.key, found.variant or "", found.reason))
        return found

    def _changed(self) -> None:
        self._changes += 1
        self.changed_at = self._clock()
        self.watchers.tell("flags", None)

    def is_told(self, now: float) -> bool:
        """Whether every worker has the version in force. `now` is CLOCK_MONOTONIC, seconds."""
        counters = self._control.counters
        there = [each for each in workers(counters, now) if each.is_fresh and not each.draining]
        return bool(there) and all(each.flags >= self.version for each in there)

    async def told(self) -> bool:
        """Wait until every worker has it, for a moment at most."""
        until = time.monotonic() + TOLD_WITHIN
        while not self.is_told(time.monotonic()):
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(0.02)
        return True

    def frozen(self, definition: Definition, now: float) -> Blocking | None:
        """What holds changes of such a flag."""
        freezes = self._control.rollouts.freezes(now)
        service, change = changing.service_of(definition), changing.change_class(definition)
        return blocking(self._control.policy.freeze, freezes, service, change, now)

    def figures(self) -> FlagFigures:
        return FlagFigures(self.version, dict(self.tally.counts), not self.problems)

    def gives(self, key: str, variant: str) -> bool:
        """Whether a flag's own definition gives everybody this variant."""
        flag = self.set.get(key)
        return flag is not None and flag.always is not None and flag.always.variant == variant

    def obstacle(self, key: str, variant: str) -> str:
        """Why a rollout cannot lay a variant over a flag now; empty: it can, or nothing is known yet."""
        if not self.known.is_set():
            return ""
        flag = self.set.get(key)
        if flag is None:
            return f"there is no flag {key}"
        if key in self.set.killed:
            change = self._kept.changes.get(key)
            return f"{key} was killed" + (f" by {change.who}: {change.reason}" if change is not None else "")
        if flag.is_settled:
            return f"{key} is disabled"
        return "" if variant in flag.definition.variants else f"{key} has no variant {variant}"

    # The file

    async def _look(self) -> None:
        policy = self._control.policy.flags
        if policy is None:
            return
        path = Path(policy.file)
        signature = policy.file, await asyncio.to_thread(signature_of, path)
        if signature == self._signature and not self._kept.held:
            return
        try:
            data = await asyncio.to_thread(read_bytes, path)
            digest = hashlib.blake2b(data, digest_size=16).digest() + policy.file.encode()
            if digest == self._digest and not self._kept.held:
                self._signature, self._refused = signature, ()
                return
            found = await asyncio.to_thread(read, data, policy.file)
        except FlagsError as error:
            await self._refuse(error.problems)
            self._signature = signature
            return
        self._signature, self._digest = signature, digest
        now = self._clock()
        self._file, self._refused = found, ()
        self.remarks = tuple(remarks(found, self._control.policy))
        self.loaded_at = self.loaded_at or now

        def why(definition: Definition) -> str:
            blocked = self.frozen(definition, now)
            return blocked.reason if blocked is not None else ""

        after = changing.taken(self._kept, policy.file, found, why)
        await self._take(after, Cause(PRODUCT, f"{policy.file} was read", changing.FILE, "load", now))
        if self._told is None:
            self._tell()

    async def _refuse(self, problems: tuple[str, ...]) -> None:
        if problems == self._refused:
            return
        self._refused = problems
        for problem in problems:
            log.error("flags are not taken over: %s", problem)
        what = {"problems": list(problems[:_SHOWN]), "version": self.version}
        why = f"the flags file cannot be used; version {self.version} stays in force"
        await self._write(Entry("flags_refused", self._clock(), PRODUCT, why, what), {})

    # Changes

    async def change(self, command: FlagCommand) -> int:
        """The version after it. Raises RefusedError, UnwritableError."""
        async with self._changing:
            if command.version is not None and command.version != self.version:
                raise RefusedError(f"version {self.version} is in force, not {command.version}: look again first")
            definitions = self._wanted(command)
            changes = {key: self._change(key, definition, command) for key, definition in definitions.items()}
            after = changing.changed(self._kept, changes)
            return await self._take(
                after, Cause(command.who, command.reason, changing.API, words_of(command), command.at), command
            )

    def _wanted(self, command: FlagCommand) -> dict[str, Definition | None]:
        """By flag what it is to be; None: what the file says. Raises RefusedError."""
        now = self._effective.definitions.flags
        if command.action == "revert":
            return self._reverted(command)
        if command.definition is not None:
            return {command.flag: self._checked(command.flag, command.definition)}
        definition = now.get(command.flag)
        if definition is None:
            raise UnknownFlagError(f"there is no flag {command.flag!r}")
        change = self._kept.changes.get(command.flag)
        if change is not None and change.is_kill and command.action != "kill":
            definition = change.definition  # any other word lifts a kill
        return {command.flag: made(command, definition)}

    def _checked(self, key: str, text: bytes) -> Definition:
        known = self._effective.definitions
        document = b'{"flags":{%b:%b},"$evaluators":%b}' % (
            msgspec.json.encode(key),
            text,
            msgspec.json.encode(known.evaluators),
        )
        try:
            definition = read(document, "definition").flags[key]
        except FlagsError as error:
            raise RefusedError("; ".join(each.split(": ", 1)[-1] for each in error.problems)) from None
        name = header_name(key, definition)
        for other, each in known.flags.items():
            if other != key and header_name(other, each) == name:
                raise RefusedError(f"its name in the header, {name!r}, is also that of {other!r}")
        return definition

    def _reverted(self, command: FlagCommand) -> dict[str, Definition | None]:
        to = command.to
        if to is None or not any(each.number == to for each in self.history):
            oldest = self.history[0].number if self.history else self.version
            raise RefusedError(f"there is no version {to} any more: {oldest} to {self.version} are kept")
        newer = reversed([each for each in self.history if each.number > to])
        there = as_of(to, self._effective.definitions, newer)
        here = self._effective.definitions.flags
        keys = [command.flag] if command.flag else [key for key in {**here, **there} if here.get(key) != there.get(key)]
        if command.flag and command.flag not in there:
            raise RefusedError(f"there was no flag {command.flag!r} in version {to}")
        return {key: there.get(key) for key in keys}

    def _change(self, key: str, definition: Definition | None, command: FlagCommand) -> Change | None:
        written = self._kept.base.flags.get(key)
        if definition is None:
            return None
        if command.action == "kill":
            before = self._kept.changes.get(key)
            was = before.definition if before is not None else self._effective.definitions.flags[key]
            return Change(was, written, command.who, command.reason, command.at, is_kill=True)
        if definition == written:
            return None
        return Change(definition, written, command.who, command.reason, command.at)

    # What is in force

    async def _take(self, after: Kept, cause: Cause, command: FlagCommand | None = None) -> int:
        """Put it in force and keep it, in the order that is safe. Returns the version then."""
        found = changing.effective(after)
        if found.over:
            after = changing.without(after, found.over)
        before = self._effective
        keys = changing.differing(before.definitions, found.definitions)
        keys += [key for key in before.killed ^ found.killed if key not in keys]
        if not keys and self._kept.version:
            if after != self._kept:
                self._kept = after
                await self._keep_state()
            return self.version
        flags = {key: (before.definitions.flags.get(key), found.definitions.flags.get(key)) for key in keys}
        enabling = [key for key, (was, now_is) in flags.items() if changing.is_enabling(was, now_is)]
        if command is not None:
            self._check_freeze(enabling, found, command)
        after = replace(after, version=max(self._kept.version, after.version) + 1)
        version = Version(after.version, cause.at, cause.who, cause.reason, cause.source, cause.action, flags)
        note = self._note(version, found.over, after)
        if command is not None and enabling:
            if not await self._control.rollouts.journal.write(note):
                self._control.rollouts.journal.take_back(note)
                raise UnwritableError("the audit cannot be written: nothing can be switched on; `kill` is possible")
            self._put(after, found, version)
        else:
            self._put(after, found, version)
            await self._control.rollouts.journal.write(note)
        self._control.watchers.tell("flags", FlagsChanged(after.version, keys[:_SHOWN], cause.reason))
        return after.version

    def _check_freeze(self, enabling: list[str], made: Effective, command: FlagCommand) -> None:
        for key in enabling:
            blocked = self.frozen(made.definitions.flags[key], command.at)
            if blocked is not None and not (command.override and blocked.may_override):
                how = "an override with a reason would do it" if blocked.may_override else "it cannot be overridden"
                raise RefusedError(f"{key} is not switched on: {blocked.reason}; {how}; switching off is possible")

    def _put(self, after: Kept, made: Effective, version: Version) -> None:
        self._kept, self._effective = after, made
        self.history = [*self.history, version][-MAX_VERSIONS:]
        self.set = FlagSet(after.version, made.definitions, made.killed, self.set)
        log.info("flags of version %d are in force: %s", after.version, version.action)
        self._tell(force=True)
        self._changed()

    def _tell(self, force: bool = False) -> None:
        if not self._kept.version or not self.is_on:
            return
        made = self._effective
        wanted = in_force(self._kept.version, made.definitions, made.killed, self._control.policy)
        if force or wanted != self._told:
            self._told = wanted
            self.send(wanted)

    def _note(self, version: Version, over: tuple[str, ...], after: Kept) -> Note:
        documents: dict[str, bytes | None] = {
            STATE: msgspec.json.encode(after),
            key_of(version.number): msgspec.json.encode(version),
        }
        if version.number > MAX_VERSIONS:
            documents[key_of(version.number - MAX_VERSIONS)] = None
        shown = dict(list(version.flags.items())[:_SHOWN])
        what = {
            "version": version.number,
            "source": version.source,
            "change": version.action,
            "flags": {key: {"before": plain(was), "after": plain(now)} for key, (was, now) in shown.items()},
            "number": len(version.flags),
            **({"over": list(over)} if over else {}),
            **({"held": {key: each.why for key, each in after.held.items()}} if after.held else {}),
        }
        why = version.reason or version.action
        return Note(Entry("flags_changed", version.at, version.who, why, what), documents)

    async def _keep_state(self) -> None:
        what = {"version": self.version, "held": {key: each.why for key, each in self._kept.held.items()}}
        why = "edits of the flags file wait for the end of a freeze" if self._kept.held else "no edit waits any more"
        entry = Entry("flags_changed", self._clock(), PRODUCT, why, what)
        await self._write(entry, {STATE: msgspec.json.encode(self._kept)})

    async def _write(self, entry: Entry, documents: dict[str, bytes | None]) -> None:
        await self._control.rollouts.journal.write(Note(entry, documents))

    async def _load(self) -> bool:
        try:
            documents = await self._control.rollouts.journal.read(lambda store: store.documents())
        except (StoreError, TimeoutError) as error:
            log.error("what is known of flags cannot be read yet: %s", error)
            return False
        kept = kept_in(documents)
        if kept is not None:
            self._kept, self._effective = kept, changing.effective(kept)
            self.history = versions(documents)[-MAX_VERSIONS:]
            self.set = FlagSet(kept.version, self._effective.definitions, self._effective.killed)
        self._is_read = True
        return True
