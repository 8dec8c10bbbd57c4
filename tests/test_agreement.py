"""Unit averages: published figures, pingouin, R's formulas by hand, what may be shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pingouin as pg
import pytest
from conftest import real_study

import icsat_helpers as ic
from icsat_helpers import agreement, averages
from icsat_helpers.inference import NotEstimable
from icsat_helpers.results import MIME


def test_soldiers_as_r_has_them():
    study = ic.load(real_study("bh1996"))
    one, two = (agreement.averaging(study, name).icc for name in ("morale.wellbeing", "internal.leadership"))
    assert (one.icc1, one.icc2) == pytest.approx((0.0434, 0.7717), abs=5e-5)  # R's multilevel: ICC1, ICC2
    assert (two.icc1, two.icc2) == pytest.approx((0.1270, 0.9156), abs=5e-5)
    assert (one.units, one.people) == (99, 7382)


def test_intervals_as_pingouin_has_them():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(12), 6), "who": np.tile(np.arange(6), 12)})
    frame["score"] = rng.normal(size=12)[frame["unit"]] + rng.normal(size=72)
    theirs = pg.intraclass_corr(frame, targets="unit", raters="who", ratings="score").set_index("Type")
    found = agreement.icc(frame["score"], frame["unit"])
    single, average = theirs.index[0], theirs.index[3]
    column = next(name for name in theirs if name.startswith("CI95"))
    assert found.icc1 == pytest.approx(theirs.at[single, "ICC"])
    assert found.icc2 == pytest.approx(theirs.at[average, "ICC"])
    assert (found.f, found.p) == pytest.approx((theirs.at[single, "F"], theirs.at[single, "pval"]))
    assert (found.icc1_low, found.icc1_high) == pytest.approx(theirs.at[single, column], abs=0.005)  # rounded there
    assert (found.icc2_low, found.icc2_high) == pytest.approx(theirs.at[average, column], abs=0.005)


@pytest.mark.parametrize(
    ("score", "unit", "why"),
    [
        ([], "", "nobody answered"),
        ([1.0, 2.0], "aa", "one unit only"),
        ([1.0, 2.0], "ab", "no unit has answers of two people"),
        ([1.0, 1.0, 2.0, 2.0], "aabb", "people of a unit all say the same"),
    ],
)
def test_what_cannot_be_told_is_said(score, unit, why):
    with pytest.raises(NotEstimable, match=why):
        agreement.icc(pd.Series(score, dtype=float), pd.Series(list(unit), dtype=object))


def test_units_that_are_all_alike_have_no_interval_but_an_answer():
    found = agreement.icc(pd.Series([1.0, 2.0, 1.0, 2.0]), pd.Series(list("aabb")))
    assert found.icc1 == pytest.approx(-1.0)
    assert found.p == 1.0


def test_rwg_by_hand_and_capped_as_r_does():
    values = np.array([[4, 4], [5, 3], [4, 5], [1, 1], [5, 5], [1, 5], [3, 3]], dtype=float)
    found = agreement.rwg(values, pd.Series(list("aaabbbc")), np.array([2.0, 2.0])).set_index("group")
    share = (1 / 3 + 1) / 2 / 2
    assert found.at["a", "rwg"] == pytest.approx(2 * (1 - share) / (2 * (1 - share) + share))
    assert found.at["b", "rwg"] == 0  # more variance than by chance
    assert found["n"].to_dict() == {"a": 3, "b": 3}  # one person agrees with nobody


TOML = """
contract = 1
[study]
name = "A"
minimum_group = 5
[items.fast]
table = "service_ratings"
scale = "speed"
[items.mood]
table = "morale"
scale = "mood"
minimum = 0
maximum = 10
"""


def study_of(folder, ratings, morale="", toml=TOML):
    (folder / "study.toml").write_text(toml)
    (folder / "service_ratings.csv").write_text("period,customer_unit,provider_unit,person_id,fast\n" + ratings)
    (folder / "morale.csv").write_text("period,unit_id,person_id,mood\n" + morale)
    return ic.load(folder)


def test_agreement_is_within_unit_and_provider_of_five_or_more_and_on_the_items_own_points(tmp_path):
    ratings = "".join(
        f"2026Q1,it,{who},p{i},{4 + i % 2}\n" for who in ("hr", "law") for i in range(6 if who == "hr" else 4)
    )
    ratings += "".join(f"2025Q4,it,hr,p{i},{1 + i % 5}\n" for i in range(6))  # not the reported period
    morale = "".join(f"2026Q1,it,p{i},{i}\n" for i in range(6))
    study = study_of(tmp_path, ratings, morale)
    cells, people = agreement.agreement(study, "internal")
    assert cells["n"].tolist() == [6]
    assert people == 6
    assert cells["rwg"].tolist() == pytest.approx([1 - 0.3 / 2])
    mood, _ = agreement.agreement(study, "morale.mood")
    assert mood["rwg"].tolist() == pytest.approx([1 - 3.5 / 10])  # 0 to 5 of eleven points: (121 - 1) / 12


def test_means_of_items_have_no_chance_to_compare_with(tmp_path):
    study = study_of(tmp_path, "".join(f"2026Q1,it,hr,p{i},{3 + i / 10}\n" for i in range(6)))
    with pytest.raises(NotEstimable, match="no whole points"):
        agreement.agreement(study, "internal")


def test_change_that_is_noise_and_change_that_is_none():
    class Asked:
        """Answers of 20 people in each of 12 units over 8 periods."""

        def __init__(self, moves):
            rng = np.random.default_rng(1)
            units = rng.normal(0, moves, (12, 8))
            index = pd.MultiIndex.from_product([range(12), range(8), range(20)], names=["unit", "t", "who"])
            frame = index.to_frame(index=False)
            person = frame["unit"].astype(str) + "-" + frame["who"].astype(str)
            score = units[frame["unit"], frame["t"]] + rng.normal(0, 1, len(frame))
            derived = {"internal": frame.assign(person=person, linked=True, score=score).drop(columns="who")}
            self.once = lambda name, make: derived[name]

    assert agreement.reliability_of_change(Asked(1.0), "internal") == pytest.approx(20 / 21, abs=0.02)
    assert agreement.reliability_of_change(Asked(0.22), "internal") == pytest.approx(0.5, abs=0.2)


def test_other_notebooks_get_checks(example, study_of_scores):
    found = {check.name: check for check in agreement.checks(example, "internal")}
    assert list(found) == ["units_differ", "reliable_averages", "people_agree"]
    assert found["units_differ"].passed
    assert "ICC(2) 0.6" in found["reliable_averages"].detail
    assert not found["reliable_averages"].passed
    assert agreement.checks(study_of_scores(8, 3), "internal") == ()


def test_too_few_people_are_not_shown(tmp_path):
    rows = "".join(f"2026Q1,{'ab'[i % 2]},{who},p{i},{1 + i}\n" for i in range(4) for who in ("x", "y"))
    found = agreement.averaging(study_of(tmp_path, rows), "internal")
    assert found.icc is not None  # it is estimated all the same
    assert found.checks == ()
    assert averages.metrics(found, "n") == ()
    assert "too few people" in averages.answer(found, "It")
    assert "Too little is known" in averages.table([found]).text


def test_people_behind_agreement_are_counted_once(tmp_path):
    ratings = "".join(f"2026Q1,a,{who},p{i},{1 + i % 5}\n" for i in range(5) for who in ("x", "y", "z"))
    ratings += "".join(f"2026Q1,b,x,q{i},3\n" for i in range(4))
    found = agreement.averaging(study_of(tmp_path, ratings, toml=TOML.replace("group = 5", "group = 8")), "internal")
    assert found.people == 9
    assert found.cells is not None
    assert found.cells[1] == 5  # fifteen ratings
    assert found.agreed is None
    assert "groups are too small" in averages.spread([found]).text


@pytest.mark.parametrize(
    ("spread", "words"), [(0.0, "cannot be told apart"), (0.25, "with care"), (1.0, "the averages are reliable")]
)
def test_the_answer_in_a_sentence(spread, words):
    rng = np.random.default_rng(6)
    unit = np.repeat(np.arange(40), 20)
    score = pd.Series(rng.normal(0, spread, 40)[unit] + rng.normal(size=800))
    found = agreement.Averaging("morale", 800, 5, agreement.icc(score, pd.Series(unit)), None, None, {})
    assert words in averages.answer(found, "Morale")


def test_the_picture_has_words(example):
    chart = averages.spread([agreement.averaging(example, name) for name in ("internal", "morale")])
    assert "internal 0.8" in chart.alt
    assert MIME not in chart._repr_mimebundle_()
