"""One person holds the watch, and only while it is renewed."""

from __future__ import annotations

from shadowproxy.control.rollout.watch import Watches
from shadowproxy.rollout.values import Refusal, Watch, WatchCommand

TTL = 60.0


def does(watches: Watches, action: str, who: str, at: float, **more: str) -> object:
    """Who holds it then and what was remembered, or why not."""
    said = watches.obey("shop", WatchCommand(action, who, at, **more), TTL)
    if isinstance(said, Refusal):
        return said.why
    watch, entry = said
    return watch and watch.holder, entry and entry.action


def test_it_is_held_as_long_as_it_is_renewed() -> None:
    watches = Watches()
    assert does(watches, "hold", "ada", 0.0) == ("ada", "watch_taken")
    assert does(watches, "renew", "ada", 50.0) == ("ada", None)
    assert watches.held("shop", 109.0, TTL) == Watch("ada", 0.0, 110.0)
    assert watches.lapse("shop", 109.0, TTL) is None
    lapsed = watches.lapse("shop", 110.0, TTL)
    assert lapsed is not None
    assert (lapsed.action, lapsed.why) == ("watch_lapsed", "ada did not renew the watch within 60 s")
    assert watches.held("shop", 110.0, TTL) is None
    assert watches.lapse("shop", 111.0, TTL) is None, "that is said once"
    assert does(watches, "renew", "ada", 112.0) == "the watch is not held any more: it has to be taken again"


def test_a_second_person_has_to_be_given_it() -> None:
    watches = Watches()
    does(watches, "hold", "ada", 0.0)
    why = "ada holds the watch: it has to be handed over or released, or to end by itself"
    for action in ("hold", "renew", "release"):
        assert does(watches, action, "bob", 1.0) == why
    assert does(watches, "handover", "ada", 2.0) == "say to whom the watch is handed over"
    assert does(watches, "handover", "ada", 2.0, to="bob", reason="lunch") == ("bob", "watch_handed_over")
    assert does(watches, "renew", "bob", 3.0) == ("bob", None)
    assert does(watches, "release", "bob", 4.0) == (None, "watch_released")
    assert does(watches, "release", "bob", 5.0) == "nobody holds the watch, so there is nothing to release"
    assert does(watches, "hold", "ada", 6.0) == ("ada", "watch_taken")


def test_holding_it_twice_is_one_watch() -> None:
    watches = Watches()
    does(watches, "hold", "ada", 0.0)
    assert does(watches, "hold", "ada", 10.0) == ("ada", None)
    assert watches.held("shop", 11.0, TTL) == Watch("ada", 0.0, 70.0)


def test_it_outlives_the_process_and_a_clock_that_is_set_back_makes_it_no_longer() -> None:
    watches = Watches({"shop": Watch("ada", 0.0, 70.0)})
    assert watches.held("shop", 30.0, TTL) is not None
    assert watches.held("shop", -1000.0, TTL) is None
    assert watches.held("mail", 30.0, TTL) is None
    assert does(watches, "hold", "bob", 71.0) == ("bob", "watch_taken")
