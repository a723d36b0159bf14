"""Which stored examples a report wants whole: those of the causes with the most pairs. Pure."""

from __future__ import annotations

from typing import Final

from shadowproxy.report.values import Report

MOST_EXAMPLES: Final = 20
"""Examples in one report; each has at most 64 KiB of each body."""


def wanted_examples(report: Report, most: int = MOST_EXAMPLES) -> list[str]:
    """Their ids: of the causes first, then of what differs on the routes, each once."""
    causes = sorted((cause for service in report.services for cause in service.causes), key=lambda each: -each.pairs)
    routes = [route for service in report.services for route in service.routes]
    rows = [row.example for route in routes for row in (*route.failures, *route.fields)]
    shown = [each for each in (*(cause.example for cause in causes), *rows) if each]
    return list(dict.fromkeys(example.id for example in shown))[:most]
