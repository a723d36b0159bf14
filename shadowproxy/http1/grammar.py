"""The grammar of HTTP/1.1 heads as compiled patterns: RFC 9110 section 5 and RFC 9112 sections 2 to 5, nothing lenient.

One `fullmatch` over a whole head decides whether every byte of it is legal; it is possessive, hence linear. That
costs less than any parser that calls back per field, and it is the only place where bytes are judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Generic, TypeVar

TOKEN_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
METHOD_LIMIT: Final = 32
"""The longest registered method, UPDATEREDIRECTREF, has 17 letters."""

_TOKEN: Final = b"[%b]" % re.escape(TOKEN_BYTES)
_VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]"  # RFC 9110 section 5.5: VCHAR, obs-text, SP and HTAB
_TARGET: Final = rb"[!-\"$-~]"  # visible ASCII; a fragment is no part of any request target
_FIELD_LINE: Final = rb"%b++:%b*+\r\n" % (_TOKEN, _VALUE)
_REQUEST_LINE: Final = rb"(%b{1,%d}+) (%b++) HTTP/1\.([01])\r\n" % (_TOKEN, METHOD_LIMIT, _TARGET)
_STATUS_LINE: Final = rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (%b*+))?+\r\n" % _VALUE

request_head: Final = re.compile(rb"%b((?:%b)*+)\r\n" % (_REQUEST_LINE, _FIELD_LINE)).fullmatch
"""Groups: method, target, minor version, field lines."""
response_head: Final = re.compile(rb"%b((?:%b)*+)\r\n" % (_STATUS_LINE, _FIELD_LINE)).fullmatch
"""Groups: minor version, status, reason (None without the space before it), field lines."""
request_line: Final = re.compile(_REQUEST_LINE).fullmatch
status_line: Final = re.compile(_STATUS_LINE).fullmatch
other_version: Final = re.compile(rb"%b++ %b++ HTTP/[0-9]\.[0-9]\r\n" % (_TOKEN, _TARGET)).fullmatch
"""A sound request line of a version that is not spoken here."""
field_line: Final = re.compile(_FIELD_LINE).fullmatch
field_line_start: Final = re.compile(rb"(?:%b++(?::%b*+)?+)?+\r?+" % (_TOKEN, _VALUE)).fullmatch
"""What can still become a field line, or the empty line that ends them."""
stray_line_end: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)").search
"""LF without CR before it, CR without LF after it; a CR at the very end may still get its LF."""
token: Final = re.compile(rb"%b++" % _TOKEN).fullmatch
protocols: Final = re.compile(rb"%b++(?:/%b++)?+(?:[ \t]*+,[ \t]*+%b++(?:/%b++)?+)*+" % ((_TOKEN,) * 4)).fullmatch
"""The value of Upgrade: RFC 9110 section 7.8."""

_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
chunk_line: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)((?:[ \t]*+;[ \t]*+%b++(?:[ \t]*=[ \t]*(?:%b++|%b))?+)*+)\r\n" % (_TOKEN, _TOKEN, _QUOTED)
).fullmatch
"""RFC 9112 section 7.1. Groups: size in hexadecimal, extensions. Sixteen digits are as many as 64 bits have."""
chunk_line_start: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,16}+(?:[ \t;][^\r\n]*+)?+)?+\r?+").fullmatch

absolute_form: Final = re.compile(rb"(?i:https?)://([^/?]++)(/[^?]*+)?+(\?.*+)?+").fullmatch
"""Groups: authority, path, query with its question mark."""
_host_port: Final = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]++)\]|(?:[\w\-.~!$&'()*+,;=]|%[0-9A-Fa-f]{2})++)(?::[0-9]{0,5}+)?+"
).fullmatch


def valid_authority(value: bytes) -> bool:
    """Whether `value` is `uri-host [":" port]` with a host (RFC 3986 section 3.2.2); an address with a zone is none."""
    match = _host_port(value)
    if match is None:
        return False
    address: bytes | None = match[1]
    if address is None:
        return True
    try:
        IPv6Address(address.decode())
    except AddressValueError:
        return False
    return True


Result = TypeVar("Result")


class Memo(dict[bytes, Result], Generic[Result]):
    """Remembers a pure function of short byte strings; a peer that never repeats itself only empties it."""

    _ENTRIES = 1024
    _LONGEST = 64

    def __init__(self, function: Callable[[bytes], Result]) -> None:
        self._function = function

    def __missing__(self, key: bytes) -> Result:
        result = self._function(key)
        if len(key) <= self._LONGEST:
            if len(self) >= self._ENTRIES:
                self.clear()
            self[key] = result
        return result


known_authority: Final = Memo(valid_authority)
