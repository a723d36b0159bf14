"""The overview page: the report as text, and where to find more. No script, nothing loaded, everything escaped."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

from shadowproxy.report import Report, render_text

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
html { color-scheme: light dark }
pre { font: 13px/1.5 ui-monospace, monospace; overflow-x: auto }
.pass { color: #1a7f37 } .fail { color: #cf222e } .inconclusive { color: #9a6700 }
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>shadowproxy</title>
<style>{style}</style>
<h1>shadowproxy</h1>
<p class="{verdict}">{conclusion}</p>
<p>
<a href="/api/v1/report?format=html">report</a> · <a href="/api/v1/status">status</a> ·
<a href="/api/v1/causes">causes</a> · <a href="/api/v1/diffs">differences</a> · <a href="/api/v1/routes">routes</a> ·
<a href="/metrics">metrics</a> · <a href="/openapi.json">API</a>
</p>
<pre>{report}</pre>
</html>
"""


def overview(report: Report) -> str:
    return _PAGE.format(
        style=_STYLE,
        verdict=report.verdict,
        conclusion=escape(report.conclusion),
        report=escape(render_text(report)),
    )
