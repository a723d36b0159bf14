import pytest

from benchmarks.loads import LoadFailedError, parse_wrk

GOOD = """Running 2s test @ http://127.0.0.1:40401/item
  1 threads and 48 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.28ms  313.50us   6.10ms   88.91%
    Req/Sec    37.40k     2.10k   40.02k    75.00%
  74464 requests in 2.01s, 92.33MB read
Requests/sec:  37046.77
Transfer/sec:     45.93MB
"""
TROUBLED = GOOD.replace(
    "Requests/sec",
    "  Socket errors: connect 1, read 20, write 3, timeout 400\n  Non-2xx or 3xx responses: 5000\nRequests/sec",
)


def test_requests_and_seconds_are_read() -> None:
    seen = parse_wrk(GOOD)
    assert (seen.requests, seen.seconds, seen.errors) == (74464, 2.01, 0)
    assert seen.rps == pytest.approx(74464 / 2.01)


def test_every_kind_of_error_counts() -> None:
    assert parse_wrk(TROUBLED).errors == 5424


@pytest.mark.parametrize(("time", "seconds"), [("1.00m", 60), ("999.50ms", 0.9995), ("1.20h", 4320)])
def test_each_unit_of_time_is_understood(time: str, seconds: float) -> None:
    assert parse_wrk(GOOD.replace("2.01s", time)).seconds == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1:1 Connection refused"])
def test_a_report_without_a_summary_is_a_failed_load(text: str) -> None:
    with pytest.raises(LoadFailedError, match=r"no summary: (it printed nothing|unable to connect)"):
        parse_wrk(text)
