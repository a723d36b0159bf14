"""The page around a report: one style sheet, one policy, no script, nothing loaded; and how text gets into markup.

The policy allows the style sheet by its hash alone, so not even a style attribute has an effect: charts are made of
other attributes.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

from msgspec import Struct

from shadowproxy.report.html_style import STYLE
from shadowproxy.report.plain import plain

_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; img-src data:; base-uri 'none'; form-action 'none'"
CONTENT_SECURITY_POLICY: Final = f"{_POLICY}; frame-ancestors 'none'; sandbox"
"""For a response's header, where more can be said than in a document."""

HEAD: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
"""


def head(title: str) -> str:
    return HEAD.format(policy=escape(_POLICY), title=e(title), style=STYLE)


def e(text: str) -> str:
    """Text on one line, as text: markup is escaped, and so is what is invisible or turns the direction of writing."""
    return escape(plain(text))


def code(text: str) -> str:
    return f"<code>{e(text)}</code>" if text else ""


def lines(text: str) -> str:
    """Text of several lines."""
    return "\n".join(map(e, text.splitlines()))


def table(caption: str, names: str, rows: str) -> str:
    """A whole table; `names` and `rows` are markup already."""
    return f"{table_head(caption, names)}{rows}{TABLE_FOOT}"


def table_head(caption: str, names: str) -> str:
    """What stands before its rows; it can be scrolled sideways, also by keyboard."""
    said = e(caption)
    return (
        f'<div class="scroll" role="region" aria-label="{said}" tabindex="0"><table><caption>{said}</caption>'
        f"<thead><tr>{names}</tr></thead><tbody>\n"
    )


TABLE_FOOT: Final = "</tbody></table></div>\n"


def heads(*names: str) -> str:
    """Column heads; a name that begins with `#` is of a column of numbers."""
    return "".join(
        f'<th scope="col" class="n">{e(name[1:])}</th>' if name.startswith("#") else f'<th scope="col">{e(name)}</th>'
        for name in names
    )


class Cell(Struct, frozen=True):
    """Markup, and what it is to the style sheet: `n` a number, `bar` a chart, `value` something long."""

    markup: str
    kind: str


def n(text: object) -> Cell:
    """A number, or nothing where there is none."""
    return Cell(e(f"{text:,}" if isinstance(text, int) else str(text)), "n")


def row(first: str, *rest: str | Cell) -> str:
    """A row of a table, from markup; its first cell is its head."""
    cells = "".join(
        f'<td class="{cell.kind}">{cell.markup}</td>' if isinstance(cell, Cell) else f"<td>{cell}</td>" for cell in rest
    )
    return f'<tr><th scope="row">{first}</th>{cells}</tr>\n'


def values(primary: str | None, candidate: str | None) -> Cell:
    """What the two said of one field."""
    before, after = ('<em class="quiet">absent</em>' if each is None else code(each) for each in (primary, candidate))
    return Cell(f"{before} → {after}", "value")


def folded(name: str, title: str, remark: str, opened: bool) -> str:
    """The beginning of a part that can be folded away; `title` and `remark` are markup already."""
    state = " open" if opened else ""
    summary = f'<h4>{title}</h4> <span class="quiet">{remark}</span>'
    return f'<details id="{name}"{state}><summary>{summary}</summary>\n'


def chip(state: str, kind: str = "") -> str:
    return f'<span class="chip {e(kind or state)}">{e(state)}</span>'
