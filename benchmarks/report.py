"""The results as Markdown and as JSON. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.cases import CASES, SLOW_MS, STEADY_RATE, Case, Load
from benchmarks.checks import COMPARER, Finding, Verdict
from benchmarks.contestants import AGAIN
from benchmarks.law import GROWTH, PREFIX, SUBJECT
from benchmarks.samples import Results
from benchmarks.stats import median_interval, ratio_interval, spread

Column = tuple[str, str, int]  # heading, figure, decimals
SATURATION_COLUMNS: tuple[Column, ...] = (
    ("CPU µs/request", "cpu_us", 1),
    ("requests/s", "rps", 0),
    ("idle MiB", "idle_mib", 0),
    ("loaded MiB", "loaded_mib", 0),
    ("errors", "errors", 0),
)
MIRROR_COLUMNS: tuple[Column, ...] = (
    ("copies/request", "copies_share", 3),
    ("compared/eligible", "compared_share", 3),
    ("matched/compared", "matched_share", 3),
)
RATE_COLUMNS: tuple[Column, ...] = (
    ("requests/s", "rate", 0),
    ("p50 ms", "p50_ms", 2),
    ("p90 ms", "p90_ms", 2),
    ("p99 ms", "p99_ms", 2),
    ("p99.9 ms", "p999_ms", 2),
    ("CPU µs/request", "cpu_us", 1),
    ("generator late p99 ms", "lag_p99_ms", 2),
    ("errors", "errors", 0),
)
LAW_COLUMNS: tuple[Column, ...] = (
    ("requests/s", "rate", 0),
    ("p50 off ms", "off_p50_ms", 2),
    ("p50 on ms", "on_p50_ms", 2),
    ("p99 off ms", "off_p99_ms", 2),
    ("p99 on ms", "on_p99_ms", 2),
    ("generator late p99 ms", "lag_p99_ms", 2),
    ("errors", "errors", 0),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be told about a run beside its results."""

    taken: str
    command: str
    machine: Mapping[str, str]
    minutes: float


def markdown(run: Run, results: Results, findings: Sequence[Finding]) -> str:
    """The whole page: the bar, the noise, every case, law 1, the machine."""
    machine = run.machine
    parts = [
        f"# Benchmark of {run.taken}",
        _summary(run),
        "## The bar",
        _bar_table(findings),
        *_noise(results),
    ]
    for case in CASES:
        if results.contestants(case.name):
            columns = SATURATION_COLUMNS if case.load is Load.SATURATION else RATE_COLUMNS
            parts += [f"## {_title(case)}", _table(results, case.name, columns)]
    parts += _law_part(results)
    if results.contestants(COMPARER):
        parts += ["## One comparer: pairs/s by body and number of differences", _comparer_table(results)]
    if results.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results.notes)]
    versions = "\n".join(f"| {name} | {text} |" for name, text in machine.items())
    parts += ["## Machine and versions", f"| | |\n|---|---|\n{versions}"]
    return "\n\n".join(parts) + "\n"


def document(run: Run, results: Results, findings: Sequence[Finding]) -> str:
    """The same as JSON, with every sample."""
    return json.dumps(
        {
            "run": asdict(run),
            "bar": [asdict(finding) for finding in findings],
            "samples": [asdict(sample) for sample in results.samples],
            "notes": results.notes,
        },
        indent=1,
        ensure_ascii=False,
    )


def _summary(run: Run) -> str:
    machine = run.machine
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, Linux {machine['kernel']}, "
        f"Python {machine['python']}; commit {machine['commit']}. `{run.command}`, {run.minutes:.0f} minutes. "
        "How to read this: `benchmarks/README.md`. Medians over the rounds, quartiles in brackets."
    )


def _title(case: Case) -> str:
    what = f"{case.name}"
    if case.candidate.value == "slow":
        what += f" (candidate {SLOW_MS:g} ms late)"
    if case.load is Load.STEADY:
        return f"{what}: {STEADY_RATE:,.0f} requests/s for everyone"
    return f"{what}: saturation" if case.load is Load.SATURATION else f"{what} of the contestant's own capacity"


def _bar_table(findings: Sequence[Finding]) -> str:
    lines = ["| bar | limit | measured | 95 % interval | verdict |", "|---|---|---|---|---|"]
    for finding in findings:
        measured = interval = "-"
        if finding.measured:
            unit = f" {finding.unit}".rstrip()
            measured = f"{_number(finding.measured.median)}{unit}"
            interval = f"{_number(finding.measured.low)} to {_number(finding.measured.high)}"
        verdict = finding.verdict.value
        if finding.verdict in (Verdict.MISSED, Verdict.UNCLEAR) and finding.distance is not None:
            verdict = f"**{verdict}**, {abs(finding.distance):.0%} {'inside' if finding.distance >= 0 else 'off'}"
        lines.append(f"| {finding.name} | {finding.limit} | {measured} | {interval} | {verdict} |")
    return "\n".join(lines)


def _noise(results: Results) -> list[str]:
    """The A/A line: one contestant under two names, where every difference is the machine's."""
    lines = []
    for case in CASES:
        for name in results.contestants(case.name):
            first, second = (results.values(case.name, who, "cpu_us") for who in (name, name + AGAIN))
            if first and second:
                ratio = ratio_interval(second, first)
                lines.append(f"| {case.name} | {name} | {ratio.median:.3f} | {ratio.low:.3f} to {ratio.high:.3f} |")
    if not lines:
        return []
    heading = "## Noise (A/A: the same contestant twice, CPU per request of the second over the first)"
    return [heading, "\n".join(["| case | contestant | ratio | 95 % interval |", "|---|---|---|---|", *lines])]


def _table(results: Results, case: str, columns: Sequence[Column]) -> str:
    present = {figure for sample in results.samples if sample.case == case for figure in sample.figures}
    columns = (*columns, *(column for column in MIRROR_COLUMNS if column[1] in present))
    lines = [
        f"| | {' | '.join(heading for heading, _, _ in columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for name in sorted(results.contestants(case), key=lambda name: _first(results.values(case, name, "cpu_us"))):
        cells = [_cell(results.values(case, name, figure), decimals) for _, figure, decimals in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _comparer_table(results: Results) -> str:
    """A line for each body, a column for each number of differences."""
    rows: dict[str, dict[int, list[float]]] = {}
    for sample in results.samples:
        if sample.case == COMPARER:
            body = sample.contestant.partition(",")[0]
            cells = rows.setdefault(body, {})
            cells.setdefault(round(sample.figures["differences"]), []).append(sample.figures["pairs_per_second"])
    counts = sorted({count for cells in rows.values() for count in cells})
    lines = [f"| body | {' | '.join(map(str, counts))} |", f"|---|{'---|' * len(counts)}"]
    for body, cells in rows.items():
        lines.append(f"| {body} | {' | '.join(_cell(cells.get(count, ()), 0) for count in counts)} |")
    return "\n".join(lines)


def _law_part(results: Results) -> list[str]:
    states = list(dict.fromkeys(sample.case for sample in results.samples if sample.case.startswith(PREFIX)))
    if not states:
        return []
    headings = [heading for heading, _, _ in LAW_COLUMNS]
    lines = [f"| candidate | pairs | {' | '.join(headings)} | p99 on minus off ms | 95 % interval |"]
    lines.append("|---" * (len(headings) + 4) + "|")
    for state in states:
        deltas = results.values(state, SUBJECT, "delta_p99_ms")
        interval = median_interval(deltas)
        cells = [_cell(results.values(state, SUBJECT, figure), decimals) for _, figure, decimals in LAW_COLUMNS]
        lines.append(
            f"| {state.removeprefix(PREFIX)} | {len(deltas)} | {' | '.join(cells)} | "
            f"{interval.median:+.3f} | {interval.low:+.3f} to {interval.high:+.3f} |"
        )
    parts = ["## Law 1: mirroring on against off, in pairs, at half of the mirrored capacity", "\n".join(lines)]
    for sample in results.samples:
        if sample.case == GROWTH:
            figures = sample.figures
            parts.append(
                f"Memory while the candidate stood frozen for {figures['seconds']:.0f} s under "
                f"{figures['rate']:,.0f} requests/s: {figures['before_mib']:.1f} MiB before, "
                f"at most {figures['growth_mib']:+.1f} MiB more."
            )
    return parts


def _cell(values: Sequence[float], decimals: int) -> str:
    if not values:
        return "-"
    seen = spread(values)
    text = f"{seen.median:,.{decimals}f}"
    low, high = f"{seen.low:,.{decimals}f}", f"{seen.high:,.{decimals}f}"
    return text if low == high else f"{text} ({low} to {high})"


def _first(values: Sequence[float]) -> float:
    return spread(values).median if values else float("inf")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
