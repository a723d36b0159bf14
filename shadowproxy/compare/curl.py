"""A request as a curl command that can be pasted into a shell: quoted, redacted, without what curl adds itself."""

from __future__ import annotations

import shlex
from typing import Final

from shadowproxy.model.nature import FRAMING, HOP_BY_HOP

_LEFT_OUT: Final = frozenset(name.decode() for name in HOP_BY_HOP | FRAMING) | {"host", "expect"}


def curl_command(method: str, target: str, fields: list[tuple[str, str]], body: str, *, binary: bool) -> str:
    """The command. All parts are redacted text; `binary` says that the body is none and has to come from a file.

    `--globoff` and `--path-as-is` keep the target as it is; `%{...}` and `@` have no meaning in `--data-raw`.
    """
    host = next((value for name, value in fields if name.lower() == "host"), "localhost")
    words = ["curl", "-sS", "-i", "--globoff", "--path-as-is"]
    if method == "HEAD":
        words.append("--head")
    elif method != ("POST" if body else "GET"):
        words += ["-X", method]
    url = target if "://" in target else f"http://{host}{target if target.startswith('/') else '/'}"
    if target == "*":
        words += ["--request-target", "*"]
    words.append(url)
    for name, value in fields:
        if name.lower() == "accept-encoding":
            words.append("--compressed")
        if name.lower() not in _LEFT_OUT:
            words += ["-H", f"{name}: {value}" if value else f"{name};"]
    if binary:
        words += ["--data-binary", "@body.bin"]
    elif body:
        words += ["--data-raw", body]
    return " ".join(shlex.quote(_printable(word)) for word in words)


def _printable(word: str) -> str:
    """NUL cannot stand in a command line; what is no text is replaced."""
    return word.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
