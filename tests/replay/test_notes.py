from __future__ import annotations

from collections import Counter

from shadowproxy.replay.notes import describe
from shadowproxy.replay.pacing import Lateness
from shadowproxy.replay.player import Played
from shadowproxy.replay.recording import Recording


def test_a_smooth_replay_has_little_to_say() -> None:
    lateness = Lateness()
    for _ in range(99):
        lateness.add(0.001)
    lateness.add(1.5)
    recording = Recording()
    assert list(describe(Played(100, sent=100), lateness, recording, 20.0, paced=True)) == [
        "100 of 100 recorded requests were sent in 20 s, 5 a second",
        "requests were sent late by 1.5 s at p99, 1.5 s at most",
    ]
    assert len(list(describe(Played(100, sent=100), lateness, recording, 20.0, paced=False))) == 1


def test_everything_that_went_otherwise_is_said() -> None:
    played = Played(
        10,
        sent=6,
        unanswered=Counter(refused=2, reset=1),
        unrecorded=3,
        refused=Counter(host=2, surplus=1),
        unusable=Counter(malformed=1),
        examples=["request 1: host: why"],
        stopped=True,
    )
    recording = Recording()
    recording.notes.append("a.gor: the last record has no end")
    assert list(describe(played, Lateness(), recording, 2.0, paced=False)) == [
        "stopped early: 6 of 10 recorded requests were sent in 2.0 s, 3 a second",
        "not sent: 2 host, 1 surplus; request 1: host: why",
        "3 requests were sent of which no answer is recorded: they could not be compared",
        "recorded answers that could not be used: 1 malformed",
        "the primary gave no whole answer: 2 refused, 1 reset",
        "a.gor: the last record has no end",
    ]


def test_why_requests_were_late_is_said_where_they_were() -> None:
    lateness = Lateness()
    lateness.add(0.05)
    played = Played(9, sent=9, held_up=5)
    assert len(list(describe(played, lateness, Recording(), 1.0, paced=True))) == 2
    lateness.add(2.0)
    assert list(describe(played, lateness, Recording(), 1.0, paced=True))[2] == (
        "5 of them waited until fewer were under way: --concurrency allows more"
    )


def test_nothing_sent_in_no_time() -> None:
    assert list(describe(Played(1), Lateness(), Recording(), 0.0, paced=True)) == [
        "0 of 1 recorded requests were sent in 0 ms"
    ]
