"""Snapshots share what did not change, and what they replace runs out without being forgotten."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shadowproxy.endpoints.routes import with_templates
from shadowproxy.metrics import layout as at
from shadowproxy.model import slots
from shadowproxy.model.policy import (
    EndpointsPolicy,
    IsolationPolicy,
    LimitsPolicy,
    Policy,
    Registry,
    RoutePolicy,
    ServicePolicy,
    ShadowPolicy,
    UpstreamPolicy,
    UpstreamTls,
)
from shadowproxy.proxy.snapshot import Route, Snapshot
from tests.fakes.stage import GET, OK, Stage, policy, upstream


def service(name: str, index: int, port: int, **rest: Any) -> ServicePolicy:
    return ServicePolicy(name, index, {"primary": upstream(port)}, other=RoutePolicy("other", index), **rest)


def compiled(*services: ServicePolicy, **rest: Any) -> Snapshot:
    return Stage(Policy(services, 1, "epoch", **rest)).site.snapshot


def test_the_first_service_that_matches_is_asked() -> None:
    snapshot = compiled(
        service("shop", 0, 1, host="shop.example", path="/cart"), service("all", 1, 2, host="*.example")
    )
    found = [
        snapshot.service(host, path)
        for host, path in ((b"shop.example:1", b"/cart/x"), (b"shop.example", b"/carts"), (b"shop.org", b"/cart"))
    ]
    assert [s.name if s else None for s in found] == ["shop", "all", None]


def test_a_single_service_with_conditions_still_has_them() -> None:
    assert compiled(service("shop", 0, 1, path="/cart")).service(b"a", b"/x") is None
    snapshot = compiled(service("shop", 0, 1))
    assert snapshot.service(b"a", b"*") is snapshot.only


def test_no_service_is_a_404() -> None:
    s = Stage(Policy((service("shop", 0, 1, host="shop.example"),), 1, "epoch"))
    client = s.client().send(b"GET / HTTP/1.1\r\nHost: else.where\r\n\r\n")
    assert client.take().startswith(b"HTTP/1.1 404 ")
    assert s.rejected("no_service") == 1


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:10.1.2.3", True),
        ("fe80::1%eth0", True),
        ("::1", False),
        ("", True),
        ("nonsense", False),
    ],
)
def test_who_is_trusted(peer: str, trusted: bool) -> None:
    snapshot = compiled(service("shop", 0, 1), trusted_proxies=("10.0.0.0/8", "fe80::/10", "unix"))
    assert snapshot.trusts(peer) is trusted
    assert not compiled(service("shop", 0, 1)).trusts(peer)


def test_connections_and_budgets_outlive_a_reload_that_does_not_touch_them() -> None:
    s = Stage(policy("candidate"))
    before, arm = s.site.snapshot, s.arm()
    arm.breaker.open = True
    shadow = ShadowPolicy(max_in_flight=7, max_bytes=8, breaker_failures=9)
    changed = msgspec.structs.replace(s.policy.services[0], shadow=shadow)
    s.apply(msgspec.structs.replace(s.policy, services=(changed,), sequence=2))
    assert s.site.snapshot is not before
    assert s.site.snapshot.origins == before.origins
    assert s.arm() is arm
    assert (arm.max_in_flight, arm.max_bytes, arm.breaker.limit, arm.breaker.open) == (7, 8, 9, True)
    assert s.site.snapshot.leaving == ()


@pytest.mark.parametrize("change", ["upstream", "limits"])
def test_what_changed_is_replaced_and_its_unused_connections_end(change: str) -> None:
    s = Stage(policy())
    s.client().send(GET)
    s.at().feed(OK)
    origin = s.origin()
    s.apply(policy(primary=upstream(1, max_idle=3)) if change == "upstream" else policy(limits=LimitsPolicy(fields=9)))
    assert s.origin() is not origin
    assert origin.retired
    assert s.at().closing


def test_tls_files_are_read_again_at_each_reload(tmp_path: Any) -> None:
    import trustme

    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    secure = upstream(1, tls=UpstreamTls(ca=str(tmp_path / "ca.pem")))
    s = Stage(policy(primary=secure))
    origin = s.origin()
    s.apply(policy(primary=secure))
    assert s.origin() is not origin


def test_files_are_left_alone_where_only_routes_were_added(tmp_path: Any) -> None:
    import trustme

    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    s = Stage(policy(primary=upstream(1, tls=UpstreamTls(ca=str(tmp_path / "ca.pem")))))
    origin = s.origin()
    grown, _, _ = with_templates(s.policy, Registry(), {"default": ["/items/{id}"]}, "learned", 1024)
    with s.loop.running():
        s.site.snapshot = s.compiler.compile(grown, reread=False)
    assert s.origin() is origin
    assert not origin.retired


def test_templates_are_routes_and_what_is_there_already_is_not_made_again() -> None:
    s = Stage(policy("candidate"))
    registry = Registry(routes={"default\nother": 0})
    first, registry, _ = with_templates(s.policy, registry, {"default": ["/items/{id}"]}, "learned", 1024)
    second, registry, _ = with_templates(first, registry, {"default": ["/a"]}, "learned", 1024)
    found = []
    for what in (first, second):
        s.apply(what)
        found.append(
            [s.site.snapshot.services[0].table.find(b"GET", p, b"") for p in (b"/items/1", b"/items/x", b"/a")]
        )
    assert [[route.name for route in routes] for routes in found] == [
        ["/items/{id}", "other", "other"],
        ["/items/{id}", "other", "/a"],
    ]
    assert found[0][:2] == found[1][:2]
    assert [route.learns for route in found[1]] == [False, True, False]
    s.client().send(GET)
    s.at().feed(OK)
    assert s.counters[at.requests_word(at.route_row(1), 0, at.CODES.index("2xx"))] == 1


def test_a_route_is_made_again_when_its_rules_or_its_arms_change() -> None:
    s = Stage(policy("candidate"))

    def other() -> Route:
        return s.site.snapshot.services[0].table.find(b"GET", b"/", b"")

    first = other()
    s.apply(s.policy)
    assert other() is first
    s.apply(policy("candidate", route=RoutePolicy("other", 0, shadow=ShadowPolicy(sample=0.5))))
    second = other()
    assert (first.needs_share, second.needs_share) == (False, True)
    s.apply(policy("candidate", "secondary", route=second.rules))
    assert [mirror.arm.name for mirror in other().mirrors] == ["candidate", "secondary"]
    service = msgspec.structs.replace(s.policy.services[0], endpoints=EndpointsPolicy(learn=False))
    s.apply(msgspec.structs.replace(s.policy, services=(service,)))
    assert not other().learns


def test_a_request_under_way_ends_on_the_snapshot_it_began_with() -> None:
    s = Stage(policy("candidate"))
    client = s.client().send(GET)
    old = s.origin()
    s.apply(policy(primary=upstream(7)))
    assert s.site.snapshot.leaving
    s.loop.made[1][0].feed(OK)
    s.loop.made[2][0].feed(OK)
    assert client.take().endswith(b"hello")
    assert s.books() == {"eligible": 1, "sent": 1, "match": 1}
    assert old.pool.open == 0
    s.apply(policy(primary=upstream(7)))
    assert s.site.snapshot.leaving == ()
    assert s.site.snapshot.arms == ()


def test_copies_of_a_replaced_arm_still_run_out_of_time() -> None:
    s = Stage(policy("candidate"))
    s.client().send(GET)
    s.at().feed(OK)
    s.apply(policy())
    s.tick(10.3)
    assert s.books() == {"eligible": 1, "sent": 1, "mismatch": 1}
    assert s.kinds() == {"candidate_timeout": 1}


def test_those_who_wait_for_a_replaced_origin_are_told_in_time() -> None:
    s = Stage(policy(primary=upstream(1, max_connections=1, max_wait=2.0)))
    s.client().send(GET)
    waiting = s.client().send(GET)
    s.apply(policy(primary=upstream(7)))
    s.tick(2.3)
    assert waiting.take().startswith(b"HTTP/1.1 503 ")


def test_a_reload_while_connections_are_being_made_loses_no_request() -> None:
    s = Stage(policy())
    client = s.client()
    with s.loop.running():
        client.protocol.data_received(GET)
        s.site.snapshot = s.compiler.compile(policy(primary=upstream(7)))
    s.loop.run()
    s.loop.made[1][0].feed(OK)
    assert client.take().endswith(b"hello")


def test_files_that_cannot_be_read_leave_everything_as_it_was() -> None:
    s = Stage(policy())
    origin = s.origin()
    endpoint = msgspec.structs.replace(upstream(1).endpoints[0], scheme="https")
    unreadable = UpstreamPolicy((endpoint,), tls=UpstreamTls(ca="/absent.pem"))
    with pytest.raises(OSError, match="No such file"):
        s.apply(policy(primary=unreadable))
    assert not origin.retired


def slot(share: float, least: float = 0.0) -> int:
    """The number of a slot that is held out for this share, and not for `least`."""
    return next(k for k in range(10_000) if least <= slots.held_out_from("epoch", k) < share)


def kept(s: Stage, number: int, first: int, last: int) -> list[bool]:
    """Which services hold out in this slot, while control leases those from `first` to `last`."""
    page = s.all_counters.control
    page[at.HOLD_OUT_FIRST], page[at.HOLD_OUT_LAST] = first, last
    s.site.snapshot.keep_slots(page, (number + 0.5) * slots.SECONDS)
    return [service.held_out for service in s.site.snapshot.services]


def isolated(*shares: float) -> Stage:
    services = tuple(
        service(f"s{n}", n, n + 1, path=f"/{n}", isolation=IsolationPolicy(share)) for n, share in enumerate(shares)
    )
    return Stage(Policy(services, 1, "epoch"))


def test_services_hold_out_together_in_the_slots_that_are_leased() -> None:
    s = isolated(0.05, 0.05, 0.0)
    number = slot(0.05)
    assert kept(s, number, number, number) == [True, True, False]
    assert kept(s, number + 1, number, number + 1) == [False, False, False]
    assert kept(s, number, number + 1, number + 9) == [False, False, False]
    assert kept(s, number, number - 9, number - 1) == [False, False, False]


def test_a_larger_share_holds_out_more_often() -> None:
    s = isolated(0.05, 0.2)
    number = slot(0.2, least=0.05)
    assert kept(s, number, number, number) == [False, True]


def test_without_a_lease_nothing_is_ever_held_out() -> None:
    s = isolated(0.2)
    for number in range(200):
        s.site.snapshot.keep_slots(s.all_counters.control, (number + 0.5) * slots.SECONDS)
        assert not s.site.snapshot.services[0].held_out


def ask(s: Stage) -> int:
    """Three requests; how many durations stand in the bins that the isolation proof reads."""
    client = s.client()
    for _ in range(3):
        client.send(GET)
        s.at().feed(OK)
    first = at.fine_word(0)
    return sum(s.counters[first + i] for i in range(at.FINE_WORDS))


def holding_out(share: float, *arms: str, sequence: int = 1) -> Policy:
    what = policy(*arms)
    (only,) = what.services
    services = (msgspec.structs.replace(only, isolation=IsolationPolicy(share)),)
    return msgspec.structs.replace(what, services=services, sequence=sequence)


def test_the_primarys_durations_are_counted_in_fine_bins_over_all_routes() -> None:
    s = Stage(holding_out(0.05, "candidate"))
    assert ask(s) == 3
    route = at.duration_word(at.route_row(0), 0)
    assert sum(s.counters[route + i] for i in range(at.DURATION_WORDS - 1)) == 3


def test_fine_bins_are_for_those_who_mirror_and_hold_out() -> None:
    assert ask(Stage(holding_out(0.05))) == 0
    s = Stage(holding_out(0.0, "candidate"))
    assert ask(s) == 0
    s.apply(holding_out(0.05, "candidate", sequence=2))
    assert ask(s) == 3
    route = at.duration_word(at.route_row(0), 0)
    assert sum(s.counters[route + i] for i in range(at.DURATION_WORDS - 1)) == 6
