"""The Helm chart, rendered by Helm itself, and what an API server would say of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "kubernetes" / "shadowproxy"
HELM: Final = Path(sys.executable).parent / "helm"

Manifest = dict[str, Any]

UPSTREAMS: Final = {
    "upstreams": {
        "primary": {"urls": ["http://shop-v1:8000"]},
        "candidate": {"urls": ["http://shop-v2:8000"]},
    }
}
ROLLOUT: Final = UPSTREAMS | {"rollout": {"name": "shop-v2", "strategy": "canary"}}
GATEWAY: Final = {"config": ROLLOUT}
SIDECAR: Final = {
    "mode": "sidecar",
    "sidecar": {"app": {"image": "shop:1.4", "port": 8000, "env": [{"name": "MODE", "value": "production"}]}},
    "config": {"upstreams": {"candidate": {"urls": ["http://shop-v2:8000"]}}},
}
EVERYTHING: Final = {
    "config": ROLLOUT,
    "image": {"repository": "images.example/shadowproxy", "digest": "sha256:" + "a" * 64},
    "imagePullSecrets": [{"name": "images"}],
    "restartOnConfigChange": True,
    "drain": {"delaySeconds": 20, "timeoutSeconds": 120},
    "env": [{"name": "STAGE", "value": "production"}],
    "envFrom": [{"secretRef": {"name": "more"}}],
    "persistence": {"size": "10Gi", "storageClass": "fast", "accessMode": "ReadWriteOncePod"},
    "service": {"type": "LoadBalancer", "port": 8443, "annotations": {"example.com/balancer": "internal"}},
    "admin": {
        "tokens": [
            {"name": "oncall", "role": "operator", "secret": {"name": "tokens", "key": "oncall"}},
            {"name": "ci", "role": "viewer", "secret": {"name": "tokens", "key": "ci"}},
        ]
    },
    "networkPolicy": {
        "from": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        "adminFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "shop"}}}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "podAnnotations": {"example.com/team": "shop"},
    "podLabels": {"team": "shop"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
MIRRORS: Final = {"config": UPSTREAMS, "replicas": 3, "persistence": {"enabled": False}}
"""Several pods, none of which decides anything."""
CASES: Final = {
    "gateway": GATEWAY,
    "sidecar": SIDECAR,
    "everything": EVERYTHING,
    "mirrors": MIRRORS,
    "bare": {
        "config": UPSTREAMS,
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "persistence": {"existingClaim": "kept"},
    },
    "sidecar with tokens": SIDECAR
    | {"admin": EVERYTHING["admin"], "serviceMonitor": {"enabled": True}, "restartOnConfigChange": True},
    "sidecar that decides": SIDECAR | {"config": ROLLOUT},
    "library": {"mode": "library", "config": UPSTREAMS},
}


class HelmError(Exception):
    """What Helm says when it refuses."""


@dataclass
class Rendered:
    manifests: list[Manifest]

    def one(self, kind: str, name: str = "") -> Manifest:
        (found,) = (each for each in self.manifests if each["kind"] == kind and name in ("", each["metadata"]["name"]))
        return found

    def kinds(self) -> set[str]:
        return {each["kind"] for each in self.manifests}

    @property
    def pod(self) -> Manifest:
        return self.one("Deployment")["spec"]["template"]

    @property
    def container(self) -> Manifest:
        """Ours, wherever it is."""
        spec = self.pod["spec"]
        (found,) = (c for c in [*spec["containers"], *spec.get("initContainers", ())] if c["name"] == "shadowproxy")
        return found

    @property
    def config(self) -> str:
        return self.one("ConfigMap")["data"]["config.yaml"]


def helm(*arguments: str | Path, values: object = None) -> str:
    """Raises HelmError."""
    command = [HELM, *arguments] + (["--values", "-"] if values is not None else [])
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


def render(values: object, chart: Path = CHART) -> Rendered:
    text = helm("template", "shop", chart, "--namespace", "apps", "--kube-version", "1.33", values=values)
    return Rendered([each for each in YAML(typ="safe").load_all(text) if each])
