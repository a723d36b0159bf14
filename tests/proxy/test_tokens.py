"""Claims are read from what a request brings, and believed only as far as somebody signed them."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shadowproxy.http1 import RequestHead, parse_request
from shadowproxy.model.flags import JwtPolicy
from shadowproxy.model.policy import LimitsPolicy
from shadowproxy.proxy.tokens import claim, claims_reader

SECRET = "a secret of more than thirty-two bytes"


def head(**fields: str) -> RequestHead:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return parse_request(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode(), LimitsPolicy())


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_claims_are_read_wherever_the_token_is() -> None:
    token = jwt.encode({"plan": "pro"}, SECRET, "HS256")
    for bearer in ("Bearer ", "bearer  ", ""):
        assert claims_reader(JwtPolicy())(head(Authorization=bearer + token), 0.0) == {"plan": "pro"}
    assert claims_reader(JwtPolicy("", "jwt"))(head(Cookie=f"a=b; jwt={token}"), 0.0) == {"plan": "pro"}
    assert claims_reader(JwtPolicy("x-token"))(head(x_token=token), 0.0) == {"plan": "pro"}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "Bearer",
        "a",
        "a.b",
        "a.b.c",
        "..",
        f"x.{part([1])}.y",
        f"x.{part('text')}.y",
        "x.e30",
        "x." + "A" * 20_000 + ".y",
    ],
)
def test_what_is_no_token_has_no_claims(token: str) -> None:
    assert claims_reader(JwtPolicy())(head(Authorization=f"Bearer {token}"), 0.0) == {}


class TestWithAKey:
    read = staticmethod(claims_reader(JwtPolicy(key=SECRET, algorithms=("HS256",))))

    def of(self, token: str, now: float = 1000.0) -> dict[str, Any]:
        return self.read(head(Authorization=f"Bearer {token}"), now)

    def test_what_it_verifies_counts_and_nothing_else(self) -> None:
        assert self.of(jwt.encode({"plan": "pro"}, SECRET, "HS256")) == {"plan": "pro"}
        assert self.of(jwt.encode({"plan": "pro"}, SECRET + "!", "HS256")) == {}
        assert self.of(jwt.encode({"plan": "pro"}, SECRET * 2, "HS512")) == {}
        assert self.of(f"{part({'alg': 'none'})}.{part({'plan': 'pro'})}.") == {}
        assert self.of("not.a.token") == {}

    def test_times_count_at_every_use(self) -> None:
        token = jwt.encode({"nbf": 900, "exp": 1100}, SECRET, "HS256")
        assert [bool(self.of(token, now)) for now in (899.0, 900.0, 1099.0, 1100.0, 1000.0)] == [
            False,
            True,
            True,
            False,
            True,
        ]
        assert self.of(jwt.encode({"aud": "somebody", "exp": 1100}, SECRET, "HS256")) != {}
        odd = f"{part({'alg': 'HS256'})}.{part({'exp': 'soon'})}.x"
        assert self.of(odd) == {}

    def test_a_public_key_verifies_what_its_other_half_signed(self) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        read = claims_reader(JwtPolicy(key=pem, algorithms=("ES256",)))
        assert read(head(Authorization=jwt.encode({"a": 1}, private, "ES256")), 0.0) == {"a": 1}
        assert read(head(Authorization=jwt.encode({"a": 1}, SECRET, "HS256")), 0.0) == {}

    def test_more_tokens_than_are_known_are_verified_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shadowproxy.proxy.tokens.MAX_KNOWN", 2)
        tokens = [jwt.encode({"n": n}, SECRET, "HS256") for n in range(5)]
        for _ in range(2):
            assert [self.of(token)["n"] for token in tokens] == [0, 1, 2, 3, 4]


def test_a_claim_is_found_by_its_path_or_by_a_name_with_dots() -> None:
    claims = {"address": {"country": "de"}, "https://x.example/plan": "pro", "n": 0}
    assert claim(claims, ("address", "country")) == "de"
    assert claim(claims, ("https://x", "example/plan")) == "pro"
    assert claim(claims, ("n",)) == 0
    assert claim(claims, ("address", "city")) is None
    assert claim(claims, ("n", "x")) is None
