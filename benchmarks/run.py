"""`make bench`: every contestant in one run, interleaved; writes benchmarks/results/."""

import argparse
import contextlib
import json
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks import law, loads, machine, processes, report, rig
from benchmarks.cases import (
    CASES,
    FULL,
    QUICK,
    STEADY_RATE,
    WARM_UP_SECONDS,
    Case,
    Load,
    Scale,
    Step,
    estimated_seconds,
    interleaved,
    law_pairs,
)
from benchmarks.checks import COMPARER, judge_all
from benchmarks.contestants import AGAIN, ENGINES, engine_of, program
from benchmarks.install import install_missing
from benchmarks.samples import Results

RESULTS = Path(__file__).parent / "results"
LAW = "law1"
FAILURES = (processes.NotStartedError, loads.LoadFailedError, OSError, subprocess.SubprocessError)


def main() -> None:
    given = options()
    for number in (signal.SIGINT, signal.SIGTERM):  # as an exception, so that everything started is stopped
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    install_missing()
    scale = QUICK if given.quick else FULL
    results = Results()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as root, rig.standing(Path(root)) as stand:
        measure(stand, scale, given, results)
    run = report.Run(
        taken=datetime.now(UTC).strftime("%Y-%m-%d"),
        command=shlex.join(["python", "-m", "benchmarks.run", *sys.argv[1:]]),
        machine=machine.describe(),
        minutes=(time.monotonic() - started) / 60,
    )
    whole = not (given.quick or given.only or given.peers or given.rounds)
    write(run, results, given.out, whole=whole)


def options() -> argparse.Namespace:
    names = [case.name for case in CASES] + [LAW, COMPARER]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter ones: a look, not a result")
    parser.add_argument(
        "--only", action="append", choices=names, metavar="CASE", help=f"one of: {', '.join(names)}; repeatable"
    )
    parser.add_argument("--peers", help=f"a list of {', '.join(ENGINES)}; default: all")
    parser.add_argument("--rounds", type=int, help="rounds of every case, and pairs of law 1")
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory for the tables")
    given = parser.parse_args()
    given.peers = given.peers.split(",") if given.peers else None
    if unknown := set(given.peers or ()) - set(ENGINES):
        parser.error(f"--peers: {', '.join(sorted(unknown))} is not one of {', '.join(ENGINES)}")
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds: {given.rounds} is not a number of rounds; 1 or more is")
    return given


def measure(stand: rig.Stand, scale: Scale, given: argparse.Namespace, results: Results) -> None:
    """Everything that was asked for, in the order that the parts need each other."""
    names = present(stand, given.peers or list(ENGINES), results)
    cases = [case for case in CASES if not given.only or case.name in given.only]
    # A case that was named, or a number of rounds, also brings in what a quick run leaves out.
    rounds = {case.name: given.rounds or scale.rounds(case) or int(bool(given.only)) for case in cases}
    at_rates = plan([case for case in cases if case.load is not Load.SATURATION], names, rounds)
    saturating = plan([case for case in cases if case.load is Load.SATURATION], names, rounds)
    with_law = law.SUBJECT in names and (not given.only or LAW in given.only)
    pairs = (given.rounds or scale.pairs) if with_law else 0
    say(f"{', '.join(names)}: about {estimated_seconds([*saturating, *at_rates], scale, pairs) / 60:.0f} minutes")
    take(stand, saturating, scale, results)
    take(stand, at_rates, scale, results)
    if pairs:
        take_law(stand, scale, pairs, results)
    if not given.only or COMPARER in given.only:
        with noting(results, COMPARER):
            take_comparer(stand, results)


def present(stand: rig.Stand, names: list[str], results: Results) -> list[str]:
    """Those that start and answer with the primary's bytes. The others are noted and left out."""
    kept = []
    for name in names:
        if program(ENGINES[name]) is None:
            results.notes.append(f"{name}: not installed")
            continue
        with noting(results, name), rig.proxy(stand, ENGINES[name], candidate=None):
            kept.append(name)
    return kept


def plan(cases: list[Case], names: list[str], rounds: dict[str, int]) -> list[Step]:
    """The steps of these cases. The A/A entry is the first contestant under a second name."""
    entries = [
        (case, name)
        for case in cases
        for name in [*names, *([names[0] + AGAIN] if names and case.noise else [])]
        if engine_of(name).mirrors or not case.mirrors
    ]
    return interleaved(entries, {case.name: rounds[case.name] for case in cases})


def take(stand: rig.Stand, steps: list[Step], scale: Scale, results: Results) -> None:
    """Take the steps. What fails once in a case is noted and not tried again in it."""
    failed: set[tuple[str, str]] = set()
    for position, step in enumerate(steps, 1):
        case, name = step.case, step.contestant
        if (case.name, name) in failed:
            continue
        failed.add((case.name, name))
        with noting(results, f"{name}, {case.name}"):
            figures = sample(stand, step, scale, results)
            results.add(case.name, name, step.round, figures)
            failed.remove((case.name, name))
            shown = " ".join(f"{key}={value:.4g}" for key, value in figures.items() if key in SHOWN)
            say(f"[{position}/{len(steps)}] {case.name}: {name}: {shown}")


SHOWN = ("cpu_us", "rps", "p50_ms", "p99_ms", "errors", "rate", "compared_share")


def sample(stand: rig.Stand, step: Step, scale: Scale, results: Results) -> dict[str, float]:
    case, seconds = step.case, scale.seconds(step.case)
    if case.load is Load.SATURATION:
        return rig.saturation_sample(stand, step.contestant, case, seconds, WARM_UP_SECONDS)
    rate = STEADY_RATE if case.load is Load.STEADY else half_capacity(stand, step.contestant, case.mirrors, results)
    return rig.paced_sample(stand, step.contestant, case.candidate, rate, seconds, seed=step.round + 1)


def half_capacity(stand: rig.Stand, contestant: str, mirrors: bool, results: Results) -> float:
    """Half of what the contestant did at saturation in this run, or in a probe; at most what the generator can send."""
    name = "mirror" if mirrors else "forward"
    seen = results.values(name, contestant, "rps") or results.values(f"{name} probe", contestant, "rps")
    if not seen:
        case = next(case for case in CASES if case.name == name)
        probe = rig.saturation_sample(stand, contestant, case, 2, WARM_UP_SECONDS)
        results.add(f"{name} probe", contestant, 0, probe)
        seen = [probe["rps"]]
    return min(median(seen) / 2, rig.RATE_CEILING)


def take_law(stand: rig.Stand, scale: Scale, pairs: int, results: Results) -> None:
    with noting(results, "law 1"):
        rate = half_capacity(stand, law.SUBJECT, True, results)
        steps = law_pairs(pairs)
        for position, pair in enumerate(steps, 1):
            law.run_pair(stand, results, pair, rate, scale)
            last = results.samples[-1]
            say(f"[{position}/{len(steps)}] {last.case}: p99 {last.figures['delta_p99_ms']:+.3f} ms")
        growth = rig.frozen_growth(stand, law.SUBJECT, rate, scale.frozen_minute_seconds)
        results.add(law.GROWTH, law.SUBJECT, 0, growth)
        say(f"frozen for {growth['seconds']:.0f} s: {growth['growth_mib']:+.1f} MiB")


def take_comparer(stand: rig.Stand, results: Results) -> None:
    """One comparer's pairs per second, as benchmarks.compare_pairs measures them, on the contestant's processor."""
    cpus = ",".join(map(str, sorted(stand.proxy_cpus)))
    argv = ["taskset", "-c", cpus, sys.executable, "-m", "benchmarks.compare_pairs", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, cwd=loads.ROOT)
    try:
        rows = [(row["body"], row["differences"], float(row["pairs_per_s"])) for row in json.loads(done.stdout)]
    except (ValueError, KeyError, TypeError) as error:
        raise loads.LoadFailedError(f"compare_pairs gave no figures: {done.stderr.strip()[-300:]}") from error
    for body, differences, rate in rows:
        figures = {"differences": differences, "pairs_per_second": rate}
        results.add(COMPARER, f"{body}, {differences} differences", 0, figures)
        say(f"comparer, {body}, {differences} differences: {rate:,.0f} pairs/s")


@contextlib.contextmanager
def noting(results: Results, what: str) -> Iterator[None]:
    """A part that cannot be measured is said in the report; the rest goes on."""
    try:
        yield
    except FAILURES as error:
        results.notes.append(f"{what}: {error}")
        say(f"{what}: {error}")


def write(run: report.Run, results: Results, out: Path, *, whole: bool) -> None:
    """The tables; `latest.md` is only ever a whole run."""
    findings = judge_all(results)
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{run.taken}-{machine.slug(dict(run.machine))}" + ("" if whole else "-part")
    page = out / f"{stem}.md"
    page.write_text(report.markdown(run, results, findings))
    page.with_suffix(".json").write_text(report.document(run, results, findings))
    if whole:
        shutil.copyfile(page, out / "latest.md")
    for finding in findings:
        measured = f"{finding.measured.median:.3g} {finding.unit}" if finding.measured else ""
        say(f"{finding.verdict.value:>12}  {finding.name}: {measured} ({finding.limit})")
    say(f"written: {page}")


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
