from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.capture.naming import age_of, older


@pytest.mark.parametrize(
    ("newest", "name"), [("a/shop.gor", "shop.3.gor"), ("a/shop", "shop.3"), ("a/b.shop.gor", "b.shop.3.gor")]
)
def test_older_files_stand_beside_the_newest(newest: str, name: str) -> None:
    path = older(Path(newest), 3)
    assert path == Path("a") / name
    assert age_of(path, Path(newest)) == 3


@pytest.mark.parametrize("name", ["shop.gor", "shop.0.gor", "shop.x.gor", "shop.1.txt", "shopX1.gor", "b/shop.1.gor"])
def test_other_files_are_none_of_them(name: str) -> None:
    assert age_of(Path("a") / name, Path("a/shop.gor")) is None
