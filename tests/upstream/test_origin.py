"""Lending connections: made, waited for, refused, retired; nobody who asks is left without an answer."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from shadowproxy.model import errors
from shadowproxy.model.errors import Fault
from shadowproxy.model.policy import EjectionPolicy, Endpoint, LimitsPolicy, UpstreamPolicy, UpstreamTimeouts
from shadowproxy.upstream.connection import Connection
from shadowproxy.upstream.deadlines import Deadlines
from shadowproxy.upstream.origin import Origin
from tests.fakes.stage import Network, upstream


class Asker:
    def __init__(self) -> None:
        self.cancelled = False
        self.connection: Connection | None = None
        self.fault: Fault | None = None
        self.detail = ""

    def on_connection(self, connection: Connection) -> None:
        assert self.fault is self.connection is None
        self.connection = connection

    def on_no_connection(self, fault: Fault, detail: str) -> None:
        assert self.fault is self.connection is None
        self.fault, self.detail = fault, detail


class Scene:
    def __init__(self, policy: UpstreamPolicy) -> None:
        self.loop = Network()
        self.names: dict[str, tuple[str, ...]] = {}
        self.deadlines = Deadlines(self.loop.time())
        self.origin = Origin(policy, LimitsPolicy(), self.deadlines, self.names)

    def ask(self) -> Asker:
        asker = Asker()
        with self.loop.running():
            taken = self.origin.take()
            if taken is not None:
                asker.on_connection(taken)
            else:
                self.origin.want(asker)
        self.loop.run()
        return asker

    def give_back(self, asker: Asker) -> None:
        assert asker.connection is not None
        with self.loop.running():
            self.origin.give_back(asker.connection)
        self.loop.run()

    def close(self, asker: Asker) -> None:
        assert asker.connection is not None
        with self.loop.running():
            asker.connection.close()
        self.loop.run()

    def wait(self, seconds: float) -> None:
        self.loop.advance(seconds)
        self.deadlines.advance(self.loop.time())
        with self.loop.running():
            self.origin.sweep()
        self.loop.run()


def scene(*ports: int, **settings: Any) -> Scene:
    return Scene(upstream(*(ports or (1,)), **settings))


def test_the_connection_used_last_is_lent_first() -> None:
    s = scene()
    first, second = s.ask(), s.ask()
    s.give_back(first)
    s.give_back(second)
    assert s.ask().connection is second.connection
    assert s.ask().connection is first.connection
    assert len(s.loop.dialled) == 2


def test_expired_connections_are_closed_and_not_lent() -> None:
    s = scene(timeouts=UpstreamTimeouts(keep_alive=5.0))
    asker = s.ask()
    s.give_back(asker)
    s.deadlines.advance(s.loop.time() + 5.0)
    again = s.ask()
    assert again.connection is not asker.connection
    assert s.loop.made[1][0].aborted
    assert s.origin.pool.open == 1


def test_the_sweep_closes_what_expired() -> None:
    s = scene(timeouts=UpstreamTimeouts(keep_alive=5.0))
    s.give_back(s.ask())
    s.wait(4.9)
    assert not s.loop.made[1][0].closing
    s.wait(0.2)
    assert s.loop.made[1][0].aborted
    assert s.origin.pool.open == 0


def test_new_connections_go_to_each_server_in_turn() -> None:
    s = scene(1, 2, 3)
    for _ in range(9):
        s.ask()
    assert sorted(len(made) for made in s.loop.made.values()) == [3, 3, 3]


def test_one_after_another_requests_settle_on_a_connection_to_each_server() -> None:
    s = scene(1, 2)
    for _ in range(10):
        s.give_back(s.ask())
    assert [len(s.loop.made[port]) for port in (1, 2)] == [1, 1]


def test_another_server_is_tried_where_one_refuses() -> None:
    s = scene(1, 2)
    s.loop.answers[1] = ConnectionRefusedError()
    for _ in range(4):
        asker = s.ask()
        assert asker.connection is not None
        assert asker.connection.server.endpoint.port == 2


def test_a_server_that_refuses_again_and_again_is_not_asked_for_a_while() -> None:
    s = scene(1, 2, ejection=EjectionPolicy(failures=2, interval=10.0))
    s.loop.answers[1] = ConnectionRefusedError()
    for _ in range(6):
        s.ask()
    assert [where for where, _ in s.loop.dialled].count(1) == 2


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConnectionRefusedError("no"), errors.REFUSED),
        (FileNotFoundError("no socket"), errors.REFUSED),
        (ssl.SSLCertVerificationError("expired"), errors.UPSTREAM_TLS),
        (ConnectionAbortedError("SSL handshake is taking longer than 5 seconds"), errors.CONNECT_TIMEOUT),
    ],
)
def test_each_failure_to_connect_has_its_fault(error: Exception, fault: Fault) -> None:
    s = scene()
    s.loop.answers[1] = error
    asker = s.ask()
    assert asker.fault is fault
    assert "http://10.0.0.1:1" in asker.detail
    assert (s.origin.pool.open, s.origin.pool.connecting, s.origin.is_busy) == (0, 0, False)


def test_a_connection_that_is_never_made_is_given_up_in_time() -> None:
    s = scene(timeouts=UpstreamTimeouts(connect=1.0))
    s.loop.answers[1] = None
    asker = s.ask()
    s.loop.advance(0.9)
    assert asker.fault is None
    s.loop.advance(0.2)
    assert asker.fault is errors.CONNECT_TIMEOUT
    assert s.origin.pool.connecting == 0


def test_a_name_without_an_address_is_told_and_found_later() -> None:
    s = Scene(UpstreamPolicy((Endpoint("http://shop:1", "http", "shop", 1),)))
    assert s.ask().fault is errors.UNRESOLVED
    s.names["shop"] = ("10.0.0.8", "10.0.0.9")
    assert s.ask().connection is not None
    assert s.loop.dialled[-1][1]["host"] == "10.0.0.8"


def test_the_next_address_is_tried_where_one_refuses() -> None:
    s = Scene(UpstreamPolicy((Endpoint("http://shop:1", "http", "shop", 1),)))
    s.names["shop"] = ("10.0.0.8", "10.0.0.9")
    s.loop.answers[1] = ConnectionRefusedError()
    assert s.ask().fault is errors.REFUSED
    assert [options["host"] for _, options in s.loop.dialled] == ["10.0.0.8", "10.0.0.9"]


def test_a_unix_socket_is_dialled_by_its_path() -> None:
    s = Scene(UpstreamPolicy((Endpoint("unix:/run/app.sock", unix="/run/app.sock"),)))
    assert s.ask().connection is not None
    assert s.loop.dialled == [("/run/app.sock", {})]


def test_tls_is_offered_with_the_name_to_verify_and_a_limit() -> None:
    s = Scene(UpstreamPolicy((Endpoint("https://shop:1", "https", "shop", 1),), timeouts=UpstreamTimeouts(tls=3.0)))
    s.names["shop"] = ("10.0.0.8",)
    s.ask()
    options = s.loop.dialled[0][1]
    assert options["server_hostname"] == "shop"
    assert options["ssl_handshake_timeout"] == 3.0
    assert options["ssl"].verify_mode == ssl.CERT_REQUIRED
    assert options["ssl"].check_hostname


def test_those_without_room_wait_and_are_served_in_their_order() -> None:
    s = scene(max_connections=1)
    first, second, third = s.ask(), s.ask(), s.ask()
    assert second.connection is third.connection is None
    s.give_back(first)
    assert second.connection is first.connection
    s.close(second)
    assert third.connection is not None
    assert third.connection is not first.connection
    assert s.origin.pool.open == 1


def test_an_unused_connection_of_another_server_is_better_than_waiting() -> None:
    s = scene(1, 2, max_connections=2)
    for _ in range(2):
        s.give_back(s.ask())
    assert {s.ask().connection for _ in range(2)} != {None}
    s = scene(1, 2, max_connections=1)
    lent = s.ask()
    s.give_back(lent)
    for _ in range(4):
        again = s.ask()
        assert again.connection is lent.connection
        s.give_back(again)


def test_too_many_who_wait_are_refused_at_once() -> None:
    s = scene(max_connections=1, max_waiting=1)
    s.ask(), s.ask()
    refused = s.ask()
    assert refused.fault is errors.POOL_FULL
    assert "1 requests already wait" in refused.detail


def test_waiting_ends_in_time_and_those_who_gave_up_are_not_called() -> None:
    s = scene(max_connections=1, max_wait=2.0)
    lent, gone, patient = s.ask(), s.ask(), s.ask()
    gone.cancelled = True
    s.wait(1.9)
    assert patient.fault is None
    s.wait(0.2)
    assert patient.fault is errors.POOL_FULL
    assert (gone.fault, gone.connection) == (None, None)
    s.give_back(lent)
    assert s.origin.pool.servers[0].idle == [lent.connection]


def test_those_who_gave_up_are_passed_over() -> None:
    s = scene(max_connections=1)
    lent, gone, next_one = s.ask(), s.ask(), s.ask()
    gone.cancelled = True
    s.give_back(lent)
    assert gone.connection is None
    assert next_one.connection is lent.connection


def test_a_connection_made_for_someone_who_gave_up_is_kept() -> None:
    s = scene()
    asker = Asker()
    with s.loop.running():
        assert s.origin.take() is None
        s.origin.want(asker)
        asker.cancelled = True
    s.loop.run()
    assert asker.connection is None
    assert len(s.origin.pool.servers[0].idle) == 1


def test_a_failed_attempt_leads_to_another_one_for_those_who_still_wait() -> None:
    s = scene(max_connections=1, timeouts=UpstreamTimeouts(connect=1.0), max_wait=30.0)
    s.loop.answers[1] = None
    first, second = s.ask(), s.ask()
    s.loop.advance(0.5)
    del s.loop.answers[1]
    s.loop.advance(1.0)
    assert first.fault is errors.CONNECT_TIMEOUT
    assert second.connection is not None


def test_a_connection_that_dies_at_once_is_told_and_counted_right() -> None:
    s = scene()
    asker = Asker()
    with s.loop.running():
        s.origin.take()
        s.origin.want(asker)
    original = s.loop._connect

    async def dies(factory: Any, where: object, options: Any) -> Any:
        transport, protocol = await original(factory, where, options)
        transport.closing = True
        transport._lose(None)
        return transport, protocol

    s.loop._connect = dies  # type: ignore[method-assign]
    s.loop.run()
    assert asker.fault is errors.REFUSED
    assert (s.origin.pool.open, s.origin.pool.connecting) == (0, 0)


def test_unused_connections_end_when_a_policy_is_replaced_and_lent_ones_after_their_exchange() -> None:
    s = scene()
    lent, unused = s.ask(), s.ask()
    s.give_back(unused)
    with s.loop.running():
        s.origin.retire()
    assert s.loop.made[1][1].aborted
    assert not s.loop.made[1][0].closing
    assert s.origin.is_busy
    s.give_back(lent)
    assert s.loop.made[1][0].aborted
    assert not s.origin.is_busy


def test_whoever_waits_for_a_retired_origin_is_served() -> None:
    s = scene()
    asker = Asker()
    with s.loop.running():
        s.origin.take()
        s.origin.want(asker)
        s.origin.retire()
    s.loop.run()
    assert asker.connection is not None
    assert len(s.loop.dialled) == 1


def test_no_more_than_max_idle_are_kept() -> None:
    s = scene(max_idle=1)
    first, second = s.ask(), s.ask()
    s.give_back(first)
    s.give_back(second)
    assert s.loop.made[1][0].aborted
    assert s.origin.pool.open == 1
