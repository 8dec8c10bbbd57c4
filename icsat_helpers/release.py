"""What pages say of groups of people, as statements that travel with them, and what a reader can work out from all.

Each table of means says which groups it shows, which it hides, and which are parts of which. The audit takes the
statements of every page that the output folder holds and asks, by linear programming, how far each hidden mean is
narrowed. It knows nothing but what is published.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from icsat_helpers.results import MIME

ROUNDING = 0.0005  # numbers are shown to three places at most
NARROWEST = 0.5  # of the answer scale: a small group's mean may not be narrowed to less than half of it
KNOWN = 0.01  # of the scale: what is narrowed so far is known
SLACK = 1e-6

Group = tuple[int | None, float | None, int]
"""Answers of a group, their mean, and how many of them one person may have given."""

UNKNOWN: Group = (None, None, 1)
"""A group of which nothing is shown."""


@dataclass(frozen=True, slots=True)
class Statements:
    """What one table or sentence says.

    Attributes
    ----------
    low, high : float
        Ends of the scale.
    groups : dict of str to (int or None, float or None, int)
        Name to answers, their mean, and how many of them one person may have given. Without a number of answers the
        group is hidden; with one but without a mean no page names it, but it follows from those (who came, say).
    sums : tuple of (str, tuple of str)
        A group, and the groups that make it up.
    changes : tuple of (str, str, float)
        Mean of a group, less mean of another: the number that is shown.
    half : float
        By how much a shown number may be off: half of its last place, or of the step it is rounded to.

    Examples
    --------
    >>> Statements(1, 5, {"all": (9, 3.0, 1), "a": (None, None, 1)}, (("all", ("a",)),)).plain()["sums"]
    [['all', ['a']]]
    """

    low: float
    high: float
    groups: dict[str, Group]
    sums: tuple[tuple[str, tuple[str, ...]], ...] = ()
    changes: tuple[tuple[str, str, float], ...] = ()
    half: float = ROUNDING

    def plain(self) -> dict[str, Any]:
        """As they travel in a notebook's outputs: three places, nothing of what is hidden."""
        groups = {
            name: [n if n is None else int(n), mean if mean is None else round(float(mean), 3), int(each)]
            for name, (n, mean, each) in self.groups.items()
        }
        return {
            "scale": [float(self.low), float(self.high)], "half": self.half, "groups": groups,
            "sums": [[whole, list(parts)] for whole, parts in self.sums],
            "changes": [[now, before, round(float(by), 3)] for now, before, by in self.changes],
        }  # fmt: skip


def travelling(statements: Sequence[Statements]) -> dict[str, Any]:
    """Return what a figure adds to its outputs so that the audit finds its statements."""
    return {MIME: {"release": [each.plain() for each in statements]}} if statements else {}


def of_notebook(node: Any) -> list[dict[str, Any]]:
    """Return the statements of an executed notebook."""
    data = [output.get("data", {}) for cell in node["cells"] for output in cell.get("outputs", ())]
    return [said for each in data if MIME in each for said in each[MIME].get("release", ())]


def earlier(output: Path, folder: Path, period: str) -> list[dict[str, Any]]:
    """Return the statements of all that an output folder holds beside `folder`, of periods up to this one."""
    found = []
    for path in sorted([*output.glob("*/[0-9][0-9]-*.ipynb"), *output.glob("*/*/[0-9][0-9]-*.ipynb")]):
        if path.parent == folder or path.relative_to(output).parts[0] > period:
            continue
        known = path.stat()
        found += _read(path, (known.st_mtime_ns, known.st_size, known.st_ino))
    return found


@functools.cache
def _read(path: Path, _: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return the statements of a notebook as it was changed last: a run of many sites reads each once."""
    text = path.read_text(encoding="utf-8")
    return of_notebook(json.loads(text)) if '"release"' in text else []


# ---------------------------------------------------------------- the audit


@dataclass(slots=True)
class _Known:
    """A group as all statements together show it."""

    low: float
    high: float
    each: int = 1
    n: int | None = None
    hidden: bool = False
    shown: bool = False

    def small(self, minimum: int) -> bool:
        """Whether it may describe fewer people than the minimum, as far as a page says."""
        return self.hidden or (self.n or 0) < minimum * self.each


@dataclass(slots=True)
class _Book:
    """All statements, one entry a group."""

    groups: dict[str, _Known] = field(default_factory=dict)
    sums: dict[tuple[str, tuple[str, ...]], None] = field(default_factory=dict)
    changes: list[tuple[str, str, float, float]] = field(default_factory=list)

    @classmethod
    def of(cls, every: Iterable[dict[str, Any]]) -> _Book:
        book = cls()
        for said in every:
            book._add(said)
        return book

    def _add(self, said: dict[str, Any]) -> None:
        low, high = said["scale"]
        for name, (n, mean, each) in said["groups"].items():
            known = self.groups.setdefault(name, _Known(low, high))
            known.each = max(known.each, each)
            known.hidden |= n is None
            known.n = known.n if n is None else n
            if mean is not None:
                known.shown = True
                known.low, known.high = max(known.low, mean - said["half"]), min(known.high, mean + said["half"])
        self.sums |= {(whole, tuple(parts)): None for whole, parts in said["sums"]}
        self.changes += [(now, before, by, said["half"]) for now, before, by in said["changes"]]

    def bound(self, name: str) -> bool:
        """Whether something is not known of a group, or was not to be: what is known of others binds it."""
        known = self.groups[name]
        return known.hidden or not known.shown or known.n is None

    def narrowed(self, part: Iterable[str], minimum: int) -> set[str]:
        """Those of a part that are narrowed too far."""
        return _Program(self, list(part)).narrowed(minimum)


def exposed(now: Iterable[dict[str, Any]], before: Iterable[dict[str, Any]], minimum: int) -> list[str]:
    """Hidden groups whose mean the statements of `now`, with those of `before`, narrow below the protection interval.

    A hidden group is exposed where its mean is narrowed to less than `NARROWEST` of the scale, unless it is seen to
    hold `minimum` people: then it may be hidden for the sake of others. It is exposed all the same where it might as
    well be shown, for its number of answers and their mean are known. A group that no page names is exposed where it is
    narrowed and may hold fewer.

    Examples
    --------
    >>> groups = {"all": (12, 3.0, 1), "a": (9, 3.5, 1), "b": (None, None, 1)}
    >>> said = Statements(1, 5, groups, (("all", ("a", "b")),))
    >>> exposed([said.plain()], [], 5)
    ['b']
    """
    now, before = list(now), list(before)
    new = {name for said in now for name in said["groups"]}
    book, alone = _Book.of([*now, *before]), _Book.of(now)
    found: set[str] = set()
    for part in _parts(book):
        if new & part.keys() and any(book.groups[name].small(minimum) for name in part):
            try:
                found |= book.narrowed(part, minimum)
            except _Contradiction:  # what was known then has been revised: it says nothing of what is known now
                found |= _alone(alone, [name for name in part if name in new and alone.bound(name)], minimum)
    return sorted(found)


def _alone(book: _Book, names: list[str], minimum: int) -> set[str]:
    try:
        return book.narrowed(names, minimum)
    except _Contradiction:  # one of the pages is wrong: nobody can say what it gives away
        return {name for name in names if book.groups[name].small(minimum)}


def _parts(book: _Book) -> Iterator[dict[str, None]]:
    """Sets of unknown groups, each with the equations that bind it: what is shown binds nobody."""
    home = {name: name for name in book.groups if book.bound(name)}

    def root(name: str) -> str:
        while home[name] != name:
            home[name] = home[home[name]]
            name = home[name]
        return name

    for members in [*((whole, *parts) for whole, parts in book.sums), *((a, b) for a, b, *_ in book.changes)]:
        bound = [root(name) for name in members if name in home]
        for other in bound[1:]:
            home[root(other)] = root(bound[0])
    found: dict[str, dict[str, None]] = {}
    for name in home:
        found.setdefault(root(name), {})[name] = None
    yield from found.values()


class _Program:
    """What a set of groups may be: n and sums of answers, all times one factor, so that a mean is linear too.

    The unknowns are n and the sum of each group, and the factor. Every row is homogeneous: with the factor at 1 they
    are the groups as they may be; with n of one group at 1, its sum is its mean (Charnes & Cooper 1962).
    """

    def __init__(self, book: _Book, names: list[str]) -> None:
        from scipy import sparse

        self.book, self.names = book, names
        part = set(names)
        sums = [each for each in book.sums if any(name in part for name in (each[0], *each[1]))]
        changes = [each for each in book.changes if any(name in part for name in each[:2])]
        everyone = {name for whole, parts in sums for name in (whole, *parts)} | {x for c in changes for x in c[:2]}
        everyone |= part
        self.place = {name: i for i, name in enumerate(sorted(everyone))}
        self.size = 2 * len(everyone) + 1
        self._cells: tuple[list[int], list[int], list[float]] = ([], [], [])
        self._kinds: list[bool] = []  # whether a row is an equation, else it is at most 0
        for name in self.place:
            self._group(name)
        for whole, parts in sums:
            for shift in (0, 1):
                terms = [(whole, 1.0), *((name, -1.0) for name in parts)]
                self._row([(self._at(name, shift), sign) for name, sign in terms], equal=True)
        for change in changes:
            self._change(*change)
        row, column, value = self._cells
        matrix = sparse.csr_array((value, (row, column)), shape=(len(self._kinds), self.size))
        equal = [i for i, kind in enumerate(self._kinds) if kind]
        most = [i for i, kind in enumerate(self._kinds) if not kind]
        self.equal, self.most = matrix[equal], matrix[most]
        self.seen = {name: [float("inf"), float("-inf")] for name in self.names}

    def _at(self, name: str, shift: int) -> int:
        return 2 * self.place[name] + shift

    def _row(self, terms: Iterable[tuple[int, float]], equal: bool = False) -> None:
        for column, value in terms:
            self._cells[0].append(len(self._kinds))
            self._cells[1].append(column)
            self._cells[2].append(value)
        self._kinds.append(equal)

    def _group(self, name: str) -> None:
        known, factor = self.book.groups[name], self.size - 1
        n, total = self._at(name, 0), self._at(name, 1)
        if known.n is None:
            self._row([(factor, 1.0), (n, -1.0)])  # at least one answer
        else:
            self._row([(n, 1.0), (factor, -float(known.n))], equal=True)
        self._row([(total, 1.0), (n, -known.high)])
        self._row([(total, -1.0), (n, known.low)])

    def _change(self, now: str, before: str, by: float, half: float) -> None:
        """Bind two means by their difference, where one of them is shown or both numbers of answers are."""
        one, two = self.book.groups[now], self.book.groups[before]
        if one.n is not None and two.n is not None:
            difference = [(self._at(now, 1), 1.0 / one.n), (self._at(before, 1), -1.0 / two.n)]
            self._row([*difference, (self.size - 1, -by - half)])
            self._row([*((column, -value) for column, value in difference), (self.size - 1, by - half)])
        for name, other, least, most in (
            (now, two, two.low + by - half, two.high + by + half),
            (before, one, one.low - by - half, one.high - by + half),
        ):
            if other.shown:
                self._row([(self._at(name, 1), 1.0), (self._at(name, 0), -most)])
                self._row([(self._at(name, 1), -1.0), (self._at(name, 0), least)])

    def _solve(self, aim: dict[int, float], fixed: int) -> Any:
        """Smallest value of `aim` where the unknown `fixed` is 1; None where there is no end."""
        import numpy as np
        from scipy.optimize import linprog

        cost = np.zeros(self.size)
        cost[list(aim)] = list(aim.values())
        bounds = np.tile([0.0, np.inf], (self.size, 1))
        bounds[1:-1:2, 0] = -np.inf  # sums, where a scale begins below 0
        bounds[fixed] = 1.0
        found = linprog(
            cost, A_ub=self.most, b_ub=np.zeros(self.most.shape[0]), A_eq=self.equal,
            b_eq=np.zeros(self.equal.shape[0]), bounds=bounds, method="highs",
        )  # fmt: skip
        if found.status == 2:
            raise _Contradiction
        if found.status != 0:
            return None
        for name, ends in self.seen.items():
            n, total = found.x[self._at(name, 0)], found.x[self._at(name, 1)]
            if n > SLACK:
                ends[0], ends[1] = min(ends[0], total / n), max(ends[1], total / n)
        return found.fun

    def _ends(self, column: int, fixed: int) -> tuple[float, float]:
        ends = [self._solve({column: sign}, fixed) for sign in (1.0, -1.0)]
        return (0.0 if ends[0] is None else ends[0]), (float("inf") if ends[1] is None else -ends[1])

    def narrowed(self, minimum: int) -> set[str]:
        """Names of the groups that are narrowed too far."""
        small = [name for name in self.names if self.book.groups[name].small(minimum)]
        for sign in (1.0, -1.0):  # one look at all, every other one high: most are seen to be far from any end
            aim = {self._at(name, 1): sign * (-1.0) ** i for i, name in enumerate(small)}
            self._solve(aim, self.size - 1)
        return {name for name in small if self._is_narrowed(name, minimum * self.book.groups[name].each)}

    def _is_narrowed(self, name: str, minimum: int) -> bool:
        known = self.book.groups[name]
        if not known.shown and self._wide(name, self._wanted(name)):
            return False
        low, high = self._ends(self._at(name, 0), self.size - 1)
        if low < minimum - SLACK or high - low >= 1:
            return low < minimum - SLACK
        return known.hidden and not self._wide(name, KNOWN * (known.high - known.low))

    def _wanted(self, name: str) -> float:
        known = self.book.groups[name]
        return NARROWEST * (known.high - known.low) - SLACK

    def _wide(self, name: str, wanted: float) -> bool:
        for sign in (1.0, -1.0):
            if self.seen[name][1] - self.seen[name][0] < wanted:
                self._solve({self._at(name, 1): sign}, self._at(name, 0))
        return self.seen[name][1] - self.seen[name][0] >= wanted


class _Contradiction(Exception):
    """Statements that cannot all be true."""
