"""Law 1 on the stand: pairs of runs at half of capacity, mirroring off and on, whatever the candidate does."""

from benchmarks import rig
from benchmarks.cases import Candidate, Pair, Scale
from benchmarks.samples import Results

SUBJECT = "shadowproxy"
PREFIX = "law 1: "
FIRST_SECONDS = "frozen, first seconds"
GROWTH = "frozen minute"
STATE_NAMES = {
    Candidate.ABSENT: "off (A/A)",
    Candidate.LIVE: "live",
    Candidate.FROZEN: "frozen",
    Candidate.REFUSING: "refusing",
    Candidate.SLOW: "slow",
}


def run_pair(stand: rig.Stand, results: Results, pair: Pair, rate: float, scale: Scale) -> None:
    """Take both runs of a pair on the same schedule of arrivals and add their p99 and the difference."""
    seed = pair.number + 1
    on: dict[str, dict[str, float]] = {}
    off: dict[str, float] = {}
    for mirroring in (False, True) if pair.off_first else (True, False):
        if not mirroring:
            off = rig.paced_sample(stand, SUBJECT, Candidate.ABSENT, rate, scale.pair_seconds, seed)
        elif pair.state is Candidate.FROZEN:
            seconds = [scale.after_freeze_seconds, scale.pair_seconds]
            first, later = rig.after_freeze_sample(stand, SUBJECT, rate, seconds, seed)
            on = {FIRST_SECONDS: first, STATE_NAMES[pair.state]: later}
        else:
            on = {STATE_NAMES[pair.state]: rig.paced_sample(stand, SUBJECT, pair.state, rate, scale.pair_seconds, seed)}
    for name, seen in on.items():
        figures = {
            "rate": rate,
            "off_p50_ms": off["p50_ms"],
            "on_p50_ms": seen["p50_ms"],
            "off_p99_ms": off["p99_ms"],
            "on_p99_ms": seen["p99_ms"],
            "delta_p99_ms": seen["p99_ms"] - off["p99_ms"],
            "lag_p99_ms": max(off["lag_p99_ms"], seen["lag_p99_ms"]),
            "errors": off["errors"] + seen["errors"],
        }
        results.add(PREFIX + name, SUBJECT, pair.number, figures)
