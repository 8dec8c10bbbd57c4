"""From a panel to the strongest regression, and the rows beside it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest
from conftest import real_study

import icsat_helpers as ic
from icsat_helpers import designs, halves, sensitivity


@pytest.fixture(scope="module")
def h1(example):
    panel = ic.unit_panel(example, "internal", "external")
    tested = ic.strongest(example, panel)
    return panel, tested.design, tested.slope, tested


def test_the_formula_in_the_notebook_gives_the_headline(h1):
    _, design, main, tested = h1
    assert not tested.attenuated
    assert list(main.by_split) == list(range(10))
    fits = {k: pf.feols(design.formula, design.rows(k), weights=design.weights).coef().iloc[-1] for k in main.by_split}
    assert main.by_split == pytest.approx(fits, rel=1e-8)
    assert main.estimate.value == pytest.approx(np.mean(list(fits.values())), rel=1e-8)


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
    assert halves.first_stage_f < 4
    assert tested.attenuated
    assert tested.design.exposure == "exposure"
    instrument = sensitivity.checks(tested.halves)[0]
    assert (instrument.name, instrument.passed) == ("instrument", False)


def test_halves_that_say_little_are_kept_for_averages_say_what_is_not_so(example, monkeypatch):
    """Of panels of 30 units in which most of a unit's change is noise, true slope 1."""
    from tests import feedback_study

    monkeypatch.setattr(feedback_study, "NOISE_X", 2.5)
    weak, plain = [], 0
    for seed in range(40):
        design = feedback_study.panel(seed, 1.0, 0.0, "next", 0.0)
        fitted = design.fit()
        if 4 < fitted.first_stage_f < 10:
            weak.append((design, fitted.estimate.interval()))
            mean = design.frame.assign(x=design.frame[["half_a", "half_b"]].mean(axis=1))
            low, high = replace(design, frame=mean, exposure="x").fit().estimate.interval()
            plain += low <= 1 <= high
    assert len(weak) >= 10
    assert sum(low <= 1 <= high for _, (low, high) in weak) >= 0.85 * len(weak)
    assert plain <= 0.1 * len(weak)
    panel = ic.unit_panel(example, "internal", "external")
    monkeypatch.setattr(designs, "main_design", lambda *given: weak[0][0])
    assert not ic.strongest(example, panel).attenuated


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
    last = {name: table[table["t"] == small.t] if "t" in table else table for name, table in small.tables.items()}
    study = replace(small, tables=last)
    panel = ic.unit_panel(study, "internal", "external")
    design = designs.main_design(panel, study.table("units"))
    assert panel.rung == "association"
    assert design.instrumented
    assert not design.fixed_effects
    assert design.fit().n_units == 12


def moods(seed, units=24, periods=6, people=8, slope=0.0, mood=2.0, carry=0.8):
    """A panel of persons whose mood, which carries over, is in both answers; units' scores move by their own."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(units, periods))
    y = slope * np.roll(x, 1, axis=1) + rng.normal(size=(units, 1)) + 0.3 * rng.normal(size=(units, periods))
    shock, state = rng.normal(0, mood, (periods, units, people)), np.zeros((periods, units, people))
    for t in range(periods):
        state[t] = carry * state[t - 1] * (t > 0) + shock[t]
    t, unit, place = (part.ravel() for part in np.indices(state.shape))
    rows = pd.DataFrame({"unit": unit, "t": t, "person": unit * people + place, "linked": True})
    rows["person"] = "p" + rows["person"].astype(str)
    answers = [rows.assign(score=level[unit, t] + state.ravel()) for level in (x, y)]
    some = [(unit * place) % 3 > 0, (unit + place) % 4 > 0]  # some answer one question only
    answers = [part[keep] for part, keep in zip(answers, some, strict=True)]
    means = [part.groupby(["unit", "t"])["score"].agg(["mean", "size"]).reset_index() for part in answers]
    frame = means[0].rename(columns={"mean": "exposure", "size": "n"})
    frame = ic.panel.lead(frame.assign(outcome=means[1]["mean"], n_outcome=people), ["outcome", "exposure"])
    return ic.panel.Panel(frame, answers[0], "precedence", "", ("same_source",), answers[1])


def test_one_mood_on_both_sides_is_no_relation():
    """No true slope: of other people than the instrument the outcome shows none, of the same people it does."""
    units = pd.DataFrame({"unit_id": []})
    found = {"others": [], "same": []}
    for seed in range(12):
        design = designs.main_design(moods(seed, periods=8), units)
        found["others"].append(design.fit().estimate)
        found["same"].append(replace(design, outcome=design.outcome[::-1]).fit().estimate)
    assert sum(one.p < 0.05 for one in found["others"]) <= 2
    assert np.mean([one.value for one in found["same"]]) > 0.05
    gap = np.mean([a.value - b.value for a, b in zip(found["same"], found["others"], strict=True)])
    assert gap > 0.05


def test_both_questions_have_the_same_halves_of_people(example):
    """Half a of one question and half b of the other share nobody, also where some answered only one of them."""
    panel = ic.unit_panel(example, "internal", "morale")
    everyone = designs.shared_people(panel)
    some = panel.outcome_answers[panel.outcome_answers["t"] > example.t - 3]
    one, two = (
        dict(zip(answers["person"], halves._dealt(everyone, answers, 1)[0], strict=True))
        for answers in (panel.answers, some)
    )
    shared = set(one) & set(two)
    assert len(one) > len(shared) > 500
    assert all(one[person] == two[person] for person in shared)


def test_the_formula_gives_the_headline_where_the_outcome_has_halves(example):
    tested = ic.strongest(example, ic.unit_panel(example, "internal", "morale"))
    design, main = tested.design, tested.slope
    assert design.formula == "outcome_next ~ 1 | block^way + t^way | exposure ~ instrument"
    fits = {k: pf.feols(design.formula, design.rows(k), weights=design.weights).coef().iloc[-1] for k in main.by_split}
    assert main.by_split == pytest.approx(fits, rel=1e-8)
    assert main.estimate.value == pytest.approx(np.mean(list(fits.values())), rel=1e-8)


def test_soldiers():
    """Leadership and well-being of 99 companies: the published correlations, same people .607, disjoint halves .451."""
    study = ic.load(real_study("bh1996"))
    panel = ic.unit_panel(study, "internal", "morale")
    tested = ic.strongest(study, panel)
    assert tested.design.standardised(tested.slope) == pytest.approx(0.451, abs=0.01)  # other splits
    assert ic.plain_design(panel, weighted=False).fit().standardised == pytest.approx(0.607, abs=5e-4)
    row = sensitivity.same_people(panel, tested.design, tested.slope)
    assert row.name.startswith("the same people asked about both")
    assert "correlation 0.61, of disjoint halves 0.45" in row.name
    assert "larger" in row.name


def test_answers_of_nobody_known_are_not_split(example):
    """Morale that cannot be linked to the ratings: then the same people may stand on both sides, and it is said."""
    panel = ic.unit_panel(example, "internal", "morale")
    others = panel.outcome_answers.assign(person="other" + panel.outcome_answers["person"])
    for unknown in (panel.outcome_answers.assign(linked=False), others):
        tested = ic.strongest(example, replace(panel, outcome_answers=unknown))
        assert tested.design.exposure == "exposure"
        assert tested.attenuated
        assert "same_source" in panel.warnings


def test_few_units_carry_a_slope():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(12), 8), "t": np.tile(np.arange(8), 12)})
    frame = frame.assign(x=rng.normal(size=96), y=rng.normal(size=96))
    alike = designs.Design(frame, "y", "x", True)
    giant = replace(alike, frame=frame.assign(x=frame["x"] * np.where(frame["unit"] == 3, 20, 1)))
    assert 8 < alike.effective_units() <= 12
    assert giant.effective_units() < 1.5
    few = replace(alike, frame=frame[frame["unit"] < 9])
    assert not sensitivity.clusters(few, 9).passed
    assert sensitivity.clusters(
        replace(alike, frame=pd.concat([frame, frame.assign(unit=frame["unit"] + 12)])), 24
    ).passed
    assert "one unit can turn it" in sensitivity.clusters(giant, 12).detail
