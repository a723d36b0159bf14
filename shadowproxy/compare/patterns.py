"""Regular expressions of the user, for redaction: refused at load when they could run away (faults.md, 16).

Python's engine backtracks. The work that a pattern can cause from one place of a text of `PIECE` characters is
estimated from its parse tree: a repeat multiplies it by the ways it can match, unless what follows cannot be taken
for one more repetition (then there is one way). A repeat around something that itself varies is exponential and
refused outright, as are references to what was matched before and tests around the match.
Texts are searched in pieces of `PIECE` characters, so the estimate bounds the time.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

PIECE: Final = 1024
"""Characters searched at a time: text is cut at white space where there is some."""
_MAX_COST: Final = 4 * PIECE
_MAX_LENGTH: Final = 500

_parser: Final[Any] = importlib.import_module("re._parser")  # private, but the same from 3.11 to 3.14; has no stubs

_ASCII: Final = frozenset(range(128))
_OTHER: Final = 128
"""Stands for every character beyond ASCII."""
_EVERY: Final = _ASCII | {_OTHER}
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": frozenset({*(ord(c) for c in "0123456789"), _OTHER}),
    "CATEGORY_SPACE": frozenset({*(i for i in _ASCII if chr(i).isspace()), _OTHER}),
    "CATEGORY_WORD": frozenset({*(i for i in _ASCII if chr(i).isalnum()), ord("_"), _OTHER}),
}
_REPEATS: Final = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_CHARACTERS: Final = ("LITERAL", "NOT_LITERAL", "ANY", "IN")
_REFUSED: Final = {
    "GROUPREF": "a reference to an earlier group",
    "GROUPREF_EXISTS": "a conditional group",
    "ASSERT": "a look-around",
    "ASSERT_NOT": "a look-around",
}


class PatternError(ValueError):
    """A pattern that is malformed or may run away. The message says what would be right."""


def check_pattern(text: str) -> str | None:
    """What is wrong with a redaction pattern and what would be right; None when it is fine."""
    try:
        compile_pattern(text)
    except PatternError as error:
        return str(error)
    return None


def compile_pattern(text: str) -> re.Pattern[str]:
    """The compiled pattern. Raises PatternError when it is malformed, matches nothing, or may run away."""
    if len(text) > _MAX_LENGTH:
        raise PatternError(f"a pattern has at most {_MAX_LENGTH} characters, this one has {len(text)}")
    try:
        compiled = re.compile(text)
        tree = _parser.parse(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"{text!r} is no regular expression: {error}") from None
    if compiled.match("") is not None:
        raise PatternError(f"{text!r} matches the empty text: let it require at least one character")
    try:
        cost = _cost(tree)
    except PatternError as error:
        raise PatternError(f"{text!r} {error}") from None
    if cost > _MAX_COST:
        raise PatternError(
            f"{text!r} may take too long: repeats follow each other that can match the same characters; "
            "put something between them that they cannot match, or bound them as in {1,20}"
        )
    return compiled


def pieces(text: str) -> Iterator[str]:
    """`text` in pieces of at most `PIECE` characters, cut after white space where a piece has some."""
    start, end = 0, len(text)
    while end - start > PIECE:
        cut = max(text.rfind(space, start, start + PIECE) for space in " \n\t") + 1
        cut = cut if cut > start else start + PIECE
        yield text[start:cut]
        start = cut
    yield text[start:]


def _name(op: object) -> str:
    return str(op)


def _cost(tree: Iterable[Any]) -> int:
    """How many ways a sequence can match from one place, at most."""
    items = list(_flat(tree))
    cost = 1
    for at, (op, argument) in enumerate(items):
        name = _name(op)
        if name in _REFUSED:
            raise PatternError(f"has {_REFUSED[name]}: write it without")
        if name in _REPEATS:
            low, high, body = argument
            if high > 1 and _varies(body):
                raise PatternError(
                    "repeats something that itself repeats or has alternatives: write it without nesting"
                )
            ways = min(int(high), PIECE) - int(low) + 1
            if ways > 1 and not _told_apart(body, items[at + 1 :]):
                cost *= ways
            cost *= _cost(body)
        elif name == "BRANCH":
            cost *= sum(_cost(branch) for branch in argument[1])
        cost = min(cost, _MAX_COST + 1)
    return cost


def _flat(tree: Iterable[Any]) -> Iterator[Any]:
    """The elements of a sequence, those of its plain groups among them."""
    for op, argument in tree:
        if _name(op) == "SUBPATTERN":
            yield from _flat(argument[3])
        elif _name(op) == "ATOMIC_GROUP":
            yield from _flat(argument)
        else:
            yield op, argument


def _varies(tree: Iterable[Any]) -> bool:
    for op, argument in _flat(tree):
        name = _name(op)
        if name == "BRANCH":
            return True
        if name in _REPEATS and (argument[0] != argument[1] or _varies(argument[2])):
            return True
    return False


def _told_apart(body: Any, following: list[Any]) -> bool:
    """Whether the repeat of one character can only end where it does: the next character is none of its own."""
    own = list(_flat(body))
    if len(own) != 1 or _name(own[0][0]) not in _CHARACTERS or not following:
        return False
    op, argument = following[0]
    if _name(op) in _REPEATS and argument[0] >= 1:
        op, argument = next(_flat(argument[2]), (op, argument))
    if _name(op) not in _CHARACTERS:
        return False
    return not _characters(*own[0]) & _characters(op, argument)


def _characters(op: object, argument: Any) -> frozenset[int]:
    """The characters that an element may match, by code, either case; `_OTHER` for all beyond ASCII."""
    name = _name(op)
    if name == "LITERAL":
        return _either_case({min(int(argument), _OTHER)})
    if name == "NOT_LITERAL":
        return _EVERY - {int(argument)}
    if name != "IN":
        return _EVERY
    found: set[int] = set()
    negated = False
    for kind, value in argument:
        match _name(kind):
            case "NEGATE":
                negated = True
            case "LITERAL":
                found.add(min(int(value), _OTHER))
            case "RANGE":
                found |= set(range(int(value[0]), min(int(value[1]), _OTHER) + 1))
                found |= {_OTHER} if int(value[1]) >= _OTHER else set()
            case category:
                found |= _category(_name(value) if category == "CATEGORY" else "")
    return (_EVERY - found) | {_OTHER} if negated else _either_case(found)


def _either_case(codes: set[int]) -> frozenset[int]:
    """A letter stands for both its cases and, as k and s do under IGNORECASE, for some character beyond ASCII."""
    letters = {ord(swapped) for code in codes if code < _OTHER and (swapped := chr(code).swapcase()) != chr(code)}
    return frozenset(codes | letters | ({_OTHER} if letters else set()))


def _category(name: str) -> frozenset[int]:
    if name.startswith("CATEGORY_NOT_"):
        return (_EVERY - _CATEGORIES.get(name.replace("NOT_", ""), frozenset())) | {_OTHER}
    return _CATEGORIES.get(name, _EVERY)
