"""The demo's configuration is one that the proxy takes."""

from __future__ import annotations

from pathlib import Path

from shadowproxy.config import Overrides, load
from shadowproxy.demo.shop import ROUTES
from shadowproxy.demo.stage import configuration
from shadowproxy.model.policy import Registry

ADDRESSES = tuple(f"127.0.0.1:{port}" for port in range(1, 7))


def test_the_configuration_names_every_address_and_route() -> None:
    text = configuration(*ADDRESSES)
    assert all(address in text for address in ADDRESSES)
    assert all(f'{{name: {name}, match: {{path: "{template}"' in text for name, template in ROUTES)
    assert "ignore" not in text


def test_every_eligible_request_of_the_demo_is_mirrored() -> None:
    assert "\nisolation: {hold_out: 0%}\n" in configuration(*ADDRESSES)


def test_the_proxy_takes_it_with_its_plan(tmp_path: Path) -> None:
    path = tmp_path / "shadowproxy.yaml"
    path.write_text(configuration(*ADDRESSES, bake=0.5), encoding="utf-8")
    plan = load(path, Overrides(), Registry(), {}).policy.services[0].rollout
    assert plan is not None
    assert [(stage.kind, stage.weights, stage.bake.seconds) for stage in plan.stages] == [
        ("shadow", (), 0.5),
        ("canary", (0.1,), 0.5),
        ("progressive", (0.25, 0.5, 1.0), 0.5),
    ]
