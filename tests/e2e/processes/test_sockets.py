"""Listening sockets: one owner per address, one queue per slot, nothing left on the disk."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shadowproxy.model.policy import AdminPolicy, Bind, Launch
from shadowproxy.runtime import sockets as room
from shadowproxy.runtime.sockets import (
    BindError,
    Sockets,
    address_of,
    listen_once,
    listen_per_slot,
    open_sockets,
    private_directory,
)

LOCAL = Bind("127.0.0.1", 0)


@pytest.fixture
def stack() -> Generator[ExitStack, None, None]:
    with ExitStack() as stack:
        yield stack


def opened(launch: Launch, stack: ExitStack) -> Sockets:
    sockets = open_sockets(launch)
    for listener in sockets.everything():
        stack.enter_context(listener)
    stack.callback(sockets.remove_files)
    return sockets


def everywhere(tmp_path: Path, *listen: Bind, **more: int) -> Launch:
    return Launch(listen or (LOCAL,), admin=AdminPolicy(LOCAL), probe=LOCAL, data_dir=str(tmp_path), **more)


def test_every_slot_gets_a_socket_on_the_same_port(tmp_path: Path, stack: ExitStack) -> None:
    sockets = opened(everywhere(tmp_path, workers=3), stack)
    ports = {listener.getsockname()[1] for slot in sockets.slots for listener in slot}
    assert len(sockets.serving()) == 3
    assert len(ports) == 1
    clients = [stack.enter_context(socket.create_connection(("127.0.0.1", *ports))) for _ in range(60)]
    accepted = [0, 0, 0]
    for slot, (listener,) in enumerate(sockets.slots):
        while True:
            try:
                stack.enter_context(listener.accept()[0])
            except BlockingIOError:
                break
            accepted[slot] += 1
    assert sum(accepted) == len(clients)
    assert all(accepted), "the kernel spreads connections over the slots"


def test_an_address_has_one_owner_even_among_those_that_would_share(tmp_path: Path, stack: ExitStack) -> None:
    sockets = opened(everywhere(tmp_path, workers=2), stack)
    taken = Bind(*sockets.slots[0][0].getsockname())
    with pytest.raises(BindError, match=r"listen 127\.0\.0\.1:\d+: Address already in use \(is another instance"):
        listen_per_slot(taken, 2, [])


def test_connections_of_the_time_before_do_not_stand_in_the_way(tmp_path: Path, stack: ExitStack) -> None:
    listener = listen_per_slot(LOCAL, 1, [])[0]
    address = listener.getsockname()
    with socket.create_connection(address), listener:
        accepted, _ = listener.accept()
        accepted.close()  # closes first: TIME_WAIT stays on our side
    stack.enter_context(listen_per_slot(Bind(*address), 1, [])[0])


def test_closing_what_serves_leaves_the_rest(tmp_path: Path, stack: ExitStack) -> None:
    sockets = opened(everywhere(tmp_path, workers=2), stack)
    port = sockets.slots[0][0].getsockname()[1]
    sockets.close_serving()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert sockets.serving() == []
    assert sockets.admin.fileno() >= 0


def test_the_private_sockets_are_the_owners_alone_and_leave_with_it(tmp_path: Path, stack: ExitStack) -> None:
    sockets = opened(everywhere(tmp_path, comparers=2), stack)
    assert stat.S_IMODE(sockets.directory.stat().st_mode) == 0o700
    for path in (sockets.feed_path, *sockets.comparer_paths):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    sockets.remove_files()
    assert not sockets.directory.exists()


def test_nothing_is_left_when_an_address_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "p"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    app = tmp_path / "app.sock"
    with pytest.raises(BindError, match=r"192\.0\.2\.1"):
        open_sockets(everywhere(tmp_path, Bind(unix=str(app)), Bind("192.0.2.1", 1)))
    assert list(place.iterdir()) == []
    assert not app.exists()


def test_admin_metrics_and_probe_may_be_unix_sockets(tmp_path: Path, stack: ExitStack) -> None:
    launch = Launch(
        (LOCAL,),
        data_dir=str(tmp_path),
        admin=AdminPolicy(Bind(unix=str(tmp_path / "admin"))),
        probe=Bind(unix=str(tmp_path / "probe")),
        metrics=Bind(unix=str(tmp_path / "metrics")),
    )
    sockets = opened(launch, stack)
    assert sockets.metrics is not None
    assert address_of(sockets.metrics, "http") == f"unix:{tmp_path / 'metrics'}"
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("admin", "probe", "metrics")}
    assert modes == {"admin": 0o600, "probe": 0o666, "metrics": 0o666}
    sockets.remove_files()
    assert not any((tmp_path / name).exists() for name in modes)


def test_ipv6_is_written_in_brackets_and_leaves_ipv4_alone(stack: ExitStack) -> None:
    try:
        listener = stack.enter_context(listen_once(Bind("::1", 0), 0o600, []))
    except BindError:
        pytest.skip("no IPv6 here")
    port = listener.getsockname()[1]
    assert address_of(listener, "https") == f"https://[::1]:{port}"
    stack.enter_context(listen_once(Bind("127.0.0.1", port), 0o600, []))


def test_a_name_that_is_no_address_is_said(stack: ExitStack) -> None:
    with pytest.raises(BindError, match=r"'nowhere\.invalid' is not an address of this machine"):
        listen_once(Bind("nowhere.invalid", 80), 0o600, [])


def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(BindError, match="the file exists and is not a socket"):
        listen_once(Bind(unix=str(path)), 0o600, [])
    assert path.read_text() == "data"


def test_a_directory_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(BindError, match=r"listen unix:.*/missing/x: No such file"):
        listen_once(Bind(unix=str(tmp_path / "missing" / "x")), 0o600, [])


def test_a_socket_of_another_kind_in_the_way_is_said(tmp_path: Path, stack: ExitStack) -> None:
    other = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    other.bind(str(tmp_path / "x"))
    with pytest.raises(BindError, match="Protocol wrong type"):
        listen_once(Bind(unix=str(tmp_path / "x")), 0o600, [])


def test_a_listener_with_a_full_queue_is_alive(tmp_path: Path, stack: ExitStack) -> None:
    busy = stack.enter_context(socket.socket(socket.AF_UNIX))
    busy.bind(str(tmp_path / "x"))
    busy.listen(0)
    stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(tmp_path / "x"))
    with pytest.raises(BindError, match="already in use"):
        listen_once(Bind(unix=str(tmp_path / "x")), 0o600, [])


def test_the_first_place_that_is_short_and_writable_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("long" * 30)))
    directory = private_directory(tmp_path)
    directory.rmdir()
    assert directory.parent == Path("/tmp")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    private_directory(tmp_path).rmdir()


def test_no_place_at_all_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_LONGEST_DIR", 3)
    with pytest.raises(BindError, match="set TMPDIR"):
        private_directory(tmp_path)


def test_what_a_killed_instance_left_is_swept_and_what_lives_is_not(
    short: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack
) -> None:
    monkeypatch.setenv("TMPDIR", str(short))
    places = {name: short / f"shadowproxy-{name}-x" for name in ("dead", "alive", "young", "empty")}
    for name, place in places.items():
        place.mkdir()
        if name != "empty":
            feed = stack.enter_context(socket.socket(socket.AF_UNIX))
            feed.bind(str(place / "feed"))
            if name == "alive":
                feed.listen()
        if name != "young":
            os.utime(place, (0, 0))
    private_directory(short)
    assert {name for name, place in places.items() if place.exists()} == {"alive", "young", "empty"}
