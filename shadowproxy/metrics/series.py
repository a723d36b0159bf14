"""Every series that shadowproxy exports, in one table. `exposition` fills them; docs/metrics.md is made from here.

Base units; every label comes from the configuration or from a closed or bounded list. `service` is a configured name,
`route` one as well or a path template of an OpenAPI file or learned, at most 200 of them a service (`other`: requests
that match none), `arm` is primary, candidate or secondary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


@dataclass(frozen=True, slots=True)
class Series:
    """One metric family. `name` is as exposed: a counter's ends in `_total`, a histogram's gets `_bucket` and so on."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


_ROUTE: Final = ("service", "route")
_ARM: Final = ("service", "route", "arm")
_UPSTREAM: Final = ("service", "arm")
_ROLLOUT: Final = ("service", "rollout")

REQUESTS: Final = Series(
    "shadowproxy_requests_total",
    COUNTER,
    "Exchanges by arm and class of the status code; `error` where no response came.",
    (*_ARM, "code"),
)
REQUEST_DURATION: Final = Series(
    "shadowproxy_request_duration_seconds",
    HISTOGRAM,
    "From sending a request to an arm to the last byte of its response.",
    _ARM,
)
REJECTED: Final = Series(
    "shadowproxy_rejected_requests_total", COUNTER, "Answers that the proxy made itself, by reason.", ("reason",)
)
FALLBACKS: Final = Series(
    "shadowproxy_fallbacks_total",
    COUNTER,
    "Users of the candidate that the primary served instead, by reason.",
    (*_ROUTE, "reason"),
)
ELIGIBLE: Final = Series(
    "shadowproxy_shadow_eligible_total",
    COUNTER,
    "Requests that could be mirrored to the arm: eligible = sampled_out + dropped + sent.",
    _ARM,
)
SAMPLED_OUT: Final = Series(
    "shadowproxy_shadow_sampled_out_total",
    COUNTER,
    "Eligible requests that the sample left out, or that were held out.",
    _ARM,
)
SENT: Final = Series(
    "shadowproxy_shadow_sent_total", COUNTER, "Copies sent to the arm: sent = compared + lost + in flight.", _ARM
)
DROPPED: Final = Series(
    "shadowproxy_shadow_dropped_total",
    COUNTER,
    "Copies given up before they were sent, by reason.",
    (*_ARM, "reason"),
)
LOST: Final = Series(
    "shadowproxy_shadow_lost_total",
    COUNTER,
    "Copies sent that got no verdict for a reason of the proxy's or the primary's.",
    (*_ARM, "reason"),
)
IN_FLIGHT: Final = Series(
    "shadowproxy_shadow_in_flight", GAUGE, "Copies sent that have neither a verdict nor a loss yet.", _ARM
)
COMPARISONS: Final = Series(
    "shadowproxy_comparisons_total",
    COUNTER,
    "Compared pairs by verdict: match, mismatch, noise, ignored, incomparable.",
    (*_ARM, "verdict"),
)
MISMATCHES: Final = Series(
    "shadowproxy_mismatches_total",
    COUNTER,
    "Pairs in which the candidate differs, by kind; a pair counts once under each of its kinds.",
    (*_ROUTE, "kind"),
)
FIELD_MISMATCHES: Final = Series(
    "shadowproxy_field_mismatches_total",
    COUNTER,
    "Pairs that differ in a field; the most frequent fields of a service by name, the rest as `other`.",
    (*_ROUTE, "field", "kind"),
)
INCOMPARABLE: Final = Series(
    "shadowproxy_incomparable_pairs_total",
    COUNTER,
    "Pairs that could not be compared, by the limit that they hit.",
    (*_ROUTE, "reason"),
)
LATENCY_DELTA: Final = Series(
    "shadowproxy_latency_delta_seconds",
    HISTOGRAM,
    "Duration at the candidate minus duration at the primary of the same request; the sum may fall.",
    _ROUTE,
)
PAIRED_OUTCOMES: Final = Series(
    "shadowproxy_paired_outcomes_total",
    COUNTER,
    "Settled pairs by who failed (5xx, or no whole answer by the shadow's deadline): neither, shadow_only, both, "
    "primary_only.",
    (*_ARM, "outcome"),
)
PAIRED_DURATIONS: Final = Series(
    "shadowproxy_paired_durations_total",
    COUNTER,
    "Pairs in which neither failed and whose durations were weighed as evidence of a slower candidate.",
    _ROUTE,
)
PAIRED_SPLITS: Final = Series(
    "shadowproxy_paired_splits_total",
    COUNTER,
    "Of these, pairs with one duration above the pooled quantile and one not, by the slow side: candidate, reference.",
    (*_ROUTE, "percentile", "slow"),
)
CAPTURED: Final = Series(
    "shadowproxy_captured_total", COUNTER, "Exchanges that were written to the service's recording.", ("service",)
)
CAPTURE_DROPPED: Final = Series(
    "shadowproxy_capture_dropped_total",
    COUNTER,
    "Exchanges that should have been recorded and were not, by reason; `max_response`: the response alone was not.",
    ("service", "reason"),
)
ISOLATION_DELTA: Final = Series(
    "shadowproxy_isolation_delta_seconds",
    GAUGE,
    "What mirroring adds to a percentile (p50, p95, p99) of the primary's latency, from slots in which nothing is "
    "mirrored; bound: lower, estimate, upper. Absent until enough is known.",
    ("service", "percentile", "bound"),
)
ISOLATION_SLOTS: Final = Series(
    "shadowproxy_isolation_slots_total",
    COUNTER,
    "Slots without mirroring whose latency was compared; begins anew when the service's policy changes.",
    ("service",),
)
TEMPLATES: Final = Series(
    "shadowproxy_templates",
    GAUGE,
    "Routes of a service that nobody configured, by where they come from: openapi, learned.",
    ("service", "origin"),
)
UPSTREAM_CONNECTIONS: Final = Series(
    "shadowproxy_upstream_connections",
    GAUGE,
    "Connections to an arm over all workers, by state: active, idle, connecting.",
    (*_UPSTREAM, "state"),
)
UPSTREAM_HEALTHY: Final = Series(
    "shadowproxy_upstream_healthy",
    GAUGE,
    "URLs of an arm in rotation, as seen by the worker that sees fewest.",
    _UPSTREAM,
)
UPSTREAM_URLS: Final = Series("shadowproxy_upstream_urls", GAUGE, "URLs configured for an arm.", _UPSTREAM)
BREAKER_OPEN: Final = Series(
    "shadowproxy_breaker_open",
    GAUGE,
    "1 while a worker rests an arm that failed too often.",
    _UPSTREAM,
)
CLIENT_CONNECTIONS: Final = Series("shadowproxy_client_connections", GAUGE, "Open client connections.")
ACCEPTED: Final = Series("shadowproxy_client_connections_accepted_total", COUNTER, "Client connections accepted.")
TUNNELS: Final = Series("shadowproxy_tunnels_total", COUNTER, "Connections upgraded to a tunnel; never mirrored.")
TUNNELS_OPEN: Final = Series("shadowproxy_tunnels_open", GAUGE, "Tunnels open now.")
COPIES_RECEIVED: Final = Series(
    "shadowproxy_copies_received_total",
    COUNTER,
    "Requests that were copies of another shadowproxy: served, not mirrored again.",
)
HELD: Final = Series("shadowproxy_held_bytes", GAUGE, "Memory held for copies and captured responses.")
LOOP_LAG: Final = Series("shadowproxy_loop_lag_seconds", GAUGE, "How late a worker's last tick came; the worst worker.")
OVERLOADED: Final = Series("shadowproxy_overloaded_workers", GAUGE, "Workers that shed mirroring at the moment.")
WORKERS_READY: Final = Series("shadowproxy_ready_workers", GAUGE, "Workers whose heart beat in the last 5 seconds.")
LOG_DROPPED: Final = Series("shadowproxy_access_log_dropped_total", COUNTER, "Access log lines given up.")
SECOND_ANSWERS: Final = Series(
    "shadowproxy_second_answers_total",
    COUNTER,
    "Requests that the candidate and, at the same time, the primary's own version answered once more.",
    _ROUTE,
)
RESAMPLES: Final = Series(
    "shadowproxy_resamples_total",
    COUNTER,
    "Requests of which the primary was asked once more, by what became of it: sent = compared + wasted.",
    (*_ROUTE, "result"),
)
REGRESSED_FIELDS: Final = Series(
    "shadowproxy_regressed_fields",
    GAUGE,
    "Fields in the list of regressed ones, at the stated false discovery rate.",
    ("service",),
)
NOISY_FIELDS: Final = Series(
    "shadowproxy_noisy_fields", GAUGE, "Fields that differ in the primary's own version as well.", ("service",)
)
ACCEPTED_PAIRS: Final = Series(
    "shadowproxy_accepted_pairs_total",
    COUNTER,
    "Pairs of which an entry of the accepted differences covered something.",
    ("service",),
)
ACCEPTED_ENTRIES: Final = Series(
    "shadowproxy_accepted_entries",
    GAUGE,
    "Entries of the accepted differences by state: active, expired, dead.",
    ("service", "state"),
)
ROLLOUT_WEIGHT: Final = Series(
    "shadowproxy_rollout_weight_ratio", GAUGE, "Share of the users that the candidate is to serve.", _ROLLOUT
)
ROLLOUT_FLAG: Final = Series(
    "shadowproxy_rollout_flag_ratio",
    GAUGE,
    "Share of the users who get a flag's variant from the rollout.",
    (*_ROLLOUT, "flag"),
)
ROLLOUT_PHASE: Final = Series(
    "shadowproxy_rollout_phase",
    GAUGE,
    "1 for the phase that the rollout is in, 0 for the others: pending, running, promoted, rolled_back, aborted.",
    (*_ROLLOUT, "phase"),
)
ROLLOUT_STAGE: Final = Series(
    "shadowproxy_rollout_stage", GAUGE, "Number of the present stage in the plan, from 1; 0 before the start.", _ROLLOUT
)
FLAG_EVALUATIONS: Final = Series(
    "shadowproxy_flag_evaluations_total",
    COUNTER,
    "Evaluations of flags, for requests and over OFREP. `variant` is empty where the caller's default applies; flags "
    "beyond 2,000 series are counted as `other`.",
    ("flag", "variant", "reason"),
)
FLAGS_VERSION: Final = Series("shadowproxy_flags_version", GAUGE, "Version of the flags in force; it only rises.")
FLAGS_LOADED: Final = Series(
    "shadowproxy_flags_last_load_successful", GAUGE, "1 if the flags file as it is now could be used, 0 otherwise."
)
ROLLOUT_HOLD: Final = Series(
    "shadowproxy_rollout_hold",
    GAUGE,
    "1 while the rollout does not advance for this reason, 0 otherwise; there is one for every reason.",
    (*_ROLLOUT, "reason"),
)
ROLLOUT_STEP: Final = Series(
    "shadowproxy_rollout_step_seconds",
    GAUGE,
    "Time since the present stage, or the present weight of it, was entered, holds included.",
    _ROLLOUT,
)
ROLLOUT_BAKE: Final = Series(
    "shadowproxy_rollout_bake_ratio",
    GAUGE,
    "How much of its bake the present stage or weight has behind it, by what is asked for: time, requests.",
    (*_ROLLOUT, "dimension"),
)
ROLLOUT_UNSETTLED: Final = Series(
    "shadowproxy_rollout_promotion_unsettled",
    GAUGE,
    "1 while the rollout is promoted and the configuration's primary is still the version before.",
    _ROLLOUT,
)
ROLLOUT_OVERRIDDEN: Final = Series(
    "shadowproxy_rollout_freeze_overridden",
    GAUGE,
    "1 while freezes do not hold the rollout because somebody has overridden them.",
    _ROLLOUT,
)
ANALYSIS_EVIDENCE: Final = Series(
    "shadowproxy_analysis_evidence",
    GAUGE,
    "Evidence of harm over the threshold of the check, as the logarithm to base 10: -1 is a tenth of what fails it, "
    "from 0 on it fails.",
    (*_ROLLOUT, "check"),
)
EXAMPLES_SKIPPED: Final = Series(
    "shadowproxy_examples_skipped_total", COUNTER, "Failed copies, counted, whose example the worker did not offer."
)
EXAMPLES_SUPPRESSED: Final = Series(
    "shadowproxy_examples_suppressed_total", COUNTER, "Examples that a comparer did not make, by reason.", ("reason",)
)
STORE_EXAMPLES: Final = Series("shadowproxy_store_examples", GAUGE, "Examples kept in the store.")
STORE_BYTES: Final = Series("shadowproxy_store_bytes", GAUGE, "Size of the examples kept in the store.")
STORE_AVAILABLE: Final = Series("shadowproxy_store_available", GAUGE, "1 while the store can be written.")
STORE_DROPPED: Final = Series(
    "shadowproxy_store_dropped_total",
    COUNTER,
    "Examples that the store gave up: its queue was full, or it could not be written.",
    ("reason",),
)
STORE_EVICTED: Final = Series(
    "shadowproxy_store_evicted_total", COUNTER, "Examples removed to stay within the store's bounds."
)
RELOADS: Final = Series(
    "shadowproxy_config_reloads_total", COUNTER, "Configuration reloads by result: success, failure.", ("result",)
)
LAST_RELOAD_OK: Final = Series(
    "shadowproxy_config_last_reload_successful", GAUGE, "1 if the last reload (or the start) took the configuration."
)
LAST_RELOAD_AT: Final = Series(
    "shadowproxy_config_last_reload_timestamp_seconds", GAUGE, "Unix time of the last reload (or of the start)."
)
BUILD_INFO: Final = Series("shadowproxy_build_info", GAUGE, "Always 1; the label carries the version.", ("version",))
START_TIME: Final = Series("shadowproxy_start_time_seconds", GAUGE, "Unix time at which the supervisor started.")
RESTARTS: Final = Series(
    "shadowproxy_process_restarts_total", COUNTER, "Processes started again after they died, by role.", ("role",)
)

SERIES: Final = tuple(value for value in list(globals().values()) if isinstance(value, Series))
"""Every series, in the order of this file."""


def reference() -> str:
    """docs/metrics.md: the table of all series as Markdown."""
    lines = [
        "# Metrics",
        "",
        "Generated from `shadowproxy/metrics/series.py` by `python -m shadowproxy.metrics.series`; do not edit.",
        "",
        "Served on `/metrics` of the admin listener and, where configured, of the `metrics` listener. Base units.",
        "`service` is a configured name. `route` is one as well, or a path template ([endpoints.md](endpoints.md)), or",
        "`other` for requests that match none.",
        "",
        "| series | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for series in SERIES:
        labels = ", ".join(series.labels) or "none"
        lines.append(f"| `{series.name}` | {series.kind} | {labels} | {series.help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(reference())
