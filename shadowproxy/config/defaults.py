"""What an absent key means, read from the policy and written as it would stand in the file."""

from __future__ import annotations

from typing import Any, Final

from shadowproxy.config import document as doc
from shadowproxy.config.outline import kind_of
from shadowproxy.config.rollout import Rollout, Watch
from shadowproxy.config.rollout_values import FAILURES
from shadowproxy.config.section import Section
from shadowproxy.config.values import Kind
from shadowproxy.model import policy as p
from shadowproxy.model.rollout import EXCLUDED, Plan

_ELSEWHERE: Final[dict[tuple[type[Section], str], Any]] = {
    (doc.Document, "listen"): p.Launch().listen,
    (doc.Document, "workers"): p.Launch().workers,
    (doc.Document, "comparers"): p.Launch().comparers,
    (doc.Document, "data_dir"): p.Launch().data_dir,
    (doc.Document, "proxy_protocol"): p.Policy(()).proxy_protocol,
    (doc.Document, "service"): doc.DEFAULT_SERVICE,
    (doc.Drain, "delay"): p.Launch().drain_delay,
    (doc.Drain, "timeout"): p.Launch().drain_timeout,
    (doc.Log, "format"): p.Launch().log_format,
    (doc.Admin, "listen"): p.Launch().admin.bind,
    (doc.Probe, "listen"): p.Launch().probe,
    (doc.Breaker, "failures"): p.ShadowPolicy().breaker_failures,
    (doc.ServiceMatch, "path"): p.ServicePolicy("", 0, {}).path,
    (Rollout, "errors"): FAILURES,
    (Rollout, "exclude"): EXCLUDED,
    (Watch, "ttl"): Plan("", ()).watch_ttl,
}
"""Keys whose value goes to a field of another name or place."""


def default_of(section: type[Section], name: str) -> Any:
    """The default of a key in the file's own notation (text, number, truth value or list); None when it has none."""
    field = section.model_fields[name]
    kind = kind_of(field)
    value = _ELSEWHERE.get((section, name))
    if value is None and section.fills is not None and name not in section.needs and isinstance(kind, Kind):
        value = getattr(section.fills, name, None)
        if value is None:
            return kind.render(None) if kind.accepts_none else None
    if value is None or value in ("", (), {}):
        return None
    if isinstance(value, tuple):
        items = [_written(kind, item) for item in value]
        return items[0] if len(items) == 1 and section is doc.Document else items
    return _written(kind, value)


def _written(kind: Kind, value: Any) -> Any:
    return value if isinstance(value, bool | int) and kind.render is str else kind.render(value)
