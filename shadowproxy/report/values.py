"""What a report says: plain, frozen, the same in every rendering. Durations are seconds, shares 0..1."""

from __future__ import annotations

from msgspec import Struct

from shadowproxy.model.pair import Example
from shadowproxy.model.totals import Interval, Isolation


class Quantiles(Struct, frozen=True):
    count: int
    p50: float
    p95: float
    p99: float


class Books(Struct, frozen=True):
    """One mirrored arm: eligible = sampled_out + dropped + sent, and sent = compared + lost + in_flight.

    `unaccounted` is what each line lacks: 0 at rest, at most one per worker in motion.
    """

    eligible: int
    sampled_out: int
    dropped: dict[str, int]
    sent: int
    compared: int
    lost: dict[str, int]
    in_flight: int
    unaccounted: tuple[int, int]


class Shown(Struct, frozen=True):
    """One stored example: both values, and the request as a command. `id` is for `shadowproxy diffs show`."""

    id: str
    primary: str | None
    candidate: str | None
    curl: str


class FieldReport(Struct, frozen=True):
    """A field in which `pairs` pairs differ; `share` of the pairs that could be compared.

    Without a field: the candidate gave no whole response, in the way that `kind` (`candidate_*`) says.
    """

    field: str
    kind: str
    pairs: int
    share: float
    example: Shown | None


class FieldEvidence(Struct, frozen=True):
    """What is known of one field and kind against the noise: the paired bits and what follows from them.

    Of the triples: `candidate_only`, `second_only` and `both` differed from the primary's answer; `spared` of the pairs
    that were not resampled by chance; in `missed` the candidate's did, and the second answer said nothing of the field.
    `state` is `regressed` (in the list at the stated false discovery rate), `noise` (as much with the primary's own
    version), `open` (not enough to say) or `differs` (second answers mostly say nothing). `evidence` is log10 of the
    e-value, `needed` log10 of what the list asks for; `more` is about how many more pairs decide it, None: no telling.
    `since` is when it entered the list.
    """

    field: str
    kind: str
    candidate_only: int
    second_only: int
    both: int
    spared: int
    state: str
    evidence: float
    needed: float
    more: int | None
    first_at: float
    last_at: float
    since: float | None
    example: Shown | None = None
    missed: int = 0


class PairedLatency(Struct, frozen=True):
    """The candidate's duration less the primary's, of the same request, seconds, at `pairs` pairs.

    `quantiles` by name (p50, p95, p99). `baseline` is the same of the secondary, `calibrated` the candidate's less it.
    `evidence` and `needed` are log10 of the e-value of "slower" and of its threshold; `why` says it in words.
    """

    pairs: int
    quantiles: dict[str, Interval]
    baseline: dict[str, Interval]
    calibrated: dict[str, Interval]
    evidence: float
    needed: float
    slower: bool
    why: str
    more: int | None = None


class PairedErrors(Struct, frozen=True):
    """How often which of the two failed the same request: 5xx, or no whole answer by the shadow's deadline.

    `evidence` as above, of "the candidate fails more often". `primary_worse`: the primary does, as surely; that takes
    nothing off the evidence. `secondary` is the secondary's table by the names of `model.terms.OUTCOMES`;
    `secondary_worse`: it fails more often than the primary, so copies may fail for a reason of their own.
    """

    neither: int
    candidate_only: int
    primary_only: int
    both: int
    evidence: float
    needed: float
    regressed: bool
    more: int | None = None
    primary_worse: bool = False
    secondary: dict[str, int] = {}
    secondary_worse: bool = False


class Cause(Struct, frozen=True):
    """Mismatches that have the same in common. `share` of the service's pairs that could be compared.

    `keys` are (field, kind), without `left_out` more; none where the shadow exchange failed as `failure` says, which
    has no statuses (0, None) either. `mixed`: only the one key is common to all, others differ in varying company.
    Neither keys nor a failure: causes of a route that are too many to be told apart. `before` counts the pairs of
    earlier instances. `words` is one sentence, `suggestion` lines of configuration that would settle it, empty without
    one; `example` the smallest one. Times are None where only the workers' counts tell of it.
    """

    id: str
    route: str
    keys: list[tuple[str, str]]
    primary_status: int
    shadow_status: int | None
    failure: str
    pairs: int
    share: float
    first_at: float | None
    last_at: float | None
    words: str
    suggestion: str
    example: Shown | None
    service: str = ""
    mixed: bool = False
    left_out: int = 0
    before: int = 0


class Accepted(Struct, frozen=True):
    """An entry of the accepted differences. `state`: `active`, `expired`, or `dead` (nothing has matched it).

    `expires` is a date (the last day, UTC) or a time, empty: never; `pairs` is how many it covered, over restarts.
    """

    id: str
    route: str
    field: str
    kind: str
    shape: str
    owner: str
    reason: str
    expires: str
    state: str
    pairs: int
    last_at: float | None


class RouteReport(Struct, frozen=True):
    """One route. Dictionaries are by arm first; counts of zero are left out, except of verdicts."""

    name: str
    requests: int
    """The primary's exchanges: what users asked."""
    codes: dict[str, dict[str, int]]
    books: dict[str, Books]
    verdicts: dict[str, dict[str, int]]
    kinds: dict[str, int]
    failures: list[FieldReport]
    fields: list[FieldReport]
    """The most frequent, largest first."""
    incomparable: dict[str, int]
    latency: dict[str, Quantiles]
    delta: Quantiles | None
    """Candidate minus primary, of the same request."""
    slower: bool
    slower_why: str
    mismatches: int
    """Pairs of the candidate that differ, without the excused."""
    second_answers: int = 0
    """Triples: requests that the primary's version answered twice, at the same time as the candidate."""
    evidence: list[FieldEvidence] = []
    """The regressed first, then by evidence."""
    paired: PairedLatency | None = None
    errors: PairedErrors | None = None
    excused: int = 0
    """Pairs that count as mismatches in `verdicts` and `kinds`, and whose differences somebody has accepted since."""
    earlier: int = 0
    """Pairs of the candidate that were compared with an earlier version of an arm: they are in the books alone."""


class Knowledge(Struct, frozen=True):
    """Where a service's knowledge of noise comes from. `source` is `secondary`, `resample` or empty: none.

    `answers` are second answers so far, `fdr` the stated false discovery rate of the list of regressed fields, `since`
    the Unix time when this evidence began (a new version begins a new one), `versions` what each arm is known to run.
    `untracked` differences found no place in the table any more. `beside` are versions that arms answered as lately,
    besides the one in force. `is_alike` False: the secondary runs another version than the primary, so that its answers
    say nothing.
    """

    source: str
    answers: int
    enough: int
    fdr: float
    since: float
    versions: dict[str, str]
    regressed: int
    noisy: int
    untracked: int = 0
    beside: dict[str, list[str]] = {}
    is_alike: bool = True


class Failed(Struct, frozen=True):
    """What `--fail-on` asked for and found: the word, the route (empty: the service), and what it is."""

    word: str
    route: str
    says: str


class Change(Struct, frozen=True):
    """One thing that is not as it was. `direction` is `worse`, `better` or `other`; `route` empty: the service.

    `about` is `verdict`, `field`, `cause`, `errors`, `latency`, `failures`, `accepted`, `version`, `configuration` or
    `restart`.
    """

    direction: str
    about: str
    route: str
    says: str


class Changes(Struct, frozen=True):
    """What is not as it was in the report made at `since`, Unix time; the verdicts then and now.

    `pairs` were compared since; `restarted`: since a restart, with which counts began anew.
    """

    since: float
    before: str
    after: str
    pairs: int
    restarted: bool
    items: list[Change]
    left_out: int = 0


class ServiceReport(Struct, frozen=True):
    """`verdict` is `pass`, `fail` or `inconclusive`; `exit_code` 0, 1 or 3; `compared` without the incomparable.

    `isolation` None: nothing is held out.
    """

    name: str
    upstreams: dict[str, list[str]]
    requests: int
    compared: int
    mismatches: int
    routes: list[RouteReport]
    verdict: str
    exit_code: int
    conclusion: str
    knowledge: Knowledge | None = None
    causes: list[Cause] = []
    """By impact: the most pairs first."""
    causes_left_out: int = 0
    accepted: list[Accepted] = []
    failed: list[Failed] = []
    """Empty without `fail_on`."""
    isolation: Isolation | None = None
    changes: Changes | None = None
    """None: there is no earlier report to compare with."""
    covered: int = 0
    """Pairs since this start of which an accepted difference covered something: one also where several entries did."""


class Report(Struct, frozen=True):
    """`generated_at` and `started_at` are Unix times. `notes` say what is missing and why."""

    version: str
    epoch: str
    policy: int
    """The policy's sequence number."""
    started_at: float
    generated_at: float
    services: list[ServiceReport]
    verdict: str
    exit_code: int
    conclusion: str
    notes: list[str] = []
    fail_on: list[str] = []
    """The words by which this was judged; empty: by the report's own rule."""
    examples: list[Example] = []
    """Those of the causes, whole, where they were asked for."""
