"""The reference of the file, rendered from the document. `python -m shadowproxy.config.reference` writes it out."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

from shadowproxy.config import document as doc
from shadowproxy.config.accepted import FILE_NAME, AcceptedEntry
from shadowproxy.config.defaults import default_of
from shadowproxy.config.differences import RESTART
from shadowproxy.config.outline import kind_of
from shadowproxy.config.section import Section
from shadowproxy.config.values import Kind
from shadowproxy.model.nature import IGNORED_FIELDS

_ARM: Final = re.compile(r"\b(?:primary|candidate|secondary)\b")
_HEAD: Final = """\
# Configuration

<!-- Made by `python -m shadowproxy.config.reference`; a test says whether it is current. -->

One file of YAML 1.2 (`on`, `yes` and `1:20` are text). `shadowproxy check FILE` says what it means, `shadowproxy
schema` prints a JSON Schema for editors, and the directory `config/` has examples that start as they are.

- **Everything is checked before anything starts**: an unknown key, a wrong type or an impossible combination stops the
  start (or the reload, which leaves the running configuration in place), with every mistake at once, each as
  `file:line:column: path: what is wrong and what would be right`.
- **Units**: percentages `25%`, durations `250ms 10s 5m 24h 7d`, sizes `512B 64KiB 1MiB 1GiB`, rates `240B/s`. A plain
  number is refused where a unit is needed. `none` turns a limit off where the table says so.
- **Values from outside**: `${NAME}`, `${NAME:-default}` and `${file:/path}` in any value, expanded after parsing, so
  they cannot add keys; `$${` is a literal `${`. A variable that is not set is a mistake. No message shows what they
  become.
- **Paths** of files and sockets are relative to the file; on the command line, to the working directory.
- **The command line** (`--primary`, `--candidate`, `--secondary`, `--listen`, `--admin`, `--probe`, `--metrics`,
  `--data-dir`, `--sample`, `--workers`) replaces what the file says. A route that has a `sample` of its own keeps it.
- **One service** may have its keys at the top level: `upstreams`, `match`, `shadow`, `compare`, `isolation`,
  `capture`, `routes`, `endpoints`, `rollout`. It is then called `default`, or what `service` says. With `services` they
  stand below a name each.
- **A route's rules and its service's**: values of `shadow` replace the service's one by one (`headers` arm by arm);
  what `compare` says of fields adds to what the service says, its caps replace the service's.
- **A reload** (SIGHUP) takes everything but the keys marked *restart*; it names those that were changed.
"""


_LENGTH: Final = "`content-length` is compared through the body; where an answer has none (HEAD, 304), by itself."


def reference() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD]
    for section, paths in _places().items():
        parts.append("\n".join(_section(section, paths)))
    parts.append("\n".join(_section(AcceptedEntry, [f"{FILE_NAME}[]"])))
    ignored = ", ".join(f"`{name.decode()}`" for name in sorted(IGNORED_FIELDS))
    parts.append(
        f"## Ignored by default\n\nThese header fields differ by nature and are never compared: {ignored}.\n{_LENGTH}"
    )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _places() -> dict[type[Section], list[str]]:
    """Every kind of section with all the paths at which it may stand, in the order of the file."""
    places: dict[type[Section], list[str]] = {}
    for path, section in _walk(doc.Document, ""):
        places.setdefault(section, []).append(path)
    return places


def _walk(section: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    yield path, section
    for name, field in section.model_fields.items():
        inner = kind_of(field)
        if isinstance(inner, type) and name != "services":
            many = "[]" if "tuple" in str(field.annotation) else ""
            yield from _walk(inner, f"{path}.{name}{many}".lstrip("."))


def _section(section: type[Section], paths: list[str]) -> list[str]:
    shown = ", ".join(dict.fromkeys(f"`{_ARM.sub('ARM', path)}`" for path in paths))
    lines = [f"## {shown}" if paths != [""] else "## Top level", ""]
    about = vars(section).get("__doc__")
    if about:
        lines += [" ".join(str(about).split()), ""]
    lines += ["| key | kind | default | |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        needed = "required" if name in section.needs else ""
        default = _shown(default_of(section, name))
        path = f"{paths[0]}.{name}".lstrip(".")
        text = (field.description or "") + (" *restart*" if path in RESTART.values() else "")
        lines.append(f"| `{name}` | {_kind(section, name)} | {default or needed} | {text} |")
    return lines


def _kind(section: type[Section], name: str) -> str:
    field = section.model_fields[name]
    kind = kind_of(field)
    label = kind.label if isinstance(kind, Kind) else "section"
    written = str(field.annotation)
    if "dict" in written:
        return f"by name: {label}"
    if "tuple" in written:
        return f"list of: {label}"
    return label


def _shown(default: Any) -> str:
    if default is None:
        return ""
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
