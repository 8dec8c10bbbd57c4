"""From a panel to the strongest regression, and the rows beside it."""

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest
from conftest import real_study

import icsat_helpers as ic
from icsat_helpers import designs, sensitivity


@pytest.fixture(scope="module")
def h1(example):
    panel = ic.unit_panel(example, "internal", "external")
    tested = ic.strongest(example, panel)
    return panel, tested.design, tested.slope, tested


def test_the_formula_in_the_notebook_gives_the_headline(h1):
    _, design, main, tested = h1
    assert not tested.attenuated
    assert design.splits == 10
    fits = [pf.feols(design.formula, design.rows(k), weights=design.weights) for k in range(design.splits)]
    assert main.estimate.value == pytest.approx(np.mean([fit.coef().iloc[-1] for fit in fits]), rel=1e-8)


def test_the_noise_is_corrected(h1):
    panel, design, main, _ = h1
    plain = ic.plain_design(panel).fit()
    assert design.instrumented
    assert main.estimate.value > 1.15 * plain.estimate.value  # reliability of change is about .7
    assert 0.5 < main.reliability < 0.9


def test_rows_beside_the_headline(example, h1):
    panel, _, main, tested = h1
    rows = sensitivity.rows(example, panel, tested)
    names = [row.name for row in rows]
    assert names[:3] == ["plain slope", "plain slope, unweighted", "differences between units, no panel"]
    wild = next(row for row in rows if "wild" in row.name)
    unweighted = rows[1]
    assert wild.estimate == pytest.approx(unweighted.estimate, rel=1e-6)
    assert wild.p == pytest.approx(unweighted.p, abs=0.03)
    low, high = rows[-1].ci_low, rows[-1].ci_high
    assert low < main.estimate.value < high


def test_weak_halves_give_the_plain_slope_and_say_so(tmp_path):
    from icsat_helpers import simulate

    made = simulate.organisation(units=8, people=45, periods=4, seed=3)
    simulate.write(made, tmp_path)
    study = ic.load(tmp_path)
    panel = ic.unit_panel(study, "internal", "external")
    halves = designs.main_design(panel, study.table("units")).fit()
    tested = ic.strongest(study, panel)
    assert halves.first_stage_f < 10
    assert tested.attenuated
    assert tested.design.exposure == "exposure"
    instrument = sensitivity.checks(tested.halves)[0]
    assert (instrument.name, instrument.passed) == ("instrument", False)


def test_new_york_schools():
    """301 schools, teachers and parents, one year: the published correlation .471 of 299 schools with both."""
    study = ic.load(real_study("nyc-schools-2011"))
    panel = ic.unit_panel(study, "internal", "external")
    tested = ic.strongest(study, panel)
    main, attenuated = tested.slope, tested.attenuated
    assert main.standardised == pytest.approx(0.471, abs=5e-4)
    assert main.n_units == 299
    assert attenuated
    assert panel.warnings == ()


def test_many_sites_are_clusters():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"unit": [f"u{i}" for i in range(60)], "t": 0, "x": rng.normal(size=60), "y": rng.normal(size=60)}
    )
    design = designs.Design(frame, "y", "x", False)
    few = pd.DataFrame({"unit_id": frame["unit"], "site": [f"s{i % 6}" for i in range(60)]})
    many = pd.DataFrame({"unit_id": frame["unit"], "site": [f"s{i % 12}" for i in range(60)]})
    assert designs._by_site(design, few).cluster == "unit"
    assert designs._by_site(design, many).fit().estimate.dof == 11


def test_one_period_of_persons_is_split_without_fixed_effects(small):
    from dataclasses import replace

    last = {name: table[table["t"] == small.t] if "t" in table else table for name, table in small.tables.items()}
    study = replace(small, tables=last, derived={})
    panel = ic.unit_panel(study, "internal", "external")
    design = designs.main_design(panel, study.table("units"))
    assert panel.rung == "association"
    assert design.instrumented
    assert not design.fixed_effects
    assert design.fit().n_units == 12
