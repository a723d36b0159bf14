"""Recording of what clients asked and the primary answered: what is taken, within which bounds, and the counts of it.

A transcript follows an exchange as a copy does, but nothing is sent: at the end the comparer gets it, redacts it and
writes it to a file. Whatever stands in the way costs the transcript, and is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shadowproxy.http1 import RequestHead, forward_request
from shadowproxy.metrics import layout as at
from shadowproxy.model.pair import Exchange, RecordedResponse
from shadowproxy.model.policy import CapturePolicy, RoutePolicy, ServicePolicy
from shadowproxy.model.sampling import is_sampled

if TYPE_CHECKING:
    from shadowproxy.shadow.capture import Capture
    from shadowproxy.shadow.link import Link

_EXPECT: Final = frozenset({b"expect"})


class Budget:
    """Bytes held for the transcripts of one service."""

    __slots__ = ("held", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held = 0

    @property
    def room(self) -> int:
        return self.max_bytes - self.held


class Recorder:
    """Decides for one route what is recorded. `mark` begins the names of this worker's client connections."""

    def __init__(
        self,
        service: ServicePolicy,
        capture: CapturePolicy,
        route: RoutePolicy,
        budget: Budget,
        counters: memoryview,
        link: Link,
        mark: str,
    ) -> None:
        self.service = service.name
        self.route = route.name
        self.budget = budget
        self.link = link
        self.mark = mark
        self.sample = capture.sample
        self.responses = capture.responses
        self.max_body = route.shadow.max_body
        self.max_response = route.shadow.max_response
        self._methods = None if capture.methods is None else frozenset(name.encode() for name in capture.methods)
        self._counters = counters
        self._row = at.service_row(service.index)

    def admits(self, head: RequestHead, h: float) -> bool:
        """Is a request recorded? Where it should be and cannot, that is counted. `h`: its share in [0, 1)."""
        if not is_sampled(h, self.sample) or (self._methods is not None and head.method not in self._methods):
            return False
        if head.framing > self.max_body:
            self.count_dropped("max_body")
        elif not self.link.can_record:
            self.count_dropped("busy" if self.link.is_connected else "comparer_gone")
        elif max(head.framing, 0) > self.budget.room:
            self.count_dropped("bytes")
        else:
            return True
        return False

    def head_with_body(self, head: RequestHead, own: bytes, strip: frozenset[bytes], size: int) -> bytes:
        """The head as the primary got it, but that the body is whole."""
        return forward_request(head, own, strip | _EXPECT, size)

    def count_written(self) -> None:
        self._counters[self._row + at.CAPTURED] += 1

    def count_dropped(self, reason: str) -> None:
        self._counters[self._row + at.CAPTURE_INDEX[reason]] += 1


class Transcript:
    """One exchange on its way to a recording. `over`: it was given up, or handed over."""

    __slots__ = ("_body", "_charged", "_head", "at", "connection", "over", "recorder", "request_id")

    def __init__(self, recorder: Recorder, request_id: bytes, at: float, connection: int) -> None:
        self.recorder = recorder
        self.request_id = request_id
        self.at = at
        self.connection = connection
        self.over = False
        self._head = b""
        self._body: bytearray | None = None
        self._charged = 0

    def hold(self, data: bytes) -> None:
        """A piece of the client's body."""
        recorder = self.recorder
        if self._body is None:
            self._body = bytearray()
        if len(self._body) + len(data) > recorder.max_body:
            self._drop("max_body")
        elif len(data) > recorder.budget.room:
            self._drop("bytes")
        else:
            self._body += data
            self.charge(len(data))

    @property
    def size(self) -> int:
        """Of the body."""
        return len(self._body or b"")

    def launch(self, head: bytes) -> None:
        """The request is whole."""
        self._head = head

    def charge(self, size: int) -> None:
        """Count bytes that are held for this transcript."""
        self._charged += size
        self.recorder.budget.held += size

    def finish(self, primary: Capture, whole: bool) -> None:
        """The primary's exchange is over: hand the transcript to the comparer."""
        if self.over:
            return
        if not self._head:
            self._drop("request_incomplete")
            return
        recorder = self.recorder
        link = recorder.link
        exchange = Exchange(
            link.next_id(),
            recorder.service,
            recorder.route,
            self.request_id.decode("latin-1"),
            self.at,
            f"{recorder.mark}{self.connection:x}",
            self._head,
            bytes(self._body or b""),
            self._response(primary) if whole and recorder.responses else None,
        )
        self._release()
        link.record(recorder, exchange)

    def _response(self, primary: Capture) -> RecordedResponse | None:
        head = primary.head
        if head is None:
            return None
        if primary.truncated:
            self.recorder.count_dropped("max_response")
            return None
        return RecordedResponse(head.status, head.reason, head.block, primary.body(), primary.seconds)

    def _drop(self, reason: str) -> None:
        self.recorder.count_dropped(reason)
        self._release()

    def _release(self) -> None:
        self.over = True
        self.recorder.budget.held -= self._charged
        self._charged = 0
        self._body = None
