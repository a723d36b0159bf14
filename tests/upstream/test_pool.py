"""Which server and which connection: turns, rest, order and bounds."""

from __future__ import annotations

from typing import Any, cast

import pytest

from shadowproxy.model.policy import EjectionPolicy, HealthPolicy, UpstreamTimeouts
from shadowproxy.upstream.connection import Connection
from shadowproxy.upstream.pool import Pool, Server
from tests.fakes.stage import upstream


class Spare:
    """As much of a connection as a pool looks at."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.expires = 0.0


def spare(pool: Pool, index: int = 0, lent: bool = False) -> Connection:
    connection = cast(Connection, Spare(pool.servers[index]))
    pool.add(connection)
    if not lent:
        pool.put(connection, 0.0)
    return connection


def pool(servers: int = 3, **settings: Any) -> Pool:
    return Pool(upstream(*range(1, servers + 1), **settings))


def turns(of: Pool, count: int, now: float = 0.0) -> list[int]:
    return [of.servers.index(of.choose(now)) for _ in range(count)]


def test_servers_take_turns() -> None:
    found = turns(pool(), 9)
    assert sorted(found[:3]) == [0, 1, 2]
    assert found == found[:3] * 3


def test_the_server_with_the_fewest_lent_connections_is_chosen() -> None:
    of = pool(balance="least_connections")
    spare(of, 0, lent=True)
    spare(of, 1)
    spare(of, 2, lent=True)
    assert set(turns(of, 4)) == {1}


def test_equal_servers_take_turns_under_least_connections_too() -> None:
    assert set(turns(pool(balance="least_connections"), 3)) == {0, 1, 2}


def test_a_server_that_fails_in_a_row_rests_and_comes_back() -> None:
    of = pool(2, ejection=EjectionPolicy(failures=2, interval=10.0))
    of.failed(of.servers[0], 100.0)
    of.answered(of.servers[0])
    of.failed(of.servers[0], 100.0)
    assert set(turns(of, 4, 100.0)) == {0, 1}
    of.failed(of.servers[0], 100.0)
    assert set(turns(of, 4, 109.9)) == {1}
    assert set(turns(of, 4, 110.0)) == {0, 1}


def test_the_last_server_is_never_ejected() -> None:
    of = pool(2, ejection=EjectionPolicy(failures=1, interval=10.0))
    for server in of.servers:
        of.failed(server, 0.0)
    assert set(turns(of, 4, 1.0)) == {0, 1}
    assert turns(pool(1, ejection=EjectionPolicy(failures=1)), 2) == [0, 0]


def test_the_oldest_goes_when_there_are_too_many_unused() -> None:
    of = pool(1, max_idle=2)
    first, second = spare(of), spare(of)
    third = cast(Connection, Spare(of.servers[0]))
    of.add(third)
    assert of.put(third, 0.0) is first
    assert of.servers[0].idle == [second, third]


def test_what_nobody_used_expires_oldest_first() -> None:
    of = pool(1, timeouts=UpstreamTimeouts(keep_alive=10.0))
    old, young = spare(of), spare(of)
    of.put(of.servers[0].idle.pop(), 5.0)
    assert of.expired(9.9) == []
    assert of.expired(10.0) == [old]
    assert of.servers[0].idle == [young]


def test_connections_count_from_their_beginning_to_their_end() -> None:
    of = pool(2, max_connections=3)
    lent, unused = spare(of, 0, lent=True), spare(of, 1)
    assert (of.open, of.has_room()) == (2, True)
    of.connecting = 1
    assert not of.has_room()
    of.forget(unused)
    of.forget(lent)
    assert (of.open, of.servers[0].open, of.servers[1].open, of.servers[1].idle) == (0, 0, 0, [])


@pytest.mark.parametrize("good", [True, False])
def test_checks_change_the_state_only_in_a_row(good: bool) -> None:
    of = pool(1, health=HealthPolicy(rise=2, fall=3))
    server = of.servers[0]
    needed = 2 if good else 3
    server.healthy = not good
    for _ in range(needed - 1):
        assert not of.checked(server, good)
    assert not of.checked(server, not good)
    changes = [of.checked(server, good) for _ in range(needed)]
    assert changes == [False] * (needed - 1) + [True]
    assert server.is_usable(0.0) is good
