from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from shadowproxy.report import Report, render_markdown
from shadowproxy.report.marking import block, code, text
from tests.report.reports import accepted, cause, evidence, field, full, of, rich, routes, shown

HOSTILE = "@everyone #1 https://evil.example www.evil.example | `` ` <script>alert(1)</script></details>\n# head\n---"
COMMENT = 65_536


def test_the_conclusion_is_first_then_causes_then_what_regressed_then_the_folded_rest() -> None:
    shown = render_markdown(full())
    assert shown.startswith("# ❌ shadowproxy: regression: 1 field regressed on item\n")
    places = [
        shown.index(part)
        for part in (
            "> the store is away",
            "### Causes",
            "### Regressed",
            "<details>",
            "### Routes",
            "<summary>item: 1,200",
        )
    ]
    assert places == sorted(places)


def test_everything_that_is_known_is_said() -> None:
    shown = render_markdown(full())
    for part in (
        "- candidate: `http://candidate:80` v2",
        "1,200 second answers from the secondary",
        '| `c0001` | `item` | 99 | 10.0% | `$.price body_type` | 200 → 200 | 5 s ago | `1.5` | `"1.5"` |',
        "… and 7 more causes",
        "| `item` | `$.price` | body_type | 42 | 3.5% |",
        "| `item` | latency | **slower** |",
        "| `item` | errors |",
        "- **expired** item $.currency",
        "- **dead** item $.currency",
        "needs about 120 more pairs",
        "```yaml\ncompare:\n  tolerance:",
        "```sh\ncurl -sS",
        "| noise | `$.at` |",
        r"| calibrated | +50.0 ms \[+48.0, +52.0\] |",
        "1 accepted differences",
    ):
        assert part in shown, part


def tables(shown: str) -> list[list[int]]:
    """How many cells each line of each table has."""
    found: list[list[int]] = []
    inside = False
    for line in shown.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append(len(re.findall(r"(?<!\\)\|", line)))
        inside = line.startswith("|")
    return found


def hostile() -> Report:
    seen = shown(primary=HOSTILE, candidate=HOSTILE, curl=HOSTILE)
    route = replace(
        routes()[0],
        name=HOSTILE,
        fields=[field(HOSTILE, example=seen)],
        evidence=[evidence(HOSTILE, example=seen)],
        slower_why=HOSTILE,
    )
    service = rich(
        routes=[route],
        causes=[cause(1, route=HOSTILE, words=HOSTILE, suggestion=HOSTILE, example=seen, keys=[(HOSTILE, "status")])],
        accepted=[accepted("dead", field=HOSTILE, reason=HOSTILE), accepted(reason=HOSTILE)],
        conclusion=HOSTILE,
    )
    return replace(of(service), notes=[HOSTILE])


@pytest.mark.parametrize("report", [full(), hostile()], ids=["usual", "hostile"])
def test_every_line_of_a_table_has_as_many_cells_as_its_head(report: Report) -> None:
    for lines in tables(render_markdown(report)):
        assert len(set(lines)) == 1


def test_nothing_foreign_becomes_markup_a_link_or_a_mention() -> None:
    shown = render_markdown(hostile())
    # without fenced blocks, code spans, and what a summary shows, where HTML counts
    bare = re.sub(r"^(`{3,}).*?^\1$", "", shown, flags=re.DOTALL | re.MULTILINE)
    bare = re.sub(r"\\.", "", bare)
    bare = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", bare)
    summaries = re.findall(r"<summary>(.*)</summary>", bare)
    bare = re.sub(r"<summary>.*</summary>", "", bare)
    for piece in ("<script", "@everyone", "https://evil", "www.evil", "\n# head"):
        assert piece not in bare, piece
    assert not any("<" in summary for summary in summaries)
    assert bare.count("<details>") == bare.count("</details>")


def test_it_fits_into_a_comment_whatever_happened_and_counts_what_is_left_out() -> None:
    long = shown(primary="p" * 200, candidate="c" * 200, curl="curl " + "x" * 1_500)
    several = [
        replace(
            routes()[0],
            name=f"route-{i}",
            fields=[field(f"$.f{i}" + "x" * 90, example=long) for i in range(100)],
            evidence=[evidence(f"$.g{i}", example=long) for i in range(100)],
        )
        for i in range(60)
    ]
    causes = [cause(i, words="w" * 900, suggestion="s" * 400, example=long) for i in range(100)]
    entries = [accepted("dead", reason="r" * 200) for _ in range(500)] + [accepted() for _ in range(500)]
    service = rich(routes=several, causes=causes, accepted=entries)
    for report in (of(service), of(*(replace(service, name=f"s{i}") for i in range(5)))):
        written = render_markdown(replace(report, notes=["note " * 50] * 400))
        assert len(written.encode()) < COMMENT
        assert "more" in written
        assert written.count("<details>") == written.count("</details>")
        for lines in tables(written):
            assert len(set(lines)) == 1
    assert "more routes" in render_markdown(of(service))


def test_a_fence_is_longer_than_any_inside() -> None:
    assert block("a\n```\nb", "sh") == "````sh\na\n```\nb\n````\n"
    assert code("a``b") == "```a``b```"
    assert code("`") == "`` ` ``"
    assert code("") == ""


def test_text_stays_text() -> None:
    assert text("*a* [b](c) <d>") == r"\*a\* \[b\](c) \<d\>"
