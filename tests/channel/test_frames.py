"""Frames come out whole, in order and once, however the stream was cut."""

from __future__ import annotations

import pytest

from shadowproxy.channel import MAX_FRAME, FrameError, FrameReader, frame

PAYLOADS = [b"one", b"", b"three" * 20, b"\0\0\0\1", b"x"]
STREAM = b"".join(map(frame, PAYLOADS))


def test_frames_that_come_together_are_all_given_back_at_once() -> None:
    assert FrameReader().feed(STREAM) == PAYLOADS


@pytest.mark.parametrize("first", range(len(STREAM) + 1))
def test_wherever_a_stream_is_cut_the_frames_are_the_same(first: int) -> None:
    reader = FrameReader()
    found = reader.feed(STREAM[:first])
    assert found == PAYLOADS[: len(found)]
    assert found + reader.feed(STREAM[first:]) == PAYLOADS
    assert reader.feed(frame(b"and on")) == [b"and on"]


def test_single_bytes_make_frames_too() -> None:
    reader = FrameReader()
    assert [found for i in range(len(STREAM)) for found in reader.feed(STREAM[i : i + 1])] == PAYLOADS


def test_nothing_is_nothing() -> None:
    reader = FrameReader()
    assert reader.feed(b"") == []
    assert reader.feed(b"\0\0") == []
    assert reader.feed(b"") == []
    assert reader.feed(b"\0\2ab") == [b"ab"]


@pytest.mark.parametrize("before", [b"", frame(b"sound")])
def test_a_frame_that_says_it_is_too_large_ends_the_stream(before: bytes) -> None:
    with pytest.raises(FrameError, match=f"at most {MAX_FRAME}"):
        FrameReader().feed(before + (MAX_FRAME + 1).to_bytes(4, "big"))
    assert FrameReader().feed(before + MAX_FRAME.to_bytes(4, "big")) == ([b"sound"] if before else [])
