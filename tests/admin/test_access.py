from __future__ import annotations

from typing import Any

import pytest

from shadowproxy.admin.access import LOCAL, OPERATOR, VIEWER, Access, Caller, subject_of
from shadowproxy.admin.problems import ProblemError
from shadowproxy.model.policy import AdminPolicy, Bind, TokenPolicy

LOOPBACK = Bind("127.0.0.1", 9900)
ANYWHERE = Bind("0.0.0.0", 9900)
TOKENS = (TokenPolicy("ann", OPERATOR, "s3cret"), TokenPolicy("bob", VIEWER, "l00k"))


def check(access: Access, host: str = "localhost:9900", method: str = "GET", **given: Any) -> str:
    return caller(access, host, method, **given).role


def caller(access: Access, host: str = "localhost:9900", method: str = "GET", **given: Any) -> Caller:
    return access.check(method, host, given.get("origin"), given.get("authorization", ""), given.get("subject"))


def refused(access: Access, status: int, **given: Any) -> str:
    with pytest.raises(ProblemError) as caught:
        check(access, **given)
    assert caught.value.status == status
    return caught.value.detail


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9900", "127.0.0.1:9900", "[::1]:9900", "127.8.9.1", "proxy.lan:1"]
)
def test_our_own_names_are_answered(host: str) -> None:
    assert check(Access(AdminPolicy(hosts=("Proxy.LAN",)), LOOPBACK), host) == OPERATOR


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:9900", "10.0.0.7", "localhost.evil.example", "[::1"]
)
def test_foreign_names_are_refused(host: str) -> None:
    access = Access(AdminPolicy(), LOOPBACK)
    if host == "[::1":
        assert check(access, host) == OPERATOR
    else:
        assert "admin.hosts" in refused(access, 403, host=host)


def test_a_listener_for_others_answers_to_any_address_and_to_its_own_name() -> None:
    policy = AdminPolicy(bind=Bind("admin.lan", 9900), tokens=TOKENS)
    access = Access(policy, ANYWHERE)
    for host in ("10.0.0.7:9900", "[2001:db8::1]:9900", "admin.lan"):
        assert check(access, host, authorization="Bearer l00k") == VIEWER
    refused(access, 403, host="evil.example", authorization="Bearer s3cret")


def test_a_unix_socket_answers_to_localhost() -> None:
    assert check(Access(AdminPolicy(), Bind(unix="/run/admin.sock")), "localhost") == OPERATOR


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "http://[bad", "", "https://10.0.0.1"]
)
def test_foreign_origins_are_refused(origin: str) -> None:
    assert "pages of" in refused(Access(AdminPolicy(), LOOPBACK), 403, origin=origin)


def test_our_own_origin_and_none_are_fine() -> None:
    access = Access(AdminPolicy(), LOOPBACK)
    assert check(access, origin="http://LocalHost:9900") == OPERATOR
    assert check(access) == OPERATOR


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic czNjcmV0", "Bearer nope", "Bearer s3cre", "Bearer \udcff", "s3cret"],
)
def test_where_there_are_tokens_one_is_needed(authorization: str) -> None:
    refused(Access(AdminPolicy(tokens=TOKENS), LOOPBACK), 401, authorization=authorization)


def test_tokens_carry_roles_and_changes_take_an_operator() -> None:
    access = Access(AdminPolicy(tokens=TOKENS), LOOPBACK)
    assert check(access, authorization="Bearer s3cret", method="POST") == OPERATOR
    assert check(access, authorization="bearer l00k") == VIEWER
    assert check(access, authorization="Bearer l00k", method="HEAD") == VIEWER
    assert "operator" in refused(access, 403, authorization="Bearer l00k", method="POST")


def test_a_verified_certificate_is_as_good_as_a_token_but_a_wrong_token_is_wrong() -> None:
    access = Access(AdminPolicy(tokens=TOKENS), ANYWHERE)
    assert check(access, subject="ann") == OPERATOR
    refused(access, 401, subject="ann", authorization="Bearer nope")


def test_a_caller_has_the_name_of_the_token_of_the_certificate_or_none() -> None:
    named = Access(AdminPolicy(tokens=TOKENS), ANYWHERE)
    assert caller(named, authorization="Bearer l00k", subject="eve") == Caller("bob", VIEWER)
    assert caller(named, subject="eve") == Caller("eve", OPERATOR)
    assert caller(Access(AdminPolicy(), LOOPBACK)) == Caller(LOCAL, OPERATOR)
    assert caller(Access(AdminPolicy(), LOOPBACK), subject="eve") == Caller("eve", OPERATOR)


def test_who_a_certificate_is_about() -> None:
    names = {"subject": ((("organizationName", "x"),), (("commonName", "ann"),)), "subjectAltName": (("DNS", "b"),)}
    assert subject_of(names) == "ann"
    assert subject_of({"subjectAltName": (("email", "ann@example.org"),)}) == "ann@example.org"
    assert subject_of({}) == "a certificate without a name"
