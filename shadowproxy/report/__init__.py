"""What the counters and examples say about each route, and its renderings: text, JSON, Markdown, JUnit, HTML. Pure."""

from __future__ import annotations

import msgspec

from shadowproxy.report import html, junit, markdown, text
from shadowproxy.report.build import Facts, build, quantiles
from shadowproxy.report.causes import cause_of, worth_showing
from shadowproxy.report.example import render_cause, render_example
from shadowproxy.report.history import compare
from shadowproxy.report.html_page import CONTENT_SECURITY_POLICY
from shadowproxy.report.isolation import isolation_words
from shadowproxy.report.judging import judge, narrow
from shadowproxy.report.values import Cause, Report
from shadowproxy.report.wanted import MOST_EXAMPLES, wanted_examples

__all__ = [
    "CONTENT_SECURITY_POLICY",
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
    "render_cause",
    "render_example",
    "render_html",
    "render_json",
    "render_junit",
    "render_markdown",
    "render_text",
    "wanted_examples",
    "worth_showing",
]

render_text = text.render
render_markdown = markdown.render
render_junit = junit.render
render_html = html.render


def render_json(report: Report) -> bytes:
    """Indented for people, one line feed at the end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
