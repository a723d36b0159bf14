"""The policy of a replay: the rules of a service without the limits that would leave a request out."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.model.policy import Loaded
from shadowproxy.replay.rules import KEEP_ALIVE, NO_LIMIT, Targets, UsageError, header_fields, replay_policy

CONFIG = """
upstreams:
  primary: {urls: [http://10.0.0.1:8000], max_connections: 7, timeouts: {first_byte: 3s, keep_alive: 500ms}}
  candidate: {urls: [http://10.0.0.2:8000], health: {}}
  secondary: {urls: [http://10.0.0.3:8000]}
shadow:
  {sample: 1%, methods: [GET], max_in_flight: 1, max_bytes: 1KiB, max_body: 10B, max_response: 1KiB, timeout: 4s,
   breaker: {failures: 1}}
compare: {ignore: ["$.at"]}
routes:
  - name: item
    match: {path: "/items/{id}"}
    shadow: {sample: 2%}
    compare: {ignore: ["$.stock"]}
limits: {body: 10B}
capture: {path: a.gor}
"""
TWO = """
services:
  a: {match: {host: a.example}, upstreams: {primary: {urls: [http://10.0.0.1:1]}}}
  b: {match: {host: b.example}, upstreams: {primary: {urls: [http://10.0.0.1:2]}}}
"""
BOTH = Targets("http://127.0.0.1:2", "http://127.0.0.1:1")


def loaded(
    targets: Targets = BOTH, config: Path | None = None, service: str | None = None, methods: tuple[str, ...] = ("GET",)
) -> Loaded:
    return replay_policy(targets, config, service, methods, "recorded in a.gor", {})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "shadowproxy.yaml"
    path.write_text(CONFIG)
    return path


def urls(found: Loaded) -> dict[str, str]:
    return {arm: each.endpoints[0].url for arm, each in found.policy.services[0].upstreams.items()}


def test_the_urls_are_those_of_the_command_line_and_no_others(config: Path) -> None:
    assert urls(loaded()) == {"primary": "http://127.0.0.1:1", "candidate": "http://127.0.0.1:2"}
    assert urls(loaded(config=config)) == urls(loaded())
    three = Targets("http://127.0.0.1:2", "http://127.0.0.1:1", "unix:/run/app.sock")
    assert urls(loaded(three))["secondary"] == "unix:/run/app.sock"


def test_every_request_of_every_method_is_mirrored(config: Path) -> None:
    (service,) = loaded(config=config, methods=("PURGE", "GET", "POST")).policy.services
    for shadow in (service.shadow, service.other.shadow, *(route.shadow for route in service.routes)):
        assert shadow.sample == 1.0
        assert shadow.methods == ("GET", "POST", "PURGE")
        assert min(shadow.max_in_flight, shadow.max_bytes, shadow.breaker_failures) == NO_LIMIT
        assert shadow.max_body >= 64 * 1024 * 1024
        assert shadow.max_age == float("inf")
        assert shadow.timeout == 4.0
    assert service.isolation.hold_out == 0.0
    assert service.capture is None


def test_what_a_configuration_says_of_arms_routes_and_comparing_holds(config: Path) -> None:
    policy = loaded(config=config).policy
    (service,) = policy.services
    primary, candidate = service.upstreams["primary"], service.upstreams["candidate"]
    assert (primary.max_connections, primary.timeouts.first_byte, primary.timeouts.keep_alive) == (7, 3.0, 0.5)
    assert candidate.timeouts.keep_alive == KEEP_ALIVE
    assert candidate.health is None
    assert (primary.max_wait, primary.max_waiting) == (float("inf"), NO_LIMIT)
    assert [route.name for route in service.routes] == ["item"]
    assert service.routes[0].compare.ignore == ("$.at", "$.stock")
    assert policy.limits.body is None


def test_without_a_primary_the_recording_is_it() -> None:
    (service,) = loaded(Targets("http://127.0.0.1:2")).policy.services
    assert service.upstreams["primary"].endpoints[0].url == "recorded in a.gor"
    assert service.other.compare.recorded
    assert not loaded().policy.services[0].other.compare.recorded


def test_one_of_several_services_is_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(TWO)
    assert [service.name for service in loaded(config=path, service="b").policy.services] == ["b"]
    with pytest.raises(UsageError, match=r"two.yaml has 2 services, choose one: a, b"):
        loaded(config=path)
    with pytest.raises(UsageError, match=r"there is no service 'c'; there are: a, b"):
        loaded(config=path, service="c")


def test_every_problem_of_the_options_is_named_at_once() -> None:
    with pytest.raises(UsageError) as error:
        loaded(Targets("127.0.0.1:2", "ftp://a"))
    assert len(error.value.lines) == 2
    assert all("--candidate" in line or "--primary" in line for line in error.value.lines)


def test_a_configuration_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.yaml"):
        loaded(config=tmp_path / "absent.yaml")


def test_fields_for_every_request() -> None:
    assert header_fields(["Authorization: Bearer a:b ", "Host:x", "X-Empty:"]) == {
        "Authorization": "Bearer a:b",
        "Host": "x",
        "X-Empty": "",
    }


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["Authorization"], "write a field as 'Name: value'"),
        (["a b: c"], "write a field as 'Name: value'"),
        (["Content-Length: 5"], "Content-Length: framing, hop-by-hop"),
        (["Via: 1.1 a"], "Via: framing"),
        (["A: 1", "a: 2"], "a is given twice"),
        (["A: b\nc: d"], "A: write a field value"),
    ],
)
def test_fields_that_cannot_be_set_are_refused(lines: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        header_fields(lines)
