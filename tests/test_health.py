"""Who was asked, who answered, what is missing."""

import re

import pandas as pd
import pytest

import icsat_helpers as ic
from icsat_helpers import health


def test_who_was_asked_is_who_was_at_work(example):
    asked = health.invited(example)
    people = example.table("people")
    end = pd.Timestamp("2026-09-30")
    here = (people["hired_on"] <= end) & (people["left_on"].isna() | (people["left_on"] > end))
    assert len(asked) == here.sum()
    assert 0.5 < asked["answered"].mean() < 0.8


def test_response_has_wilson_intervals(example):
    found = health.response(example)
    assert (found["low"] <= found["share"]).all()
    assert (found["share"] <= found["high"]).all()
    assert found["n"].sum() == len(health.invited(example))
    assert "Payroll" in set(found["name"])


def test_odds_of_answering(example):
    page = health.who_answers(health.invited(example), "answered ~ C(associate_type) + tenure + good", 5)
    assert "tenure" in page.text
    assert not re.search(r"P\d{5}", page.html)


def test_what_is_unknown_of_everybody_is_left_out(example):
    asked = health.invited(example).assign(performance=float("nan"))
    page = health.who_answers(asked, "answered ~ C(associate_type) + good", 5)
    assert "good" not in page.text
    assert "cannot be compared" in health.who_answers(asked, "answered ~ good", 5).text


def test_missing_items(example):
    found = health.missing_items(example, "internal")
    assert found["share"].between(0.005, 0.05).all()
    assert len(found) == 9


def test_the_mean_is_over_people(example):
    found = health.level(example, "internal").set_index("t")
    people = ic.scores.person_scores(example, "internal")
    assert found.at[example.t, "value"] == pytest.approx(people.loc[people["t"] == example.t, "score"].mean())
    assert found.at[example.t, "low"] < found.at[example.t, "value"] < found.at[example.t, "high"]


def test_metrics_have_the_contracts_names(example):
    rows = health.metrics(example, "01-data-health").rows
    assert {row.name for row in rows} == {"response_rate", "mean", "favourable_share"}
    assert {"internal", "internal.quality", "morale", "external"} <= {row.of for row in rows}


def test_a_period_with_three_people_has_no_metric(tmp_path):
    (tmp_path / "study.toml").write_text(
        'contract = 1\n[study]\nname = "S"\n[items.fast]\ntable = "service_ratings"\nscale = "speed"\n'
    )
    (tmp_path / "service_ratings.csv").write_text(
        "period,customer_unit,provider_unit,person_id,fast\n" + "".join(f"2026Q1,it,hr,p{i},4\n" for i in range(3))
    )
    assert health.metrics(ic.load(tmp_path), "01-data-health").rows == ()


def test_a_period_of_two_people_is_hidden_in_the_trend(tmp_path):
    toml = 'contract = 1\n[study]\nname = "S"\n[items.fast]\ntable = "service_ratings"\nscale = "speed"\n'
    (tmp_path / "study.toml").write_text(toml)
    rows = [f"2026Q{q},it,hr,p{i},{1 + i % 5}" for q, n in ((1, 2), (2, 9), (3, 9)) for i in range(n)]
    (tmp_path / "service_ratings.csv").write_text(
        "period,customer_unit,provider_unit,person_id,fast\n" + "\n".join(rows) + "\n"
    )
    study = ic.load(tmp_path)
    levels = health.level(study, "internal")
    assert levels["value"].isna().tolist() == [True, False, False]
    assert levels["low"].isna().all()  # one unit: no interval
    chart = ic.charts.trend(levels, ["2026Q1", "2026Q2", "2026Q3"], "Mean")
    assert "2026Q1" not in chart.alt
    assert "One period is hidden" in chart.alt
    assert "nan" not in chart.alt


def test_odds_do_not_show_who_answered(example):
    asked = health.invited(example)
    asked.loc[asked.index[0], "associate_type"] = "distributor of one"
    page = health.who_answers(asked, "answered ~ C(associate_type) + tenure", 5)
    assert "of one" not in page.text


def test_a_site_asks_its_own_people(example):
    north = ic.load(example.folder, site="North")
    units = example.table("units")
    home = set(units.loc[units["site"] == "North", "unit_id"])
    assert set(health.invited(north)["unit"]) == home
