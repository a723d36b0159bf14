"""JUnit XML has no standard: the rules here are those of the schema of Jenkins' xUnit plugin, told in our own words."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from msgspec.structs import replace

from shadowproxy.report import Report, judge, render_junit
from shadowproxy.report.judging import WORDS
from tests.report.reports import accepted, cause, evidence, field, full, of, rich, routes, shown

ATTRIBUTES = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set()),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package", "file"},
        {"name", "tests", "failures", "errors"},
    ),
    "testcase": ({"name", "time", "classname", "group"}, {"name"}),
    "failure": ({"type", "message"}, {"type", "message"}),
    "skipped": ({"type", "message"}, {"message"}),
    "properties": (set(), set()),
    "property": ({"name", "value"}, {"name", "value"}),
    "system-out": (set(), set()),
}
"""The attributes that an element may have, and must."""
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out"},
    "testcase": {"failure", "skipped"},
    "properties": {"property"},
}


def checked(report: Report) -> Any:
    """The document, read strictly, after it was held against the rules."""
    root = etree.fromstring(render_junit(report).encode())
    for element in root.iter():
        may, must = ATTRIBUTES[element.tag]
        assert must <= set(element.attrib) <= may, element.tag
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    for suite in root.iter("testsuite"):
        cases = suite.findall("testcase")
        assert int(suite.get("tests")) == len(cases)
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
        assert all(len(case) <= 1 for case in cases)
    assert int(root.get("failures")) == sum(int(suite.get("failures")) for suite in root)
    assert bool(int(root.get("failures"))) == (report.exit_code == 1)
    return root


def outcomes(root: Any) -> dict[tuple[str, str], str]:
    return {
        (case.get("classname"), case.get("name")): case[0].tag if len(case) else "passed"
        for case in root.iter("testcase")
    }


def test_each_check_of_each_route_is_a_case() -> None:
    found = outcomes(checked(full()))
    for word in ("fields", "errors", "latency", "failures"):
        assert found["shop.item", word] == "failure"
        assert found["shop.calm", word] == "passed"
    assert found["shop", "enough pairs"] == "passed"


def test_a_failure_tells_the_evidence_and_the_request() -> None:
    root = checked(full())
    failure = root.find(".//testcase[@name='fields']/failure")
    assert failure.get("message") == "$.price body_type"
    assert failure.get("type") == "fields"
    for part in (
        'regressed $.price body_type: 42 pairs (3.5%), 1.5 -> "1.5"',
        "evidence 10^9.2 (10^4.5 needed)",
        "shadowproxy diffs show 3f2a9c",
        "curl -sS -H 'Accept: application/json'",
    ):
        assert part in failure.text
    assert "noise" not in failure.text
    assert "candidate alone 32" in root.find(".//testcase[@name='errors']/failure").text
    assert "calibrated: p50 +50.0 ms" in root.find(".//testcase[@name='latency']/failure").text
    assert root.find(".//testcase[@name='failures']/failure").text.startswith(
        "differs no response candidate_timeout: 2 pairs"
    )


def test_an_entry_that_expired_fails_only_where_someone_says_so() -> None:
    name = ("shop.item", "accepted $.currency body_value")
    for words, outcome in (((), "skipped"), (("expired",), "failure"), (("latency",), "skipped")):
        report = judge(of(rich(accepted=[accepted("expired")])), words)
        assert outcomes(checked(report))[name] == outcome
    assert outcomes(checked(of(rich(accepted=[accepted()]))))[name] == "passed"


@pytest.mark.parametrize("word", WORDS)
def test_what_fails_here_is_what_the_exit_code_says(word: str) -> None:
    judged = judge(full(), [word])
    failed = {name for (_, name), outcome in outcomes(checked(judged)).items() if outcome == "failure"}
    assert bool(failed) == (judged.exit_code == 1)
    assert failed <= {word} | {"accepted $.currency body_value"}


def few(**changes: Any) -> Report:
    service = rich(
        compared=3, verdict="inconclusive", exit_code=3, conclusion="not enough to say: 3 compared pairs", **changes
    )
    return replace(of(service), exit_code=3, verdict="inconclusive")


def test_too_few_pairs_are_skipped_not_passed() -> None:
    found = outcomes(checked(few()))
    assert found["shop", "enough pairs"] == "skipped"
    assert found["shop.item", "fields"] == "skipped"
    assert found["shop.calm", "latency"] == "skipped"
    judged = outcomes(checked(judge(few(), ["inconclusive"])))
    assert judged["shop", "enough pairs"] == "failure"
    assert judged["shop.item", "fields"] == "skipped"


def test_a_route_without_pairs_is_skipped() -> None:
    silent = replace(routes()[1], verdicts={"candidate": {"match": 0, "incomparable": 4}})
    service = rich(routes=[silent], verdict="pass", exit_code=0, accepted=[])
    assert outcomes(checked(of(service)))["shop.calm", "fields"] == "skipped"
    assert outcomes(checked(judge(of(service), ["incomparable"])))["shop.calm", "incomparable"] == "failure"


def test_a_failure_of_which_no_check_knows_is_one_all_the_same() -> None:
    report = of(rich(routes=[routes()[1]], accepted=[]))
    assert outcomes(checked(report))["shop", "verdict"] == "failure"


def test_services_are_suites() -> None:
    report = of(rich(), replace(rich(), name="mail"))
    assert [suite.get("name") for suite in checked(report)] == ["shop", "mail"]


@pytest.mark.no_cover
def test_what_xml_cannot_hold_is_replaced_and_nothing_becomes_markup() -> None:
    hostile = "\x00\x1b[31m\ufffe\u202e\x9b]]></failure><script>&\"'\u202e\U0001f600 1 MB:" + "x" * 1_000_000
    seen = shown(id=hostile[:40], primary=hostile, candidate=hostile, curl=hostile)
    route = replace(
        routes()[0],
        name=hostile,
        fields=[field(hostile, example=seen)],
        evidence=[evidence(hostile, example=seen)],
        slower_why=hostile,
    )
    service = rich(
        name=hostile,
        conclusion=hostile,
        routes=[route],
        causes=[cause(1, route=hostile, example=seen)],
        accepted=[accepted("dead", field=hostile, reason=hostile)],
    )
    root = checked(replace(of(service), notes=[hostile]))
    assert "\\x00\\x1b[31m\\ufffe\\u202e\\x9b]]></failure><script>&" in root.find("testsuite").get("name")
    assert not list(root.iter("script"))


def test_long_lists_of_fields_are_cut_and_counted() -> None:
    route = replace(routes()[0], fields=[field(f"$.f{i}") for i in range(60)], evidence=[], second_answers=0)
    failure = checked(of(rich(routes=[route]))).find(".//testcase[@name='fields']/failure")
    assert "... and 40 more" in failure.text
