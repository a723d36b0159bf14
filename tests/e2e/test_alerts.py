"""The alert rules: what they are about exists, they say what their runbooks say, and Prometheus takes them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from shadowproxy.metrics.series import HISTOGRAM, SERIES
from tests.e2e.harness import Proxy, eventually, get
from tests.e2e.prometheus import prometheus
from tests.e2e.talk import settings

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "deploy" / "prometheus"
GROUPS = YAML(typ="safe").load(DIRECTORY / "rules.yaml")["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
NAMES = re.compile(r"((?:[a-z_]+:)?shadowproxy_\w+(?::\w+)?)(?:\{([^}]*)\})?")
SUFFIXES = ("_bucket", "_count", "_sum")


def promtool(*arguments: str, text: bytes = b"") -> tuple[int, str]:
    """The exit code, and what it complains of."""
    command = ["promtool", *arguments]
    done = subprocess.run(command, cwd=DIRECTORY, input=text, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    return done.returncode, "" if done.returncode == 0 else said


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "rules.yaml"), ("test", "rules", "tests.yaml", "tests-hours.yaml")]
)
def test_promtool_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    assert promtool(*arguments) == (0, "")


def test_every_alert_is_tried() -> None:
    text = "".join(path.read_text() for path in DIRECTORY.glob("tests*.yaml"))
    tried = set(re.findall(r"alertname: (\w+)", text))
    assert tried == {rule["alert"] for rule in ALERTS}


def test_every_series_and_label_in_a_rule_exists() -> None:
    known = {each.name: set(each.labels) for each in SERIES}
    histograms = [each for each in SERIES if each.kind == HISTOGRAM]
    known |= {each.name + suffix: {*each.labels, "le"} for each in histograms for suffix in SUFFIXES}
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    for rule in RULES:
        for name, labels in re.findall(
            r"([a-z_]+:?shadowproxy_\w+(?::\w+)?|shadowproxy_\w+)(?:\{([^}]*)\})?", rule["expr"]
        ):
            assert name in known or name in recorded, (name, rule)
            used = set(re.findall(r"(\w+)\s*[=!]~?", labels or ""))
            assert used <= known.get(name, used), (name, used)


def test_every_alert_has_a_severity_and_a_runbook_that_names_it() -> None:
    books = {path.name: path.read_text() for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    index = books.pop("README.md")
    for rule in ALERTS:
        path = ROOT / rule["annotations"]["runbook_url"]
        assert f"`{rule['alert']}`" in books[path.name]
        assert f"({rule['labels']['severity']})" in books[path.name]
        assert f"({path.name})" in index
    assert {Path(rule["annotations"]["runbook_url"]).name for rule in ALERTS} == set(books)


def test_a_real_prometheus_evaluates_them_over_a_real_proxy(proxies: Callable[..., Proxy], tmp_path: Path) -> None:
    flags = {"file": str(ROOT / "config" / "flags.json")}
    proxy = proxies(settings("http://127.0.0.1:1", "http://127.0.0.1:1", flags=flags))
    assert promtool("check", "metrics", text=get(f"{proxy.admin}/metrics")[1]) == (0, "")
    with prometheus(tmp_path, proxy.admin.removeprefix("http://"), str(DIRECTORY / "rules.yaml")) as running:

        def rules() -> dict[str, Any]:
            groups = json.loads(get(f"{running.url}/api/v1/rules")[1])["data"]["groups"]
            return {rule["name"]: rule for group in groups for rule in group["rules"]}

        def healths() -> set[str]:
            return {each["health"] for each in rules().values()}

        eventually(lambda: healths() == {"ok"}, 20, "every rule was evaluated")
        assert len(rules()) == len({rule.get("alert", rule.get("record")) for rule in RULES})
        # Nothing listens where the primary should be: it is taken out of rotation, and somebody is going to be woken.
        name = "ShadowproxyPrimaryUnreachable"
        eventually(lambda: get(proxy.url + "/")[0] and rules()[name]["state"] != "inactive", 30)
