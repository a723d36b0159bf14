"""What the chart deploys, run here: the rendered configuration, the probes, the end in the time that it has."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.deploy.chart import SIDECAR, render
from tests.e2e.conftest import Starter
from tests.e2e.harness import eventually, get

pytestmark = pytest.mark.e2e


def test_the_sidecar_is_ready_before_its_app_and_ends_in_its_time(proxies: Starter, tmp_path: Path) -> None:
    rendered = render(SIDECAR | {"drain": {"timeoutSeconds": 5}})
    config = YAML(typ="safe").load(rendered.config)
    for listener in ("probe", "metrics"):
        config.pop(listener)
    config.pop("listen")
    config["data_dir"] = str(tmp_path / "data")
    proxy = proxies(json.loads(json.dumps(config)))
    container = rendered.container
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = container[probe]["httpGet"]["path"]
        assert eventually(lambda path=path: get(f"{proxy.probe}{path}")[0] == 200)
    began = time.monotonic()
    proxy.stop()
    assert time.monotonic() - began < rendered.pod["spec"]["terminationGracePeriodSeconds"]
