"""What a valid document becomes: defaults from the policy, a route's rules over its service's, paths from the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shadowproxy.config import Overrides, load
from shadowproxy.model import policy as p
from tests.config.builders import MIRRORED, PLAIN, loaded


def test_what_is_not_written_is_what_the_policy_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    got = loaded(tmp_path, PLAIN)
    endpoint = p.Endpoint("http://127.0.0.1:9001", "http", "127.0.0.1", 9001)
    service = p.ServicePolicy("default", 0, {"primary": p.UpstreamPolicy((endpoint,))}, salt="default")
    assert got.policy == p.Policy((service,))
    path = str(tmp_path / "proxy.yaml")
    assert got.launch == p.Launch(data_dir=str(tmp_path / "data"), config_path=path)
    assert got.registry == p.Registry({"default": 0}, {"default\nother": 0})
    assert got.warnings == ()


def test_every_key_arrives_where_the_processes_read_it(tmp_path: Path) -> None:
    got = loaded(
        tmp_path,
        """\
listen: ["127.0.0.1:1", "unix:a.sock"]
workers: auto
comparers: 2
data_dir: kept
drain: {delay: 1s, timeout: 2s}
trusted_proxies: [10.0.0.0/8, 192.0.2.1, unix]
proxy_protocol: true
limits: {line: 1KiB, head: 2KiB, fields: 3, body: 4B, chunk_extensions: 5B, trailers: 6B, pipelined: 7, connections: 8}
timeouts: {head: 1s, idle: 2s, body_rate: 3B/s, body_grace: 4s, write: 5s, tls: 6s}
access_log: {sample: 10%}
log: {format: json}
admin: {listen: "127.0.0.1:2", hosts: [A.example], tokens: [{name: a, role: operator, token: t-1}]}
probe: {listen: "127.0.0.1:3"}
metrics: {listen: "0.0.0.0:4"}
store: {max_examples: 1, max_bytes: 2MiB, max_age: 3h}
service: shop
match: {host: Shop.example, path: /s/}
upstreams:
  primary:
    urls: [http://one.example, "unix:up.sock"]
    timeouts: {connect: 1s, tls: 2s, first_byte: none, idle: 4s, total: 5s, keep_alive: 6s}
    max_connections: 7
    max_waiting: 0
    max_wait: 9s
    max_idle: 0
    balance: least_connections
    health: {path: "/h?x=1", interval: 1s, timeout: 500ms, rise: 4, fall: 5, host: h.example}
    ejection: {failures: 6, interval: 7s}
  secondary: {urls: [https://two.example], tls: {server_name: S.example}, health: {}}
""",
    )
    launch, policy = got.launch, got.policy
    assert launch.listen == (p.Bind("127.0.0.1", 1), p.Bind(unix=str(tmp_path / "a.sock")))
    assert launch.workers == len(os.sched_getaffinity(0))
    assert (launch.comparers, launch.data_dir, launch.log_format) == (2, str(tmp_path / "kept"), "json")
    assert (launch.drain_delay, launch.drain_timeout) == (1.0, 2.0)
    token = p.TokenPolicy("a", "operator", "t-1")
    assert launch.admin == p.AdminPolicy(p.Bind("127.0.0.1", 2), (token,), ("a.example",))
    assert (launch.probe, launch.metrics) == (p.Bind("127.0.0.1", 3), p.Bind("0.0.0.0", 4))
    assert launch.store == p.StorePolicy(1, 2 * 1024 * 1024, 3 * 3600.0)
    assert policy.trusted_proxies == ("10.0.0.0/8", "192.0.2.1/32", "unix")
    assert policy.proxy_protocol
    assert policy.limits == p.LimitsPolicy(1024, 2048, 3, 4, 5, 6, 7, 8)
    assert policy.timeouts == p.ClientTimeouts(1.0, 2.0, 3, 4.0, 5.0, 6.0)
    assert policy.access_log == p.AccessLogPolicy(0.1)
    [service] = policy.services
    assert (service.name, service.salt, service.host, service.path) == ("shop", "shop", "shop.example", "/s")
    socket = str(tmp_path / "up.sock")
    assert service.upstreams["primary"] == p.UpstreamPolicy(
        (p.Endpoint("http://one.example:80", "http", "one.example", 80), p.Endpoint(f"unix:{socket}", unix=socket)),
        p.UpstreamTimeouts(1.0, 2.0, None, 4.0, 5.0, 6.0),
        7,
        0,
        9.0,
        0,
        "least_connections",
        p.HealthPolicy("/h?x=1", 1.0, 0.5, 4, 5, "h.example"),
        p.EjectionPolicy(6, 7.0),
    )
    secondary = service.upstreams["secondary"]
    assert (secondary.tls, secondary.health) == (p.UpstreamTls(server_name="s.example"), p.HealthPolicy())


RULES = """\
shadow:
  sample: 50%
  methods: [GET, POST]
  max_in_flight: 5
  max_bytes: 8MiB
  breaker: {failures: 3}
  headers: {candidate: {remove: [A], set: {B: "1"}}}
compare:
  ignore: [status, "header:Server"]
  unordered: [$.tags]
  identity: {$.a: id, $.b: id}
  tolerance: {$.a: 1, $.b: 0.5, $.c: 1%, $.d: 2%, $.e: 5}
  redact: [$.email]
  redact_patterns: ['x[0-9]{4}']
  max_depth: 10
routes:
  - name: one
    match: {path: "/one/{id}", methods: [GET], host: a.example}
    shadow: {sample: 25%, max_body: 1KiB, headers: {candidate: {set: {C: "2"}}}}
    compare: {ignore: [status, line], identity: {$.b: node.id}, tolerance: {$.b: 2, $.d: 0.5%, $.e: 3%}, max_depth: 20}
  - name: two
    match: {path: /two}
"""


def test_values_of_a_route_replace_and_its_lists_add(tmp_path: Path) -> None:
    [service] = loaded(tmp_path, MIRRORED + RULES).policy.services
    one, two = service.routes
    assert (one.path, one.methods, one.host) == ("/one/{id}", ("GET",), "a.example")
    assert service.shadow == p.ShadowPolicy(
        sample=0.5,
        methods=("GET", "POST"),
        max_in_flight=5,
        max_bytes=8 * 1024 * 1024,
        breaker_failures=3,
        headers={"candidate": p.HeaderRules(("A",), {"B": "1"})},
    )
    assert (two.shadow, two.compare) == (service.shadow, service.other.compare)
    assert (one.shadow.sample, one.shadow.max_body, one.shadow.methods) == (0.25, 1024, ("GET", "POST"))
    assert (one.shadow.max_in_flight, one.shadow.breaker_failures) == (5, 3)
    assert one.shadow.headers == {"candidate": p.HeaderRules((), {"C": "2"})}
    assert one.compare == p.ComparePolicy(
        ignore=("status", "header:Server", "line"),
        unordered=("$.tags",),
        identity={"$.a": "id", "$.b": "node.id"},
        tolerance={"$.a": 1.0, "$.b": 2.0},
        relative_tolerance={"$.c": 0.01, "$.d": 0.005, "$.e": 0.03},
        redact=("$.email",),
        redact_patterns=("x[0-9]{4}",),
        max_depth=20,
    )
    assert type(one.compare.relative_tolerance["$.c"]) is float
    assert service.other.compare.max_depth == 10
    assert service.other.name == "other"


def test_every_route_and_the_rest_have_a_row(tmp_path: Path) -> None:
    got = loaded(tmp_path, MIRRORED + RULES)
    [service] = got.policy.services
    rows = [route.index for route in (*service.routes, service.other)]
    assert sorted(rows) == [0, 1, 2]
    assert got.registry.routes == {"default\none": rows[0], "default\ntwo": rows[1], "default\nother": rows[2]}


def test_services_keep_the_order_of_the_file(tmp_path: Path) -> None:
    text = "services: {b: {match: {path: /b}, " + PLAIN.strip() + "}, a: {" + PLAIN.strip() + "}}"
    assert [service.name for service in loaded(tmp_path, text).policy.services] == ["b", "a"]


def test_links_to_mounted_files_are_not_resolved(tmp_path: Path) -> None:
    """A mounted volume swaps a link: what is read again must be read through it."""
    real = tmp_path / "v1"
    real.mkdir()
    (real / "proxy.yaml").write_text(PLAIN + "data_dir: here\nlisten: unix:a.sock")
    (tmp_path / "current").symlink_to(real)
    got = load(tmp_path / "current" / "proxy.yaml", Overrides(), p.Registry(), {})
    assert got.launch.data_dir == str(tmp_path / "current" / "here")
    assert got.launch.config_path == str(tmp_path / "current" / "proxy.yaml")
