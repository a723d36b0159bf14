from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.config import addresses
from shadowproxy.config.problems import BadValueError
from shadowproxy.model.policy import Bind, Endpoint


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:8080", Bind("127.0.0.1", 8080)),
        ("0.0.0.0:0", Bind("0.0.0.0", 0)),
        ("[::]:80", Bind("::", 80)),
        ("[0:0::1]:80", Bind("::1", 80)),
        ("Localhost:80", Bind("localhost", 80)),
        ("my-host.example:80", Bind("my-host.example", 80)),
        ("unix:/run/a.sock", Bind(unix="/run/a.sock")),
        ("unix:run/a.sock", Bind(unix="run/a.sock")),
    ],
)
def test_an_address_to_listen_on(text: str, bind: Bind) -> None:
    assert addresses.parse_bind(text) == bind


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("8080", "write the address too: 127.0.0.1:8080"),
        (":8080", "0.0.0.0:8080 for every interface"),
        ("*:8080", "0.0.0.0:8080 for every interface"),
        ("127.0.0.1", "host:port"),
        ("127.0.0.1:65536", "up to 65535"),
        ("127.0.0.1:http", "host:port"),
        ("300.0.0.1:80", "four numbers from 0 to 255"),
        ("::1:8080", r"brackets, as in \[::1\]:8080"),
        ("::1", r"in brackets"),
        ("[127.0.0.1:80", "host:port"),
        ("[1.2.3.4.5]:80", "no IPv6 address"),
        ("a b:80", "neither a name"),
        ("-a:80", "neither a name"),
        ("münchen.example:80", "punycode"),
        ("http://a:80", "host:port"),
        ("", "neither a name"),
        ("unix:", "path of a socket"),
        ("unix:a\0b", "path of a socket"),
        ("unix:/" + "a" * 107, "at most 107 bytes"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_right(text: str, right: str) -> None:
    with pytest.raises(BadValueError, match=right):
        addresses.parse_bind(text)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("http://10.0.0.1:8000", Endpoint("http://10.0.0.1:8000", "http", "10.0.0.1", 8000)),
        ("http://A.Example", Endpoint("http://a.example:80", "http", "a.example", 80)),
        ("HTTPS://a.example/", Endpoint("https://a.example:443", "https", "a.example", 443)),
        ("http://[::1]:81", Endpoint("http://[::1]:81", "http", "::1", 81)),
        ("unix:/run/a", Endpoint("unix:/run/a", unix="/run/a")),
        ("unix:a", Endpoint("unix:a", unix="a")),
        ("unix:///run/a", Endpoint("unix:/run/a", unix="/run/a")),
        ("http+unix:/run/a", Endpoint("unix:/run/a", unix="/run/a")),
        ("http+unix://%2Frun%2Fa", Endpoint("unix:/run/a", unix="/run/a")),
    ],
)
def test_a_url_of_an_upstream(text: str, endpoint: Endpoint) -> None:
    assert addresses.parse_url(text) == endpoint


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("10.0.0.1:8000", "the scheme is missing"),
        ("a/b", "http://host:port"),
        ("ftp://a", "these schemes are all there are"),
        ("h2c://a", "these schemes are all there are"),
        ("http://user:pw@a", "take the user and the password out"),
        ("http://a/base", "without a path or a query"),
        ("http://a/?q=1", "without a path or a query"),
        ("http://a#f", "without a path or a query"),
        ("http://a:0", "from 1 to 65535"),
        ("http://", "neither a name"),
        ("http://0.0.0.0:80", "address to listen on"),
        ("http://[::]:80", "address to listen on"),
        ("http://::1", r"brackets"),
        ("unix:", "path of a socket"),
    ],
)
def test_what_is_no_url_is_refused_with_what_would_be_right(text: str, right: str) -> None:
    with pytest.raises(BadValueError, match=right):
        addresses.parse_url(text)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("::1", "::1/128"),
        ("fd00::/8", "fd00::/8"),
        ("unix", "unix"),
    ],
)
def test_a_peer_that_is_believed(text: str, network: str) -> None:
    assert addresses.parse_network(text) == network


def test_a_network_with_host_bits_is_told_which_one_was_meant() -> None:
    with pytest.raises(BadValueError, match=r"write 10\.0\.0\.0/8"):
        addresses.parse_network("10.0.0.1/8")
    for text in ("", "example.org", "10.0.0.0/33", "10.0.0", "*"):
        with pytest.raises(BadValueError, match=r"such as 10\.0\.0\.0/8, or the word unix"):
            addresses.parse_network(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [("A.Example", "a.example"), ("a.example.", "a.example"), ("[::1]", "[::1]"), ("10.0.0.1", "10.0.0.1")],
)
def test_a_host_name(text: str, host: str) -> None:
    assert addresses.parse_host(text) == host
    assert addresses.parse_hosts(text) == host


def test_a_wildcard_is_one_star_before_a_domain() -> None:
    assert addresses.parse_hosts("*.A.example") == "*.a.example"
    for text in ("*", "a.*.b", "**.a", "*a.b", "a:80", "", "a b", "::1", "[x]", "a" * 254):
        with pytest.raises(BadValueError, match="without a port"):
            addresses.parse_hosts(text)
    with pytest.raises(BadValueError, match="without a port or a wildcard"):
        addresses.parse_host("*.a.example")


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/a", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example:1", False),
        ("127.0.0.1.example:1", False),
    ],
)
def test_which_addresses_only_this_machine_can_reach(text: str, own: bool) -> None:
    assert addresses.is_loopback(addresses.parse_bind(text)) is own


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("127.0.0.1:80", "localhost:80", True),
        ("0.0.0.0:80", "10.0.0.1:80", True),
        ("0.0.0.0:80", "[::1]:80", False),
        ("[::]:80", "[::1]:80", True),
        ("[::]:80", "10.0.0.1:80", True),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a", "127.0.0.1:80", False),
    ],
)
def test_which_addresses_cannot_be_listened_on_at_once(one: str, other: str, both: bool) -> None:
    first, second = addresses.parse_bind(one), addresses.parse_bind(other)
    assert addresses.overlap(first, second) is both
    assert addresses.overlap(second, first) is both


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    for parse in (addresses.parse_bind, addresses.parse_url, addresses.parse_network, addresses.parse_hosts):
        with contextlib.suppress(BadValueError):
            parse(text)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_survives_being_written(ip: object, port: int) -> None:
    bind = Bind(str(ip), port)
    assert addresses.parse_bind(str(bind)) == bind
