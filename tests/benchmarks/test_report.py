import json

from benchmarks.checks import judge_all
from benchmarks.contestants import AGAIN
from benchmarks.law import GROWTH, PREFIX
from benchmarks.report import Run, document, markdown
from benchmarks.samples import Results

MACHINE = {"processor": "Any", "cores": "2", "memory": "8 GiB", "kernel": "6", "python": "3.11", "commit": "abc"}
RUN = Run("2026-01-02", "python -m benchmarks.run", MACHINE, 31.4)


def sampled() -> Results:
    results = Results()
    for number, cpu in enumerate((24.0, 26.0, 25.0)):
        results.add("forward", "shadowproxy", number, {"cpu_us": cpu, "rps": 30_000.0, "errors": 0})
        results.add("forward", "shadowproxy" + AGAIN, number, {"cpu_us": cpu * 1.02, "rps": 30_000.0, "errors": 0})
        results.add("forward", "haproxy", number, {"cpu_us": cpu - 10, "rps": 60_000.0, "errors": 0})
        law = {"off_p99_ms": 0.5, "on_p99_ms": 0.6, "delta_p99_ms": 0.1, "rate": 9000.0, "errors": 0}
        results.add(PREFIX + "live", "shadowproxy", number, law)
    growth = {"before_mib": 90.0, "growth_mib": 4.5, "seconds": 60, "rate": 9000.0}
    results.add(GROWTH, "shadowproxy", 0, growth)
    for body, differences, rate in (("small", 0, 60_000.0), ("small", 20, 30_000.0), ("120 KB", 0, 400.0)):
        figures = {"differences": differences, "pairs_per_second": rate}
        results.add("comparer", f"{body}, {differences} differences", 0, figures)
    results.notes.append("caddy: not installed")
    return results


def test_the_page_says_bar_noise_cases_law_and_notes() -> None:
    results = sampled()
    page = markdown(RUN, results, judge_all(results))
    assert "| forward only: CPU per request over HAProxy's, at saturation | ≤ 2 | 1.67 x |" in page
    assert "| forward | shadowproxy | 1.020 |" in page
    assert "| haproxy | 15.0 (14.5 to 15.5) | 60,000 |" in page
    assert "| live | 3 | 9,000 |" in page
    assert "90.0 MiB before, at most +4.5 MiB more" in page
    assert "- caddy: not installed" in page
    assert "not measured" in page


def test_one_comparer_has_a_line_for_each_body_and_a_column_for_each_number_of_differences() -> None:
    lines = markdown(RUN, sampled(), []).splitlines()
    at = lines.index("| body | 0 | 20 |")
    assert lines[at + 2 : at + 4] == ["| small | 60,000 | 30,000 |", "| 120 KB | 400 | - |"]


def test_a_table_is_ordered_by_cpu_and_leaves_out_who_was_not_there() -> None:
    results = sampled()
    lines = markdown(RUN, results, []).splitlines()
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines if "000 | - | - | 0 |" in line]
    assert names == ["haproxy", "shadowproxy", "shadowproxy" + AGAIN]


def test_the_document_holds_every_sample() -> None:
    results = sampled()
    read = json.loads(document(RUN, results, judge_all(results)))
    assert len(read["samples"]) == len(results.samples)
    assert read["run"]["machine"] == MACHINE
    assert {finding["verdict"] for finding in read["bar"]} >= {"met", "not measured"}
