"""The file of accepted differences: what it says, what is wrong with it and where."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shadowproxy.config import ConfigError, Overrides, load
from shadowproxy.config.accepted import MAX_ENTRIES, AcceptedEntry, entry_from, parse
from shadowproxy.config.describing import describe
from shadowproxy.config.problems import BadValueError
from shadowproxy.model.policy import AcceptedPolicy, Loaded, Registry
from tests.config.builders import MIRRORED, PLAIN, loaded, problems

OWN = MIRRORED + "accepted: accepted.yaml\nroutes: [{name: item, match: {path: /items}}]\n"
ENTRY = """\
- route: item
  field: $.price
  kind: body_value
  owner: ann@example.org
  reason: by design
"""
TWO = """\
services:
  shop: {upstreams: {primary: {urls: [http://a:1]}, candidate: {urls: [http://a:2]}}, match: {path: /shop}}
  mail: {upstreams: {primary: {urls: [http://a:1]}, candidate: {urls: [http://a:2]}}, match: {path: /mail}}
  web: {upstreams: {primary: {urls: [http://a:1]}}}
"""
PRICE = AcceptedPolicy("item", "$.price", "body_value", "ann@example.org", "by design")


def accepted(directory: Path, text: str, config: str = OWN) -> Loaded:
    (directory / "accepted.yaml").write_text(text)
    return loaded(directory, config)


def said(directory: Path, text: str, config: str = OWN) -> list[str]:
    """What is wrong, with its place in the file."""
    (directory / "accepted.yaml").write_text(text)
    return [str(problem) for problem in problems(directory, config)]


def test_entries_are_part_of_the_policy(tmp_path: Path) -> None:
    got = accepted(tmp_path, ENTRY + "  shape: number\n  expires: 2026-12-31\n")
    (service,) = got.policy.services
    assert service.accepted_file == str(tmp_path / "accepted.yaml")
    (entry,) = service.accepted
    assert entry == AcceptedPolicy(
        "item", "$.price", "body_value", "ann@example.org", "by design", "number", "2026-12-31", 1798761600.0
    )
    assert entry.id.startswith("a-")
    assert entry.id != PRICE.id
    assert entry.holds(1798761599.9)
    assert not entry.holds(1798761600.0)
    assert got.warnings == ()
    assert any(line == f"  accepted   1 difference, in {tmp_path / 'accepted.yaml'}" for line in describe(got))


@pytest.mark.parametrize(
    ("written", "until"),
    [
        ("2026-12-31T10:00:00Z", 1798711200.0),
        ("2026-12-31t12:00:00.5+02:00", 1798711200.5),
        ("2024-02-29", 1709251200.0),
    ],
)
def test_an_expiry_is_the_end_of_a_day_or_a_moment(tmp_path: Path, written: str, until: float) -> None:
    (entry,) = accepted(tmp_path, f"{ENTRY}  expires: {written}\n").policy.services[0].accepted
    assert (entry.expires, entry.until) == (written, until)


def test_text_may_be_written_on_several_lines(tmp_path: Path) -> None:
    (entry,) = accepted(tmp_path, ENTRY.replace("by design", ">\n    by\n    design")).policy.services[0].accepted
    assert entry.reason == "by design"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[]\n"])
def test_a_file_may_be_empty(tmp_path: Path, text: str) -> None:
    assert accepted(tmp_path, text).policy.services[0].accepted == ()


def test_a_file_that_is_not_there_yet_is_worth_a_warning(tmp_path: Path) -> None:
    got = loaded(tmp_path, OWN)
    assert got.policy.services[0].accepted == ()
    (warning,) = got.warnings
    assert "proxy.yaml:2:11: accepted: there is no such file" in warning


def test_without_the_key_the_data_directory_is_looked_into(tmp_path: Path) -> None:
    config = f"data_dir: data\n{MIRRORED}"
    assert loaded(tmp_path, config).warnings == ()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/accepted.yaml").write_text(ENTRY.replace("item", '"*"'))
    (service,) = loaded(tmp_path, config).policy.services
    assert service.accepted_file == str(tmp_path / "data/accepted.yaml")
    assert [entry.route for entry in service.accepted] == ["*"]
    alone = load(tmp_path / "proxy.yaml", Overrides(), Registry(), {}, from_data_dir=False)
    assert alone.policy.services[0].accepted == ()


def test_one_file_can_be_for_several_services(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data/accepted.yaml"
    file.write_text(ENTRY.replace("item", '"*"') + ENTRY.replace("item", "other") + "  service: mail\n")
    shop, mail, web = loaded(tmp_path, f"data_dir: data\n{TWO}").policy.services
    assert [len(each.accepted) for each in (shop, mail, web)] == [1, 2, 0]
    file.write_text(ENTRY + "  service: web\n")
    with pytest.raises(ConfigError, match=r"there is no web: the services that read this file are shop, mail"):
        loaded(tmp_path, f"data_dir: data\n{TWO}")


def test_the_same_twice_is_a_mistake_but_not_for_two_services(tmp_path: Path) -> None:
    twice = ENTRY.replace("item", '"*"')
    for services, fine in ((("shop", "mail"), True), (("shop", "shop"), False), (("shop", ""), False)):
        text = "".join(twice + (f"  service: {name}\n" if name else "") for name in services)
        parsed = parse(text, "f", ["shop", "mail"])
        assert bool(parsed.problems) is not fine
        assert fine or "says the same as entry 1" in parsed.problems[0].message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: b\n", "1:1: the file must be a list: entries that each begin with a dash"),
        ("- route: *\n", "1:11: expected alphabetic or numeric character, but found"),
        ("- just text\n", "1:3: [0]: must be a mapping with keys of its own: route, field, kind"),
        ("- [a]\n", "1:3: [0]: must be a mapping"),
        ("- {}\n", "1:3: [0].route: is missing: the route"),
        (ENTRY.replace("route: item", 'route: "a b"'), '1:10: [0].route: cannot be "a b": write the name of a route'),
        (ENTRY.replace("$.price", "price"), '2:10: [0].field: cannot be "price": is no field'),
        (ENTRY.replace("$.price", "$.a[0]"), '2:10: [0].field: cannot be "$.a[0]": character 4: write []'),
        (ENTRY.replace("body_value", "value"), '3:9: [0].kind: cannot be "value": write one of: status, header'),
        (ENTRY.replace("body_value", "candidate_timeout"), "3:9: [0].kind: cannot be"),
        (ENTRY.replace("body_value", "status"), '3:9: [0].kind: cannot be "status": $.price is part of a body'),
        (ENTRY.replace("$.price", "header:x"), '3:9: [0].kind: cannot be "body_value": header:x differs in'),
        (ENTRY.replace("$.price", "status"), '3:9: [0].kind: cannot be "body_value": status differs in the kind'),
        (ENTRY + "  shape: strnig\n", '6:10: [0].shape: cannot be "strnig": no value looks so'),
        (ENTRY.replace("ann@example.org", '""'), '4:10: [0].owner: cannot be "": write who answers for it'),
        (ENTRY.replace("ann@example.org", "7"), '4:10: [0].owner: cannot be "7": this is text'),
        (ENTRY.replace("by design", "x" * 501), "5:11: [0].reason: cannot be"),
        (ENTRY.replace("by design", '"\\e[2J"'), '5:11: [0].reason: cannot be "\\x1b[2J": write why: 1 to 500'),
        (ENTRY + "  expires: 2026-02-30\n", '6:12: [0].expires: cannot be "2026-02-30": write a date such as'),
        (ENTRY + "  expires: 2026-12-31T10:00:00\n", "6:12: [0].expires: cannot be"),
        (ENTRY + "  expires: 9999-12-31\n", "6:12: [0].expires: cannot be"),
        (ENTRY + "  expires: 20261231\n", "6:12: [0].expires: cannot be"),
        (ENTRY + "  path: $.x\n", "6:3: [0].path: unknown key: known here are route, field, kind"),
        (ENTRY + "  reson: x\n", "6:3: [0].reson: unknown key: did you mean reason?"),
        (ENTRY + "  flags: x\n", "6:3: [0].flags: unknown key: known here are route"),
        (ENTRY + "  service: shop\n", "6:12: [0].service: there is no shop: the services that read this file are"),
        (ENTRY + ENTRY, "6:3: [1]: says the same as entry 1: keep one of them"),
        (ENTRY + "  owner: bob\n", "6:3: [0].owner: stands twice, first in line 4: keep one"),
    ],
)
def test_every_mistake_is_named_with_its_place(tmp_path: Path, text: str, line: str) -> None:
    found = said(tmp_path, text)
    assert found[0].startswith(f"accepted.yaml:{line}"), found
    assert len(found) == (5 if text == "- {}\n" else 1)


def test_mistakes_of_both_files_are_named_at_once_that_of_the_configuration_first(tmp_path: Path) -> None:
    found = said(tmp_path, ENTRY.replace("body_value", "x") + "  zap: 1\n", OWN + "workers: many\n")
    assert [line.split(": ")[0] for line in found] == ["proxy.yaml:4:10", "accepted.yaml:3:9", "accepted.yaml:6:3"]


@settings(max_examples=200)
@given(content=st.text("{}[]:,-?&*!|>'\"%@`# \n\tab1<~$.\0\x85\ufeffroutefield", max_size=80))
@example(content="- ? a\n  ? b\n")
@example(content="- &a [*a]\n- *a")
@example(content="- {route: &a x, field: *a, kind: *a}\n- null\n- ~: 1")
def test_whatever_a_file_holds_is_a_mistake_at_worst(content: str) -> None:
    assert all(problem.line >= 1 and problem.column >= 1 for problem in parse(content, "f", ["shop"]).problems)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=200)
@given(given=st.dictionaries(st.sampled_from([*AcceptedEntry.model_fields, "x"]), values))
def test_whatever_an_entry_is_made_of_is_a_mistake_at_worst(given: dict[str, object]) -> None:
    with suppress(BadValueError):
        assert entry_from(given).policy().id


@pytest.mark.no_cover
def test_there_are_not_too_many_of_them() -> None:
    entries = [ENTRY.replace("$.price", f"$.p{n}") for n in range(MAX_ENTRIES + 1)]
    assert parse("".join(entries[:-1]), "f", ["shop"]).problems == []
    (problem,) = parse("".join(entries), "f", ["shop"]).problems
    assert (problem.line, problem.path) == (5 * MAX_ENTRIES + 1, f"[{MAX_ENTRIES}]")
    (problem,) = parse("- {}\n" * 3000, "f", ["shop"]).problems[-1:]
    assert "more than 2000 items" in problem.message


def test_a_route_that_cannot_be_there_is_worth_a_warning(tmp_path: Path) -> None:
    assert accepted(tmp_path, ENTRY.replace("route: item", "route: /users/{id}")).warnings == ()
    (warning,) = accepted(tmp_path, ENTRY.replace("route: item", "route: itme")).warnings
    assert "accepted.yaml:1:10: [0].route: there is no route itme: nothing can match this entry" in warning


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "accepted.yaml").mkdir()
    (problem,) = problems(tmp_path, OWN)
    assert (problem.file, problem.message) == ("accepted.yaml", "this is a directory: name the file in it")
    (tmp_path / "loop").symlink_to("loop")
    (problem,) = problems(tmp_path, OWN.replace("accepted.yaml", "loop/x"))
    assert problem.message.startswith("the file cannot be read (")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_looked_into_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    (problem,) = problems(tmp_path, OWN.replace("accepted.yaml", "locked/accepted.yaml"))
    assert "let this user read it" in problem.message


def test_without_anything_mirrored_nothing_can_be_accepted(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, PLAIN + "accepted: accepted.yaml\n")
    assert problem.message == "needs upstreams.candidate: without it nothing is mirrored"


def test_an_entry_can_come_from_elsewhere() -> None:
    values = {"route": "item", "field": "$.price", "kind": "body_value", "owner": "ann@example.org"}
    assert entry_from({**values, "reason": "by design", "shape": None}).policy() == PRICE
    with pytest.raises(
        BadValueError, match=r"^reason is missing: why it is accepted; kind cannot be \"x\": write one of"
    ):
        entry_from({**values, "kind": "x"})
