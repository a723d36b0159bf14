"""Which version an arm runs, while answers of several come in."""

from __future__ import annotations

from shadowproxy.control.versions import MAX_HEARD, SETTLED, Versions


def test_nothing_is_known_of_an_arm_that_named_nothing() -> None:
    versions = Versions()
    assert versions.current("shop", "candidate") == ""
    assert versions.beside("shop", "candidate", 1.0) == []


def test_the_first_version_named_is_in_force_at_once() -> None:
    versions = Versions()
    versions.hear("shop", "candidate", "v1", 10.0)
    assert versions.current("shop", "candidate") == "v1"


def test_arms_and_services_are_apart() -> None:
    versions = Versions()
    versions.hear("shop", "candidate", "v2", 10.0)
    versions.hear("shop", "primary", "v1", 10.0)
    versions.hear("mail", "candidate", "v7", 10.0)
    places = [("shop", "candidate"), ("shop", "primary"), ("mail", "candidate")]
    assert [versions.current(*place) for place in places] == ["v2", "v1", "v7"]


def test_a_new_version_takes_over_once_the_old_one_is_silent() -> None:
    versions = Versions()
    versions.hear("shop", "candidate", "v1", 10.0)
    versions.hear("shop", "candidate", "v2", 10.0 + SETTLED)
    assert versions.current("shop", "candidate") == "v1"
    versions.hear("shop", "candidate", "v2", 10.1 + SETTLED)
    assert versions.current("shop", "candidate") == "v2"


def test_while_both_answer_the_one_in_force_stays() -> None:
    versions = Versions()
    for second in range(60):
        for name in ("v1", "v2"):
            versions.hear("shop", "candidate", name, 10.0 + second)
    assert versions.current("shop", "candidate") == "v1"
    assert versions.beside("shop", "candidate", 70.0) == ["v2"]
    assert versions.beside("shop", "candidate", 90.0) == []


def test_a_clock_that_is_set_back_does_not_keep_a_version_that_is_gone() -> None:
    versions = Versions()
    versions.hear("shop", "candidate", "v1", 5000.0)
    versions.hear("shop", "candidate", "v2", 10.0)
    assert versions.current("shop", "candidate") == "v2"
    assert versions.beside("shop", "candidate", 12.0) == []


def test_silence_alone_changes_nothing() -> None:
    versions = Versions()
    versions.hear("shop", "candidate", "v1", 10.0)
    versions.hear("shop", "candidate", "v1", 5000.0)
    assert versions.current("shop", "candidate") == "v1"


def test_a_header_that_says_something_else_each_time_is_bounded_and_does_not_take_over() -> None:
    versions = Versions()
    versions.hear("shop", "candidate", "v1", 10.0)
    for number in range(10 * MAX_HEARD):
        versions.hear("shop", "candidate", f"request-{number}", 10.0 + number / 100)
    assert versions.current("shop", "candidate") == "v1"
    assert len(versions.beside("shop", "candidate", 11.0)) < MAX_HEARD
