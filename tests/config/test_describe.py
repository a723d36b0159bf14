"""What `check` says: everything that matters, no secret."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from shadowproxy.config import ConfigError, Overrides, describe, load
from shadowproxy.config.describing import masked
from shadowproxy.model.policy import Registry
from tests.config.builders import MIRRORED, PLAIN, loaded

TEXT = """\
listen: ["127.0.0.1:8080", "127.0.0.1:8081"]
workers: 2
trusted_proxies: [10.0.0.0/8]
proxy_protocol: true
access_log: {sample: 10%, path: access.log}
admin:
  tokens:
    - {name: oncall, role: operator, token: hunter2-operator}
    - {name: grafana, role: viewer, token: "${TOKEN}"}
metrics: {listen: 0.0.0.0:9902}
service: shop
match: {host: shop.example, path: /api}
upstreams:
  primary: {urls: [http://a, http://b], health: {}, timeouts: {first_byte: none, total: 90s}}
  candidate: {urls: [https://c], tls: {verify: false}}
shadow: {headers: {candidate: {remove: [Cookie], set: {Authorization: "Bearer hunter2-value"}}}}
compare: {ignore: [header:server], redact: [$.email], redact_patterns: ["hunter2-pattern"], tolerance: {$.a: 0.001}}
routes:
  - name: item
    match: {path: "/api/{id}", methods: [GET, PUT], host: shop.example}
    shadow: {sample: 25%, methods: []}
    compare: {tolerance: {$.b: 1%}, identity: {$.l: id}}
"""
MOST = "at most 1024 connections a worker"
SECRETS = {"TOKEN": "hunter2-viewer"}


def text(tmp_path: Path, yaml: str) -> str:
    return "\n".join(describe(loaded(tmp_path, yaml, environ=SECRETS)))


def full(tmp_path: Path) -> str:
    return text(tmp_path, TEXT)


def test_listeners_services_and_routes_are_named(tmp_path: Path) -> None:
    lines = full(tmp_path).splitlines()
    for expected in (
        "users      127.0.0.1:8080, PROXY protocol",
        "users      127.0.0.1:8081, PROXY protocol",
        "admin      127.0.0.1:9900, tokens of oncall (operator), grafana (viewer)",
        "probes     127.0.0.1:9901",
        "metrics    0.0.0.0:9902, for anyone who can reach it",
        "trusted    10.0.0.0/8",
        "processes  2 workers, 1 comparer",
        "drain      accepting for 0s, then 30s for what is running",
        f"access log 10% of requests and every error, to {tmp_path}/access.log",
        "service shop: shop.example, below /api",
        f"  primary    http://a:80 http://b:80 (connect 1s, idle 1m, total 90s, {MOST}, GET /healthz every 5s)",
        f"  candidate  https://c:443 (connect 1s, first byte 30s, idle 1m, {MOST}, certificate NOT verified)",
        "      1  item   GET PUT shop.example/api/{id}",
        "      2  other  everything else",
    ):
        assert expected in lines
    joined = "\n".join(lines)
    assert "mirrors 25% of no method" in joined
    assert "mirrors 100% of GET, HEAD, OPTIONS with a body up to 1MiB to candidate, each within 10s" in joined
    assert "headers to candidate: remove Cookie; set Authorization" in joined
    assert "ignores header:server" in joined
    assert "masks $.email" in joined
    assert "tolerates $.a ± 0.001, $.b ± 1%" in joined
    assert "matches $.l by id" in joined
    assert "masks what 1 pattern of yours match" in joined


def test_what_is_ignored_by_default_is_listed(tmp_path: Path) -> None:
    *_, last, length = full(tmp_path).splitlines()
    assert "HEAD" in length
    assert last.startswith("never compared, since they differ by nature: age, ")
    assert ", date, " in last


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    got = loaded(tmp_path, TEXT, environ=SECRETS)
    assert "hunter2" in repr(got)
    assert "hunter2" not in "\n".join(describe(got))
    assert "hunter2" not in msgspec.json.encode(masked(got)).decode()


def test_a_plain_reverse_proxy_says_that_nothing_is_mirrored(tmp_path: Path) -> None:
    lines = text(tmp_path, PLAIN)
    assert "nothing is mirrored: there is neither a candidate nor a secondary" in lines
    assert "admin      127.0.0.1:9900, no token needed from this machine" in lines
    assert "mirrors" not in lines
    assert "access log" not in lines


def test_rules_that_change_nothing_are_not_listed(tmp_path: Path) -> None:
    assert "headers to" not in text(tmp_path, MIRRORED + "shadow: {headers: {candidate: {}}}")


def test_certificates_are_counted(tmp_path: Path, tls: dict[str, Path]) -> None:
    identity = f"cert: {tls['cert']}, key: {tls['key']}"
    lines = text(
        tmp_path,
        MIRRORED + f"tls: {{{identity}}}\nadmin: {{tls: {{{identity}, client_ca: {tls['ca']}}}}}\n"
        "metrics: {listen: 127.0.0.1:9902}\naccess_log: {sample: 100%}\n",
    )
    assert "users      127.0.0.1:8080, TLS with 1 certificate" in lines
    assert "admin      127.0.0.1:9900, client certificates, TLS" in lines
    assert "metrics    127.0.0.1:9902, for this machine" in lines
    assert "access log 100% of requests and every error, to standard output" in lines


def test_what_is_held_out_is_said(tmp_path: Path) -> None:
    assert "  isolation  in 5% of the time nothing is mirrored, to measure what mirroring adds" in text(
        tmp_path, MIRRORED
    )
    assert "  isolation  not measured: nothing is held out" in text(tmp_path, MIRRORED + "isolation: {hold_out: 0%}")
    assert "  isolation  " not in text(tmp_path, PLAIN)


def test_where_knowledge_of_noise_and_versions_comes_from_is_said(tmp_path: Path) -> None:
    assert "  noise      not learned, so that whatever differs counts: add" in text(tmp_path, MIRRORED)
    asked = text(tmp_path, MIRRORED + "noise: {resample: 2%, fdr: 1%}\nversion: {header: X-Build}")
    assert "asking the primary once more for 2% of the mirrored safe requests; false discoveries at most 1%" in asked
    assert "  version    what the response header x-build says" in asked
    assert "what each arm answers at /version" in text(tmp_path, MIRRORED + "version: {get: /version}")
    assert "  version    v2" in text(tmp_path, MIRRORED + "version: {static: v2}")
    both = MIRRORED.replace("}}", "}, secondary: {urls: [http://10.0.0.9:80]}}", 1)
    assert "learned from the secondary" in text(tmp_path, both)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("noise: {resample: 2%}\n", "noise.resample: has no effect beside upstreams.secondary: delete one"),
        ("version: {header: x-v, static: v2}\n", "version: has header and static: keep one of them"),
    ],
)
def test_one_source_of_second_answers_and_one_of_versions(more: str, says: str, tmp_path: Path) -> None:
    both = MIRRORED.replace("}}", "}, secondary: {urls: [http://10.0.0.9:80]}}", 1)
    path = tmp_path / "both.yaml"
    path.write_text(both + more)
    with pytest.raises(ConfigError) as refused:
        load(path, Overrides(), Registry(), {})
    assert [str(problem).partition(": ")[2] for problem in refused.value.problems] == [says]


def test_what_is_recorded_is_said(tmp_path: Path) -> None:
    assert "  capture    " not in text(tmp_path, PLAIN)
    where = f"{tmp_path}/a.gor, at most 8 files of 64MiB"
    assert f"  capture    100% of all requests with their responses, redacted, to {where}" in text(
        tmp_path, PLAIN + "capture: {path: a.gor}"
    )
    rules = "{path: /var/a.gor, sample: 5%, methods: [GET, POST], responses: false, files: 1, max_file: 1KiB}"
    assert (
        "  capture    5% of GET, POST without their responses, redacted, to /var/a.gor, at most 1 file of 1KiB"
        in text(tmp_path, PLAIN + f"capture: {rules}")
    )
