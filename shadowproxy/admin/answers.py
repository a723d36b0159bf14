"""Responses: JSON, problem details, and what stands around every handler. No error leaves without a problem body."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import hdrs, web
from msgspec import UNSET, UnsetType

from shadowproxy.admin.access import ASKING, OPEN, READING, Access, Caller, subject_of
from shadowproxy.admin.problems import Problem, ProblemError
from shadowproxy.admin.sealing import COOKIE, unsealed
from shadowproxy.control.state import State
from shadowproxy.store import StoreError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY: Final = 64 * 1024
_TOO_LARGE: Final = f"bodies may have at most {MAX_BODY} bytes"
ACCESS: Final = web.AppKey("access", Access)
STATE: Final = web.AppKey("state", State)

log = logging.getLogger(__name__)


def json_response(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, entry: str | UnsetType = UNSET
) -> web.Response:
    """RFC 9457; `about:blank` types have the title of their status."""
    return web.Response(
        body=msgspec.json.encode(Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, entry=entry)),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


def caller(request: web.Request, access: Access, path: str | None = None) -> Caller:
    """Who makes a request; `path` as if it were for that one. Raises ProblemError for those who must not."""
    certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
    authorization = request.headers.get(hdrs.AUTHORIZATION, "")
    if not authorization and request.path.startswith(ASKING) and (key := request.headers.get("X-API-Key")):
        authorization = f"Bearer {key}"
    return access.check(
        request.method,
        request.headers.get(hdrs.HOST, ""),
        request.headers.get(hdrs.ORIGIN),
        authorization,
        subject_of(certificate) if certificate else None,
        request.path if path is None else path,
        unsealed(access.tokens, cookie, time.time()) if (cookie := request.cookies.get(COOKIE)) else None,
    )


def guard(
    access: Access, is_let_in: Callable[[web.Request], bool] = lambda request: False
) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """Lets only those in whom `access` lets in, or `is_let_in` does."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (request.path not in OPEN or request.method not in READING) and not is_let_in(request):
            caller(request, access)
        return await handler(request)

    return guarded


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever goes wrong into problem details."""
    try:
        if (request.content_length or 0) > MAX_BODY and not request.path.startswith(ASKING):
            return problem(413, _TOO_LARGE)
        return await handler(request)
    except ProblemError as error:
        headers = {str(hdrs.WWW_AUTHENTICATE): "Bearer"} if error.status == 401 else {}
        return problem(error.status, error.detail, headers, error.entry or UNSET)
    except StoreError as error:
        return problem(503, f"what is kept on disk cannot be reached: {error}")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem(405, f"{request.path} takes {allowed}", {str(hdrs.ALLOW): allowed})
    except web.HTTPException as error:
        known = {404: f"nothing is at {request.path}; see /openapi.json", 413: _TOO_LARGE}
        detail = known.get(error.status, error.reason)
        return problem(error.status, detail)
    except Exception:
        log.exception("a request for %s failed", request.path)
        return problem(500, "the request failed inside the proxy; its log says why")


async def finish(_request: web.Request, response: web.StreamResponse) -> None:
    """What every response carries."""
    response.headers[hdrs.SERVER] = "shadowproxy"
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
