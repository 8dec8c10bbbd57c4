"""Two-way tables with margins: what must be hidden so that no small group can be worked out from the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra, maximum_flow

from icsat_helpers.disclosure import few_moved
from icsat_helpers.release import NARROWEST

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
LARGEST_FLOW = 2**30  # capacities are 32-bit
FREE = 1e-6  # length of what is hidden already; 0 would be no way at all


@dataclass(frozen=True, slots=True)
class Hidden:
    """What of a two-way table must not be shown.

    Attributes
    ----------
    cells : DataFrame of bool, rows x columns
        False where nobody answered: an empty cell describes nobody.
    rows, columns : Series of bool
        The margins.
    total : bool
    """

    cells: pd.DataFrame
    rows: pd.Series
    columns: pd.Series
    total: bool

    @classmethod
    def of(cls, groups: pd.DataFrame) -> Hidden:
        """What `hidden_groups` found of a table, or of the part of it that is a site's."""
        rows = "row_of_site" if "row_of_site" in groups else "whole_row"
        return cls(
            groups.groupby(["row", "column"])["cell"].first().unstack(fill_value=False),
            groups.groupby("row")[rows].first(),
            groups.groupby("column")["whole_column"].first(),
            bool(groups["total"].iloc[0]),
        )


def suppress_table(
    answers: pd.DataFrame, minimum: int, bounds: tuple[float, float], before: pd.DataFrame | None = None
) -> Hidden:
    """Hide small groups in a two-way table of means, and as much more as keeps them from being worked out.

    The parameters are those of `hidden_groups`, which says what is hidden and why.

    Examples
    --------
    >>> people = [("a", "x", 3), ("a", "y", 9), ("a", "z", 6), ("b", "x", 9), ("b", "y", 6), ("b", "z", 9)]
    >>> rows = [(r, c, f"{r}{i}", 3.0) for r, c, n in people for i in range(n)]
    >>> table = pd.DataFrame(rows, columns=["row", "column", "person", "score"])
    >>> suppress_table(table, 5, (1, 5)).cells.to_numpy().tolist()
    [[True, False, True], [True, False, True]]
    """
    return Hidden.of(hidden_groups(answers, minimum, bounds, before))


def hidden_groups(
    answers: pd.DataFrame, minimum: int, bounds: tuple[float, float], before: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Hide small groups in a two-way table of means, and as much more as keeps them from being worked out.

    A cell or margin is sensitive where fewer than `minimum` people stand behind it, or where `few_moved` since the
    table `before`. The reader is taken to know more than a page shows: n and mean, exactly, of every shown cell and
    margin, which cells are empty, and the answer scale. More is hidden until, for each sensitive cell or margin,

    1. the numbers of answers that agree with all this span what `minimum` people give: nobody can tell that the
       group is small, and no sum or difference of shown numbers is about less;
    2. the means that agree with it, even for a reader who knows every hidden number of answers, span `NARROWEST`
       of the answer scale;
    3. the hidden part of a line whose margin is shown holds `minimum` people.

    A table with margins is a network, so an interval is two maximum flows, and what is hidden next lies on the
    shortest path (Cox 1995; Castro 2012).

    Parameters
    ----------
    answers : DataFrame
        row, column, person, score: one row an answer; and site, of the column, where each site has a table of its
        own, for readers who have the whole and those of all sites. What the whole hides is hidden there, and more of
        the sites' own margins.
    minimum : int
    bounds : (float, float)
        Ends of the answer scale.
    before : DataFrame, optional
        The same of the period before, whose table the reader has too.

    Returns
    -------
    DataFrame
        row, column, (site), and what of them is hidden: cell, whole_row, whole_column, (row_of_site), total (of the
        whole, or of the site).
    """
    width = NARROWEST * (bounds[1] - bounds[0])
    network = _Network.of(answers.drop(columns="site", errors="ignore"), minimum, bounds, before)
    _suppress(network, minimum, width)
    names = ["cell", "whole_row", "whole_column"]
    if "site" in answers:
        network = _Network.of(answers, minimum, bounds, before).beside(network)
        _suppress(network, minimum, width)
        names += ["row_of_site", "total"]
    keys = [key for key in ("row", "column", "site") if key in answers]
    flags = {name: network.hidden[arcs] for name, arcs in zip(names, network.behind.T, strict=True)}
    return answers[keys].assign(**({"total": bool(network.hidden[-1])} | flags)).drop_duplicates(keys)


def suppress_parts(answers: pd.DataFrame, minimum: int, bounds: tuple[float, float]) -> pd.Series:
    """Which parts of a mean that is shown must be hidden, as in `suppress_table`.

    Parameters
    ----------
    answers : DataFrame
        part, person, score: one row an answer.

    Returns
    -------
    Series of bool, by part

    Examples
    --------
    >>> parts = pd.DataFrame({"part": [*"aaabbbbbbcccccc"], "person": range(15), "score": 3.0})
    >>> suppress_parts(parts, 5, (1, 5)).tolist()
    [True, True, False]
    """
    found = suppress_table(answers.assign(row="all").rename(columns={"part": "column"}), minimum, bounds)
    whole = bool(found.rows["all"] or found.total)  # which is shown elsewhere
    return found.cells.loc["all"] | found.columns | whole


def _suppress(network: _Network, minimum: int, width: float) -> None:
    widened = network.widen_lines(minimum)
    _complement(network, minimum, width)
    network.protect_widened(widened, minimum, width)
    while widened := network.widen_lines(minimum):  # what was hidden since may hold too few of another line
        network.protect_widened(widened, minimum, width)
    network.show_what_follows()


def _complement(network: _Network, minimum: int, width: float) -> None:
    """Hide more until every sensitive arc is protected, those with most answers first."""
    arcs = np.flatnonzero(network.sensitive)
    for arc in arcs[np.argsort(-network.n[arcs], kind="stable")]:
        answers = int(np.ceil(minimum * network.n[arc] / network.people[arc]))
        endless = np.full(len(network.n), answers)
        network.protect(arc, np.column_stack([network.n - 1, endless]), answers)
        wanted = int(np.ceil(network.scale * width * network.n[arc]))
        network.protect(arc, network.room, wanted)


def _nodes(answers: pd.DataFrame) -> tuple[dict[str, Ints], list[bool]]:
    """Nodes of each answer, by kind, and for each node whether it is one of rows; with sites a row has parts."""
    sites = ["site"] if "site" in answers else []
    kinds = [("part", ["row", *sites], True), ("column", ["column"], False)]
    kinds += [("row", ["row"], True), ("site", sites, False)] if sites else []
    nodes: dict[str, Ints] = {}
    down: list[bool] = []
    for name, keys, is_row in kinds:
        code = answers.groupby(keys, sort=True).ngroup().to_numpy()
        nodes[name] = len(down) + code
        down += [is_row] * (int(code.max()) + 1)
    return nodes, down


def _levels(nodes: dict[str, Ints], source: int) -> Iterator[tuple[Any, Any, list[str]]]:
    """Arcs of each answer, level by level: their two nodes, and the columns that name those of which few may move.

    The total is on no page: nothing is asked of who moved.
    """
    sink = source + 1
    if "site" in nodes:
        yield nodes["part"], nodes["column"], ["row", "site", "column"]
        yield source, nodes["row"], ["row"]
        yield nodes["column"], nodes["site"], ["column"]
        yield nodes["row"], nodes["part"], ["row", "site"]
        yield nodes["site"], sink, []
    else:
        yield nodes["part"], nodes["column"], ["row", "column"]
        yield source, nodes["part"], ["row"]
        yield nodes["column"], sink, ["column"]
    yield sink, source, []


@dataclass
class _Network:
    """A table as a circulation through cells, rows' margins, columns' margins and the total, its arcs in this order.

    Attributes
    ----------
    down : whether a node has its margin before it, and its parts behind
    tail, head : nodes that an arc joins: rows, columns, source of the rows, sink of the columns; with sites a row is
        first the row of a site, and a column ends in its site
    n, people : answers and people behind an arc
    room : arcs x 2, by how much the sum of scores may fall and rise, in steps of 1 / `scale` points
    hidden : grows
    fixed : what is shown elsewhere, so that to hide it would be in vain
    behind : answers x 3, the cell and the margins of each answer; with sites x 5, the site's margins last
    person : code of who answered
    """

    down: Bools
    tail: Ints
    head: Ints
    n: Ints
    people: Ints
    room: Ints
    scale: float
    sensitive: Bools
    hidden: Bools
    fixed: Bools
    behind: Ints
    person: Ints

    @classmethod
    def of(
        cls, answers: pd.DataFrame, minimum: int, bounds: tuple[float, float], before: pd.DataFrame | None = None
    ) -> _Network:
        person = pd.factorize(answers["person"])[0]
        nodes, down = _nodes(answers)
        parts, behind, few, seen = [], [], [], 0
        for tail, head, keys in _levels(nodes, len(down)):
            frame = pd.DataFrame({"tail": tail, "head": head, "score": answers["score"].to_numpy(), "person": person})
            grouped = frame.groupby(["tail", "head"], sort=True)
            parts.append(grouped.agg(n=("score", "size"), people=("person", "nunique"), sum=("score", "sum")))
            behind.append(seen + grouped.ngroup().to_numpy())
            seen += len(parts[-1])
            known = before is not None and keys
            few.append(
                few_moved(answers, before, keys, minimum).gt(0) if known else np.zeros(len(parts[-1]), dtype=bool)
            )
        arcs = pd.concat(parts).reset_index()
        low, high = bounds
        scale = min(1000.0, LARGEST_FLOW / ((high - low) * len(answers)))
        room = np.column_stack([arcs["sum"] - low * arcs["n"], high * arcs["n"] - arcs["sum"]]).clip(0)
        small = (arcs["people"] < minimum).to_numpy() | np.concatenate(few)
        return cls(
            down=np.array([*down, True, False]), tail=arcs["tail"].to_numpy(), head=arcs["head"].to_numpy(),
            n=arcs["n"].to_numpy(), people=arcs["people"].to_numpy(),
            room=np.floor(np.round(scale * room, 6)).astype(np.int64), scale=scale,
            sensitive=small, hidden=small.copy(), fixed=np.zeros(len(small), dtype=bool),
            behind=np.column_stack(behind[:-1]), person=person,
        )  # fmt: skip

    @cached_property
    def both(self) -> tuple[Ints, Ints, Ints]:
        """Arcs both ways as a sparse matrix has them: their order in it, its columns, where its rows start."""
        tail, head = np.concatenate([self.tail, self.head]), np.concatenate([self.head, self.tail])
        order = np.lexsort((head, tail))
        starts = np.searchsorted(tail[order], np.arange(self.head.max() + 2))
        return order, head[order].astype(np.int32), starts.astype(np.int32)

    def beside(self, whole: _Network) -> _Network:
        """The table of all sites beside the one without: what that hides is hidden, what it shows is shown."""
        hidden, fixed = self.hidden.copy(), self.fixed.copy()
        for mine, theirs in zip(self.behind.T, whole.behind.T, strict=False):  # cells, rows, columns
            hidden[mine] = whole.hidden[theirs]
            fixed[mine] = ~whole.hidden[theirs]
        totals = self.behind[:, -1]
        fixed[totals] = ~hidden[totals]  # no page shows a site's mean of all answers, but how many they are
        return replace(self, hidden=hidden, fixed=fixed)

    def widen_lines(self, minimum: int) -> list[tuple[int, int]]:
        """Hide the smallest shown parts of each line while its hidden ones hold fewer than `minimum` people.

        Returns what was hidden so, and the line.
        """
        widened = []
        for node in range(self.head.max() + 1):
            margin, parts = self._line(node)
            while self.hidden[parts].any() and not self.hidden[margin].any() and self._hideable(parts).any():
                if self._people(parts[self.hidden[parts]]) >= minimum:
                    break
                shown = parts[self._hideable(parts)]
                widened.append((int(shown[np.argmin(self.n[shown])]), node))
                self.hidden[widened[-1][0]] = True
        return widened

    def protect_widened(self, widened: list[tuple[int, int]], minimum: int, width: float) -> None:
        """See to it that what was hidden to widen a line cannot be told by another one, where it is still needed."""
        for arc, node in widened:
            _, parts = self._line(node)
            others = parts[self.hidden[parts] & (parts != arc)]
            if len(others) and self._people(others) < minimum:
                answers = int(np.ceil(minimum * self.n[others].sum() / self._people(others)))
                self.protect(arc, np.column_stack([self.n - 1, np.full(len(self.n), answers)]), answers)
                self.protect(arc, self.room, int(np.ceil(self.scale * width * self.n[others].sum())))

    def _line(self, node: int) -> tuple[Ints, Ints]:
        """The margin of a line, and its parts."""
        enter, leave = np.flatnonzero(self.head == node), np.flatnonzero(self.tail == node)
        return (enter, leave) if self.down[node] else (leave, enter)

    def _hideable(self, arcs: Ints) -> Bools:
        return ~(self.hidden | self.fixed)[arcs]

    def _people(self, arcs: Ints) -> int:
        mine = np.isin(self.behind, arcs).any(axis=1)
        return len(np.unique(self.person[mine]))

    def show_what_follows(self) -> None:
        """Show what was hidden for others' sake and yet follows from what is shown: no way leads round it."""
        size = 2 * (self.head.max() + 1,)
        for arc in np.flatnonzero(self.hidden & ~self.sensitive):
            rest = self.hidden & (np.arange(len(self.n)) != arc)
            graph = sparse.csr_array((np.ones(rest.sum()), (self.tail[rest], self.head[rest])), shape=size)
            part = connected_components(graph, directed=False)[1]
            self.hidden[arc] = part[self.tail[arc]] == part[self.head[arc]]

    def protect(self, arc: int, room: Ints, wanted: int) -> None:
        """Hide arcs until what flows through `arc` may differ by `wanted`; `room`: how far each may fall and rise."""
        room = np.minimum(room, wanted)
        if self._by_squares(arc, room, wanted):
            return
        ways = [(self.head[arc], self.tail[arc], room[arc, 1]), (self.tail[arc], self.head[arc], room[arc, 0])]
        opened = True
        while opened:
            graph, spans = self._graph(arc, room), [0, 0]  # by how much it may rise, and fall
            for number, way in enumerate(ways):
                if sum(spans) < wanted:
                    spans[number] = _span(graph, *way)
            opened = sum(spans) < wanted and any(
                span < way[2] and self._open(arc, room, *way[:2]) for span, way in zip(spans, ways, strict=True)
            )

    def _by_squares(self, arc: int, room: Ints, wanted: int) -> bool:
        """Whether what flows through a cell may differ by `wanted` in the quickest way to see.

        With it three other hidden cells change, corners of a square with it: where one falls the next one rises. As
        many squares that share no other cell are taken together as it needs; there may be more room than is found.
        """
        cells, size = self.cells, self.head.max() + 1
        if arc >= len(cells):
            return False
        across, along = (self._beside(arc, self.tail[arc]), self._beside(arc, self.head[arc]))
        corner = self.tail[along][:, None] * size + self.head[across]
        place = np.minimum(np.searchsorted(cells, corner), len(cells) - 1)
        there = (cells[place] == corner) & self.hidden[place]
        found = 0
        for up in (1, 0):
            ends = np.minimum(room[along, 1 - up][:, None], room[across, 1 - up])
            most, left = found + int(room[arc, up]), np.where(there, np.minimum(room[place, up], ends), 0)
            while found < min(most, wanted) and left.any():
                i, j = np.unravel_index(np.argmax(left), left.shape)
                found = min(found + int(left[i, j]), most)
                left[i], left[:, j] = 0, 0
        return found >= wanted

    @cached_property
    def cells(self) -> Ints:
        """A number for each cell by its two nodes; cells come first, and these numbers rise."""
        cells = slice(self.behind[:, 0].max() + 1)
        return np.asarray(self.tail[cells] * (self.head.max() + 1) + self.head[cells])

    def _beside(self, arc: int, node: int) -> Ints:
        """Other hidden cells at a node."""
        order, _, starts = self.both
        arcs = order[starts[node] : starts[node + 1]] % len(self.n)
        return np.asarray(arcs[(arcs < len(self.cells)) & (arcs != arc) & self.hidden[arcs]])

    def _graph(self, arc: int, room: Ints) -> sparse.csr_array:
        """By how much what flows between two nodes may change when hidden numbers do, but not that of `arc`."""
        capacity = np.where(self.hidden[:, None], room, 0)[:, ::-1].astype(np.int32)
        capacity[arc] = 0
        order, column, starts = self.both
        size = 2 * (len(starts) - 1,)
        return sparse.csr_array((capacity.T.ravel()[order], column, starts), shape=size)

    def _open(self, arc: int, room: Ints, start: int, end: int) -> bool:
        """Hide what is shown on the shortest way from `start` to `end`; fewest answers, margins last."""
        graph = self._graph(arc, room)
        left = (graph - maximum_flow(graph, int(start), int(end)).flow).tocoo()
        shown = np.flatnonzero(~(self.hidden | self.fixed))
        price = self.n + np.where(np.arange(len(self.n)) > self.behind[:, 0].max(), self.n.max(), 0)
        rises, falls = shown[room[shown, 1] > 0], shown[room[shown, 0] > 0]
        used = left.data > 0
        tail = np.concatenate([left.row[used], self.tail[rises], self.head[falls]])
        head = np.concatenate([left.col[used], self.head[rises], self.tail[falls]])
        length = np.concatenate([np.full(used.sum(), FREE), price[rises], price[falls]])
        ways = sparse.csr_array((length, (tail, head)), shape=graph.shape)
        distance, before = dijkstra(ways, indices=int(start), return_predecessors=True)
        node = int(end)
        if not np.isfinite(distance[node]):
            return False
        while node != start:
            last = int(before[node])
            self.hidden |= ((self.tail == last) & (self.head == node)) | ((self.tail == node) & (self.head == last))
            node = last
        return True


def _span(graph: sparse.csr_array, start: int, end: int, most: int) -> int:
    return min(int(maximum_flow(graph, int(start), int(end)).flow_value), int(most))
