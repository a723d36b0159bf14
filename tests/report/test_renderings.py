from __future__ import annotations

import json
import re
import shlex

import msgspec
import pytest
from msgspec.structs import replace

from shadowproxy.model.pair import Difference, FieldCount
from shadowproxy.model.totals import FieldExample
from shadowproxy.report import Report, build, render_json, render_markdown, render_text
from shadowproxy.report.bodies import side_by_side
from shadowproxy.report.example import render_example
from shadowproxy.report.plain import clip, clip_left, duration, plain, seconds, wrap_command
from tests.report.facts import CURL, facts, mirror, route, service
from tests.store.examples import example

HOSTILE = "\x1b[31mred\x07\n| `x` <script>alert(1)</script>"


def busy() -> Report:
    candidate = replace(
        mirror([0.05] * 60, {"body_type": 30, "candidate_timeout": 2}, match=68, mismatch=32, incomparable=1),
        lost={"channel_full": 2},
        dropped={"in_flight": 3},
        eligible=107,
        sent=104,
        in_flight=1,
    )
    fields = [FieldCount("shop", "item", f"$.items[].a_rather_long_name_{i}", "body_type", 30 - i) for i in range(20)]
    examples = [
        FieldExample("shop", "item", fields[0].field, "body_type", "3f2a9c", '"' + "v" * 90 + '"', "12.5", CURL),
        FieldExample("shop", "item", "", "candidate_timeout", "77aa00", "200", None, CURL),
        FieldExample("shop", "item", fields[1].field, "body_type", "3f2a9c", None, HOSTILE, CURL),
    ]
    return build(
        facts(
            route(candidate, [0.01] * 60),
            route(mirror(match=60), name="calm"),
            fields=fields,
            examples=examples,
            incomparable={("shop", "item", "depth"): 1},
            notes=["the store is away"],
        )
    )


def test_the_text_fits_and_says_everything() -> None:
    text = render_text(busy())
    assert max(map(len, text.splitlines())) <= 100
    for part in (
        "eligible 107 = sampled out 0 + dropped 3 (in_flight 3) + sent 104 ✓",
        "sent 104 = compared 101 + lost 2 (channel_full 2) + in flight 1 ✓",
        "match 68 · mismatch 32 · noise 0 · ignored 0 · incomparable 1",
        "incomparable because of depth 1",
        "candidate_timeout",
        "3f2a9c",
        "… and 8 more: shadowproxy diffs list --route item",
        "slower: p50 of the paired difference",
        "note: the store is away",
        "✗ regression: 32 of 160 pairs differ (20.0%) on 1 of 2 routes; slower on item (exit code 1)",
    ):
        assert part in text


def test_the_request_of_an_example_can_be_pasted_and_stands_once() -> None:
    text = render_text(busy())
    assert text.count("3f2a9c  curl") == 1
    start = text.index("3f2a9c  curl") + len("3f2a9c  ")
    command = re.match(r"(?:.*\\\n)*.*", text[start:])
    assert command is not None
    assert shlex.split(command.group().replace("\\\n", " ")) == shlex.split(CURL)


def test_nothing_from_traffic_reaches_the_terminal_as_it_is() -> None:
    assert "\x1b" not in render_text(busy())
    assert "\x07" not in render_text(busy())
    assert "\x1b[3" in render_text(busy(), color=True)


def test_without_color_nothing_else_changes() -> None:
    assert re.sub(r"\x1b\[\d+m", "", render_text(busy(), color=True)) == render_text(busy())


def test_books_that_are_off_are_not_called_balanced() -> None:
    off = replace(mirror(match=60), eligible=61)
    assert "(off by +1 at this moment)" in render_text(build(facts(route(off))))
    assert "(off by +1 at this moment)" in render_markdown(build(facts(route(off))))


def test_several_services_each_get_a_conclusion() -> None:
    rows = [route(mirror(match=60), service="a"), route(mirror(mismatch=60), service="b")]
    text = render_text(build(facts(*rows, services=[service("a"), service("b")])))
    assert "✓ a: no regression in 60 compared pairs" in text
    assert text.splitlines()[-1] == "✗ fail (exit code 1)"


def test_a_secondary_is_named() -> None:
    both = replace(route(mirror(match=60)), mirrors={"candidate": mirror(match=60), "secondary": mirror(noise=5)})
    assert "secondary: eligible 5" in render_text(build(facts(both)), full=True)


def test_too_few_pairs_are_a_question() -> None:
    assert render_text(build(facts())).splitlines()[-1].startswith("? not enough to say: 0 compared pairs")
    assert render_markdown(build(facts())).startswith("# ❔")


def test_json_is_the_report() -> None:
    assert msgspec.json.decode(render_json(busy()), type=Report) == busy()


def test_markdown_tables_have_as_many_cells_as_heads() -> None:
    text = render_markdown(busy())
    width = 0
    for line in text.splitlines():
        if line.startswith("|---"):
            continue
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not cells or not width or cells == width
        width = cells


def test_markdown_keeps_what_is_foreign_in_code() -> None:
    text = render_markdown(busy())
    assert "**yes**" in text
    assert "| no response | candidate_timeout |" in text
    bare = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "<script>" not in bare


def test_an_example_is_shown_side_by_side() -> None:
    text = render_example(example())
    assert "ex00001 · shop · item · candidate" in text
    assert '$.price body_type: 1.5 → "1.5"' in text
    row = next(line for line in text.splitlines() if line.startswith("  |"))
    assert '"price": 1.5' in row
    assert '"price": "1.5"' in row
    assert max(map(len, text.splitlines())) <= 100


def test_of_long_lines_that_part_is_shown_that_differs() -> None:
    left = "a" * 300 + "ONE" + "b" * 300
    text = render_example(example(primary_body=left, shadow_body=left.replace("ONE", "two\x1b" + "x" * 90)))
    (row,) = [line for line in text.splitlines() if line.startswith("  |")]
    assert "…aaaaaaaaaONEbbbbbbbbb…" in row
    assert "…aaaaaaaaatwo\\x1bxxxx" in row
    assert len(row) <= 100


def test_an_example_without_an_answer() -> None:
    failed = example(
        failure="candidate_refused",
        shadow_status=None,
        shadow_seconds=None,
        shadow_body="",
        differences=[Difference("$.x", "body_missing", "1", None, by_rule=True)],
    )
    text = render_example(failed)
    assert "no response (candidate_refused)" in text
    assert "1 → absent (ignored by a rule)" in text


def test_equal_lines_far_from_a_difference_are_left_out() -> None:
    left = "\n".join(f"line {i}" for i in range(100))
    rows = list(side_by_side(left, left.replace("line 50", "LINE") + "\nmore"))
    assert rows[0] == (" ", "…", "…")
    assert ("|", "line 50", "LINE") in rows
    assert rows[-1] == (">", "", "more")
    assert len(rows) < 15
    assert list(side_by_side(left + "\nlast", left))[-1] == ("<", "last", "")
    assert list(side_by_side(left, left)) == []
    assert list(side_by_side("x\n" + left, left))[-1] == (" ", "…", "…")


def test_members_of_the_same_name_stand_beside_each_other() -> None:
    left = {"id": 17, "state": "packed", "at": "a", "trace": "x"}
    rows = list(side_by_side(json.dumps(left), json.dumps({"error": "null", "at": "b", "trace": "y"})))
    assert ("|", ' "at": "a",', ' "at": "b",') in rows
    assert ("|", ' "trace": "x"', ' "trace": "y"') in rows
    assert ("<", ' "state": "packed",', "") in rows


def test_one_more_element_of_a_long_array_is_one_difference() -> None:
    items = [{"sku": number, "quantity": 1} for number in range(100)]
    rows = list(side_by_side(json.dumps(items), json.dumps([*items[:50], {"sku": 999, "quantity": 1}, *items[50:]])))
    assert next(row for row in rows if row[0] != " ")[0] == ">"
    assert len(rows) < 12


def test_the_order_of_members_is_no_difference() -> None:
    left = '{"a": {"x": 1, "y": [{"p": 1, "q": 2}]}, "b": 2}'
    right = '{"b": 2, "new": 3, "a": {"y": [{"q": 2, "p": 9}, 5], "x": 1}}'
    rows = [row for row in side_by_side(left, right) if row[0] != " "]
    assert [(mark, one.strip(), other.strip()) for mark, one, other in rows] == [
        ("|", '"p": 1,', '"p": 9,'),
        ("|", "}", "},"),
        (">", "", "5"),
        ("|", '"b": 2', '"b": 2,'),
        (">", "", '"new": 3'),
    ]
    reordered = '{"b": {"d": 3, "c": 2}, "a": 1}'
    assert list(side_by_side('{"a": 1, "b": {"c": 2, "d": 3}}', reordered)) == []


def test_one_side_that_is_no_json_leaves_both_as_they_are() -> None:
    assert list(side_by_side('{"a":1}', "<p>")) == [("|", '{"a":1}', "<p>")]


def test_deep_json_is_shown_as_it_is() -> None:
    deep = "[" * 100_000
    assert next(iter(side_by_side(deep, "[]")))[1] == deep


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.00095, False, "950 µs"),
        (0.0123, True, "+12.3 ms"),
        (-0.25, True, "-250 ms"),
        (1.2, False, "1.20 s"),
        (0, True, "0 µs"),
    ],
)
def test_durations_have_three_digits(value: float, sign: bool, text: str) -> None:
    assert seconds(value, sign) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-1, "0 s"), (59, "59 s"), (64, "1m 04s"), (7320, "2h 02m"), (200_000, "2d 07h")]
)
def test_ages(value: float, text: str) -> None:
    assert duration(value) == text


def test_commands_are_cut_between_words_only() -> None:
    lines = wrap_command("curl -H 'A: b c' 'http://x/'", 16)
    assert lines == ["curl \\", "-H 'A: b c' \\", "'http://x/'"]
    assert wrap_command("", 10) == [""]


def test_plain_and_clip() -> None:
    assert plain("a\tb\x1b\u202e") == "a\\tb\\x1b\\u202e"
    assert clip("abcdef", 4) == "abc…"
    assert clip_left("abcdef", 4) == "…def"
    assert clip_left("abcd", 4) == "abcd"


HOSTILE = '{"name": "\x1b]52;c;ZXZpbA==\x07\u202e\x1b[2Jowned\x9b31m", "price": 1}'


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_an_example_fits_any_terminal_and_moves_no_cursor(width: int) -> None:
    text = render_example(example(primary_body='{"name": "cup", "price": 1}', shadow_body=HOSTILE), width=width)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    bodies = [line for line in text.splitlines() if line.startswith(("  |", "- ", "+ ", "  <", "  >"))]
    assert bodies
    assert max(map(len, bodies)) <= width


def test_on_a_narrow_terminal_lines_stand_below_each_other() -> None:
    lines = render_example(example(), width=50).splitlines()
    assert [line[:2] for line in lines if "1.5" in line and line.startswith(("- ", "+ "))] == ["- ", "+ "]
