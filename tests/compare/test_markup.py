"""XML and HTML are compared as trees."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.markup import read_html, read_xml
from shadowproxy.compare.showing import shown
from shadowproxy.compare.trees import Element, Siblings
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import Clock, differing, example, judged, of, pair

XML = "application/xml"
HTML = "text/html"


def xml(text: str | bytes, media_type: str = XML, depth: int = 64) -> Any:
    body = text.encode() if isinstance(text, str) else text
    return read_xml(body, media_type, depth, Deadline(Clock(), 1.0))


def html(text: str | bytes, media_type: str = HTML) -> Any:
    body = text.encode() if isinstance(text, str) else text
    return read_html(body, media_type, 64, Deadline(Clock(), 1.0))


def feed(*entries: tuple[str, str], attribute: str = "id") -> str:
    inner = "".join(f'<entry {attribute}="{name}"><title>{title}</title></entry>' for name, title in entries)
    return f"<feed>{inner}</feed>"


def test_elements_become_members_attributes_and_text() -> None:
    tree = xml('<a x="1"><b>one</b><b>two</b><c y="2">text</c><d/></a>')
    assert tree == {
        "a": {
            "@x": "1",
            "b": ["one", "two"],
            "c": {"@y": "2", "#text": "text"},
            "d": "",
            "#order": ["b", "b", "c", "d"],
        }
    }
    assert type(tree["a"]) is Element
    assert type(tree["a"]["b"]) is Siblings


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("<a>\n  <b> 1 </b>\n</a>", "<a><b>1</b></a>"),
        ("<a><b/></a>", "<a><b></b></a>"),
        ('<a x="1" y="2"/>', "<a y='2' x='1'/>"),
        ("<?xml version='1.0'?><!-- one --><a>1</a>", "<a>1<!-- two --></a><?two?>"),
        ("<a>x<!-- c -->y</a>", "<a>xy</a>"),
        ("<a><![CDATA[<&>]]></a>", "<a>&lt;&amp;&gt;</a>"),
        ("<a>&#233;</a>", "<a>é</a>"),
        ('<p:a xmlns:p="urn:x"><p:b/></p:a>', '<a xmlns="urn:x"><b/></a>'),
        ('<a xmlns:p="urn:x" p:b="1"/>', '<a xmlns:q="urn:x" q:b="1"/>'),
        ('<a xmlns:p="urn:x"/>', "<a/>"),
        ("<!DOCTYPE a><a>1</a>", "<a>1</a>"),
    ],
)
def test_how_a_document_is_written_says_nothing(a: str, b: str) -> None:
    assert differing(a, b, XML) == set()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (feed(("1", "A")), feed(("1", "B")), {("$.feed.entry.title", "body_value")}),
        (feed(("1", "A"), ("2", "B")), feed(("1", "X"), ("2", "B")), {("$.feed.entry.title", "body_value")}),
        (
            feed(("1", "A"), ("2", "B")),
            feed(("9", "N"), ("1", "A"), ("2", "C")),
            {("$.feed.entry", "body_extra"), ("$.feed.entry.title", "body_value")},
        ),
        (feed(("1", "A"), ("2", "B")), feed(("2", "B"), ("1", "A")), {("$.feed.entry", "body_order")}),
        ("<a><b>1</b></a>", '<a><b x="2">1</b></a>', {("$.a.b.@x", "body_extra")}),
        ('<a><b x="1">1</b></a>', '<a><b x="2">1</b></a>', {("$.a.b.@x", "body_value")}),
        ('<a><b x="1">1</b></a>', '<a><b x="1">2</b></a>', {("$.a.b", "body_value")}),
        ('<a><b x="1">1</b></a>', '<a><b x="1"/></a>', {("$.a.b", "body_value")}),
        ("<a><b>1</b></a>", "<a><b>1<c/></b></a>", {("$.a.b.c", "body_extra")}),
        ("<a><b>1</b></a>", "<a><b>1</b><b>2</b></a>", {("$.a.b", "body_size")}),
        ("<a><b>1</b></a>", "<a/>", {("$.a.b", "body_missing")}),
        ("<a><b/></a>", "<a><b/><c/></a>", {("$.a.c", "body_extra")}),
        ("<a><b/><c/></a>", "<a><c/><b/></a>", {("$.a", "body_order")}),
        ("<a><b/><c/><d/></a>", "<a><c/><b/></a>", {("$.a", "body_order"), ("$.a.d", "body_missing")}),
        ("<a><b>1</b><b>2</b><b>3</b></a>", "<a><b>3</b><b>1</b><b>2</b></a>", {("$.a.b", "body_order")}),
        ("<a/>", "<b/>", {("$.a", "body_missing"), ("$.b", "body_extra")}),
        ('<a xmlns="urn:x"><b/></a>', '<a xmlns="urn:y"><b/></a>', {("$.a.@xmlns", "body_value")}),
        ('<a xmlns="urn:x"><b/></a>', '<a xmlns="urn:x"><b xmlns="urn:y"/></a>', {("$.a.b.@xmlns", "body_extra")}),
        ('<a xmlns:p="u" p:b="1"/>', '<a xmlns:p="v" p:b="1"/>', {("$.a.@b.@xmlns", "body_value")}),
        ('<a xmlns:p="u" p:b="1"/>', '<a xmlns:p="u" p:b="2"/>', {("$.a.@b", "body_value")}),
        ('<a xml:lang="de"/>', '<a xml:lang="en"/>', {("$.a.@xml:lang", "body_value")}),
        ("<a>x<b/>y</a>", "<a>x<b/>z</a>", {("$.a", "body_value")}),
        ("<a>x<b/></a>", "<a><b/>x</a>", {("$.a", "body_order")}),
    ],
)
def test_what_differs_is_found_at_its_place(a: str, b: str, expected: set[tuple[str, str]]) -> None:
    assert differing(a, b, XML) == expected


def test_one_inserted_element_without_a_name_is_one_difference() -> None:
    rows = [f"<tr><td>{n}</td><td>{n * n}</td></tr>" for n in range(50)]
    a = f"<table>{''.join(rows)}</table>"
    rows.insert(20, "<tr><td>x</td><td>y</td></tr>")
    rows[40] = rows[40].replace("<td>39", "<td>z")
    assert differing(a, f"<table>{''.join(rows)}</table>", XML) == {
        ("$.table.tr", "body_size"),
        ("$.table.tr.td", "body_value"),
    }


def test_rules_hold_in_trees() -> None:
    def one(a: str, b: str, **rules: Any) -> str:
        return judged(pair(of(XML, a), of(XML, b)), ComparePolicy(**rules)).verdict

    assert one("<a><b>1</b></a>", "<a><b>2</b></a>", ignore=("$.a.b",)) == "ignored"
    assert one('<a b="1"/>', '<a b="2"/>', ignore=("$..@b",)) == "ignored"
    assert one("<a><b>1.50</b></a>", "<a><b>1.5</b></a>", tolerance={"$.a.b": 0}) == "ignored"
    assert one('<a b="100"/>', '<a b="101"/>', relative_tolerance={"$.a.@b": 0.01}) == "ignored"
    assert one("<a><b>1</b><b>2</b></a>", "<a><b>2</b><b>1</b></a>", unordered=("$.a.b",)) == "ignored"
    assert one("<a><b/><c/></a>", "<a><c/><b/></a>", unordered=("$.a",)) == "ignored"
    named = feed(("1", "A"), ("2", "B"), attribute="ref"), feed(("0", "Z"), ("1", "A"), ("2", "C"), attribute="ref")
    rules = ComparePolicy(identity={"$.feed.entry": "@ref"})
    assert differing(*named, XML, rules) == {("$.feed.entry", "body_extra"), ("$.feed.entry.title", "body_value")}


def test_html_is_read_as_browsers_do() -> None:
    assert html("<p>a<p>b") == {"html": {"body": {"p": ["a", "b"]}}}
    assert html("<UL><LI>1<LI>2</UL>") == html("<ul><li>1</li><li>2</li></ul>")
    assert html("<p>a \n b</p>") == html("<p>a b</p>")
    assert html("<p>a\xa0b</p>") != html("<p>a b</p>")
    assert html("<pre>a\n  b</pre>") != html("<pre>a b</pre>")
    assert html("<script>if (a<b) c()</script>") == {"html": {"head": {"script": "if (a<b) c()"}}}
    assert html("<input disabled>") == html('<input disabled="">')


def test_html_is_compared_as_a_tree() -> None:
    page = '<html><body><div><h1 class="box">Hi</h1></div><p>Text</p></body></html>'
    assert differing(page, page.replace("box", "round"), HTML) == {("$.html.body.div.h1.@class", "body_value")}
    assert differing(page, page.replace("Text", "Other"), HTML) == {("$.html.body.p", "body_value")}
    assert differing(page, page.replace("<p>", "<p >").replace("><div", ">\n<!-- x --><div"), HTML) == set()


def test_json_that_is_said_to_be_html_is_json() -> None:
    assert differing('{"a": 1}', '{"a": 2}', HTML) == {("$.a", "body_value")}
    assert differing("plain", "text", HTML) == {("line", "body_value")}
    assert differing("<p>x", '{"a": 2}', HTML) == {("body", "body_type")}


def test_what_is_no_xml_is_text() -> None:
    assert differing("<a>1", "<a>2", XML) == {("line", "body_value")}
    assert differing("<a>1</a>", "<a>1", XML) == {("body", "body_type")}
    assert differing("", "<a/>", XML) == {("body", "body_extra")}


def test_bodies_of_two_kinds_are_of_two_types() -> None:
    assert differing("<a>1</a>", "<html><body>oops", XML, other_type=HTML) == {("body", "body_type")}
    assert differing("<p>x", '{"a": 1}', HTML, other_type="application/json") == {("body", "body_type")}
    assert differing("<a>1</a>", "<a>2</a>", XML, other_type="text/xml") == {("$.a", "body_value")}
    assert differing("<a>1</a>", "<a>2</a>", XML, other_type="text/plain") == {("$.a", "body_value")}


def test_markup_without_a_type_is_recognised() -> None:
    assert differing("<?xml version='1.0'?><a>1</a>", "<a>2</a>", "") == {("$.a", "body_value")}
    assert differing("<!DOCTYPE html><p>1", "<html><p>2", "") == {("$.html.body.p", "body_value")}
    assert differing("<1", "<2", "") == {("line", "body_value")}


@pytest.mark.parametrize(
    ("encoding", "charset"),
    [
        ("utf-8", ""),
        ("utf-8", "; charset=utf-8"),
        ("utf-8-sig", ""),
        ("latin-1", "; charset=ISO-8859-1"),
        ("cp1252", '; charset="windows-1252"'),
        ("utf-16", ""),
        ("utf-16", "; charset=utf-16"),
        ("utf-16-le", "; charset=utf-16le"),
        ("utf-16-be", "; charset=utf-16be"),
    ],
)
def test_the_charset_is_that_of_the_type_or_of_the_document(encoding: str, charset: str) -> None:
    assert xml("<a>é</a>".encode(encoding), XML + charset) == {"a": "é"}
    assert html("<html><body>é</body></html>".encode(encoding), HTML + charset) == {"html": {"body": "é"}}


def test_the_charset_that_a_document_names_is_believed() -> None:
    assert xml('<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode("latin-1")) == {"a": "é"}
    assert html('<meta charset="iso-8859-1"><p>é'.encode("latin-1"))["html"]["body"]["p"] == "é"
    assert xml(b'<?xml version="1.0" encoding="no-such-thing"?><a>\xe9</a>') is None


def test_entities_are_never_resolved(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("top secret")
    for body in (
        f'<!DOCTYPE a [<!ENTITY e SYSTEM "{secret.as_uri()}">]><a>&e;</a>',
        f'<!DOCTYPE a [<!ENTITY % p SYSTEM "{secret.as_uri()}">%p;]><a/>',
        '<!DOCTYPE a [<!ENTITY e "inner">]><a>&e;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a>&e;</a>',
        "<a>&e;</a>",
    ):
        assert xml(body) is None
        assert xml(body.encode("utf-16")) is None
        made = example(pair(of(XML, body), of(XML, body + " ")))
        assert "top secret" not in str(made)
        assert {each.field for each in made.differences} == {"line"}
    included = f'<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="{secret.as_uri()}" parse="text"/></a>'
    assert "top secret" not in str(xml(included))
    assert xml('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a>&amp;</a>') == {"a": "&"}


def test_xhtml_may_have_the_entities_of_html() -> None:
    page = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x.dtd"><html><body><p>a&nbsp;{}</p></body></html>'
    found = differing(page.format("b"), page.format("c"), "application/xhtml+xml")
    assert found == {("$.html.body.p", "body_value")}
    assert differing("<html><p>b</p></html>", "<html><p>c</p></html>", "application/xhtml+xml") == {
        ("$.html.p", "body_value")
    }


def test_depth_is_bounded() -> None:
    assert xml("<a>" * 5 + "</a>" * 5, depth=5) is not None
    with pytest.raises(IncomparableError, match="too_deep"):
        xml("<a>" * 6 + "</a>" * 6, depth=5)
    with pytest.raises(IncomparableError, match="too_slow"):
        read_xml(b"<a>" + b"<b/>" * 20_000 + b"</a>", XML, 64, Deadline(Clock(step=1.0), 3.0))


def test_lxml_is_imported_by_the_first_that_needs_it() -> None:
    code = (
        "import sys, shadowproxy.compare.engine; assert 'lxml' not in sys.modules;"
        "from shadowproxy.compare.markup import read_xml; from shadowproxy.compare.limits import Deadline;"
        "clock = iter(range(99)).__next__; deadline = Deadline(clock, 5); read_xml(b'<a/>', '', 9, deadline);"
        "assert 'lxml.etree' in sys.modules; assert deadline.at == 6"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


names = st.sampled_from(["a", "b", "c"])
texts = st.text(st.sampled_from("xy<&>\"' é"), min_size=1, max_size=5).map(lambda text: re.sub(" +", " ", text.strip()))


@st.composite
def documents(draw: st.DrawFn, depth: int = 3) -> str:
    """XML with everything that a tree keeps."""
    tag, attributes = draw(names), draw(st.dictionaries(names, texts, max_size=2))
    space = draw(st.sampled_from(["", "", ' xmlns="urn:1"', ' xmlns="urn:2" xmlns:p="urn:3" p:a="1"', ' xml:lang="x"']))
    written = "".join(f' {name}="{escaped(value)}"' for name, value in attributes.items())
    inner = draw(st.lists(documents(depth=depth - 1) | texts.map(escaped), max_size=4)) if depth else []
    return f"<{tag}{space}{written}>{''.join(inner)}</{tag}>"


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


@given(documents(), documents())
def test_what_is_shown_of_a_tree_reads_as_the_same_tree(a: str, b: str) -> None:
    left, right = xml(a), xml(b)
    assert xml(shown("xml", left, 100_000)) == left
    assert (differing(a, b, XML) == set()) == (left == right)
    again = html(shown("html", html(a), 100_000))
    assert again == html(a)
