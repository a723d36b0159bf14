from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from msgspec.structs import replace

from shadowproxy.model.pair import Difference, Example
from shadowproxy.report import Report, html, judge, render_html
from shadowproxy.report.html import LIMIT
from shadowproxy.report.html_page import CONTENT_SECURITY_POLICY
from tests.report.reports import (
    accepted,
    cause,
    errors,
    evidence,
    field,
    full,
    knowledge,
    latency,
    of,
    rich,
    routes,
    shown,
)
from tests.store.examples import example

HOSTILE = (
    "<script>alert(1)</script></style></code></pre><svg onload=alert(1)><img src=x onerror=alert(1)>"
    '"\' onclick=alert(1) x="<!-- ]]> javascript:alert(1) \x00\x08\x1b[31m\u202eevil\u2066\ufeff\u200b&lt;b&gt;'
)

ELEMENTS = re.compile(
    "html|head|meta|title|style|body|a|header|h[1-5]|strong|dl|dt|dd|time|nav|ul|ol|li|main|section|div|table|caption|thead"
    "|tbody|tr|th|td|p|span|em|code|pre|mark|details|summary|br|svg|rect|line|circle|footer"
)
ATTRIBUTES = re.compile(
    "lang|charset|http-equiv|content|name|class|href|id|aria-label|aria-labelledby|aria-hidden|focusable|role|tabindex"
    "|datetime|scope|colspan|open|title|height|width|[xyr]|[xyc][xy12]"
)
VOID = {"meta", "br"}
INLINE = {"code", "mark", "span", "em", "strong", "a"}


class Page(HTMLParser):
    """Reads a page as a browser's tokenizer does, and keeps what matters."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.style = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in INLINE:
            self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def checked(report: Report) -> Page:
    """The page, after it was held against what it may have in it."""
    written = render_html(report)
    assert len(written.encode()) <= LIMIT
    page = Page(written)
    assert page.open == []
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for tag, attributes in page.elements:
        assert ELEMENTS.fullmatch(tag), tag
        assert all(map(ATTRIBUTES.fullmatch, attributes)), (tag, attributes)
    for link in page.all("a"):
        assert link["href"].startswith("#")
        assert link["href"][1:] in identifiers or "more causes" in page.text
    assert len(page.all("style")) == 1
    assert "url(" not in page.style
    assert "@import" not in page.style
    return page


def hostile() -> Report:
    seen = shown(id="3f2a9c", primary=HOSTILE, candidate=HOSTILE, curl=HOSTILE)
    whole = example(
        1,
        id="3f2a9c",
        method=HOSTILE,
        target=HOSTILE,
        primary_body=HOSTILE,
        shadow_body=HOSTILE + "\n" + HOSTILE,
        failure=HOSTILE,
        explanation=[HOSTILE],
    )
    route = replace(
        routes()[0],
        name=HOSTILE,
        codes={HOSTILE: {HOSTILE: 1}},
        fields=[field(HOSTILE, kind=HOSTILE, example=seen)],
        evidence=[evidence(HOSTILE, HOSTILE, kind=HOSTILE, example=seen)],
        incomparable={HOSTILE: 3},
        paired=latency(why=HOSTILE),
    )
    service = rich(
        name=HOSTILE,
        upstreams={HOSTILE: [HOSTILE]},
        conclusion=HOSTILE,
        routes=[route],
        causes=[
            cause(
                1,
                route=HOSTILE,
                keys=[(HOSTILE, HOSTILE), (HOSTILE, HOSTILE)],
                failure=HOSTILE,
                words=HOSTILE,
                suggestion=HOSTILE,
                example=seen,
            )
        ],
        accepted=[
            accepted("dead", route=HOSTILE, field=HOSTILE, kind=HOSTILE, shape=HOSTILE, owner=HOSTILE, reason=HOSTILE),
            replace(accepted(), state=HOSTILE, expires=HOSTILE),
        ],
        knowledge=knowledge(versions={HOSTILE: HOSTILE}),
    )
    return replace(of(service, replace(service)), version=HOSTILE, notes=[HOSTILE], examples=[whole], fail_on=[HOSTILE])


def test_nothing_of_a_captured_body_becomes_markup() -> None:
    page = checked(hostile())
    assert "<script>alert(1)</script>" in page.text
    assert "\\x00\\x08\\x1b[31m\\u202eevil\\u2066\\ufeff\\u200b" in page.text
    assert not re.search("[\u202e\u2066\ufeff\x00\x1b]", page.text)


def test_the_policy_comes_before_the_style_and_allows_nothing_else() -> None:
    page = checked(full())
    policy = next(each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert CONTENT_SECURITY_POLICY.startswith(policy)
    names = [tag for tag, attributes in page.elements if tag == "style" or "http-equiv" in attributes]
    assert names == ["meta", "style"]


def test_everything_that_is_known_is_said() -> None:
    text = checked(full()).text
    for part in (
        "✗ Failure: regression: 1 field regressed on item",
        "the store is away",
        "1,200 second answers from the secondary in 1m 30s",
        "Look at 9 causes of mismatches, largest first: the first is behind 10.0% of all pairs",
        "Find out why the candidate is slower on item.",
        "Wait for about 120 more pairs",
        "$.price changed from a number to a string.",
        'tolerance: {"$.price": 0.01}',
        "curl -sS -H 'Accept: application/json'",
        "… and 7 more causes",
        "candidate alone 42, second answer alone 1, both 3; evidence 10^9.2 (10^4.5 needed)",
        "+50.0 ms [+48.0, +52.0]",
        "primary alone 4: no credit to the candidate",
        "ann: the new price list",
        "Status no response",
    ):
        assert part in text, part


def test_both_bodies_stand_side_by_side_with_the_difference_marked() -> None:
    whole = example(1, id="3f2a9c")
    written = render_html(full(examples=[whole]))
    assert "<code> &quot;price&quot;: <mark>1.5</mark>,</code>" in written
    assert "<code> &quot;price&quot;: <mark>&quot;1.5&quot;</mark>,</code>" in written
    assert checked(full(examples=[whole])).text.count("Smallest example: GET /items/1") == 1


def test_what_a_rule_ignores_and_what_is_noise_is_told_apart_from_what_counts() -> None:
    differences = [
        Difference("$.trace", "body_value", "1", "2", by_rule=True),
        Difference("$.price", "body_type", "1.5", '"1.5"'),
        *(Difference(f"$.n{i}", "body_value", "1", None, noise=True) for i in range(60)),
    ]
    text = checked(full(examples=[example(1, id="3f2a9c", differences=differences)])).text
    assert '$.price body_type yes 1.5 → "1.5" $.n0 body_value no: noise 1 → absent' in text
    assert "… and 22 more" in text


def test_without_the_whole_example_its_values_are_shown() -> None:
    assert 'Smallest example: 1.5 → "1.5"' in checked(full()).text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"shadow_status": None, "shadow_seconds": None, "failure": "candidate_timeout"},
            "Candidate: no response candidate_timeout",
        ),
        ({"shadow_body": '{"price": 1.5, "name": "cup"}'}, "The bodies are equal."),
        ({"primary_body": "", "shadow_body": ""}, "The bodies are equal."),
        ({"primary_body": "a\x00\x01\nb", "shadow_body": "a\x00\nb"}, "a\\x00\\x01"),
        ({"primary_body": "x" * 1_000_000, "shadow_body": "x" * 500_000 + "y" + "x" * 499_999}, "y"),
        (
            {
                "primary_body": "\n".join(map(str, range(9_000))),
                "shadow_body": "\n".join(map(str, range(9_000, 18_000))),
            },
            "more lines",
        ),
        ({"primary_body": "[" * 50_000, "shadow_body": "]" * 50_000}, "]]]"),
    ],
    ids=["no answer", "equal", "empty", "binary", "long line", "many lines", "deep"],
)
def test_any_pair_of_bodies_is_shown_within_bounds(changes: dict[str, object], says: str) -> None:
    report = full(examples=[example(1, id="3f2a9c", **changes)])
    assert says in checked(report).text
    assert len(render_html(report)) < 300_000


def many() -> list[Example]:
    body = json.dumps({f"key {i}": f"<{i}>" * 20 for i in range(700)})
    return [example(i, id=f"e{i}", primary_body=body, shadow_body=body.replace("<", "&")) for i in range(20)]


def test_the_file_stays_small_whatever_happened_and_counts_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LIMIT <= 5 * 1024 * 1024
    monkeypatch.setattr(html, "LIMIT", 600_000)
    examples = many()
    causes = [
        cause(
            i,
            words="w" * 2_000,
            example=shown(id=f"e{i}", curl="c" * 20_000),
            keys=[(f"$.{'k' * 150}{i}", "header")] * 90,
        )
        for i in range(100)
    ]
    several = [
        replace(
            routes()[0],
            name=f"route {i} " + "<" * 150,
            fields=[
                field(f"$.f{k}" + "&" * 190, example=shown(primary="<" * 200, candidate=">" * 200)) for k in range(100)
            ],
            evidence=[],
        )
        for i in range(200)
    ]
    entries = [accepted("dead", reason="r" * 500) for _ in range(1_000)]
    report = replace(of(rich(routes=several, causes=causes, accepted=entries)), examples=examples)
    assert len(render_html(report).encode()) <= 600_000
    page = checked(report)
    assert re.search(r"… and \d\d more causes", page.text)
    assert re.search(r"… and [\d,]+ more", page.text)


def test_structure_for_those_who_cannot_see_it() -> None:
    page = checked(of(rich(), replace(rich(), name="mail")))
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(each["aria-hidden"] == "true" for each in page.all("svg"))
    assert all("scope" in each for each in page.all("th"))
    assert all(each["aria-label"] for each in page.all("div"))
    assert page.elements[0] == ("html", {"lang": "en"})


def test_every_bar_has_its_figure_in_the_same_row() -> None:
    rows = re.findall("<tr>.*?</tr>", render_html(full()), re.DOTALL)
    drawn = [row for row in rows if "<svg" in row]
    assert len(drawn) >= 15
    assert all(re.search(r">[^<]*\d[^<]*<", re.sub("<svg.*?</svg>", "", row, flags=re.DOTALL)) for row in drawn)


def test_a_judged_report_says_by_what() -> None:
    assert "Judged by fields, expired" in checked(judge(full(), ["fields", "expired"])).text
    assert "✓ No failure" in checked(judge(full(), ["none"])).text


def test_too_little_to_say_anything() -> None:
    few = rich(
        verdict="inconclusive",
        exit_code=3,
        compared=3,
        conclusion="not enough to say",
        causes=[],
        routes=[],
        accepted=[],
    )
    text = checked(replace(of(few), verdict="inconclusive", exit_code=3)).text
    assert "? Not enough to say: not enough to say" in text
    assert "Wait for 47 more comparable requests" in text


def test_odd_numbers_do_not_break_a_chart() -> None:
    odd = replace(
        routes()[0],
        paired=latency(
            quantiles=latency().quantiles | {"p50": replace(latency().quantiles["p50"], estimate=float("inf"))}
        ),
        evidence=[evidence(evidence=float("-inf"), needed=float("nan"))],
        errors=errors(regressed=False),
    )
    page = checked(of(rich(routes=[odd])))
    for each in page.all("rect"):
        assert re.fullmatch(r"\d+\.\d\d%", each["width"])
