"""When the candidate serves no users any more, and when it does again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from shadowproxy.proxy.serving import FAILURES, SILENCE, Serving
from shadowproxy.upstream.deadlines import TICK


def made() -> Any:
    """A candidate, and the arm of its copies, which a test may let wait and be answered."""
    copies: Any = SimpleNamespace(origin=None, answers=0, waiting=[])
    copies.silent_since = lambda moment: sum(since <= moment for since in copies.waiting)
    serving: Any = Serving(copies)
    return serving, copies


class Request:
    """Goes to the primary when told, unless it cannot be repeated."""

    def __init__(self, serving: Serving, repeatable: bool = True) -> None:
        self.serving = serving
        self.repeatable = repeatable
        self.told: list[float] = []
        self.now = 0.0

    def on_silence(self) -> None:
        self.told.append(self.now)
        if self.repeatable:
            self.serving.forget(self)


def waiting(serving: Serving, number: int, now: float, repeatable: bool = True) -> list[Request]:
    requests = [Request(serving, repeatable) for _ in range(number)]
    for request in requests:
        serving.asked(request, now)
    return requests


def listen(serving: Serving, since: float, until: float) -> None:
    """Tick as a worker does that is there all the time."""
    for tick in range(round((until - since) / TICK) + 1):
        serving.tick(since + tick * TICK)


def told(requests: list[Request]) -> int:
    return sum(bool(request.told) for request in requests)


def test_failures_in_a_row_rest_it_and_one_request_a_second_that_can_be_repeated_asks_again() -> None:
    serving, _ = made()
    for request in waiting(serving, FAILURES, 0.0):
        assert serving.admits(False, 0.0)
        serving.failed(request, 0.0)
    assert not serving.admits(True, 0.5)
    assert not serving.admits(False, 1.5)
    assert serving.admits(True, 1.5)
    assert not serving.admits(True, 1.6)
    (probe,) = waiting(serving, 1, 1.5)
    serving.answered(probe, 1.7)
    assert serving.admits(False, 1.8)
    assert not serving.is_awaited


def test_an_answer_in_between_ends_the_row() -> None:
    serving, _ = made()
    for _ in range(3):
        for request in waiting(serving, FAILURES - 1, 0.0):
            serving.failed(request, 0.0)
        (good,) = waiting(serving, 1, 0.0)
        serving.answered(good, 0.0)
    assert serving.admits(False, 0.0)


def test_a_silence_through_which_enough_requests_wait_moves_them_all() -> None:
    serving, _ = made()
    listen(serving, 5.0, 10.0)
    requests = waiting(serving, FAILURES, 10.0)
    listen(serving, 10.0, 10.0 + SILENCE - 0.1)
    assert not told(requests)
    late = waiting(serving, 1, 10.0 + SILENCE - 0.1)
    listen(serving, 10.0 + SILENCE, 10.1 + SILENCE)
    assert told(requests + late) == FAILURES + 1
    assert not serving.admits(False, 10.1 + SILENCE)


def test_a_few_slow_answers_are_no_silence() -> None:
    serving, _ = made()
    requests = waiting(serving, FAILURES - 1, 10.0)
    listen(serving, 10.0, 30.0)
    requests += waiting(serving, FAILURES, 30.0)  # a burst after a pause
    listen(serving, 30.0, 30.0 + SILENCE / 2)
    assert not told(requests)


def test_a_sign_of_life_ends_a_silence() -> None:
    serving, _ = made()
    requests = waiting(serving, FAILURES + 1, 10.0)
    listen(serving, 9.0, 10.9)
    serving.answered(requests[0], 10.9)
    listen(serving, 10.9, 11.5)
    assert not told(requests)
    listen(serving, 11.5, 14.0)
    assert told(requests) == FAILURES


def test_where_answers_take_long_by_nature_patience_is_longer() -> None:
    serving, _ = made()
    serving.learn(20.0)  # the primary's, say
    requests = waiting(serving, FAILURES, 10.0)
    listen(serving, 9.0, 49.0)
    assert not told(requests)
    listen(serving, 49.0, 51.0)
    assert told(requests) == FAILURES


def test_while_it_rests_each_probe_waits_for_a_silence_of_its_own() -> None:
    serving, _ = made()
    serving.breaker.trip(10.0)
    (probe,) = waiting(serving, 1, 11.0)
    listen(serving, 10.0, 11.9)
    assert not probe.told
    listen(serving, 11.9, 12.1)
    assert probe.told


def test_what_cannot_be_repeated_goes_on_waiting_and_its_answer_counts() -> None:
    serving, _ = made()
    requests = waiting(serving, FAILURES, 10.0, repeatable=False)
    listen(serving, 9.0, 11.1)
    assert serving.breaker.open
    assert serving.is_awaited
    serving.answered(requests[0], 12.0)
    assert not serving.breaker.open


def test_a_worker_that_was_not_there_itself_heard_no_silence() -> None:
    serving, _ = made()
    listen(serving, 9.0, 10.0)
    requests = waiting(serving, FAILURES, 10.0)
    listen(serving, 15.0, 15.9)
    assert not told(requests)
    listen(serving, 15.9, 16.2)
    assert told(requests) == FAILURES


def test_without_the_primary_nobody_is_moved_to_it_but_one_a_second_to_see() -> None:
    serving, _ = made()
    serving.breaker.trip(10.0)
    serving.refuge.failed(10.0)
    requests = waiting(serving, FAILURES, 10.0)
    listen(serving, 10.0, 20.0)
    assert not told(requests)
    assert not serving.admits(False, 20.0)  # this one looks after the primary
    assert serving.admits(False, 20.1)
    assert not serving.has_refuge(20.2)
    serving.refuge.succeeded()
    assert not serving.admits(False, 20.3)


def test_copies_that_wait_make_a_silence_too_and_their_answers_end_it() -> None:
    serving, copies = made()
    listen(serving, 9.0, 10.0)
    copies.waiting = [10.0] * (FAILURES - 1)
    (user,) = waiting(serving, 1, 10.0)
    copies.answers += 1
    listen(serving, 10.5, 11.4)
    assert not user.told
    listen(serving, 11.4, 11.6)
    assert user.told
    assert serving.breaker.open


def test_copies_alone_rest_nobody() -> None:
    serving, copies = made()
    copies.waiting = [10.0] * FAILURES
    listen(serving, 10.0, 20.0)
    assert not serving.breaker.open
