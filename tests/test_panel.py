"""Leads, rungs, sources."""

import numpy as np
import pandas as pd
import pytest
from conftest import real_study

import icsat_helpers as ic
from icsat_helpers import panel
from icsat_helpers.inference import slope


def grid(units: int, periods: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(units), periods), "t": np.tile(np.arange(periods), units)})
    return frame.assign(x=rng.normal(size=len(frame)), effect=rng.normal(size=units)[frame["unit"]])


def test_a_missing_period_is_not_the_next_one():
    frame = pd.DataFrame({"unit": ["a", "a", "a", "b"], "t": [1, 2, 4, 3], "y": [1.0, 2.0, 4.0, 3.0]})
    result = panel.lead(frame, ["y"])["y_next"]
    assert result.iloc[0] == 2.0
    assert result.iloc[1:].isna().all()
    assert "y_next" not in frame


def test_the_outcome_follows_the_exposure_by_one_period():
    frame = grid(10, 8)
    frame["y"] = 3 * frame.groupby("unit")["x"].shift(1) + frame["effect"] + 0.5 * frame["t"]
    led = panel.lead(frame, ["y"]).dropna()
    assert slope(led, "y_next", "x").estimate.value == pytest.approx(3, abs=1e-9)
    assert abs(slope(led, "y", "x").estimate.value) < 2  # the same period would say something else


@pytest.mark.parametrize(
    ("units", "periods", "rung"),
    [
        (5, 3, "precedence"),
        (5, 2, "association"),
        (5, 1, "association"),
        (4, 9, "none"),
        (6, 12, "precedence"),
    ],
)
def test_the_rung_follows_from_units_and_periods(study_of_scores, units, periods, rung):
    found = ic.unit_panel(study_of_scores(units, periods), "internal", "external")
    assert found.rung == rung
    assert bool(found.reason) == (rung == "none")


def test_gaps_lower_the_rung(study_of_scores):
    study = study_of_scores(8, 9, keep=lambda t: t % 2 == 0)
    assert ic.unit_panel(study, "internal", "external").rung == "association"


def test_one_source_is_said(study_of_scores):
    assert ic.unit_panel(study_of_scores(6, 1, sources=("staff", "staff")), "internal", "external").warnings == (
        "same_source",
        "n_unknown",
    )
    assert "same_source" not in ic.unit_panel(study_of_scores(6, 1), "internal", "external").warnings


def test_weights_are_capped_at_four_medians():
    assert panel.capped_weights(pd.Series([1.0, 2.0, 3.0, 100.0])).max() == 10.0
    assert panel.capped_weights(pd.Series([1.0, np.nan])).tolist() == [1.0, 1.0]


def test_persons_win_over_aggregates(small):
    own = small.table("external_ratings")
    extra = pd.DataFrame(
        {
            "period": own["period"].iloc[0], "t": [own["t"].min(), own["t"].min() - 1],
            "unit_id": own["unit_id"].iloc[0],
            "measure": "external", "value": [1.0, 2.0], "n": [9.0, 9.0], "source": "vendor",
        }
    )  # fmt: skip
    from dataclasses import replace

    mixed = replace(small, tables={**small.tables, "unit_scores": extra})
    scores = ic.scores.unit_scores(mixed, "external")
    assert scores["given"].sum() == 1
    assert scores.loc[scores["given"], "value"].tolist() == [2.0]
    assert "mixed_source" not in ic.unit_panel(small, "internal", "external").warnings


@pytest.mark.parametrize(("name", "rung"), [("nyc-schools-2011", "association"), ("fevs-2020-2024", "none")])
def test_real_studies_reach_their_rung(name, rung):
    found = ic.unit_panel(ic.load(real_study(name)), "internal", "external")
    assert found.rung == rung


def test_fevs_is_one_survey():
    found = ic.unit_panel(ic.load(real_study("fevs-2020-2024")), "internal", "morale")
    assert found.rung == "precedence"
    assert "same_source" in found.warnings


def test_parts_and_later_sources_are_seen(tmp_path):
    """Teachers and parents stand behind the exposure, parents behind the next period's outcome."""
    rows = [
        f"{2000 + t},u{u},{measure},{(u * 7 + t * 3) % 5},,{source}"
        for u in range(6)
        for t in range(4)
        for measure, source in (("internal.a", "teachers"), ("internal.b", "parents"), ("external", "parents"))
    ]
    (tmp_path / "unit_scores.csv").write_text("period,unit_id,measure,value,n,source\n" + "\n".join(rows) + "\n")
    (tmp_path / "study.toml").write_text('contract = 1\n[study]\nname = "S"\nfrequency = "year"\n')
    assert "same_source" in ic.unit_panel(ic.load(tmp_path), "internal", "external").warnings
