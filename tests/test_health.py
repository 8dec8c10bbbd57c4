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
    page = health.who_answers(health.invited(example), "answered ~ C(associate_type) + tenure + good")
    assert "tenure" in page.text
    assert not re.search(r"P\d{5}", page.html)


def test_what_is_unknown_of_everybody_is_left_out(example):
    asked = health.invited(example).assign(performance=float("nan"))
    page = health.who_answers(asked, "answered ~ C(associate_type) + good")
    assert "good" not in page.text
    assert "nothing is known" in health.who_answers(asked, "answered ~ good").text


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
