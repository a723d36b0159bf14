from __future__ import annotations

from shadowproxy.report.fitting import Section, fit, listed

REST = "and {} more sections\n"


def test_what_fits_is_left_alone() -> None:
    assert fit([listed("a\n", ["b\n", "c\n"], str, "d\n", "{} left"), Section("e\n")], 1000, REST) == "a\nb\nc\nd\ne\n"


def test_items_are_left_out_from_the_end_and_counted_and_no_foot_is_lost() -> None:
    text = fit(
        [
            listed("a\n", ["é" * 20 + "\n"] * 9, str, "d\n", "{} left\n"),
            listed("e\n", ["x" * 999], str, "f\n", "{} x\n"),
        ],
        200,
        REST,
    )
    assert len(text.encode()) <= 200
    assert text.startswith("a\nééé")
    left = 9 - text.count("é" * 20)
    assert text.endswith(f"{left} left\nd\ne\n1 x\nf\n")
    assert left < 9


def test_sections_are_left_out_from_the_end_of_the_document() -> None:
    text = fit([Section(f"section {i} {'x' * 40}\n") for i in range(9)], 200, REST)
    assert len(text.encode()) <= 200
    assert text.endswith("and 7 more sections\n")


def test_the_first_section_always_stands() -> None:
    assert fit([Section("x" * 50), Section("y")], 10, REST) == "x" * 50 + "and 1 more sections\n"


def test_more_than_the_most_are_counted_whatever_the_room() -> None:
    text = fit([listed("a ", range(100), lambda each: f"{each} ", "", "{} left", 3)], 1000, REST)
    assert text == "a 0 1 2 97 left"


def test_nothing_is_made_that_finds_no_room() -> None:
    made: list[int] = []

    def show(each: int) -> str:
        made.append(each)
        return "x" * 50

    fit([listed("", range(100), show, "", "{} left")], 130, REST)
    assert made == [0, 1, 2]
