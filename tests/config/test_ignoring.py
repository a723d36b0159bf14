"""A rule that ignores fields, as lines and in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.config import Overrides, load
from shadowproxy.config.editing import EditError
from shadowproxy.config.ignoring import lines, write
from shadowproxy.model.policy import Registry
from tests.config.builders import MIRRORED

ONE = MIRRORED + "compare: {ignore: [$.a]}   # ours\nroutes:\n  - {name: item, match: {path: /items}}\n"
TWO = """\
services:
  shop:
    upstreams: {primary: {urls: [http://a:1]}, candidate: {urls: [http://a:2]}}
    match: {path: /shop}
    routes:
      - name: item   # the item page
        match: {path: /shop/items}
  mail:
    upstreams: {primary: {urls: [http://a:1]}, candidate: {urls: [http://a:2]}}
"""


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "proxy.yaml"


def test_lines_say_where_the_rule_belongs() -> None:
    rule = "compare:\n  ignore:\n  - $.a\n  - header:x\n"
    fields = ["$.a", "header:x"]
    assert lines(None, None, fields) == lines("default", None, fields) == rule
    assert lines("shop", "item", ["$.a"]) == (
        "services:\n  shop:\n    routes:\n    - name: item\n      compare:\n        ignore:\n        - $.a\n"
    )


def test_a_rule_joins_those_that_are_there(path: Path) -> None:
    path.write_text(ONE)
    assert write(path, None, None, ["$.a", "$.b"], {}) == ("compare.ignore", ["$.b"])
    assert path.read_text().startswith(MIRRORED + "compare: {ignore: [$.a, $.b]} # ours\nroutes:\n  - {name: item, ")
    before = path.read_text()
    assert write(path, "default", None, ["$.b"], {}) == ("compare.ignore", [])
    assert path.read_text() == before


def test_a_rule_of_a_route_stands_with_it(path: Path) -> None:
    path.write_text(TWO)
    assert write(path, "shop", "item", ["$.b"], {}).place == "services.shop.routes[0].compare.ignore"
    after = path.read_text()
    added = "        compare:\n          ignore:\n            - $.b\n"
    assert after == TWO.replace("{path: /shop/items}\n", "{path: /shop/items}\n" + added)
    shop = load(path, Overrides(), Registry(), {}).policy.services[0]
    assert (shop.routes[0].compare.ignore, shop.other.compare.ignore) == (("$.b",), ())


@pytest.mark.parametrize(
    ("text", "service", "route", "says"),
    [
        (TWO, None, None, "has several services: choose one of shop, mail"),
        (TWO, "web", None, "there is no service web; there are shop, mail"),
        (TWO, "shop", "cart", r"there is no route cart in services.shop; there are item"),
        (TWO, "mail", "cart", r"there is no route cart in services.mail; there is none"),
        (ONE, "shop", None, "there is no service shop; its only one is default"),
        (ONE, None, "cart", "there is no route cart in it; there are item"),
        ("- a\n", None, None, "this is no configuration"),
        ("services: {shop: 1}\n", None, None, "services.shop is no mapping"),
        (MIRRORED + "compare: {ignore: $.a}\n", None, None, r"compare.ignore is no list: mend the file first"),
        (MIRRORED + "compare: 1\n", None, None, r"compare.ignore is no list"),
        ("a: [\n", None, None, ":2:1: "),
    ],
)
def test_where_there_is_no_place_for_it_the_file_stays(
    path: Path, text: str, service: str | None, route: str | None, says: str
) -> None:
    path.write_text(text)
    with pytest.raises(EditError, match=says):
        write(path, service, route, ["$.b"], {})
    assert path.read_text() == text


def test_a_file_is_checked_before_it_is_replaced_for_what_was_fine_before(path: Path) -> None:
    text = MIRRORED + "workers: ${WORKERS}\n"
    path.write_text(text)
    with pytest.raises(EditError, match=r"compare.ignore\[0\]: cannot be \"nonsense\""):
        write(path, None, None, ["nonsense"], {})
    assert path.read_text() == text
    assert write(path, None, None, ["$.a"], {}).added == ["$.a"]
    assert path.read_text() == text + "compare:\n  ignore:\n  - $.a\n"


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(EditError, match="there is no such file"):
        write(tmp_path / "new" / "proxy.yaml", None, None, ["$.a"], {})
    assert list(tmp_path.iterdir()) == []
