"""How long a message is: the rules of RFC 9112 section 6, as decisions over field values.

A message that could be read in two ways is refused, never repaired (RFC 9112 sections 6.1, 6.3 and 11.2).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from shadowproxy.http1.grammar import Memo, token

NO_BODY: Final = 0
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

_MOST: Final = 2**63 - 1
_DIGITS: Final = len(str(_MOST))
_ZERO: Final = 0x30


def content_length(value: bytes) -> int | None:
    """The length that Content-Length announces, below 2**63; None when invalid.

    Several equal ones are one (RFC 9110 section 8.6): `value` holds the field's values joined by commas.
    """
    if value.isdigit() and len(value) <= _DIGITS:
        length = int(value)
        return length if length <= _MOST else None
    members = [member.strip(b" \t") for member in value.split(b",")]
    if not all(member.isdigit() for member in members):
        return None
    digits = members[0].lstrip(b"0") or b"0"
    if len(digits) > _DIGITS or any((member.lstrip(b"0") or b"0") != digits for member in members):
        return None
    length = int(digits)
    return length if length <= _MOST else None


def is_plain(length: bytes) -> bool:
    """Whether a valid Content-Length is one number without leading zeros, as it is to be sent."""
    return length.isdigit() and (length[0] != _ZERO or len(length) == 1)


def transfer_codings(value: bytes) -> list[bytes]:
    """The codings in the order they were applied, lower case; parameters stay with their coding."""
    return [coding.strip(b" \t") for coding in value.lower().split(b",")]


def list_members(value: bytes) -> list[bytes]:
    """The members of a comma-separated list without quoted strings, lower case, empty ones left out."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]


class Connection(NamedTuple):
    """What a value of Connection asks for (RFC 9110 section 7.6.1)."""

    keeps_open: tuple[bool, bool]
    """Whether the sender keeps the connection after this message: of HTTP/1.1, of HTTP/1.0 (RFC 9112 section 9.3)."""
    upgrade: bool
    nominated: frozenset[bytes] | None
    """Fields for this connection alone, lower case, besides those that always are; None when there are none."""


def _read_connection(value: bytes) -> Connection:
    options = frozenset(filter(token, list_members(value)))  # what is no token names no field, and not Host by ":host"
    close = b"close" in options
    return Connection(
        (not close, not close and b"keep-alive" in options), b"upgrade" in options, (options - _ALWAYS_OWN) or None
    )


_ALWAYS_OWN: Final = frozenset(
    {b"close", b"keep-alive", b"upgrade", b"te", b"transfer-encoding", b"proxy-connection", b"connection"}
)

connection: Final = Memo(_read_connection)
"""The meaning of a value of Connection; of an empty one where there is none."""
