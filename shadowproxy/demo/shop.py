"""The demo's service, a shop, in three versions. Pure: an answer is made from request, time and a random source.

Version 2 carries five seeded faults, marked below where they are made; `faults` knows how each shows in a report.
Version 3 has them mended, and may be given one of `LATE_FAULTS` while it serves. From version 2 on there is a feature
behind a flag, `FEATURE`: prices say what express delivery costs.
What differs by nature is here too: `generated_at` and `trace_id` are new in every answer of any version.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

ROUTES: Final = (
    ("catalog", "/catalog"),
    ("item", "/items/{id}"),
    ("user", "/users/{id}"),
    ("recommendations", "/users/{id}/recommendations"),
    ("price", "/prices/{sku}"),
    ("order", "/orders/{id}"),
    ("checkout", "/orders"),
    ("cart", "/carts/{id}/items"),
)
"""Name and path template of every route, as the demo configures them."""

SLOWNESS: Final = 0.08
"""Seconds that version 2 takes longer for recommendations."""

LATE_FAULTS: Final = {
    "errors": "one answer in four is a 500",
    "slow": "every answer takes 250 ms longer",
    "diff": "stock is a string instead of a number",
}
"""What can befall a version while it serves, and how it shows."""
FEATURE: Final = "express-delivery"
"""The flag, as `Feature-Flags` names it."""
FEATURE_FAULT: Final = "feature"
"""A late fault of that feature alone: prices are a 500 for those who have it."""

_LATE_ERRORS: Final = 0.25
_LATE_SLOWNESS: Final = 0.25

_WORDS: Final = ("oak", "linen", "copper", "wool", "glass", "cork", "slate", "cedar", "ivory", "amber", "brass", "felt")
_THINGS: Final = (
    "lamp",
    "chair",
    "kettle",
    "rug",
    "shelf",
    "clock",
    "vase",
    "stool",
    "tray",
    "mirror",
    "basket",
    "bowl",
)
_PATTERNS: Final = tuple(
    (name, re.compile(re.sub(r"\\{\w+\\}", r"(\\d+)", re.escape(template)))) for name, template in ROUTES
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer: `body` is encoded as JSON and sent after `delay` seconds."""

    status: int
    body: dict[str, Any]
    delay: float


def answer(
    version: int, method: str, path: str, now: float, random: Random, fault: str = "", *, has_feature: bool = False
) -> Reply:
    """The reply of a version to a request; `path` without its query, `now` in Unix seconds.

    `fault` is one of LATE_FAULTS or FEATURE_FAULT, or none; `has_feature` whether the request carries FEATURE.
    """
    delay = random.uniform(0.001, 0.004) + (_LATE_SLOWNESS if fault == "slow" else 0.0)
    found = next(((name, match) for name, pattern in _PATTERNS if (match := pattern.fullmatch(path))), None)
    if found is None:
        return Reply(404, {"error": "not found"}, delay)
    name, identity = found[0], int(found[1][1]) if found[1].lastindex else 0
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    noise = {"generated_at": moment, "trace_id": f"{random.getrandbits(64):016x}"}
    if fault == "errors" and random.random() < _LATE_ERRORS:
        return Reply(500, {"error": "too many connections", **noise}, delay)
    if method == "POST":
        return Reply(201, {"accepted": name, "id": random.getrandbits(32), **noise}, delay)
    if name not in _DOCUMENTS and name != "catalog":
        return Reply(405, {"error": "only POST"}, delay)
    if name == "order" and version == 2 and identity % 10 == 7:
        return Reply(500, {"error": "cannot read discounts of null", **noise}, delay)  # fault: a 500 on some ids
    if name == "recommendations":
        delay += SLOWNESS if version == 2 else 0.0  # fault: a slow route
    if name == "catalog":
        return Reply(200, _catalog(), delay)
    document = _DOCUMENTS[name](version, identity)
    if name == "price" and has_feature and version >= 2:
        if fault == FEATURE_FAULT:
            return Reply(500, {"error": "no carrier answers", **noise}, delay)
        document["express_cents"] = 490 + _draw("express", identity, 300)
    if fault == "diff" and name == "item":
        document["stock"] = str(document["stock"])
    return Reply(200, {**document, **noise}, delay)


def _draw(kind: str, identity: int, below: int) -> int:
    """A number that is the same for the same id in both versions and every process."""
    digest = hashlib.blake2b(f"{kind}:{identity}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % below


def _name(identity: int) -> str:
    return f"{_WORDS[_draw('word', identity, len(_WORDS))]} {_THINGS[_draw('thing', identity, len(_THINGS))]}"


def _cents(identity: int) -> int:
    return 500 + _draw("cents", identity, 20_000)


def _catalog() -> dict[str, Any]:
    items = [{"id": i, "name": _name(i), "price": {"cents": _cents(i), "currency": "EUR"}} for i in range(1, 25)]
    return {"items": items, "page": 1, "pages": 42}


def _item(version: int, identity: int) -> dict[str, Any]:
    stock = _draw("stock", identity, 90)
    return {
        "id": identity,
        "name": _name(identity),
        "price": {"cents": _cents(identity), "currency": "EUR"},
        "stock": str(stock) if version == 2 else stock,  # fault: a changed type
        "tags": sorted({_WORDS[_draw(f"tag{n}", identity, len(_WORDS))] for n in range(3)}),
    }


def _user(version: int, identity: int) -> dict[str, Any]:
    contact = {
        "email": f"user{identity}@shop.example",
        "phone": f"+49 30 {100_000 + _draw('phone', identity, 900_000)}",
    }
    if version == 2:
        del contact["phone"]  # fault: a lost field
    return {"id": identity, "name": f"User {identity}", "contact": contact, "member_since": 2010 + identity % 14}


def _recommendations(version: int, identity: int) -> dict[str, Any]:
    ids = [1 + _draw(f"recommend{n}", identity, 400) for n in range(6)]
    return {"user": identity, "items": [{"id": i, "name": _name(i)} for i in ids]}


def _price(version: int, identity: int) -> dict[str, Any]:
    discount = (15, 0, 0, 5, 0, 10, 0, 0)[identity % 8]
    if version == 2 and discount == 15:
        discount = 10  # fault: a changed value in a share of requests
    return {"sku": identity, "list_cents": _cents(identity), "discount_percent": discount, "currency": "EUR"}


def _order(version: int, identity: int) -> dict[str, Any]:
    lines = [
        {"sku": 1 + _draw(f"line{n}", identity, 400), "quantity": 1 + _draw(f"quantity{n}", identity, 3)}
        for n in range(1 + identity % 4)
    ]
    return {"id": identity, "state": ("paid", "packed", "sent", "delivered")[identity % 4], "lines": lines}


_DOCUMENTS: Final = {
    "item": _item,
    "user": _user,
    "recommendations": _recommendations,
    "price": _price,
    "order": _order,
}
