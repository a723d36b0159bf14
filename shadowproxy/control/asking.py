"""Ask arms for their version, now and then, one URL each: where `version: {get: PATH}` says so; and after a promotion
the primary for the header that names it, since no user's answer does any more.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from typing import Final

import aiohttp

from shadowproxy.model.policy import Endpoint, Policy, ServicePolicy, UpstreamPolicy
from shadowproxy.model.terms import PRIMARY
from shadowproxy.upstream.tls import client_context

WITHIN: Final = 2.0
"""Seconds for one answer."""
MAX_ANSWER: Final = 4096
MAX_VERSION: Final = 64

Question = tuple[str, str, UpstreamPolicy, str, str]
"""Service, arm, where it is, the path to ask for, and the header that names the version, empty: the body does."""


def questions(policy: Policy) -> list[Question]:
    return [question for service in policy.services for question in _of(service)]


def _of(service: ServicePolicy) -> Iterator[Question]:
    version, split = service.version, service.split
    if version.get:
        yield from ((service.name, arm, upstream, version.get, "") for arm, upstream in service.upstreams.items())
    elif version.header and split is not None and split.weight >= 1.0 and not split.leased:
        yield service.name, PRIMARY, service.upstreams[PRIMARY], "/", version.header


async def ask(upstream: UpstreamPolicy, path: str, header: str = "") -> str:
    """The version that the first of the URLs that answers names, in `header` or else in the body; empty: none does."""
    for endpoint in upstream.endpoints:
        try:
            version = await asyncio.wait_for(_ask(endpoint, upstream, path, header), WITHIN)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            continue
        if version:
            return version
    return ""


async def _ask(endpoint: Endpoint, upstream: UpstreamPolicy, path: str, header: str) -> str:
    connector: aiohttp.BaseConnector
    if endpoint.unix:
        connector = aiohttp.UnixConnector(endpoint.unix)
    else:
        connector = aiohttp.TCPConnector(ssl=_context(endpoint, upstream))
    base = "http://localhost" if endpoint.unix else endpoint.url
    async with (
        aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
        session.get(
            base + path,
            headers={"Accept-Encoding": "identity"},
            allow_redirects=False,
            server_hostname=upstream.tls.server_name if base[4] == "s" else None,
        ) as answer,
    ):
        if header:
            return answer.headers.get(header, "")[:MAX_VERSION]
        return read_version(await _beginning(answer.content)) if answer.status == 200 else ""


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """The whole answer where it is short, in however many pieces it comes."""
    try:
        return await content.readexactly(MAX_ANSWER)
    except asyncio.IncompleteReadError as all_there_is:
        return all_there_is.partial


def _context(endpoint: Endpoint, upstream: UpstreamPolicy) -> ssl.SSLContext | bool:
    return client_context(upstream.tls) if endpoint.scheme == "https" else True


def read_version(answer: bytes) -> str:
    """The `version` of a JSON object, else the first line; empty where there is no such thing."""
    text = answer.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        try:
            named = json.loads(text).get("version", "")
        except (ValueError, RecursionError):
            return ""
        text = str(named) if isinstance(named, str | int | float) and not isinstance(named, bool) else ""
    line = text.partition("\n")[0].strip()[:MAX_VERSION]
    return line if line.isprintable() else ""
