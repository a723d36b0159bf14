"""Which route a request belongs to: the first that matches, by method, host and path as they came."""

from __future__ import annotations

import pytest

from shadowproxy.endpoints.tree import Entry
from shadowproxy.proxy.routing import Pattern, Table, host_matches, host_name, prefix_matches


def table(*patterns: tuple[str | None, tuple[str, ...] | None, str | None, str]) -> Table[str]:
    return Table([Pattern(path, methods, host, name) for path, methods, host, name in patterns], "other")


@pytest.mark.parametrize(
    ("template", "path", "matches"),
    [
        ("/items/{id}", b"/items/1", True),
        ("/items/{id}", b"/items/", False),
        ("/items/{id}", b"/items/1/", False),
        ("/items/{id}", b"/items/%2F", True),
        ("/items/{id}/parts/{part}", b"/items/1/parts/2", True),
        ("/items/{id}.json", b"/items/1.json", True),
        ("/items/{id}.json", b"/items/1xjson", False),
        ("/static/*", b"/static/", True),
        ("/static/*", b"/static/a/b\xff", True),
        ("/static/*", b"/static", False),
        ("/", b"/", True),
        ("/", b"//", False),
        ("/a+b", b"/a+b", True),
        ("/a+b", b"/aab", False),
        (None, b"*", True),
    ],
)
def test_templates(template: str | None, path: bytes, matches: bool) -> None:
    assert table((template, None, None, "it")).find(b"GET", path, b"") == ("it" if matches else "other")


def test_the_first_match_wins() -> None:
    t = table(("/items/new", None, None, "new"), ("/items/{id}", None, None, "item"), ("/*", None, None, "rest"))
    assert [t.find(b"GET", p, b"") for p in (b"/items/new", b"/items/1", b"/x")] == ["new", "item", "rest"]


def test_methods_count() -> None:
    t = table(("/a", ("POST",), None, "write"), ("/a", ("GET", "HEAD"), None, "read"))
    methods = (b"POST", b"GET", b"HEAD", b"PATCH")
    assert [t.find(m, b"/a", b"") for m in methods] == ["write", "read", "read", "other"]


def test_hosts_count_and_several_may_match_one_request() -> None:
    t = table(
        ("/a", None, "*.example.org", "wild"),
        ("/b", None, "api.example.org", "exact"),
        ("/c", None, None, "any"),
        ("/d", None, "other.org", "elsewhere"),
    )
    api = b"API.example.org:8080"
    assert [t.find(b"GET", p, api) for p in (b"/a", b"/b", b"/c", b"/d")] == ["wild", "exact", "any", "other"]
    assert [t.find(b"GET", p, b"x.example.org") for p in (b"/a", b"/b")] == ["wild", "other"]
    assert t.find(b"GET", b"/c", b"unknown") == "any"


def test_what_clients_send_does_not_grow_the_table() -> None:
    t = table(("/a", ("GET",), "*.example.org", "a"), ("/b", None, "b.example.org", "b"))
    for i in range(500):
        t.find(b"M%d" % i, b"/x%d" % i, b"h%d.example.org" % i)
    assert len(t._compiled) <= 4


def test_many_routes_are_found() -> None:
    t = table(*((f"/r{i}/{{id}}", None, None, str(i)) for i in range(300)))
    assert [t.find(b"GET", b"/r%d/x" % i, b"") for i in (0, 150, 299, 300)] == ["0", "150", "299", "other"]


def test_configured_routes_come_before_those_that_nobody_configured() -> None:
    patterns = [Pattern("/items/{id}", ("GET",), None, "item"), Pattern("/a", None, "shop.example", "a")]
    templates = [Entry("/items/{id}", True, "/items/{id}"), Entry("/a", True, "/a")]
    t = Table(patterns, "other", templates)
    asked = [(b"GET", b"/items/1", b""), (b"PUT", b"/items/1", b""), (b"PUT", b"/items/x", b"")]
    asked += [(b"GET", b"/a", b"shop.example"), (b"GET", b"/a", b""), (b"GET", b"/b", b"")]
    assert [t.find(*each) for each in asked] == ["item", "/items/{id}", "other", "a", "/a", "other"]
    assert Table([], "other", templates).find(b"GET", b"/a", b"") == "/a"


def test_a_table_without_routes_has_one_answer() -> None:
    assert table().find(b"GET", b"/", b"") == "other"
    assert table(("/a", ("POST",), None, "a")).find(b"GET", b"/a", b"") == "other"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"Shop.Example", "shop.example"),
        (b"shop:8080", "shop"),
        (b"shop:", "shop"),
        (b"[::1]:80", "[::1]"),
        (b"[::1]", "[::1]"),
        (b"", ""),
    ],
)
def test_host_names(host: bytes, name: str) -> None:
    assert host_name(host) == name


def test_host_patterns() -> None:
    assert host_matches(None, "")
    assert host_matches("Shop.Example", "shop.example")
    assert host_matches("*.shop", "a.shop")
    assert not host_matches("*.shop", "shop")
    assert not host_matches("*.shop", ".shop")
    assert not host_matches("shop", "a.shop")


@pytest.mark.parametrize(
    ("path", "matches"), [(b"/shop", True), (b"/shop/", True), (b"/shop/x", True), (b"/shopping", False), (b"*", False)]
)
def test_prefixes_end_at_segments(path: bytes, matches: bool) -> None:
    assert prefix_matches("/shop", path) is matches
    assert prefix_matches("/shop/", path) is matches
