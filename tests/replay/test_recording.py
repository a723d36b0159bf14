"""Files of recorded traffic become one list of requests in the order of their times."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.capture import ANSWER, REPLAYED, REQUEST, Record, encode_record
from shadowproxy.replay import recording as module
from shadowproxy.replay.recording import Recording, RecordingError

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "compare_and_capture.json"


def text(*records: Record) -> bytes:
    written = [encode_record(record) for record in records]
    assert None not in written
    return b"".join(each for each in written if each)


def request(at: int, what: str = "", identity: str | None = None, connection: str = "") -> Record:
    return Record(REQUEST, identity or f"r{at}", at, f"GET /{what or at}".encode(), connection=connection)


def answer(at: int, what: str = "", identity: str | None = None, latency: int = 5) -> Record:
    return Record(ANSWER, identity or f"r{at}", at, f"ANSWER {what or at}".encode(), latency)


def write(path: Path, *records: Record) -> str:
    path.write_bytes(text(*records))
    return str(path)


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every recording of a test is closed after it."""
    made: list[Recording] = []
    plain = Recording.__init__

    def remember(recording: Recording) -> None:
        plain(recording)
        made.append(recording)

    monkeypatch.setattr(Recording, "__init__", remember)
    yield
    for recording in made:
        recording.close()


def targets(recording: Recording) -> list[str]:
    return [recording.request(entry).decode() for entry in recording.entries]


def vectors(group: str) -> list[Any]:
    cases = json.loads(VECTORS.read_text())["vectors"] if VECTORS.is_file() else []
    return [pytest.param(case, id=case["id"]) for case in cases if case["group"] == group]


@pytest.mark.skipif(not VECTORS.is_file(), reason=f"no outside cases at {VECTORS}")
@pytest.mark.parametrize("case", vectors("gor.order"))
def test_files_are_merged_as_goreplay_merges_them(case: dict[str, Any], tmp_path: Path) -> None:
    names = []
    for number, content in enumerate(case["input"]["files"]):
        names.append(str(tmp_path / f"{number}.gor"))
        Path(names[-1]).write_text(content)
    recording = Recording.read(names)
    order = []
    for entry in recording.entries:
        order.append(recording.request(entry).decode())
        said = recording.answer(entry)
        if said is not None:
            order.append(said.decode())
    expected = case["expected"]
    assert order == expected.get("order", expected.get("payload_order"))
    if "ts_order" in expected:
        assert [entry.at for entry in recording.entries] == expected["ts_order"]


def test_requests_are_ordered_by_their_times_and_equal_times_as_they_were_read(tmp_path: Path) -> None:
    one = write(tmp_path / "1.gor", request(5, "e"), request(1, "a"), request(3, "x"))
    two = write(tmp_path / "2.gor", request(3, "y"), request(2, "b"))
    assert targets(Recording.read([one, two])) == ["GET /a", "GET /b", "GET /x", "GET /y", "GET /e"]


def test_an_answer_finds_its_request_whichever_file_it_stands_in(tmp_path: Path) -> None:
    newer = write(tmp_path / "a.gor", answer(1, latency=9), request(2), answer(2))
    older = write(tmp_path / "a.1.gor", request(1))
    recording = Recording.read([newer, older])
    first, second = recording.entries
    assert (recording.answer(first), first.latency) == (b"ANSWER 1", 9)
    assert recording.answer(second) == b"ANSWER 2"
    assert recording.answered == 2


def test_a_repeated_id_belongs_to_the_newest_request(tmp_path: Path) -> None:
    records = [request(1, identity="x"), answer(1, "one", "x"), request(2, identity="x"), answer(2, "two", "x")]
    recording = Recording.read([write(tmp_path / "a.gor", *records)])
    assert [recording.answer(entry) for entry in recording.entries] == [b"ANSWER one", b"ANSWER two"]


def test_answers_to_replays_and_answers_to_nothing_are_left_out(tmp_path: Path) -> None:
    records = [request(1), Record(REPLAYED, "r1", 1, b"ANSWER"), answer(7)]
    recording = Recording.read([write(tmp_path / "a.gor", *records)])
    assert recording.answer(recording.entries[0]) is None
    assert recording.answered == 0
    assert recording.notes == ["1 recorded answers belong to no request and were left out"]


def test_the_methods_that_occur_are_known(tmp_path: Path) -> None:
    posted = Record(REQUEST, "p", 2, b"POST / HTTP/1.1\r\n\r\n")
    odd = Record(REQUEST, "o", 3, b"\xff" * 40)
    assert Recording.read([write(tmp_path / "a.gor", request(1), posted, odd)]).methods == {"GET", "POST"}


def test_a_pattern_stands_for_its_files_and_a_file_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "a.gor", request(2))
    write(tmp_path / "a.1.gor", request(1))
    (tmp_path / "again.gor").symlink_to(tmp_path / "a.gor")
    names = [str(tmp_path / "a*.gor"), str(tmp_path / "a.gor"), str(tmp_path / "again.gor")]
    assert targets(Recording.read(names)) == ["GET /1", "GET /2"]


def test_a_name_with_the_characters_of_a_pattern_is_a_name_where_it_exists(tmp_path: Path) -> None:
    assert targets(Recording.read([write(tmp_path / "a[1].gor", request(1))])) == ["GET /1"]


def test_the_span_is_that_of_the_requests(tmp_path: Path) -> None:
    recording = Recording.read([write(tmp_path / "a.gor", request(10**9), request(4 * 10**9), answer(9 * 10**9))])
    assert recording.seconds == 3.0


@pytest.mark.parametrize("cut", [0, 1], ids=["whole", "cut off"])
def test_gzip_is_unpacked_and_may_break_off(tmp_path: Path, cut: int) -> None:
    two = gzip.compress(text(request(1))) + gzip.compress(text(request(2)) * 2 + text(request(3)))
    path = tmp_path / "a.gor.gz"
    path.write_bytes(two[: len(two) - 20 * cut])
    recording = Recording.read([str(path)])
    assert targets(recording)[:1] == ["GET /1"]
    assert (len(recording.entries) == 4) == (not cut)


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(text(*(request(i) for i in range(400)))))
    packed[60:80] = b"\xff" * 20
    path = tmp_path / "a.gz"
    path.write_bytes(packed)
    with pytest.raises(RecordingError, match=r"a\.gz: damaged gzip data"):
        Recording.read([str(path)])


def test_what_unpacks_beyond_a_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNPACKED", 1000)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(text(request(1)) * 100))
    with pytest.raises(RecordingError, match=r"a\.gz: more than 1,000 bytes once unpacked"):
        Recording.read([str(path)])


def test_a_pipe_is_read_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[text(request(2), request(1))])
    writer.start()
    recording = Recording.read([str(path)])
    writer.join()
    assert targets(recording) == ["GET /1", "GET /2"]


def har(*urls: str) -> bytes:
    entries = [
        {
            "startedDateTime": f"2026-11-23T15:00:0{9 - number}Z",
            "request": {"method": "GET", "url": url, "httpVersion": "HTTP/1.1"},
            "response": {"status": 200, "content": {"text": "ok"}},
            "time": 3,
        }
        for number, url in enumerate(urls)
    ]
    return json.dumps({"log": {"entries": entries}}).encode()


def test_a_har_is_read_among_other_files(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    path.write_bytes(b"\n " + har("http://a/late", "http://a/early", "data:,x"))
    recording = Recording.read([write(tmp_path / "b.gor", request(1)), str(path)])
    assert [line.split(" HTTP")[0] for line in targets(recording)] == ["GET /1", "GET /early", "GET /late"]
    assert (recording.answer(recording.entries[2]) or b"").endswith(b"ok")
    assert recording.notes == [f"{path}: entries that were left out: 1 not_http"]


def test_a_har_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HAR", 10)
    path = tmp_path / "a.har"
    path.write_bytes(har("http://a/"))
    with pytest.raises(RecordingError, match="at most 10 can be read"):
        Recording.read([str(path)])


def test_an_unfinished_record_and_skipped_ones_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.gor"
    path.write_bytes(text(request(1)) + b"1 1\nx" + text(request(2)) + text(request(3))[:-3])
    recording = Recording.read([str(path)])
    assert targets(recording) == ["GET /1"]
    assert recording.notes == [
        f"{path}: the last record, of {len(text(request(3))) - 3} bytes, has no end and was left out",
        f"{path}: 1 records without TYPE ID TIME were left out",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no record was found"),
        (b"hello\n", "no record was found"),
        (b"\x00" * 5000, "record 1 at byte 0: it does not begin with a line TYPE ID TIME"),
        (text(request(1)) + text(request(2)).replace(b"1", b"x", 1), "record 2 at byte 29: its type is 'x'"),
        (text(answer(1)), "there is no request in it"),
        (b'{"log": 1}', "no HAR: Expected `object`, got `int`"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_its_place(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.gor"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as error:
        Recording.read([str(path)])
    assert str(error.value).startswith(f"{path}: {says}")


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("absent.gor", "absent*.gor", "dangling"):
        with pytest.raises(RecordingError, match=f"{name.replace('*', '.')}: [Nn]o such file"):
            Recording.read([str(tmp_path / name)])
    with pytest.raises(RecordingError, match="Is a directory"):
        Recording.read([str(tmp_path)])


def test_a_file_that_shrinks_meanwhile_is_noticed(tmp_path: Path) -> None:
    name = write(tmp_path / "a.gor", request(1))
    recording = Recording.read([name])
    Path(name).write_bytes(b"")
    with pytest.raises(RecordingError, match="became shorter"):
        recording.request(recording.entries[0])
    recording.close()
    with pytest.raises(ValueError, match="closed"):
        recording.request(recording.entries[0])
