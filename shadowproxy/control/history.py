"""What the last reports that people asked for said, so that the next one can say what changed since.

At most `KEPT` of each service are kept, in the store as well. Where there are more, the one that stands closest between
its neighbours goes, so that those left reach far back however often somebody looked yesterday.
"""

from __future__ import annotations

from typing import Final

import msgspec

from shadowproxy.report import Report
from shadowproxy.report.history import Memory, remember
from shadowproxy.store import Known, Store

KEPT: Final = 50
KIND: Final = "report"

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Memory).decode


class History:
    """By service, oldest first, encoded: few of them are ever read again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, list[tuple[float, bytes]]] | None = None

    def load(self) -> None:
        """Read what is stored, once. May wait for a disk; raises StoreError."""
        if self._kept is not None:
            return
        kept: dict[str, list[tuple[float, bytes]]] = {}
        for item in self._store.known(KIND):
            if item.value is not None and (memory := _read(item.value)):
                kept.setdefault(item.service, []).append((memory.at, item.value))
        for memories in kept.values():
            memories.sort()
        self._kept = kept

    def before(self, service: str, at: float) -> Memory | None:
        """The newest made at or before `at`, Unix time; where all are newer the oldest. None: there is none."""
        memories = (self._kept or {}).get(service, [])
        chosen = next((value for made, value in reversed(memories) if made <= at), memories[0][1] if memories else None)
        return None if chosen is None else _read(chosen)

    def record(self, report: Report) -> None:
        """Keep this one, as newest of each of its services. Without what is stored nothing is kept."""
        if self._kept is None:
            return
        changed: list[Known] = []
        for service in report.services:
            memories = self._kept.setdefault(service.name, [])
            last = _read(memories[-1][1]) if memories else None
            value = _encode(remember(report, service, last))
            memories.append((report.generated_at, value))
            changed.append(Known(KIND, service.name, _key(report.generated_at), value))
            while len(memories) > KEPT:
                made, _ = memories.pop(_closest([made for made, _ in memories]))
                changed.append(Known(KIND, service.name, _key(made), None))
        self._store.learn(changed)


def _read(value: bytes) -> Memory | None:
    """None: another version of shadowproxy wrote it otherwise."""
    try:
        return _decode(value)
    except msgspec.MsgspecError:
        return None


def _key(at: float) -> str:
    return f"{at:.6f}"


def _closest(times: list[float]) -> int:
    """The inner one whose neighbours are closest to each other."""
    return min(range(1, len(times) - 1), key=lambda place: times[place + 1] - times[place - 1])
