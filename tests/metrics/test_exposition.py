from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from shadowproxy.endpoints.routes import with_templates
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.exposition import Scrape, expose
from shadowproxy.metrics.fields import FieldTable
from shadowproxy.metrics.series import SERIES
from shadowproxy.model.pair import FieldCount
from shadowproxy.model.policy import CapturePolicy
from shadowproxy.model.totals import Interval, Isolation, RolloutFigures, StoreFigures
from tests.metrics.world import World


def scrape(world: World, **changes: Any) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Samples by name and sorted labels, as a Prometheus would read them."""
    values: dict[str, Any] = {
        "counters": world.counters,
        "registry": world.registry,
        "policy": world.policy,
        "fields": FieldTable(),
        "incomparable": {},
        "suppressed": {},
        "store": StoreFigures(),
        "version": "1.2.3",
        "now": 1000.0,
    }
    text = expose(Scrape(**{**values, **changes})).decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def labels(**pairs: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pairs.items()))


def test_every_series_has_help_and_type_and_no_other_family_is_there() -> None:
    world = World()
    base = Scrape(
        world.counters, world.registry, world.policy, FieldTable(), {}, {}, StoreFigures(), version="1", now=0.0
    )
    lines = expose(base).decode().splitlines()
    declared = [line.split()[2:4] for line in lines if line.startswith("# TYPE")]
    assert declared == [[series.name, series.kind] for series in SERIES] or sorted(declared) == sorted(
        [series.name, series.kind] for series in SERIES
    )
    assert sum(line.startswith("# HELP") for line in lines) == len(SERIES)
    assert "_created" not in "".join(lines)


def test_requests_are_exported_by_route_arm_and_code() -> None:
    world = World()
    world.mirrored(12)
    found = scrape(world)["shadowproxy_requests_total"]
    assert found[labels(service="shop", route="item", arm="primary", code="2xx")] == 12
    assert labels(service="mail", route="other", arm="candidate", code="2xx") not in found


def test_routes_that_nobody_configured_are_counted_by_where_they_come_from() -> None:
    world = World()
    policy, registry, _ = with_templates(world.policy, world.registry, {"shop": ["/a", "/b"]}, "learned", 1024)
    found = scrape(world, policy=policy, registry=registry)
    assert found["shadowproxy_templates"] == {
        labels(service="shop", origin="openapi"): 0,
        labels(service="shop", origin="learned"): 2,
        labels(service="mail", origin="openapi"): 0,
        labels(service="mail", origin="learned"): 0,
    }
    assert labels(service="shop", route="/a", arm="primary", code="2xx") in found["shadowproxy_requests_total"]


def test_the_books_balance_in_what_is_exported() -> None:
    world = World()
    row = world.row()
    for word, n in (
        (row + at.ELIGIBLE, 20),
        (row + at.SAMPLED_OUT, 4),
        (at.dropped_word(row, 0, "age"), 1),
        (row + at.SENT, 15),
        (row + at.IN_FLIGHT, 2),
        (at.lost_word(row, 0, "shutdown"), 3),
        (at.compared_word(row, 0, "ignored"), 10),
    ):
        world.add(word, n)
    found = scrape(world)
    place = {"service": "shop", "route": "item", "arm": "candidate"}

    def total(name: str) -> float:
        return sum(v for k, v in found[f"shadowproxy_{name}"].items() if set(place.items()) <= set(k))

    given = total("shadow_sampled_out_total") + total("shadow_dropped_total") + total("shadow_sent_total")
    taken = total("comparisons_total") + total("shadow_lost_total") + total("shadow_in_flight")
    assert total("shadow_eligible_total") == given == 20
    assert total("shadow_sent_total") == taken == 15


def test_histograms_are_cumulative_and_carry_count_and_sum() -> None:
    world = World()
    first = at.duration_word(world.row(), 0)
    world.add(first + at.DURATION_EDGES.index(0.001), 2)
    world.add(first + len(at.DURATION_EDGES), 1)
    world.add(first + at.DURATION_WORDS - 1, 70_002_000)
    found = scrape(world)
    name = "shadowproxy_request_duration_seconds"
    place = {"service": "shop", "route": "item", "arm": "primary"}
    buckets = found[f"{name}_bucket"]
    assert [buckets[labels(**place, le=le)] for le in ("0.0005", "0.001", "30.0", "+Inf")] == [0, 2, 2, 3]
    assert found[f"{name}_count"][labels(**place)] == 3
    assert found[f"{name}_sum"][labels(**place)] == pytest.approx(70.002)


def test_latency_differences_have_negative_buckets_too() -> None:
    world = World()
    first = at.delta_word(world.row(), 0)
    world.add(first + at.DELTA_EDGES.index(-0.005), 4)
    world.add(first + at.DELTA_WORDS - 1, -20_000)
    found = scrape(world)
    place = {"service": "shop", "route": "item"}
    buckets = found["shadowproxy_latency_delta_seconds_bucket"]
    assert [buckets[labels(**place, le=le)] for le in ("-0.01", "-0.005", "0.0", "+Inf")] == [0, 4, 4, 4]
    assert found["shadowproxy_latency_delta_seconds_sum"][labels(**place)] == pytest.approx(-0.02)


def test_fields_are_bounded_whatever_names_arrive() -> None:
    fields = FieldTable()
    fields.add([FieldCount("shop", "item", f"$.by_id.{i}", "body_value", 1) for i in range(5_000)])
    found = scrape(World(), fields=fields)["shadowproxy_field_mismatches_total"]
    assert len(found) == 101
    assert sum(found.values()) == 5_000


def test_label_values_are_escaped() -> None:
    fields = FieldTable()
    fields.add([FieldCount("shop", "item", '$["a\\b\n"]', "body_value", 1)])
    (key,) = scrape(World(), fields=fields)["shadowproxy_field_mismatches_total"]
    assert dict(key)["field"] == '$["a\\b\n"]'


def test_process_figures_are_sums_and_the_worst_lag() -> None:
    world = World()
    for block, lag in ((0, 1500), (1, 900)):
        world.add(at.HEARTBEAT, 999_000, block)
        world.add(at.LOOP_LAG, lag, block)
        world.add(at.CLIENT_CONNECTIONS, 3, block)
        world.add(at.REJECT_INDEX["header"], 1, block)
    found = scrape(world)
    assert found["shadowproxy_loop_lag_seconds"][()] == pytest.approx(0.0015)
    assert found["shadowproxy_client_connections"][()] == 6
    assert found["shadowproxy_ready_workers"][()] == 2
    assert found["shadowproxy_rejected_requests_total"][labels(reason="header")] == 2


def test_what_control_holds_is_exported() -> None:
    store = StoreFigures(examples=3, bytes=900, available=True, dropped={"queue_full": 2}, evicted=1)
    world = World()
    world.counters.supervisor[at.RELOADS_FAILED] = 4
    world.counters.supervisor[at.RESTARTS["comparer"]] = 2
    found = scrape(world, store=store, incomparable={("shop", "item", "depth"): 5}, suppressed={"rate": 6})
    assert found["shadowproxy_store_examples"][()] == 3
    assert found["shadowproxy_store_available"][()] == 1
    assert found["shadowproxy_store_dropped_total"][labels(reason="queue_full")] == 2
    assert found["shadowproxy_incomparable_pairs_total"][labels(service="shop", route="item", reason="depth")] == 5
    assert found["shadowproxy_examples_suppressed_total"][labels(reason="rate")] == 6
    assert found["shadowproxy_config_reloads_total"][labels(result="failure")] == 4
    assert found["shadowproxy_process_restarts_total"][labels(role="comparer")] == 2
    assert found["shadowproxy_build_info"][labels(version="1.2.3")] == 1


def test_paired_evidence_can_be_followed_from_its_counts() -> None:
    world = World()
    row = world.row()
    world.add(at.outcome_word(row, 0) + 1, 6)
    world.add(at.outcome_word(row, 0) + 2, 2)
    world.add(row + at.JUDGED, 500)
    world.add(at.judged_word(row, 2), 1)
    world.add(at.judged_word(row, 2) + 1, 9)
    found = scrape(world)
    place = {"service": "shop", "route": "item"}
    outcomes = found["shadowproxy_paired_outcomes_total"]
    assert outcomes[labels(**place, arm="candidate", outcome="shadow_only")] == 6
    assert outcomes[labels(**place, arm="candidate", outcome="primary_only")] == 2
    assert outcomes[labels(**place, arm="candidate", outcome="both")] == 0
    assert found["shadowproxy_paired_durations_total"][labels(**place)] == 500
    splits = found["shadowproxy_paired_splits_total"]
    assert splits[labels(**place, percentile="p99", slow="candidate")] == 9
    assert splits[labels(**place, percentile="p99", slow="reference")] == 1


def test_the_isolation_proof_is_exported_once_there_is_an_estimate() -> None:
    known = Isolation(
        state="measuring",
        hold_out=0.05,
        slot_seconds=2.0,
        rate=400.0,
        least_rate=50.0,
        slots=9,
        discarded={},
        since=1.0,
        added={"p50": Interval(0.002, 0.001, 0.003)},
        more={"p95": 4, "p99": 40},
    )
    found = scrape(World(), isolation={"shop": known, "mail": replace(known, slots=3, added={})})
    assert found["shadowproxy_isolation_delta_seconds"] == {
        labels(service="shop", percentile="p50", bound=bound): value
        for bound, value in (("lower", 0.001), ("estimate", 0.002), ("upper", 0.003))
    }
    assert found["shadowproxy_isolation_slots_total"] == {labels(service="shop"): 9, labels(service="mail"): 3}


def test_recordings_are_exported_where_there_is_one_or_was() -> None:
    world = World()
    assert "shadowproxy_captured_total" not in scrape(world)
    row = at.service_row(0)
    world.add(row + at.CAPTURED, 5)
    world.add(row + at.CAPTURED, 2, block=1)
    world.add(row + at.CAPTURE_INDEX["busy"])
    found = scrape(world)
    assert found["shadowproxy_captured_total"] == {labels(service="shop"): 7}
    assert found["shadowproxy_capture_dropped_total"][labels(service="shop", reason="busy")] == 1
    shop, mail = world.policy.services
    world.policy = replace(world.policy, services=(shop, replace(mail, capture=CapturePolicy("/a.gor"))))
    assert scrape(world)["shadowproxy_captured_total"][labels(service="mail")] == 0


def test_a_rollout_is_exported_by_phase_hold_bake_and_check() -> None:
    running = RolloutFigures(
        "cup-v2", "running", 2, 0.05, ("freeze",), {"error_rate": -1.5}, 90.0, {"time": 0.5, "requests": 1.0}
    )
    found = scrape(World(), rollouts={"shop": running})
    place = {"service": "shop", "rollout": "cup-v2"}
    assert found["shadowproxy_rollout_weight_ratio"] == {labels(**place): 0.05}
    assert found["shadowproxy_rollout_stage"] == {labels(**place): 2}
    assert found["shadowproxy_rollout_step_seconds"] == {labels(**place): 90}
    assert found["shadowproxy_rollout_promotion_unsettled"] == {labels(**place): 0}
    phases = found["shadowproxy_rollout_phase"]
    assert (len(phases), sum(phases.values())) == (5, 1)
    assert phases[labels(**place, phase="running")] == 1
    holds = found["shadowproxy_rollout_hold"]
    assert {reason for reason, value in holds.items() if value} == {labels(**place, reason="freeze")}
    assert holds[labels(**place, reason="store")] == 0
    assert found["shadowproxy_rollout_bake_ratio"][labels(**place, dimension="time")] == 0.5
    assert found["shadowproxy_analysis_evidence"] == {labels(**place, check="error_rate"): -1.5}


def test_a_promotion_that_is_not_in_the_configuration_shows() -> None:
    found = scrape(World(), rollouts={"shop": RolloutFigures("cup-v2", "promoted", settled=False)})
    assert list(found["shadowproxy_rollout_promotion_unsettled"].values()) == [1]
