"""Which stored examples a report wants whole: those of the causes with the most pairs. Pure."""

from __future__ import annotations

from typing import Final

from shadowproxy.report.values import Report

MOST: Final = 20
"""Examples in one report; each has at most 64 KiB of each body."""


def wanted(report: Report, most: int = MOST) -> list[str]:
    """Their ids: of the causes first, then of what differs on the routes, each once."""
    causes = sorted((cause for service in report.services for cause in service.causes), key=lambda each: -each.pairs)
    routes = [route for service in report.services for route in service.routes]
    rows = [row for route in routes for row in (*route.failures, *route.fields)]
    shown = [each.example for each in (*causes, *rows) if each.example]
    return list(dict.fromkeys(example.id for example in shown))[:most]
