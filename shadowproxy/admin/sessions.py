"""Signing in with a browser: a token is sent once, and a cookie that no script can read stands for it from then on."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from aiohttp import hdrs, web
from msgspec import Struct

from shadowproxy.admin import bodies, queries
from shadowproxy.admin.access import EVALUATOR, SESSION, find
from shadowproxy.admin.answers import ACCESS, STATE, caller, json_response
from shadowproxy.admin.operation import Operation
from shadowproxy.admin.problems import ProblemError
from shadowproxy.admin.sealing import COOKIE, SECONDS, seal

_WAIT: Final = 0.3
"""Seconds that a wrong token takes: guessing is slow, a typing error is not punished."""


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """One of `admin.tokens`."""

    token: str
    """The token itself."""


class Session(Struct, frozen=True):
    """Who asks."""

    needed: bool
    """Whether a token is needed."""
    name: str = ""
    """The token's name; empty as long as nobody has signed in."""
    role: str = ""
    """`viewer` or `operator`; empty as long as nobody has signed in."""


async def who(request: web.Request) -> web.Response:
    """Who is signed in."""
    queries.only(request)
    needed = bool(request.app[STATE].launch.admin.tokens)
    try:
        found = caller(request, request.app[ACCESS], path="")
    except ProblemError as error:
        if error.status != 401:
            raise
        return json_response(Session(needed))
    return json_response(Session(needed, found.name, found.role))


async def sign_in(request: web.Request) -> web.Response:
    wanted = await bodies.taken(request, SignIn)
    tokens = request.app[STATE].launch.admin.tokens
    token = find(tokens, wanted.token.strip())
    if token is not None and token.role == EVALUATOR:
        raise ProblemError(403, f"the role of this token is {EVALUATOR}: it asks for flags over OFREP alone")
    if token is None:
        await asyncio.sleep(_WAIT)
        raise ProblemError(
            401, "this token is not known here" if tokens else "there are no tokens here: nobody has to sign in"
        )
    response = json_response(Session(True, token.name, token.role))
    response.set_cookie(
        COOKIE,
        seal(token, time.time()),
        max_age=SECONDS,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )
    return response


async def sign_out(request: web.Request) -> web.Response:
    queries.only(request)
    response = json_response(Session(bool(request.app[STATE].launch.admin.tokens)))
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=request.secure)
    return response


OPERATIONS: Final = (
    Operation(
        SESSION,
        who,
        "Who is signed in",
        Session,
        description="Nobody is refused for not being signed in: then `name` and `role` are empty.",
        group="session",
    ),
    Operation(
        SESSION,
        sign_in,
        "Sign in with a token",
        Session,
        method=hdrs.METH_POST,
        body=SignIn,
        description=f"A cookie, `{COOKIE}`, stands for the token for {SECONDS // 3600} hours; no script can read it.",
        refused={
            401: "This token is not known, or there are no tokens here.",
            403: f"The token's role is `{EVALUATOR}`, or `Host` or `Origin` is foreign.",
        },
        answered={str(hdrs.SET_COOKIE): f"`{COOKIE}`: HttpOnly, SameSite=Strict, with TLS also Secure."},
        group="session",
        example={"token": "TOKEN"},
    ),
    Operation(
        SESSION,
        sign_out,
        "Sign out",
        Session,
        method=hdrs.METH_DELETE,
        description="The cookie is taken back. Somebody who is not signed in gets the same answer.",
        answered={str(hdrs.SET_COOKIE): f"`{COOKIE}`, which is over."},
        group="session",
    ),
)
