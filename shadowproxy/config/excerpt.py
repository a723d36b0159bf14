"""The part of a long YAML file that names the paths of an API: the rest is blanked, so that lines keep their numbers.

The YAML parser reads about 200 KB/s, and of an OpenAPI file hardly a hundredth is asked for here. Files are written
line by line nearly always; one that is not does not survive the cut and is read as a whole (`config.openapi`).
"""

from __future__ import annotations

import re
from typing import Final

_TOP: Final = re.compile(r"""["']?(openapi|swagger|basePath|servers|paths)["']?\s*:""")
_SERVERS: Final = re.compile(r"""["']?servers["']?\s*:""")


def excerpt(text: str) -> str:
    """The version, the base paths and the servers; of `paths` the keys, each with servers of its own."""
    kept: list[str] = []
    within = ""
    item = -1
    """How far in the keys of `paths` stand; -1 until the first."""
    inner = -1
    """How far in the keys of one path stand; -1 until its first."""
    servers = False
    for line in text.split("\n"):
        plain = line.strip()
        indent = len(line) - len(line.lstrip(" "))
        keep = False
        if not plain or plain.startswith("#"):
            pass
        elif line[indent] == "\t":
            keep = True  # for the parser to refuse
        elif indent == 0 and (top := _TOP.match(plain)):
            within, item, keep = top.group(1), -1, True
        elif indent == 0 and not plain.startswith("- "):
            within, keep = "", plain.startswith(("---", "...", "%"))
        elif within != "paths":
            keep = bool(within)
        elif item < 0 or indent <= item:
            item, inner, servers, keep = indent, -1, False, True
        elif inner < 0 or indent <= inner:
            inner = indent
            servers = keep = bool(_SERVERS.match(plain)) or (servers and plain.startswith("- "))
        else:
            keep = servers
        kept.append(line if keep else "")
    return "\n".join(kept)
