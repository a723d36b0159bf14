"""The cookie that stands for a token in a browser: which token, until when, sealed with the token itself. Pure.

So it holds over restarts, and not a moment longer than its token.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from shadowproxy.model.policy import TokenPolicy

COOKIE: Final = "shadowproxy_session"
SECONDS: Final = 12 * 3600


def seal(token: TokenPolicy, now: float) -> str:
    """The cookie's value. `now` is Unix time."""
    name = urlsafe_b64encode(token.name.encode()).decode().rstrip("=")
    until = str(int(now) + SECONDS)
    return f"{name}.{until}.{_seal(token, until)}"


def unsealed(tokens: Sequence[TokenPolicy], value: str, now: float) -> TokenPolicy | None:
    """The token that a cookie stands for; None: it is none of ours, or its time is over."""
    name, _, rest = value.partition(".")
    until, _, sealed = rest.partition(".")
    if not until.isascii() or not until.isdigit() or len(until) > 12 or int(until) < now:
        return None
    try:
        wanted = urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except ValueError:
        return None
    token = next((each for each in tokens if each.name == wanted), None)
    if token is None or not hmac.compare_digest(sealed.encode(errors="replace"), _seal(token, until).encode()):
        return None
    return token


def _seal(token: TokenPolicy, until: str) -> str:
    text = f"{token.name}\n{token.role}\n{until}".encode()
    return hmac.new(token.token.encode(), text, hashlib.sha256).hexdigest()
