from __future__ import annotations

from shadowproxy.compare.findings import Findings
from shadowproxy.compare.heads import compare_heads
from shadowproxy.model.pair import Fields
from tests.compare.builders import response


def heads(
    a: Fields, b: Fields, method: bytes = b"GET", statuses: tuple[int, int] = (200, 200), ignored: tuple[str, ...] = ()
) -> Findings:
    found = Findings()
    compare_heads(method, response(b"", a, statuses[0]), response(b"", b, statuses[1]), frozenset(ignored), found)
    return found


def test_case_and_order_of_names_do_not_matter() -> None:
    a = [(b"ETag", b"1"), (b"Vary", b"a")]
    b = [(b"vary", b"a"), (b"etag", b"1")]
    assert not heads(a, b).counted


def test_a_repeated_field_is_the_ordered_list_of_its_values() -> None:
    a = [(b"Link", b"1"), (b"X", b"-"), (b"link", b"2")]
    assert not heads(a, [(b"Link", b"1"), (b"Link", b"2"), (b"X", b"-")]).counted
    found = heads(a, [(b"Link", b"2"), (b"Link", b"1"), (b"X", b"-")])
    assert found.counted == {("header:link", "header"): ([b"1", b"2"], [b"2", b"1"])}


def test_changed_missing_and_extra_fields_are_of_one_kind() -> None:
    found = heads([(b"A", b"1"), (b"B", b"1")], [(b"A", b"2"), (b"C", b"1")])
    assert list(found.counted) == [("header:a", "header"), ("header:b", "header"), ("header:c", "header")]
    assert found.kinds == ("header",)


def test_what_changes_by_nature_is_left_out() -> None:
    a = [(b"Date", b"1"), (b"X-Request-Id", b"1"), (b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")]
    assert not heads(a, []).counted


def test_fields_that_connection_names_belong_to_the_hop() -> None:
    a = [(b"Connection", b"close, X-Hop"), (b"X-Hop", b"1")]
    assert not heads(a, [(b"Connection", b"keep-alive")]).counted
    assert heads([(b"X-Hop", b"1")], []).counted


def test_the_length_counts_where_there_is_no_body_to_compare() -> None:
    a, b = [(b"Content-Length", b"5")], [(b"Content-Length", b"6")]
    assert not heads(a, b).counted
    assert ("header:content-length", "header") in heads(a, b, b"HEAD").counted
    assert ("header:content-length", "header") in heads(a, b, statuses=(304, 304)).counted
    assert ("header:content-length", "header") not in heads(a, b, statuses=(304, 200)).counted


def test_rules_explain_status_and_fields_away() -> None:
    found = heads([(b"Server", b"1")], [(b"Server", b"2")], statuses=(200, 201), ignored=("status", "header:server"))
    assert not found.counted
    assert set(found.ruled) == {("status", "status"), ("header:server", "header")}


def test_another_status_is_found() -> None:
    assert heads([], [], statuses=(200, 500)).counted == {("status", "status"): (200, 500)}
