"""Every configuration in the documents is one that shadowproxy takes.

A block of YAML is a whole configuration, or a part of one, which is completed. What is neither says so right before it:
`<!-- yaml: WHAT IT IS -->`; `below rollout` is a part of that section.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from shadowproxy.config import ConfigError, Overrides, load
from shadowproxy.model.policy import Registry
from tests.docs.documents import DOCUMENTS, ROOT, Block, blocks

UPSTREAMS = {
    "primary": {"urls": ["http://127.0.0.1:9001"]},
    "candidate": {"urls": ["http://127.0.0.1:9002"]},
}
BLOCKS = [block for path in DOCUMENTS for block in blocks(path) if block.language == "yaml"]
BELOW = "below rollout"
ENVIRONMENT = dict.fromkeys(("ONCALL_TOKEN", "CI_TOKEN", "WEBHOOK_SECRET"), "0" * 32)


def completed(block: Block) -> dict[str, Any]:
    """With what it leaves to others: upstreams, a plan, the file of flags."""
    document = YAML(typ="safe").load(block.text)
    if block.said.get("yaml") == BELOW:
        document = {"rollout": document}
    if "services" not in document:
        document["upstreams"] = UPSTREAMS | document.get("upstreams", {})
    if "rollout" in document and not {"stages", "strategy"} & set(document["rollout"]):
        document["rollout"]["strategy"] = "canary"
    if "flag:" in block.text:
        document.setdefault("flags", {"file": "flags.json"})
    return document


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.said.get("yaml", BELOW) == BELOW], ids=lambda block: block.place
)
def test_shadowproxy_takes_it(block: Block, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path, dirs_exist_ok=True)
    (tmp_path / "openapi.yaml").write_text("openapi: 3.1.0\npaths: {/items: {get: {}}}\n")
    (tmp_path / "secret").write_text("0" * 32)
    path = tmp_path / "document.yaml"
    with path.open("w") as file:
        YAML().dump(completed(block), file)
    path.write_text(path.read_text().replace("/run/secrets/hook", str(tmp_path / "secret")))
    try:
        load(path, Overrides(), Registry(), ENVIRONMENT)
    except ConfigError as error:
        pytest.fail(f"{block.place}:\n" + "\n".join(map(str, error.problems)))
