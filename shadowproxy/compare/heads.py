"""Compares what stands above a body: the status and the header fields.

The case and order of names do not matter; a repeated field is the ordered list of its values. What changes by nature
or belongs to one hop (`model.nature`, and the fields that Connection names, RFC 9110 section 7.6.1) is left out.
"""

from __future__ import annotations

from typing import Final

from shadowproxy.compare.fields import bounded
from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.multipart import without_boundary
from shadowproxy.model.nature import IGNORED_FIELDS
from shadowproxy.model.pair import CapturedResponse, Fields

_CONNECTION: Final = b"connection"
_LENGTH: Final = b"content-length"
_TYPE: Final = b"content-type"
_MULTIPART: Final = b"multipart/"
_ENCODING: Final = b"content-encoding"
_BODILESS_STATUS: Final = 304


def compare_heads(
    method: bytes,
    primary: CapturedResponse,
    shadow: CapturedResponse,
    ignored: frozenset[str],
    found: Findings,
    by_nature: frozenset[bytes] = frozenset(),
) -> None:
    """Adds to `found` how status and header fields differ. `ignored` are the fields that rules of the user name.

    `by_nature` are further fields, in lower case, that are left out.
    """
    if primary.status != shadow.status:
        found.add("status", "status", primary.status, shadow.status, ruled="status" in ignored)
    if primary.fields == shadow.fields:
        return
    length = method == b"HEAD" or primary.status == shadow.status == _BODILESS_STATUS
    if not length and _differ_by_nature(primary.fields, shadow.fields):
        return
    a = grouped(primary.fields, length=length)
    b = grouped(shadow.fields, length=length)
    if found.recorded and _ENCODING not in a:
        b.pop(_ENCODING, None)  # a recording holds bodies decoded
    if a == b:
        return
    for name in dict.fromkeys((*a, *b)):
        x, y = a.get(name, ABSENT), b.get(name, ABSENT)
        if x != y and name not in by_nature and not (name == _TYPE and _differ_in_boundary(x, y)):
            field = f"header:{name.decode('latin-1')}"
            found.add(bounded(field), "header", x, y, ruled=field in ignored)


def _differ_in_boundary(x: object, y: object) -> bool:
    """Whether two multipart types are the same but for the boundary, which is made anew for each body."""
    if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
        return False
    if not all(value.lower().startswith(_MULTIPART) for value in (*x, *y)):
        return False
    bare = [[without_boundary(value.decode("latin-1")) for value in side] for side in (x, y)]
    return bare[0] == bare[1]


def _differ_by_nature(a: Fields, b: Fields) -> bool:
    """Whether it takes one look to see that nothing counts: the same names in the same places, as it mostly is."""
    if len(a) != len(b):
        return False
    for x, y in zip(a, b, strict=True):
        if x != y:
            name = x[0].lower()
            if name not in IGNORED_FIELDS or name != y[0].lower() or name == _CONNECTION:
                return False
    return True


def grouped(fields: Fields, *, length: bool = False) -> dict[bytes, list[bytes]]:
    """Values by name in lower case, without what is ignored by nature; `length` keeps Content-Length."""
    groups: dict[bytes, list[bytes]] = {}
    named: list[bytes] = []
    for name, value in fields:
        name = name.lower()
        if name in IGNORED_FIELDS and not (length and name == _LENGTH):
            if name == _CONNECTION:
                named += value.lower().split(b",")
        elif name in groups:
            groups[name].append(value)
        else:
            groups[name] = [value]
    for option in named:
        groups.pop(option.strip(), None)
    return groups
