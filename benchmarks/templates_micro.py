"""What it costs a worker to find a path's template among two hundred: microseconds of CPU, the least of many repeats.

Run: `python benchmarks/templates_micro.py`
"""

from __future__ import annotations

import timeit
from time import process_time

from shadowproxy.endpoints.learner import Learner
from shadowproxy.endpoints.tree import Entry, Tree
from shadowproxy.proxy.routing import Table

UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
PATHS = (
    "/api/v1/things50",
    "/api/v1/things50/123",
    "/shop/users/1",
    f"/shop/users/{UUID}",
    f"/shop/users/1/orders/{UUID}",
    "/shop/products/red-shoes",
    "/shop/sessions/V1StGXR8_Z5jdHi6B-myT",
    "/nothing/like/it",
)


def main() -> None:
    templates = [f"/api/v1/things{i}{rest}" for i in range(97) for rest in ("", "/{id}")]
    templates += ["/shop/users/{id}", "/shop/users/{uuid}", "/shop/users/{id}/orders/{uuid}"]
    templates += ["/shop/products/{name}", "/shop/sessions/{token}"]
    entries = [Entry(template, True, template) for template in templates]
    table = Table([], "other", entries)
    print(f"{len(templates)} templates")
    for path in (path.encode() for path in PATHS):
        report(lambda path=path: table.find(b"GET", path, b""), f"{path.decode()} is {table.find(b'GET', path, b'')}")
    report(lambda: Tree(entries), "the tree made", 100)
    learner = Learner()
    report(lambda: [learner.see(path.encode(), 0.0) for path in PATHS], f"control learns from {len(PATHS)} paths", 1000)


def report(case: object, name: str, loops: int = 5_000) -> None:
    seconds = min(timeit.repeat(case, timer=process_time, number=loops, repeat=25)) / loops  # type: ignore[arg-type]
    print(f"{seconds * 1e6:9.2f} µs  {name}")


if __name__ == "__main__":
    main()
