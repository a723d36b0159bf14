"""Which field names mean something to the proxy, and how the lines of one head are sorted by them.

Lines stay the bytes that came: what is forwarded is the kept lines joined, and names and values are only taken apart
where somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from shadowproxy.http1.grammar import Memo, field_line, token

HOST: Final = b":host"
LENGTH: Final = b":length"
"""Host and Content-Length belong to the message itself. Under these names no rule and no Connection option, both of
which are tokens, can name them."""

PLAIN: Final = 0
READ: Final = 1
HOP: Final = 2
"""What becomes of a line: passed on; read and passed on; read and never passed on (RFC 9110 section 7.6.1)."""

_HOP_BY_HOP: Final = {
    name: (name, HOP)
    for name in (b"connection", b"proxy-connection", b"keep-alive", b"te", b"transfer-encoding", b"upgrade")
}
_REQUEST: Final = _HOP_BY_HOP | {
    b"host": (HOST, READ),
    b"content-length": (LENGTH, READ),
    **{
        name: (name, READ)
        for name in (b"expect", b"max-forwards", b"via", b"x-forwarded-for", b"x-request-id", b"x-shadow-request")
    },
}
_RESPONSE: Final = _HOP_BY_HOP | {b"content-length": (LENGTH, READ)}

NameTable: TypeAlias = Memo[tuple[bytes, int]]


def _name_table(special: dict[bytes, tuple[bytes, int]]) -> NameTable:
    def classify(name: bytes) -> tuple[bytes, int]:
        lower = name.lower()
        return special.get(lower) or (lower, PLAIN)

    return Memo(classify)


REQUEST_NAMES: Final = _name_table(_REQUEST)
RESPONSE_NAMES: Final = _name_table(_RESPONSE)

Sorted: TypeAlias = tuple[list[bytes], list[bytes], dict[bytes, bytes]]


def sort_lines(lines: list[bytes], table: NameTable) -> Sorted:
    """The lines to pass on, their names in lower case, and the values of the fields that are read.

    Values of a repeated field are joined by ", " (RFC 9110 section 5.3).
    """
    kept: list[bytes] = []
    names: list[bytes] = []
    read: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        lower, kind = table[name]
        if kind:
            value = value.strip(b" \t\r\n")
            read[lower] = value if lower not in read else read[lower] + b", " + value
            if kind == HOP:
                continue
        kept.append(line)
        names.append(lower)
    return kept, names, read


def without(kept: list[bytes], names: list[bytes], removed: AbstractSet[bytes]) -> tuple[list[bytes], list[bytes]]:
    """`kept` and `names` without the fields in `removed`."""
    left = [i for i, name in enumerate(names) if name not in removed]
    return [kept[i] for i in left], [names[i] for i in left]


def settle_length(kept: list[bytes], names: list[bytes], length: int) -> tuple[list[bytes], list[bytes]]:
    """The one Content-Length line in plain decimal, where the first one stood, under the name as it came."""
    first = names.index(LENGTH)
    line = b"%b: %d\r\n" % (kept[first].partition(b":")[0], length)
    rest_kept, rest_names = without(kept[first + 1 :], names[first + 1 :], frozenset({LENGTH}))
    return [*kept[:first], line, *rest_kept], [*names[: first + 1], *rest_names]


def pairs(block: bytes) -> list[tuple[bytes, bytes]]:
    """Names in their own case and values without the whitespace around them, in order, from sound field lines."""
    fields: list[tuple[bytes, bytes]] = []
    for line in block.splitlines():
        name, _, value = line.partition(b":")
        fields.append((name, value.strip(b" \t")))
    return fields


def explain(block: bytes) -> str:
    """What is wrong with the first unsound field line of `block`. Values are not repeated."""
    lines = block.split(b"\n")
    number, line = next((i, line) for i, line in enumerate(lines, 1) if not field_line(line + b"\n"))
    name, colon, _ = line.partition(b":")
    if line[:1] in (b" ", b"\t"):
        problem = "starts with whitespace (line folding is obsolete)"
    elif not colon:
        problem = "has no colon"
    elif not token(name):
        problem = f"has the name {name[:64]!r}, which is not a token"
    else:
        problem = f"{name[:64].decode()!r} has a control character in its value"
    return f"field line {number} {problem}"
