"""Goals: met, missed or too early to say, from what is known of the provider's mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import icsat_helpers as ic
from icsat_helpers import goals, service

TOML = """
contract = 1
[study]
name = "S"
frequency = "year"
[items.fast]
table = "service_ratings"
scale = "speed"
[items.good]
table = "service_ratings"
scale = "quality"
"""


@pytest.fixture
def study(tmp_path):
    """Twelve providers over two years: quality is a point higher than speed, v0 is best."""

    def make(text):
        rng = np.random.default_rng(4)
        lines = ["period,customer_unit,provider_unit,person_id,fast,good"]
        for year in (2024, 2025):
            for i in range(90):
                for v in rng.choice(12, 4, replace=False):
                    fast = int(np.clip(round(3.4 - 0.15 * v + (year - 2025) * 0.5 + rng.normal(0, 0.7)), 1, 4))
                    lines.append(f"{year},u{i % 9},v{v},p{i},{fast},{fast + 1}")
        (tmp_path / "study.toml").write_text(TOML)
        (tmp_path / "service_ratings.csv").write_text("\n".join(lines) + "\n")
        (tmp_path / "goals.csv").write_text("provider_unit,target,scale,period\n" + text)
        return ic.load(tmp_path)

    return make


def test_a_goal_is_judged_by_the_interval_of_the_providers_mean(study):
    data = study("v0,2.5,,2025\nv11,4,,2025\nv0,3.9,,2025\n".replace("v0,3.9", "v1,3.6"))
    found = goals.judge(data).set_index("provider")
    means = service.provider_means(service.served(data)).set_index("provider")
    assert found["status"].to_dict() == {"v0": goals.MET, "v1": goals.OPEN, "v11": goals.MISSED}
    for name, row in found.iterrows():
        assert (row["value"], row["low"], row["high"]) == tuple(means.loc[name, ["mean", "low", "high"]])
        chance = 1 - stats.norm.cdf(row["target"], row["value"], means.at[name, "se"])
        assert row["probability"] == pytest.approx(chance, abs=1e-12)
        assert {goals.MET: chance > 0.975, goals.MISSED: chance < 0.025, goals.OPEN: 0.025 < chance < 0.975}[
            row["status"]
        ]


def test_a_goal_on_a_scale_uses_that_scales_scores(study):
    found = goals.judge(study("v3,3,,2025\nv3,3,speed,2025\nv3,3,quality,2025\n")).set_index("measure")
    assert set(found.index) == {"internal", "internal.speed", "internal.quality"}
    assert found.at["internal.quality", "value"] == pytest.approx(found.at["internal.speed", "value"] + 1, abs=0.01)
    assert found.at["internal", "value"] == pytest.approx(found["value"].mean(), abs=0.01)


def test_a_goal_without_a_period_is_for_the_reported_one_and_others_are_for_theirs(study):
    data = study("v2,3,,\nv2,3,,2024\nv3,3,,2023\n")
    assert goals.judge(data)["t"].tolist() == [data.t]
    both = goals.judge(data, [data.t - 1, data.t])
    assert both["t"].tolist() == [data.t - 1, data.t]
    assert both["value"].is_monotonic_increasing  # half a point better in the second year


def test_a_provider_that_nobody_rated_has_no_answers(study):
    (row,) = goals.judge(study("v99,3,,2025\n")).itertuples()
    assert (row.status, row.n) == (goals.SILENT, 0)
    assert np.isnan(row.value) and np.isnan(row.probability)


def test_there_may_be_no_goals(example, study_of_scores):
    assert goals.judge(study_of_scores(6, 2)).empty
    assert len(goals.judge(example)) == 10


def test_the_share_met_leaves_out_what_may_not_be_shown():
    rows = [
        (1, 9, goals.MET),
        (1, 9, goals.MISSED),
        (1, 3, goals.MET),
        (2, 9, goals.OPEN),
        (2, 9, goals.MET),
        (3, 2, goals.MET),
    ]
    found = goals.over_time(pd.DataFrame(rows, columns=["t", "n", "status"]), 5)
    assert found.to_dict("list") == {
        "t": [1, 2], "goals": [2, 2], "met": [1, 1], "missed": [1, 0], "open": [0, 1], "share": [0.5, 0.5],
    }  # fmt: skip
    assert goals.over_time(goals_none := pd.DataFrame({"t": [], "n": [], "status": []}), 5).empty and goals_none.empty
