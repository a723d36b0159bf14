"""What the configuration reader does in its own process: read and resolve, then keep. The heavy imports happen here."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from shadowproxy.endpoints.routes import learned, with_templates
from shadowproxy.metrics.layout import MAX_ROUTES
from shadowproxy.model.policy import Loaded, RoutePolicy, without_splits
from shadowproxy.model.terms import LEARNED
from shadowproxy.runtime import splits_file
from shadowproxy.runtime.files import replace_file
from shadowproxy.runtime.loading import Outcome, Request, changes
from shadowproxy.runtime.splits import restored
from shadowproxy.runtime.templates_file import restore

RESOLVE_WITHIN: Final = 2.0
"""Seconds for all names together; what is not there by then is left to control, which goes on trying."""
KEY_BYTES: Final = 32
POLICY_FILE: Final = "policy.msgpack"


def read(request: Request) -> Outcome:
    """Read the configuration that `request` names. Every problem is one line of the outcome."""
    from shadowproxy.config import ConfigError, Overrides, host_names, load, restart_keys
    from shadowproxy.store.flags import Starting, starting

    options = dict(request.options)
    path = options.pop("config", None)
    try:
        loaded = load(
            Path(str(path)) if path else None,
            msgspec.convert(options, Overrides),
            request.registry,
            os.environ,
        )
    except ConfigError as error:
        return Outcome(problems=tuple(str(problem) for problem in error.problems))
    before = request.before
    launch = before.launch if before else loaded.launch
    kept, troubles = (learned(before.policy), ()) if before else restore(Path(launch.data_dir))
    loaded, left_out = with_learned(loaded, kept)
    policy = msgspec.structs.replace(loaded.policy, epoch=request.epoch, sequence=request.sequence)
    # The supervisor gives a reload the splits of the moment in which it ends.
    splits, alarms = ({}, ()) if before else splits_file.restore(Path(launch.data_dir))
    policy, dropped = restored(policy, splits)
    flags = Starting() if before else starting(Path(launch.data_dir), policy, time.time())
    if flags.problems:
        return Outcome(problems=flags.problems)
    names = tuple(sorted(host_names(policy)))
    key, more = (b"", ()) if before else masking_key(Path(launch.data_dir))
    return Outcome(
        loaded=msgspec.structs.replace(loaded, launch=launch, policy=policy),
        addresses=resolve(names),
        names=names,
        restart=tuple(restart_keys(before.launch, loaded.launch)) if before else (),
        changed=changes(before.policy, policy) if before else (),
        warnings=(*loaded.warnings, *flags.warnings, *troubles, *left_out, *dropped, *more),
        alarms=alarms,
        key=key,
        flags=flags.flags,
    )


def with_learned(loaded: Loaded, templates: Mapping[str, Sequence[str]]) -> tuple[Loaded, tuple[str, ...]]:
    """What was read, with what had been learned before and its routes do not take care of; what found no place."""
    from shadowproxy.config.matching import takes_all

    own = {service.name: service.routes for service in loaded.policy.services}
    fresh = {
        service: [n for n in names if not any(takes_all(route, RoutePolicy(n, 0, n)) for route in own[service])]
        for service, names in templates.items()
        if service in own
    }
    policy, registry, left_out = with_templates(loaded.policy, loaded.registry, fresh, LEARNED, MAX_ROUTES)
    warnings = (
        f"service {service}: {count} learned templates find no place any more and are counted as `other`"
        for service, count in left_out.items()
    )
    return msgspec.structs.replace(loaded, policy=policy, registry=registry), tuple(warnings)


def resolve(names: Iterable[str], within: float = RESOLVE_WITHIN) -> dict[str, tuple[str, ...]]:
    """The addresses of `names`, asked for side by side; what fails or is late is left out."""
    found: dict[str, tuple[str, ...]] = {}

    def ask(name: str) -> None:
        try:
            answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except OSError:
            return
        found[name] = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
    until = time.monotonic() + within
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(found)


def keep(loaded: Loaded) -> None:
    """Keep the policy in the data directory, so that it outlives every process. Raises OSError."""
    data_dir = Path(loaded.launch.data_dir)
    data_dir.mkdir(0o700, parents=True, exist_ok=True)
    replace_file(data_dir / POLICY_FILE, msgspec.msgpack.encode(without_splits(loaded.policy)))


def masking_key(data_dir: Path) -> tuple[bytes, tuple[str, ...]]:
    """The key that masks values in examples, made on first use: equal values stay equal across runs.

    With it what went wrong: without a usable directory the key is good for this run alone.
    """
    path = data_dir / "mask.key"
    try:
        data_dir.mkdir(0o700, parents=True, exist_ok=True)
        key = path.read_bytes() if path.exists() else b""
        if len(key) != KEY_BYTES:
            key = os.urandom(KEY_BYTES)
            replace_file(path, key)
    except OSError as error:
        return os.urandom(KEY_BYTES), (f"masked values will not compare equal with those of another run: {error}",)
    return key, ()
