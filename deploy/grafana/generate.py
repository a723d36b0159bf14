"""The Grafana dashboard, made from code: `make docs` writes `deploy/grafana/shadowproxy.json`.

Import the file into Grafana 11.6 or newer: it asks for a Prometheus data source, and offers the services in it.
"""

from __future__ import annotations

import sys
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphDrawStyle, LegendDisplayMode, StackingMode, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef, DynamicConfigValue, VariableRefresh

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${source}")
COLOURS: Final = {"primary": "blue", "candidate": "orange", "secondary": "green"}
HALF: Final = 12
THIRD: Final = 8
PHASE: Final = 'shadowproxy_rollout_phase{service="$service"} == 1'
WEIGHT: Final = 'shadowproxy_rollout_weight_ratio{service="$service"}'


class Query(NamedTuple):
    """PromQL, in which SERVICE is the chosen service and RATE the interval; and the legend."""

    expression: str
    legend: str = ""


class Lines(NamedTuple):
    title: str
    unit: str
    what: str
    queries: tuple[Query, ...]
    width: int = HALF
    stacked: bool = False


class Number(NamedTuple):
    title: str
    unit: str
    what: str
    query: str


class States(NamedTuple):
    title: str
    what: str
    query: Query


def by(label: str, name: str, more: str = "") -> str:
    return f"sum by ({label}) (rate({name}{{SERVICE{more}}}[RATE]))"


FAILED: Final = by("arm", "shadowproxy_requests_total", ', code=~"5xx|error"')
ASKED: Final = by("arm", "shadowproxy_requests_total")
TOOK: Final = by("arm, le", "shadowproxy_request_duration_seconds_bucket")
DELTA: Final = by("le", "shadowproxy_latency_delta_seconds_bucket")
ISOLATION: Final = 'shadowproxy_isolation_delta_seconds{SERVICE, percentile="p99"'

PANELS: Final[dict[str, tuple[Lines | Number | States, ...]]] = {
    "Rollout": (
        Number(
            "To the candidate",
            "percentunit",
            "The share of the users that the candidate is to serve.",
            "max(shadowproxy_rollout_weight_ratio{SERVICE})",
        ),
        Number(
            "In this part",
            "s",
            "Time since the present part was entered, holds included.",
            "max(shadowproxy_rollout_step_seconds{SERVICE})",
        ),
        Number(
            "Bake",
            "percentunit",
            "What the present part has of the time and the requests that it asks for; the lesser of the two.",
            "min(shadowproxy_rollout_bake_ratio{SERVICE})",
        ),
        Number(
            "Regressed fields",
            "short",
            "Fields of the candidate in the list of regressed ones.",
            "max(shadowproxy_regressed_fields{SERVICE})",
        ),
        Number(
            "Mirroring adds to p99",
            "s",
            "To the latency of users, by the slots without mirroring.",
            f'max({ISOLATION}, bound="estimate"}})',
        ),
        Number("Ready workers", "short", "Workers whose heart beats.", "sum(shadowproxy_ready_workers)"),
        States(
            "Phase",
            "Which phase the rollout was in.",
            Query("max by (phase) (shadowproxy_rollout_phase{SERVICE}) == 1", "{{phase}}"),
        ),
        States(
            "Holds",
            "Why the rollout did not advance.",
            Query("max by (reason) (shadowproxy_rollout_hold{SERVICE}) == 1", "{{reason}}"),
        ),
        Lines(
            "Weight",
            "percentunit",
            "The share of the users with the candidate, and with a flag's variant from the rollout.",
            (
                Query("max by (rollout) (shadowproxy_rollout_weight_ratio{SERVICE})", "candidate"),
                Query("max by (flag) (shadowproxy_rollout_flag_ratio{SERVICE})", "flag {{flag}}"),
            ),
        ),
        Lines(
            "Evidence of harm",
            "short",
            "Logarithm to base 10 of the evidence over its threshold: from 0 on the check fails.",
            (Query("max by (check) (shadowproxy_analysis_evidence{SERVICE})", "{{check}}"),),
        ),
    ),
    "Side by side": (
        Lines("Requests", "reqps", "Requests and copies by arm.", (Query(ASKED, "{{arm}}"),), THIRD),
        Lines(
            "Errors",
            "percentunit",
            "5xx, or no whole answer, of all that an arm was asked.",
            (Query(f"{FAILED} / ({ASKED} > 0)", "{{arm}}"),),
            THIRD,
        ),
        Lines(
            "Latency",
            "s",
            "From sending a request to an arm to the last byte of its answer.",
            tuple(
                Query(f"histogram_quantile({q}, {TOOK})", f"{{{{arm}}}} {name}")
                for name, q in (("p50", 0.5), ("p99", 0.99))
            ),
            THIRD,
        ),
        Lines(
            "Candidate minus primary",
            "s",
            "Of the same request, both asked at the same time.",
            tuple(
                Query(f"histogram_quantile({q}, {DELTA})", name)
                for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            ),
        ),
        Lines(
            "Served by the primary instead",
            "reqps",
            "Users of the candidate that the primary served, by reason.",
            (Query(by("reason", "shadowproxy_fallbacks_total"), "{{reason}}"),),
            stacked=True,
        ),
    ),
    "Mirroring": (
        Lines(
            "Verdicts",
            "reqps",
            "Compared pairs by verdict.",
            (Query(by("verdict", "shadowproxy_comparisons_total", ', arm="candidate"'), "{{verdict}}"),),
            stacked=True,
        ),
        Lines(
            "Mismatches",
            "reqps",
            "Pairs in which the candidate differs, by kind.",
            (Query(by("kind", "shadowproxy_mismatches_total"), "{{kind}}"),),
            stacked=True,
        ),
        Lines(
            "Copies given up",
            "reqps",
            "Copies that were never sent, and copies that got no verdict, by reason.",
            tuple(
                Query(by("reason", f"shadowproxy_shadow_{word}_total"), f"{word}: {{{{reason}}}}")
                for word in ("dropped", "lost")
            ),
            stacked=True,
        ),
        Lines(
            "What mirroring adds to the p99",
            "s",
            "Estimate and 95 % interval.",
            (Query(f"max by (bound) ({ISOLATION}}})", "{{bound}}"),),
        ),
    ),
    "Flags, and the proxy itself": (
        Lines(
            "Evaluations of flags",
            "reqps",
            "By flag and variant, for requests and over OFREP.",
            (Query("sum by (flag, variant) (rate(shadowproxy_flag_evaluations_total[RATE]))", "{{flag}}={{variant}}"),),
            THIRD,
            stacked=True,
        ),
        Lines(
            "Loop lag",
            "s",
            "How late the last tick of the worst worker came.",
            (Query("max by (instance) (shadowproxy_loop_lag_seconds)", "{{instance}}"),),
            THIRD,
        ),
        Lines(
            "Held for copies",
            "bytes",
            "Memory for copies and captured responses.",
            (Query("sum by (instance) (shadowproxy_held_bytes)", "{{instance}}"),),
            THIRD,
        ),
    ),
}
"""By row, in the order in which they are shown."""


def promql(expression: str) -> str:
    return expression.replace("SERVICE", 'service="$service"').replace("RATE", "$__rate_interval")


def target(query: Query, number: int = 0) -> Any:
    made = prometheus.Dataquery().expr(promql(query.expression)).legend_format(query.legend)
    return made.ref_id(chr(ord("A") + number))


def panel(of: Lines | Number | States) -> Any:
    if isinstance(of, Number):
        made = stat.Panel().unit(of.unit).span(4).height(4).with_target(target(Query(of.query)).instant())
    elif isinstance(of, States):
        made = statetimeline.Panel().span(HALF).height(6).with_target(target(of.query).range())
    else:
        made = lines(of)
    return made.title(of.title).description(of.what).datasource(SOURCE)


def lines(of: Lines) -> Any:
    made = timeseries.Panel().unit(of.unit).span(of.width).height(8).draw_style(GraphDrawStyle.LINE).line_width(2)
    made = made.legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True))
    made = made.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if of.stacked:
        made = made.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(25)
    for number, query in enumerate(of.queries):
        made = made.with_target(target(query, number).range())
    if any("{{arm}}" in query.legend for query in of.queries):
        for arm, colour in COLOURS.items():
            fixed = DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})
            made = made.override_by_regexp(f"/^{arm}/", [fixed])
    return made


class Titled:
    """An annotation with words: the SDK has no place for those of a Prometheus query."""

    def __init__(self, name: str, colour: str, expression: str, title: str) -> None:
        made = dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True)
        self._made = made.icon_color(colour).expr(expression)
        self._title = title

    def build(self) -> Any:
        built = self._made.build()
        plain = built.to_json
        built.to_json = lambda: {**plain(), "titleFormat": self._title, "step": "30s"}
        return built


def build() -> Any:
    made = dashboard.Dashboard("shadowproxy").uid("shadowproxy").tags(["shadowproxy"])
    made = made.refresh("10s").time("now-1h", "now").timezone("browser")
    made = made.with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    services = dashboard.QueryVariable("service").label("Service").datasource(SOURCE)
    services = services.query("label_values(shadowproxy_requests_total, service)")
    made = made.with_variable(services.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED))
    entered = f"{PHASE} unless {PHASE.replace(' == 1', ' offset 1m == 1')}"
    made = made.annotation(Titled("phases", "purple", entered, "{{rollout}}: {{phase}}"))
    made = made.annotation(
        Titled("weights", "orange", f"{WEIGHT} != {WEIGHT} offset 1m", "{{rollout}}: weight changed")
    )
    for title, panels in PANELS.items():
        made = made.with_row(dashboard.Row(title))
        for each in panels:
            made = made.with_panel(panel(each))
    return made


if __name__ == "__main__":
    sys.stdout.write(JSONEncoder(sort_keys=True, indent=2).encode(build().build()) + "\n")
