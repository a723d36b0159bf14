"""The dashboard's files: read from the package once, with a tag each; nothing is loaded from anywhere else."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, NamedTuple

from aiohttp import hdrs, web

from shadowproxy.admin import queries
from shadowproxy.admin.operation import Operation
from shadowproxy.admin.problems import ProblemError

PREFIX: Final = "/ui/"
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No script and no style but the package's files, nothing inline, no place where text could become a script."""
_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


class _File(NamedTuple):
    body: bytes
    kind: str
    tag: str


async def page(request: web.Request) -> web.Response:
    """The page itself."""
    queries.only(request)
    return _answer(request, "index.html")


async def file(request: web.Request) -> web.Response:
    """One of its files."""
    queries.only(request)
    return _answer(request, request.match_info["file"])


def _answer(request: web.Request, name: str) -> web.Response:
    found = _files().get(name)
    if found is None:
        raise ProblemError(404, f"the dashboard has no file {name!r}")
    headers = {
        str(hdrs.ETAG): found.tag,
        str(hdrs.CACHE_CONTROL): "no-cache",  # kept, and asked for again each time: an upgrade is seen at once
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
    if found.tag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.body, content_type=found.kind, charset="utf-8", headers=headers)


@cache
def _files() -> dict[str, _File]:
    return dict(_found(files("shadowproxy.admin") / "web", ""))


def _found(directory: Traversable, prefix: str) -> list[tuple[str, _File]]:
    found: list[tuple[str, _File]] = []
    for each in directory.iterdir():
        name = prefix + each.name
        if each.is_dir():
            found += _found(each, f"{name}/")
            continue
        suffix = "." + name.rpartition(".")[2]
        if suffix in _TYPES:
            body = each.read_bytes()
            found.append((name, _File(body, _TYPES[suffix], f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')))
    return found


_FILE: Final[dict[str, Any]] = {
    "headers": (str(hdrs.IF_NONE_MATCH),),
    "answered": {str(hdrs.ETAG): "What the file is now.", "Content-Security-Policy": "The package's own files alone."},
    "group": "pages",
}
OPERATIONS: Final = (
    Operation("/", page, "The dashboard", content="text/html", **_FILE),
    Operation(
        PREFIX + "{file:.+}",
        file,
        "A file of the dashboard",
        content="text/javascript",
        contents=tuple(sorted(set(_TYPES.values()) - {"text/javascript"})),
        refused={404: "There is no such file."},
        **_FILE,
    ),
)
