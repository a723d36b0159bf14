"""An OpenAPI file of the configuration becomes routes, and whatever of it does not is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.config import Overrides, describe, load
from shadowproxy.config.describing import masked
from shadowproxy.endpoints.routes import RESERVED_ROWS
from shadowproxy.metrics.layout import MAX_ROUTES
from shadowproxy.model.policy import EndpointsPolicy, Registry
from tests.config.builders import MIRRORED, PLAIN, loaded, problems, said


def api(directory: Path, *paths: str, head: str = "openapi: 3.0.0") -> None:
    (directory / "api.yaml").write_text(head + "\npaths:\n" + "".join(f"  {path}: {{}}\n" for path in paths))


def test_paths_become_routes_behind_the_configured_ones(tmp_path: Path) -> None:
    api(tmp_path, "/pets", "'/pets/{petId}'", head="swagger: 2.0\nbasePath: /v1")
    text = MIRRORED + (
        "routes: [{name: item, match: {path: '/items/{id}'}}]\n"
        "shadow: {sample: 25%}\ncompare: {ignore: [status]}\nendpoints: {openapi: api.yaml}\n"
    )
    found = loaded(tmp_path, text)
    [service] = found.policy.services
    assert [(route.name, route.path, route.origin) for route in service.routes] == [
        ("item", "/items/{id}", "configured"),
        ("/v1/pets", "/v1/pets", "openapi"),
        ("/v1/pets/{petId}", "/v1/pets/{petId}", "openapi"),
    ]
    assert {(route.shadow.sample, route.compare.ignore) for route in service.templates} == {(0.25, ("status",))}
    assert [found.registry.routes[f"default\n{route.name}"] for route in service.routes] == [
        route.index for route in service.routes
    ]
    assert service.endpoints == EndpointsPolicy(True, str(tmp_path / "api.yaml"), 200)
    assert found.warnings == ()
    lines = "\n".join(describe(found))
    assert f"         2 path templates of {tmp_path}/api.yaml, by their own text\n" in lines
    assert "         up to 198 path templates learned from what is left, such as /users/{id}\n" in lines
    assert masked(found)["policy"]["services"][0]["routes"][1]["name"] == "/v1/pets"


def test_without_a_file_templates_are_learned_unless_that_is_turned_off(tmp_path: Path) -> None:
    assert loaded(tmp_path, PLAIN).policy.services[0].learns
    assert "up to 200 path templates learned" in "\n".join(describe(loaded(tmp_path, PLAIN)))
    off = loaded(tmp_path, PLAIN + "endpoints: {learn: false}")
    assert not off.policy.services[0].learns
    assert "path templates" not in "\n".join(describe(off))


def test_every_configured_route_has_its_row_before_any_template(tmp_path: Path) -> None:
    api(tmp_path, *(f"/p{i}" for i in range(200)))
    one = "{upstreams: {primary: {urls: [http://a]}}, match: {host: HOST}, endpoints: {openapi: api.yaml}, ROUTES}"
    names = [f"s{i}" for i in range(6)]
    routes = ", ".join(f"{{name: r{i}, match: {{path: /r{i}}}}}" for i in range(20)).join(("routes: [", "]"))
    services = "\n".join(f"  {name}: " + one.replace("HOST", name).replace("ROUTES", routes) for name in names)
    found = loaded(tmp_path, f"services:\n{services}\n")
    configured, rows = 6 * 21, MAX_ROUTES - RESERVED_ROWS
    assert [len(service.templates) for service in found.policy.services] == [
        200,
        200,
        200,
        rows - configured - 600,
        0,
        0,
    ]
    assert len(found.registry.routes) == rows
    lost = 200 - (rows - configured - 600)
    assert [warning.partition("openapi: ")[2] for warning in found.warnings] == [
        f"{count} of 200 paths find no place and are counted as `other`: at most 200 of a service do, "
        f"and {MAX_ROUTES} routes of all"
        for count in (lost, 200, 200)
    ]
    again = load(tmp_path / "proxy.yaml", Overrides(), found.registry, {})
    assert again.registry == found.registry
    assert again.policy == found.policy


def test_what_finds_no_place_is_counted(tmp_path: Path) -> None:
    api(tmp_path, *(f"/p{i}" for i in range(7)))
    found = loaded(tmp_path, PLAIN + "endpoints:\n  openapi: api.yaml\n  max: 5\n")
    assert len(found.policy.services[0].templates) == 5
    assert not found.policy.services[0].learns
    [warning] = found.warnings
    assert warning.startswith(str(tmp_path / "proxy.yaml:3:12: endpoints.openapi: 2 of 7 paths find no place"))
    assert "up to 0 path templates learned" in "\n".join(describe(found))


def test_what_is_left_out_of_the_file_is_a_warning_with_its_place(tmp_path: Path) -> None:
    api(tmp_path, "/a", "'/a?b'")
    [warning] = loaded(tmp_path, PLAIN + "endpoints: {openapi: api.yaml}").warnings
    assert warning.startswith(str(tmp_path / 'api.yaml:4:4: paths["/a?b"]: is no path'))


def test_paths_outside_of_the_service_are_left_out(tmp_path: Path) -> None:
    api(tmp_path, "/a", "/b", "'/{c}/d'", head="openapi: 3.0.0\nservers: [{url: /shop}, {url: /}]")
    text = PLAIN + "match: {path: /shop}\nendpoints: {openapi: api.yaml}"
    found = loaded(tmp_path, text)
    assert [route.name for route in found.policy.services[0].templates] == [
        "/shop/a",
        "/shop/b",
        "/shop/{c}/d",
        "/{c}/d",
    ]
    [warning] = found.warnings
    assert "endpoints.openapi: 2 of 6 paths lie outside of /shop, where the service is: left out" in warning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("endpoints: {openapi: absent.yaml}", "endpoints.openapi: the file does not exist: name one that is"),
        ("endpoints: {openapi: .}", "endpoints.openapi: the file is no regular file: name one that is"),
        ("endpoints: {openapi: ''}", 'endpoints.openapi: cannot be "": write the path of a file'),
        ("endpoints: {openapi: [a]}", "endpoints.openapi: cannot be used: write a file: one value, not a list"),
        ("endpoints: {max: 201}", 'endpoints.max: cannot be "201": write a whole number from 1 to 200'),
        ("endpoints: {max: 0}", 'endpoints.max: cannot be "0": write a whole number from 1 to 200'),
        ("endpoints: {learn: 1}", 'endpoints.learn: cannot be "1": write true or false'),
        ("endpoints: {learns: true}", "endpoints.learns: unknown key: did you mean learn?"),
        ("endpoints: {learn: false, max: 5}", "endpoints.max: bounds nothing: there is no openapi, and learn is false"),
    ],
)
def test_what_is_wrong_with_the_section(text: str, expected: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, PLAIN + text)
    assert found.startswith(expected)


def test_what_is_wrong_in_the_file_is_said_with_its_place_and_beside_other_problems(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text("info: {}\nswagger: 1.2\n")
    found = problems(tmp_path, PLAIN + "endpoints: {openapi: api.yaml}\nshadow: {sample: 5%}\n")
    assert [(problem.file, problem.line, problem.message.partition(":")[0]) for problem in found] == [
        ("proxy.yaml", 3, "needs upstreams.candidate"),
        ("api.yaml", 1, "is no OpenAPI document"),
    ]


def test_a_missing_file_named_wrongly_is_one_problem_not_two(tmp_path: Path) -> None:
    assert said(tmp_path, PLAIN + "endpoints: {learn: false, max: 5, openapi: }") == [
        "endpoints.openapi: has no value: give it one, or delete the key"
    ]


def test_the_registry_that_was_passed_in_stays_as_it_was(tmp_path: Path) -> None:
    api(tmp_path, "/a")
    registry = Registry()
    loaded(tmp_path, PLAIN + "endpoints: {openapi: api.yaml}", registry=registry)
    assert registry == Registry()
