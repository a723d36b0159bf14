"""Who may do what at the admin listener. Pure: headers in, a name and a role or a problem out.

- A foreign Host is refused: a page that rebinds its own name to this address (DNS rebinding) sends that name.
- A foreign Origin is refused: a browser says whose page asks; programs send none.
- Where tokens are configured one is needed, or the cookie that a browser got for one, unless TLS has verified a client
  certificate. What changes something and comes with a cookie has to say whose page asks, as every browser does.
- Where no tokens are, the listener is on loopback or a Unix socket or asks for certificates (`config` refuses the
  rest), and all may do all.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from shadowproxy.admin.problems import ProblemError
from shadowproxy.model.policy import AdminPolicy, Bind, TokenPolicy

VIEWER: Final = "viewer"
OPERATOR: Final = "operator"
EVALUATOR: Final = "evaluator"
"""Asks for flags over OFREP and for nothing else: what an application has."""
ASKING: Final = "/ofrep/"
"""Below it every role may ask, which is done with POST."""
READING: Final = frozenset({"GET", "HEAD"})
LOCAL: Final = "local"
"""Somebody on this machine, where no token is asked for."""
OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""No token and any Host: scrapers and kubelets come by address."""
SESSION: Final = "/api/v1/session"
PAGE: Final = ("/", "/ui/")
"""The dashboard's own files; what is shown in it takes a token."""


class Caller(NamedTuple):
    """Who makes a request: the name of a token, the subject of a client certificate, or `LOCAL`."""

    name: str
    role: str


NOBODY: Final = Caller("", "")
"""Somebody who has not said who it is, and is asked for nothing."""


class Access:
    """The rules of one admin listener. `bind` is where it really listens."""

    def __init__(self, policy: AdminPolicy, bind: Bind) -> None:
        self.tokens = policy.tokens
        self._any_address = not bind.unix and not _is_loopback(bind.host)
        self._hosts = {"localhost", *(host.lower() for host in policy.hosts)}
        if policy.bind.host and not _address(policy.bind.host):
            self._hosts.add(policy.bind.host.lower())

    def check(
        self,
        method: str,
        host: str,
        origin: str | None,
        authorization: str,
        subject: str | None,
        path: str = "",
        signed_in: TokenPolicy | None = None,
    ) -> Caller:
        """Who makes a request; `subject` is that of a verified client certificate, `signed_in` the token that a cookie
        stands for. Raises ProblemError: 403 or 401.
        """
        self._check_host(host)
        if origin is not None and _place(origin) != host.lower():
            raise ProblemError(403, f"requests from pages of {origin!r} are refused")
        if is_page(method, path):
            return NOBODY
        caller = self._caller(authorization, subject, signed_in)
        if signed_in is not None and not authorization and method not in READING and origin is None:
            raise ProblemError(403, f"{method} with a cookie takes an Origin field: a page of another place may ask")
        if path.startswith(ASKING):
            return caller
        if caller.role == EVALUATOR:
            raise ProblemError(403, f"this token's role is {EVALUATOR}: it may ask for flags below {ASKING} alone")
        if method not in READING and caller.role != OPERATOR:
            raise ProblemError(403, f"{method} takes the role {OPERATOR}; this token's role is {caller.role}")
        return caller

    def _check_host(self, host: str) -> None:
        name = _host_name(host)
        address = _address(name)
        if name in self._hosts or (address and (self._any_address or _is_loopback(name))):
            return
        raise ProblemError(403, f"the admin listener does not answer to Host {host!r}; list it under admin.hosts")

    def _caller(self, authorization: str, subject: str | None, signed_in: TokenPolicy | None) -> Caller:
        scheme, _, token = authorization.partition(" ")
        if not self.tokens or (subject is not None and not authorization):
            return Caller(LOCAL if subject is None else subject, OPERATOR)
        if not authorization and signed_in is not None:
            return Caller(signed_in.name, signed_in.role)
        if scheme.lower() != "bearer" or not token:
            raise ProblemError(401, "send `Authorization: Bearer TOKEN`")
        found = find(self.tokens, token.strip())
        if found is None:
            raise ProblemError(401, "this token is not known here")
        return Caller(found.name, found.role)


def subject_of(certificate: Mapping[str, Any]) -> str:
    """The common name in a certificate as `ssl` gives it, else its first alternative name."""
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    names += [value for _, value in certificate.get("subjectAltName", ())]
    return str(names[0]) if names else "a certificate without a name"


def is_page(method: str, path: str) -> bool:
    """What somebody may ask for who has not signed in yet: the page, and to sign in."""
    return path == SESSION or (method in READING and (path == PAGE[0] or path.startswith(PAGE[1])))


def find(tokens: Sequence[TokenPolicy], given: str) -> TokenPolicy | None:
    """The token that `given` is. Looks at all of them, so that the time tells nothing."""
    found = None
    for token in tokens:
        if hmac.compare_digest(token.token.encode(), given.encode(errors="surrogateescape")):
            found = token
    return found


def _place(origin: str) -> str:
    """Host and port of an Origin field; empty for `null` and for what is no URL."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_name(host: str) -> str:
    """A Host field without its port, and an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return address.is_loopback if address else name == "localhost"
