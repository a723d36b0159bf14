"""The Grafana dashboard: it is what its code makes, and everything that it asks for exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from shadowproxy.metrics.series import HISTOGRAM, SERIES

DIRECTORY = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARD = json.loads((DIRECTORY / "shadowproxy.json").read_text())
PANELS: list[dict[str, Any]] = [
    inner for panel in DASHBOARD["panels"] for inner in (panel, *panel.get("panels", ())) if inner["type"] != "row"
]


def expressions() -> Iterator[str]:
    for panel in PANELS:
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["expr"] for each in DASHBOARD["annotations"]["list"])
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"].removeprefix("label_values(").removesuffix(", service)")


def test_it_is_what_its_code_makes() -> None:
    made = subprocess.run([sys.executable, DIRECTORY / "generate.py"], capture_output=True, timeout=60, check=True)
    assert json.loads(made.stdout) == DASHBOARD, "make docs"


def test_every_series_and_label_exists_and_every_query_can_be_read(tmp_path: Path) -> None:
    known = {each.name: {*each.labels, "instance"} for each in SERIES}
    known |= {f"{each.name}_bucket": {*each.labels, "le"} for each in SERIES if each.kind == HISTOGRAM}
    rules = []
    for number, expression in enumerate(expressions()):
        for name, labels in re.findall(r"(shadowproxy_\w+)(?:\{([^}]*)\})?", expression):
            assert name in known, expression
            assert set(re.findall(r"(\w+)=~?\"", labels)) <= known[name], expression
        rules.append({"record": f"a:{number}", "expr": expression.replace("$__rate_interval", "1m")})
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_legible() -> None:
    for panel in PANELS:
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        if panel["type"] != "state-timeline":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations([panel["gridPos"] for panel in DASHBOARD["panels"]], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart or above


def test_phases_and_weights_are_annotations() -> None:
    assert {each["name"] for each in DASHBOARD["annotations"]["list"]} == {"phases", "weights"}
