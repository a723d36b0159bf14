"""`publishing.py CONFIG` is `shadowproxy run CONFIG` with a control that puts in force the split that a test wants.

It publishes what `wanted.json` in the data directory holds for the service `default`, whenever that changes, and renews
its lease by `LEASE` seconds for as long as the file is there. The roles are forked from this process.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from shadowproxy.metrics import layout as at
from shadowproxy.model.commands import Publish
from shadowproxy.model.rollout import Split
from shadowproxy.runtime import control
from shadowproxy.runtime.main import main
from shadowproxy.runtime.roles import REAL_ROLES
from shadowproxy.upstream.tasks import spawn
from tests.e2e.harness import Proxy, eventually

LEASE = 1.0
WANTED = "wanted.json"


class Publishing(control._Control):
    async def _resolve(self) -> None:
        spawn(self._publish())
        await super()._resolve()

    async def _publish(self) -> None:
        path = Path(self._state.launch.data_dir) / WANTED
        said = b""
        while True:
            wanted = path.read_bytes() if path.exists() else b""
            if wanted:
                self._state.counters.control[at.LEASES] = int((time.monotonic() + LEASE) * 1000)
            if wanted and wanted != said:
                self._commands.send(Publish({"default": msgspec.json.decode(wanted, type=Split)}))
            said = wanted
            await asyncio.sleep(0.02)


def say(proxy: Proxy, **split: Any) -> float:
    """Have another split published and wait until every worker runs it; how many seconds that took.

    Nothing else may publish meanwhile: the service has to learn no endpoints.
    """
    before = proxy.api("status")["policy"]
    path = proxy.data / WANTED
    path.with_suffix(".new").write_bytes(msgspec.json.encode(Split("v2", **split)))
    path.with_suffix(".new").rename(path)
    began = time.monotonic()

    def followed() -> bool:
        status = proxy.api("status")
        return status["policy"] > before and all(worker["policy"] == status["policy"] for worker in status["workers"])

    eventually(followed)
    return time.monotonic() - began


if __name__ == "__main__":
    control._Control = Publishing  # type: ignore[misc]
    sys.exit(main({"config": sys.argv[1]}, REAL_ROLES))
