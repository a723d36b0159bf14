"""What all tests share: one Hypothesis profile, `e2e` set on everything under tests/e2e, and the quiet of some."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("shadowproxy", deadline=None, print_blob=True)
settings.load_profile("shadowproxy")

E2E = Path(__file__).parent / "e2e"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Testers are not measured as the processes that tests start are: pytest-cov does that."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Let coverage measure a tester once. pytest-cov begins as if it were alone, and then once more as a tester:
    everything would take twice as long, and `no_cover` would mean nothing.
    """
    measuring = session.config.pluginmanager.getplugin("_cov")
    if "PYTEST_XDIST_WORKER" in os.environ and measuring is not None and measuring.cov_controller is not None:
        measuring.cov_controller.cov.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if E2E in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """While a test marked `alone` runs, no other process of this run (pytest-xdist) runs one. Its timeout waits."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    with _turn(Path(item.config.option.basetemp).parent, alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def _turn(place: Path, alone: bool) -> Iterator[None]:
    """Shared with others, or alone. Who waits to be alone keeps the door, so that nobody slips in before."""
    with place.joinpath("door").open("w") as door, place.joinpath("room").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
