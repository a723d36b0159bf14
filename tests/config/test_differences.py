from __future__ import annotations

from pathlib import Path

import msgspec

from shadowproxy.config import host_names, restart_keys
from shadowproxy.config.differences import RESTART
from shadowproxy.config.document import Document
from shadowproxy.config.outline import section_at
from shadowproxy.model import policy as p
from tests.config.builders import PLAIN, loaded

CHANGED = """\
listen: 127.0.0.1:1
workers: 2
comparers: 2
data_dir: kept
drain: {delay: 1s, timeout: 2s}
log: {format: json}
admin: {listen: 127.0.0.1:2, hosts: [a.example], tokens: [{name: a, role: viewer, token: t}], tls: TLS}
probe: {listen: 127.0.0.1:3}
metrics: {listen: 127.0.0.1:4}
store: {max_examples: 1, max_bytes: 1MiB, max_age: 1h}
"""


def test_each_key_that_takes_a_restart_is_named_as_it_is_written(tmp_path: Path, tls: dict[str, Path]) -> None:
    old = loaded(tmp_path, PLAIN).launch
    text = CHANGED.replace("TLS", f"{{cert: {tls['cert']}, key: {tls['key']}}}")
    new = loaded(tmp_path, PLAIN + text).launch
    assert restart_keys(old, old) == []
    assert restart_keys(old, new) == list(RESTART.values())
    assert restart_keys(old, msgspec.structs.replace(old, workers=9)) == ["workers"]


def test_every_field_of_a_launch_is_a_key_that_takes_a_restart() -> None:
    fields = {path.partition(".")[0] for path in RESTART}
    assert fields == set(p.Launch.__struct_fields__) - {"config_path"}
    for key in RESTART.values():
        *path, last = key.split(".")
        section = section_at(tuple(path)) if path else Document
        assert section is not None
        assert last in section.model_fields


def test_names_to_resolve_are_those_of_upstreams(tmp_path: Path) -> None:
    text = """\
services:
  a:
    match: {path: /a}
    upstreams:
      primary: {urls: [http://one.example, http://10.0.0.1, "http://[::1]:1"]}
      candidate: {urls: [https://two.example, "unix:a.sock"], health: {host: virtual.example}}
  b:
    upstreams: {primary: {urls: [http://localhost]}}
"""
    assert host_names(loaded(tmp_path, text).policy) == {"one.example", "two.example", "localhost"}
