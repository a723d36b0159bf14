"""Containers that JSON does not have: elements of XML and HTML, and arrays whose elements have names.

They are dictionaries and lists, so that whatever walks, prunes, masks or encodes JSON takes them as well; `below` says
how the fields of what they hold are written.
"""

from __future__ import annotations

from typing import Any, Final

from shadowproxy.compare.fields import Field
from shadowproxy.compare.jsontext import Repeated, canonical

Names = tuple[str, ...]
"""The way to a name inside an element: mostly one member."""

TEXT: Final = "#text"
"""The member of an `Element` that holds its own text: written as the element itself."""
NAMESPACE: Final = "@xmlns"
"""The member that holds an element's namespace, where that is not the one of the element around it."""
ORDER: Final = "#order"
"""The member that holds in which order the others came, where there is more than one order."""
SIZE: Final = "#size"
"""The member of `Aligned` that holds how many elements the array had."""


class Element(dict[str, object]):
    """An element of XML or HTML: `@name` are its attributes, other members the elements in it, by tag."""


class Siblings(list[object]):
    """The elements of one tag in one element, in order. Their field is the same as that of a single one."""


class Aligned(dict[str, object]):
    """What differs in an array (`pruning`): its elements by `label`.

    `folds`: they are siblings. `names` leads to their names, if they were matched by those.
    """

    __slots__ = ("folds", "names")

    def __init__(self, folds: bool = False, names: Names | None = None) -> None:
        super().__init__()
        self.folds = folds
        self.names = names

    def label(self, place: int, element: object, mark: str = "") -> str:
        """What stands for an element: its name, or its place; `mark` says that the place is one of the other side."""
        name = name_of(element, self.names) if self.names else None
        label = f"{self.names[-1]}={name}" if self.names and name is not None else f"{mark}{place}"
        return f"{label}#{place}" if label in self else label


_FROM_XML: Final = frozenset({Element, Siblings})
_SINGLE: Final = frozenset({Element, str})
CONTAINERS: Final = frozenset({dict, list, Repeated, Element, Siblings, Aligned})


def name_of(element: object, names: Names) -> str | None:
    """The name of an element; the number 1 and the text "1" are one name, so that its changed type is what is found."""
    value: Any = element
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    if type(value) is Element:
        value = value.get(TEXT)
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is float and value.is_integer():
        return str(int(value))
    return str(value) if kind is int else None


def same(a: object, b: object) -> bool:
    """Whether two values are equal, types included."""
    if a != b or type(a) is not type(b):
        return False
    return type(a) not in CONTAINERS or canonical(a) == canonical(b)


def levelled(a: object, b: object) -> tuple[object, object] | None:
    """Two values of one kind, where one is several siblings or an element and the other a single one or bare text."""
    x, y = type(a), type(b)
    if x not in _FROM_XML and y not in _FROM_XML:
        return None
    if x is Siblings and y in _SINGLE:
        return a, Siblings([b])
    if y is Siblings and x in _SINGLE:
        return Siblings([a]), b
    if x is Element and y is str:
        return a, Element({TEXT: b})
    return (Element({TEXT: a}), b) if x is str and y is Element else None


def inside(field: Field, array: object) -> Field:
    """The field of every element of `array`, whose own field is `field`."""
    folds = array.folds if isinstance(array, Aligned) else isinstance(array, Siblings)
    return field if folds else field.element()


def below(field: Field, holder: object, step: object) -> Field:
    """The field of what `holder` holds at `step`: an index, a member, or the name of an element."""
    if isinstance(holder, (list, Aligned)):
        return inside(field, holder)
    return field if step == TEXT else field.member(str(step))
