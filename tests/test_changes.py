"""What changed since the period before, and why."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

import icsat_helpers as ic
from icsat_helpers import changes, fingerprints, levels, response
from icsat_helpers.scores import favourable_share


def test_a_change_is_the_difference_of_what_is_shown(example):
    """Of the levels that the first page shows, and of the shares; each has its interval around it."""
    for measure in ("internal", "morale", "external"):
        shown = levels.level(example, measure).set_index("t")["value"]
        found = changes.since(example, "mean", measure)
        assert found.value == pytest.approx(shown[example.t] - shown[example.t - 1], abs=1e-12)
        assert found.low < found.value < found.high
    shares = favourable_share(example, "internal").set_index("t")["share"]
    favourable = changes.since(example, "favourable_share", "internal")
    assert favourable.value == pytest.approx(shares[example.t] - shares[example.t - 1], abs=1e-12)
    rate = [response.invited(example, t)["answered"].mean() for t in (example.t - 1, example.t)]
    assert changes.since(example, "response_rate", "internal").value == pytest.approx(rate[1] - rate[0], abs=1e-12)


def test_the_interval_of_a_change_is_that_of_units_left_out(example):
    """Linearised standard errors lie near those of leaving each unit out in turn."""
    found = changes.since(example, "mean", "internal")
    rows = changes._sums(example, "mean", "internal", [example.t - 1, example.t])

    def change(part):
        total = part.groupby("t")[["top", "bottom"]].sum()
        return float((total["top"] / total["bottom"]).diff().iloc[-1])

    left = [change(rows[rows["unit"] != unit]) for unit in sorted(rows["unit"].unique())]
    low, high = ic.inference.jackknife(found.value, np.array(left)).interval()
    assert found.high - found.low == pytest.approx(high - low, rel=0.1)


def test_few_people_or_units_have_no_change_or_no_interval(example, study_of_scores):
    settings = replace(example.settings, minimum_group=700)  # 710 people now, fewer for morale
    few = replace(example, settings=settings)
    assert changes.since(few, "mean", "internal") is not None
    assert changes.since(few, "mean", "morale") is None
    four = changes.since(study_of_scores(4, 3), "mean", "internal")
    assert (four.low, four.high) == (None, None)


def test_there_is_no_change_without_a_period_before(study_of_scores):
    assert changes.since(study_of_scores(8, 1), "mean", "internal") is None


@pytest.fixture
def grown(tmp_path):
    """A maker of a study of seven units in 2024 and 2025, one value of 2024 as given."""

    def make(value):
        rows = [f"202{y},u{u},{m},{u + y},," for y in (4, 5) for u in range(7) for m in ("internal", "external")]
        rows[0] = f"2024,u0,internal,{value},,"
        (tmp_path / "unit_scores.csv").write_text("period,unit_id,measure,value,n,source\n" + "\n".join(rows) + "\n")
        (tmp_path / "study.toml").write_text('contract = 1\n[study]\nname = "S"\nfrequency = "year"\n')
        return tmp_path

    return make


def test_new_rows_are_no_revision_and_a_revised_row_is_one(grown):
    recorded = fingerprints.of_tables(ic.load(grown(4), "2024").tables)
    assert changes.revised(ic.load(grown(4)), recorded) == []
    assert changes.revised(ic.load(grown(5)), recorded) == ["unit_scores"]
    assert changes.revised(ic.load(grown(4)), {}) is None


def test_a_period_that_is_gone_is_a_revision(grown):
    recorded = fingerprints.of_tables(ic.load(grown(4), "2024").tables)
    study = ic.load(grown(4))
    path = study.folder / "unit_scores.csv"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("2024")]
    path.write_text("\n".join(lines) + "\n")
    assert changes.revised(study, recorded) == ["unit_scores"]


def test_hired_later_and_left_later_are_no_revision():
    """The example as it stood a quarter ago is the same, whenever it is loaded."""
    folder = ROOT / "data" / "example"
    before = fingerprints.of_tables(ic.load(folder, "2026Q2").tables)
    assert changes.revised(ic.load(folder, "2026Q3"), before) == []
    assert before["people"] != fingerprints.of_tables(ic.load(folder, "2026Q3").tables)["people"]


FINDING = {
    "verdict": "supported", "rung": "precedence", "method": "m", "estimate": 2.0, "standardised": 0.5, "p": 0.001,
    "p_adjusted": 0.007, "smallest_effect": 0.4, "n_rows": 100, "reason": None, "unit": "points",
}  # fmt: skip


@pytest.mark.parametrize(
    ("before", "tables", "said"),
    [
        (None, [], "No earlier report."),
        ({}, [], "Unchanged."),
        ({"estimate": 1.0, "smallest_effect": 0.2}, [], "Verdict unchanged (estimate 1 then). Why: new data."),
        ({"estimate": 1.0, "verdict": "inconclusive"}, None, "Was: Not clear yet (estimate 1 then). Why: new data."),
        ({"n_rows": 90}, ["external_ratings"], "Why: new data; revised data (external ratings)."),
        # 0.1 standard deviations are registered now; then it was 0.2, on other data
        ({"n_rows": 90, "smallest_effect": 0.6, "standardised": 2 / 3}, [],
         "changed threshold (what matters begins at 0.1 standard deviations, was 0.2)."),
        # registered in raw units: what it is in standard deviations moves with the data
        ({"n_rows": 90, "standardised": 0.9}, [], "Why: new data."),
        ({"n_rows": 90, "p": 0.001, "p_adjusted": 0.004}, [], "changed threshold (p corrected for 7 claims, was 4)."),
        ({"n_rows": 90, "p": 0.5, "p_adjusted": 1.0}, [], "Why: new data."),
        ({"rung": "association", "method": "n"}, [], "Why: new data; another method."),
        ({"verdict": "not_estimable", "estimate": None}, [], "Was: Cannot be answered. Why: new data."),
        ({"estimate": -0.5, "unit": "log hazard"}, [], "(estimate 39% less then)"),
    ],
)  # fmt: skip
def test_why_a_finding_is_another_one(before, tables, said):
    earlier = None if before is None else {**FINDING, **before}
    text = changes.told(FINDING, earlier, tables)
    assert said in text
    if said.endswith("."):
        assert text.endswith(said)
