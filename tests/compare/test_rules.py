from __future__ import annotations

import pytest

from shadowproxy.compare.paths import PathError
from shadowproxy.compare.rules import RouteRules
from shadowproxy.model.policy import ComparePolicy


def test_fields_outside_json_are_ignored_by_how_they_are_written() -> None:
    rules = RouteRules(ComparePolicy(ignore=("header:Server", "status", "line", "body", "form:a", "$.x")))
    assert rules.ignored == {"header:server", "status", "line", "body", "form:a"}
    assert rules.fields.root.member("x").ignored


@pytest.mark.parametrize("written", ["$.x", "line", "form:a", "body"])
def test_rules_on_bodies_are_known_as_such(written: str) -> None:
    assert RouteRules(ComparePolicy(ignore=(written,))).ruled_body
    assert not RouteRules(ComparePolicy(ignore=("header:server", "status"))).ruled_body
    assert RouteRules(ComparePolicy(unordered=("$.x",))).ruled_body
    assert RouteRules(ComparePolicy(tolerance={"$.x": 1.0})).ruled_body


def test_a_bad_path_is_refused() -> None:
    with pytest.raises(PathError):
        RouteRules(ComparePolicy(ignore=("price",)))
