"""One catalogue of what can go wrong with an exchange: kind, side, whether to retry, and the status it becomes.

`ExchangeError` carries an entry of the catalogue and a detail for the log; the edge of the proxy maps the entry to
a status exactly once. Statuses follow RFC 9110 section 15 and RFC 9112.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Fault:
    """One way an exchange can fail.

    `side` is `client` or `upstream`; `status` is what the client is told (0: nothing can be told any more);
    `retry` says that a fresh connection may be tried when nothing was received and the request may be repeated;
    `kind` is the mismatch kind that the fault becomes when a mirrored exchange meets it.
    """

    reason: str
    side: str
    status: int
    retry: bool = False
    kind: str = "candidate_error"


class ExchangeError(Exception):
    """A fault met by one exchange, with a detail for people."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault.reason}: {detail}" if detail else fault.reason)
        self.fault = fault
        self.detail = detail


def _client(reason: str, status: int) -> Fault:
    return Fault(reason, "client", status)


# What a client did wrong. The reason is the label of shadowproxy_rejected_requests_total.
REQUEST_LINE: Final = _client("request_line", 400)
HEADER: Final = _client("header", 400)
HOST: Final = _client("host", 400)
FRAMING: Final = _client("framing", 400)
CHUNK: Final = _client("chunk", 400)
TRAILER: Final = _client("trailer", 400)
NO_SERVICE: Final = _client("no_service", 404)
METHOD_REFUSED: Final = _client("method_refused", 405)
HEAD_TIMEOUT: Final = _client("head_timeout", 408)
BODY_TIMEOUT: Final = _client("body_timeout", 408)
LENGTH_REQUIRED: Final = _client("length_required", 411)
BODY_TOO_LARGE: Final = _client("body_too_large", 413)
TARGET_TOO_LONG: Final = _client("target_too_long", 414)
EXPECTATION: Final = _client("expectation", 417)
HEAD_TOO_LARGE: Final = _client("head_too_large", 431)
METHOD_TOO_LONG: Final = _client("method_too_long", 501)
TRANSFER_CODING: Final = _client("transfer_coding", 501)
CONNECTIONS: Final = _client("connections", 503)
VERSION: Final = _client("version", 505)
LOOP: Final = _client("loop", 508)
CLIENT_GONE: Final = _client("client_gone", 0)
PROXY_PROTOCOL: Final = _client("proxy_protocol", 400)
TLS_HANDSHAKE: Final = _client("tls_handshake", 0)


def _upstream(reason: str, status: int, kind: str, retry: bool = False) -> Fault:
    return Fault(reason, "upstream", status, retry, kind)


REFUSED: Final = _upstream("refused", 502, "candidate_refused", retry=True)
UNRESOLVED: Final = _upstream("unresolved", 503, "candidate_refused")
POOL_FULL: Final = _upstream("pool_full", 503, "candidate_error")
UNAVAILABLE: Final = _upstream("unavailable", 503, "candidate_refused")
CONNECT_TIMEOUT: Final = _upstream("connect_timeout", 504, "candidate_timeout", retry=True)
UPSTREAM_TLS: Final = _upstream("tls", 502, "candidate_tls")
RESET: Final = _upstream("reset", 502, "candidate_error", retry=True)
MALFORMED: Final = _upstream("malformed", 502, "candidate_malformed")
TRUNCATED: Final = _upstream("truncated", 502, "candidate_truncated")
FIRST_BYTE_TIMEOUT: Final = _upstream("first_byte_timeout", 504, "candidate_timeout")
IDLE_TIMEOUT: Final = _upstream("idle_timeout", 504, "candidate_timeout")
TOTAL_TIMEOUT: Final = _upstream("total_timeout", 504, "candidate_timeout")

CLIENT_FAULTS: Final = tuple(f for f in list(globals().values()) if isinstance(f, Fault) and f.side == "client")
UPSTREAM_FAULTS: Final = tuple(f for f in list(globals().values()) if isinstance(f, Fault) and f.side == "upstream")
REJECT_REASONS: Final = tuple(f.reason for f in CLIENT_FAULTS + UPSTREAM_FAULTS)
"""Labels of shadowproxy_rejected_requests_total: every answer that the proxy made itself."""
