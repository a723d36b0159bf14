"""What is in force, and everything that changes it: a configuration read again, learned templates, names, splits.

Laws: each policy has a higher sequence number than the one before, whichever way it came; counter rows are given out in
one place at a time, so templates wait for a reload under way; splits wait for nothing, and a reload takes over those of
the moment in which it ends.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from shadowproxy.endpoints.routes import with_templates
from shadowproxy.metrics import layout as at
from shadowproxy.model.commands import Apply, Names, Publish, Reload, Templates, ToRole
from shadowproxy.model.flags import FlagsInForce
from shadowproxy.model.policy import Loaded, Policy, Registry
from shadowproxy.model.rollout import Split
from shadowproxy.model.terms import LEARNED
from shadowproxy.runtime.children import COMPARER, CONTROL, WORKER
from shadowproxy.runtime.loading import Loading, Outcome, Reloads, Request
from shadowproxy.runtime.logs import Log
from shadowproxy.runtime.splits import published, recalled, restored, splits
from shadowproxy.runtime.splits_file import Splits, SplitsFile

_EVERYONE: Final = (WORKER, COMPARER, CONTROL)


class InForce:
    """One supervisor's policy and names. `tell` says something to every child of these roles.

    `load` and `save` start the processes that read a configuration and write splits; `words` is the supervisor's page
    of counters.
    """

    def __init__(
        self,
        first: Outcome,
        loaded: Loaded,
        options: dict[str, object],
        *,
        tell: Callable[[tuple[str, ...], ToRole], None],
        load: Callable[[Request], Loading],
        save: Callable[[Splits], int],
        selector: selectors.BaseSelector,
        words: memoryview[int],
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        # for life
        self._options = options
        self._tell = tell
        self._load = load
        self._words = words
        self._log = log
        self._clock = clock
        self._reloads = Reloads(selector, self._start_loading, self._reloaded)
        self._splits_file = SplitsFile(save, log)
        # until something changes it
        self.loaded = loaded
        self.names = Names(first.addresses)
        self.flags = first.flags
        self._problems: tuple[str, ...] = ()
        self._learned: dict[str, tuple[str, ...]] = {}
        """Templates that are to become routes."""

    def apply(self, reread: bool = True) -> Apply:
        return Apply(self.loaded.policy, self.loaded.registry, self._problems, reread)

    def hear(self, message: Names | Templates | Reload | Publish | FlagsInForce) -> None:
        """What control asks for."""
        match message:
            case Names(addresses):
                self.names = Names({**self.names.addresses, **addresses})
                self._tell((WORKER,), self.names)
            case Templates(learned):
                for service, names in learned.items():
                    self._learned[service] = (*self._learned.get(service, ()), *names)
                self._make_routes()
            case Reload():
                self.reload()
            case Publish(said):
                self._publish(said)
            case FlagsInForce():
                self.flags = message
                self._tell((WORKER,), message)

    def reload(self) -> None:
        self._reloads.request()

    def recall(self) -> None:
        """Send every user back to the primary, whoever else is dead."""
        if self._put_splits(recalled(self.loaded.policy, time.time())):
            policy = self.loaded.policy
            services = sorted(splits(policy))
            self._log.warning("all users are sent back to the primary", sequence=policy.sequence, services=services)
        else:
            self._log.warning("no users are sent back: no rollout is under way")

    # Time and processes

    def next_due(self) -> float:
        return min(self._reloads.next_due(), self._splits_file.next_due())

    def expire(self, now: float) -> None:
        self._reloads.expire(now)
        self._splits_file.expire(now)

    def ended(self, pid: int, status: int, now: float) -> None:
        """A process ended, with what `os.waitpid` says of it."""
        self._splits_file.ended(pid, status, now)

    def cancel(self) -> None:
        """End a reload under way. A write under way comes to its end by itself."""
        self._reloads.cancel()

    def abandon(self) -> None:
        """In a forked child: close what is the supervisor's."""
        self._reloads.abandon()

    # Changes

    def _swap(self, policy: Policy, registry: Registry) -> None:
        """Put a policy in force everywhere that no configuration was read for."""
        policy = msgspec.structs.replace(policy, sequence=self.loaded.policy.sequence + 1)
        self.loaded = msgspec.structs.replace(self.loaded, policy=policy, registry=registry)
        self._tell(_EVERYONE, self.apply(reread=False))

    def _make_routes(self) -> None:
        """Make routes of the templates that wait."""
        if not self._learned or self._reloads.under_way:
            return
        templates, self._learned = self._learned, {}
        before = self.loaded
        policy, registry, left_out = with_templates(before.policy, before.registry, templates, LEARNED, at.MAX_ROUTES)
        for service, count in left_out.items():
            self._log.warning("no place for learned templates: they stay in `other`", service=service, templates=count)
        if policy == before.policy:
            return
        self._swap(policy, registry)
        sequence = self.loaded.policy.sequence
        self._log.info("learned templates are routes now", sequence=sequence, templates=templates)

    def _publish(self, said: Mapping[str, Split | None]) -> None:
        policy, refused = published(self.loaded.policy, said)
        for why in refused:
            self._log.warning("a split is not put in force", why=why)
        if self._put_splits(policy):
            weights = {name: split.weight for name, split in splits(policy).items()}
            self._log.info("splits are in force", sequence=self.loaded.policy.sequence, weights=weights)

    def _put_splits(self, policy: Policy) -> bool:
        """Put a policy with other splits in force, then keep them. False: they are no other ones."""
        if policy == self.loaded.policy:
            return False
        self._swap(policy, self.loaded.registry)
        self._splits_file.keep(splits(policy), self._clock())
        return True

    def _start_loading(self) -> Loading:
        policy = self.loaded.policy
        return self._load(Request(self._options, policy.epoch, policy.sequence + 1, self.loaded.registry, self.loaded))

    def _reloaded(self, outcome: Outcome) -> None:
        """Put a new policy in force everywhere, or say everywhere why the old one stays."""
        self._words[at.LAST_RELOAD_AT] = int(time.time() * 1000)
        self._words[at.LAST_RELOAD_OK] = int(outcome.loaded is not None)
        self._problems = outcome.problems
        if outcome.loaded is None:
            self._words[at.RELOADS_FAILED] += 1
            for problem in outcome.problems:
                self._log.error("configuration not reloaded", problem=problem)
            self._tell((CONTROL,), self.apply())
        else:
            self._words[at.RELOADS_OK] += 1
            self._take_over(outcome, outcome.loaded)
        self._make_routes()

    def _take_over(self, outcome: Outcome, loaded: Loaded) -> None:
        before, kept = self.loaded.policy, self.names.addresses
        policy, dropped = restored(loaded.policy, splits(before))
        policy = msgspec.structs.replace(policy, sequence=before.sequence + 1)
        self.loaded = msgspec.structs.replace(loaded, policy=policy)
        self.names = Names(
            {n: outcome.addresses.get(n) or kept[n] for n in outcome.names if n in outcome.addresses or n in kept}
        )
        self._tell((WORKER,), self.names)
        self._tell(_EVERYONE, self.apply())
        if dropped:
            self._splits_file.keep(splits(policy), self._clock())
        for warning in (*outcome.warnings, *dropped):
            self._log.warning(warning)
        for key in outcome.restart:
            self._log.warning("needs a restart: the old value stays", key=key)
        self._log.info("configuration reloaded", sequence=policy.sequence, changed=outcome.changed)
