"""Mirroring is shed as soon as there is pressure and comes back only after a rest."""

from __future__ import annotations

from shadowproxy.shadow.pressure import LAG_HIGH, REST, Pressure


def test_lag_or_descriptors_shed_at_once() -> None:
    pressure = Pressure(100)
    pressure.observe(0.0, LAG_HIGH, 80)
    assert not pressure.shedding
    pressure.observe(0.0, LAG_HIGH + 0.001, 0)
    assert pressure.shedding
    pressure = Pressure(100)
    pressure.observe(0.0, 0.0, 81)
    assert pressure.shedding


def test_it_ends_after_a_rest_without_any_pressure() -> None:
    pressure = Pressure(100)
    pressure.observe(1.0, 1.0, 0)
    pressure.observe(1.0 + REST - 0.01, 0.0, 0)
    assert pressure.shedding
    pressure.observe(1.2, 1.0, 0)
    pressure.observe(1.2 + REST - 0.01, 0.0, 0)
    assert pressure.shedding
    pressure.observe(1.2 + REST, 0.0, 0)
    assert not pressure.shedding
