from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shadowproxy.channel import FrameReader, frame
from shadowproxy.control import links
from shadowproxy.control.names import Lookups
from shadowproxy.control.state import State
from shadowproxy.endpoints import learner
from shadowproxy.endpoints.routes import with_templates
from shadowproxy.metrics.fields import FieldRow
from shadowproxy.model.commands import Apply, Names, Paths, Quit, Ready, Templates, ToSupervisor
from shadowproxy.model.pair import Aggregate, Examples, FieldCount
from shadowproxy.model.policy import AdminPolicy, CertificatePolicy, IsolationPolicy, Launch, StorePolicy
from shadowproxy.runtime import control
from shadowproxy.runtime.control import run_control
from shadowproxy.runtime.logs import Log
from shadowproxy.runtime.templates_file import restore
from shadowproxy.store import DiffQuery
from shadowproxy.store.sqlite import SqliteStore
from tests.admin.conftest import MemoryStore
from tests.metrics.world import World
from tests.store.examples import example

AGGREGATE = Aggregate([FieldCount("shop", "item", "$.a", "body_value", 2)])


class Tree:
    """The sockets around a control process, and the other ends of them."""

    def __init__(self, place: Path) -> None:
        self.supervisor, self.commands = socket.socketpair()
        self.feed_path = str(place / "feed")
        self.feed = socket.socket(socket.AF_UNIX)
        self.feed.bind(self.feed_path)
        self.feed.listen()
        self.feed.setblocking(False)
        self.admin = socket.create_server(("127.0.0.1", 0))
        self.admin.setblocking(False)
        self.supervisor.setblocking(False)
        self._reader = FrameReader()
        self._heard: list[bytes] = []

    def tell(self, message: Apply | Paths | Quit) -> None:
        self.supervisor.send(frame(msgspec.msgpack.encode(message)))

    async def hear(self) -> Any:
        async with asyncio.timeout(10):
            while not self._heard:
                data = await asyncio.get_running_loop().sock_recv(self.supervisor, 65536)
                self._heard += self._reader.feed(data)
        return msgspec.msgpack.decode(self._heard.pop(0), type=ToSupervisor)

    def close(self) -> None:
        for each in (self.supervisor, self.commands, self.feed, self.admin):
            each.close()


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(tmp_path)
    yield tree
    tree.close()


class Numbers:
    """Lookups that answer with the length of the name."""

    async def __call__(self, name: str) -> tuple[str, ...]:
        return (f"10.9.8.{len(name)}",)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "Lookups", Numbers)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def log(said: list[str]) -> Log:
    def render(at: float, level: str, role: str, event: str, fields: dict[str, object]) -> bytes:
        said.append(f"{level}: {event}")
        return b""

    return Log("control", render, lambda line: True)


@pytest.fixture
async def state() -> State:
    world = World()
    return State(Launch(workers=1), world.policy, world.registry, world.counters, MemoryStore())


@pytest.fixture
async def running(
    tree: Tree, state: State, log: Log, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(control._Control(state, log).run(tree.commands, tree.feed, {"admin": tree.admin}))
    assert await tree.hear() == Ready(7)
    assert await tree.hear() == Names({"mail.internal": ("10.9.8.13",)})
    yield task
    tree.supervisor.close()
    async with asyncio.timeout(10):
        await task


async def test_quit_ends_it(running: asyncio.Task[None], tree: Tree) -> None:
    tree.tell(Quit())
    async with asyncio.timeout(10):
        await running


async def test_the_end_of_the_supervisor_ends_it(running: asyncio.Task[None], tree: Tree) -> None:
    tree.supervisor.close()
    async with asyncio.timeout(10):
        await running


async def test_a_new_policy_is_taken_and_its_names_are_looked_up_at_once(
    running: asyncio.Task[None], tree: Tree, state: State
) -> None:
    world = World()
    shop, mail = world.policy.services
    endpoint = replace(mail.upstreams["primary"].endpoints[0], host="new.internal")
    mail = replace(mail, upstreams={"primary": replace(mail.upstreams["primary"], endpoints=(endpoint,))})
    tree.tell(Apply(replace(world.policy, services=(shop, mail), sequence=8), world.registry, ("bad line",)))
    assert await tree.hear() == Names({"new.internal": ("10.9.8.12",)})
    assert state.policy.sequence == 8
    assert state.problems == ("bad line",)


async def test_what_a_comparer_said_last_is_heard_before_the_end(
    running: asyncio.Task[None], tree: Tree, state: State
) -> None:
    _, writer = await asyncio.open_unix_connection(tree.feed_path)
    for message in (AGGREGATE, Examples([example(3)]), AGGREGATE):
        writer.write(frame(msgspec.msgpack.encode(message)))
    writer.close()
    tree.tell(Quit())
    async with asyncio.timeout(10):
        await running
        await writer.wait_closed()
    assert dict(state.tally.fields.items()).popitem()[1] == 4


@pytest.mark.parametrize("junk", [frame(b"\xc1junk"), b"\xff" * 8, frame(msgspec.msgpack.encode({"type": "nope"}))])
async def test_a_comparer_that_cannot_be_understood_is_cut_off(
    running: asyncio.Task[None], tree: Tree, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_unix_connection(tree.feed_path)
    writer.write(junk)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    assert "cannot be understood" in caplog.text


async def test_it_does_not_wait_for_a_comparer_that_stays(
    running: asyncio.Task[None], tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LAST_WORDS", 0.01)
    _, writer = await asyncio.open_unix_connection(tree.feed_path)
    writer.write(frame(msgspec.msgpack.encode(AGGREGATE)))
    await writer.drain()
    tree.tell(Quit())
    async with asyncio.timeout(10):
        await running
    writer.close()


async def test_followers_get_the_status(tree: Tree, state: State, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "STATUS_EVERY", 0.001)
    task = asyncio.ensure_future(control._Control(state, log).run(tree.commands, tree.feed, {"admin": tree.admin}))
    async with asyncio.timeout(10):
        with state.watchers.joined() as queue:
            event = await queue.get()
        assert event is not None
        assert event.name == "status"
        tree.tell(Quit())
        await task


async def test_a_certificate_that_cannot_be_read_again_is_reported(
    running: asyncio.Task[None], tree: Tree, state: State, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(control.Serving, "reload_certificate", fail)
    tree.tell(Apply(replace(state.policy, sequence=9), state.registry))
    async with asyncio.timeout(10):
        while not said:
            await asyncio.sleep(0)
    assert said == ["error: the admin certificate cannot be read again; the one before stays"]


async def test_nothing_is_sent_to_a_supervisor_that_is_gone(tree: Tree) -> None:
    ended = asyncio.Event()
    commands = links.Commands(lambda message: None, ended)
    commands.send(Ready(1))
    await commands.connect(tree.commands)
    tree.supervisor.close()
    async with asyncio.timeout(10):
        await ended.wait()
    commands.send(Ready(1))


def test_a_run_restores_what_was_known_and_keeps_what_it_learns(tree: Tree, tmp_path: Path) -> None:
    world = World()
    launch = Launch(data_dir=str(tmp_path / "data"), store=StorePolicy(max_age=1e12))
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as comparer:
            comparer.connect(tree.feed_path)
            comparer.sendall(b"".join(frame(msgspec.msgpack.encode(m)) for m in (AGGREGATE, Examples([example(1)]))))
        tree.tell(Quit())
        run_control(
            launch,
            world.policy,
            world.registry,
            world.counters,
            tree.commands.dup(),
            tree.feed.dup(),
            {"admin": tree.admin.dup()},
        )
    store = SqliteStore(tmp_path / "data", launch.store, world.policy.epoch)
    ((key, row),) = store.kept().fields
    assert (key.field, row) == ("$.a", FieldRow(4, 0, True))
    assert store.find(DiffQuery()).total == 1
    store._disconnect()


def test_a_run_goes_on_without_a_disk(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    world = World()
    tree.tell(Quit())
    run_control(
        Launch(data_dir=str(tmp_path / "data")),
        world.policy,
        world.registry,
        world.counters,
        tree.commands.dup(),
        tree.feed.dup(),
        {"admin": tree.admin.dup()},
    )


def test_a_certificate_that_cannot_be_used_stops_the_start(tree: Tree, tmp_path: Path) -> None:
    world = World()
    launch = Launch(data_dir=str(tmp_path / "data"), admin=AdminPolicy(cert=CertificatePolicy("/no", "/no")))
    with pytest.raises(OSError, match="No such file"):
        run_control(
            launch,
            world.policy,
            world.registry,
            world.counters,
            tree.commands,
            tree.feed.dup(),
            {"admin": tree.admin},
        )


def test_a_resolver_that_hangs_does_not_hold_up_the_end(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, release = threading.Event(), threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        asked.set()
        tree.tell(Quit())
        release.wait(10)
        return []

    monkeypatch.setattr(control, "Lookups", lambda: Lookups(getaddrinfo))
    world = World()
    run_control(
        Launch(data_dir=str(tmp_path / "data")),
        world.policy,
        world.registry,
        world.counters,
        tree.commands.dup(),
        tree.feed.dup(),
        {"admin": tree.admin.dup()},
    )
    assert asked.is_set()
    assert not release.is_set()
    release.set()


async def test_the_isolation_proof_is_called_when_it_asks_to_be(
    tree: Tree, state: State, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = asyncio.Event()
    times: list[float] = []

    def tick(now: float, wall: float) -> float:
        times.append(now)
        if len(times) == 2:
            called.set()
        return now + (0.002 if len(times) == 1 else 60)

    monkeypatch.setattr(state.isolation, "tick", tick)
    task = asyncio.ensure_future(control._Control(state, log).run(tree.commands, tree.feed, {"admin": tree.admin}))
    async with asyncio.timeout(10):
        await called.wait()
        tree.tell(Quit())
        await task
    assert len(times) == 2
    assert times[1] - times[0] >= 0.001


async def test_a_new_policy_changes_what_the_isolation_proof_measures(
    running: asyncio.Task[None], tree: Tree, state: State
) -> None:
    assert set(state.isolation.figures()) == {"shop"}
    shop, mail = state.policy.services
    policy = replace(state.policy, services=(replace(shop, isolation=IsolationPolicy(0.0)), mail), sequence=9)
    tree.tell(Apply(policy, state.registry))
    async with asyncio.timeout(10):
        while state.isolation.figures():
            await asyncio.sleep(0)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "PATIENCE", 0.0)
    monkeypatch.setattr(control, "PROPOSE_EVERY", 0.001)
    monkeypatch.setattr(control, "RETRY_EVERY", 0.001)


def with_learned(state: State, *templates: str) -> Apply:
    policy, registry, _ = with_templates(state.policy, state.registry, {"shop": templates}, "learned", 1024)
    return Apply(replace(policy, sequence=9), registry, reread=False)


@pytest.mark.usefixtures("_impatient")
async def test_what_workers_see_becomes_a_proposal_to_the_supervisor(
    running: asyncio.Task[None], tree: Tree, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control.Serving, "reload_certificate", lambda self: pytest.fail("no file may have changed"))
    tree.tell(Paths([("shop", b"/users/%d" % i) for i in range(20)]))
    assert await tree.hear() == Templates({"shop": ("/users/{id}",)})
    tree.tell(with_learned(state, "/users/{id}"))
    tree.tell(Paths([("shop", b"/a/%d" % i) for i in range(20)]))
    assert await tree.hear() == Templates({"shop": ("/a/{id}",)})
    assert state.policy.services[0].templates


@pytest.mark.usefixtures("_impatient")
async def test_learned_templates_are_kept_as_they_are_in_force(
    tree: Tree, state: State, log: Log, said: list[str], tmp_path: Path
) -> None:
    state.launch = replace(state.launch, data_dir=str(tmp_path / "data"))
    task = asyncio.ensure_future(control._Control(state, log).run(tree.commands, tree.feed, {"admin": tree.admin}))
    kept = {"shop": ["/a", "/b"]}
    async with asyncio.timeout(10):
        tree.tell(with_learned(state, *kept["shop"]))
        while not said:
            await asyncio.sleep(0)
        (tmp_path / "data").mkdir()  # until now there is no place for it
        while restore(tmp_path / "data") != (kept, ()):
            await asyncio.sleep(0)
        tree.tell(Apply(World().policy, state.registry))
        while restore(tmp_path / "data") != ({}, ()):
            await asyncio.sleep(0)
        tree.tell(Quit())
        await task
    assert said == ["warning: learned templates cannot be kept; they are tried again"]
