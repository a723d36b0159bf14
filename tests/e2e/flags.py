"""Flags files and what requests carry of them, for tests with real processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from shadowproxy.flags.fields import parse
from tests.e2e import wire
from tests.e2e.harness import Proxy
from tests.e2e.upstreams import RawUpstream

ON_OFF = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
STAFF = {"if": [{"ends_with": [{"var": "email"}, "@x.com"]}, "hello"]}
FLAGS: dict[str, Any] = {
    "new-checkout": ON_OFF,
    "banner": {
        "state": "ENABLED",
        "variants": {"hello": "Hallo Welt", "none": ""},
        "defaultVariant": "none",
        "targeting": STAFF,
    },
    "limit": {"state": "ENABLED", "variants": {"low": 3, "high": 30}, "defaultVariant": "low"},
    "ratio": {"state": "ENABLED", "variants": {"half": 0.5, "all": 1.0}, "defaultVariant": "half"},
    "layout": {"state": "ENABLED", "variants": {"wide": {"columns": 3}}, "defaultVariant": "wide"},
    "off": {**ON_OFF, "state": "DISABLED"},
    "nobody": {**ON_OFF, "defaultVariant": None},
}
CONTEXT = {"targetingKey": "header:x-user", "email": "header:x-email", "plan": "claim:plan"}


def written(path: Path, flags: dict[str, Any] | None = None, **more: Any) -> Path:
    """A flags file, in one piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"flags": FLAGS if flags is None else flags, **more}))
    temporary.replace(path)
    return path


def section(path: Path, **more: Any) -> dict[str, Any]:
    """The `flags` section of a configuration."""
    return {"file": str(path), "context": CONTEXT, **more}


def carried(upstream: RawUpstream) -> list[list[bytes]]:
    """The flags field of each request, line by line."""
    return [message.values(b"feature-flags") for message in wire.requests(upstream.received)]


def members(value: bytes) -> dict[str, str]:
    """A field's members by name."""
    found = parse(value)
    assert found is not None, value
    return {name.decode(): member.decode() for name, member in found.items()}


def change(proxy: Proxy, action: str, status: int = 200, **body: Any) -> Any:
    answer = httpx.post(f"{proxy.admin}/api/v1/flags/{action}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def processes(proxy: Proxy, title: str) -> list[int]:
    """Pids of the role whose title begins so: `ctl`, `w`."""
    found = {pid: Path(f"/proc/{pid}/comm").read_text().strip().partition(":")[2] for pid in proxy.tree()}
    return [pid for pid, name in found.items() if name.rstrip("0123456789") == title]
