"""Problems and warnings of one reading, each with its place, and without those that only follow from another."""

from __future__ import annotations

from pathlib import Path as FilePath

from shadowproxy.config.messages import as_written, place_of
from shadowproxy.config.problems import COMMAND_LINE, Path, Problem, spell
from shadowproxy.config.tree import Tree


class Findings:
    """What is wrong so far. `base` is the directory that relative paths start from, `file` what problems call it."""

    def __init__(self, tree: Tree, file: str, base: FilePath) -> None:
        self.file = file
        self._places = tree.places
        self._blamed = set(tree.blamed)
        self.problems = list(tree.problems)
        self.warnings: list[str] = []
        self.base = base

    def blame(self, path: Path) -> None:
        """From now on nothing is said about this path or what stands in it."""
        self._blamed.add(as_written(path, self._places))

    def is_blamed(self, path: Path) -> bool:
        path = as_written(path, self._places)
        return any(path[:end] in self._blamed for end in range(len(path) + 1))

    def blames_below(self, path: Path) -> bool:
        """Whether something in the value at this path was wrong."""
        path = as_written(path, self._places)
        return any(blamed[: len(path)] == path for blamed in self._blamed)

    def wrong(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """A problem with the value at `path`, or with its key."""
        if not self.is_blamed(path):
            self.problems.append(self._problem(path, message, at_key))
            self.blame(path)

    def lacks(self, path: Path, name: str, message: str) -> None:
        """A problem with what is absent: its place is the key of what it should stand in."""
        if not self.is_blamed((*path, name)):
            problem = self._problem(path, message, at_key=True)
            self.problems.append(problem._replace(path=spell((*as_written(path, self._places), name))))
            self.blame((*path, name))

    def add(self, problem: Problem) -> None:
        """A problem that has its place already."""
        self.problems.append(problem)

    def stands(self, path: Path) -> bool:
        """Whether there is something of its own at the path."""
        return path in self._places

    def name(self, path: Path) -> str:
        """The path as its author knows it."""
        place = self._places.get(path)
        return place.name if place is not None and place.name is not None else spell(path)

    def warn(self, path: Path, message: str) -> None:
        """Something that works and is probably not meant."""
        self.warnings.append(str(self._problem(path, message, at_key=False)))

    def in_order(self) -> list[Problem]:
        """Every problem once, in the order of the files."""
        return sorted(dict.fromkeys(self.problems), key=self._order)

    def _order(self, problem: Problem) -> tuple[bool, bool, str, int, int]:
        """The file itself first, then those that it names, the command line last."""
        file = problem.file
        return file == COMMAND_LINE, file != self.file, file, problem.line, problem.column

    def _problem(self, path: Path, message: str, at_key: bool) -> Problem:
        path = as_written(path, self._places)
        place = place_of(self._places, path)
        if place is None:
            return Problem(self.file, 1, 1, spell(path), message)
        line, column = place.key if at_key else (place.line, place.column)
        return Problem(place.file, line, column, place.name or spell(path), message)
