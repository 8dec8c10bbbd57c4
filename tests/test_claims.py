"""Claims on units over time: what must be found, what must not, and what does not depend on how a table is sorted."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from conftest import real_study

import icsat_helpers as ic
from icsat_helpers import evidence, sensitivity, simulate
from icsat_helpers.claims import questions
from tests.simulation_study import by_functions

CLAIMS = {"H1": "external", "H2": "morale", "H4": "productivity"}


@pytest.fixture
def averages(tmp_path):
    """A maker of studies of unit averages from arrays, units x periods."""

    def make(internal, outcome):
        measures = {"internal": internal, **dict.fromkeys(CLAIMS.values(), outcome)}
        rows = [
            f"{2000 + t},u{unit:02d},{measure},{values[unit, t]:.6f},30,{'staff' if measure == 'internal' else 'other'}"
            for measure, values in measures.items()
            for unit, t in np.ndindex(values.shape)
        ]
        (tmp_path / "unit_scores.csv").write_text("period,unit_id,measure,value,n,source\n" + "\n".join(rows) + "\n")
        (tmp_path / "study.toml").write_text('contract = 1\n[study]\nname = "S"\nfrequency = "year"\n')
        return ic.load(tmp_path)

    return make


def found(study, name):
    claim = ic.hypothesis(name, study)
    panel = ic.unit_panel(study, claim.exposure, claim.outcome)
    return evidence.of_slope(claim, panel, ic.strongest(study, panel), words=("One point", "{value} points")), panel


def within(slope, units, periods, seed):
    """Satisfaction, and an outcome that follows it a period later by `slope`; no lasting differences."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(units, periods + 1))
    return x[:, 1:], slope * x[:, :-1] + rng.normal(size=(units, periods))


def pooled(panel):
    """The slope over all unit-periods, as if each were on its own."""
    rows = panel.frame.dropna(subset=["exposure", "outcome_next"])
    import statsmodels.formula.api as smf

    return smf.ols("outcome_next ~ exposure", rows).fit()


@pytest.mark.parametrize("name", CLAIMS)
def test_units_that_are_always_better_prove_nothing(averages, name):
    """A large and significant pooled slope from lasting differences alone."""
    x, y = within(0.0, 24, 10, 3)
    lasting = np.random.default_rng(4).normal(0, 3, (24, 1))
    finding, panel = found(averages(x + lasting, y + lasting), name)
    naive = pooled(panel)
    assert naive.params["exposure"] > 0.7
    assert naive.pvalues["exposure"] < 1e-20
    assert finding.rung == "precedence"
    assert finding.verdict == "inconclusive"
    assert "differences between units, no panel" in [
        row.name for row in sensitivity.rows(None, panel, ic.strongest(averages(x + lasting, y + lasting), panel))
    ]


@pytest.mark.parametrize("name", CLAIMS)
def test_a_true_change_is_found_though_better_units_look_worse(averages, name):
    x, y = within(0.6, 24, 10, 5)
    lasting = np.random.default_rng(6).normal(0, 3, (24, 1))
    finding, panel = found(averages(x + lasting, y - lasting), name)
    assert pooled(panel).params["exposure"] < -0.7
    assert finding.verdict == "supported"
    assert finding.estimate == pytest.approx(0.6, abs=0.2)


def test_six_units_say_that_they_are_few(averages):
    many, _ = found(averages(*within(0.5, 30, 8, 7)), "H1")
    few, _ = found(averages(*within(0.5, 6, 8, 7)), "H1")
    assert few.n_units == 6
    assert few.ci_high - few.ci_low > 2 * (many.ci_high - many.ci_low)
    assert "Only 6 units can be compared, so the interval is wide." in few.sentence
    assert "Only" not in many.sentence
    assert {check.name: check.passed for check in few.checks}["effective_clusters"] is False


@pytest.mark.parametrize("name", CLAIMS)
def test_four_units_answer_nothing(averages, name):
    finding, _ = found(averages(*within(0.5, 4, 12, 8)), name)
    assert finding.verdict == "not_estimable"
    assert "4 units" in finding.reason


def test_seven_periods_contradict_nothing_and_eight_may(averages):
    verdicts = [found(averages(*within(-1.5, 20, periods, 9)), "H1")[0].verdict for periods in (7, 12)]
    assert verdicts == ["inconclusive", "contradicted"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sorted")
    simulate.write(simulate.organisation(units=14, people=260, periods=6, seed=8), folder)
    return folder


def findings(folder):
    return evidence.plain(by_functions(ic.load(folder), ["H1", "H2", "H4", "H6"]))


def test_the_order_of_rows_changes_nothing(written, tmp_path):
    for path in written.glob("*.csv"):
        pd.read_csv(path, dtype=str).sample(frac=1, random_state=1).to_csv(tmp_path / path.name, index=False)
    (tmp_path / "study.toml").write_text((written / "study.toml").read_text())
    one = findings(written)
    assert one == findings(tmp_path)
    assert one == findings(written)  # the same digits again
    assert any(finding["estimate"] is not None for finding in one.values())


def test_hours_of_zero_are_counted_never_infinite(example):
    table = example.table("operations").copy()
    table.loc[table.index[:3], "hours"] = 0.0
    table.loc[table.index[3], "output"] = np.nan
    table.loc[table.index[4], "output"] = -2.0
    study = replace(example, tables={**example.tables, "operations": table})
    (check,) = sensitivity.records(study, "productivity")
    assert (check.name, check.passed) == ("records_productivity", False)
    assert check.detail == f"5 of {len(table)} rows of operations are left out for want of output and hours above 0"
    values = ic.scores.unit_scores(study, "productivity")["value"]
    assert len(values) == len(table) - 5
    assert np.isfinite(values).all()
    assert sensitivity.records(example, "productivity", "rework")[1].passed
    finding, _ = found(study, "H4")
    assert np.isfinite(finding.estimate)


def test_federal_agencies():
    """One survey for both measures, yearly averages only: said in every way."""
    study = ic.load(real_study("fevs-2020-2024"))
    answerable = {q.id: q.answerable for q in questions(study)}
    assert [name for name, yes in answerable.items() if yes] == ["H2"]
    finding, _ = found(study, "H2")
    assert finding.rung == "precedence"
    assert {"same_source", "attenuated"} <= set(finding.warnings)
    assert "self-reported" in finding.sentence
    reasons = {name: found(study, name)[0].reason for name in ("H1", "H4")}
    assert "external_ratings" in reasons["H1"]
    assert "operations" in reasons["H4"]
    assert "service_ratings" in ic.associates.associates_panel(study).reason
    assert all(asdict(q)["reason"] for q in questions(study) if not q.answerable)


def test_new_york_schools_answer_one_question():
    study = ic.load(real_study("nyc-schools-2011"))
    assert [q.id for q in questions(study) if q.answerable] == ["H1"]
