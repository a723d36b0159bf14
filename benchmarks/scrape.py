"""Counts read over HTTP: the books of shadowproxy from its /metrics, and the requests that an arm has seen."""

import re
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException

LINE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
SETTLE_SECONDS = 1.5  # counters are written at once; a pair in flight needs its verdict


def total(text: str, name: str, **labels: str) -> float:
    """The sum of every series called `name` that carries `labels`."""
    found = 0.0
    for line in LINE.finditer(text):
        if line["name"] == name and labels.items() <= dict(LABEL.findall(line["labels"] or "")).items():
            found += float(line["value"])
    return found


@dataclass(frozen=True, slots=True)
class Books:
    """The candidate's side of the books."""

    eligible: float
    compared: float
    matched: float
    dropped: float
    lost: float

    def since(self, before: "Books") -> dict[str, float]:
        """What was counted since `before`; the share is of the eligible."""
        eligible = self.eligible - before.eligible
        compared = self.compared - before.compared
        return {
            "eligible": eligible,
            "compared_share": compared / eligible if eligible else float("nan"),
            "matched_share": (self.matched - before.matched) / compared if compared else float("nan"),
            "dropped": self.dropped - before.dropped,
            "lost": self.lost - before.lost,
        }


def read(text: str) -> Books:
    """The books in an exposition."""
    return Books(
        eligible=total(text, "shadowproxy_shadow_eligible_total", arm="candidate"),
        compared=total(text, "shadowproxy_comparisons_total", arm="candidate"),
        matched=total(text, "shadowproxy_comparisons_total", arm="candidate", verdict="match"),
        dropped=total(text, "shadowproxy_shadow_dropped_total", arm="candidate"),
        lost=total(text, "shadowproxy_shadow_lost_total", arm="candidate"),
    )


def books(port: int) -> Books | None:
    """Scrape, after what is in flight had time to settle; None where nothing answers: no data is not compared."""
    time.sleep(SETTLE_SECONDS)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return read(answer.read().decode())
    except (OSError, HTTPException):
        return None


def parse_stub_status(text: str) -> int:
    """Requests since its start, from nginx's stub_status. Raises ValueError where it is none."""
    counted = re.search(r"requests\s*\n\s*\d+ \d+ (\d+)", text)
    if counted is None:
        raise ValueError(f"not a stub_status page: {text[:100]!r}")
    return int(counted[1])


def requests_seen(address: str) -> int:
    """Requests that an arm has seen so far, this one included."""
    with urllib.request.urlopen(f"http://{address}/count", timeout=5) as answer:
        return parse_stub_status(answer.read().decode())
