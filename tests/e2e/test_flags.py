"""Flags on requests: every arm is told the same, nobody else is believed, and a change is everywhere in a moment."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.flags import FLAGS, ON_OFF, carried, change, members, processes, section, written
from tests.e2e.harness import Proxy, eventually
from tests.e2e.ports import HOST
from tests.e2e.talk import ask, request, settings, talk, tally, until_calm
from tests.e2e.upstreams import RawUpstream, Script, answer, answers, echoes

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
ALL = b'new-checkout=?0, banner="Hallo Welt", limit=3, ratio=0.5, layout="{\\"columns\\":3}"'
NONE = ALL.replace(b"Hallo Welt", b"")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "flags" / "flags.json")


@until_calm
def test_every_arm_is_told_the_same_from_the_first_request_on(upstreams: Serve, proxies: Start, file: Path) -> None:
    arms = [upstreams(answers(answer())) for _ in range(3)]
    proxy = proxies(settings(*(arm.url for arm in arms), flags=section(file)))
    assert ask(proxy.port, request(X_Email="ann@x.com")).status == 200
    tally(proxy, eligible=2)
    assert [carried(arm) for arm in arms] == [[[ALL]]] * 3


def test_a_strangers_word_is_stripped_and_a_trusted_proxys_stands(upstreams: Serve, proxies: Start, file: Path) -> None:
    primary = upstreams(answers(answer()))
    proxy = proxies(settings(primary.url, flags=section(file)))
    ask(proxy.port, request(Feature_Flags="new-checkout, evil=7"))
    assert carried(primary) == [[NONE]]
    trusting = upstreams(answers(answer()))
    proxy = proxies(settings(trusting.url, flags=section(file), trusted_proxies=[f"{HOST}/32"]))
    ask(proxy.port, request(Feature_Flags="new-checkout;by=edge, other=7"))
    ask(proxy.port, request(Feature_Flags="no dictionary, at all !"))
    first, second = carried(trusting)
    assert first == [b"new-checkout;by=edge, other=7" + NONE.removeprefix(b"new-checkout=?0")]
    assert second == [NONE]


def test_a_chain_of_proxies_keeps_one_decision(upstreams: Serve, proxies: Start, tmp_path: Path) -> None:
    primary = upstreams(answers(answer()))
    outside = written(tmp_path / "outer" / "flags.json", {"new-checkout": {**ON_OFF, "defaultVariant": "on"}})
    inside = written(tmp_path / "inner" / "flags.json", {"new-checkout": ON_OFF, "size": FLAGS["limit"]})
    inner = proxies(settings(primary.url, flags=section(inside), trusted_proxies=[f"{HOST}/32"]))
    outer = proxies(settings(inner.url, flags=section(outside)))
    ask(outer.port, request(Feature_Flags="new-checkout=?0"))
    assert carried(primary) == [[b"new-checkout, size=3"]]


def test_without_a_flags_section_the_field_is_one_like_any_other(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer()))
    ask(proxies(settings(primary.url)).port, request(Feature_Flags="mine"))
    assert carried(primary) == [[b"mine"]]


def test_a_route_carries_what_it_exposes(upstreams: Serve, proxies: Start, file: Path) -> None:
    primary = upstreams(answers(answer()))
    routes = [
        {"name": "a", "match": {"path": "/a"}, "expose_flags": ["limit", "new-*"]},
        {"name": "b", "match": {"path": "/b"}, "expose_flags": []},
    ]
    proxy = proxies(settings(primary.url, flags=section(file), routes=routes, expose_flags=["ratio"]))
    for target in ("/a", "/b", "/c"):
        ask(proxy.port, request(target, Feature_Flags="mine"))
    assert carried(primary) == [[b"new-checkout=?0, limit=3"], [], [b"ratio=0.5"]]


def test_claims_are_read_and_verified_where_there_is_a_key(upstreams: Serve, proxies: Start, tmp_path: Path) -> None:
    import jwt

    key = "a secret of more than thirty-two bytes"
    pro = {**ON_OFF, "targeting": {"if": [{"==": [{"var": "plan"}, "pro"]}, "on"]}}
    file = written(tmp_path / "flags.json", {"pro": pro})
    plain, strict = upstreams(answers(answer())), upstreams(answers(answer()))
    reading = proxies(settings(plain.url, flags=section(file)))
    verifying = proxies(settings(strict.url, flags=section(file, jwt={"key": key, "algorithms": ["HS256"]})))
    good = jwt.encode({"plan": "pro"}, key, "HS256")
    forged = jwt.encode({"plan": "pro"}, "another secret of more than 32 bytes", "HS256")
    old = jwt.encode({"plan": "pro", "exp": 1_000_000_000}, key, "HS256")
    unsigned = ".".join(base64.urlsafe_b64encode(part).decode() for part in (b'{"alg":"none"}', b'{"plan":"pro"}', b""))
    for token in (good, forged, old, unsigned, "no.token.at-all", "x"):
        for proxy in (reading, verifying):
            ask(proxy.port, request(Authorization=f"Bearer {token}"))
    assert [value == [b"pro"] for value in carried(strict)] == [True, False, False, False, False, False]
    assert [value == [b"pro"] for value in carried(plain)] == [True, True, True, True, False, False]


def test_bodies_pipelines_and_old_clients_carry_flags_too(upstreams: Serve, proxies: Start, file: Path) -> None:
    primary = upstreams(echoes)
    proxy = proxies(settings(primary.url, flags=section(file)))
    with talk(proxy.port) as line:
        line.send(request("/1") + request("/2", "POST", b"x" * 100_000) + request("/3"))
        for _ in range(3):
            fields = json.loads(line.reply().body)["fields"]
            assert [value for name, value in fields if name.lower() == "feature-flags"] == [NONE.decode()]
    old = ask(proxy.port, b"GET / HTTP/1.0\r\n\r\n")
    assert NONE.decode() in [value for _, value in json.loads(old.body)["fields"]]


def test_a_new_worker_has_the_newest_flags_and_no_control_is_needed(
    upstreams: Serve, proxies: Start, file: Path
) -> None:
    primary = upstreams(answers(answer()))
    proxy = proxies(settings(primary.url, flags=section(file), expose_flags=["new-checkout"], workers=1))
    assert change(proxy, "set", flag="new-checkout", variant="on", reason="a test")["in_force"]
    [control], [worker] = processes(proxy, "ctl"), processes(proxy, "w")
    os.kill(control, signal.SIGSTOP)
    try:
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: (found := processes(proxy, "w")) and found != [worker])
        ask(proxy.port, request())
    finally:
        os.kill(control, signal.SIGCONT)
    assert carried(primary)[-1] == [b"new-checkout"]


def test_a_file_is_taken_over_in_every_way_it_is_written(upstreams: Serve, proxies: Start, tmp_path: Path) -> None:
    """In place, by a rename, and as Kubernetes does it: a link on the way is put somewhere else."""
    primary = upstreams(answers(answer()))
    mount = tmp_path / "mount"
    for name, variant in (("one", "off"), ("two", "on")):
        written(mount / f"..{name}" / "flags.json", {"a": {**ON_OFF, "defaultVariant": variant}})
    (mount / "..data").symlink_to("..one")
    (mount / "flags.json").symlink_to("..data/flags.json")
    proxy = proxies(settings(primary.url, flags=section(mount / "flags.json")))

    def carries(wanted: bytes) -> bool:
        ask(proxy.port, request())
        return carried(primary)[-1] == [wanted]

    assert carries(b"a=?0")
    (mount / "..data.new").symlink_to("..two")
    (mount / "..data.new").replace(mount / "..data")
    eventually(lambda: carries(b"a"), 5)
    (mount / "..two" / "flags.json").write_text(json.dumps({"flags": {"a": ON_OFF, "b": ON_OFF}}))
    eventually(lambda: carries(b"a=?0, b=?0"), 5)
    written(mount / "..two" / "flags.json", {"b": ON_OFF})
    eventually(lambda: carries(b"b=?0"), 5)


def test_a_bad_file_is_refused_and_what_was_good_stays(upstreams: Serve, proxies: Start, file: Path) -> None:
    primary = upstreams(answers(answer()))
    config = settings(primary.url, flags=section(file), expose_flags=["new-checkout"])
    with_flags = proxies(config)
    written(file, {"new-checkout": {**ON_OFF, "defaultVariant": "on"}, "Bad": ON_OFF, "c": {"state": "ON"}})

    def problems() -> Any:
        return with_flags.api("flags")["problems"]

    told = "\n".join(eventually(problems, 5))
    assert "flags.Bad: its key cannot stand in a header" in told
    assert "flags.c.state: `state` has to be ENABLED or DISABLED" in told
    ask(with_flags.port, request())
    assert carried(primary) == [[b"new-checkout=?0"]]
    assert with_flags.metrics().total("shadowproxy_flags_last_load_successful") == 0


def test_a_start_with_a_bad_file_says_everything_and_ends_with_2(tmp_path: Path) -> None:
    written(tmp_path / "flags.json", {"Bad": ON_OFF, "c": {**ON_OFF, "defaultVariant": "x"}})
    config = settings(f"http://{HOST}:1", flags={"file": "flags.json"})
    (tmp_path / "a.yaml").write_text(json.dumps(config))
    for command in ("check", "run"):
        done = subprocess.run(
            [sys.executable, "-m", "shadowproxy.cli", command, "a.yaml"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done
        assert "flags.Bad" in done.stderr
        assert "flags.c.defaultVariant: there is no variant 'x'" in done.stderr
        assert "Traceback" not in done.stderr


def test_changes_survive_a_restart_and_a_kill_stands_over_the_file(
    upstreams: Serve, proxies: Start, tmp_path: Path
) -> None:
    primary = upstreams(answers(answer()))
    flags = {"a": ON_OFF, "b": {**ON_OFF, "defaultVariant": "on"}, "c": ON_OFF}
    file = written(tmp_path / "flags.json", flags)
    config = settings(primary.url, flags=section(file), data_dir=str(tmp_path / "kept"))
    first = proxies(config)
    change(first, "set", flag="a", variant="on", reason="wanted")
    change(first, "kill", flag="b", reason="it burns")
    change(first, "ramp", flag="c", variant="on", share="100%")
    ask(first.port, request(X_User="ann"))
    assert carried(primary)[-1] == [b"a, b=?0, c"]
    first.stop()
    written(
        file, {**flags, "b": {**flags["b"], "metadata": {"owner": "x"}}, "c": {**ON_OFF, "metadata": {"owner": "x"}}}
    )
    second = proxies(config)
    ask(second.port, request(X_User="ann"))
    assert carried(primary)[-1] == [b"a, b=?0, c=?0"], "a newer file counts, but not over a kill"
    found = second.api("flags/b")
    assert (found["flag"]["killed"], found["changed"]["reason"]) == (True, "it burns")
    assert change(second, "enable", flag="b")["flag"]["killed"] is False
    ask(second.port, request(X_User="ann"))
    assert carried(primary)[-1] == [b"a, b, c=?0"]
    change(second, "revert", to=1, reason="as it was")
    ask(second.port, request(X_User="ann"))
    assert carried(primary)[-1] == [b"a=?0, b, c=?0"]
    history = second.api("flags/history")["items"]
    assert [each["action"] for each in history][:2] == ["revert to version 1", "enable b"]
    assert {each["action"] for each in second.api("audit")["items"]} == {"flags_changed"}


def test_a_freeze_stops_switching_on_and_never_switching_off(upstreams: Serve, proxies: Start, tmp_path: Path) -> None:
    primary = upstreams(answers(answer()))
    flags = {
        "a": {**ON_OFF, "defaultVariant": "on"},
        "b": ON_OFF,
        "fix": {**ON_OFF, "metadata": {"change_class": "fix"}},
    }
    file = written(tmp_path / "flags.json", flags)
    proxy = proxies(settings(primary.url, flags=section(file)))
    frozen = httpx.post(f"{proxy.admin}/api/v1/freeze/start", json={"reason": "the weekend"})
    assert frozen.status_code == 200, frozen.text
    refused = change(proxy, "set", 409, flag="b", variant="on")
    assert "b is not switched on: frozen by local: the weekend" in refused["detail"]
    change(proxy, "ramp", 409, flag="b", variant="on", share="1%")
    change(proxy, "kill", flag="a", reason="it burns")
    change(proxy, "set", flag="fix", variant="on")
    written(file, {**flags, "b": {**ON_OFF, "defaultVariant": "on"}, "new": ON_OFF})

    def held() -> Any:
        return {each["key"]: each["held"] for each in proxy.api("flags")["items"]}

    eventually(lambda: "new" in held(), 5)
    assert held()["b"] == "frozen by local: the weekend"
    ask(proxy.port, request())
    assert carried(primary)[-1] == [b"a=?0, b=?0, fix, new=?0"]
    httpx.post(f"{proxy.admin}/api/v1/freeze/end", json={"reason": "it is over"})
    eventually(lambda: not held()["b"], 5)
    ask(proxy.port, request())
    assert carried(primary)[-1] == [b"a=?0, b, fix, new=?0"]


def test_a_flag_flipped_under_load_loses_no_request_and_is_never_half_old(
    upstreams: Serve, proxies: Start, tmp_path: Path
) -> None:
    """Both flags say which version they are of."""

    def flags(number: int) -> dict[str, Any]:
        one = {"state": "ENABLED", "variants": {"v": number}, "defaultVariant": "v"}
        ramp = {"fractional": [["v", 1]]}
        return {"a": one, "b": {**one, "targeting": ramp}}

    primary = upstreams(echoes)
    file = written(tmp_path / "flags.json", flags(0))
    proxy = proxies(settings(primary.url, flags=section(file), workers=2))
    ended = threading.Event()
    seen: list[tuple[int, int]] = []
    failed: list[str] = []

    def load() -> None:
        with httpx.Client(base_url=proxy.url) as client:
            while not ended.is_set():
                got = client.get("/", headers={"x-user": "ann"})
                if got.status_code != 200:
                    failed.append(got.text)
                    continue
                value = next(value for name, value in got.json()["fields"] if name.lower() == "feature-flags")
                found = members(value.encode())
                seen.append((int(found["a"].partition("=")[2]), int(found["b"].partition("=")[2])))

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for number in range(1, 26):
            definition = flags(number)
            written(file, definition)
            eventually(lambda wanted=number: seen and seen[-1][0] == wanted, 10)
    finally:
        ended.set()
        for client in clients:
            client.join()
    assert failed == []
    assert [pair for pair in seen if pair[0] != pair[1]] == []
    assert {a for a, _ in seen} >= set(range(1, 26))
