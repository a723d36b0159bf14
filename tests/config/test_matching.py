from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.config import matching
from shadowproxy.config.problems import BadValueError
from shadowproxy.model.policy import RoutePolicy


@pytest.mark.parametrize(
    "text", ["/", "/a", "/a/", "/items/{id}", "/{a}/{b_2}/c", "/static/*", "/*", "/a%20b", "/a;v=1", "/a.b-c~d"]
)
def test_a_template(text: str) -> None:
    assert matching.parse_template(text) == text


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("", "begins with /"),
        ("items", "begins with /"),
        ("/a?b=1", "a query or a fragment is not matched"),
        ("/a#b", "a query or a fragment is not matched"),
        ("/a*b", r"a \* stands only at the end"),
        ("/*/a", r"a \* stands only at the end"),
        ("/**", r"a \* stands only at the end"),
        ("/v{n}", "whole segment"),
        ("/{}", "whole segment"),
        ("/{a", "whole segment"),
        ("/a}", "whole segment"),
        ("/a b", "percent-encoded"),
        ("/é", "percent-encoded"),
        ("/%zz", "percent-encoded"),
        ("/a/../b", r"without \. and \.\."),
        ("/" + "a" * 1024, "at most 1024"),
    ],
)
def test_what_is_no_template_is_refused_with_what_would_be_right(text: str, right: str) -> None:
    with pytest.raises(BadValueError, match=right):
        matching.parse_template(text)


def test_a_service_path_is_plain() -> None:
    assert [matching.parse_prefix(text) for text in ("/", "/api", "/api/", "/a/b")] == ["/", "/api", "/api", "/a/b"]
    for text in ("/{id}", "/api/*"):
        with pytest.raises(BadValueError, match="templates belong to routes"):
            matching.parse_prefix(text)


def test_what_a_health_check_asks_for_may_have_a_query() -> None:
    assert matching.parse_target("/healthz?full=1") == "/healthz?full=1"
    for text in ("", "healthz", "/a b", "/a#b", "/é", "/a\r\nX: y"):
        with pytest.raises(BadValueError, match="such as /healthz"):
            matching.parse_target(text)


def test_names_can_be_labels() -> None:
    for text in ("a", "A-1_b.c", "9", "x" * 64):
        assert matching.parse_name(text) == text
    for text in ("", "-a", ".a", "a b", "a/b", "é", "a\nb", "x" * 65):
        with pytest.raises(BadValueError, match="1 to 64 letters"):
            matching.parse_name(text)


def test_methods_are_tokens_in_capitals() -> None:
    assert [matching.parse_method(text) for text in ("GET", "PURGE", "m-search")] == ["GET", "PURGE", "m-search"]
    for text, right in {
        "get": "in capitals: GET",
        "Post": "in capitals: POST",
        "trace": "TRACE is refused",
        "CONNECT": "CONNECT is refused",
        "": "such as GET",
        "A B": "such as GET",
        "A" * 33: "such as GET",
    }.items():
        with pytest.raises(BadValueError, match=right):
            matching.parse_method(text)


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "te", "Upgrade", "X-Shadow-Request", "Via", "Expect"],
)
def test_fields_that_a_rule_may_not_touch(name: str) -> None:
    with pytest.raises(BadValueError, match="cannot be changed on a copy"):
        matching.parse_field_name(name)


def test_names_and_values_of_fields() -> None:
    assert matching.parse_field_name("X-Api-Key") == "X-Api-Key"
    for text in ("", "a b", "a:", "é", "a\r\n", "a" * 257):
        with pytest.raises(BadValueError, match="name of a header field"):
            matching.parse_field_name(text)
    for text in ("", "a", "Bearer x y", "a\tb"):
        assert matching.parse_field_value(text) == text
    for text in (" a", "a ", "a\r\nb: c", "a\0", "é"):
        with pytest.raises(BadValueError, match="visible ASCII"):
            matching.parse_field_value(text)


@pytest.mark.parametrize(
    ("first", "later", "all_of_it"),
    [
        ("/a", "/a", True),
        ("/a", "/b", False),
        ("/{x}", "/a", True),
        ("/{x}", "/{y}", True),
        ("/a", "/{x}", False),
        ("/{x}", "/", False),
        ("/{x}", "/*", False),
        ("/*", "/", True),
        ("/*", "/a/b/{c}", True),
        ("/*", "/*", True),
        ("/a/*", "/a", False),
        ("/a/*", "/a/", True),
        ("/a/*", "/a/b/*", True),
        ("/a/b/*", "/a/*", False),
        ("/{x}/*", "/a/b", True),
        ("/a/{x}", "/a/b/c", False),
    ],
)
def test_which_template_takes_all_of_another(first: str, later: str, all_of_it: bool) -> None:
    assert matching.path_takes_all(first, later) is all_of_it


def test_a_route_takes_all_of_another_only_in_host_method_and_path() -> None:
    everything = RoutePolicy("all", 0)
    narrow = RoutePolicy("narrow", 1, "/a", ("GET",), "a.example")
    wider = RoutePolicy("wider", 2, "/{x}", ("GET", "PUT"), "*.example")
    assert matching.takes_all(everything, narrow)
    assert matching.takes_all(wider, narrow)
    assert not matching.takes_all(narrow, everything)
    assert not matching.takes_all(narrow, wider)
    assert not matching.takes_all(RoutePolicy("get", 3, None, ("GET",)), RoutePolicy("any", 4))
    assert not matching.takes_all(RoutePolicy("path", 3, "/a"), RoutePolicy("any", 4))


def test_hosts_meet_where_one_takes_the_other() -> None:
    assert matching.host_takes_all("*.example", "a.example")
    assert matching.host_takes_all("*.example", "*.b.example")
    assert not matching.host_takes_all("*.example", "example")
    assert not matching.host_takes_all("a.example", None)
    assert matching.hosts_meet("a.example", "*.example")
    assert not matching.hosts_meet("a.example", "b.example")


@pytest.mark.parametrize(
    ("template", "prefix", "inside"),
    [
        ("/api/x", "/api", True),
        ("/api", "/api", True),
        ("/x", "/api", False),
        ("/{a}/x", "/api", True),
        ("/*", "/api", True),
        ("/api/v1/*", "/api", True),
        ("/other/*", "/api", False),
        ("/a", "/a/b", False),
        ("/a/*", "/a/b", True),
        ("/x", "/", True),
    ],
)
def test_which_template_reaches_into_a_service(template: str, prefix: str, inside: bool) -> None:
    assert matching.reaches_into(template, prefix) is inside


segments = st.sampled_from(["a", "b", "{x}", "{y}"])
templates = st.builds(
    lambda parts, rest: "/" + "/".join(parts) + rest, st.lists(segments, max_size=3), st.sampled_from(["", "/*"])
)


@given(templates, templates, st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4))
def test_taking_all_agrees_with_the_router(first: str, later: str, parts: list[str]) -> None:
    """Whatever path the later template matches, the first one matches too, if it is said to take all of it."""
    import re

    from shadowproxy.proxy.routing import template_pattern

    path = "/" + "/".join(parts)
    if matching.path_takes_all(first, later) and re.fullmatch(template_pattern(later), path):
        assert re.fullmatch(template_pattern(first), path)
