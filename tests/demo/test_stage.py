"""The demo's configuration is one that the proxy takes."""

from __future__ import annotations

from shadowproxy.demo.shop import ROUTES
from shadowproxy.demo.stage import configuration

ADDRESSES = tuple(f"127.0.0.1:{port}" for port in range(1, 7))


def test_the_configuration_names_every_address_and_route() -> None:
    text = configuration(*ADDRESSES)
    assert all(address in text for address in ADDRESSES)
    assert all(f'{{name: {name}, match: {{path: "{template}"' in text for name, template in ROUTES)
    assert "ignore" not in text


def test_every_eligible_request_of_the_demo_is_mirrored() -> None:
    assert "\nisolation: {hold_out: 0%}\n" in configuration(*ADDRESSES)
