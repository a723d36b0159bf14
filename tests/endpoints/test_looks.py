"""What a segment looks like: obvious identifiers have a look, whatever somebody may have named has none."""

from __future__ import annotations

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.endpoints.looks import LOOKS, look


@pytest.mark.parametrize(
    ("expected", "segments"),
    [
        ("id", "1 007 12345678901234567890 -5 +4917012345"),
        ("uuid", "3f2504e0-4f89-11d3-9a0c-0305e82c3301 3F2504E0-4F89-11D3-9A0C-0305E82C3301"),
        ("date", "2024-05-12 2024-05 2024-05-12T10:00:00Z 2024-05-12T10%3A00 20240512T101500Z"),
        ("hex", "507f1f77bcf86cd799439011 deadbeef01 DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"),
        ("email", "ann@shop.example ann.b%40shop.example"),
        ("file", "app.3f2a9c.js favicon.ico logo%20big.png Inter.woff2"),
        (
            "token",
            (
                "01ARZ3NDEKTSV4RRFFQ69G5FAV V1StGXR8_Z5jdHi6B-myT cus_9s6XKzkNRiz8i3 -KfeIlrOqkQ3qm2a_hYz "
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
            ),
        ),
        (
            "name",
            (
                "users me v1 v2beta1 api red-shoes getUserById2 getUserAccountByIdV2 listAllOrganizationMembers @ann "
                "face2face feedface internationalization robots.txt users.json 1.1 2024-13-12 caf%C3%A9 ~ann a;b=c "
                "top-10-tips-for-2024 kubernetes-1-25-release-notes iphone15-pro-max-256gb-2tb com.example.ServiceV2 "
                "how-to-build-a-shadow-proxy-and-why-it-matters antidisestablishmentarianism SHOUTING-IS-FINE-HERE"
            ),
        ),
    ],
)
def test_segments_of_this_look(expected: str, segments: str) -> None:
    assert {segment: look(segment.encode()) for segment in segments.split()} == dict.fromkeys(
        segments.split(), expected
    )


def test_long_segments_are_tokens_and_cost_no_more_than_short_ones() -> None:
    started = time.perf_counter()
    for text in (b"a-" * 5000, b"a." * 5000, b"1a" * 5000, b"a@" * 5000, b"\xff" * 9999):
        assert look(text) == "token"
    assert time.perf_counter() - started < 0.1


@given(st.binary(min_size=1, max_size=200))
def test_anything_has_a_look(segment: bytes) -> None:
    assert look(segment) in LOOKS


@given(st.uuids(), st.integers(min_value=0))
def test_identifiers_are_recognised(identifier: uuid.UUID, number: int) -> None:
    # Digits alone are a number, whoever drew them.
    assert look(str(identifier).encode()) == "uuid"
    assert look(str(number).encode()) == "id"
