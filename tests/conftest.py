"""What all tests share: one Hypothesis profile, and `e2e` set on everything under tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("shadowproxy", deadline=None, print_blob=True)
settings.load_profile("shadowproxy")

E2E = Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if E2E in item.path.parents:
            item.add_marker(pytest.mark.e2e)
