from __future__ import annotations

from msgspec.structs import replace

from shadowproxy.admin.sealing import SECONDS, seal, unsealed
from shadowproxy.model.policy import TokenPolicy

ANN = TokenPolicy("ann ü.", "operator", "s3cret-of-ann")
BOB = TokenPolicy("bob", "viewer", "s3cret-of-bob")
NOW = 1_700_000_000.0


def test_a_cookie_stands_for_its_token_until_its_time_is_over() -> None:
    value = seal(ANN, NOW)
    assert unsealed((BOB, ANN), value, NOW + SECONDS - 1) == ANN
    assert unsealed((BOB, ANN), value, NOW + SECONDS + 1) is None
    assert ANN.token not in value


def test_a_token_that_is_another_one_or_may_something_else_now_has_no_cookie_any_more() -> None:
    value = seal(ANN, NOW)
    for changed in (replace(ANN, token="another"), replace(ANN, role="viewer"), replace(ANN, name="anna")):
        assert unsealed((changed,), value, NOW) is None
    assert unsealed((), value, NOW) is None


def test_what_was_tampered_with_stands_for_nobody() -> None:
    name, until, sealed = seal(BOB, NOW).split(".")
    other = seal(ANN, NOW).split(".")
    later = str(int(until) + 1)
    for value in (
        f"{other[0]}.{until}.{sealed}",
        f"{name}.{later}.{sealed}",
        f"{name}.{until}.{sealed[:-1]}",
        f"{name}.{until}.",
        f"{name}.-1.{sealed}",
        f"{name}.{'9' * 13}.{sealed}",
        f"{name}.{until}",
        f"%%.{until}.{sealed}",
        f"_w.{until}.{sealed}",
        f"{name}.{until}.ü{sealed}",
        "",
        ".",
        "..",
    ):
        assert unsealed((ANN, BOB), value, NOW) is None, value
