"""Header fields that differ between two answers by nature, whatever the version of the service.

They are ignored before anything is compared (contract, meaning 2: such pairs are a `match`), in the worker's
comparison of bytes and in the comparer alike. `check` lists them. Lower case.
"""

from __future__ import annotations

from typing import Final

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"proxy-connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 section 7.6.1, and `Trailer`, which describes a framing that is the next hop's own."""

FRAMING: Final = frozenset({b"content-length"})
"""Compared through the body; for HEAD and 304, which have none, the comparer looks at it."""

CHANGING: Final = frozenset(
    {
        b"date",
        b"age",
        b"via",
        b"x-request-id",
        b"x-correlation-id",
        b"request-id",
        b"x-amzn-requestid",
        b"x-amzn-trace-id",
        b"x-trace-id",
        b"traceparent",
        b"tracestate",
        b"server-timing",
        b"x-runtime",
        b"x-response-time",
        b"x-b3-traceid",
        b"x-b3-spanid",
        b"x-cloud-trace-context",
    }
)

IGNORED_FIELDS: Final = HOP_BY_HOP | FRAMING | CHANGING
