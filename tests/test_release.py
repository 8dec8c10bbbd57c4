"""What pages say together gives away nothing that they hide."""

from __future__ import annotations

import dataclasses

import nbformat
import pandas as pd
import pytest
import test_margins as tables

from icsat_helpers import margins, release, servicemap
from icsat_helpers.release import Statements, exposed

# ---------------------------------------------------------------- the audit


def map_of(table, hidden, period="2026Q3", site=""):
    """A service map of a table of answers: its rows are providers, its columns customer units."""
    ratings = table.rename(columns={"row": "provider", "column": "unit"})
    found = servicemap.Map(None, None, None, hidden, None, 5, period, site, tables.SCALE)
    return dataclasses.replace(found, served=servicemap.Served(ratings, None, ""))


def said(table, hidden, **given):
    return servicemap.statements(map_of(table, hidden, **given)).plain()


@pytest.mark.parametrize("given", [*tables.TABLES, (8, 6, 6, 0.9, 10, 4.9)], ids=lambda given: str(given[0]))
def test_the_audit_passes_what_the_gate_lets_through(given):
    table = tables.answers(*given)
    assert exposed([said(table, margins.suppress_table(table, 5, tables.SCALE))], [], 5) == []


def test_the_audit_names_cells_where_only_small_ones_are_hidden(monkeypatch):
    monkeypatch.setattr(margins._Network, "protect", lambda *given: None)
    drawn = [tables.answers(*given) for given in tables.TABLES]
    found = [exposed([said(table, margins.suppress_table(table, 5, tables.SCALE))], [], 5) for table in drawn]
    assert sum(map(bool, found)) >= 3  # where not even numbers of answers are known, which a page does not say
    people = drawn[0].groupby(["row", "column"])["person"].nunique()
    assert set(found[0]) & {servicemap.group("2026Q3", *key) for key in people.index[people < 5]}


def pages(*groups, sums=(), changes=()):
    return Statements(1, 5, {name: (n, mean, 1) for name, n, mean in groups}, sums, changes).plain()


def test_a_total_less_what_is_shown_is_found():
    one = pages(("all", 12, 3.0), ("a", 9, 3.5), ("b", None, None), sums=(("all", ("a", "b")),))
    assert exposed([one], [], 5) == ["b"]


def test_two_hidden_groups_of_a_total_are_safe_and_a_second_page_undoes_it():
    one = pages(("all", 16, 3.0), ("a", 9, 3.5), ("b", None, None), ("c", None, None), sums=(("all", ("a", "b", "c")),))
    assert exposed([one], [], 5) == []
    assert exposed([one, pages(("c", 4, 2.0))], [], 5) == ["b", "c"]


def test_the_people_of_both_times_tell_the_one_who_went():
    """All, and those who answered both times: the difference of the two is what one person said."""
    went = (("then", ("stayed then", "went")), ("now", ("stayed",)))
    groups = [("now", 5, 3.2), ("then", 6, 3.3), ("stayed", 5, None), ("stayed then", 5, None), ("went", 1, None)]
    one = pages(*groups, sums=went, changes=(("stayed", "stayed then", 0.1),))
    assert exposed([one], [], 5) == ["went"]
    assert exposed([pages(*groups, sums=went)], [], 5) == []


def test_a_change_tells_what_an_earlier_report_hid():
    before = pages(("then", None, None))
    now = pages(("now", 9, 3.0), changes=(("now", "then", 0.2),)) | {"groups": {"now": [9, 3.0, 1]}}
    assert exposed([now], [], 5) == []
    assert exposed([now | {"groups": {"now": [9, 3.0, 1], "then": [None, None, 1]}}], [before], 5) == ["then"]


def test_reports_that_contradict_each_other_are_not_believed_together():
    now = pages(("all", 16, 3.0), ("a", 9, 3.5), ("b", None, None), ("c", None, None), sums=(("all", ("a", "b", "c")),))
    revised = pages(("c", 4, 2.0), ("all", 16, 4.0))
    assert exposed([now], [revised], 5) == []


def test_a_margin_of_several_answers_a_person_needs_more_of_them():
    """Eight answers of four people are not eight people."""
    parts = (("all", ("a", "b", "c")),)
    one = Statements(1, 5, {"all": (60, 3.0, 4), "a": (52, 3.1, 4), "b": (None, None, 2), "c": (4, 3.0, 1)}, parts)
    assert exposed([one.plain()], [], 5) == ["b"]


def test_what_is_hidden_does_not_travel(small):
    found = servicemap.service_map(small)
    spoken = servicemap.statements(found).plain()
    hidden = [name for name, (n, mean, _) in spoken["groups"].items() if n is None and mean is None]
    assert hidden and len(hidden) == int(found.hidden.cells.to_numpy().sum() + found.hidden.rows.sum()
                                         + found.hidden.columns.sum())  # fmt: skip


def test_all_answers_of_enough_people_are_no_small_group():
    """Twelve people of two units that are shown; each has rated two of nine providers, so few are not told apart."""
    rows = [(f"p{(i + k) % 9}", "xy"[i % 2], f"who{i}", 1.0 + i % 5) for i in range(12) for k in (0, 4)]
    table = pd.DataFrame(rows, columns=["row", "column", "person", "score"])
    cells = table.groupby(["row", "column"]).size().unstack(fill_value=0) > 0
    hidden = margins.Hidden(cells, cells.any(axis=1), ~cells.any(axis=0), False)
    assert exposed([said(table, hidden)], [], 5) == []


# ---------------------------------------------------------------- a whole and its sites


def with_sites(seed):
    """A table of two sites: the first columns are one of them."""
    table = tables.answers(seed, 6, 8, 0.8, 9)
    return table.assign(site=["north" if column < "c004" else "south" for column in table["column"]])


def reports(table, beside=True):
    """Statements of the whole and of each site; `beside` each other, or each as if it were alone."""
    made = [said(table.drop(columns="site"), margins.suppress_table(table.drop(columns="site"), 5, tables.SCALE))]
    groups = margins.hidden_groups(table, 5, tables.SCALE)
    for site, part in table.groupby("site"):
        alone = part.drop(columns="site")
        hidden = (
            margins.Hidden.of(groups[groups["site"] == site])
            if beside
            else margins.suppress_table(alone, 5, tables.SCALE)
        )
        made.append(said(alone, hidden, site=site))
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_follows_from_a_whole_and_its_sites(seed):
    whole, *sites = reports(with_sites(seed))
    assert exposed([sites[0]], [whole], 5) == []
    assert exposed([sites[1]], [whole, sites[0]], 5) == []


def test_the_audit_finds_what_follows_where_each_is_suppressed_alone():
    found = [exposed(made[1:], made[:1], 5) for made in (reports(with_sites(seed), beside=False) for seed in (1, 2, 3))]
    assert sum(map(bool, found)) >= 2


def test_a_page_is_read_once_and_again_when_it_is_changed(tmp_path, monkeypatch):
    path, read = tmp_path / "2026Q1" / "north" / "01-a.ipynb", []
    path.parent.mkdir(parents=True)
    real = release.of_notebook
    monkeypatch.setattr(release, "of_notebook", lambda node: read.append(1) or real(node))
    for mean in (3.0, 3.1):
        said = release.Statements(1, 5, {"all": (9, mean, 1)})
        output = nbformat.v4.new_output("display_data", release.travelling([said]))
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])]), path)
        for site in ("south", "west"):
            assert release.earlier(tmp_path, tmp_path / "2026Q2" / site, "2026Q2") == [said.plain()]
    assert len(read) == 2
