"""What a report says: plain, frozen, the same in every rendering. Durations are seconds, shares 0..1."""

from __future__ import annotations

from msgspec import Struct

from shadowproxy.model.pair import Example
from shadowproxy.model.totals import Interval, Isolation


class Quantiles(Struct, frozen=True):
    """Durations, seconds."""

    count: int
    """Of how many."""
    p50: float
    """Half of them are shorter."""
    p95: float
    """95 % of them are shorter."""
    p99: float
    """99 % of them are shorter."""


class Books(Struct, frozen=True):
    """One mirrored arm: eligible = sampled_out + dropped + sent, and sent = compared + lost + in_flight."""

    eligible: int
    """Requests that may be mirrored."""
    sampled_out: int
    """Not mirrored by chance, as `sample` says."""
    dropped: dict[str, int]
    """Copies given up before they were sent, by reason."""
    sent: int
    """Copies sent."""
    compared: int
    """Pairs compared."""
    lost: dict[str, int]
    """Copies sent and not compared, by reason."""
    in_flight: int
    """Copies whose end is awaited."""
    unaccounted: tuple[int, int]
    """What each line lacks: 0 at rest, at most one per worker in motion."""


class Shown(Struct, frozen=True):
    """One stored example: both values, and the request as a command."""

    id: str
    """For `shadowproxy diffs show`."""
    primary: str | None
    """The primary's value as short JSON; None: absent."""
    candidate: str | None
    """The candidate's value as short JSON; None: absent."""
    curl: str
    """The request as a command."""


class FieldReport(Struct, frozen=True):
    """A field in which pairs differ, or a way in which the candidate gave no whole response."""

    field: str
    """As it is written in rules; empty where the candidate gave no whole response."""
    kind: str
    """How it differs, or how the candidate failed (`candidate_*`)."""
    pairs: int
    """How many pairs."""
    share: float
    """Of the pairs that could be compared."""
    example: Shown | None
    """One of them; None: none is kept."""


class FieldEvidence(Struct, frozen=True):
    """What is known of one field and kind against the noise: the paired bits and what follows from them."""

    field: str
    kind: str
    """How it differs."""
    candidate_only: int
    """Triples in which only the candidate's answer differs from the primary's."""
    second_only: int
    """Triples in which only the second answer does."""
    both: int
    """Triples in which both do."""
    spared: int
    """Pairs in which it differs that were not resampled by chance."""
    state: str
    """`regressed`: in the list at the stated false discovery rate; `noise`; `open`: not enough to say; `differs`."""
    evidence: float
    """log10 of the e-value."""
    needed: float
    """log10 of what the list asks for."""
    more: int | None
    """About how many more pairs decide it; None: no telling."""
    first_at: float
    """When it was first seen, Unix time."""
    last_at: float
    """When it was last seen, Unix time."""
    since: float | None
    """When it entered the list, Unix time; None: it is not in it."""
    example: Shown | None = None
    """One of them; None: none is kept."""
    missed: int = 0
    """Pairs in which it differs and the second answer says nothing of the field."""


class PairedLatency(Struct, frozen=True):
    """The candidate's duration less the primary's, of the same request, seconds."""

    pairs: int
    """How many pairs."""
    quantiles: dict[str, Interval]
    """By name: p50, p95, p99."""
    baseline: dict[str, Interval]
    """The same of the secondary."""
    calibrated: dict[str, Interval]
    """The candidate's less the secondary's."""
    evidence: float
    """log10 of the e-value of "slower"."""
    needed: float
    """log10 of its threshold."""
    slower: bool
    """Whether the candidate is slower."""
    why: str
    """The same in words."""
    more: int | None = None
    """About how many more pairs decide it; None: no telling."""


class PairedErrors(Struct, frozen=True):
    """How often which of the two failed the same request: 5xx, or no whole answer by the shadow's deadline."""

    neither: int
    """Pairs in which neither failed."""
    candidate_only: int
    """Pairs in which only the candidate failed."""
    primary_only: int
    """Pairs in which only the primary failed."""
    both: int
    """Pairs in which both failed."""
    evidence: float
    """log10 of the e-value of "the candidate fails more often"."""
    needed: float
    """log10 of its threshold."""
    regressed: bool
    """Whether the candidate fails more often."""
    more: int | None = None
    """About how many more pairs decide it; None: no telling."""
    primary_worse: bool = False
    """The primary fails more often, as surely; that takes nothing off the evidence."""
    secondary: dict[str, int] = {}
    """The secondary's table, by the names of `model.terms.OUTCOMES`."""
    secondary_worse: bool = False
    """The secondary fails more often than the primary: copies may fail for a reason of their own."""


class Cause(Struct, frozen=True):
    """Mismatches that have the same in common."""

    id: str
    """Begins with `c-`."""
    route: str
    keys: list[tuple[str, str]]
    """Pairs of field and kind; none where the shadow exchange failed, or where causes are too many to be told apart."""
    primary_status: int
    """The primary's status; 0 where the shadow exchange failed."""
    shadow_status: int | None
    """The candidate's status; None where the shadow exchange failed."""
    failure: str
    """How the shadow exchange failed (`candidate_*`); empty: it did not."""
    pairs: int
    """Pairs of this instance."""
    share: float
    """Of the service's pairs that could be compared."""
    first_at: float | None
    """When it was first seen, Unix time; None: only the workers' counts tell of it."""
    last_at: float | None
    """When it was last seen, Unix time; None: only the workers' counts tell of it."""
    words: str
    """One sentence."""
    suggestion: str
    """Lines of configuration that would settle it; empty: there are none."""
    example: Shown | None
    """The smallest one; None: none is kept."""
    service: str = ""
    mixed: bool = False
    """Only the one key is common to all, others differ in varying company."""
    left_out: int = 0
    """Keys that are not listed."""
    before: int = 0
    """Pairs of earlier instances."""


class Accepted(Struct, frozen=True):
    """An entry of the accepted differences."""

    id: str
    """Its id, made from what it covers."""
    route: str
    """The route, by its name; `*`: all."""
    field: str
    kind: str
    """The kind of difference."""
    shape: str
    """What the candidate's value has to look like; empty: anything."""
    owner: str
    """Who answers for it."""
    reason: str
    expires: str
    """The last day (UTC) or a time; empty: never."""
    state: str
    """`active`, `expired`, or `dead`: nothing has matched it."""
    pairs: int
    """How many it covered, over restarts."""
    last_at: float | None
    """When it last covered one, Unix time; None: never."""


class RouteReport(Struct, frozen=True):
    """One route. Counts of zero are left out, except of verdicts."""

    name: str
    """Its name in the configuration, or its template."""
    requests: int
    """The primary's exchanges: what users asked."""
    codes: dict[str, dict[str, int]]
    """Answers by arm and class of status: `2xx`, `5xx`, `error`."""
    books: dict[str, Books]
    """What became of copies, by arm."""
    verdicts: dict[str, dict[str, int]]
    """Compared pairs by arm and verdict."""
    kinds: dict[str, int]
    """Mismatches of the candidate by kind; one pair may count under several."""
    failures: list[FieldReport]
    """How the candidate gave no whole response."""
    fields: list[FieldReport]
    """The most frequent, largest first."""
    incomparable: dict[str, int]
    """Pairs of the candidate that could not be compared, by reason."""
    latency: dict[str, Quantiles]
    """Durations by arm."""
    delta: Quantiles | None
    """Candidate minus primary, of the same request."""
    slower: bool
    """Whether the candidate is slower."""
    slower_why: str
    """The same in words."""
    mismatches: int
    """Pairs of the candidate that differ, without the excused."""
    second_answers: int = 0
    """Triples: requests that the primary's version answered twice, at the same time as the candidate."""
    evidence: list[FieldEvidence] = []
    """The regressed first, then by evidence."""
    paired: PairedLatency | None = None
    """Who was slow on the same requests; None: nothing to say."""
    errors: PairedErrors | None = None
    """Who failed on the same requests; None: nothing to say."""
    excused: int = 0
    """Pairs that count as mismatches in `verdicts` and `kinds`, and whose differences somebody has accepted since."""
    earlier: int = 0
    """Pairs of the candidate that were compared with an earlier version of an arm: they are in the books alone."""


class Knowledge(Struct, frozen=True):
    """Where a service's knowledge of noise comes from."""

    source: str
    """`secondary`, `resample`, or empty: none."""
    answers: int
    """Second answers so far."""
    enough: int
    """Second answers that it takes."""
    fdr: float
    """The stated false discovery rate of the list of regressed fields."""
    since: float
    """When this evidence began, Unix time: a new version begins a new one."""
    versions: dict[str, str]
    """What each arm is known to run."""
    regressed: int
    """Fields that regressed."""
    noisy: int
    """Fields that are noise."""
    untracked: int = 0
    """Differences that found no place in the table any more."""
    beside: dict[str, list[str]] = {}
    """Versions that arms answered as lately, besides the one in force."""
    is_alike: bool = True
    """False: the secondary runs another version than the primary, so that its answers say nothing."""


class Failed(Struct, frozen=True):
    """What `--fail-on` asked for and found."""

    word: str
    """The word."""
    route: str
    """The route; empty: the service."""
    says: str
    """What it is."""


class Change(Struct, frozen=True):
    """One thing that is not as it was."""

    direction: str
    """`worse`, `better` or `other`."""
    about: str
    """One of verdict, field, cause, errors, latency, failures, accepted, version, configuration, restart."""
    route: str
    """The route; empty: the service."""
    says: str
    """What it is."""


class Changes(Struct, frozen=True):
    """What is not as it was in an earlier report."""

    since: float
    """When that was made, Unix time."""
    before: str
    """The verdict then."""
    after: str
    """The verdict now."""
    pairs: int
    """Pairs compared since."""
    restarted: bool
    """Whether there was a restart since, with which counts began anew."""
    items: list[Change]
    """What is not as it was."""
    left_out: int = 0
    """Changes that are not listed."""


class ServiceReport(Struct, frozen=True):
    """One service."""

    name: str
    """Its name in the configuration."""
    upstreams: dict[str, list[str]]
    """The URLs of each arm."""
    requests: int
    """Requests of users that were answered."""
    compared: int
    """Pairs of the candidate that were compared, without the incomparable."""
    mismatches: int
    """Of these, those that differ, without the excused."""
    routes: list[RouteReport]
    """Its routes."""
    verdict: str
    """`pass`, `fail` or `inconclusive`."""
    exit_code: int
    """0, 1 or 3, as the command ends."""
    conclusion: str
    """The verdict in a sentence."""
    knowledge: Knowledge | None = None
    """What is known of noise; None: no second answers are asked for."""
    causes: list[Cause] = []
    """By impact: the most pairs first."""
    causes_left_out: int = 0
    """Causes that are not listed."""
    accepted: list[Accepted] = []
    """The accepted differences, with what each covered."""
    failed: list[Failed] = []
    """Empty without `fail_on`."""
    isolation: Isolation | None = None
    """What mirroring adds to latency; None: nothing is held out."""
    changes: Changes | None = None
    """None: there is no earlier report to compare with."""
    covered: int = 0
    """Pairs since this start of which an accepted difference covered something: one also where several entries did."""


class Report(Struct, frozen=True):
    """What differs, what follows, and what changed."""

    version: str
    """Of shadowproxy."""
    epoch: str
    """The id of this start: it is another one after a restart."""
    policy: int
    """The policy's sequence number."""
    started_at: float
    """Unix time."""
    generated_at: float
    """Unix time."""
    services: list[ServiceReport]
    """The services, in the order of the configuration."""
    verdict: str
    """The worst of the services': `pass`, `fail` or `inconclusive`."""
    exit_code: int
    """0, 1 or 3, as the command ends."""
    conclusion: str
    """The verdict in a sentence."""
    notes: list[str] = []
    """What is missing, and why."""
    fail_on: list[str] = []
    """The words by which this was judged; empty: by the report's own rule."""
    examples: list[Example] = []
    """Those of the causes, whole, where they were asked for."""
