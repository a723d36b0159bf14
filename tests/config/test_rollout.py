"""The `rollout` section: what it becomes, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from shadowproxy.config.describing import describe, masked
from shadowproxy.config.strategies import STRATEGIES
from shadowproxy.model import rollout as r
from tests.config.builders import MIRRORED, PLAIN, loaded, problems, said

DAY = 86400.0

WRITTEN_OUT = """\
rollout:
  name: checkout-v2
  change_class: feature      # feature | fix | security: what a freeze looks at
  sticky: {by: "header:x-user-id", fallback: client_ip}   # or cookie:NAME; without it each request draws for itself
  budget: {false_rollback: 1%}
  errors: [5xx, timeout]     # what counts as a failure, the same for both arms
  exclude: ["path:/healthz"] # probes and the like are no evidence (common ones by default)
  warmup: 2m                 # after each rise of the weight
  checks:
    - {check: error_rate, max_relative: 10%, max_absolute: 0.1pp}
    - {check: latency_p99, max_relative: 20%}
    - {check: regressed_fields}
    - {name: memory, promql: 'memory{version="$version"}', against: primary, max_slope: 5%/h, step: 1m, mode: observe}
  stages:
    - {name: mirror, shadow: {sample: 100%}, bake: {for: 30m, requests: 5000}}
    - {name: go, approve: {timeout: 12h, on_timeout: hold}}
    - {name: first users, canary: {weight: 5%}, bake: {for: 24h, requests: 20000}}
    - {name: ramp, progressive: {weights: [10%, 25%, 50%, 100%], holdback: 2%}, bake: {for: 10m, requests: 2000}}
    - {name: soak, bake: {for: 24h}}
  on_fail: rollback          # or pause: weight 0, the attempt kept
"""


def plan(directory: Path, text: str, upstreams: str = MIRRORED) -> r.Plan:
    found = loaded(directory, upstreams + text).policy.services[0].rollout
    assert found is not None
    return found


def stage(directory: Path, text: str) -> r.Stage:
    return plan(directory, f"rollout: {{stages: [{text}]}}").stages[-1]


def wrong(directory: Path, text: str) -> list[str]:
    return [line.removeprefix("rollout.") for line in said(directory, f"{MIRRORED}rollout: {{{text}}}")]


def test_a_plan_is_what_is_written(tmp_path: Path) -> None:
    hour = 3600.0
    assert plan(tmp_path, WRITTEN_OUT) == r.Plan(
        "checkout-v2",
        (
            r.Stage("mirror", r.SHADOW, r.Bake(0.5 * hour, 5000), sample=1.0),
            r.Stage("go", r.APPROVE, timeout=12 * hour),
            r.Stage("first users", r.CANARY, r.Bake(DAY, 20000), weights=(0.05,)),
            r.Stage("ramp", r.PROGRESSIVE, r.Bake(600, 2000), weights=(0.1, 0.25, 0.5, 1.0), holdback=0.02),
            r.Stage("soak", r.SOAK, r.Bake(DAY)),
        ),
        sticky=r.Sticky(header="x-user-id", fallback="client_ip"),
        excluded=("/healthz",),
        warmup=120.0,
        checks=(
            r.Check("error_rate", r.ERROR_RATE, max_relative=0.1, max_absolute=0.001),
            r.Check("latency_p99", r.LATENCY_P99, max_relative=0.2, max_absolute=0.005),
            r.Check("regressed_fields", r.REGRESSED_FIELDS),
            r.Check(
                "memory",
                r.PROMQL,
                mode=r.OBSERVE,
                max_slope=0.05 / hour,
                promql='memory{version="$version"}',
                against="primary",
            ),
        ),
    )


def test_a_plan_survives_the_way_to_other_processes(tmp_path: Path) -> None:
    everything = """\
rollout:
  strategy: canary
  errors: [4xx, 503, timeout]
  checks: [{check: error_rate, max: 5%}, {check: latency_p50, max_absolute: 5ms, max: 1s},
           {name: queue, promql: depth, max: 10}, {name: gate, webhook: "https://a/b"}]
  prometheus: {url: http://a, headers: {X-Key: k}}
  notify: {webhook: https://a/b, secret: 12345678}
"""
    found = plan(tmp_path, everything.replace("secret: 12345678", "secret: '12345678'"))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=r.Plan) == found
    assert found.failures == r.Failures(classes=(4,), statuses=(503,), timeouts=True)
    assert [check.max for check in found.checks] == [0.05, 1.0, 10.0, None]


def test_what_is_absent_has_sensible_values(tmp_path: Path) -> None:
    found = plan(tmp_path, "service: shop\nrollout: {stages: [{canary: {weight: 5%}}]}")
    assert found.name == "shop"
    assert found.excluded == r.EXCLUDED
    assert found.failures == r.Failures((5,), (), True)
    assert (found.false_rollback, found.warmup, found.on_fail, found.sticky) == (0.01, 0.0, "rollback", None)
    assert [check.kind for check in found.checks] == ["error_rate", "latency_p99", "sample_ratio", "slow_burn"]
    assert found.checks[0] == r.Check("error_rate", "error_rate", max_relative=0.1, max_absolute=0.001)


@pytest.mark.parametrize(
    ("more", "judged"),
    [
        ("noise: {resample: 2%}", True),
        ("noise: {resample: 2%}\nshadow: {sample: 0%}", False),
        ("noise: {resample: 2%}\nshadow: {sample: 0%}\nroutes: [{name: a, shadow: {sample: 5%}}]", True),
        ("", False),
    ],
)
def test_fields_are_judged_where_they_are_compared_and_noise_is_known(more: str, judged: bool, tmp_path: Path) -> None:
    found = plan(tmp_path, f"rollout: {{stages: [{{canary: {{weight: 5%}}}}]}}\n{more}")
    assert (r.REGRESSED_FIELDS in [check.kind for check in found.checks]) is judged


def test_limits_that_are_not_written_are_the_checks_own(tmp_path: Path) -> None:
    found = plan(tmp_path, "rollout: {strategy: canary, checks: [{check: error_rate, max_relative: 50%}]}")
    assert found.checks == (r.Check("error_rate", "error_rate", max_relative=0.5, max_absolute=0.001),)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_stands_for_stages_and_goes_with_everything_else(strategy: str, tmp_path: Path) -> None:
    found = plan(tmp_path, f"rollout: {{strategy: {strategy}, warmup: 1m, budget: {{false_rollback: 5%}}}}")
    assert (found.strategy, found.stages) == (strategy, STRATEGIES[strategy])
    assert (found.warmup, found.false_rollback) == (60.0, 0.05)


def test_the_stages_of_strategies_would_be_right_if_they_were_written() -> None:
    for stages in STRATEGIES.values():
        assert len({stage.name for stage in stages}) == len(stages)
        weights = [weight for stage in stages for weight in stage.weights]
        assert weights == sorted(weights)
        assert stages[-1].kind == r.APPROVE or stages[-1].bake.seconds >= 600


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("{shadow: {}}", "shadow", r.SHADOW),
        ("{shadow: {}}, {approve: {}}", "approve", r.APPROVE),
        ("{canary: {weight: 5%}}", "canary 5%", r.CANARY),
        ("{canary: {weight: 0.5%}}", "canary 0.5%", r.CANARY),
        ("{progressive: {weights: [100%]}}", "progressive", r.PROGRESSIVE),
        ("{blue_green: {preview: {cookie: beta}}}", "blue_green", r.BLUE_GREEN),
        ("{canary: {weight: 5%}}, {bake: {for: 1h}}", "soak", r.SOAK),
    ],
)
def test_a_stage_without_a_name_is_called_what_it_does(text: str, name: str, kind: str, tmp_path: Path) -> None:
    found = stage(tmp_path, text)
    assert (found.name, found.kind) == (name, kind)


@pytest.mark.parametrize(
    ("match", "chosen"),
    [
        ('{header: "x-canary"}', [r.Chosen(header="x-canary")]),
        ("{header: X-Canary}", [r.Chosen(header="x-canary")]),
        ("{cookie: beta}", [r.Chosen(cookie="beta")]),
        ("{cookie: beta=1}", [r.Chosen(cookie="beta", value="1")]),
        ('{header: "x-preview: green"}', [r.Chosen(header="x-preview", value="green")]),
        ("[{cookie: beta}, {header: x-a}]", [r.Chosen(cookie="beta"), r.Chosen(header="x-a")]),
    ],
)
def test_users_are_chosen_by_a_header_or_a_cookie(match: str, chosen: list[r.Chosen], tmp_path: Path) -> None:
    assert stage(tmp_path, f"{{canary: {{weight: 5%, match: {match}}}}}").chosen == tuple(chosen)
    assert stage(tmp_path, f"{{progressive: {{weights: [5%], match: {match}}}}}").chosen == tuple(chosen)
    assert stage(tmp_path, f"{{blue_green: {{preview: {match}}}}}").chosen == tuple(chosen)


@pytest.mark.parametrize(
    ("weights", "holdback"),
    [("[5%, 100%]", 0.02), ("[5%, 50%]", 0.0), ("[5%, 99%, 100%]", 0.0), ("[100%], holdback: 0%", 0.0)],
)
def test_a_share_is_held_back_from_all_users(weights: str, holdback: float, tmp_path: Path) -> None:
    assert stage(tmp_path, f"{{progressive: {{weights: {weights}}}}}").holdback == holdback


def test_a_bake_has_a_time_requests_evidence_and_an_end(tmp_path: Path) -> None:
    text = "{for: 5m, requests: 9, evidence: not_worse, early: true, timeout: 1h, on_timeout: rollback}"
    assert stage(tmp_path, f"{{canary: {{weight: 5%}}, bake: {text}}}").bake == r.Bake(
        300.0, 9, "not_worse", True, 3600.0, "rollback"
    )


def test_who_watches_and_who_hears_of_it(tmp_path: Path) -> None:
    text = """rollout: {strategy: canary, supervise: required, watch: {ttl: 30s}, lease: 1m, on_fail: pause,
        notify: [{webhook: "https://a/b?c=d", secret: "${KEY}", events: [promoted]}, {webhook: http://c}],
        prometheus: http://p:9090, sticky: {by: "cookie:sid"}}"""
    found = loaded(tmp_path, MIRRORED + text, environ={"KEY": "0123456789"}).policy.services[0].rollout
    assert found is not None
    assert (found.supervise, found.watch_ttl, found.lease, found.on_fail) == ("required", 30.0, 60.0, "pause")
    assert found.notify == (r.Notify("https://a/b?c=d", "0123456789", ("promoted",)), r.Notify("http://c"))
    assert found.prometheus == r.Prometheus("http://p:9090")
    assert found.sticky == r.Sticky(cookie="sid", fallback="request_id")


CANARY = "{canary: {weight: 5%}}"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("name: a", ["stages: is missing: write stages, or strategy: canary"]),
        ("stages: []", ["stages: is empty: write at least one stage, or strategy instead"]),
        (f"strategy: canary, stages: [{CANARY}]", ["strategy: stands beside stages: keep one of them"]),
        (
            "strategy: canaries",
            ['strategy: cannot be "canaries": write one of: shadow, canary, progressive, blue-green'],
        ),
        (
            "stages: [{name: a}]",
            ["stages[0]: does nothing: write one of shadow, approve, canary, progressive, blue_green, flag, or a bake"],
        ),
        (
            "stages: [{canary: {weight: 5%}, approve: {}}]",
            ["stages[0].canary: stands beside approve: make it a stage of its own"],
        ),
        (
            f"stages: [{CANARY}, {{approve: {{}}, bake: {{for: 1h}}}}]",
            ["stages[1].bake: stands beside approve: make it a stage of its own"],
        ),
        (
            "stages: [{approve: {}}]",
            ["stages: only asks for approval: write a stage that shows the candidate to users"],
        ),
        (
            f"stages: [{{name: a, shadow: {{}}}}, {{name: a, {CANARY[1:-1]}}}]",
            ['stages[1].name: is called "a" like stage 1: write a name of its own'],
        ),
        (
            f"stages: [{CANARY}, {CANARY}]",
            ['stages[1]: is called "canary 5%" like stage 1: write a name of its own'],
        ),
        ("stages: [{canary: {}}]", ["stages[0].canary.weight: is missing: the share"]),
        (
            "stages: [{canary: {weight: 0%}}]",
            ['stages[0].canary.weight: cannot be "0%": write more than 0%, up to 100%'],
        ),
        (
            "stages: [{canary: {weight: 120%}}]",
            ['stages[0].canary.weight: cannot be "120%": write a percentage from 0% to 100%, such as 25%'],
        ),
        (
            "stages: [{progressive: {weights: [50%, 25%]}}]",
            ["stages[0].progressive.weights[1]: is not more than 50% before it: weights only rise"],
        ),
        (
            "stages: [{progressive: {weights: []}}]",
            ["stages[0].progressive.weights: is empty: write shares such as [10%, 50%, 100%]"],
        ),
        (
            "stages: [{canary: {weight: 25%}}, {progressive: {weights: [10%, 50%]}}]",
            ["stages[1].progressive.weights[0]: is not more than 25% before it: weights only rise"],
        ),
        (
            f"stages: [{{blue_green: {{preview: {{cookie: b}}}}}}, {CANARY}]",
            ["stages[1].canary.weight: is less than 100%, which the stages before reach: weights only rise"],
        ),
        (
            f"stages: [{CANARY}, {{shadow: {{}}}}]",
            ["stages[1].shadow: begins with no users, and the stages before reach 5%: put it before them"],
        ),
        (
            f"stages: [{CANARY}, {{blue_green: {{preview: {{cookie: b}}}}}}]",
            ["stages[1].blue_green: begins with no users, and the stages before reach 5%: put it before them"],
        ),
        (
            "stages: [{blue_green: {preview: {cookie: b}, holdback: 2%}}]",
            ["stages[0].blue_green.holdback: unknown key: known here are preview, keep_blue"],
        ),
        (
            "stages: [{blue_green: {}}]",
            ["stages[0].blue_green.preview: is missing: who sees the candidate before the switch, one match or a list"],
        ),
        (
            "stages: [{blue_green: {preview: []}}]",
            ["stages[0].blue_green.preview: is empty: write who sees the candidate before the switch"],
        ),
        (
            "stages: [{progressive: {weights: [50%], holdback: 2%}}]",
            ["stages[0].progressive.holdback: holds nobody back: weights do not end at 100%"],
        ),
        (
            "stages: [{progressive: {weights: [90%, 100%], holdback: 10%}}]",
            ["stages[0].progressive.holdback: leaves no rise after the weight before: write less than 10%"],
        ),
        (
            "stages: [{shadow: {sample: 0%}}]",
            ["stages[0].shadow.sample: mirrors nothing: write more than 0%, up to 100%"],
        ),
        (
            "stages: [{canary: {weight: 5%, match: {header: a, cookie: b}}}]",
            ["stages[0].canary.match: write either header or cookie, not both"],
        ),
        ("stages: [{canary: {weight: 5%, match: {}}}]", ["stages[0].canary.match: write either header or cookie"]),
        (
            "stages: [{canary: {weight: 5%}, bake: {}}]",
            ["stages[0].bake: ends at once: write for, requests or evidence"],
        ),
        (
            "stages: [{canary: {weight: 5%}, bake: {fro: 5m}}]",
            ["stages[0].bake.fro: unknown key: did you mean for?"],
        ),
        (
            "stages: [{canary: {weight: 5%}, bake: {for: 1h, timeout: 30m}}]",
            ["stages[0].bake.timeout: comes before the bake is over (1h): write more"],
        ),
        (
            "stages: [{canary: {weight: 5%}, bake: {for: 1h, on_timeout: rollback}}]",
            ["stages[0].bake.on_timeout: needs timeout beside it: without one it never comes"],
        ),
        (
            f"stages: [{CANARY}, {{approve: {{on_timeout: rollback}}}}]",
            ["stages[1].approve.on_timeout: needs timeout beside it: without one it never comes"],
        ),
        (
            "stages: [{canary: {weight: 5%}, bake: {requests: 5, early: true}}]",
            ["stages[0].bake.early: needs a time beside it that it can shorten: write for"],
        ),
        (
            "checks: [{check: regressed_fields}], stages: [{canary: {weight: 5%}, bake: {evidence: not_worse}}]",
            [
                (
                    "stages[0].bake.evidence: needs an enforced check that can show it: error_rate, client_error_rate "
                    "or a latency"
                )
            ],
        ),
        ("strategy: canary, checks: []", ["checks: is empty, so that nothing is looked at: write some, or delete it"]),
        (
            "strategy: canary, checks: [{check: errors}]",
            [
                (
                    'checks[0].check: cannot be "errors": write one of: error_rate, client_error_rate, latency_p50, '
                    "latency_p95, latency_p99, regressed_fields, sample_ratio, slow_burn"
                )
            ],
        ),
        ("strategy: canary, checks: [{name: a}]", ["checks[0]: looks at nothing: write one of check, promql, webhook"]),
        (
            "strategy: canary, checks: [{check: error_rate, webhook: http://a}]",
            ["checks[0].webhook: stands beside check: make it a check of its own"],
        ),
        (
            "strategy: canary, checks: [{check: error_rate}, {check: error_rate}]",
            ['checks[1]: is called "error_rate" like check 1: write a name of its own'],
        ),
        (
            "strategy: canary, checks: [{name: q, promql: up, max: 5}]",
            ["checks[0].promql: needs rollout.prometheus, where it is asked: write its URL there"],
        ),
        (
            "strategy: canary, prometheus: http://p, checks: [{promql: up, max: 5}]",
            ["checks[0].name: is missing: what reports and holds call this check"],
        ),
        (
            "strategy: canary, prometheus: http://p, checks: [{name: q, promql: up}]",
            ["checks[0]: has no limit, so that it never fails: write max, max_relative or max_slope"],
        ),
        (
            "strategy: canary, prometheus: http://p, checks: [{name: q, promql: up, max_relative: 5%}]",
            ["checks[0].max_relative: needs against: primary beside it"],
        ),
        (
            "strategy: canary, checks: [{check: error_rate, max_absolute: 20ms}]",
            [
                (
                    "checks[0].max_absolute: is the wrong kind of limit for error_rate: write percentage points such "
                    "as 0.1pp"
                )
            ],
        ),
        (
            "strategy: canary, checks: [{check: latency_p99, max: 5%}]",
            ["checks[0].max: is the wrong kind of limit for latency_p99: write a duration such as 20ms"],
        ),
        (
            "strategy: canary, checks: [{check: sample_ratio, max: 5}]",
            ["checks[0].max: has no meaning for sample_ratio, which takes no limits: delete it"],
        ),
        (
            "strategy: canary, checks: [{check: slow_burn, max_slope: 5%}]",
            ['checks[0].max_slope: cannot be "5%": write a rise in a time, such as 5%/h or 1%/d'],
        ),
        (
            "strategy: canary, errors: [teapot]",
            ['errors[0]: cannot be "teapot": write 4xx, 5xx, timeout, or a status from 400 to 599'],
        ),
        (
            "strategy: canary, exclude: [/healthz]",
            [
                (
                    'exclude[0]: cannot be "/healthz": write path: and a path or a template, such as path:/healthz or '
                    "path:/internal/*"
                )
            ],
        ),
        (
            "strategy: canary, sticky: {by: x-user-id}",
            [
                'sticky.by: cannot be "x-user-id": write header:NAME or cookie:NAME, such as header:x-user-id',
            ],
        ),
        (
            "strategy: canary, notify: {webhook: http://c, events: [promotd]}",
            [f'notify.events[0]: cannot be "promotd": write one of: {", ".join(r.EVENTS)}'],
        ),
        ("strategy: canary, on_fail: retry", ['on_fail: cannot be "retry": write one of: rollback, pause']),
        ("strategy: canary, lease: 1s", ["lease: is too short to be renewed: write at least 5s"]),
        (
            "strategy: canary, watch: {ttl: 30s}",
            ["watch: has no effect: write supervise: required beside it"],
        ),
        (
            "strategy: canary, notify: {webhook: hooks.example}",
            ["notify.webhook: cannot be used: write an address such as https://hooks.example/rollouts"],
        ),
        (
            "strategy: canary, notify: {webhook: 'https://a', secret: short}",
            ["notify.secret: cannot be used: write a secret of 8 to 1024 characters, in quotes"],
        ),
    ],
)
def test_what_is_wrong_is_said_once_and_what_would_be_right(text: str, messages: list[str], tmp_path: Path) -> None:
    assert wrong(tmp_path, text) == messages


def test_a_rollout_needs_a_candidate(tmp_path: Path) -> None:
    assert said(tmp_path, PLAIN + "rollout: {strategy: canary}") == [
        "rollout.strategy: needs upstreams.candidate: without it there is nobody to go to"
    ]
    assert said(tmp_path, PLAIN + "rollout: {stages: [{shadow: {}}, {canary: {weight: 5%}}]}") == [
        "rollout.stages[0].shadow: needs upstreams.candidate, or shadow.flags",
        "rollout.stages[1].canary: needs upstreams.candidate: without it there is nobody to go to",
    ]


FLAGGED = "flags: {file: flags.json}\n"
STICKY = "sticky: {by: header:x-user}"


def test_a_plan_of_flags_needs_no_candidate_and_a_bake_in_either_place(tmp_path: Path) -> None:
    stage = "{flag: {flag: a, variant: on, weights: [1%, 100%], bake: {for: 5m}}}"
    other = "{flag: {flag: b, variant: on, weights: [50%]}, bake: {for: 6m}}"
    text = PLAIN + FLAGGED + f"rollout: {{{STICKY}, stages: [{stage}, {other}]}}"
    assert said(tmp_path, text) == []
    plan = loaded(tmp_path, text).policy.services[0].rollout
    assert plan is not None
    assert plan.is_of_flags
    assert [(each.name, each.variant, each.weights, each.bake.seconds) for each in plan.stages] == [
        ("a", "on", (0.01, 1.0), 300.0),
        ("b", "on", (0.5,), 360.0),
    ]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("{flag: {flag: a, variant: on, weights: [5%]}}", "rollout.stages[0].flag: needs a flags section"),
        ("{flag: {flag: a, variant: on}}", "rollout.stages[0].flag.weights: is missing"),
        ("{flag: {flag: a, variant: on, weights: []}}", "rollout.stages[0].flag.weights: is empty"),
        ("{flag: {flag: a, variant: on, weights: [5%, 5%]}}", "is not more than 5% before it: weights only rise"),
        ("{flag: {flag: a, variant: true, weights: [5%]}}", 'flag.variant: cannot be "true": this is text'),
        ("{flag: {flag: a, variant: on, weights: [5%], bake: {for: 1m}}, bake: {for: 1m}}", "has one of its own"),
    ],
)
def test_a_flag_stage_that_cannot_be_says_why(tmp_path: Path, stage: str, message: str) -> None:
    flags = "" if "needs a flags section" in message else FLAGGED
    [found] = said(tmp_path, PLAIN + flags + f"rollout: {{{STICKY}, stages: [{stage}]}}")
    assert message in found


def test_two_rollouts_cannot_ramp_one_flag(tmp_path: Path) -> None:
    stage = "{flag: {flag: a, variant: on, weights: [5%]}}"
    service = f"{{{PLAIN.strip()}, rollout: {{{STICKY}, stages: [{stage}]}}, match: {{host: NAME.example}}}}"
    text = FLAGGED + f"services: {{x: {service.replace('NAME', 'x')}, y: {service.replace('NAME', 'y')}}}"
    [found] = said(tmp_path, text)
    assert "is ramped by services.x.rollout as well" in found


def test_a_mirror_stage_needs_something_that_is_mirrored(tmp_path: Path) -> None:
    text = "shadow: {sample: 0%}\nrollout: {stages: [{shadow: {}}, {approve: {}}]}"
    [found] = said(tmp_path, MIRRORED + text)
    assert found == "rollout.stages[0].shadow: mirrors nothing, since shadow.sample is 0%: write more there"


def test_every_mistake_has_its_place(tmp_path: Path) -> None:
    text = (
        "rollout:\n  stages:\n    - canary: {weight: 50%}\n    - name: less\n      canary: {weight: 5%}\n  lease: 1s\n"
    )
    assert [str(problem) for problem in problems(tmp_path, MIRRORED + text)] == [
        (
            "proxy.yaml:6:24: rollout.stages[1].canary.weight: is less than 50%, which the stages before reach: "
            "weights only rise"
        ),
        "proxy.yaml:7:10: rollout.lease: is too short to be renewed: write at least 5s",
    ]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("strategy: canary, checks: [{check: regressed_fields}]", "no noise is learned"),
        ("strategy: canary, checks: [{name: q, promql: up, max: 5, mode: observe}]", "needs rollout.prometheus"),
        ("stages: [{shadow: {}, bake: {for: 1h}}]", "after the last stage all users move at once"),
    ],
)
def test_what_works_and_is_hardly_meant_is_a_warning(text: str, warning: str, tmp_path: Path) -> None:
    [found] = loaded(tmp_path, f"{MIRRORED}rollout: {{{text}}}").warnings
    assert warning in found


def test_secrets_of_a_plan_are_masked(tmp_path: Path) -> None:
    text = """rollout: {strategy: canary, notify: {webhook: "https://hooks.example/T0/s3cret", secret: s3cret-s3cret},
        checks: [{name: gate, webhook: "https://ci.example/s3cret"}],
        prometheus: {url: "http://p", headers: {Authorization: "Bearer s3cret"}}}"""
    shown: Any = masked(loaded(tmp_path, MIRRORED + text))
    assert "s3cret" not in str(shown)
    assert shown["policy"]["services"][0]["rollout"]["notify"][0]["url"] == "https://hooks.example/***"


def test_a_rollout_is_described(tmp_path: Path) -> None:
    lines = describe(loaded(tmp_path, MIRRORED + "rollout: {name: v2, strategy: blue-green}"))
    assert "  rollout    v2, a feature: mirror, then switch" in lines


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("sticky: {by: 'header:a b'}", "write the name of a header field, such as x-user-id"),
        ("sticky: {by: 'cookie:a b'}", "write the name of a cookie, such as session"),
        ("stages: [{canary: {weight: 5%, match: {header: 'a:'}}}]", "write the value after the colon"),
        ("stages: [{canary: {weight: 5%, match: {cookie: 'a='}}}]", "write NAME=VALUE as it stands in the header"),
        ("checks: [{check: error_rate, max_absolute: 5}]", "write percentage points such as 0.1pp, or for latencies"),
        ("checks: [{check: error_rate, max_absolute: 200pp}]", "write percentage points from 0pp to 100pp"),
        ("checks: [{check: error_rate, max_relative: 10001%}]", "write a percentage from 0% to 10000%, such as 10%"),
        ("checks: [{check: error_rate, max: lots}]", "write a percentage for shares, a duration for latencies"),
        ("notify: {webhook: 'http://[::1'}", "write an address such as"),
        ("notify: {webhook: 'https://me:secret@a'}", "an address with a user in it is not sent"),
        ("prometheus: http://p, checks: [{name: q, promql: ' ', max: 1}]", "write a query of at most 4096 characters"),
    ],
)
def test_a_wrong_value_is_told_what_would_be_right(text: str, right: str, tmp_path: Path) -> None:
    whole = text if text.startswith("stages") else f"strategy: canary, {text}"
    [found] = wrong(tmp_path, whole)
    assert right in found
    assert "secret" not in found
