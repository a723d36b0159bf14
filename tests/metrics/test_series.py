from __future__ import annotations

import re
from pathlib import Path

import pytest

from shadowproxy.metrics.series import COUNTER, SERIES, Series, reference

CONTRACT = """
shadowproxy_requests_total service route arm code
shadowproxy_request_duration_seconds service route arm
shadowproxy_rejected_requests_total reason
shadowproxy_fallbacks_total service route reason
shadowproxy_shadow_eligible_total service route arm
shadowproxy_shadow_sampled_out_total service route arm
shadowproxy_shadow_sent_total service route arm
shadowproxy_shadow_dropped_total service route arm reason
shadowproxy_shadow_lost_total service route arm reason
shadowproxy_shadow_in_flight service route arm
shadowproxy_comparisons_total service route arm verdict
shadowproxy_mismatches_total service route kind
shadowproxy_field_mismatches_total service route field kind
shadowproxy_latency_delta_seconds service route
shadowproxy_isolation_delta_seconds service percentile bound
shadowproxy_upstream_connections service arm state
shadowproxy_upstream_healthy service arm
shadowproxy_breaker_open service arm
shadowproxy_rollout_weight_ratio service rollout
shadowproxy_rollout_phase service rollout phase
shadowproxy_rollout_stage service rollout
shadowproxy_rollout_hold service rollout reason
shadowproxy_analysis_evidence service rollout check
shadowproxy_config_reloads_total result
shadowproxy_config_last_reload_successful
shadowproxy_build_info version
shadowproxy_process_restarts_total role
"""


@pytest.mark.parametrize("line", CONTRACT.strip().splitlines())
def test_the_contract_is_kept(line: str) -> None:
    name, *labels = line.split()
    assert {series.name: series.labels for series in SERIES}[name] == tuple(labels)


@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
def test_every_series_passes_the_checks_of_promtool(series: Series) -> None:
    """The rules of prometheus/util/promlint."""
    assert re.fullmatch(r"shadowproxy(_[a-z]+)+", series.name)
    assert series.name.endswith("_total") == (series.kind == COUNTER)
    assert not re.search(r"_(bucket|count|sum)$", series.name)
    assert not re.search(r"_(gauge|counter|histogram|ms|us|kib|mib|milliseconds|minutes|hours)(_|$)", series.name)
    assert series.help
    assert "le" not in series.labels


def test_names_are_unique() -> None:
    assert len({series.name for series in SERIES}) == len(SERIES)


def test_the_documentation_is_current() -> None:
    written = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert written.read_text() == reference(), "run: python -m shadowproxy.metrics.series > docs/metrics.md"
