"""Instructions that a worker executes per request, counted by callgrind: the same on a busy machine as on a quiet one.

Run: `python -m benchmarks.instructions [CASE ...]` where valgrind is installed. The parts of a worker run on the fakes
of the tests: nothing of the kernel's or the event loop's is counted, the fakes are. What it is for is the difference
between two versions of the code.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from shadowproxy.channel import frame
from shadowproxy.model.flags import Attribute, FlagsInForce, FlagsPolicy
from shadowproxy.model.pair import Answer
from shadowproxy.model.policy import Policy, RoutePolicy, ShadowPolicy, VersionPolicy
from shadowproxy.model.rollout import Split, Sticky
from shadowproxy.model.terms import CONFIGURED, LEARNED
from shadowproxy.proxy.flagging import Flagging
from tests.fakes.stage import GET, OK, Stage, policy
from tests.fakes.transport import FakeTransport

WARM_UP: Final = 80
REQUESTS: Final = 400
INSIDE: Final = "SHADOWPROXY_UNDER_CALLGRIND"
OTHER: Final = OK.replace(b"hello", b"hullo")


def main() -> None:
    names = sys.argv[1:] or list(CASES)
    if unknown := set(names) - set(CASES):
        raise SystemExit(f"{', '.join(sorted(unknown))}: not one of {', '.join(CASES)}")
    if os.environ.get(INSIDE):
        gc.freeze()
        gc.disable()
        for name in names:
            CASES[name]()
        return
    for name, count in counted(names).items():
        print(f"{name:28} {count:12,.0f}")


def counted(names: list[str]) -> Mapping[str, float]:
    """Instructions per request of each case. A file is written at each `getppid`: before a case and after it."""
    with tempfile.TemporaryDirectory(prefix="instructions-") as directory:
        out = Path(directory) / "out"
        tool = ["valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={out}", "--dump-before=getppid"]
        argv = [*tool, sys.executable, "-m", "benchmarks.instructions", *names]
        environ = {**os.environ, INSIDE: "1", "PYTHONHASHSEED": "0"}
        subprocess.run(argv, env=environ, check=True)
        dumps = [out.with_name(f"out.{2 * i}").read_text() for i in range(1, len(names) + 1)]
    totals = [re.search(r"^(?:summary|totals): (\d+)", dump, re.MULTILINE) for dump in dumps]
    return {name: int(total[1]) / REQUESTS for name, total in zip(names, totals, strict=True) if total}


def ask(
    what: Policy,
    *arms: str,
    server: str = "primary",
    answers: Mapping[str, bytes] | None = None,
    after: Callable[[Stage], None] | None = None,
) -> None:
    """One client, one request after another, served by `server`. Every arm answers at once, as that one unless
    `answers` has another answer; `after` is called once all have.
    """
    stage = Stage(what)
    if what.flags is not None:
        stage.site.flags = Flagging(what, _FLAGS)
    client, loop = stage.client().transport, stage.loop
    said = dict.fromkeys((server, *arms), OK) | dict(answers or {})

    def requests(number: int) -> None:
        for _ in range(number):
            give(client, GET)
            for arm, answer in said.items():
                give(stage.at(arm), answer)
            if after is not None:
                after(stage)

    def give(transport: FakeTransport, data: bytes) -> None:
        receive(transport, data)
        if loop._ready:
            loop.run()
            asyncio._set_running_loop(loop)
        transport.written.clear()

    asyncio._set_running_loop(loop)
    requests(WARM_UP)
    os.getppid()
    requests(REQUESTS)
    os.getppid()
    asyncio._set_running_loop(None)


def receive(transport: FakeTransport, data: bytes) -> None:
    """`FakeTransport.feed` without what it looks at for a test."""
    protocol = transport.get_protocol()
    assert isinstance(protocol, asyncio.Protocol)
    protocol.data_received(data)


def verdict(stage: Stage) -> None:
    """The comparer answers."""
    answer = msgspec.msgpack.encode(Answer(stage.link._last_id, "mismatch", ("body_value",)))
    stage.comparer.written.clear()
    receive(stage.comparer, frame(answer))


def with_routes(number: int, origin: str) -> Policy:
    """The last of them is the one that is asked for."""
    what = policy()
    (service,) = what.services
    names = [*(f"/things{i}/{{id}}" for i in range(number - 1)), "/items/{id}"]
    routes = tuple(RoutePolicy(name, i, name, origin=origin) for i, name in enumerate(names, 1))
    return replace(what, services=(replace(service, routes=routes),))


def split(weight: float, sticky: Sticky | None = None) -> Policy:
    """Users are split and nobody is mirrored."""
    what = policy("candidate", route=_UNMIRRORED)
    (service,) = what.services
    return replace(what, services=(replace(service, split=Split("v2", weight=weight, leased=False, sticky=sticky)),))


def with_flags(*keys: str) -> Policy:
    """Requests carry these flags."""
    what = policy()
    (service,) = what.services
    other = replace(service.other, expose_flags=keys)
    flags = FlagsPolicy("flags.json", attributes={"agent": Attribute(header="user-agent")})
    return replace(what, services=(replace(service, other=other),), flags=flags)


_FLAG: Final = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
_TARGETED: Final = {**_FLAG, "targeting": {"if": [{"starts_with": [{"var": "agent"}, "curl"]}, "on"]}}
_DEFINED: Final = {**{f"plain-{n}": _FLAG for n in range(5)}, **{f"targeted-{n}": _TARGETED for n in range(2)}}
_FLAGS: Final = FlagsInForce(1, msgspec.json.encode({"flags": _DEFINED}))
_UNMIRRORED: Final = RoutePolicy("other", 0, shadow=ShadowPolicy(methods=()))
_ALMOST_NOBODY: Final = 1e-9
_BOTH: Final = ("candidate", "secondary")
_DIFFERENT: Final = {"candidate": OTHER}
_NAMED: Final = VersionPolicy(header="x-app-version")
_SAMPLED_OUT: Final = RoutePolicy("other", 0, shadow=ShadowPolicy(sample=0.0))
CASES: Final[dict[str, Callable[[], None]]] = {
    "forward": lambda: ask(policy()),
    "forward, 20 routes": lambda: ask(with_routes(20, CONFIGURED)),
    "forward, 200 templates": lambda: ask(with_routes(200, LEARNED)),
    "unmirrored": lambda: ask(policy("candidate", route=_UNMIRRORED)),
    "split, primary's user": lambda: ask(split(_ALMOST_NOBODY)),
    "split, candidate's user": lambda: ask(split(1.0), server="candidate"),
    "split, sticky by address": lambda: ask(split(1.0, Sticky(cookie="uid", fallback="client_ip")), server="candidate"),
    "5 flags, for everybody": lambda: ask(with_flags("plain-*")),
    "5 flags, 2 targeted": lambda: ask(with_flags("plain-0", "plain-1", "plain-2", "targeted-*")),
    "not sampled": lambda: ask(policy("candidate", route=_SAMPLED_OUT)),
    "mirror": lambda: ask(policy("candidate"), "candidate"),
    "mirror, version header": lambda: ask(policy("candidate", version=_NAMED), "candidate"),
    "mirror, different": lambda: ask(policy("candidate"), "candidate", answers=_DIFFERENT, after=verdict),
    "mirror twice": lambda: ask(policy(*_BOTH), *_BOTH),
    "mirror twice, different": lambda: ask(policy(*_BOTH), *_BOTH, answers=_DIFFERENT, after=verdict),
}


if __name__ == "__main__":
    main()
