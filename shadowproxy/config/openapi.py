"""The path templates of an OpenAPI 3.0 or 3.1 or Swagger 2.0 file, YAML or JSON.

Nothing but the paths is read, and of servers what comes before a path: an error elsewhere in the file is not ours to
find. Nothing is resolved either, so that aliases cost nothing and no reference leads out of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path as FilePath
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import msgspec
from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from shadowproxy.config.excerpt import excerpt
from shadowproxy.config.problems import BadValueError, ConfigError, Problem, printable, spell
from shadowproxy.config.source import bounded
from shadowproxy.config.units import render_size

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_WHOLE: Final = 512 * 1024
"""Of YAML that has to be parsed: two or three seconds."""
MAX_DEPTH: Final = 100
MAX_BASES: Final = 16
MAX_TEMPLATE: Final = 256
"""Characters: it becomes a label."""
MAX_SAID: Final = 5
"""Paths that are left out are named up to here, then counted."""

_PLACEHOLDER: Final = re.compile(r"\{[^{}/]+\}")
_VERSION: Final = re.compile(r"3\.[01](?:\.\d+.*)?|2\.0")
_UNWRITTEN: Final = re.compile(r"[\s?#*{}\\]")
"""What no path holds, or not outside of a placeholder."""

Scalar = str | int | float | bool


class Variable(Struct, frozen=True):
    default: Scalar = ""
    enum: list[Scalar] = []


class Server(Struct, frozen=True):
    url: str
    variables: dict[str, Variable] = {}


class Whole(Struct, frozen=True, rename={"base_path": "basePath"}):
    """What is asked of a file."""

    openapi: Scalar | None = None
    swagger: Scalar | None = None
    base_path: str = ""
    servers: list[Server] = []
    paths: dict[str, Any] | None = None


class Templates(NamedTuple):
    """In the order of the file, with the base path of each server before them; `left_out` says what could not be."""

    templates: tuple[str, ...]
    left_out: tuple[Problem, ...]


def read(path: FilePath, file: str) -> Templates:
    """The templates of the file at `path`, which problems call `file`.

    Raises BadValueError when there is no such file, ConfigError when it is not what it should be.
    """
    try:
        text = bounded(path, MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadValueError("the file is not UTF-8: save it as UTF-8") from None
    reader = _Reader(text, file)
    return reader.templates(reader.whole())


class _Composer(Composer):
    """Refuses what is nested too deep as soon as it comes: reading on would take the square of the depth."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ComposerError(None, None, f"more than {MAX_DEPTH} levels deep", self.parser.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self._file = file

    def whole(self) -> Whole:
        data = self._json() if self.text.lstrip().startswith("{") else self._yaml()
        try:
            found = msgspec.convert(data if isinstance(data, dict) else {}, Whole)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at ")
            where = where.removeprefix("`key` in ").strip("`$").lstrip(".")
            raise self._error(where, _lower(what), re.split(r"[.\[]", where)[0]) from None
        version = str(found.openapi if found.openapi is not None else found.swagger)
        if not _VERSION.fullmatch(version):
            right = "is no OpenAPI document: write `openapi: 3.0.x` or `3.1.x`, or `swagger: 2.0`, at its top"
            raise self._error("", right)
        if not found.paths:
            raise self._error("paths", "is missing or empty: without it there is nothing to name requests by")
        return found

    def _json(self) -> Any:
        try:
            return msgspec.json.decode(self.text)
        except (msgspec.DecodeError, RecursionError) as error:
            at = re.search(r"byte (\d+)", str(error))
            offset = len(self.text.encode()[: int(at.group(1))].decode("utf-8", "ignore")) if at else 0
            raise self._error("", f"this is not JSON: {_lower(str(error))}", offset=offset) from None

    def _yaml(self) -> Any:
        """Every scalar is text. A file that does not survive the cut is read as a whole, if it is not too long."""
        cut = excerpt(self.text)
        if sum(len(line) for line in cut.split("\n")) > MAX_WHOLE:
            right = f"take more than {render_size(MAX_WHOLE)} of YAML: save the file as JSON"
            raise self._error("paths", right, "paths")
        try:
            found = self._load(cut)
            if isinstance(found, dict) or len(self.text) > MAX_WHOLE:
                return found
        except ConfigError as error:
            if len(self.text) > MAX_WHOLE:
                [problem] = error.problems
                right = f"{problem.message}; files of more than {render_size(MAX_WHOLE)} are best saved as JSON"
                raise ConfigError([problem._replace(message=right)]) from None
        return self._load(self.text)

    def _load(self, text: str) -> Any:
        try:
            loader = YAML(typ="base", pure=True)
            loader.Composer = _Composer
            return loader.load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            what = printable((error.problem or "this is not YAML").partition("\n")[0], 200)
            raise ConfigError([Problem(self._file, line, column, "", f"this is not YAML: {what}")]) from None
        except YAMLError:
            raise self._error("", "this is not YAML: a character cannot stand in it") from None

    def templates(self, whole: Whole) -> Templates:
        left_out: list[Problem] = []
        found: dict[str, str] = {}
        """Templates by what they take, whatever their placeholders are called."""
        servers = whole.servers if whole.openapi is not None else [Server(whole.base_path or "/")]
        general = self._bases(servers)
        for path, item in (whole.paths or {}).items():
            if path.startswith("x-"):
                continue
            bases = self._own_bases(path, item) or general
            reasons = [_unfit(path)] if _unfit(path) else [_place(found, base + path) for base in bases]
            why = next(filter(None, reasons), "")
            if why:
                left_out.append(self._problem(spell(("paths", path)), f"{why}: left out", path))
        if len(left_out) > MAX_SAID:
            more = f"and {len(left_out) - MAX_SAID} more are left out"
            left_out = [*left_out[:MAX_SAID], left_out[MAX_SAID]._replace(path="paths", message=more)]
        return Templates(tuple(found.values()), tuple(left_out))

    def _own_bases(self, path: str, item: Any) -> list[str]:
        """Those of servers that a path has for itself."""
        if not isinstance(item, dict) or not item.get("servers"):
            return []
        try:
            return self._bases(msgspec.convert(item["servers"], list[Server]))
        except msgspec.ValidationError as error:
            raise self._error(spell(("paths", path, "servers")), _lower(str(error)), path) from None

    def _bases(self, servers: list[Server]) -> list[str]:
        """The path of each server's URL, once; `/` where there is none, as it is without servers."""
        try:
            bases = {_base(url): None for server in servers for url in _urls(server)}
        except ValueError:
            raise self._error("servers", "holds a URL that is none: write one such as /api/v1", "servers") from None
        if len(bases) > MAX_BASES:
            raise self._error("servers", f"lead to more than {MAX_BASES} base paths: write fewer", "servers")
        return list(bases) or [""]

    def _error(self, path: str, message: str, key: str = "", offset: int | None = None) -> ConfigError:
        return ConfigError([self._problem(path, message, key, offset)])

    def _problem(self, path: str, message: str, key: str, offset: int | None = None) -> Problem:
        """With the place of `key`, as far as it can be found in the text."""
        if offset is None:
            written = re.search(rf"""(?:^|[\s{{,"']){re.escape(key)}["']?\s*:""", self.text) if key else None
            offset = written.end() - len(written.group().lstrip(" \t\r\n{,\"'")) if written else 0
        line = self.text.count("\n", 0, offset) + 1
        return Problem(self._file, line, offset - self.text.rfind("\n", 0, offset), path, message)


def _unfit(path: str) -> str:
    """Why a path cannot be a template, empty if it can."""
    if not path.startswith("/"):
        return "begins without /"
    if _UNWRITTEN.search(_PLACEHOLDER.sub("", path)):
        return "is no path with {placeholders} alone"
    if any(segment in {".", ".."} for segment in path.split("/")):
        return "has a segment . or .."
    return ""


def _place(found: dict[str, str], path: str) -> str:
    """Put a template among those found; why it could not be, empty if it is there."""
    template = quote(path, safe="/{}%!$&'()+,;=:@-._~")
    if len(template) > MAX_TEMPLATE:
        return f"is longer than {MAX_TEMPLATE} characters"
    first = found.setdefault(_PLACEHOLDER.sub("{}", template), template)
    return "" if first == template else f"takes the same requests as {first}"


def _urls(server: Server) -> Iterator[str]:
    """The server's URL with its variables filled in: each of their possible values, or the default."""
    names = [name for name in server.variables if f"{{{name}}}" in server.url]
    options = [server.variables[name].enum or [server.variables[name].default] for name in names]
    for values in islice(product(*options), MAX_BASES + 1):
        url = server.url
        for name, value in zip(names, values, strict=True):
            url = url.replace(f"{{{name}}}", str(value))
        yield url


def _base(url: str) -> str:
    """What stands before every path, without a slash at its end. Raises ValueError."""
    path = urlsplit(urljoin("http://host/", url)).path.rstrip("/")
    if _unfit(path or "/"):
        raise ValueError(url)
    return path


def _lower(text: str) -> str:
    """A sentence of another room as the end of one of ours."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
