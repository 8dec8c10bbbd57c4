"""Tables with margins: what is hidden cannot be worked out, by linear programming over all that is shown."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import linprog

from icsat_helpers import disclosure, margins

SCALE = (1.0, 5.0)


def answers(seed, rows, columns, density, typical, level=3.3):
    """Random answers: people of a row rate some columns; small and large rows."""
    rng = np.random.default_rng(seed)
    size = np.maximum(1, rng.poisson(typical * rng.uniform(0.3, 2.0, rows)))
    used = rng.random((rows, columns)) < density
    parts = []
    for i in range(rows):
        for j in np.flatnonzero(used[i]):
            who = np.flatnonzero(rng.random(size[i]) < 0.5)
            scores = np.clip(rng.normal(level, 0.8, len(who)), *SCALE)
            parts += [(f"r{i:03d}", f"c{j:03d}", f"p{i}-{k}", score) for k, score in zip(who, scores, strict=True)]
    return pd.DataFrame(parts, columns=["row", "column", "person", "score"])


def attack(table, hidden, minimum):
    """Worst protection found by linear programming over all that is shown: of counts, and of means.

    Returns the smallest span of counts in units of what is wanted, the smallest span of means as a share of the
    scale, over sensitive cells and margins. Independent of how they were hidden: one unknown for each hidden number.
    """
    kinds = {
        "cell": (table.groupby(["row", "column"]), hidden.cells.stack()),
        "row": (table.groupby("row"), hidden.rows),
        "column": (table.groupby("column"), hidden.columns),
    }
    parts = []
    for kind, (grouped, mask) in kinds.items():
        frame = grouped.agg(n=("score", "size"), people=("person", "nunique"), sum=("score", "sum")).reset_index()
        keys = [
            tuple(key) if kind == "cell" else key
            for key in frame[[c for c in ("row", "column") if c in frame]].to_numpy()
        ]
        keys = keys if kind == "cell" else [key[0] for key in keys]
        parts.append(frame.assign(kind=kind, hidden=[bool(mask[key]) for key in keys]))
    whole = {"n": len(table), "people": table["person"].nunique(), "sum": table["score"].sum(), "kind": "total"}
    arcs = pd.concat([*parts, pd.DataFrame([{**whole, "hidden": hidden.total}])], ignore_index=True)
    lines = [
        (arcs["kind"].eq("cell") & arcs["row"].eq(r), arcs["kind"].eq("row") & arcs["row"].eq(r))
        for r in hidden.rows.index
    ]
    lines += [
        (arcs["kind"].eq("cell") & arcs["column"].eq(c), arcs["kind"].eq("column") & arcs["column"].eq(c))
        for c in hidden.columns.index
    ]
    lines += [(arcs["kind"].eq(kind), arcs["kind"].eq("total")) for kind in ("row", "column")]
    matrix = np.array([parts.astype(int) - margin.astype(int) for parts, margin in lines])
    unknown = arcs["hidden"].to_numpy()
    low, high = SCALE
    worst = [np.inf, np.inf]
    n, sums = arcs["n"].to_numpy(float), arcs["sum"].to_numpy(float)
    for k, (values, bounds) in enumerate(
        ((n, [(1, None)] * unknown.sum()), (sums, np.column_stack([low * n, high * n])[unknown]))
    ):
        left = sparse.csr_array(matrix[:, unknown])
        right = -matrix[:, ~unknown] @ values[~unknown]
        for arc in np.flatnonzero(unknown & (arcs["people"] < minimum)):
            aim = np.zeros(len(arcs))
            aim[arc] = 1.0
            ends = []
            for sign in (1, -1):
                found = linprog(sign * aim[unknown], A_eq=left, b_eq=right, bounds=bounds, method="highs")
                assert found.status in (0, 3), found.message
                ends.append(sign * found.fun if found.status == 0 else np.inf)
            span = ends[1] - ends[0]
            wanted = minimum * n[arc] / arcs.at[arc, "people"] if k == 0 else n[arc] * (high - low)
            worst[k] = min(worst[k], span / wanted)
    return worst


def safe(worst):
    return worst[0] >= 1 - 1e-9 and worst[1] >= margins.NARROWEST - 1e-6


TABLES = [
    (1, 8, 8, 0.5, 12),
    (2, 12, 10, 0.8, 6),
    (3, 40, 40, 0.25, 16),
    (5, 3, 3, 1, 8),
    (6, 2, 2, 1, 8),
    (7, 1, 4, 1, 8),
]


@pytest.mark.parametrize("given", [*TABLES, (8, 6, 6, 0.9, 10, 4.9)], ids=lambda given: "x".join(map(str, given[1:3])))
def test_no_small_group_can_be_worked_out_from_what_is_shown(given):
    """The last table is at the top of the scale, where a shown mean says most about each of its parts."""
    table = answers(*given)
    hidden = margins.suppress_table(table, 5, SCALE)
    people = table.groupby(["row", "column"])["person"].nunique()
    assert all(hidden.cells.at[key] for key in people.index[people < 5])
    assert safe(attack(table, hidden, 5))


def test_the_attack_succeeds_where_only_the_small_cells_are_hidden(monkeypatch):
    monkeypatch.setattr(margins._Network, "protect", lambda *given: None)
    broken = [
        not safe(attack(table, margins.suppress_table(table, 5, SCALE), 5))
        for table in map(lambda g: answers(*g), TABLES)
    ]
    assert sum(broken) >= len(TABLES) - 1


def test_a_table_of_forty_by_forty_keeps_most_of_what_may_be_shown():
    table = answers(3, 40, 40, 0.25, 16)
    hidden = margins.suppress_table(table, 5, SCALE)
    people = table.groupby(["row", "column"])["person"].nunique()
    assert hidden.cells.to_numpy().sum() - (people < 5).sum() <= 0.1 * (people >= 5).sum()
    assert hidden.rows.sum() <= 3 and not hidden.columns.any() and not hidden.total


def cells(*people, score=3.0):
    rows = [(r, c, f"{r}{i}", score) for r, c, n in people for i in range(n)]
    return pd.DataFrame(rows, columns=["row", "column", "person", "score"])


def test_the_same_few_people_in_two_cells_are_one_small_group():
    """Four people rate both x and y: their eight answers are a margin less what is shown of it."""
    few = [("a", "x", 4), ("a", "y", 4), ("a", "z", 20), ("a", "w", 30)]
    table = cells(*few, ("b", "x", 9), ("b", "y", 9), ("b", "z", 9), ("b", "w", 9))
    hidden = margins.suppress_table(table, 5, SCALE).cells
    assert hidden.loc["a", ["x", "y", "z"]].all()
    assert not hidden.at["a", "w"]
    assert hidden.at["b", "z"], "else z follows from its column, and the four from their row"


@pytest.mark.parametrize("seed", [4, 9])
def test_what_was_hidden_in_vain_is_shown(seed):
    """What is hidden to widen a line, and alone in another, follows from that one: it might as well be shown."""
    table = answers(seed, 20, 20, 0.2, 9)
    hidden = margins.suppress_table(table, 5, SCALE)
    people = table.groupby(["row", "column"])["person"].nunique().unstack()
    large = (hidden.cells & (people >= 5)).stack()
    for row, column in large.index[large]:
        assert hidden.rows[row] or hidden.cells.loc[row].sum() > 1
        assert hidden.columns[column] or hidden.cells[column].sum() > 1


def moved(people, gone):
    """A table before and now: `gone` of the first cell's people are no longer there."""
    before = cells(*people)
    mine = before[(before["row"] == people[0][0]) & (before["column"] == people[0][1])]
    return before, before.drop(mine.index[:gone])


@pytest.mark.parametrize(("gone", "hidden"), [(0, False), (1, True), (4, True), (5, False)])
def test_a_group_that_few_have_left_is_hidden(gone, hidden):
    people = [("a", "x", 12), ("a", "y", 9), ("a", "z", 9), ("b", "x", 9), ("b", "y", 9), ("b", "z", 9)]
    before, now = moved(people, gone)
    found = margins.suppress_table(now, 5, SCALE, before)
    assert found.cells.at["a", "x"] == hidden
    assert found.cells.to_numpy().any() == hidden
    if hidden:
        assert found.cells.at["a", "y"] or found.cells.at["a", "z"] or found.rows["a"]


def test_who_leaves_a_group_that_was_too_small_to_be_shown_tells_nothing():
    before, now = moved([("a", "x", 4), ("a", "y", 9)], 0)
    grown = pd.concat([now, now[:1].assign(person="new")])
    assert disclosure.few_moved(grown, before, ["row", "column"], 5).tolist() == [0, 0]


def test_nothing_is_hidden_where_every_group_is_large_and_empty_cells_hide_nobody():
    hidden = margins.suppress_table(cells(("a", "x", 5), ("a", "y", 6), ("b", "y", 7)), 5, SCALE)
    assert not hidden.cells.to_numpy().any() and not hidden.rows.any() and not hidden.columns.any() and not hidden.total


@pytest.mark.parametrize("people", [[("a", "x", 3)], [("a", "x", 1), ("a", "y", 30)], [("a", "x", 4), ("b", "x", 40)]])
def test_small_tables_hide_what_they_must(people):
    table = cells(*people)
    hidden = margins.suppress_table(table, 5, SCALE)
    assert hidden.cells.to_numpy().any() and safe(attack(table, hidden, 5))


def test_where_all_give_the_highest_answer_a_margin_would_tell_it_of_each():
    table = cells(("a", "x", 3), ("a", "y", 9), ("b", "x", 9), ("b", "y", 9), score=5.0)
    hidden = margins.suppress_table(table, 5, SCALE)
    assert hidden.rows.any() or hidden.total
    assert safe(attack(table, hidden, 5))


def test_what_is_hidden_does_not_depend_on_the_order_of_rows():
    table = answers(2, 12, 10, 0.8, 6)
    one = margins.suppress_table(table, 5, SCALE)
    two = margins.suppress_table(table.sample(frac=1, random_state=1), 5, SCALE)
    pd.testing.assert_frame_equal(one.cells, two.cells)
    pd.testing.assert_series_equal(one.rows, two.rows)


def test_squares_are_no_more_than_what_may_flow():
    """What is seen quickly to have room has it: hidden cells alone change, each within its room."""
    told = []
    for seed, share in itertools.product(range(4), (0.1, 0.2, 0.4)):
        network = margins._Network.of(answers(seed, 9, 8, 0.8, 9), 5, SCALE)
        random = np.random.default_rng(seed)
        network.hidden = random.random(len(network.n)) < share
        for arc, wanted in itertools.product(np.flatnonzero(network.hidden), (1, 3, 6)):
            room = np.minimum(random.integers(0, 7, (len(network.n), 2)), wanted)
            told.append(network._by_squares(arc, room, wanted))
            if told[-1]:
                graph, (tail, head) = network._graph(arc, room), (network.tail[arc], network.head[arc])
                rise = margins._span(graph, head, tail, room[arc, 1])
                assert rise + margins._span(graph, tail, head, room[arc, 0]) >= wanted
    assert True in told and False in told
