"""The memory for pure functions of short byte strings stays small, whatever a peer sends."""

from __future__ import annotations

from shadowproxy.http1.grammar import Memo


def test_a_result_is_computed_once() -> None:
    asked = []

    def upper(key: bytes) -> bytes:
        asked.append(key)
        return key.upper()

    memo = Memo(upper)
    assert [memo[b"a"], memo[b"b"], memo[b"a"]] == [b"A", b"B", b"A"]
    assert asked == [b"a", b"b"]


def test_it_never_holds_much() -> None:
    memo = Memo(len)
    for i in range(5000):
        assert memo[b"%d" % i] == len(str(i))
        assert memo[b"long" * 100 + b"%d" % i] > 400
        assert len(memo) <= 1024
    assert all(len(key) <= 64 for key in memo)
