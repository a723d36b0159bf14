"""What rollouts lay over flags for those who ask over OFREP: as on requests (`proxy.flagging`), by targeting key."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any, NamedTuple

from shadowproxy.flags.evaluation import SPLIT, Evaluation, Flag
from shadowproxy.model.flags import Overlay, flag_salt
from shadowproxy.model.policy import ServicePolicy
from shadowproxy.model.sampling import share


class _Laid(NamedTuple):
    service: str
    leased: bool
    salt: bytes
    overlay: Overlay


class Layer:
    """Of the splits of some services. `laid` is what is laid over flags, by flag."""

    def __init__(self, services: Iterable[ServicePolicy] = ()) -> None:
        self.laid: dict[str, list[_Laid]] = {}
        for service in services:
            split = service.split
            for overlay in split.flags if split is not None else ():
                salt = flag_salt((service.salt or service.name).encode(), overlay.flag)
                laid = _Laid(service.name, split is not None and split.leased, salt, overlay)
                self.laid.setdefault(overlay.flag, []).append(laid)

    def evaluate(self, flag: Flag, context: dict[str, Any], now: float, lapsed: Container[str]) -> Evaluation:
        """`now` is Unix time; `lapsed` has services whose lease has run out."""
        key = context.get("targetingKey")
        if key and not flag.is_settled:
            for laid in self.laid.get(flag.key, ()):
                if laid.leased and laid.service in lapsed:
                    continue
                drawn = share(laid.salt, key.encode("utf-8", "surrogateescape")) < laid.overlay.weight
                if drawn and laid.overlay.variant in flag.definition.variants:
                    return flag.of(laid.overlay.variant, SPLIT)
        return flag.evaluate(context, int(now))
