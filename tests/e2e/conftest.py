"""Fixtures of the tests with real processes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.e2e.harness import Proxy
from tests.e2e.upstreams import RawUpstream, Script

Starter = Callable[..., Proxy]


@pytest.fixture
def short() -> Generator[Path, None, None]:
    """A directory whose path leaves room for the name of a Unix socket, as `tmp_path` may not."""
    with TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture
def proxies(tmp_path: Path) -> Generator[Starter, None, None]:
    """`proxies(config)` starts a proxy that is stopped, and checked for a clean end, after the test."""
    with ExitStack() as stack:
        count = iter(range(100))

        def start(config: dict[str, Any] | None = None, **more: Any) -> Proxy:
            return stack.enter_context(Proxy.start(tmp_path / f"proxy{next(count)}", config, **more))

        yield start


@pytest.fixture
def upstreams() -> Generator[Callable[[Script], RawUpstream], None, None]:
    """`upstreams(script)` starts a raw upstream that ends with the test."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(RawUpstream(script).running())
