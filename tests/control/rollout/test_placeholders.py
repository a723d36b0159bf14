"""Whatever an arm calls its version, the query asks what was meant."""

from __future__ import annotations

import pytest

from shadowproxy.control.rollout.placeholders import PlaceholderError, substitute


def put(query: str, version: str = "v2", service: str = "shop", arm: str = "candidate") -> str:
    return substitute(query, {"version": version, "service": service, "arm": arm})


@pytest.mark.parametrize(
    ("query", "version", "expected"),
    [
        ('up{version="$version"}', "v2", 'up{version="v2"}'),
        ("up{version='$version', arm=\"$arm\"}", "v2", "up{version='v2', arm=\"candidate\"}"),
        ('up{a="$service-$version"}', "1.2+b", 'up{a="shop-1.2+b"}'),
        ('up{version="$version"}', '"} or vector(0) #', r'up{version="\x22} or vector(0) #"}'),
        ("up{version='$version'}", "a'b\"c", r"up{version='a\x27b\x22c'}"),
        ('up{version="$version"}', "a\\", r'up{version="a\x5c"}'),
        ('up{version="$version"}', "a\nb", r'up{version="a\x0ab"}'),
        ('up{version=~"$version"}', ".*", r'up{version=~"\x5c.\x5c*"}'),
        ('up{version=~ "$version.*", arm="$version"}', "1.2", r'up{version=~ "1\x5c.2.*", arm="1.2"}'),
        ("up{version=~`$version`}", "1.2", r"up{version=~`1\.2`}"),
        ("up{version=`$version`}", '1"2', 'up{version=`1"2`}'),
        (r'up{a="\"$version"}', 'x"', r'up{a="\"x\x22"}'),
        ("rate($version_errors[1m])", "v2", "rate($version_errors[1m])"),
        ("rate(errors_$arm[1m]) # it's $arm", "v2", "rate(errors_candidate[1m]) # it's $arm"),
        ('x{a="#1", b="$version"}', '"', r'x{a="#1", b="\x22"}'),
        (r"x{a=`\`, b='$version'}", "'", r"x{a=`\`, b='\x27'}"),
        ('x !~ "$version"', "a|b", r'x !~ "a\x5c|b"'),
    ],
)
def test_a_value_stays_a_value(query: str, version: str, expected: str) -> None:
    assert put(query, version) == expected


@pytest.mark.parametrize(("query", "version"), [("rate(x[$version])", "1m]) or vector(0)"), ("x{a=`$version`}", "`")])
def test_what_could_be_anything_else_is_refused(query: str, version: str) -> None:
    with pytest.raises(PlaceholderError, match=r"\$version is"):
        put(query, version)
