"""What a worker writes about its present state at every tick."""

from __future__ import annotations

from shadowproxy.metrics import layout as at
from shadowproxy.proxy.snapshot import Snapshot
from shadowproxy.shadow.pressure import Pressure


def write_gauges(words: memoryview, snapshot: Snapshot, pressure: Pressure, lag: float, now: float) -> int:
    """Connections, health, breakers, lag, bytes held. Returns how many descriptors the upstream connections use."""
    words[at.LOOP_LAG] = int(lag * 1e6)
    words[at.OVERLOADED] = int(pressure.shedding)
    words[at.HELD_BYTES] = sum(arm.held for arm in snapshot.arms) + sum(each.held for each in snapshot.budgets)
    rested = {id(arm.origin) for arm in snapshot.arms if arm.breaker.open}
    rested |= {id(serving.origin) for serving in snapshot.servings if serving.breaker.open}
    descriptors = sum(
        origin.pool.open + origin.pool.connecting for origin in (*snapshot.leaving, *snapshot.origins.values())
    )
    for service in snapshot.policy.services:
        row = at.service_row(service.index)
        for name in service.upstreams:
            origin = snapshot.origins[f"{service.name}\n{name}"]
            pool, a = origin.pool, at.ARM_INDEX[name]
            idle = sum(len(server.idle) for server in pool.servers)
            words[row + at.CONNECTIONS_ACTIVE + a] = pool.open - idle
            words[row + at.CONNECTIONS_IDLE + a] = idle
            words[row + at.CONNECTIONS_CONNECTING + a] = pool.connecting
            words[row + at.HEALTHY + a] = sum(server.is_usable(now) for server in pool.servers)
            words[row + at.ENDPOINTS + a] = len(pool.servers)
            words[row + at.BREAKER_OPEN + a] = int(id(origin) in rested)
    return descriptors
