"""Every listening socket of the tree, opened once by the supervisor and inherited by its children.

A TCP address that clients use gets one SO_REUSEPORT socket per worker slot, so that the kernel spreads connections
and a slot's queue survives its worker. SO_REUSEPORT alone would also let a second instance join in silently, hence
the guard: a socket without it must bind *and listen* first, which Linux grants to one process only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shadowproxy.model.policy import Bind, Launch

BACKLOG: Final = 4096
_PUBLIC: Final = 0o666
"""Clients run as other users (nginx and uvicorn do the same); the directory says who may come near."""
_PRIVATE: Final = 0o600
_LONGEST_DIR: Final = 96
"""Of the 107 bytes of a Unix socket's path (unix(7)), so that a file name still fits."""

_YOUNG: Final = 60.0
"""Seconds in which a directory may belong to an instance that has bound its sockets and does not listen yet."""


class BindError(Exception):
    """An address that cannot be listened on; the text says which, why, and what would be right."""


@dataclass(slots=True)
class Sockets:
    """`slots[i]` are the sockets of worker slot i; a Unix socket stands in every slot, as the same object."""

    probe: socket.socket
    admin: socket.socket
    feed: socket.socket
    directory: Path
    metrics: socket.socket | None = None
    slots: list[list[socket.socket]] = field(default_factory=list)
    comparers: list[socket.socket] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    """Unix sockets with a place of their own, to be removed at the end."""

    @property
    def feed_path(self) -> str:
        return str(self.directory / "feed")

    @property
    def comparer_paths(self) -> list[str]:
        return [str(self.directory / f"comparer{index}") for index in range(len(self.comparers))]

    def serving(self) -> list[socket.socket]:
        """The sockets that clients connect to, each once."""
        return list({listener.fileno(): listener for slot in self.slots for listener in slot}.values())

    def everything(self) -> list[socket.socket]:
        rest = [self.probe, self.admin, self.feed, *self.comparers, *([self.metrics] if self.metrics else [])]
        return self.serving() + rest

    def close_serving(self) -> None:
        for listener in self.serving():
            listener.close()
        self.slots = [[] for _ in self.slots]

    def remove_files(self) -> None:
        """Take the Unix sockets and the private directory off the disk."""
        _remove(self.files)
        remove_directory(self.directory)


def open_sockets(launch: Launch) -> Sockets:
    """Open everything that `launch` asks for. Raises BindError for the first address that cannot be had."""
    directory = private_directory(Path(launch.data_dir))
    with contextlib.ExitStack() as undo:
        undo.callback(remove_directory, directory)
        keep = undo.enter_context
        files: list[Path] = []
        undo.callback(_remove, files)
        admin = keep(listen_once(launch.admin.bind, _PRIVATE, files))
        probe = keep(listen_once(launch.probe, _PUBLIC, files))
        metrics = keep(listen_once(launch.metrics, _PUBLIC, files)) if launch.metrics else None
        slots: list[list[socket.socket]] = [[] for _ in range(launch.workers)]
        for bind in launch.listen:
            for slot, listener in zip(slots, listen_per_slot(bind, launch.workers, files), strict=True):
                slot.append(keep(listener))
        feed = keep(listen_unix(directory / "feed", _PRIVATE))
        comparers = [keep(listen_unix(directory / f"comparer{i}", _PRIVATE)) for i in range(launch.comparers)]
        undo.pop_all()
    return Sockets(probe, admin, feed, directory, metrics, slots, comparers, files)


def listen_once(bind: Bind, mode: int, files: list[Path]) -> socket.socket:
    """One listening socket; a Unix path is added to `files`. Raises BindError."""
    if not bind.unix:
        return _guard(bind)
    path = Path(bind.unix)
    _remove_stale(path)
    try:
        listener = listen_unix(path, mode)
    except OSError as error:
        raise BindError(f"listen {bind}: {error.strerror or error}") from error
    files.append(path)
    return listener


def listen_per_slot(bind: Bind, slots: int, files: list[Path]) -> list[socket.socket]:
    """A socket for each slot; port 0 is picked once. Raises BindError."""
    if bind.unix:
        return [listen_once(bind, _PUBLIC, files)] * slots
    guard = _guard(bind)
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        return [_listen_tcp(guard.family, guard.getsockname(), shared=True) for _ in range(slots)]
    except OSError as error:
        raise BindError(f"listen {bind}: {error.strerror or error}") from error
    finally:
        guard.close()


def _guard(bind: Bind) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            bind.host or None, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
        family, _, _, _, address = found[0]
        return _listen_tcp(family, address, shared=False)
    except socket.gaierror as error:
        raise BindError(f"listen {bind}: {bind.host!r} is not an address of this machine: {error.strerror}") from error
    except OSError as error:
        hint = " (is another instance running?)" if error.errno == errno.EADDRINUSE else ""
        raise BindError(f"listen {bind}: {error.strerror or error}{hint}") from error


def _listen_tcp(family: int, address: Sequence[object], *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not count
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # an IPv4 wildcard beside it stays possible, as in nginx
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(tuple(address))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def listen_unix(path: Path, mode: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)  # nobody connects between bind and chmod
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        path.chmod(mode)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _remove_stale(path: Path) -> None:
    """Remove a socket file that nobody listens on any more. Raises BindError where somebody does."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # absent, or bind will say what is wrong with the directory
    if not stat.S_ISSOCK(mode):
        raise BindError(f"listen unix:{path}: the file exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.setblocking(False)
        try:
            trial.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its queue is full: very much alive
        except OSError as error:
            raise BindError(f"listen unix:{path}: {error.strerror or error}") from error
    raise BindError(f"listen unix:{path}: address already in use (is another instance running?)")


def private_directory(data_dir: Path) -> Path:
    """A new directory, mode 0700, for the sockets between the processes. Raises BindError if no place allows it."""
    name = f"shadowproxy-{os.getpid()}-{os.urandom(4).hex()}"
    places = [Path(os.environ.get("TMPDIR", "/tmp")), Path("/tmp"), Path("/dev/shm"), data_dir]  # noqa: S108 - 0700 below
    for place in places:
        directory = place / name
        if len(os.fsencode(directory)) > _LONGEST_DIR:
            continue
        try:
            directory.mkdir(0o700)
        except OSError:
            continue
        _sweep(place)
        return directory
    tried = ", ".join(sorted({str(place) for place in places}))
    raise BindError(f"no place for the sockets between the processes: none of {tried} can be written; set TMPDIR")


def _remove(files: list[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def _sweep(place: Path) -> None:
    """Remove the directories of instances that were killed as a whole and could not do it themselves."""
    for directory in place.glob("shadowproxy-*-*"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.setblocking(False)
            if time.time() - directory.stat().st_mtime < _YOUNG:
                continue
            try:
                trial.connect(str(directory / "feed"))
            except ConnectionRefusedError:
                remove_directory(directory)


def remove_directory(directory: Path) -> None:
    """Remove `directory` and the sockets in it, as far as they are still there."""
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            path.unlink(missing_ok=True)
        directory.rmdir()


def address_of(listener: socket.socket, scheme: str) -> str:
    """The address as a person writes it: `http://127.0.0.1:8080`, `unix:/run/app.sock`."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"{scheme}://{host}:{name[1]}"
