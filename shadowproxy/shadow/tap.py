"""The tap: what the primary path tells the shadow of one request. Synchronous and bounded; nothing here waits.

offer ─► launch (or hold … launch, for a request with a body) ─► take … ─► decide
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import getrandbits

from shadowproxy.http1 import RequestHead
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.shadow.capture import Capture
from shadowproxy.shadow.copy import Copy
from shadowproxy.shadow.mirror import Mirror
from shadowproxy.shadow.recorder import Recorder, Transcript
from shadowproxy.shadow.resampling import Resampler


class Tap(Capture):
    """The primary's response as it passes by, and the copies of its request, which wait for it to be decided.

    `decided` is None while it is under way, True when it came whole, False when it never will; then `failed` says
    that the upstream is to blame. `since` is when the request was whole, 0: at once. `stalled`: the answer had to wait
    for its client, so that its duration says nothing of the upstream.
    """

    __slots__ = ("copies", "decided", "failed", "flags", "since", "stalled", "transcript", "watch")

    def __init__(self, limit: int) -> None:
        Capture.__init__(self, limit)  # cheaper than super(), and this is done for every mirrored request
        self.copies: list[Copy] = []
        self.decided: bool | None = None
        self.failed = False
        self.since = 0.0
        self.stalled = False
        self.flags: tuple[bytes, bytes] | None = None
        """The field that says a request's flags, last of its own ones, and what the candidate's copy has instead."""
        self.transcript: Transcript | None = None
        self.watch: Callable[[Copy], None] | None = None
        """Hears of every copy that has ended, whether or not it was sent."""

    # -- the request

    def launch(self, head: RequestHead, own: bytes, strip: frozenset[bytes], forwarded: bytes) -> None:
        """A request without a body left for the primary as `forwarded`: its copies leave too."""
        for copy in self.copies if len(self.copies) == 1 else self.copies[:]:
            if self.flags is not None and copy.arm.name == CANDIDATE:
                copy.launch(copy.mirror.head_without_body(head, self._shadowed(own), strip, None))
            else:
                copy.launch(copy.mirror.head_without_body(head, own, strip, forwarded))
        if self.transcript is not None:
            self.transcript.launch(forwarded)

    def hold(self, data: bytes) -> None:
        """A piece of the request's body."""
        for copy in self.copies[:]:
            copy.hold(data)
        if self.transcript is not None:
            self.transcript.hold(data)
            if self.transcript.over:
                self.transcript = None

    def launch_with_body(self, head: RequestHead, own: bytes, strip: frozenset[bytes]) -> None:
        """The request's body is whole."""
        for copy in self.copies[:]:
            is_shadowed = self.flags is not None and copy.arm.name == CANDIDATE
            lines = self._shadowed(own) if is_shadowed else own
            copy.launch(copy.mirror.head_with_body(head, lines, strip, len(copy.body)))
        transcript = self.transcript
        if transcript is not None:
            transcript.launch(transcript.recorder.head_with_body(head, own, strip, transcript.size))

    def _shadowed(self, own: bytes) -> bytes:
        """The own fields of a copy that carries other flags than the request."""
        assert self.flags is not None  # noqa: S101 - its callers have looked
        line, instead = self.flags
        return own.removesuffix(line) + instead

    def forsake(self, reason: str) -> None:
        """The primary's exchange is over: copies that were not launched by now never will be."""
        for copy in self.copies[:]:
            copy.forsake(reason)

    # -- the response

    def take(self, data: bytes) -> None:
        """A piece of the primary's body, charged to each copy's arm while it may hold bytes."""
        copies, transcript = self.copies, self.transcript
        if copies:
            arm = copies[0].arm
            room = arm.max_bytes - arm.held if len(copies) == 1 else min([copy.arm.room for copy in copies])
        elif transcript is not None and transcript.recorder.responses:
            room = transcript.recorder.budget.room
        else:
            return
        kept = self.add(data, room)
        for copy in copies:
            copy.charge(kept)
        if transcript is not None:
            transcript.charge(kept)

    def decide(self, whole: bool, seconds: float, failed: bool = False) -> None:
        """The primary's exchange is over."""
        if self.decided is None:
            self.decided = whole
            self.failed = failed
            self.seconds = seconds
            copies, self.copies = self.copies, []
            for copy in copies:
                copy.settle()
            if self.transcript is not None:
                self.transcript.finish(self, whole)
                self.transcript = None

    def leave(self, copy: Copy) -> None:
        """A copy ended before the primary did. Nothing is kept for nobody."""
        if copy in self.copies:
            self.copies.remove(copy)
            if not self.copies and self.transcript is None:
                self.pieces = []
                self.truncated = True


def offer(
    mirrors: Sequence[Mirror],
    resampler: Resampler | None,
    head: RequestHead,
    request_id: bytes,
    at: float,
    h: float,
) -> Tap | None:
    """Copies of one request for every mirror that takes it, None when none does. `h` is its share in [0, 1).

    With `resampler` the candidate is the only mirrored arm, and the primary may be asked once more beside it.
    """
    tap = None
    for mirror in mirrors:
        if head.method in mirror.methods and mirror.admits(head, h):
            if tap is None:
                tap = Tap(mirror.max_response)
            tap.copies.append(Copy(mirror, head, request_id, at, tap))
    if tap is not None and (resampler is not None or len(tap.copies) > 1):
        _pair_up(tap, resampler, head, request_id, at)
    return tap


def transcribe(
    tap: Tap | None, recorder: Recorder, head: RequestHead, request_id: bytes, at: float, h: float, connection: int
) -> Tap | None:
    """The request is recorded as well, if `recorder` takes it: in `tap`, where it has copies, else in one for that."""
    if recorder.admits(head, h):
        if tap is None:
            tap = Tap(recorder.max_response)
        tap.transcript = Transcript(recorder, request_id, at, connection)
    return tap


def hold_out(mirrors: Sequence[Mirror], head: RequestHead) -> None:
    """A request in a slot in which nothing is mirrored (`model.slots`): no mirror samples it."""
    for mirror in mirrors:
        if head.method in mirror.methods:
            mirror.count_sampled_out()


def _pair_up(tap: Tap, resampler: Resampler | None, head: RequestHead, request_id: bytes, at: float) -> None:
    """Make a triple of the candidate's copy and the second answer's, to be sent in random order.

    Whoever comes second finds warm caches: in a fixed order that would weigh on one side of the coin.
    """
    copies = tap.copies
    if resampler is not None and resampler.accompany(copies[0], head):
        copies.append(Copy(resampler, head, request_id, at, tap))
    if len(copies) == 2:
        one, other = copies
        one.partner, other.partner = other, one
        if getrandbits(1):
            copies.reverse()
