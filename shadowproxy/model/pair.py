"""What the data plane hands to the comparer and what comes back. These cross processes as msgpack arrays.

Header fields are `(name, value)` as they came, in order, hop-by-hop fields included. Times are seconds; `at` is Unix
time of the request's first byte at the proxy.
"""

from __future__ import annotations

from msgspec import Struct

Fields = list[tuple[bytes, bytes]]


class CapturedRequest(Struct, frozen=True, array_like=True):
    """The client's request as it was forwarded to the primary. `body` is whole: partial bodies are never mirrored."""

    method: bytes
    target: bytes
    fields: Fields
    body: bytes = b""


class CapturedResponse(Struct, frozen=True, array_like=True):
    """One arm's final response, body as on the wire without chunk framing. `seconds` from sending to the last byte.

    `truncated` says that the body went past `max_response` and `body` is only its beginning.
    """

    status: int
    fields: Fields
    body: bytes
    seconds: float
    truncated: bool = False


class Second(Struct, frozen=True, array_like=True):
    """A second answer of the primary's version to the same request, asked for at the same time as the candidate's.

    `arm` is `secondary`, whose verdict is wanted too, or `resample`: the primary itself was asked once more.
    """

    arm: str
    response: CapturedResponse


class Pair(Struct, frozen=True, array_like=True, tag="pair"):
    """The primary's exchange and a shadow exchange of the same request; with `second` it is a triple.

    `failure` is a `candidate_*` kind when the arm gave no whole response; then `shadow` may be None or partial.
    `answer` False: a copy for the examples only, already counted by the worker; no Answer is sent.
    `spared` where chance decides about a resample: True, it decided against one; False, for one, which may have come
    to nothing (then there is no `second`). None: it was not for chance to decide.
    """

    id: int
    service: str
    route: str
    arm: str
    request_id: str
    at: float
    request: CapturedRequest
    primary: CapturedResponse
    shadow: CapturedResponse | None
    failure: str | None = None
    answer: bool = True
    second: Second | None = None
    spared: bool | None = None


class Sightings(Struct, frozen=True, array_like=True, tag="sightings"):
    """Which versions answers named since the last such message: `(service, arm, version, answers)`."""

    seen: list[tuple[str, str, str, int]]


class RecordedResponse(Struct, frozen=True, array_like=True):
    """The primary's whole response; `block` are its field lines as they came."""

    status: int
    reason: bytes
    block: bytes
    body: bytes
    seconds: float


class Exchange(Struct, frozen=True, array_like=True, tag="exchange"):
    """One request and the primary's response, to be redacted and written to the service's recording.

    `head` is the request's as the primary got it, `body` is whole and without its framing. `connection` names the
    client's connection. `response` is None when it is not to be recorded, or did not come whole.
    """

    id: int
    service: str
    route: str
    request_id: str
    at: float
    connection: str
    head: bytes
    body: bytes
    response: RecordedResponse | None


FromWorker = Pair | Sightings | Exchange
"""What a worker sends to a comparer."""


class Recorded(Struct, frozen=True, array_like=True, tag="recorded"):
    """What became of an exchange: `reason` is one of `CAPTURE_REASONS`, empty when it was written."""

    id: int
    reason: str = ""


class Answer(Struct, frozen=True, array_like=True, tag="answer"):
    """The comparer's word on one pair. `kinds` are distinct mismatch kinds, empty unless verdict is `mismatch`.

    `second_verdict` and `second_kinds` are those of a triple's second answer against the primary's.
    """

    id: int
    verdict: str
    kinds: tuple[str, ...] = ()
    second_verdict: str = ""
    second_kinds: tuple[str, ...] = ()


FromComparer = Answer | Recorded
"""What a comparer sends to a worker."""


class Difference(Struct, frozen=True):
    """One differing field. `field` is written as in the contract (`$.item.price`, `header:name`, `status`).

    `primary` and `shadow` are short JSON renderings of the two values, redacted, at most 200 characters; None: absent.
    `by_rule` says that a rule of the user ignores this one, `noise` that the primary's own version shows it as well,
    `accepted` that an entry of the accepted differences covers it. `shape` is what the shadow's value looks like
    (`compare.shapes`).
    """

    field: str
    """As it is written in rules: `$.item.price`, `header:name`, `status`."""
    kind: str
    """How it differs."""
    primary: str | None
    """The primary's value as short JSON, redacted, at most 200 characters; None: absent."""
    shadow: str | None
    """The other arm's value in the same form; None: absent."""
    by_rule: bool = False
    """A rule of the user ignores this one."""
    noise: bool = False
    """The primary's own version shows it as well."""
    accepted: bool = False
    """An entry of the accepted differences covers it."""
    shape: str = ""
    """What the other arm's value looks like (`compare.shapes`)."""


class Example(Struct, frozen=True):
    """One stored mismatch, redacted. Bodies are text for people: decoded, at most 64 KiB each.

    `explanation` are sentences made from DeepDiff on the pruned subtrees. `curl` sends the request again.
    """

    id: str
    """Its id."""
    service: str
    route: str
    arm: str
    """The arm that differs: `candidate` or `secondary`."""
    request_id: str
    """The request's `X-Request-Id`."""
    at: float
    """When the request came, Unix time."""
    method: str
    """The request's method."""
    target: str
    """The request's path and query."""
    request_fields: list[tuple[str, str]]
    """The request's header fields, in order."""
    request_body: str
    """The request's body."""
    primary_status: int
    """The primary's status."""
    primary_fields: list[tuple[str, str]]
    """The header fields of the primary's answer."""
    primary_body: str
    """The body of the primary's answer."""
    primary_seconds: float
    """How long the primary took."""
    shadow_status: int | None
    """The other arm's status; None: it gave none."""
    shadow_fields: list[tuple[str, str]]
    """The header fields of the other arm's answer."""
    shadow_body: str
    """The body of the other arm's answer."""
    shadow_seconds: float | None
    """How long the other arm took; None: it gave no whole answer."""
    failure: str | None
    """How the other arm failed (`candidate_*`); None: it gave a whole answer."""
    differences: list[Difference]
    """In what the answers differ."""
    explanation: list[str]
    """The differences in sentences."""
    curl: str
    """The request as a command."""
    cause: str = ""
    """The id of what the mismatch has in common with others (`CauseCount.id`)."""


class FieldCount(Struct, frozen=True, array_like=True):
    """How many pairs since the last aggregate differed in this field in this way. At most once per pair and field."""

    service: str
    route: str
    field: str
    kind: str
    pairs: int


class FieldBits(Struct, frozen=True, array_like=True):
    """Of the triples since the last aggregate: in how many this field differed in this way from the primary.

    Counts: the candidate's answer alone (`candidate`), the second answer alone (`second`), both (`both`). Of pairs
    without a second answer, the candidate's: where chance spared them a resample (`spared`), and where there was to be
    one that came to nothing, or said nothing of this field (`missed`).
    """

    service: str
    route: str
    field: str
    kind: str
    candidate: int = 0
    second: int = 0
    both: int = 0
    spared: int = 0
    missed: int = 0


class FieldShapes(Struct, frozen=True, array_like=True):
    """What a noisy field looks like in answers of the primary's version: how many values had each shape.

    `values` are hashes of the distinct values while they are few, None once they were many.
    """

    service: str
    route: str
    field: str
    shapes: dict[str, int]
    values: dict[int, int] | None


class Hello(Struct, frozen=True, tag="hello"):
    """A comparer has come to control, and wants to know what is known."""


class Learned(Struct, frozen=True, tag="learned"):
    """What control tells a comparer about one service: the noisy fields and those in the list of regressed ones.

    `generation` counts the times that everything learned was forgotten. `shapes` are there when a comparer is new.
    `is_alike` False: the secondary is known to run another version than the primary; its answers excuse nothing.
    """

    service: str
    generation: int
    noisy: list[tuple[str, str, str]]
    regressed: list[tuple[str, str, str]]
    shapes: list[FieldShapes] = []
    is_alike: bool = True


class CauseCount(Struct, frozen=True, array_like=True):
    """How many mismatches since the last aggregate had this in common. Times are Unix times of the requests.

    `id` is a short hash of the rest: the same cause has the same id in every process. `keys` are the sorted (field,
    kind) that stand, without the `left_out` last ones of very many; a failed shadow exchange has none and `failure`
    says how. `mixed`: only the one key is common to all of them, others differ in varying company. Without a key and
    a failure: the mismatches of a route whose causes are too many to be told apart. `shadow_status` None: no answer.
    `example` is the id of the smallest example made for it since then, empty if none was; `size` its bodies' bytes.
    `words` is one sentence; `suggestion` what would settle it, empty: nothing does, None: not enough to say.
    """

    service: str
    route: str
    arm: str
    id: str
    keys: tuple[tuple[str, str], ...]
    primary_status: int
    shadow_status: int | None
    failure: str
    pairs: int
    first_at: float
    last_at: float
    example: str = ""
    size: int = 0
    suggestion: str | None = None
    words: str = ""
    mixed: bool = False
    left_out: int = 0


class AcceptedCount(Struct, frozen=True, array_like=True):
    """How many pairs since the last aggregate differed in a way that an entry of the accepted ones (`id`) covers.

    Without an id: in a way that any of them covers.
    """

    service: str
    id: str
    pairs: int
    last_at: float


class Aggregate(Struct, frozen=True, tag="aggregate"):
    """What a comparer tells control a few times a second: increments since the last one it sent.

    `incomparable` counts pairs by `(service, route, reason)`; `suppressed` counts examples given up by reason.
    """

    fields: list[FieldCount]
    incomparable: list[tuple[str, str, str, int]] = []
    suppressed: dict[str, int] = {}
    bits: list[FieldBits] = []
    causes: list[CauseCount] = []
    accepted: list[AcceptedCount] = []
    versions: list[tuple[str, str, str, int]] = []
    """As in Sightings."""
    shapes: list[FieldShapes] = []
    """What changed of the learned shapes, as it is now."""


class Examples(Struct, frozen=True, tag="examples"):
    items: list[Example]
