"""Metric families and Prometheus' text format, version 0.0.4.

A gateway with a thousand routes has a hundred thousand samples, and control's loop answers nobody else meanwhile: the
client library takes five times as long to write them, and a megabyte of every idle instance.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isinf, isnan

from msgspec import Struct


class Family(Struct, frozen=True):
    """What stands under one name. A counter's name ends in `_total`; a histogram's samples have names of their own."""

    name: str
    help: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]
    """Each with its name, its labels and the value."""


def render(families: Iterable[Family]) -> bytes:
    """Counters, gauges and histograms, without timestamps."""
    lines: list[str] = []
    pairs: dict[tuple[str, str], str] = {}
    """Labels as they are written: most values stand in hundreds of samples."""
    for family in families:
        text = family.help.replace("\\", r"\\").replace("\n", r"\n")
        lines.append(f"# HELP {family.name} {text}\n# TYPE {family.name} {family.kind}\n")
        for name, labelled, value in family.samples:
            labels = ",".join(
                [pairs.get(pair) or pairs.setdefault(pair, _written(*pair)) for pair in sorted(labelled.items())]
            )
            lines.append(f"{name}{{{labels}}} {number(value)}\n" if labels else f"{name} {number(value)}\n")
    return "".join(lines).encode()


def number(value: float) -> str:
    """As Prometheus writes it, a bucket's edge as well: `0.5`, `1.0`, `+Inf`."""
    if isinf(value):
        return "+Inf" if value == inf else "-Inf"
    return "NaN" if isnan(value) else repr(float(value))


def _written(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'
