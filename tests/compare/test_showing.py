"""Examples of XML and HTML, and what is recorded of them, hold no secrets and read as what they are."""

from __future__ import annotations

from typing import Any

import pytest

from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.markup import read_xml
from shadowproxy.compare.redacted import BodyRedactor
from shadowproxy.compare.redaction import Mask, Redactor
from shadowproxy.compare.showing import shown
from shadowproxy.compare.trees import Element, Siblings
from shadowproxy.compare.wording import quoted
from shadowproxy.model.pair import CapturedRequest
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import Clock, example, of, pair

XML = "application/xml"
HTML = "text/html"


def redacted(media_type: str, body: str, *paths: str) -> str:
    policy, mask = ComparePolicy(redact=paths), Mask(b"key")
    bodies = BodyRedactor(policy.max_depth, Redactor(policy, mask), mask)
    return bodies.redact(media_type, body.encode(), Deadline(Clock(), 1.0)).decode()


def test_an_example_of_xml_names_the_place_and_shows_both_documents() -> None:
    a = '<feed><entry id="1"><title>A</title></entry><entry id="2"><title>B</title><at>1</at></entry></feed>'
    b = a.replace("B", "C").replace("<feed>", '<feed><entry id="9"><title>N</title></entry>')
    made = example(pair(of(XML, a), of(XML, b)))
    assert made.explanation == [
        '$.feed.entry[@id=2].title changed from "B" to "C".',
        '$.feed.entry[@id=9] is new: "id=\\"9\\" <title>N</title>".',
    ]
    assert {(each.field, each.primary, each.shadow) for each in made.differences} == {
        ("$.feed.entry.title", '"B"', '"C"'),
        ("$.feed.entry", None, '"id=\\"9\\" <title>N</title>"'),
    }
    assert made.primary_body.split("\n")[:5] == [
        "<feed>",
        '  <entry id="1">',
        "    <title>A</title>",
        "  </entry>",
        '  <entry id="2">',
    ]


@pytest.mark.parametrize(
    ("a", "b", "sentences"),
    [
        ("<a>x<b/>y</a>", "<a>x<b/>z</a>", ['$.a changed from "y" to "z".']),
        ("<a><b/><c/></a>", "<a><c/><b/></a>", ["$.a holds the same in another order."]),
        ("<a><b>1</b></a>", "<a><b>1<c/></b></a>", ['$.a.b.c is new: "".']),
        (
            "<a><b>1</b><b>2</b></a>",
            "<a><b>1</b></a>",
            ["$.a.b has 1 element, the primary's 2.", '$.a.b[1] is missing; the primary has "2".'],
        ),
        ('<a b="1"/>', "<a/>", ['$.a.@b is missing; the primary has "1".']),
    ],
)
def test_explanations_of_xml(a: str, b: str, sentences: list[str]) -> None:
    assert example(pair(of(XML, a), of(XML, b))).explanation == sentences


def test_secrets_in_markup_are_masked_by_name_by_rule_and_by_look() -> None:
    a = (
        '<r><password>hunter1</password><user token="hunter2"><mail>hunter3</mail></user><param name="secret">hunter4'
        '</param><p name="apiKey" value="hunter5"/><link>http://u:hunter6@h/</link><n>{}</n></r>'
    )
    rules = ComparePolicy(redact=("$.r.user.mail",))
    request = CapturedRequest(b"POST", b"/", of(XML, "").fields, a.encode())
    made = example(pair(of(XML, a.replace("{}", "1")), of(XML, a.replace("{}", "2")), request), rules)
    assert "hunter" not in str(made)
    assert made.explanation == ['$.r.n changed from "1" to "2".']
    page = '<meta name="csrf-token" content="hunter1"><input name="password" value="hunter2"><p id="x">{}</p>'
    made = example(pair(of(HTML, page.replace("{}", "1")), of(HTML, page.replace("{}", "2"))))
    assert "hunter" not in str(made)
    assert made.explanation == ['$.html.body.p changed from "1" to "2".']


def test_large_documents_are_shown_where_they_differ() -> None:
    rows = [f"<row><n>{n}</n><m>{n}</m></row>" for n in range(12_000)]
    a = f"<r>{''.join(rows)}</r>"
    rows[9_000] = rows[9_000].replace("<m>9000", "<m>x")
    made = example(pair(of(XML, a), of(XML, f"<r>{''.join(rows)}</r>")), ComparePolicy(max_time=60))
    assert made.primary_body.startswith(f"({len(a):,} bytes of XML; this is where it differs)\n")
    assert len(made.primary_body) < 70_000


def test_an_error_page_beside_json_is_shown_as_what_it_is() -> None:
    made = example(pair(of("application/json", '{"a": 1}'), of(HTML, "<h1>Oops</h1>")))
    assert made.primary_body == '{\n  "a": 1\n}'
    assert "<h1>Oops</h1>" in made.shadow_body
    assert ("body", "body_type") in {(each.field, each.kind) for each in made.differences}


def test_values_of_trees_are_said_in_one_line() -> None:
    assert quoted(Element({"@x": "1", "b": Siblings(["1", "2"])})) == '"x=\\"1\\" <b>1</b> <b>2</b>"'
    assert quoted(Siblings(["a", Element({"@x": "1"})])) == '["a","x=\\"1\\""]'


def test_what_is_shown_is_cut() -> None:
    value: Any = Element({"a": Element({"b": Siblings(["x" * 10] * 1000)})})
    assert 100 <= len(shown("xml", value, 100)) < 200
    assert 100 <= len(shown("records", [{"n": 1}] * 1000, 100)) < 200
    assert shown("json", {"a": 1}, 100) == '{\n  "a": 1\n}'


def test_redacted_markup_is_written_anew_and_the_rest_keeps_its_bytes() -> None:
    plain = "<a>\n <b/> <!-- kept --></a>"
    assert redacted(XML, plain) == plain
    assert redacted(XML, "<a> <password>x</password> </a>").startswith("<a>\n  <password>~")
    soap = (
        '<s:Envelope xmlns:s="urn:soap" xmlns:x="urn:x"><s:Body><x:Get x:id="7"><x:mail>ann@a</x:mail></x:Get></s:Body>'
        "</s:Envelope>"
    )
    written = redacted(XML, soap, "$.Envelope.Body.Get.mail")
    assert "ann@a" not in written
    before, after = (
        read_xml(text.encode(), XML, 64, Deadline(Clock(), 1.0)) for text in (soap.replace("ann@a", "~"), written)
    )
    assert after is not None
    mail: Any = after["Envelope"]["Body"]["Get"]  # type: ignore[index]
    mail["mail"] = "~"
    assert after == before
    assert "hunter2" not in redacted(XML, "<a>\n <b/> <!-- password: hunter2 --></a>")


def test_records_and_parts_are_redacted_at_their_place() -> None:
    assert redacted("application/x-ndjson", '{"m": 1}\n\n{"n": 1}\r\n', "$[].m").endswith('\n\n{"n": 1}\r\n')
    assert '"m": 1' not in redacted("application/x-ndjson", '{"m": 1}\n{"n": 1}\n', "$[].m")
    assert redacted("text/event-stream", ": c\ndata: x\n\n") == ": c\ndata: x\n\n"
    assert "ann" not in redacted("text/event-stream", 'data: {"m": "ann"}\n\n', "$[].data.m")
    part = "--b\r\nContent-Type: application/json\r\nContent-Transfer-Encoding: {}\r\n\r\n{}\r\n--b--"
    assert "ann" not in redacted("multipart/mixed; boundary=b", part.format("7bit", '{"m": "ann"}'), "$[].m")
    packed = part.format("base64", "eyJtIjogImFubiJ9")
    assert "eyJtIjogImFubiJ9" not in redacted("multipart/mixed; boundary=b", packed, "$[].m")
    assert redacted("multipart/mixed; boundary=b", packed) == packed
    quoted_printable = part.format("quoted-printable", "password=3Dhunter2")
    assert "hunter2" not in redacted("multipart/mixed; boundary=b", quoted_printable)
