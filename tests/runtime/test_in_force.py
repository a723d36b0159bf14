"""Whatever changes the policy, everybody hears of it once, in order, and a recall stands."""

from __future__ import annotations

import json
import os
import selectors
from collections.abc import Callable, Generator
from contextlib import closing

import msgspec
import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.model.commands import Apply, Names, Publish, Reload, Templates, ToRole
from shadowproxy.model.policy import Launch, LimitsPolicy, Loaded, Policy, Registry, ServicePolicy, UpstreamPolicy
from shadowproxy.model.rollout import Split
from shadowproxy.runtime.in_force import InForce
from shadowproxy.runtime.loading import Loading, Outcome, Request
from shadowproxy.runtime.logs import Log, as_json
from shadowproxy.runtime.splits import splits
from shadowproxy.runtime.splits_file import Splits

UPSTREAM = UpstreamPolicy(())
SHOP = ServicePolicy("shop", 0, {"primary": UPSTREAM, "candidate": UPSTREAM})
TENTH, HALF = Split("v2", weight=0.1), Split("v2", weight=0.5)
EVERYONE = ("worker", "comparer", "control")


class Tree:
    """What everyone was told and what was written; a reload ends when the test says so."""

    def __init__(self) -> None:
        self.told: list[tuple[tuple[str, ...], ToRole]] = []
        self.written: list[Splits] = []
        self.lines: list[dict[str, object]] = []
        self.requests: list[Request] = []
        self.words = memoryview(bytearray(16 * at.WORD)).cast("q")
        self.selector = selectors.DefaultSelector()
        self.now = 0.0
        registry = Registry({"shop": 0}, {"shop\nother": 0})
        self.in_force = InForce(
            Outcome(),
            Loaded(Launch(), Policy((SHOP,), sequence=1, epoch="e"), registry),
            {},
            tell=lambda roles, message: self.told.append((roles, message)),
            load=self._load,
            save=self._save,
            selector=self.selector,
            words=self.words,
            log=Log("supervisor", as_json, self._line),
            clock=lambda: self.now,
        )

    def _line(self, line: bytes) -> bool:
        self.lines.append(json.loads(line))
        return True

    def _load(self, request: Request) -> Loading:
        self.requests.append(request)
        receiving, self._pipe = os.pipe()
        os.set_blocking(receiving, False)
        return Loading(0, receiving, self.now + 10.0)

    def _save(self, those: Splits) -> int:
        self.written.append(those)
        return 1000 + len(self.written)

    def finish(self, services: tuple[ServicePolicy, ...] = (SHOP,), **more: object) -> None:
        """The reading under way yields a policy of these services, as it was asked for."""
        request = self.requests[-1]
        policy = Policy(services, request.sequence, request.epoch, LimitsPolicy(line=4096))
        outcome = Outcome(**{"loaded": Loaded(Launch(), policy, request.registry), **more})  # type: ignore[arg-type]
        os.write(self._pipe, msgspec.msgpack.encode(outcome))
        os.close(self._pipe)
        while self.selector.get_map():
            for key, events in self.selector.select(1.0):
                key.data(events)

    @property
    def policies(self) -> list[Apply]:
        """Those that everyone was told."""
        return [message for roles, message in self.told if isinstance(message, Apply) and roles == EVERYONE]

    @property
    def weights(self) -> list[float | None]:
        return [shop.weight if (shop := splits(apply.policy).get("shop")) else None for apply in self.policies]

    def logged(self, event: str) -> list[dict[str, object]]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def tree() -> Generator[Tree, None, None]:
    tree = Tree()
    with closing(tree.selector):
        yield tree


def publish(split: Split | None) -> Publish:
    return Publish({"shop": split})


def test_a_split_reaches_everyone_as_a_new_policy_that_rereads_no_file_and_is_then_kept(tree: Tree) -> None:
    tree.in_force.hear(publish(TENTH))
    [apply] = tree.policies
    assert (apply.policy.sequence, apply.reread, splits(apply.policy)) == (2, False, {"shop": TENTH})
    assert tree.in_force.apply().policy == apply.policy, "a child that is born later has it as well"
    assert tree.written == [{"shop": TENTH}]
    tree.in_force.hear(publish(TENTH))
    assert len(tree.policies) == 1, "nothing new is said of nothing new"


def test_a_recall_reaches_everyone_and_what_control_had_decided_before_does_not(tree: Tree) -> None:
    tree.in_force.hear(publish(TENTH))
    tree.in_force.recall()
    tree.in_force.hear(publish(HALF))
    assert tree.weights == [0.1, 0.0]
    assert "control has not heard of it" in str(tree.logged("a split is not put in force")[0]["why"])
    assert tree.logged("all users are sent back to the primary")[0]["services"] == ["shop"]
    back = splits(tree.in_force.loaded.policy)["shop"]
    tree.in_force.hear(publish(msgspec.structs.replace(HALF, recalled=back.recalled)))
    assert tree.weights == [0.1, 0.0, 0.5]


def test_without_a_rollout_a_recall_says_that_it_did_nothing(tree: Tree) -> None:
    tree.in_force.recall()
    assert (tree.told, tree.written) == ([], [])
    assert tree.logged("no users are sent back: no rollout is under way")


def recall(tree: Tree) -> None:
    tree.in_force.recall()


def raise_weight(tree: Tree) -> None:
    tree.in_force.hear(publish(HALF))


@pytest.mark.parametrize(("meanwhile", "weight"), [(recall, 0.0), (raise_weight, 0.5)])
def test_a_reload_takes_over_the_splits_of_the_moment_in_which_it_ends(
    tree: Tree, meanwhile: Callable[[Tree], None], weight: float
) -> None:
    tree.in_force.hear(publish(TENTH))
    tree.in_force.reload()
    meanwhile(tree)
    tree.finish()
    assert tree.weights == [0.1, weight, weight]
    assert [apply.policy.sequence for apply in tree.policies] == [2, 3, 4]
    assert tree.policies[-1].policy.limits.line == 4096
    assert tree.policies[-1].reread
    assert len(tree.written) == 1, "the first is still being written"


def test_a_reload_without_the_candidate_drops_the_split_and_says_so(tree: Tree) -> None:
    tree.in_force.hear(publish(TENTH))
    tree.in_force.ended(1001, 0, 0.0)
    tree.in_force.reload()
    tree.finish((ServicePolicy("shop", 0, {"primary": UPSTREAM}),))
    assert tree.weights == [0.1, None]
    assert tree.written[-1] == {}
    assert any("the split of rollout v2 is dropped" in str(line["event"]) for line in tree.lines)


def test_templates_wait_for_a_reload_and_splits_do_not(tree: Tree) -> None:
    tree.in_force.reload()
    tree.in_force.hear(Templates({"shop": ("/a",)}))
    tree.in_force.hear(publish(TENTH))
    assert tree.weights == [0.1]
    tree.finish()
    assert tree.weights == [0.1, 0.1, 0.1]
    assert [len(apply.policy.services[0].routes) for apply in tree.policies] == [0, 0, 1]


def test_a_failed_reload_is_told_to_control_alone_and_leaves_the_split(tree: Tree) -> None:
    tree.in_force.hear(publish(TENTH))
    tree.in_force.hear(Reload())
    tree.finish(loaded=None, problems=("c.yaml:1:1: a: bad",))
    [(roles, apply)] = tree.told[1:]
    assert roles == ("control",)
    assert isinstance(apply, Apply)
    assert (apply.problems, splits(apply.policy)) == (("c.yaml:1:1: a: bad",), {"shop": TENTH})
    assert (tree.words[at.LAST_RELOAD_OK], tree.words[at.RELOADS_FAILED]) == (0, 1)


def test_names_are_added_to_those_that_are_known(tree: Tree) -> None:
    tree.in_force.hear(Names({"a": ("192.0.2.1",)}))
    tree.in_force.hear(Names({"b": ("192.0.2.2",)}))
    assert tree.told[-1] == (("worker",), Names({"a": ("192.0.2.1",), "b": ("192.0.2.2",)}))


def test_what_is_due_next_is_the_reload_or_the_write(tree: Tree) -> None:
    tree.in_force.hear(publish(TENTH))
    tree.now = 2.0
    tree.in_force.ended(1001, 256, 2.0)
    assert tree.in_force.next_due() == 7.0
    tree.in_force.expire(7.0)
    assert tree.written == [{"shop": TENTH}] * 2
