"""The closed lists of words: arms, verdicts, kinds and reasons.

Every label that reaches a metric, the API or a report comes from one of these tuples. Their order is part of the
shared-memory layout (`metrics.layout`), so entries are only ever appended.
"""

from __future__ import annotations

from typing import Final

PRIMARY: Final = "primary"
CANDIDATE: Final = "candidate"
SECONDARY: Final = "secondary"
ARMS: Final = (PRIMARY, CANDIDATE, SECONDARY)
MIRRORED_ARMS: Final = (CANDIDATE, SECONDARY)

VERDICTS: Final = ("match", "mismatch", "noise", "ignored", "incomparable")

BODY_SHAPE: Final = "body_shape"
"""A value that looks like none of the primary's version, in a field that always differs."""
BODY_NULL: Final = "body_null"
"""Null where the primary has a value, in a field that is null now and then: it is null more often."""

KINDS: Final = (
    "status",
    "header",
    "body_value",
    "body_type",
    "body_missing",
    "body_extra",
    "body_order",
    "body_size",
    "body_bytes",
    BODY_SHAPE,
    BODY_NULL,
    "candidate_error",
    "candidate_timeout",
    "candidate_refused",
    "candidate_truncated",
    "candidate_malformed",
    "candidate_tls",
)

DROP_REASONS: Final = (
    "max_body",
    "in_flight",
    "bytes",
    "age",
    "breaker",
    "overload",
    "request_incomplete",
    "shutdown",
)

LOSS_REASONS: Final = (
    "channel_full",
    "comparer_gone",
    "worker_gone",
    "primary_incomplete",
    "stale_connection",
    "shutdown",
)

RESAMPLE_RESULTS: Final = ("sent", "compared", "wasted", "dropped")
"""Of questions that were put to the primary once more: `wasted` could not be compared, `dropped` were never sent."""

CAPTURE_REASONS: Final = (
    "busy",
    "max_body",
    "bytes",
    "request_incomplete",
    "comparer_gone",
    "shutdown",
    "redaction",
    "separator",
    "max_file",
    "unwritable",
    "max_response",
)
"""Why an exchange was not recorded. `max_response` alone means its response: the request was."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "QUERY", "REPORT", "SEARCH", "TRACE"})
"""Those that the registry of RFC 9110, section 16.1, calls safe. Every other one may write."""
WRITE_METHODS: Final = ("POST", "PUT", "PATCH", "DELETE")
"""What `shadow.writes: allow` adds, besides the methods that a route is about."""

CODES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "error")

OUTCOMES: Final = ("neither", "shadow_only", "primary_only", "both")
"""Which exchanges of a pair failed. The index has bit 0 for the mirrored arm and bit 1 for the primary."""

QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

FALLBACK_REASONS: Final = ("refused", "timeout", "breaker", "lease_expired", "error")

OTHER: Final = "other"
"""The route of every request that matches neither a configured route nor a template."""

CONFIGURED: Final = "configured"
OPENAPI: Final = "openapi"
LEARNED: Final = "learned"
"""Where a route comes from. The last two are named by their path template."""
