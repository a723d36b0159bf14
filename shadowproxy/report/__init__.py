"""What the counters and examples say about each route, and its renderings: text, JSON, Markdown, JUnit, HTML. Pure.

A renderer is imported when it is first asked for: control has the report at hand, and mostly nobody reads it.
"""

from __future__ import annotations

import msgspec

from shadowproxy.report.build import Facts, build, quantiles
from shadowproxy.report.causes import cause_of, worth_showing
from shadowproxy.report.history import compare
from shadowproxy.report.isolation import isolation_words
from shadowproxy.report.judging import judge, narrow
from shadowproxy.report.values import Cause, Report
from shadowproxy.report.wanted import MOST_EXAMPLES, wanted_examples

__all__ = [
    "MOST_EXAMPLES",
    "Cause",
    "Facts",
    "Report",
    "build",
    "cause_of",
    "compare",
    "isolation_words",
    "judge",
    "narrow",
    "quantiles",
    "render_html",
    "render_json",
    "render_junit",
    "render_markdown",
    "render_text",
    "wanted_examples",
    "worth_showing",
]


def render_text(report: Report, color: bool = False, full: bool = False) -> str:
    """For a terminal, ending with a line feed. `full` leaves nothing out."""
    from shadowproxy.report.text import render

    return render(report, color, full)


def render_markdown(report: Report) -> str:
    """For a pull request or a chat: at most as long as a comment may be."""
    from shadowproxy.report.markdown import render

    return render(report)


def render_junit(report: Report) -> str:
    """JUnit XML, ending with a line feed."""
    from shadowproxy.report.junit import render

    return render(report)


def render_html(report: Report) -> str:
    """One file that needs no other."""
    from shadowproxy.report.html import render

    return render(report)


def render_json(report: Report) -> bytes:
    """Indented for people, one line feed at the end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
