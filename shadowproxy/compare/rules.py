"""The comparison rules of one route, compiled once per policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from shadowproxy.compare.fields import FieldTree, Rule
from shadowproxy.compare.paths import BODY_ROOMS, compile_names, compile_path
from shadowproxy.compare.tolerance import Tolerance
from shadowproxy.model.policy import ComparePolicy


class RouteRules:
    """What `ignore`, `unordered`, `tolerance` and `identity` of one route come to.

    `ignored` holds the ignored fields outside JSON as they are written, `fields` the tree of the JSON fields.
    `private` says which member names must not be written. Raises PathError for a path that the grammar refuses;
    a configuration is checked for that beforehand.
    """

    __slots__ = ("by_nature", "fields", "ignored", "policy", "ruled_body")

    def __init__(self, policy: ComparePolicy, private: Callable[[str], bool] = lambda key: False) -> None:
        self.policy: Final = policy
        ignored = [compile_path(text) for text in policy.ignore]
        rules = [Rule(path, ignore=True) for path in ignored]
        rules += [Rule(compile_path(text), unordered=True) for text in policy.unordered]
        rules += [Rule(compile_path(text), tolerance=Tolerance(limit)) for text, limit in policy.tolerance.items()]
        rules += [
            Rule(compile_path(text), tolerance=Tolerance(relative=share))
            for text, share in policy.relative_tolerance.items()
        ]
        rules += [Rule(compile_path(text), identity=compile_names(way)) for text, way in policy.identity.items()]
        self.fields: Final = FieldTree(rules, private)
        self.ignored: Final = frozenset(
            f"{path.room}:{path.name}" if path.name else path.room for path in ignored if path.room != "json"
        )
        self.by_nature: Final = frozenset(name.encode("latin-1") for name in policy.by_nature)
        self.ruled_body: Final = any(rule.path.room in BODY_ROOMS for rule in rules)
        """Whether any rule looks into bodies."""
