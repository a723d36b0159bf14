"""What the chart renders is valid, fits together and fits what shadowproxy does; what it refuses it explains."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from shadowproxy import __version__
from shadowproxy.config import Overrides, load
from shadowproxy.model.policy import Loaded, Registry
from tests.deploy.chart import (
    CASES,
    CHART,
    EVERYTHING,
    GATEWAY,
    ROLLOUT,
    ROOT,
    SIDECAR,
    UPSTREAMS,
    HelmError,
    Manifest,
    Rendered,
    helm,
    render,
)
from tools.image.dockerfile import stages

IMAGE = stages((ROOT / "Dockerfile").read_text())[-1]
OPERATORS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which Kubernetes' own schemas do not describe."""
DEPLOYED = [name for name in CASES if name != "library"]
TOKENS = {"ADMIN_TOKEN_0": "one" * 8, "ADMIN_TOKEN_1": "two" * 8}


@cache
def case(name: str) -> Rendered:
    return render(CASES[name])


def loaded(rendered: Rendered, directory: Path) -> Loaded:
    path = directory / "config.yaml"
    path.write_text(rendered.config)
    return load(path, Overrides(), Registry(), TOKENS)


def ports(container: Manifest) -> dict[str, int]:
    return {each["name"]: each["containerPort"] for each in container["ports"]}


def test_it_is_of_the_version_that_it_deploys() -> None:
    chart = YAML(typ="safe").load(CHART / "Chart.yaml")
    assert chart["appVersion"] == __version__
    assert render(GATEWAY).container["image"] == f"shadowproxy:{__version__}"


@pytest.mark.parametrize("name", CASES)
def test_helm_finds_nothing_wrong(name: str) -> None:
    assert "0 chart(s) failed" in helm("lint", CHART, "--strict", values=CASES[name])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_every_manifest_is_one_that_kubernetes_takes(name: str, version: str) -> None:
    for manifest in case(name).manifests:
        if manifest["kind"] not in OPERATORS:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("name", CASES)
def test_shadowproxy_takes_the_configuration(name: str, tmp_path: Path) -> None:
    launch = loaded(case(name), tmp_path).launch
    assert (launch.probe.port, launch.metrics.port if launch.metrics else 0) == (9901, 9902)
    assert launch.data_dir == "/data"


@pytest.mark.parametrize("name", DEPLOYED)
def test_it_listens_where_the_container_says(name: str, tmp_path: Path) -> None:
    policy = loaded(case(name), tmp_path)
    container = case(name).container
    named = ports(container)
    launch = policy.launch
    assert [str(bind.port) for bind in launch.listen] == [str(named["http"])]
    assert {bind.host for bind in launch.listen} == {"0.0.0.0"}
    assert (launch.probe.port, launch.probe.host) == (named["probe"], "0.0.0.0")
    assert (launch.admin.bind.port, launch.admin.bind.host) == (9900, "0.0.0.0" if "admin" in named else "127.0.0.1")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "probe"


@pytest.mark.parametrize("name", DEPLOYED)
def test_it_runs_as_the_image_was_tried(name: str) -> None:
    container = case(name).container
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    security = container["securityContext"]
    assert container["args"] == IMAGE.argv("CMD")
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == IMAGE.settings["USER"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["runAsNonRoot"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert set(mounts) == {"/etc/shadowproxy", "/data", "/tmp"}
    assert {each["name"] for each in mounts.values()} == {each["name"] for each in case(name).pod["spec"]["volumes"]}
    assert case(name).pod["spec"]["securityContext"]["fsGroup"] == security["runAsGroup"]
    assert case(name).pod["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", DEPLOYED)
def test_every_selector_finds_the_pod(name: str) -> None:
    labels = case(name).pod["metadata"]["labels"].items()
    for manifest in case(name).manifests:
        spec = manifest.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        if manifest["kind"] != "ServiceMonitor":
            assert selector.get("matchLabels", selector).items() <= labels, manifest["kind"]
    for service in (each for each in case(name).manifests if each["kind"] == "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports(case(name).container).keys()


def test_prometheus_finds_the_service_with_the_metrics() -> None:
    rendered = case("everything")
    monitor = rendered.one("ServiceMonitor")["spec"]
    services = [each for each in rendered.manifests if each["kind"] == "Service"]
    found = [s for s in services if monitor["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()]
    assert [each["metadata"]["name"] for each in found] == ["shop-shadowproxy-admin"]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in found[0]["spec"]["ports"]}


def test_the_operators_rules_are_those_of_prometheus() -> None:
    rules = ROOT / "deploy" / "prometheus" / "rules.yaml"
    assert (CHART / "files" / "rules.yaml").read_text() == rules.read_text()
    assert case("everything").one("PrometheusRule")["spec"] == YAML(typ="safe").load(rules)


@pytest.mark.parametrize(
    ("drain", "margin"), [({}, 5), ({"delaySeconds": 7}, 2), ({"delaySeconds": 45, "timeoutSeconds": 600}, 30)]
)
def test_the_gateway_has_the_time_that_its_drain_takes(drain: dict[str, int], margin: int, tmp_path: Path) -> None:
    rendered = render(GATEWAY | {"drain": drain, "terminationMarginSeconds": margin})
    launch = loaded(rendered, tmp_path).launch
    grace = rendered.pod["spec"]["terminationGracePeriodSeconds"]
    assert grace == launch.drain_delay + launch.drain_timeout + margin


def test_nobody_is_sent_any_more_when_the_gateway_stops_accepting(tmp_path: Path) -> None:
    for rendered in (case("gateway"), render(GATEWAY | {"drain": {"delaySeconds": 7}})):
        probe = rendered.container["readinessProbe"]
        noticed = timedelta(seconds=probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"])
        assert noticed <= timedelta(seconds=loaded(rendered, tmp_path).launch.drain_delay)


@pytest.mark.parametrize(
    ("app", "drain"),
    [
        ({}, {}),
        ({"preStopSeconds": 25, "terminationSeconds": 300}, {}),
        ({"preStopSeconds": 1}, {"timeoutSeconds": 90}),
    ],
)
def test_the_sidecar_outlasts_the_app_within_the_pods_grace_period(
    app: dict[str, int], drain: dict[str, int], tmp_path: Path
) -> None:
    rendered = render(SIDECAR | {"sidecar": {"app": {"image": "shop:1", **app}}, "drain": drain})
    spec, launch = rendered.pod["spec"], loaded(rendered, tmp_path).launch
    (own,) = spec["containers"]
    waits = own["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert launch.drain_delay == 0  # by then nobody has sent for as long as the app's preStop took
    assert waits == app.get("preStopSeconds", 10)
    ends = waits + app.get("terminationSeconds", 30)
    assert spec["terminationGracePeriodSeconds"] == ends + launch.drain_timeout + 5


def test_the_sidecar_is_native_and_is_ready_before_the_app_starts() -> None:
    (sidecar,) = case("sidecar").pod["spec"]["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/readyz"


def test_the_sidecars_primary_is_the_app(tmp_path: Path) -> None:
    (service,) = loaded(case("sidecar"), tmp_path).policy.services
    assert "127.0.0.1" in str(service.upstreams["primary"])
    assert "8000" in str(service.upstreams["primary"])
    assert case("sidecar").one("Service", "shop-shadowproxy")["spec"]["ports"][0]["targetPort"] == "http"


def test_two_pods_never_have_one_state() -> None:
    assert case("gateway").one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert case("gateway").kinds() >= {"PersistentVolumeClaim"}
    mirrors = case("mirrors").one("Deployment")["spec"]
    assert (mirrors["replicas"], mirrors["strategy"]["type"]) == (3, "RollingUpdate")
    assert "emptyDir" in mirrors["template"]["spec"]["volumes"][1]


def test_a_sidecar_that_decides_about_a_rollout_keeps_its_state_and_is_alone() -> None:
    decides = render(SIDECAR | {"config": ROLLOUT})
    claim = decides.one("PersistentVolumeClaim")["metadata"]["name"]
    data = {each["name"]: each for each in decides.pod["spec"]["volumes"]}["shadowproxy-data"]
    assert data["persistentVolumeClaim"]["claimName"] == claim
    assert decides.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert render(SIDECAR | {"config": ROLLOUT, "persistence": {"enabled": False}}).one("Deployment")["spec"][
        "strategy"
    ] == {"type": "Recreate"}
    mirrors = case("sidecar")
    assert mirrors.one("Deployment")["spec"]["strategy"]["type"] == "RollingUpdate"
    assert "PersistentVolumeClaim" not in mirrors.kinds()


def test_one_pod_is_not_evicted_and_of_several_one_may_be() -> None:
    assert case("gateway").one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 0
    assert case("mirrors").one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_the_policy_opens_the_ports_that_there_are() -> None:
    def opened(name: str) -> dict[str, Any]:
        rules = case(name).one("NetworkPolicy")["spec"]["ingress"]
        return {rule["ports"][0]["port"]: rule.get("from") for rule in rules}

    assert opened("gateway") == {"http": None, "metrics": [{"namespaceSelector": {}}]}
    assert opened("everything") == {
        "http": EVERYTHING["networkPolicy"]["from"],
        "metrics": EVERYTHING["networkPolicy"]["metricsFrom"],
        "admin": EVERYTHING["networkPolicy"]["adminFrom"],
    }
    assert case("everything").one("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_tokens_come_from_secrets_alone() -> None:
    env = {each["name"]: each for each in case("everything").container["env"]}
    assert env["ADMIN_TOKEN_1"]["valueFrom"]["secretKeyRef"] == {"name": "tokens", "key": "ci"}
    assert re.findall(r"token: (\S+)", case("everything").config) == ["${ADMIN_TOKEN_0}", "${ADMIN_TOKEN_1}"]
    assert "shop-shadowproxy-admin.apps.svc" in case("everything").config


def test_a_changed_configuration_restarts_pods_only_where_that_is_wanted() -> None:
    def annotations(values: dict[str, Any]) -> dict[str, str]:
        return render(values).pod["metadata"].get("annotations", {})

    changed = {"config": ROLLOUT | {"shadow": {"sample": "5%"}}}
    assert annotations(GATEWAY) == annotations(changed) == {}
    wanted = {"restartOnConfigChange": True}
    assert annotations(GATEWAY | wanted) != annotations(changed | wanted)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, r"config: it needs upstreams: \{primary"),
        (GATEWAY | {"mode": "gatway"}, 'mode must be one of the following: "gateway", "sidecar", "library"'),
        (GATEWAY | {"replica": 2}, "Additional property replica is not allowed"),
        (GATEWAY | {"replicas": 2}, "replicas: a rollout's state is on one pod's disk"),
        ({"config": UPSTREAMS, "replicas": 2}, "replicas: pods cannot share one state"),
        ({"config": {"services": {"a": ROLLOUT}}, "replicas": 2}, "replicas: a rollout's state"),
        (GATEWAY | {"config": ROLLOUT | {"listen": "0.0.0.0:80"}}, "config.listen is set by the chart: leave it out"),
        (GATEWAY | {"drain": {"delaySeconds": -1}}, "drain.delaySeconds: Must be greater than or equal to 7"),
        (GATEWAY | {"persistence": {"size": "much"}}, "persistence.size: Does not match pattern"),
        (GATEWAY | {"admin": {"tokens": [{"name": "a", "role": "root"}]}}, "admin.tokens.0.role"),
        (GATEWAY | {"podLabels": {"app.kubernetes.io/name": "mine"}}, "podLabels"),
        ({"mode": "sidecar"}, "sidecar.app.image: mode sidecar needs the app's image"),
        (
            SIDECAR | {"config": ROLLOUT, "sidecar": {"app": {"image": "a", "replicas": 2}}},
            "sidecar.app.replicas: each pod would decide about the rollout by itself",
        ),
    ],
)
def test_wrong_values_are_refused_with_what_would_be_right(values: dict[str, Any], says: str) -> None:
    with pytest.raises(HelmError, match=says):
        render(values)


def test_another_charts_pods_take_the_sidecar_in(tmp_path: Path) -> None:
    app = tmp_path / "app"
    shutil.copytree(CHART, app / "charts" / "shadowproxy")
    (app / "templates").mkdir()
    (app / "Chart.yaml").write_text(
        "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n  - {name: shadowproxy, version: ~0}\n"
    )
    (app / "templates" / "pod.yaml").write_text(LIBRARY_POD)
    rendered = render({"shadowproxy": {"mode": "library", "config": UPSTREAMS}}, app)
    pod = rendered.one("Pod")
    kubernetes_validate.validate(pod, "1.37", strict=True)
    (volume, *_) = pod["spec"]["volumes"]
    assert pod["spec"]["initContainers"][0]["args"] == IMAGE.argv("CMD")
    assert volume["configMap"]["name"] == rendered.one("ConfigMap")["metadata"]["name"]
    assert rendered.kinds() == {"Pod", "ConfigMap"}


LIBRARY_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  terminationGracePeriodSeconds: {{ add 10 30 (include "shadowproxy.ending" .Subcharts.shadowproxy) }}
  initContainers:
    {{- include "shadowproxy.sidecar" .Subcharts.shadowproxy | nindent 4 }}
  containers:
    - {name: app, image: "app:1"}
  volumes:
    {{- include "shadowproxy.volumes" .Subcharts.shadowproxy | nindent 4 }}
"""
