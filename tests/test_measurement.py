"""The sheets a questionnaire is judged by, what is said of it, and notebook 02 on real, simulated and poor studies."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, real_study

import icsat_helpers as ic
from icsat_helpers import cli, invariance, measurement, words
from icsat_helpers.likelihood import moments
from icsat_helpers.structure import cfa

NAMES = {
    "cronbach_alpha", "omega_total", "icc1", "icc2", "reliability_of_change", "rwg_j_median", "cfi", "tli", "rmsea",
    "srmr", "chi2",
}  # fmt: skip
ITEMS = [f"i{k}" for k in range(6)]
TOML = 'contract = 1\n[study]\nname = "S"\nfrequency = "year"\n' + "".join(
    f'[items.{item}]\ntable = "service_ratings"\nscale = "{scale}"\n'
    for item, scale in zip(ITEMS, "aaabbb", strict=True)
)


def written(folder, rows, people="", toml=TOML):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(toml)
    rows.to_csv(folder / "service_ratings.csv", index=False)
    if people:
        (folder / "people.csv").write_text(people)
    return folder


def ratings(seed=1, people=150, providers=4, habit=0.0, loading=0.8, periods=(2025,)):
    """Sheets of two scales; `habit`: correlation of an item's error on one sheet with a person's lasting habit."""
    rng = np.random.default_rng(seed)
    keys = pd.MultiIndex.from_product([periods, range(people), range(providers)], names=["period", "p", "v"])
    frame = keys.to_frame(index=False)
    scale = rng.normal(size=(people, 2))[frame["p"]] * 0.7 + rng.normal(size=(len(frame), 2)) * 0.7
    error = habit * rng.normal(size=(people, 6))[frame["p"]] + (1 - habit**2) ** 0.5 * rng.normal(size=(len(frame), 6))
    values = np.clip(np.round(3 + scale[:, [0, 0, 0, 1, 1, 1]] * loading + 0.6 * error), 1, 5)
    who = {"customer_unit": "c" + (frame["p"] % 6).astype(str), "provider_unit": "v" + frame["v"].astype(str)}
    who["person_id"] = "p" + frame["p"].astype(str)
    return frame[["period"]].assign(**who).join(pd.DataFrame(values, columns=ITEMS))


def test_a_person_has_one_sheet_the_same_whatever_the_order_of_rows(tmp_path):
    rows = ratings()
    one = ic.load(written(tmp_path / "a", rows))
    two = ic.load(written(tmp_path / "b", rows.sample(frac=1, random_state=1)))
    drawn = measurement.sheets(one, "internal", [2025])
    assert drawn["person_id"].is_unique
    assert len(drawn) == 150
    assert drawn["provider_unit"].nunique() == 4  # not simply the first of each person
    kept = ["person_id", "provider_unit", *ITEMS]
    pd.testing.assert_frame_equal(drawn[kept], measurement.sheets(two, "internal", [2025])[kept])


def test_a_sheet_without_gaps_is_preferred(tmp_path):
    rows = ratings(people=40)
    rows.loc[rows["provider_unit"] != "v2", "i3"] = np.nan
    drawn = measurement.sheets(ic.load(written(tmp_path, rows)), "internal", [2025])
    assert set(drawn["provider_unit"]) == {"v2"}


def test_habits_of_a_person_do_not_reject_a_true_model(tmp_path):
    """All sheets of a person taken for different people would: the reason for drawing one."""
    study = ic.load(written(tmp_path, ratings(seed=4, people=300, providers=14, habit=0.9, loading=0.4)))
    scales = ic.scores.scales(study, "internal")
    everything = cfa([moments(study.table("service_ratings"), ITEMS)], scales)
    drawn = measurement.instrument(study, "internal").fit
    assert everything.indices.p < 0.001
    assert drawn.indices.p > 0.05


def test_groups_are_known_from_the_sheet_else_from_the_person(example):
    internal, morale = (measurement.sheets(example, name, [example.t]) for name in ("internal", "morale"))
    known = example.table("people").set_index("person_id")
    assert (internal["language"] == internal["person_id"].map(known["language"])).mean() > 0.9
    assert (morale["language"] == morale["person_id"].map(known["language"])).all()
    assert (morale["associate_type"] == morale["person_id"].map(known["associate_type"])).all()


def test_over_two_periods_groups_are_different_people(example):
    both = measurement.sheets(example, "internal", [example.t - 1, example.t])
    assert both["person_id"].is_unique
    assert both["t"].value_counts(normalize=True).min() > 0.3


def test_alpha_and_omega_of_the_example(example):
    tool = measurement.instrument(example, "internal")
    found = {(m.name, m.of): m for m in measurement.reliability(tool, "n")}
    rows = tool.rows[[item for items in tool.scales.values() for item in items]].dropna()
    alpha = 8 / 7 * (1 - rows.var().sum() / rows.sum(axis=1).var())
    assert found["cronbach_alpha", "internal"].value == pytest.approx(alpha)
    for name in ("internal", "internal.quality"):
        one, other = found["cronbach_alpha", name], found["omega_total", name]
        assert one.ci_low < one.value < one.ci_high
        assert other.value == pytest.approx(one.value, abs=0.02)  # items of a scale load alike in this organisation
    assert {of for _, of in found} == {"internal", *(f"internal.{s}" for s in tool.scales)}
    assert tool.single == ()
    assert "overall" not in tool.scales


def test_omega_is_given_only_where_the_model_can_be_read_and_holds_every_item(example, tmp_path):
    tool = measurement.instrument(example, "morale")
    unread = dataclasses.replace(tool, fit=dataclasses.replace(tool.fit, problems=("x",)))
    assert {m.name for m in measurement.reliability(unread, "n")} == {"cronbach_alpha"}
    beside = ratings().assign(i4=3, i5=3)  # the scale b is left with one item
    tool = measurement.instrument(ic.load(written(tmp_path, beside)), "internal")
    assert tool.fit is not None
    assert [m.of for m in measurement.reliability(tool, "n") if m.name == "omega_total"] == ["internal.a"]


def test_items_are_shown_with_their_text_in_the_reports_language(example):
    with words.speaking("fr"):
        tool = measurement.instrument(example, "morale")
        page = measurement.item_table(tool).text
    assert "Je suis fier de travailler ici." in page
    rest = float(re.search(r"fier de travailler ici\. \| (0,\d+) \| (0,\d+)", page)[1].replace(",", "."))
    rows = tool.rows[["belonging_1", "belonging_2", "belonging_3"]].dropna()
    assert rest == pytest.approx(np.corrcoef(rows.iloc[:, 0], rows.iloc[:, 1:].mean(axis=1))[0, 1], abs=5e-4)


def test_what_is_not_in_the_model_is_said(tmp_path):
    rows = ratings().assign(i1=4, i4=4, i5=4)
    tool = measurement.instrument(ic.load(written(tmp_path, rows)), "internal")
    assert tool.single == ("b",)
    assert tool.constant == ("i1", "i4", "i5")
    said = measurement.structure_said(tool)
    assert "a has 2 items, and a single scale needs 3" in said
    assert "B has one item and is not in the model. Everyone gave the same answer to i1." in said
    assert [m.of for m in measurement.reliability(tool, "n")] == ["internal", "internal.a"]


def test_scales_that_people_do_not_tell_apart_are_named(example):
    said = measurement.structure_said(measurement.instrument(example, "internal"))
    assert re.search(r"\w+ and \w+ correlate 0\.9\d?: people hardly tell them apart \(\d of 6 pairs so\)", said)


def test_scales_that_do_not_fit_are_said_so(tmp_path):
    rng = np.random.default_rng(5)
    rows = ratings(people=400, providers=1)
    rows[["i0", "i3"]] = np.clip(rows[["i0", "i3"]] + rng.integers(-2, 3, (400, 1)), 1, 5)  # share what scales do not
    tool = measurement.instrument(ic.load(written(tmp_path, rows)), "internal")
    assert "do not form the scales" in measurement.structure_said(tool)


# ---------------------------------------------------------------- groups


def by_language(folder, shift=0.0, small=0):
    """150 in English, 150 in French who find the first item easier to agree with, some in German."""
    rows = ratings(seed=2, people=300 + small, providers=1)
    number = rows["person_id"].str[1:].astype(int)
    rows["language"] = np.select([number < 150, number < 300], ["en", "fr"], "de")
    rows.loc[rows["language"] == "fr", "i0"] = np.clip(rows["i0"] + shift, 1, 5)
    return ic.load(written(folder, rows))


def compared(study):
    return invariance.compare(study, measurement.instrument(study, "internal"), "language")


def test_means_may_be_compared_where_items_work_alike(tmp_path):
    found = compared(by_language(tmp_path))
    assert [step.answer for step in found.steps] == ["alike", "alike"]
    assert invariance.said(found) == "Internal satisfaction, languages (en and fr): means may be compared."
    assert "fr less en | a" in invariance.latent_means([found]).text


def test_means_are_not_compared_where_an_item_is_easier_for_some(tmp_path):
    found = compared(by_language(tmp_path, shift=1))
    assert found.steps[1].answer == "different"
    assert "means not" in invariance.said(found)
    assert "no means that may be compared" in invariance.latent_means([found]).text


@pytest.mark.parametrize(
    ("fall", "p", "answer"),
    [(0.0, 0.5, "alike"), (0.005, 0.001, "nearly"), (0.02, 0.2, "nearly"), (0.02, 0.01, "different")],
)
def test_a_step_needs_both_signs(fall, p, answer):
    assert invariance.Step(fall, p).answer == answer


def test_groups_too_small_are_named_and_those_below_the_minimum_hidden(tmp_path):
    found = compared(by_language(tmp_path / "a", small=20))
    assert found.groups == ("en", "fr")
    assert invariance.said(found).endswith("Too few sheets: de.")
    found = compared(by_language(tmp_path / "b", small=3))
    said = invariance.said(found)
    assert "de" not in said.split()
    assert "Hidden to protect small groups: 2." in said  # with the total known, a second one
    hidden = set(found.counts.loc[found.counts["n"].isna(), "group"])
    assert "de" in hidden
    assert len(hidden) == 2


def test_a_group_whose_items_hang_together_too_loosely_is_no_end(example):
    found = invariance.compare(example, measurement.instrument(example, "morale"), "language")
    assert found.fits == ()
    assert "items hang together too loosely" in invariance.said(found)


def test_small_types_of_associates_are_taken_together(example):
    tool = measurement.instrument(example, "internal")
    found = invariance.compare(example, tool, "associate_type")
    assert found.groups == ("employee", "contractor, distributor and supplier together")
    assert found.fits[0].indices.df == 2 * tool.fit.indices.df


def test_periods_are_in_their_order(example):
    found = invariance.compare(example, measurement.instrument(example, "morale"), "period")
    assert found.groups == ("2026Q2", "2026Q3")


def test_without_groups_it_is_said(tmp_path):
    study = ic.load(written(tmp_path, ratings(people=60, providers=1)))
    found = invariance.compare(study, measurement.instrument(study, "internal"), "associate_type")
    assert "fewer than two types of associates have 100 complete sheets" in invariance.said(found)
    assert invariance.table([found]).text == "No groups could be compared."


# ---------------------------------------------------------------- the notebook


def run(folder, output):
    assert cli.main(["run", "--study", str(folder), "--output", str(output), "--notebook", "02-measurement"]) == 0
    (period,) = [path for path in output.iterdir() if path.is_dir() and not path.name.startswith(".")]
    metrics = json.loads((period / "findings.json").read_text())["metrics"]
    text = (period / "02-measurement.html").read_text(encoding="utf-8")
    return {(m["name"], m["of"]): m for m in metrics if m["notebook"] == "02-measurement"}, text


def test_the_example_is_judged(tmp_path):
    metrics, text = run(ROOT / "data" / "example", tmp_path)
    assert {name for name, _ in metrics} == NAMES
    assert {"internal", "morale", "internal.quality", "morale.stay"} <= {of for _, of in metrics}
    for metric in metrics.values():
        if metric["ci_low"] is not None and metric["ci_high"] is not None:
            assert metric["ci_low"] <= metric["value"] <= metric["ci_high"]
    assert metrics["rmsea", "internal"]["value"] < 0.06  # the organisation is made of these scales
    assert "means may be compared" in text
    assert not re.search(r"\bP\d{5}\b|\bnan\b|\binf\b", text)


def test_soldiers_have_averages_but_no_items(tmp_path):
    metrics, text = run(real_study("bh1996"), tmp_path)
    assert metrics["icc1", "morale.wellbeing"]["value"] == pytest.approx(0.0434, abs=5e-5)
    assert metrics["icc1", "internal"]["value"] == pytest.approx(0.1270, abs=5e-5)
    assert {name for name, _ in metrics} == {"icc1", "icc2"}
    assert "Leadership has one item and is not in the model" in text


def test_averages_of_others_cannot_be_judged(tmp_path):
    written(tmp_path / "s", ratings(people=1), toml=TOML.split("[items")[0])
    (tmp_path / "s" / "service_ratings.csv").unlink()
    given = "".join(f"2025,u{i},internal,3,,\n" for i in range(7))
    (tmp_path / "s" / "unit_scores.csv").write_text("period,unit_id,measure,value,n,source\n" + given)
    metrics, text = run(tmp_path / "s", tmp_path / "out")
    assert metrics == {}
    assert "There are no answers to single questions" in text
    assert "Ask who computed the averages" in text


def test_a_poor_study_ends_well_and_says_what_cannot_be_told(tmp_path):
    """Units of one person, one period, one item without variation, a scale of one item that is left."""
    rows = ratings(people=12, providers=1).assign(customer_unit=lambda d: d["person_id"], i3=4, i4=2)
    metrics, text = run(written(tmp_path / "s", rows), tmp_path / "out")
    assert "no unit has answers of two people" in text
    assert "Everyone gave the same answer to i3" in text
    assert {name for name, _ in metrics} <= {"cronbach_alpha", "omega_total", "chi2", "cfi", "srmr"}
    assert not re.search(r"\bnan\b|\binf\b", text)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            ratings(people=12, providers=1).assign(customer_unit="c", **dict.fromkeys(ITEMS, 4)),
            "there is one unit only",
        ),
        (ratings(people=3, providers=1).assign(customer_unit=["c", "c", "d"]), "too few people answered"),
        (ratings(people=12, providers=1).assign(**dict.fromkeys(ITEMS, 4)), "people of a unit all say the same"),
    ],
)
def test_why_units_cannot_be_compared(tmp_path, rows, why):
    study = ic.load(written(tmp_path, rows))
    tool = measurement.instrument(study, "internal")
    found = [ic.agreement.averaging(study, name) for name in measurement.measures(study, tool)]
    assert why in ic.averages.advice(found, measurement.SAID).text
    assert tool.fit is None
    assert "cannot be checked" in measurement.structure_said(tool)
    assert measurement.reliability(tool, "n") == ()


def test_nothing_about_few_people_is_a_metric(tmp_path):
    rows = ratings(people=20, providers=1)
    rows.loc[4:, "i3"] = np.nan  # four complete sheets
    study = ic.load(written(tmp_path, rows))
    tool = measurement.instrument(study, "internal")
    assert tool.reason == "fewer than 5 people answered every item"
    assert {m.of for m in measurement.reliability(tool, "n")} == {"internal.a"}
    assert "b |" not in measurement.item_table(tool).text
    shown = measurement.describe([dataclasses.replace(tool, rows=tool.rows.iloc[:4])]).text
    assert shown.splitlines()[1] == "Internal satisfaction | 2 | 6 | – | –"
