"""Answers to scores, by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import icsat_helpers as ic
from icsat_helpers import scores

TOML = """
contract = 1
[study]
name = "Scores"
[items.fast]
table = "service_ratings"
scale = "responsiveness"
[items.kept]
table = "service_ratings"
scale = "responsiveness"
[items.clear]
table = "service_ratings"
scale = "communication"
[items.all_in_all]
table = "service_ratings"
scale = "overall"
[items.stays]
table = "morale"
scale = "stay"
minimum = 0
maximum = 10
favourable = 8
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.toml").write_text(TOML)
    (tmp_path / "service_ratings.csv").write_text(
        "period,customer_unit,provider_unit,person_id,fast,kept,clear,all_in_all\n"
        "2026Q1,it,hr,ann,4,,2,5\n"  # half of responsiveness is enough: 4; internal (4 + 2) / 2 = 3
        "2026Q1,it,fin,ann,5,3,5,5\n"  # 4 and 5: 4.5
        "2026Q1,it,hr,bob,,,1,5\n"  # responsiveness missing, communication 1: half of the scales
        "2026Q1,hr,it,cyd,,,,5\n"  # nothing but overall: no internal score
    )
    (tmp_path / "morale.csv").write_text(
        "period,unit_id,person_id,stays\n2026Q1,it,ann,9\n2026Q1,it,bob,7\n2026Q1,hr,cyd,10\n"
    )
    (tmp_path / "operations.csv").write_text(
        "period,unit_id,output,hours\n2026Q1,it,20,10\n2026Q1,hr,20,0\n2026Q1,fin,,10\n"
    )
    return ic.load(tmp_path)


def test_a_person_is_the_mean_over_providers_and_a_unit_over_people(study):
    people = scores.person_scores(study, "internal").set_index("person")["score"]
    assert people.to_dict() == {"ann": 3.75, "bob": 1.0}
    unit = scores.unit_scores(study, "internal")
    assert unit["value"].tolist() == [(3.75 + 1.0) / 2]
    assert unit["n"].tolist() == [2.0]


def test_overall_stands_apart(study):
    assert scores.person_scores(study, "internal.overall")["score"].tolist() == [5.0, 5.0, 5.0]
    assert 5.0 not in scores.person_scores(study, "internal")["score"].to_list()


def test_productivity_is_never_infinite(study):
    found = scores.unit_scores(study, "productivity")
    assert found["unit"].tolist() == ["it"]
    assert found["value"].tolist() == [pytest.approx(np.log(2))]


def test_intention_to_leave_is_the_share_that_does_not_want_to_stay(study):
    found = scores.unit_scores(study, "intent_to_leave").set_index("unit")["value"]
    assert found.to_dict() == {"hr": 0.0, "it": 0.5}  # 7 of 10 becomes 3.8, below 4; 9 becomes 4.6


def test_favourable_is_judged_on_the_items_own_scale(study):
    shares = scores.favourable_share(study, "internal")
    assert shares["share"].tolist() == [pytest.approx(3 / 6)]  # 4, 5, 5 of 4 2 5 3 5 1; overall stands apart
    assert shares["people"].tolist() == [2]  # cyd answered none of these items


def test_a_scale_has_its_own_favourable_share(study):
    assert scores.favourable_share(study, "internal.responsiveness")["share"].tolist() == [pytest.approx(2 / 3)]
    assert scores.favourable_share(study, "internal.overall")["share"].tolist() == [1.0]
    assert scores.favourable_share(study, "internal.beauty").empty


def test_the_interval_of_a_share_keeps_units_together_and_between_0_and_1(example):
    found = scores.favourable_share(example, "internal").set_index("t").loc[example.t]
    rows = example.table("service_ratings")
    rows = rows[rows["t"] == example.t]
    items = [
        name for scale, names in scores.scales(example, "internal").items() if scale != "overall" for name in names
    ]
    yes, answered = (rows[items] >= 4).sum(axis=1), rows[items].notna().sum(axis=1)
    fit = sm.WLS(yes / answered, np.ones(len(rows)), weights=answered)  # the ratio as a weighted mean, clustered
    fit = fit.fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(rows["customer_unit"])[0], "df_correction": True}
    )
    share, half = fit.params.iloc[0], 2.0244 * fit.bse.iloc[0]  # t(.975) with 38 degrees of freedom
    assert found["share"] == pytest.approx(share)
    assert found["low"] == pytest.approx(share - half, abs=0.002)  # near a half Wilson's is almost symmetric
    assert found["high"] == pytest.approx(share + half, abs=0.002)
    assert found["high"] - found["low"] > 1.5 * 3.92 * np.sqrt(share * (1 - share) / answered.sum())


def test_shares_of_nothing_and_of_everything_have_intervals():
    share, n = pd.Series([0.0, 1.0, 0.5]), pd.Series([40.0, 40.0, 40.0])
    low, high = scores._wilson(share, pd.Series([0.0, 0.0, 0.0]), n, pd.Series([10, 10, 1]))
    assert low[0] == pytest.approx(0, abs=1e-12)
    assert 0.2 < high[0] < 0.5  # ten units that all say no
    assert high[1] == pytest.approx(1)
    assert low[1] == pytest.approx(1 - high[0])
    assert np.isnan(low[2])
    low, high = scores._wilson(share, pd.Series([1e-9] * 3), n, pd.Series([10, 10, 10]))
    assert high[2] - low[2] > 0.25  # never surer than forty independent answers


def test_what_is_not_there_is_empty(study):
    assert scores.unit_scores(study, "external").empty
    assert scores.unit_scores(study, "turnover").empty
    assert scores.person_scores(study, "internal.beauty").empty


def test_parts_of_internal_given_by_others_are_averaged(tmp_path):
    (tmp_path / "study.toml").write_text('contract = 1\n[study]\nname = "S"\nfrequency = "year"\n')
    (tmp_path / "unit_scores.csv").write_text(
        "period,unit_id,measure,value,n,source\n2025,a,internal.quality,3,10,x\n2025,a,internal.speed,4,8,x\n"
    )
    found = scores.unit_scores(ic.load(tmp_path), "internal")
    assert found[["value", "n"]].to_numpy().tolist() == [[3.5, 8.0]]


def test_a_rating_is_one_row_whatever_how_often_it_was_given(tmp_path):
    toml = 'contract = 1\n[study]\nname = "S"\nfrequency = "year"\n'
    toml += "".join(f'[items.{name}]\ntable = "service_ratings"\nscale = "{name}"\n' for name in ("fast", "good"))
    (tmp_path / "study.toml").write_text(toml)
    rows = ["2025,u1,v1,p1,1,2", "2025,u1,v1,p2,5,", "2025,u2,v1,p1,3,3", "2024,u1,v1,p1,4,4"]
    (tmp_path / "service_ratings.csv").write_text(
        "period,customer_unit,provider_unit,person_id,fast,good\n" + "\n".join(rows) + "\n"
    )
    study = ic.load(tmp_path)
    found = scores.rating_scores(study)
    assert found.columns.tolist() == ["unit", "provider", "t", "person", "score"]
    assert [(*row[:1], *row[2:]) for row in found.itertuples(index=False)] == [
        ("u1", 2024, "p1", 4.0), ("u1", 2025, "p1", 1.5), ("u1", 2025, "p2", 5.0), ("u2", 2025, "p1", 3.0),
    ]  # fmt: skip
    assert scores.rating_scores(study, "internal.good")["score"].tolist() == [4.0, 2.0, 3.0]
    assert scores.rating_scores(study, "internal.beauty").empty
    answers = scores.favourable_answers(study, "internal")
    assert sorted(answers[["yes", "answers"]].to_numpy().tolist()) == [[0, 2], [0, 2], [1, 1], [2, 2]]
