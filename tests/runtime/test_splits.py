"""Control publishes, a signal recalls, a reload keeps: what was said before a recall never undoes it."""

from __future__ import annotations

import msgspec
import pytest

from shadowproxy.model.policy import Endpoint, Policy, ServicePolicy, UpstreamPolicy
from shadowproxy.model.rollout import Chosen, Split
from shadowproxy.runtime.splits import published, recalled, restored, splits

UPSTREAM = UpstreamPolicy(())
BOTH = {"primary": UPSTREAM, "candidate": UPSTREAM}
SHOP, BLOG = ServicePolicy("shop", 0, BOTH), ServicePolicy("blog", 1, BOTH)
PLAIN = Policy((SHOP, BLOG, ServicePolicy("static", 2, {"primary": UPSTREAM})))
TENTH = Split("v2", weight=0.1, chosen=(Chosen(header="x-beta"),))


def having(**found: Split) -> Policy:
    policy, refused = published(PLAIN, found)
    assert not refused
    return policy


def test_a_split_is_put_in_force_changed_and_ended_and_others_stay() -> None:
    policy = having(shop=TENTH, blog=TENTH)
    assert splits(policy) == {"shop": TENTH, "blog": TENTH}
    half = msgspec.structs.replace(TENTH, weight=0.5)
    policy, refused = published(policy, {"shop": half})
    assert (splits(policy), refused) == ({"shop": half, "blog": TENTH}, ())
    policy, refused = published(policy, {"shop": None, "static": None})
    assert (splits(policy), refused) == ({"blog": TENTH}, ())
    assert published(policy, {"blog": None})[0] == PLAIN


def test_where_there_is_nobody_to_send_users_to_nothing_changes() -> None:
    policy, refused = published(PLAIN, {"static": TENTH, "gone": TENTH, "shop": TENTH})
    assert splits(policy) == {"shop": TENTH}
    assert sorted(refused) == ["service gone is not there any more", "service static has no candidate any more"]


def test_a_recall_sends_everybody_back_and_leaves_the_rest_of_a_split() -> None:
    sampled = msgspec.structs.replace(TENTH, sample=0.5, attempt=3)
    back = recalled(having(shop=sampled, blog=TENTH), 1000.0)
    assert splits(back) == {
        "shop": msgspec.structs.replace(sampled, weight=0.0, chosen=(), recalled=1000.0),
        "blog": Split("v2", recalled=1000.0),
    }
    assert recalled(PLAIN, 1000.0) == PLAIN


@pytest.mark.parametrize(
    "stale",
    [
        Split("v2", weight=0.1),
        Split("v2", chosen=(Chosen(header="x-beta"),)),
        Split("v2", weight=1.0, leased=False, recalled=900.0),
    ],
)
def test_what_was_decided_before_a_recall_is_refused(stale: Split) -> None:
    back = recalled(having(shop=TENTH), 1000.0)
    policy, [why] = published(back, {"shop": stale})
    assert policy == back
    assert why == "service shop: its users were recalled and control has not heard of it"


def test_who_says_the_time_of_the_recall_may_raise_the_weight_again_until_the_next() -> None:
    back = recalled(having(shop=TENTH), 1000.0)
    again = msgspec.structs.replace(TENTH, recalled=1000.0)
    policy, refused = published(back, {"shop": again})
    assert (splits(policy), refused) == ({"shop": again}, ())
    more = msgspec.structs.replace(again, weight=0.2)
    policy, refused = published(policy, {"shop": more})
    assert (splits(policy), refused) == ({"shop": more}, ())
    back = recalled(policy, 2000.0)
    assert published(back, {"shop": more})[0] == back


def test_nobody_at_the_candidate_needs_no_word_and_the_recall_is_not_forgotten() -> None:
    back = recalled(having(shop=TENTH), 1000.0)
    policy, refused = published(back, {"shop": Split("v2", attempt=2, sample=0.5)})
    assert (splits(policy), refused) == ({"shop": Split("v2", attempt=2, sample=0.5, recalled=1000.0)}, ())
    assert published(policy, {"shop": TENTH})[0] == policy
    assert splits(published(back, {"shop": None})[0]) == {}


def test_control_may_know_of_a_recall_that_was_not_kept() -> None:
    knowing = msgspec.structs.replace(TENTH, recalled=1000.0)
    assert splits(having(shop=knowing)) == {"shop": knowing}
    assert splits(published(having(shop=TENTH), {"shop": knowing})[0]) == {"shop": knowing}


def test_a_policy_that_was_read_again_keeps_the_splits_of_who_still_has_a_candidate() -> None:
    kept = {"shop": TENTH, "static": TENTH, "gone": TENTH}
    policy, said = restored(PLAIN, kept)
    assert splits(policy) == {"shop": TENTH}
    dropped = "the split of rollout v2 is dropped and its users are served by the primary: the configuration has no"
    assert said == (
        f"service static: {dropped} candidate any more",
        f"service gone: {dropped} such service any more",
    )


def at(*urls: str) -> Policy:
    """A shop whose candidate is there."""
    return Policy((ServicePolicy("shop", 0, {"primary": UPSTREAM, "candidate": UpstreamPolicy(_endpoints(urls))}),))


def _endpoints(urls: tuple[str, ...]) -> tuple[Endpoint, ...]:
    return tuple(map(Endpoint, urls))


BOTH_PLACES = ("http://a", "http://b")
PROMOTED = Split("v2", weight=1.0, leased=False, urls=BOTH_PLACES)


@pytest.mark.parametrize("split", [PROMOTED, msgspec.structs.replace(TENTH, urls=BOTH_PLACES)])
def test_another_candidate_gets_none_of_the_users_of_the_one_before(split: Split) -> None:
    policy, [said] = restored(at("http://c"), {"shop": split})
    assert splits(policy) == {}
    assert "its users are served by the primary: the configuration has another candidate, at none of" in said
    again, refused = published(policy, {"shop": split})
    assert (again, len(refused)) == (policy, 1), "control may not have heard of it"
    assert splits(published(policy, {"shop": None})[0]) == {}


def test_a_candidate_that_moves_bit_by_bit_stays_the_same() -> None:
    assert splits(restored(at("http://b", "http://c"), {"shop": PROMOTED})[0]) == {"shop": PROMOTED}
    unknown = msgspec.structs.replace(PROMOTED, urls=())
    assert splits(restored(at("http://c"), {"shop": unknown})[0]) == {"shop": unknown}
