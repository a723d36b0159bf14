from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.redaction import _SECRET_TEXT, Mask, Redactor, is_secret_name, may_hold_secret
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import Clock

MASK = Mask(b"key")
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
MASKED = re.compile(r"~[0-9a-f]{8}~")


def deadline() -> Deadline:
    return Deadline(Clock(), 1.0)


def redactor(*paths: str, patterns: tuple[str, ...] = ()) -> Redactor:
    return Redactor(ComparePolicy(redact=paths, redact_patterns=patterns), MASK)


def text(value: str, *patterns: str) -> str:
    return redactor(patterns=patterns).text(value, deadline())


def field(name: str, value: str, *paths: str) -> str:
    return redactor(*paths).field(name, value, deadline())


def value(json: Any, *paths: str) -> Any:
    return redactor(*paths).value(json, deadline())


def test_equal_secrets_have_equal_masks_under_one_key() -> None:
    assert MASK("abc") == MASK("abc") != MASK("abd")
    assert Mask(b"other")("abc") != MASK("abc")
    assert MASKED.fullmatch(MASK("abc"))
    assert Mask(b"k" * 1000)("a")


def test_masks_tell_types_apart() -> None:
    assert len({MASK(each) for each in (42, "42", 42.0, True, "true", [42])}) == 6
    assert MASK("\udcff")


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "accessToken",
        "X-Api-Key",
        "api_key",
        "client_secret",
        "Password",
        "passwd",
        "Cookie",
        "pin",
        "auth",
        "sig",
    ],
)
def test_names_that_hold_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["author", "key", "price", "shipping", "spin", "authority", "session_count"])
def test_names_that_hold_none(name: str) -> None:
    assert not is_secret_name(name)


def test_credentials_in_header_fields_are_masked() -> None:
    assert field("Authorization", "Bearer abc") == f"Bearer {MASK('abc')}"
    assert field("Proxy-Authorization", "opaque") == MASK("opaque")
    assert field("X-Api-Key", "abc") == MASK("abc")
    assert field("cookie", "a=1; b=2") == f"a={MASK('1')}; b={MASK('2')}"
    assert field("cookie", "bare; x=1") == f"{MASK('bare')}; x={MASK('1')}"
    assert field("Set-Cookie", "sid=1; Path=/; HttpOnly") == f"sid={MASK('1')}; Path=/; HttpOnly"
    assert field("Location", "/next?token=abc&page=2") == f"/next?token={MASK('abc')}&page=2"
    assert field("Server", "nginx") == "nginx"
    assert field("X-Customer", "Ann", "header:X-Customer") == MASK("Ann")


def test_fields_become_text() -> None:
    assert redactor().fields([(b"A", b"\xe9"), (b"Cookie", b"a=1")], deadline()) == [
        ("A", "é"),
        ("Cookie", f"a={MASK('1')}"),
    ]


def test_what_looks_like_a_secret_is_masked_in_any_text() -> None:
    for secret in (
        JWT,
        "AKIAIOSFODNN7EXAMPLE",
        "sk_live_abcdef",
        "ghp_0123456789abcdefghijABCDEF",
        "xoxb-1234567890-ab",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n",
    ):
        assert text(f"see {secret}") == f"see {MASK(secret)}"
    assert text("Bearer abcdefgh1234") == f"Bearer {MASK('abcdefgh1234')}"
    assert text('{"password": "hunter2", "a": 1}') == f'{{"password": "{MASK("hunter2")}", "a": 1}}'
    assert text(r'"{\"password\": \"hunter2\"}"') == rf'"{{\"password\": \"{MASK("hunter2")}\"}}"'
    assert text("see https://ann:pw@shop.example/") == f"see https://{MASK('ann:pw')}@shop.example/"
    assert text("<apiKey>abc</apiKey>") == f"<apiKey>{MASK('abc')}</apiKey>"
    assert text("nothing here") == "nothing here"


@pytest.mark.parametrize(
    "shown",
    [
        '<input type="hidden" name="csrf_token" value="{}">',
        '<input value="{}" type="password" name="user[password]">',
        "<meta name='csrf-token' content='{}'>",
        '<input name="user[password]" value="{}">',
        "<access_token id='1'>{}</access_token>",
        '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n{}\r\n--b--',
        '--b\r\nContent-Disposition: form-data; name="api_key"; filename="k"\r\nContent-Type: text/plain\r\n\r\n{}\r\n',
        "see https://h/file?sig={}&x=1",
        "see https://h/cart;jsessionid={} now",
        "https://h/file?X-Amz-Signature={}",
        "send Basic {} along",
    ],
)
def test_secrets_are_masked_in_the_forms_that_pages_and_uploads_give_them(shown: str) -> None:
    secret = "dXNlcjpwYXNz"
    assert text(shown.format(secret)) == shown.format(MASK(secret))
    assert text(json.dumps(shown.format(secret))) == json.dumps(shown.format(MASK(secret))) or "\r\n" in shown


@pytest.mark.parametrize(
    "shown",
    [
        '{{"password": "{}", "a": 1, ',
        '{{"password": "{}',
        "password='{}' and more",
        '<wsse:Password Type="Text">{}</wsse:Password>',
        "<token>\n  {}\n</token>",
        "<password><![CDATA[{}]]></password>",
        '<user password="{}" name="Ann"/>',
        '<input name="csrf_token" type="hidden" value="{}">',
        '<add key="apiKey" kind="text" value="{}"/>',
        '<token value="{}"/>',
        '<token value="{}"> </token>',
    ],
)
def test_a_secret_with_blanks_and_entities_is_masked_to_its_end(shown: str) -> None:
    secret = "correct horse, battery &amp; staple; 100%"
    assert text(shown.format(secret)) == shown.format(MASK(secret))
    if "\n" not in shown and "'" not in shown and shown.endswith((">", " ")):
        assert text(json.dumps(shown.format(secret))) == json.dumps(shown.format(MASK(secret)))


def test_a_quote_inside_a_secret_does_not_end_it() -> None:
    secret = r"a \" b \\"
    assert text(f'{{"password": "{secret}", "c": 1, ') == f'{{"password": "{MASK(secret)}", "c": 1, '
    assert text("<password><![CDATA[a]] <b>]]></password>") == f"<password><![CDATA[{MASK('a]] <b>')}]]></password>"


def test_an_element_and_its_attribute_are_masked_each() -> None:
    assert text('<token value="a b">c d</token>') == f'<token value="{MASK("a b")}">{MASK("c d")}</token>'
    assert text("<token><a>x</a></token><token/> y") == "<token><a>x</a></token><token/> y"


@pytest.mark.parametrize(
    "hostile",
    ["token", "<token ", 'token="', "<token>", "<token><![CDATA[", "token a='b' ", "token\n", "<token>] ", "token='\\"],
)
def test_text_made_to_be_slow_is_not(hostile: str) -> None:
    began = time.process_time()
    text(hostile * (200_000 // len(hostile)))
    assert time.process_time() - began < 3


def test_harmless_pages_stay_as_they_are() -> None:
    for shown in (
        '<input name="city" value="Bonn"> token <b class="x">bold</b>',
        "basic understanding of value='x' name='y'",
        '--b\r\nContent-Disposition: form-data; name="city"\r\n\r\nBonn\r\n--b--',
    ):
        assert text(shown) == shown


def test_a_name_and_its_value_may_be_members_of_one_object() -> None:
    shown = value([{"name": "api_key", "value": "abc"}, {"key": "X-Token", "values": ["a"]}, {"name": "n", "value": 1}])
    assert shown == [
        {"name": "api_key", "value": MASK("abc")},
        {"key": "X-Token", "values": [MASK("a")]},
        {"name": "n", "value": 1},
    ]


def test_a_mask_is_not_masked_again() -> None:
    assert text(text("token=abc")) == text("token=abc")


def test_patterns_of_the_configuration_are_masked() -> None:
    assert text("call 123-45-6789 now", r"\d{3}-\d{2}-\d{4}") == f"call {MASK('123-45-6789')} now"
    long = "word " * 300 + "cust-17"
    assert text(long, r"cust-\d+", r"zzz") == "word " * 300 + MASK("cust-17")


def test_patterns_end_with_the_time() -> None:
    slow = Redactor(ComparePolicy(redact_patterns=("a",)), MASK)
    with pytest.raises(IncomparableError, match="too_slow"):
        slow.text("x" * 10_000, Deadline(Clock(step=1.0), 2.5))


def test_json_is_masked_by_name_at_any_depth() -> None:
    redacted = value({"user": {"password": "x", "tokens": [1, {"a": None, "b": True}]}, "n": 1, "s": f"is {JWT}"})
    assert redacted == {
        "user": {"password": MASK("x"), "tokens": [MASK(1), {"a": None, "b": MASK(True)}]},
        "n": 1,
        "s": f"is {MASK(JWT)}",
    }


def test_json_is_masked_by_path() -> None:
    json = {"items": [{"owner": {"name": "Ann", "n": 1}, "sku": "a"}], "email": "a@b"}
    assert value(json, "$.items[].owner", "$..email") == {
        "items": [{"owner": {"name": MASK("Ann"), "n": MASK(1)}, "sku": "a"}],
        "email": MASK("a@b"),
    }


def test_names_of_members_are_masked_by_look() -> None:
    assert value({JWT: 1}) == {MASK(JWT): 1}


def test_targets_and_forms_are_masked_by_name_and_look() -> None:
    made = redactor("form:card")
    assert made.target(f"/u/{JWT}?api_key=a%20b&x=%31&card=1&flag", deadline()) == (
        f"/u/{MASK(JWT)}?api_key={MASK('a b')}&x=%31&card={MASK('1')}&flag"
    )
    assert made.target("/plain", deadline()) == "/plain"
    assert made.form("", deadline()) == ""


def test_short_texts_that_would_be_masked_are_told() -> None:
    made = redactor(patterns=("cust-[0-9]+",))
    assert made.hides(JWT)
    assert made.hides("cust-1")
    assert not made.hides("price")


SHAPES = [
    *("eyJhbGci.eyJzdWIi.sig", "bearer abcdefgh1", "Basic QWxhZGRpbjo", "AKIAABCDEFGHIJKLMNOP", "asiaabcdefghijklmnop"),
    *("sk_live_abc", "rp_test_abc", "ghp_abcdefghijklmnopqrstu", "xoxb-abcdefghijkl", "://ada:pw@", "://a:b"),
    *("-----BEGIN RSA PRIVATE KEY-----abc", 'value="x" name="token', "?sig=", "&pass=", "pass=", "signature: "),
    *(
        "api_key=",
        "access-key: ",
        "authkey>",
        "password",
        "passwd = ",
        "passphrase",
        '<input name="secret" value="',
        "=x",
    ),
    *(" ", "a", "@", "\n", '"', "=", "B", "\u0130", "\u0131", "\u017f", "\u212a"),
]


def swapped(text: str) -> st.SearchStrategy[str]:
    """`text` in any case, with the letters that Unicode takes for the same ones."""
    ways = {"i": "iI\u0130\u0131", "s": "sS\u017f", "k": "kK\u212a"}
    letters = [st.sampled_from(ways.get(c.lower(), c.lower() + c.upper())) for c in text]
    return st.tuples(*letters).map("".join)


@given(
    st.lists(st.sampled_from(SHAPES).flatmap(lambda shape: st.just(shape) | swapped(shape)), max_size=6).map("".join)
)
def test_what_is_not_worth_a_look_holds_no_secret(text: str) -> None:
    if _SECRET_TEXT.search(text):
        assert may_hold_secret(text)


def test_most_texts_are_not_worth_a_look() -> None:
    assert not may_hold_secret("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
    assert not may_hold_secret("the quick brown fox, https://shop.example/items/1?ref=mail")
    assert may_hold_secret("https://ada:pw@shop.example")
