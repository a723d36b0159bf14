"""Claims of the JSON Web Token that a request brings (RFC 7519): read, and verified where there is a key for it."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from shadowproxy.http1 import RequestHead
from shadowproxy.model.flags import JwtPolicy
from shadowproxy.proxy.users import reader

MAX_TOKEN: Final = 16 * 1024
MAX_KNOWN: Final = 4096
"""Tokens whose signature was verified and is not verified again: that takes a hundred times as long as looking."""

Claims = dict[str, Any]
_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +")


def claims_reader(policy: JwtPolicy) -> Callable[[RequestHead, float], Claims]:
    """Takes the claims of a request at a time, Unix time; none where there is no token, or none that counts."""
    find = reader(policy.header or None, policy.cookie)
    read = _verifying(policy) if policy.key else _claims

    def claims(head: RequestHead, now: float) -> Claims:
        value = find(head)
        bearer = _BEARER.match(value)
        token = value[bearer.end() :] if bearer else value
        if not token or len(token) > MAX_TOKEN:
            return {}
        return read(token, now)

    return claims


def _claims(token: bytes, now: float) -> Claims:
    """What a token says, whoever signed it."""
    parts = token.split(b".")
    if len(parts) != 3:
        return {}
    try:
        claims = msgspec.json.decode(urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _verifying(policy: JwtPolicy) -> Callable[[bytes, float], Claims]:
    import jwt  # only where there is a key: it takes 10 MiB of memory

    known: OrderedDict[bytes, Claims] = OrderedDict()
    verifier = jwt.PyJWT()
    # Times are looked at here, at every use of a token that is known.
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}

    def read(token: bytes, now: float) -> Claims:
        claims = known.get(token)
        if claims is None:
            try:
                claims = verifier.decode(token, policy.key, algorithms=list(policy.algorithms), options=options)
            except Exception:  # of a key, of a token that somebody made up, of a library below
                claims = {}
            known[token] = claims
            if len(known) > MAX_KNOWN:
                known.popitem(last=False)
        return claims if _is_valid(claims, now) else {}

    return read


def _is_valid(claims: Claims, now: float) -> bool:
    """Has it begun, and not ended (RFC 7519 sections 4.1.4 and 4.1.5)?"""
    until, since = claims.get("exp"), claims.get("nbf")
    return (until is None or (isinstance(until, int | float) and now < until)) and (
        since is None or (isinstance(since, int | float) and since <= now)
    )


def claim(claims: Claims, path: tuple[str, ...]) -> Any:
    """`("address", "country")` of a token's claims; None: it is not there. A claim may have dots in its own name."""
    if len(path) > 1 and (whole := claims.get(".".join(path))) is not None:
        return whole
    value: Any = claims
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value
