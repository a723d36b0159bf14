"""Whether certificates, keys and authorities can be used, asked of the TLS library itself before anything starts."""

from __future__ import annotations

import ssl
from pathlib import Path as FilePath
from typing import NamedTuple


class IdentityProblem(NamedTuple):
    """What the TLS library refuses; `in_ca` says that it is the file of authorities."""

    in_ca: bool
    message: str


def unreadable(path: FilePath) -> str | None:
    """Why a file cannot be read, with what would be right; None when it can."""
    try:
        if not path.exists():
            return "there is no such file: write a path that is relative to this one, or absolute"
        if not path.is_file():
            return "this is no regular file: name a PEM file"
        with path.open("rb"):
            return None
    except OSError as error:
        return f"the file cannot be read ({error.strerror}): let this user read it"


def identity_problem(pair: tuple[FilePath, FilePath] | None, ca: FilePath | None) -> IdentityProblem | None:
    """What is wrong with a certificate and its key, or with a file of authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if pair is not None:
            context.load_cert_chain(pair[0], pair[1], password=_no_passphrase)
    except _PassphraseError:
        return IdentityProblem(False, "its key asks for a passphrase: write a key without one")
    except (OSError, ValueError) as error:
        why = "they do not belong together" if "mismatch" in str(error).lower() else "not PEM, or damaged"
        return IdentityProblem(False, f"certificate and key cannot be used ({why}): write a PEM chain and its own key")
    try:
        if ca is not None:
            context.load_verify_locations(ca)
    except (OSError, ValueError):
        return IdentityProblem(True, "holds no usable certificate: write a PEM file of authorities")
    return None


class _PassphraseError(Exception):
    """The key needs a passphrase that nobody is there to type."""


def _no_passphrase() -> str:
    raise _PassphraseError
