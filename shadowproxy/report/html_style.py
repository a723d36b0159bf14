"""The style sheet of a report as HTML: light and dark, printable, readable at 360 pixels.

Colour is never the only signal: every state is also a word or a shape. At that width the two sides of a body stand one
below the other, and wide tables can be scrolled.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --ground: #fff; --panel: #f6f8fa; --line: #d0d7de; --text: #1f2328; --quiet: #57606a;
  --good: #1a7f37; --bad: #cf222e; --warn: #8a6000; --note: #0969da;
  --mark: #ffd8b5; --del: #fff0ee; --add: #e9f7ec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0d1117; --panel: #161b22; --line: #3d444d; --text: #e6edf3; --quiet: #9aa4af;
    --good: #4ac26b; --bad: #ff7b72; --warn: #d9a52c; --note: #6cb6ff;
    --mark: #7a3d10; --del: #2d1719; --add: #12261a;
  }
}
* { box-sizing: border-box }
html { background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 88rem; padding: 1rem 1.25rem 4rem; overflow-wrap: break-word }
h1 { font-size: 1.3rem; line-height: 1.35; margin: 0 0 .5rem }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; border-bottom: 2px solid var(--line); padding-bottom: .3rem }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem }
h4 { font-size: 1rem; margin: 0; display: inline }
h5 { font-size: .875rem; margin: 1rem 0 .25rem; color: var(--quiet) }
p, ul, ol, dl { margin: .4rem 0 }
li { margin: .2rem 0 }
a { color: var(--note) }
code, pre { font: .8125rem/1.5 ui-monospace, SFMono-Regular, Consolas, monospace; unicode-bidi: isolate }
code { overflow-wrap: anywhere }
pre {
  background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  margin: .4rem 0; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere;
}
pre.copy { user-select: all; -webkit-user-select: all }
.quiet { color: var(--quiet) }
.small { font-size: .875rem }
.pass { --tone: var(--good) }
.fail { --tone: var(--bad) }
.inconclusive { --tone: var(--warn) }
.banner {
  background: var(--panel); border: 1px solid var(--line); border-left: .5rem solid var(--tone); border-radius: 6px;
  padding: .9rem 1.1rem;
}
.banner h1, .verdict { overflow-wrap: anywhere }
.verdict strong, .banner strong { color: var(--tone) }
.chip {
  border: 1px solid var(--tone, var(--line)); border-radius: 1rem; color: var(--tone, var(--text));
  display: inline-block; font-size: .8125rem; line-height: 1.4; padding: 0 .55rem; white-space: nowrap;
}
.regressed, .differs, .expired, .worse { --tone: var(--bad) }
.open, .dead, .other { --tone: var(--warn) }
.noise { --tone: var(--quiet) }
.active, .better { --tone: var(--good) }
nav li { min-width: 0 }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0 }
dl.facts { display: grid; grid-template-columns: fit-content(14rem) 1fr; gap: .15rem .9rem }
dl.facts dt { color: var(--quiet); overflow-wrap: anywhere }
dl.facts dd { margin: 0; overflow-wrap: anywhere }
.scroll { overflow-x: auto; margin: .5rem 0 }
table { border-collapse: collapse; width: 100%; font-size: .875rem }
caption { text-align: left; color: var(--quiet); padding: .2rem 0 }
th, td {
  border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top;
  unicode-bidi: isolate;
}
th { font-weight: 600 }
thead th { color: var(--quiet); white-space: nowrap }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
th code, td code { overflow-wrap: break-word }
td.bar { min-width: 8rem; width: 20% }
th a { white-space: nowrap }
td.value { min-width: 14rem }
td.figures { min-width: 18rem }
td.value code { overflow-wrap: anywhere }
svg { display: block; width: 100%; height: 20px; overflow: visible }
svg .base { fill: var(--line) }
svg .good { fill: var(--good) }
svg .bad { fill: var(--bad) }
svg .warn { fill: var(--warn) }
svg .dim { fill: var(--quiet) }
svg .dot { fill: var(--note) }
svg .span { stroke: var(--note); stroke-width: 3 }
svg .edge, svg .needed { stroke: var(--text); stroke-width: 2 }
svg .axis { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 2 2 }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: 0 .9rem }
details[open] { padding-bottom: .6rem }
summary { cursor: pointer; padding: .5rem 0; overflow-wrap: anywhere }
summary:focus-visible, a:focus-visible, .scroll:focus-visible { outline: 2px solid var(--note); outline-offset: 2px }
table.bodies { table-layout: fixed; border: 1px solid var(--line) }
table.bodies th, table.bodies td { border: 0; padding: .05rem .5rem; white-space: normal }
table.bodies .m { width: 2rem; text-align: center; color: var(--quiet) }
table.bodies code { white-space: pre-wrap; overflow-wrap: anywhere; display: block }
tr.changed .l, tr.gone .l { background: var(--del) }
tr.changed .r, tr.new .r { background: var(--add) }
mark { background: var(--mark); color: inherit; font-weight: 700; text-decoration: underline }
.skip { position: absolute; left: -99rem }
.skip:focus { position: static }
footer { border-top: 1px solid var(--line); color: var(--quiet); margin-top: 3rem; padding-top: .6rem }
@media (max-width: 40rem) {
  body { padding: .6rem .7rem 3rem }
  th, td { padding: .3rem .4rem }
  dl.facts { grid-template-columns: 1fr; gap: 0 }
  dl.facts dd { margin-bottom: .3rem }
  details { padding: 0 .6rem }
  table.bodies, table.bodies tbody { display: block }
  table.bodies thead tr { display: block; padding: .3rem .5rem }
  table.bodies thead th { display: block }
  table.bodies thead th.m { display: none }
  table.bodies tbody tr { display: grid; grid-template-columns: 2rem 1fr }
  table.bodies td { grid-column: 2 }
  table.bodies td.m { grid-column: 1; grid-row: 1 / span 2; width: auto }
  tr.same .r, tr.gone .r, tr.new .l { display: none }
}
@media print {
  :root {
    --ground: #fff; --panel: #fff; --line: #999; --text: #000; --quiet: #333;
    --good: #060; --bad: #900; --warn: #640; --note: #036; --mark: #ddd; --del: #fff; --add: #fff;
  }
  body { max-width: none; padding: 0 }
  nav, .skip { display: none }
  tr, h2, h3, summary { break-inside: avoid }
  details::details-content { content-visibility: visible; block-size: auto }
}
"""
