"""What editors and readers are told about the file: JSON Schema, the reference, and that the two are the document."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from ruamel.yaml import YAML

from shadowproxy.config import document as doc
from shadowproxy.config import schema
from shadowproxy.config.defaults import default_of
from shadowproxy.config.outline import all_sections, kind_of, section_at
from shadowproxy.config.reference import reference
from shadowproxy.config.section import Section
from shadowproxy.config.values import Kind
from shadowproxy.model import policy as p
from tests.config.builders import MIRRORED, said

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path for path in (ROOT / "config").glob("*.yaml") if path.name != "accepted.yaml")


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from walk(item)


def test_the_schema_is_for_editors() -> None:
    made = schema()
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["properties"]["listen"]["anyOf"][0] == {"type": "string"}
    assert made["properties"]["listen"]["default"] == "127.0.0.1:8080"
    assert made["$defs"]["Shadow"]["properties"]["sample"]["default"] == "100%"
    assert "default" not in made["$defs"]["RouteShadow"]["properties"]["sample"]
    assert made["$defs"]["Upstream"]["required"] == ["urls"]
    assert not any(part.get("type") == "null" for part in walk(made))
    assert not any("title" in part for part in made["$defs"].values())


@pytest.mark.parametrize(
    "text",
    [
        "listen: [127.0.0.1:1]",
        "listen: 127.0.0.1:1",
        "workers: auto",
        "workers: ${WORKERS:-1}",
        "tls: {cert: a, key: b}",
        "tls: [{cert: a, key: b}]",
        "shadow: {sample: 12.5%, max_body: '${SIZE}'}",
        "log: {format: '${FORMAT}'}",
        "proxy_protocol: true",
        "limits: {body: none}",
        "limits: {body: 5MiB}",
        "services: {a: {upstreams: {primary: {urls: [http://a]}}}}",
        "rollout: {strategy: canary, prometheus: http://a, errors: [5xx, 429, timeout]}",
        "rollout: {prometheus: {url: http://a}, notify: {webhook: http://a}}",
        "rollout: {stages: [{canary: {weight: 5%, match: {cookie: beta}}, bake: {for: 5m}}]}",
        "rollout: {stages: [{canary: {weight: 5%, match: [{cookie: beta}]}}]}",
    ],
)
def test_the_schema_takes_what_is_right(text: str, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(YAML(typ="safe").load(text))


@pytest.mark.parametrize(
    "text",
    [
        "lisen: 127.0.0.1:1",
        "flags: {}",
        "rollout: {strategy: canaries}",
        "rollout: {warmup: 5}",
        "rollout: {stages: [{canary: {weight: 5}}]}",
        "rollout: {stages: [{bake: {fro: 5m}}]}",
        "freeze: [{kind: deny}]",
        "workers: 0",
        "shadow: {sample: 25}",
        "shadow: {sample: 0.25}",
        "shadow: {timeout: 10}",
        "limits: {line: 1MB}",
        "limits: {body: nothing}",
        "log: {format: xml}",
        "proxy_protocol: 'yes'",
        "tls: {cert: a}",
        "upstreams: {candidate: {urls: [a]}}",
        "routes: [{match: {path: /a}}]",
        "routes: [{name: a, shadow: {max_in_flight: 5}}]",
        "routes: [{name: 'a b'}]",
        "comparers: 1.5",
        "compare: {tolerance: {$.a: x}}",
    ],
)
def test_the_schema_refuses_what_is_wrong(
    text: str, validator: jsonschema.Draft202012Validator, tmp_path: Path
) -> None:
    assert not validator.is_valid(YAML(typ="safe").load(text))
    assert said(tmp_path, text) != []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_schema_takes_every_example(example: Path, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(YAML(typ="safe").load(example))


_NEED_VALUES = ("services", "tls", "metrics", "routes", "health", "capture", "rollout", "freeze", "flags")
"""Sections that mean something by being there, and need a value of somebody's."""


def test_every_default_that_is_shown_can_be_written(tmp_path: Path) -> None:
    """Writing all defaults changes nothing, so what schema and reference say is what an absent key means."""
    from shadowproxy.config import Overrides, load
    from shadowproxy.config.units import render_duration

    assert render_duration(60) == "1m"

    def written(section: type[Section]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in section.model_fields.items():
            inner = kind_of(field)
            default = default_of(section, name)
            if default is not None:
                found[name] = default
            elif section is doc.Upstream and name == "urls":
                found[name] = ["http://127.0.0.1:9001"]
            elif isinstance(inner, type) and not name.startswith(_NEED_VALUES):
                found[name] = written(inner) if inner is not doc.Token else []
        return found

    plain = written(doc.Document)
    plain["data_dir"] = str(tmp_path / "data")
    path = tmp_path / "all.yaml"
    with path.open("w") as file:
        YAML().dump(plain, file)
    everything = load(path, Overrides(), p.Registry(), {})
    arms = ", ".join(f"{arm}: {{urls: ['http://127.0.0.1:9001']}}" for arm in ("primary", "candidate", "secondary"))
    path.write_text(f"upstreams: {{{arms}}}\ndata_dir: data\n")
    bare = load(path, Overrides(), p.Registry(), {})
    [service] = everything.policy.services
    assert service.shadow.headers == {"candidate": p.HeaderRules(), "secondary": p.HeaderRules()}
    plainer = msgspec.structs.replace(service.shadow, headers={})
    other = msgspec.structs.replace(service.other, shadow=plainer)
    services = (msgspec.structs.replace(service, shadow=plainer, other=other),)
    assert msgspec.structs.replace(everything.policy, services=services) == bare.policy
    assert everything.launch == bare.launch


def test_every_key_is_described_and_known_by_its_path() -> None:
    for section in all_sections():
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            assert isinstance(kind_of(field), Kind | type)
    assert section_at(("services", "any", "upstreams", "primary", "timeouts")) is doc.UpstreamTimeouts
    assert section_at(("routes", 3, "shadow", "headers", "candidate")) is doc.HeaderRules
    assert section_at(()) is doc.Document
    assert section_at(("nothing",)) is None
    assert section_at(("workers",)) is None


def test_what_a_section_fills_has_its_keys() -> None:
    """A key that is no field of what its section fills is put there by hand: these are all."""
    by_hand = {
        f"{section.__name__}.{name}"
        for section in all_sections()
        if section.fills is not None
        for name in section.model_fields
        if name not in section.fills.__struct_fields__
    }
    assert by_hand == {
        "Admin.listen",
        "Admin.tls",
        "Upstream.urls",
        "Shadow.breaker",
        "Bake.for",
        "Check.check",
        "Check.webhook",
        "Flags.context",
        "FreezeWindow.duration",
        "Notification.webhook",
        "Rollout.budget",
        "Rollout.errors",
        "Rollout.exclude",
        "Rollout.watch",
        "StickyUsers.by",
    }


def test_the_reference_is_current() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == reference(), (
        "run: python -m shadowproxy.config.reference > docs/configuration.md"
    )


def test_the_reference_is_written_by_its_module(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "shadowproxy.config.reference")
    runpy.run_module("shadowproxy.config.reference", run_name="__main__")
    assert capsys.readouterr().out == reference()


def test_the_reference_names_every_key(tmp_path: Path) -> None:
    text = reference()
    for section in all_sections():
        for name in section.model_fields:
            assert f"| `{name}` |" in text
    assert "`upstreams.ARM.timeouts`" in text
    assert "| `timeout` | duration | `10s` |" in text
    assert "*restart*" in text
    assert said(tmp_path, MIRRORED) == []
