"""Who is at risk of leaving, and when."""

import numpy as np
import pandas as pd
import pytest
from study_folder import TOML

import icsat_helpers as ic
from icsat_helpers import risk

PEOPLE = """person_id,unit_id,hired_on,left_on,leave_reason,performance
stays,it,2020-01-01,,,4
goes,it,2020-01-01,2026-05-10,voluntary,2
sent,hr,2026-01-10,2026-05-10,involuntary,5
early,hr,2020-01-01,2026-02-10,voluntary,
late,hr,2025-10-01,2026-09-01,voluntary,1
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.toml").write_text(TOML)
    (tmp_path / "people.csv").write_text(PEOPLE)
    rows = ["period,customer_unit,provider_unit,person_id,fast,slow"]
    for person, unit in [("stays", "it"), ("goes", "it"), ("sent", "hr"), ("early", "hr"), ("late", "hr")]:
        for provider, answer in (("a", 4), ("b", 2)):
            rows += [f"2026Q{q},{unit},{provider},{person},{answer},{answer}" for q in (1, 2, 3)]
    (tmp_path / "service_ratings.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "morale.csv").write_text("period,unit_id,person_id,engaged\n2026Q1,it,stays,5\n")
    return tmp_path


def test_leaving_in_the_next_period_is_the_event(study):
    rows, _, _ = ic.risk_set(ic.load(study))
    seen = rows.assign(q=rows["t"] % 4 + 1).set_index(["person", "q"])
    assert seen["event"].to_dict() == {
        ("goes", 1): 1.0,  # answered in Q1, left in Q2
        ("late", 1): 0.0, ("late", 2): 1.0,
        ("sent", 1): 0.0,  # left in Q2, but not by choice: leaves the risk set
        ("stays", 1): 0.0, ("stays", 2): 0.0,
    }  # fmt: skip
    assert seen.loc[("sent", 1), "other"] == 1.0
    assert ("early", 1) not in seen.index  # gone before the period ended
    assert seen["good"].groupby("person").first().to_dict() == {
        "goes": 0.0,
        "late": 0.0,
        "sent": 1.0,
        "stays": 1.0,
    }


def test_nothing_after_the_reported_period_is_known(study):
    rows, _, _ = ic.risk_set(ic.load(study, "2026Q2"))
    assert rows.loc[rows["person"] == "late", "event"].tolist() == [0.0]


def test_halves_are_of_providers_and_add_up(study):
    rows, a, b = ic.risk_set(ic.load(study), splits=4)
    assert a.shape == b.shape == (4, len(rows))
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()


def test_one_provider_means_halves_of_items(study):
    text = (study / "service_ratings.csv").read_text()
    (study / "service_ratings.csv").write_text(
        "\n".join(line for line in text.splitlines() if ",b," not in line) + "\n"
    )
    _, a, b = ic.risk_set(ic.load(study), splits=2)
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()


def test_tenure_is_since_hiring(study):
    rows, _, _ = ic.risk_set(ic.load(study))
    bands = rows.drop_duplicates("person").set_index("person")["tenure"].to_dict()
    assert bands == {"goes": 3, "late": 0, "sent": 0, "stays": 3}


def test_incidence_is_aalen_johansen():
    """Ten people: two leave by choice after one period, four otherwise, one by choice of the rest after two."""
    rows = pd.DataFrame(
        {
            "unit": ["a", "b"] * 5, "t": 0, "person": range(10),
            "gone_after": [1, 1, 1, 1, 1, 1, 2, np.inf, np.inf, np.inf],
            "gone_by_choice": [True, True, False, False, False, False, True, False, False, False],
        }
    )  # fmt: skip
    found = risk.incidence(rows, last=2, horizon=2)
    assert found.share.tolist() == pytest.approx([0, 0.2, 0.2 + 0.4 * 0.25])
    assert (found.low <= found.share).all()
    assert (found.share <= found.high).all()


def test_who_was_seen_for_a_shorter_time_counts_only_so_long():
    rows = pd.DataFrame(
        {
            "unit": ["a", "b"],
            "t": [0, 2],
            "person": [1, 2],
            "gone_after": [2.0, np.inf],
            "gone_by_choice": [True, False],
        }
    )
    assert risk.incidence(rows, last=2, horizon=2).share.tolist() == [0, 0, 1]


def test_kept_a_year_is_said_in_people(example):
    rows, _, _ = ic.risk_set(example)
    thirds = risk.thirds(rows, example.t, "quarter", 5)
    assert risk.thirds(rows, example.t, "quarter", 500) == {}
    assert list(thirds) == ["least satisfied", "middle", "most satisfied"]
    assert thirds["least satisfied"].share[4] > thirds["most satisfied"].share[4]
    assert "of 100 people among the least satisfied" in risk.kept_a_year(thirds, "quarter", True).text
    assert risk.kept_a_year({}, "quarter", False).text == ""


def test_who_answers_for_two_units_leaves_once(study):
    text = (study / "service_ratings.csv").read_text()
    (study / "service_ratings.csv").write_text(text + "2026Q1,hr,a,goes,5,1\n2026Q1,hr,b,goes,5,1\n")
    rows, _, _ = ic.risk_set(ic.load(study))
    assert rows.loc[rows["person"] == "goes", "unit"].tolist() == ["it"]


def test_without_reasons_it_is_leaving(study):
    assert risk.by_choice(ic.load(study))
    lines = [line.rsplit(",", 2) for line in PEOPLE.splitlines()]
    (study / "people.csv").write_text("\n".join(f"{head},{last}" for head, _, last in lines) + "\n")
    assert not risk.by_choice(ic.load(study))


def test_a_report_counts_no_single_leaver_more_than_the_last_one():
    """Who left is known in the house; whether it was by choice is not to be told by a count that has grown by one."""
    rows = pd.DataFrame(
        {"t": [0] * 9 + [1] * 3, "person": range(12), "unit": "a", "event": [1] * 9 + [1, 0, 0], "other": 0}
    )
    last, now = (risk.describe(rows[rows["t"] <= t], True, 5).text for t in (0, 1))
    assert "leaving by choice in the next period | 9" in last and "leaving by choice in the next period | 9" in now


def test_few_leavers_are_not_counted_out(study):
    rows, _, _ = ic.risk_set(ic.load(study))
    assert "leaving by choice in the next period | fewer than 5" in risk.describe(rows, True, 5).text
