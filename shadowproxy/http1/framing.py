"""How long a message is: the rules of RFC 9112 section 6, as decisions over field values.

A message that could be read in two ways is refused, never repaired (RFC 9112 sections 6.1, 6.3 and 11.2).
"""

from __future__ import annotations

from typing import Final

NO_BODY: Final = 0
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

_MOST: Final = 2**63 - 1
_DIGITS: Final = len(str(_MOST))


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


def transfer_codings(value: bytes) -> list[bytes]:
    """The codings in the order they were applied, lower case; parameters stay with their coding."""
    return [coding.strip(b" \t") for coding in value.lower().split(b",")]


def list_members(value: bytes) -> list[bytes]:
    """The members of a comma-separated list without quoted strings, lower case, empty ones left out."""
    return [member for part in value.lower().split(b",") if (member := part.strip(b" \t"))]


_COMMON: Final = {
    option: frozenset({option.lower()})
    for option in (b"keep-alive", b"Keep-Alive", b"close", b"Close", b"upgrade", b"Upgrade")
}
_NOTHING: Final[frozenset[bytes]] = frozenset()


def connection_options(value: bytes | None) -> frozenset[bytes]:
    """The options that Connection lists, lower case (RFC 9110 section 7.6.1)."""
    if value is None:
        return _NOTHING
    return _COMMON.get(value) or frozenset(list_members(value))


def stays_open(version10: bool, options: frozenset[bytes]) -> bool:
    """Whether the sender keeps the connection after this message (RFC 9112 section 9.3)."""
    return b"close" not in options and (not version10 or b"keep-alive" in options)
