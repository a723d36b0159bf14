"""What an OpenAPI file says about paths: every version, YAML and JSON alike, bounded; one line for what is wrong."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shadowproxy.config import openapi
from shadowproxy.config.excerpt import excerpt
from shadowproxy.config.openapi import MAX_BYTES, read
from shadowproxy.config.problems import BadValueError, ConfigError

PETS = """\
openapi: 3.0.3
info:
  title: Pets
  description: |
    Not paths at all:
      /not/{this}: {}
servers:
- url: https://{region}.pets.example/{base}/
  description: two of them
  variables:
    region:
      default: eu
    base:
      default: v2
      enum: [v1, v2]
paths:
  # the pets
  /pets:
    summary: All of them
    get:
      description: >
        /neither/{that}
      responses: {200: {description: ok}}
  /pets/{petId}:
    parameters:
      - $ref: '#/components/parameters/petId'
    get:
      servers:
        - url: https://elsewhere.example/operations/have/none
      responses: {200: {description: ok}}
  "/pets/{petId}:feed":
    servers:
      - url: https://farm.example/own
    post:
      responses: {200: {description: ok}}
  '/straße/{house}':

  x-internal: ignored
components:
  parameters:
    petId: {name: petId, in: path, required: true, schema: {type: integer}}
"""
FOUND = (
    "/v1/pets",
    "/v2/pets",
    "/v1/pets/{petId}",
    "/v2/pets/{petId}",
    "/own/pets/{petId}:feed",
    "/v1/stra%C3%9Fe/{house}",
    "/v2/stra%C3%9Fe/{house}",
)


def templates(directory: Path, text: str | bytes) -> tuple[str, ...]:
    return read(written(directory, text), "api.yaml").templates


def left_out(directory: Path, text: str) -> list[str]:
    return [str(problem) for problem in read(written(directory, text), "api.yaml").left_out]


def wrong(directory: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as error:
        read(written(directory, text), "api.yaml")
    [problem] = error.value.problems
    return str(problem)


def written(directory: Path, text: str | bytes) -> Path:
    path = directory / "api"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def paths(*names: str) -> str:
    return "openapi: 3.1.0\npaths:\n" + "".join(f"  {name}: {{}}\n" for name in names)


def as_json(text: str, indent: int | None) -> str:
    return json.dumps(YAML(typ="base", pure=True).load(text), indent=indent)


@pytest.mark.parametrize(
    "text",
    [
        PETS,
        PETS.replace("\n", "\r\n"),
        "\ufeff---\n# a file\n" + PETS + "...\n",
        PETS[: PETS.index("\npaths:")] + re.sub(r"(?m)^( +)", r"\1\1", PETS[PETS.index("\npaths:") :]),
        as_json(PETS, None),
        as_json(PETS, 2),
        "{\n" + json.dumps(json.loads(as_json(PETS, None)))[1:],
        # Written so that the excerpt cannot be read: then the whole of it is.
        PETS.replace("  /pets:\n", "  /pets: {trace: {responses: {200:\n      {description: ok}}}}\n  /unread:\n"),
        PETS.replace("'/straße/{house}':\n", "'/straße/{house}': *shared\n").replace("get:", "get: &shared", 1),
    ],
    ids=["block", "crlf", "bom", "wide", "minified", "indented", "odd", "flow", "alias"],
)
def test_paths_with_the_base_paths_of_their_servers(text: str, tmp_path: Path) -> None:
    found = templates(tmp_path, text)
    assert tuple(each for each in found if "unread" not in each) == FOUND


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("openapi: 3.0.0", "/a/{b}"),
        ("openapi: 3.1.1\nservers: []", "/a/{b}"),
        ("openapi: '3.0.4'\nservers: [{url: /}]", "/a/{b}"),
        ("openapi: 3.0.0\nservers: [{url: 'https://a.example'}]", "/a/{b}"),
        ("openapi: 3.0.0\nservers: [{url: /api/v3/}]", "/api/v3/a/{b}"),
        ("openapi: 3.0.0\nservers: [{url: api}, {url: 'http://x/api?x=1'}]", "/api/a/{b}"),
        ("openapi: 3.0.0\nservers: [{url: '/{p}', variables: {p: {default: api/v1}}}]", "/api/v1/a/{b}"),
        ("openapi: 3.0.0\nservers: [{url: '/{tenant}/x'}]", "/{tenant}/x/a/{b}"),
        ("swagger: '2.0'", "/a/{b}"),
        ("swagger: 2.0\nbasePath: /v2/\nservers: ['ignored: it is not of this version']", None),
        ("swagger: 2.0\nbasePath: /v2/", "/v2/a/{b}"),
        ("swagger: 2.0\nbasePath: v2", "/v2/a/{b}"),
    ],
)
def test_what_stands_before_a_path(head: str, expected: str | None, tmp_path: Path) -> None:
    text = head + "\npaths: {'/a/{b}': {}}\n"
    if expected is None:
        assert wrong(tmp_path, text) == "api.yaml:3:1: servers[0]: expected `object`, got `str`"
    else:
        assert templates(tmp_path, text) == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ":1:1: is no OpenAPI document: write `openapi: 3.0.x` or `3.1.x`, or `swagger: 2.0`, at its top"),
        ("- a", ":1:1: is no OpenAPI document"),
        ("plain text", ":1:1: is no OpenAPI document"),
        ("paths: {/a: {}}", ":1:1: is no OpenAPI document"),
        ("openapi: 4.0.0\npaths: {/a: {}}", ":1:1: is no OpenAPI document"),
        ("swagger: 1.2\npaths: {/a: {}}", ":1:1: is no OpenAPI document"),
        ("{}", ":1:1: is no OpenAPI document"),
        (
            "openapi: 3.1.0\ninfo: {}",
            ":1:1: paths: is missing or empty: without it there is nothing to name requests by",
        ),
        ("openapi: 3.1.0\npaths: {}", ":1:1: paths: is missing or empty"),
        ("info: x\nopenapi: 3.1.0\npaths: 5", ":3:1: paths: expected `object | null`, got `str`"),
        (
            '{"openapi": "3.0.0", "paths": {"/a": {}},\n "servers": [{"url": 5}]}',
            ":2:3: servers[0].url: expected `str`",
        ),
        ('{"openapi": "3.0.0",\n"paths": }', ":2:10: this is not JSON: JSON is malformed: invalid character"),
        ('{"openapi": "3.0.0"', ":1:1: this is not JSON: input data was truncated"),
        ("openapi: 3.0.0\npaths: [", ":2:9: this is not YAML: "),
        ("openapi: 3.0.0\npaths:\n  /a: {}\n  /a: {}\n", ":4:3: this is not YAML: found duplicate key"),
        ("openapi: 3.0.0\npaths:\n  /a: {}\n\t/b: {}\n", ":4:1: this is not YAML: "),
        ("openapi: 3.0.0 \x00", ":1:1: this is not YAML: a character cannot stand in it"),
        ("openapi: 3.0.0\nservers: [{url: 'http://[x'}]\npaths: {/a: {}}", ":2:1: servers: holds a URL that is none"),
        ("openapi: 3.0.0\nservers: [{url: '/a b'}]\npaths: {/a: {}}", ":2:1: servers: holds a URL that is none"),
        ("openapi: 3.0.0\npaths: {/a: {servers: [7]}}", ':2:9: paths["/a"].servers: expected `object`, got `str`'),
        (
            "openapi: 3.0.0\nservers: [{url: '/{v}', variables: {v: {enum: [" + ",".join("abcdefghijklmnopqr") + "]}}}]"
            "\npaths: {/a: {}}",
            ":2:1: servers: lead to more than 16 base paths: write fewer",
        ),
        ("openapi: " + "[" * 150, ":1:109: this is not YAML: more than 100 levels deep"),
        ('{"openapi":' + "[" * 200_000, "this is not JSON: "),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(text: str, expected: str, tmp_path: Path) -> None:
    found = wrong(tmp_path, text)
    assert expected in found
    assert found.startswith("api.yaml:")
    assert "\n" not in found


@pytest.mark.parametrize(
    "text",
    [
        "openapi: 3.0.0\npaths:\n  ? [a]\n  : b\n",
        "openapi: 3.0.0\npaths:\n  ? {a: b}\n  : c\n",
        "openapi: 3.0.0\n[a]: b\npaths: {/a: {}}\n---\nb: c\n",
        "%YAML 9.9\n---\nopenapi: 3.0.0\npaths: {/a: {}}",
        "openapi: !!python/object:os.system x\npaths: {/a: {}}",
        "&a openapi: 3.0.0\npaths: *a",
        "!!omap\n- openapi: 3.0.0\n- paths: {/a: {}}",
        "openapi: 3.0.0\nservers:\n- {[a]: b}\npaths: {/a: {}}",
        "openapi: 3.0.0\nservers: [{url: /x, variables: {a: 5}}]\npaths: {/a: {}}",
        '{"openapi": "3.0.0", "paths": {"/\\ud800": {}}}',
        '{"openapi": ["3.0.0"], "paths": {"/a": {}}}',
        '{"openapi": "3.0.0", "paths": {"/a": {"servers": "x"}}}',
        "openapi: 3.0.0\npaths: \u2028{\x85\r",
    ],
)
def test_whatever_stands_in_a_file_is_one_line_and_no_traceback(text: str, tmp_path: Path) -> None:
    found = wrong(tmp_path, text)
    assert re.fullmatch(r"api\.yaml:\d+:\d+: .+", found)
    assert "`key`" not in found


def test_an_alias_of_itself_is_no_circle(tmp_path: Path) -> None:
    assert templates(tmp_path, "openapi: 3.0.0\npaths: &p {/a: *p}") == ("/a",)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    (tmp_path / "latin").write_bytes(b"openapi: 3.0.0 # caf\xe9\n")
    for name, why in (
        ("absent", "does not exist"),
        (".", "is no regular file"),
        ("big", "larger than 16MiB"),
        ("latin", "not UTF-8"),
    ):
        with pytest.raises(BadValueError, match=why):
            read(tmp_path / name, "api.yaml")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("pets", "begins without /"),
        ("'/pets?kind={kind}'", "is no path with {placeholders} alone"),
        ("'/pets#{kind}'", "is no path with {placeholders} alone"),
        ("'/a b'", "is no path with {placeholders} alone"),
        ("'/{name=projects/*}'", "is no path with {placeholders} alone"),
        ("'/{open'", "is no path with {placeholders} alone"),
        ("'/{}'", "is no path with {placeholders} alone"),
        ("/all/*", "is no path with {placeholders} alone"),
        ("/a/../b", "has a segment . or .."),
        ("'/good/{y}'", "takes the same requests as /good/{x}"),
        ("/" + "a" * 300, "is longer than 256 characters"),
    ],
)
def test_a_path_that_is_no_template_is_left_out_and_named(path: str, why: str, tmp_path: Path) -> None:
    text = paths("'/good/{x}'", path)
    assert templates(tmp_path, text) == ("/good/{x}",)
    [said] = left_out(tmp_path, text)
    assert said.startswith("api.yaml:4:")
    assert ": paths" in said
    assert said.endswith(f"{why}: left out")


def test_many_of_them_are_counted(tmp_path: Path) -> None:
    said = left_out(tmp_path, paths("/good", *(f"bad{i}" for i in range(20))))
    assert len(said) == 6
    assert said[-1].endswith(": paths: and 15 more are left out")


def test_a_bomb_of_aliases_is_as_cheap_as_it_is_short(tmp_path: Path) -> None:
    levels = "\n".join(f"  l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 10))
    bomb = f"openapi: 3.0.0\nservers:\n  l0: &l0 [x]\n{levels}\npaths: {{/a: {{}}}}\n"
    started = time.perf_counter()
    assert "servers: expected `array`, got `object`" in wrong(tmp_path, bomb)
    assert time.perf_counter() - started < 2


def test_a_long_file_is_read_in_a_moment(tmp_path: Path) -> None:
    operation = "    get:\n" + "      # nothing that is asked for\n      x: {y: z}\n" * 40
    text = "openapi: 3.0.0\npaths:\n" + "".join(f"  /things{i}/{{id}}:\n{operation}" for i in range(1_000))
    assert len(text) > 1_500_000
    started = time.perf_counter()
    assert len(templates(tmp_path, text)) == 1_000
    assert time.perf_counter() - started < 5


def test_a_long_file_that_has_to_be_read_as_a_whole_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = paths("/a") + "  /b: {\n    get: 1}\n"
    assert templates(tmp_path, text) == ("/a", "/b")
    monkeypatch.setattr(openapi, "MAX_WHOLE", len(text) - 1)
    assert wrong(tmp_path, text).endswith("files of more than 50B are best saved as JSON")


def test_more_paths_than_can_be_parsed_in_a_moment_are_refused(tmp_path: Path) -> None:
    text = "openapi: 3.0.0\npaths:\n" + "".join(f"  /things{i}/{{id}}: {{}}\n" for i in range(30_000))
    started = time.perf_counter()
    assert wrong(tmp_path, text) == "api.yaml:2:1: paths: take more than 512KiB of YAML: save the file as JSON"
    assert time.perf_counter() - started < 2


def test_the_excerpt_keeps_the_lines_where_they_are() -> None:
    cut = excerpt(PETS)
    assert cut.count("\n") == PETS.count("\n")
    assert [line for line in cut.split("\n") if line] == [
        "openapi: 3.0.3",
        "servers:",
        "- url: https://{region}.pets.example/{base}/",
        "  description: two of them",
        "  variables:",
        "    region:",
        "      default: eu",
        "    base:",
        "      default: v2",
        "      enum: [v1, v2]",
        "paths:",
        "  /pets:",
        "  /pets/{petId}:",
        '  "/pets/{petId}:feed":',
        "    servers:",
        "      - url: https://farm.example/own",
        "  '/straße/{house}':",
        "  x-internal: ignored",
    ]
