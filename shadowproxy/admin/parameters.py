"""What the parameters of the API mean, and fields of its answers: one of a name means the same wherever it is."""

from __future__ import annotations

from typing import Any, Final

from shadowproxy.admin.queries import FORMATS, MAX_DAYS, MAX_LIMIT, MAX_OFFSET, MAX_WORDS
from shadowproxy.control.series import SPANS
from shadowproxy.control.state import CauseQuery
from shadowproxy.model.terms import KINDS, MIRRORED_ARMS
from shadowproxy.report import MOST_EXAMPLES

_WORDS: Final[dict[str, Any]] = {"type": "string", "maxLength": MAX_WORDS}


def _about(description: str, example: str = "", **schema: Any) -> dict[str, Any]:
    found = {"description": description, "schema": schema or {"type": "string"}}
    return {**found, "example": example} if example else found


PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "service": _about("Only this service, by its name; without it all of them.", "shop"),
    "service:any": _about("The service, by its name; may be left out where there is only one.", "shop"),
    "service:one": _about("The service, by its name; may be left out where only one has a rollout.", "shop"),
    "route": _about("Only this route, by its name; one that there is."),
    "flag": _about("Only this flag, by its key."),
    "ticket": _about("From an answer to the evaluation of all flags: it stands for the token."),
    "flagConfigEtag": _about("The `ETag` of an earlier answer."),
    "flagConfigLastModified": _about("As an event gave it."),
    "arm": _about("Only of this arm.", type="string", enum=list(MIRRORED_ARMS)),
    "field": _about("Only with this field, as it is written in rules: `$.price`, `header:etag`, `status`."),
    "kind": _about("Only with this kind of difference.", type="string", enum=list(KINDS)),
    "limit": _about("How many at most.", type="integer", minimum=1, maximum=MAX_LIMIT, default=CauseQuery().limit),
    "offset": _about("How many are left out before.", type="integer", minimum=0, maximum=MAX_OFFSET, default=0),
    "examples": _about(
        "How many examples the report has; of HTML as many as can be.",
        type="integer",
        minimum=0,
        maximum=MOST_EXAMPLES,
        default=0,
    ),
    "attempt": _about("Only of this attempt; without it of all.", type="integer", minimum=1, maximum=MAX_OFFSET),
    "since": _about("What changed in this time; without it since the last recorded report.", "2h"),
    "search": _about("Only what has these words in it, in any case of letters.", **_WORDS),
    "who": _about("Only what this person or program did.", **_WORDS),
    "action": _about("Only actions with this in their name.", **_WORDS),
    "id": _about("Its id; the beginning is enough where no other id begins so.", "ID"),
    "key": _about("The flag's key, whole.", "new-checkout"),
    "span": _about("How far back.", type="string", enum=list(SPANS), default=next(iter(SPANS))),
    "days": _about("How many days from now.", type="integer", minimum=1, maximum=MAX_DAYS, default=28),
    "record": _about(
        "Whether the next report compares with this one.", type="string", enum=["true", "false"], default="false"
    ),
    "format": _about("How the report is written.", type="string", enum=list(FORMATS), default=FORMATS[0]),
    "file": _about("Its name, directories included.", "main.js"),
}

HEADERS: Final[dict[str, dict[str, Any]]] = {
    "If-None-Match": _about("The `ETag` of an earlier answer: 304 where it still holds."),
    "Last-Event-ID": _about("The id of the last event that came: where something changed since, one comes at once."),
    "X-API-Key": _about("A token, where there is no `Authorization`: what OFREP's providers send."),
}
"""Fields of requests."""

FIELDS: Final = {
    "service": "The service, by its name.",
    "route": "The route, by its name.",
    "arm": "`candidate` or `secondary`.",
    "flag": "The flag, by its key.",
    "variant": "The name of the variant.",
    "field": "The field, as rules have it: `$.price`, `header:etag`, `status`.",
    "at": "When that was, Unix time.",
    "who": "A token's name, the subject of a client certificate, `local` or `shadowproxy`.",
    "reason": "Why, in somebody's words.",
    "items": "Those of this page.",
    "total": "How many there are on all pages.",
    "limit": "How many a page has at most.",
    "offset": "How many are left out before this page.",
}
"""What a field means where its type does not say it."""
