"""`diffs accept`, `diffs reset` and `diffs ignore`: what they ask for, what they say, how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shadowproxy.admin.values import AcceptAnswer, AcceptedEntry, CauseAnswer, ResetAnswer, RouteStatus
from shadowproxy.cli import client
from shadowproxy.cli.client import ClientError
from shadowproxy.model.pair import Difference
from tests.cli.conftest import Run
from tests.cli.test_client import answering, on_loopback, response
from tests.config.builders import MIRRORED
from tests.report.reports import cause
from tests.store.examples import example

ENTRY = AcceptedEntry("a-1", "item", "$.price", "body_value", "", "ann", "by design", "2026-12-31", "")
ACCEPTED = AcceptAnswer(
    "shop", "/etc/accepted.yaml", [ENTRY, replace(ENTRY, id="a-2", shape="uuid", expires="")], True, []
)


@pytest.fixture(name="sent")
def _sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The changes that were sent; the last item of `sent` is answered, or raised."""
    found: list[Any] = [ACCEPTED]

    def send(admin: str, token: str | None, path: str, body: dict[str, object]) -> bytes:
        answer = found.pop()
        found.append((admin, token, path, {name: value for name, value in body.items() if value is not None}))
        if isinstance(answer, ClientError):
            raise answer
        return msgspec.json.encode(answer)

    monkeypatch.setattr(client, "send", send)
    monkeypatch.setenv("USER", "eve")
    for name in ("SHADOWPROXY_ADMIN", "SHADOWPROXY_TOKEN", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    return found


def test_a_difference_is_accepted(run: Run, sent: list[Any]) -> None:
    options = ("--reason", "by design", "--owner", "ann", "--expires", "30d", "--shape", "--token", "t")
    code, out, err = run("diffs", "accept", "ex1", *options, "--field", "$.price", "--kind", "body_value")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "accepted in /etc/accepted.yaml, in force:",
        "  a-1  item $.price body_value, expires 2026-12-31",
        "  a-2  item $.price body_value uuid",
    ]
    asked = {"example": "ex1", "field": "$.price", "kind": "body_value", "shape": True, "owner": "ann"}
    asked |= {"reason": "by design", "expires": "30d"}
    assert sent == [("127.0.0.1:9900", "t", "/api/v1/diffs/accept", asked)]


def test_the_owner_is_who_one_is_and_a_cause_is_told_by_its_id(run: Run, sent: list[Any]) -> None:
    code, out, _ = run("diffs", "accept", "c-12", "--reason", "x", "--service", "shop", "-o", "json")
    assert (code, json.loads(out)["file"]) == (0, "/etc/accepted.yaml")
    assert sent[0][3] == {"cause": "c-12", "service": "shop", "owner": "eve", "reason": "x"}


def test_a_field_is_accepted_without_an_id(run: Run, sent: list[Any]) -> None:
    named = ("--route", "*", "--field", "$..x", "--kind", "body_value")
    assert run("diffs", "accept", "--reason", "x", *named)[0] == 0
    assert sent[0][3] == {"route": "*", "field": "$..x", "kind": "body_value", "owner": "eve", "reason": "x"}


def test_what_is_not_in_force_is_an_error(run: Run, sent: list[Any]) -> None:
    sent[:] = [replace(ACCEPTED, in_force=False, problems=["proxy.yaml:1:1: workers: no", "more"])]
    code, out, err = run("diffs", "accept", "ex1", "--reason", "x")
    assert code == 2
    assert out.startswith("accepted in /etc/accepted.yaml:\n")
    assert err == "shadowproxy: /etc/accepted.yaml is written and not in force: proxy.yaml:1:1: workers: no\n"
    sent[:] = [replace(ACCEPTED, in_force=False)]
    assert "still being read" in run("diffs", "accept", "ex1", "--reason", "x")[2]


def test_a_file_that_cannot_be_written_leaves_the_entry_to_paste(run: Run, sent: list[Any]) -> None:
    sent[:] = [ClientError("here answers 409: accepted.yaml cannot be written", "- route: item\n  field: $.a\n")]
    code, out, err = run("diffs", "accept", "ex1", "--reason", "x")
    assert (code, out) == (2, "- route: item\n  field: $.a\n")
    assert err == "shadowproxy: here answers 409: accepted.yaml cannot be written\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("accept", "ex1"), "Missing option '--reason'"),
        (("accept", "ex1", "--reason", "x", "--route", "item"), "an ID has its route"),
        (("accept", "ex1", "--reason", "x"), "say who answers for it: --owner NAME"),
        (("reset",), "Missing option '--reason'"),
        (("ignore",), "say what to ignore: an ID, or --field"),
        (("ignore", "ex1", "--route", "item"), "an ID has its route"),
        (("ignore", "--field", "price"), "'price' is no field: write status"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_one_line(
    run: Run, sent: list[Any], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.delenv("USER")
    code, out, err = run("diffs", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert says in err


def test_evidence_begins_anew(run: Run, sent: list[Any]) -> None:
    sent[:] = [ResetAnswer("shop", 1.0)]
    assert run("diffs", "reset", "--reason", "warm")[:2] == (0, "the evidence of shop begins anew\n")
    assert sent[0][2:] == ("/api/v1/diffs/reset", {"reason": "warm"})
    sent[:] = [ResetAnswer("shop", 1.0)]
    code, out, _ = run("diffs", "reset", "--reason", "warm", "--service", "shop", "-o", "json")
    assert (code, json.loads(out)) == (0, {"service": "shop", "since": 1.0})


def test_a_change_is_json_over_post() -> None:
    listener, address = on_loopback()
    with answering(listener, response(b"{}")) as asked:
        assert client.send(address, "s3cret", "/api/v1/diffs/reset", {"reason": "é", "service": None}) == b"{}"
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/diffs/reset HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {"reason": "é"}


@pytest.mark.parametrize(
    ("body", "text", "entry"),
    [
        (b'{"detail":"no","entry":"- a\\n"}', "no", "- a\n"),
        (b'{"detail":"no"}', "no", ""),
        (b"[1]", "[1]", ""),
        (b"null", "null", ""),
        (b"[" * 100_000, "[" * 200, ""),
        (b"", "nothing", ""),
    ],
)
def test_whatever_an_error_says_is_one_line(body: bytes, text: str, entry: str) -> None:
    listener, address = on_loopback()
    with answering(listener, response(body, "409 Conflict")), pytest.raises(ClientError) as caught:
        client.send(address, None, "/x", {})
    assert (str(caught.value), caught.value.entry) == (f"{address} answers 409: {text}", entry)


# Rules that ignore.


def served(answers: dict[str, Any], route: str = "item") -> None:
    marked = [
        Difference(f"$.{mark}", "body_value", "1", "2", **{mark: True}) for mark in ("by_rule", "noise", "accepted")
    ]
    differences = [Difference("$.price", "body_type", "1", '"1"'), Difference("header:x", "header", "1", "2"), *marked]
    answers["/api/v1/diffs/ex1"] = example(1, route=route, differences=differences)
    answers["/api/v1/diffs/ex2"] = example(2, failure="candidate_timeout")
    answers["/api/v1/causes/c-1"] = CauseAnswer(cause(keys=[("$.a", "body_value"), ("$.a", "body_type")]), None)
    status = RouteStatus("shop", "item", "configured", "/items", None, 1.0, [], 0, 0, 0, 0)
    other = replace(status, name="other")
    answers["/api/v1/routes"] = [status, other, replace(status, name="/users/{id}", origin="learned")]


def test_the_rule_for_an_example_is_printed(run: Run, answers: dict[str, Any]) -> None:
    served(answers)
    code, out, err = run("diffs", "ignore", "ex1")
    assert (code, err) == (0, "")
    assert out == (
        "services:\n  shop:\n    routes:\n    - name: item\n      compare:\n        ignore:\n"
        "        - $.price\n        - header:x\n"
    )
    code, out, _ = run("diffs", "ignore", "ex1", "--field", "header:x", "-o", "json")
    found = json.loads(out)
    assert (found["service"], found["route"], found["fields"]) == ("shop", "item", ["header:x"])
    assert found["lines"].endswith("- header:x\n")


@pytest.mark.parametrize("route", ["other", "/users/{id}"])
def test_a_route_that_nobody_configured_has_no_rule_of_its_own(run: Run, answers: dict[str, Any], route: str) -> None:
    served(answers, route)
    code, out, _ = run("diffs", "ignore", "ex1", "--field", "$.price")
    assert code == 0
    assert out == (
        f"# {route} is no configured route: this is a rule of the whole service.\n"
        "services:\n  shop:\n    compare:\n      ignore:\n      - $.price\n"
    )


def test_a_cause_is_ignored_with_its_fields_once_each(run: Run, answers: dict[str, Any]) -> None:
    served(answers)
    code, out, _ = run("diffs", "ignore", "c-1", "-o", "json")
    assert (code, json.loads(out)["fields"]) == (0, ["$.a"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ex1", "--field", "$.zap"), "ex1 does not differ there; there is $.price, header:x"),
        (("ex1", "--service", "mail"), "ex1 is of the service shop, not of mail"),
        (("ex2",), "(candidate_timeout): there is no field to ignore"),
    ],
)
def test_what_cannot_be_ignored(run: Run, answers: dict[str, Any], arguments: tuple[str, ...], says: str) -> None:
    served(answers)
    code, out, err = run("diffs", "ignore", *arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_the_rule_is_written_into_a_file(run: Run, answers: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "proxy.yaml"
    path.write_text("service: shop\n" + MIRRORED)
    served(answers, "other")
    code, out, err = run("diffs", "ignore", "ex1", "--config", str(path))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{path}: added to compare.ignore: $.price, header:x",
        "other is no configured route: this is a rule of the whole service.",
        "The rule holds after a reload: send SIGHUP to the proxy.",
    ]
    assert path.read_text() == "service: shop\n" + MIRRORED + "compare:\n  ignore:\n  - $.price\n  - header:x\n"
    assert run("diffs", "ignore", "--field", "$.price", "--config", str(path))[1] == (
        f"{path}: nothing to add, compare.ignore has all of it\n"
    )
    code, out, _ = run("diffs", "ignore", "--field", "$.b", "--config", str(path), "-o", "json")
    assert json.loads(out) == {"file": str(path), "place": "compare.ignore", "added": ["$.b"]}
    code, out, err = run("diffs", "ignore", "--field", "$.b", "--config", str(path), "--service", "mail")
    assert (code, out) == (2, "")
    assert err == f"shadowproxy: {path}: there is no service mail; its only one is shop\n"
