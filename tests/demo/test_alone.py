"""What the shop by itself says of its users."""

from __future__ import annotations

from collections import Counter

from shadowproxy.demo.alone import said
from shadowproxy.demo.traffic import Outcome


def test_a_line_says_who_served_and_what_went_wrong() -> None:
    fine = Outcome(Counter({200: 480, 201: 20}), Counter({"shop/1": 450, "shop/3": 50}))
    assert said(fine, "proxy:1") == "500 answers: 450 by shop/1, 50 by shop/3"
    bad = Outcome(Counter({200: 490, 500: 8, 502: 1}), Counter({"shop/1": 498, "": 1}), broken=1)
    assert said(bad, "proxy:1") == "499 answers: 1 by nobody, 498 by shop/1; 9 of them 5xx; 1 without a whole one"


def test_without_a_proxy_it_says_where_nobody_answers() -> None:
    assert said(Outcome(broken=500), "127.0.0.1:8080") == "nobody answers at 127.0.0.1:8080 yet"
