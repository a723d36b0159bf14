"""Reading, resolving and keeping, as the reader's process does it."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from shadowproxy.endpoints.routes import learned, with_templates
from shadowproxy.model.policy import Bind, Launch, Loaded, Policy, Registry
from shadowproxy.model.rollout import Split
from shadowproxy.runtime import splits_file
from shadowproxy.runtime.loader import KEY_BYTES, keep, masking_key, read, resolve
from shadowproxy.runtime.loading import Outcome, Request
from shadowproxy.runtime.splits import splits
from shadowproxy.runtime.templates_file import save


def request(tmp_path: Path, before: Loaded | None = None, **options: object) -> Request:
    return Request({"data_dir": str(tmp_path / "data"), **options}, "epoch", 7, Registry(), before)


def loaded(outcome: Outcome) -> Loaded:
    assert outcome.loaded is not None, outcome.problems
    return outcome.loaded


def test_options_alone_are_enough(tmp_path: Path) -> None:
    outcome = read(request(tmp_path, primary="http://127.0.0.1:8000", listen=["127.0.0.1:0"], workers="2", config=None))
    assert loaded(outcome).launch.workers == 2
    assert loaded(outcome).launch.listen == (Bind("127.0.0.1", 0),)
    assert (loaded(outcome).policy.sequence, loaded(outcome).policy.epoch) == (7, "epoch")
    assert (outcome.names, outcome.changed, outcome.restart) == ((), (), ())
    assert len(outcome.key) == KEY_BYTES


def test_problems_are_lines(tmp_path: Path) -> None:
    outcome = read(request(tmp_path, primary="nonsense", workers="many"))
    assert outcome.loaded is None
    assert len(outcome.problems) == 2
    assert all("\n" not in problem for problem in outcome.problems)


def test_a_reload_says_what_changed_and_what_needs_a_restart(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("upstreams: {primary: {urls: ['http://127.0.0.1:8000']}}\nlimits: {pipelined: 3}\n")
    first = loaded(read(request(tmp_path, config=str(config))))
    config.write_text("upstreams: {primary: {urls: ['http://127.0.0.1:8000']}}\nlimits: {pipelined: 4}\nworkers: 3\n")
    second = read(request(tmp_path, config=str(config), before=first))
    assert second.changed == ("limits",)
    assert second.restart == ("workers",)
    assert loaded(second).launch == first.launch, "what is fixed for life keeps its value"
    assert second.key == b"", "the key is asked for once"


PLAIN = "upstreams: {primary: {urls: ['http://127.0.0.1:8000']}}\n"


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "c.yaml").write_text(text)
    return str(tmp_path / "c.yaml")


def test_the_first_policy_knows_what_the_last_run_had_learned(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    save(tmp_path / "data", {"default": ["/a/{id}", "/items/{id}"], "gone": ["/b"]})
    text = PLAIN + "data_dir: data\nroutes: [{name: item, match: {path: '/items/{x}'}}]\n"
    outcome = read(request(tmp_path, config=write(tmp_path, text)))
    [service] = loaded(outcome).policy.services
    assert [(route.name, route.index, route.origin) for route in service.routes] == [
        ("item", 0, "configured"),
        ("/a/{id}", 2, "learned"),
    ]
    assert loaded(outcome).registry.routes == {"default\nitem": 0, "default\nother": 1, "default\n/a/{id}": 2}
    assert outcome.warnings == ()
    off = read(request(tmp_path, config=write(tmp_path, PLAIN + "data_dir: data\nendpoints: {learn: false}")))
    assert learned(loaded(off).policy) == {}


def test_what_cannot_be_read_of_it_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "templates.json").write_text("{")
    outcome = read(request(tmp_path, config=write(tmp_path, PLAIN + "data_dir: data\n")))
    assert "templates are learned anew" in outcome.warnings[0]
    assert learned(loaded(outcome).policy) == {}


def test_a_reload_keeps_what_was_learned_but_for_what_its_routes_take(tmp_path: Path) -> None:
    first = loaded(read(request(tmp_path, config=write(tmp_path, PLAIN))))
    names = ["/a/{id}", "/items/{id}", "/b", "/c"]
    policy, registry, _ = with_templates(first.policy, first.registry, {"default": names}, "learned", 1024)
    before = msgspec.structs.replace(first, policy=policy, registry=registry)
    rows = dict(registry.routes)

    def again(text: str) -> Outcome:
        options = {"data_dir": str(tmp_path / "data"), "config": write(tmp_path, text)}
        return read(Request(options, "epoch", 8, registry, before))

    same = again(PLAIN)
    assert (same.changed, learned(loaded(same).policy), loaded(same).registry.routes) == ((), {"default": names}, rows)
    (tmp_path / "api.yaml").write_text("openapi: 3.0.0\npaths: {/b: {}}")
    routes = "routes: [{name: item, match: {path: '/items/*'}}, {name: a, match: {path: '/a/{x}', methods: [PUT]}}]\n"
    changed = loaded(again(PLAIN + routes + "endpoints: {openapi: api.yaml}"))
    assert [route.name for route in changed.policy.services[0].routes] == ["item", "a", "/b", "/a/{id}", "/c"]
    assert rows.items() <= changed.registry.routes.items()
    fewer = again(PLAIN + "endpoints: {max: 3}")
    assert learned(loaded(fewer).policy) == {"default": names[:3]}
    assert fewer.warnings == ("service default: 1 learned templates find no place any more and are counted as `other`",)
    assert learned(loaded(again("service: x\n" + PLAIN)).policy) == {}


SPLIT = Split("v2", weight=1.0, leased=False)


def test_the_first_policy_has_the_splits_of_the_last_run_and_its_file_has_none(tmp_path: Path) -> None:
    splits_file.save(tmp_path / "data", {"default": SPLIT})
    both = PLAIN.replace("]}", "]}, candidate: {urls: ['http://127.0.0.1:8001']}") + "data_dir: data\n"
    outcome = read(request(tmp_path, config=write(tmp_path, both)))
    assert (splits(loaded(outcome).policy), outcome.warnings, outcome.alarms) == ({"default": SPLIT}, (), ())
    again = read(request(tmp_path, loaded(outcome), config=write(tmp_path, both)))
    assert (splits(loaded(again).policy), again.changed) == ({}, ()), "the supervisor knows those of the moment"
    keep(loaded(outcome))
    assert b"recalled" not in (tmp_path / "data" / "policy.msgpack").read_bytes()
    alone = read(request(tmp_path, config=write(tmp_path, PLAIN + "data_dir: data\n")))
    assert splits(loaded(alone).policy) == {}
    assert "the split of rollout v2 is dropped" in alone.warnings[0]


def test_splits_that_cannot_be_understood_are_an_alarm_and_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "splits.json").write_text("{")
    outcome = read(request(tmp_path, config=write(tmp_path, PLAIN + "data_dir: data\n")))
    assert splits(loaded(outcome).policy) == {}
    assert "the splits of rollouts are lost" in outcome.alarms[0]


def test_names_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers({"a.example": ["192.0.2.1"]}))
    outcome = read(request(tmp_path, primary="http://a.example:8000", candidate="http://b.example:8000"))
    assert outcome.names == ("a.example", "b.example")
    assert outcome.addresses == {"a.example": ("192.0.2.1",)}


def answers(known: dict[str, list[str]]) -> Callable[..., list[tuple[object, ...]]]:
    def getaddrinfo(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if name not in known:
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in known[name]]

    return getaddrinfo


def test_an_address_is_given_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers({"a": ["192.0.2.2", "192.0.2.1", "192.0.2.2"]}))
    assert resolve(["a"]) == {"a": ("192.0.2.2", "192.0.2.1")}


def test_a_resolver_that_hangs_costs_only_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    quick = answers({"quick": ["192.0.2.1"], "slow": ["192.0.2.2"]})

    def getaddrinfo(name: str, *more: object, **rest: object) -> list[tuple[object, ...]]:
        if name == "slow":
            released.wait(30)
        return quick(name, *more, **rest)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert resolve(["slow", "quick"], within=0.2) == {"quick": ("192.0.2.1",)}
    released.set()


def test_the_policy_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    policy = Policy((), sequence=3)
    keep(Loaded(Launch(data_dir=str(tmp_path / "deep" / "data")), policy, Registry()))
    path = tmp_path / "deep" / "data" / "policy.msgpack"
    assert msgspec.msgpack.decode(path.read_bytes(), type=Policy) == policy
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["policy.msgpack"]


def test_a_place_that_cannot_be_written_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        keep(Loaded(Launch(data_dir=str(tmp_path / "file")), Policy(()), Registry()))


def test_the_masking_key_stays_with_its_directory(tmp_path: Path) -> None:
    key, troubles = masking_key(tmp_path / "data")
    assert (len(key), troubles) == (KEY_BYTES, ())
    assert masking_key(tmp_path / "data") == (key, ())
    assert masking_key(tmp_path / "other")[0] != key
    assert stat.S_IMODE((tmp_path / "data" / "mask.key").stat().st_mode) == 0o600


def test_a_damaged_key_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "mask.key").write_bytes(b"short")
    key, troubles = masking_key(tmp_path)
    assert (len(key), troubles) == (KEY_BYTES, ())
    assert (tmp_path / "mask.key").read_bytes() == key


def test_without_a_place_the_key_is_good_for_one_run_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    first, troubles = masking_key(tmp_path / "file")
    assert len(first) == KEY_BYTES
    assert "masked values will not compare equal" in troubles[0]
    assert masking_key(tmp_path / "file")[0] != first
