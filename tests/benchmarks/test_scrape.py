import pytest

from benchmarks.scrape import parse_stub_status, read, total

TEXT = """# HELP shadowproxy_comparisons_total Pairs compared.
# TYPE shadowproxy_comparisons_total counter
shadowproxy_comparisons_total{service="default",route="a",arm="candidate",verdict="match"} 90
shadowproxy_comparisons_total{service="default",route="b",arm="candidate",verdict="mismatch"} 5
shadowproxy_comparisons_total{service="default",route="a",arm="secondary",verdict="match"} 1000
shadowproxy_shadow_eligible_total{service="default",route="a\\",arm=\\"x",arm="candidate"} 1e2
shadowproxy_shadow_dropped_total{service="default",route="a",arm="candidate",reason="bytes"} 3
shadowproxy_shadow_lost_total{service="default",route="a",arm="candidate",reason="channel_full"} 2
shadowproxy_build_info 1
"""


def test_series_are_summed_over_the_labels_not_asked_for() -> None:
    assert total(TEXT, "shadowproxy_comparisons_total") == 1095
    assert total(TEXT, "shadowproxy_comparisons_total", arm="candidate") == 95
    assert total(TEXT, "shadowproxy_build_info") == 1
    assert total(TEXT, "shadowproxy_build_info", arm="candidate") == 0


def test_the_books_are_the_candidates() -> None:
    books = read(TEXT)
    assert (books.eligible, books.compared, books.matched, books.dropped, books.lost) == (100, 95, 90, 3, 2)


def test_shares_are_of_what_was_counted_in_between() -> None:
    seen = read(TEXT).since(read(""))
    assert seen["compared_share"] == 0.95
    assert seen["matched_share"] == 90 / 95


def test_no_traffic_gives_no_share() -> None:
    seen = read(TEXT).since(read(TEXT))
    assert seen["compared_share"] != seen["compared_share"]


def test_an_arm_says_how_many_requests_it_saw() -> None:
    page = "Active connections: 3 \nserver accepts handled requests\n 5 5 4711 \nReading: 0 Writing: 1 Waiting: 2 \n"
    assert parse_stub_status(page) == 4711


def test_another_page_is_no_count() -> None:
    with pytest.raises(ValueError, match="not a stub_status page"):
        parse_stub_status("<html>404</html>")
