"""The `freeze` section: windows in which rollouts must not go on."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from shadowproxy.config import rollout_values as rv
from shadowproxy.config import values as v
from shadowproxy.config.section import Section, about
from shadowproxy.model import rollout as r


class FreezeWindow(Section):
    """A time in which changes are not wanted, or the only one in which they are. Either `cron` and `duration`, or
    `start` and `end`. Going back is never frozen.
    """

    needs: ClassVar[tuple[str, ...]] = ("name",)
    fills: ClassVar[Struct | None] = r.FreezeWindow("")
    name: rv.StageName | None = about("Its name, as holds and the audit log write it.")
    kind: rv.WindowKind | None = about(
        "`deny` stops changes while it is active and beats `allow`; with any `allow` window they go on inside one only."
    )
    cron: rv.Cron | None = about("When it begins: minute, hour, day, month, weekday, in `zone`.")
    duration: v.Positive | None = about("How long it lasts each time; longer than its period is fine.")
    zone: rv.Zone | None = about("The time zone of `cron`, and of a `start` or `end` without an offset.")
    start: rv.LocalTime | None = about("When it begins, once. A date is its first moment.")
    end: rv.LocalTime | None = about("When it ends. A date is its last moment.")
    classes: tuple[rv.ChangeClass, ...] | None = about("The change classes that it stops.")
    services: tuple[v.Name, ...] | None = about("The services that it is for. Absent: all.")
    in_flight: rv.InFlight | None = about(
        "What becomes of a rollout that runs: `hold` keeps its weight, `rollback` takes it back; the strongest counts."
    )
    manual: v.Flag | None = about(
        "Whether a person may go on in spite of it, with a reason and an expiry; all that block have to permit it."
    )
    reason: v.Reason | None = about("Why, for those who are held.")
