"""`make sbom`: what shadowproxy is delivered with, as CycloneDX 1.6 and as a list of licences, in dist/.

Read off an environment that holds what requirements.lock names and nothing else, and off the lock file of the
dashboard's libraries. Exits with 1 for a component whose licence is unknown or none that an Apache-2.0 product may be
delivered with.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
DIST: Final = ROOT / "dist"
SBOM: Final = DIST / "shadowproxy.cdx.json"
LICENCES: Final = DIST / "licences.md"
VENDORED: Final = ROOT / "tools" / "vendor"
TOOLS: Final = Path(sys.executable).parent

PERMITTED: Final = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
    "Python-2.0",
    "Unlicense",
    "Zlib",
}
"""SPDX. MPL-2.0 binds the files that are under it alone, and none of them is changed."""
NAMES: Final = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
}
"""What packages say that do not speak SPDX, of those that are delivered."""


class LicenceError(Exception):
    """A component that may not be delivered, or of which that is not known."""


def main() -> int:
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        python = environment(Path(directory))
        document = described(python)
    document["components"] += list(vendored(VENDORED))
    SBOM.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    try:
        rows = [(each["name"], each["version"], licence(each)) for each in document["components"]]
    except LicenceError as error:
        print(f"make sbom: {error}", file=sys.stderr)
        return 1
    LICENCES.write_text(table(rows), encoding="utf-8")
    for path in (SBOM, LICENCES):
        print(f"{path.relative_to(ROOT)}: {len(rows)} components")
    return 0


def environment(directory: Path) -> Path:
    """An interpreter with the locked packages and shadowproxy, without pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    python = directory / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-compile"]
    subprocess.run([*pip, "--require-hashes", "--requirement", ROOT / "requirements.lock"], check=True)
    subprocess.run([*pip, "--no-deps", ROOT], check=True)
    return python


def described(python: Path) -> dict[str, Any]:
    """CycloneDX's own description of an environment, validated by it."""
    command = [TOOLS / "cyclonedx-py", "environment", "--pyproject", ROOT / "pyproject.toml", "--output-reproducible"]
    command += ["--spec-version", "1.6", "--output-format", "JSON", "--output-file", "-", python]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    found["components"] = [each for each in found["components"] if each["name"] != "shadowproxy"]
    return found


def vendored(directory: Path) -> Iterator[dict[str, Any]]:
    """The libraries in the dashboard's bundle: what is needed to run it, not what it is made with."""
    for path, package in sorted(json.loads((directory / "package-lock.json").read_text())["packages"].items()):
        if path and not package.get("dev"):
            name, version = path.removeprefix("node_modules/"), package["version"]
            purl = f"pkg:npm/{name.replace('@', '%40')}@{version}"
            yield {
                "type": "library",
                "bom-ref": purl,
                "name": name,
                "version": version,
                "purl": purl,
                "licenses": [{"license": {"id": package["license"]}}],
            }


def licence(component: dict[str, Any]) -> str:
    """An SPDX expression. Raises LicenceError for none, or for one that is not permitted."""
    said = [_spdx(each) for each in component.get("licenses", [])]
    found = next((each for each in said if each), "")
    if not found:
        what = json.dumps(component.get("licenses", []))
        raise LicenceError(f"{component['name']} {component['version']}: no licence that is known here in {what}")
    return found


def _spdx(entry: dict[str, Any]) -> str:
    stated = (
        entry.get("expression") or entry["license"].get("id") or entry["license"].get("name", "").rpartition(" :: ")[2]
    )
    expression = NAMES.get(stated, stated)
    alternatives = re.split(r" OR ", expression.replace("(", "").replace(")", ""))
    good = any(all(part in PERMITTED for part in each.split(" AND ")) for each in alternatives)
    return expression if good else ""


def table(rows: list[tuple[str, str, str]]) -> str:
    lines = [f"| {name} | {version} | {spdx} |" for name, version, spdx in sorted(rows, key=lambda row: row[0].lower())]
    return "\n".join(["| component | version | licence |", "|---|---|---|", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
