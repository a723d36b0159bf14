"""Rules about feature flags."""

from __future__ import annotations

from typing import Final

from shadowproxy.config import document as doc
from shadowproxy.config.findings import Findings
from shadowproxy.config.flags import Jwt
from shadowproxy.config.problems import Path

_TAKEN: Final = frozenset({"authorization", "cookie", "x-request-id", "traceparent", "content-type", "accept"})
_MIN_SECRET: Final = 32
"""Bytes: RFC 7518 section 3.2 wants as many as the hash has."""


def sections(document: doc.Document, findings: Findings) -> None:
    flags = document.flags
    if flags is None:
        for path in _uses(document):
            findings.wrong(path, "needs a flags section with the file that defines them", at_key=True)
        return
    if flags.header is not None and flags.header.lower() in _TAKEN:
        findings.wrong(("flags", "header"), "is a field that means something else: write one of its own")
    if flags.jwt is not None:
        _jwt(flags.jwt, findings)
    uses_claims = any(source.claim is not None for source in (flags.context or {}).values())
    if flags.jwt is not None and not uses_claims:
        findings.warn(("flags", "jwt"), "no attribute of flags.context is a claim: the token is not looked at")


def _uses(document: doc.Document) -> list[Path]:
    found: list[Path] = []
    for _, path, service in document.named():
        rules: list[tuple[Path, doc.RouteShadow | None, object]] = [(path, service.shadow, service.expose_flags)]
        rules += [
            ((*path, "routes", index), route.shadow, route.expose_flags)
            for index, route in enumerate(service.routes or ())
        ]
        for at, shadow, expose in rules:
            if shadow is not None and shadow.flags:
                found.append((*at, "shadow", "flags"))
            if expose is not None:
                found.append((*at, "expose_flags"))
    return found


def _jwt(section: Jwt, findings: Findings) -> None:
    if section.header is not None and section.cookie is not None:
        findings.wrong(("flags", "jwt", "cookie"), "stands beside header: keep one of the two", at_key=True)
    if section.algorithms is not None and section.key is None:
        findings.wrong(("flags", "jwt", "algorithms"), "needs a key beside it: without one nothing is verified")
    if section.key is None:
        return
    if section.algorithms is None:
        findings.lacks(("flags", "jwt"), "algorithms", "is missing: say which algorithms the key is for")
        return
    if section.algorithms == ():
        findings.wrong(("flags", "jwt", "algorithms"), "is empty, so that no token is accepted: write some")
        return
    is_public = "-----BEGIN" in section.key
    hmac = [each for each in section.algorithms if each.startswith("HS")]
    others = [each for each in section.algorithms if not each.startswith("HS")]
    if hmac and (is_public or others):
        right = "a public key is not a secret: with it anybody could sign by HS…; keep the others"
        findings.wrong(("flags", "jwt", "algorithms"), right)
    elif others and not is_public:
        findings.wrong(("flags", "jwt", "key"), f"is no public key in PEM, which {', '.join(others)} need")
    elif is_public and (why := unusable(section.key)):
        findings.wrong(("flags", "jwt", "key"), why)
    elif hmac and len(section.key.encode()) < _MIN_SECRET:
        findings.warn(("flags", "jwt", "key"), f"is shorter than {_MIN_SECRET} bytes (RFC 7518, 3.2)")


def unusable(key: str) -> str:
    """Why a public key cannot be used; empty: it can."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        load_pem_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm):
        return "is no public key: write one in PEM, from BEGIN PUBLIC KEY to END PUBLIC KEY"
    return ""
