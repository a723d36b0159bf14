"""Options stand for keys of the file and replace them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.config import ConfigError, Overrides, load
from shadowproxy.model.policy import Bind, Registry
from tests.config.builders import MIRRORED, loaded, problems


def alone(**options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(None, Overrides(**options), Registry(), {})
    return [str(problem) for problem in caught.value.problems]


def test_a_primary_alone_is_a_plain_reverse_proxy() -> None:
    got = load(None, Overrides(primary="http://127.0.0.1:9001"), Registry(), {})
    [service] = got.policy.services
    assert (service.name, list(service.upstreams), service.routes) == ("default", ["primary"], ())
    assert got.launch.config_path == ""
    assert got.launch.data_dir == str(Path.cwd() / "data")


def test_every_option_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = Overrides(
        primary="unix:a.sock",
        candidate="http+unix:b.sock",
        secondary="https://c.example",
        listen=("127.0.0.1:1", "unix:l.sock"),
        admin="127.0.0.1:2",
        sample="12.5",
        workers="3",
        data_dir="kept",
        probe="127.0.0.1:4",
        metrics="0.0.0.0:5",
    )
    got = load(None, options, Registry(), {})
    [service] = got.policy.services
    assert [service.upstreams[arm].endpoints[0].unix for arm in ("primary", "candidate")] == [
        str(tmp_path / "a.sock"),
        str(tmp_path / "b.sock"),
    ]
    assert service.upstreams["secondary"].endpoints[0].host == "c.example"
    assert service.shadow.sample == 0.125
    assert got.launch.listen == (Bind("127.0.0.1", 1), Bind(unix=str(tmp_path / "l.sock")))
    assert (got.launch.workers, got.launch.data_dir) == (3, str(tmp_path / "kept"))
    assert (got.launch.admin.bind, got.launch.probe) == (Bind("127.0.0.1", 2), Bind("127.0.0.1", 4))
    assert got.launch.metrics == Bind("0.0.0.0", 5)


def test_options_replace_what_the_file_says_and_nothing_else(tmp_path: Path) -> None:
    text = """\
listen: ["127.0.0.1:1", "127.0.0.1:2"]
workers: 5
admin: {listen: 127.0.0.1:3, hosts: [a.example]}
services:
  shop:
    upstreams:
      primary: {urls: [http://a, http://b], max_connections: 7}
      candidate: {urls: [http://c]}
    shadow: {sample: 50%, max_in_flight: 9}
    routes: [{name: item, match: {path: /i}, shadow: {sample: 1%}}]
"""
    options = Overrides(primary="http://x", listen=("127.0.0.1:4",), admin="127.0.0.1:5", sample="0%", workers="auto")
    got = loaded(tmp_path, text, options)
    [service] = got.policy.services
    primary = service.upstreams["primary"]
    assert [endpoint.host for endpoint in primary.endpoints] == ["x"]
    assert primary.max_connections == 7
    assert (service.shadow.sample, service.shadow.max_in_flight) == (0.0, 9)
    assert service.routes[0].shadow.sample == 0.01
    assert got.launch.listen == (Bind("127.0.0.1", 4),)
    assert got.launch.admin.bind == Bind("127.0.0.1", 5)
    assert got.launch.admin.hosts == ("a.example",)
    assert got.launch.workers == len(os.sched_getaffinity(0))


def test_mistakes_stand_in_the_command_line_under_the_name_of_the_option() -> None:
    found = alone(primary="127.0.0.1:1", listen=("8080",), workers="0", sample="500", candidate="http://c")
    assert sorted(line[:100] for line in found) == [
        'command line:1:1: --listen: cannot be "8080": write the address too: 127.0.0.1:8080 for this machine',
        'command line:1:1: --primary: cannot be "127.0.0.1:1": write http://host:port, https://host:port or u',
        'command line:1:1: --sample: cannot be "500": write a percentage from 0% to 100%, such as 25%',
        'command line:1:1: --workers: cannot be "0": write a whole number from 1 to 256, or auto for one per ',
    ]


def test_nothing_to_serve() -> None:
    [found] = alone()
    assert found.startswith("command line:1:1: upstreams: there is nothing to serve: write upstreams.primary.urls, or")


def test_a_mirror_without_a_primary_and_a_sample_without_a_mirror() -> None:
    [found] = alone(secondary="http://a")
    assert found.startswith("command line:1:1: upstreams.primary: is missing")
    [found] = alone(primary="http://a", sample="5")
    assert found.startswith("command line:1:1: --sample: needs upstreams.candidate")


def test_an_option_does_not_hide_a_mistake_of_the_file(tmp_path: Path) -> None:
    found = problems(
        tmp_path, MIRRORED + "admin: 5\nlisten: nonsense", Overrides(admin="127.0.0.1:1", listen=("127.0.0.1:2",))
    )
    assert [(problem.file, problem.path) for problem in found] == [("proxy.yaml", "admin")]
