"""A tree with the real supervisor and small roles: `python -m tests.e2e.processes.stubs '{"config": PATH, …}'`.

The configuration is JSON: `launch` as `model.policy.Launch`, `limits` and `routes` for the policy, or one of
`{"crash": true}`, `{"hang": true}`, `{"problems": […]}`; `slow` seconds pass meanwhile. A worker answers every request
with one line of JSON about itself; `/sent?n` counts n copies as sent without a verdict, `/see` tells a path, `/die`
ends the worker by SIGKILL, `/wait` keeps the connection open until the worker has to go. Control, when it is born, says
the learned templates that `templates` in the data directory holds, and publishes the split that `split` does.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shadowproxy.channel import FrameReader, frame
from shadowproxy.metrics import layout as at
from shadowproxy.model import commands as say
from shadowproxy.model.policy import Launch, LimitsPolicy, Loaded, Policy, Registry, ServicePolicy, UpstreamPolicy
from shadowproxy.model.rollout import Split
from shadowproxy.runtime import loader, splits_file
from shadowproxy.runtime.children import Fork
from shadowproxy.runtime.loading import Outcome, Request, changes
from shadowproxy.runtime.main import main
from shadowproxy.runtime.roles import Roles, Setting
from shadowproxy.runtime.splits import restored

DECODE = msgspec.msgpack.Decoder(say.ToRole).decode


class Commands:
    """A child's end of its commands, blocking or not as the socket is."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.reader = FrameReader()

    def say(self, message: say.ToSupervisor) -> None:
        self.connection.sendall(frame(msgspec.msgpack.encode(message)))

    def hear(self) -> list[say.ToRole] | None:
        """None: the supervisor is gone."""
        data = self.connection.recv(65536)
        return [DECODE(payload) for payload in self.reader.feed(data)] if data else None


class Worker:
    def __init__(self, order: Fork, setting: Setting, connection: socket.socket) -> None:
        self.slot, self.setting = order.index, setting
        self.block, self.words = order.block, setting.counters.block(order.block)
        self.commands = Commands(connection)
        self.selector = selectors.DefaultSelector()
        self.slots = {self.slot}
        self.policy, self.names = setting.apply.policy, setting.names.addresses
        self.draining = self.alone = False
        self.waiting: list[socket.socket] = []
        self.running = True

    def run(self) -> None:
        self.selector.register(self.commands.connection, selectors.EVENT_READ, self.obey)
        self.listen(self.slot)
        self.beat()
        self.commands.say(say.Ready(self.policy.sequence))
        while self.running:
            for key, _ in self.selector.select(0.1):
                key.data()
            self.beat()

    def beat(self) -> None:
        if not Path(self.setting.launch.data_dir, "no-heartbeat").exists():
            self.words[at.HEARTBEAT] = int(time.monotonic() * 1000)

    def listen(self, slot: int) -> None:
        for listener in self.setting.sockets.slots[slot]:
            self.selector.register(listener, selectors.EVENT_READ, partial(self.accept, listener))

    def accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        client.settimeout(5)
        with client:
            path = client.recv(4096).split(b" ")[1].decode()
            if path.startswith("/sent"):
                self.words[at.route_row(0) + at.ELIGIBLE] += int(path.partition("?")[2])
                self.words[at.route_row(0) + at.SENT] += int(path.partition("?")[2])
            if path == "/see":
                self.commands.say(say.Paths([("default", b"/seen")]))
            if path == "/die":
                os.kill(os.getpid(), signal.SIGKILL)
            if path == "/wait":
                self.waiting.append(client.dup())
                return
            body = json.dumps(self.about()).encode()
            client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def about(self) -> dict[str, Any]:
        counters, row = self.setting.counters, at.route_row(0)
        return {
            "pid": os.getpid(),
            "slot": self.slot,
            "block": self.block,
            "slots": sorted(self.slots),
            "sequence": self.policy.sequence,
            "epoch": self.policy.epoch,
            "line": self.policy.limits.line,
            "names": self.names,
            "routes": {route.name: route.index for route in self.policy.services[0].routes},
            "split": msgspec.to_builtins(self.policy.services[0].split),
            "draining": self.draining,
            "sent": counters.total(row + at.SENT),
            "lost": counters.total(at.lost_word(row, 0, "worker_gone")),
            "supervisor": counters.supervisor[:8].tolist(),
            "descriptors": _descriptors(),
            "comm": Path("/proc/self/comm").read_text().strip(),
        }

    def obey(self) -> None:
        messages = self.commands.hear()
        if messages is None:
            self.selector.unregister(self.commands.connection)
            self.leave()
            return
        for message in messages:
            match message:
                case say.Apply(policy):
                    self.policy = policy
                    self.commands.say(say.Applied(policy.sequence, "unwanted" if policy.limits.line == 13 else ""))
                case say.Names(addresses):
                    self.names = addresses
                case say.Adopt(slot):
                    self.slots.add(slot)
                    self.listen(slot)
                case say.Yield(slot):
                    self.slots.discard(slot)
                    for listener in self.setting.sockets.slots[slot]:
                        self.selector.unregister(listener)
                case say.Drain():
                    self.draining = True
                case say.StopAccepting():
                    self.leave()

    def leave(self) -> None:
        """End, unless somebody waits: then only the supervisor's patience ends this."""
        for key in list(self.selector.get_map().values()):
            if key.fileobj is not self.commands.connection:
                self.selector.unregister(key.fileobj)
        self.running = bool(self.waiting)


def _descriptors() -> list[str]:
    """What the open descriptors are; the one that lists them is gone by the time it is looked at."""
    found = []
    for path in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):
            found.append(str(path.readlink()))
    return sorted(found)


def run_worker(order: Fork, setting: Setting, connection: socket.socket) -> None:
    Worker(order, setting, connection).run()


def run_other(order: Fork, setting: Setting, connection: socket.socket) -> None:
    """A comparer or control: notes that it lives and what it hears, until Quit or the supervisor's end."""
    commands = Commands(connection)
    supervisor = os.getppid()
    commands.say(say.Ready(setting.apply.policy.sequence))
    if order.role == "control":
        commands.say(say.Names({"control.example": ("192.0.2.1",)}))
        templates = Path(setting.launch.data_dir, "templates")
        if templates.exists():
            commands.say(say.Templates({"default": tuple(templates.read_text().split())}))
        split = Path(setting.launch.data_dir, "split")
        if split.exists():
            commands.say(say.Publish({"default": msgspec.json.decode(split.read_bytes(), type=Split | None)}))
    notes = Path(setting.launch.data_dir, f"{order.role}.notes")
    with notes.open("a") as file:
        file.write(f"{os.getpid()} born\n")
        while True:
            file.flush()
            messages = commands.hear()
            if messages is None or any(isinstance(message, say.Quit) for message in messages):
                file.write(f"{os.getpid()} {'orphaned' if messages is None else 'quit'}\n")
                while messages is None and os.getppid() == supervisor:
                    time.sleep(0.01)  # the real ones end later, after the workers
                return
            for message in messages:
                if isinstance(message, say.Paths):
                    file.write(f"{os.getpid()} paths {message.seen}\n")
                if isinstance(message, say.Apply):
                    file.write(f"{os.getpid()} apply {message.policy.sequence} {list(message.problems)}\n")


def read(request: Request) -> Outcome:
    document = json.loads(Path(str(request.options["config"])).read_text())
    time.sleep(document.get("slow", 0))
    if "problems" in document:
        return Outcome(problems=tuple(document["problems"]))
    if document.get("crash"):
        os._exit(3)
    if document.get("hang"):
        time.sleep(60)
    launch = msgspec.convert(document["launch"], Launch)
    registry = msgspec.convert(msgspec.to_builtins(request.registry), Registry)
    service = ServicePolicy("default", registry.service("default"), {"candidate": UpstreamPolicy(())})
    registry.route("default", "other")
    policy = Policy(
        (service,),
        limits=msgspec.convert(document.get("limits", {}), LimitsPolicy),
        sequence=request.sequence,
        epoch=request.epoch,
    )
    before = request.before
    if not before:
        policy, _ = restored(policy, splits_file.restore(Path(launch.data_dir))[0])
    names = document.get("names", {})
    Path(launch.data_dir).mkdir(exist_ok=True)
    return Outcome(
        Loaded(before.launch if before else launch, policy, registry),
        addresses={name: tuple(addresses) for name, addresses in names.items() if addresses},
        names=tuple(names),
        restart=("listen",) if before and before.launch != launch else (),
        changed=changes(before.policy, policy) if before else (),
        warnings=tuple(document.get("warnings", ())),
    )


if __name__ == "__main__":
    roles = Roles(run_worker, run_other, run_other, read, loader.keep)
    sys.exit(main(json.loads(sys.argv[1]), roles))
