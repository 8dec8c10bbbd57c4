"""Associates who are not employees: whose answers count, how they differ from employees, what may be shown."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import icsat_helpers as ic
from icsat_helpers import associates, evidence
from icsat_helpers.claims import questions
from icsat_helpers.designs import Design
from icsat_helpers.inference import Estimate


def test_only_answers_of_those_known_count(example):
    people = example.table("people").set_index("person_id")["associate_type"]
    theirs, employees = associates.only(example), associates.only(example, employees=True)
    for table in associates.ANSWERED:
        kinds = people.reindex(theirs.table(table)["person_id"])
        assert set(kinds) == {"supplier", "contractor", "distributor"}
        assert set(people.reindex(employees.table(table)["person_id"])) == {"employee"}
    unknown = replace(example, tables={**example.tables, "people": example.table("people").assign(associate_type=None)})
    assert associates.only(unknown).table("morale").empty


def without(study, **tables):
    kept = {name: table for name, table in {**study.tables, **tables}.items() if table is not None}
    return replace(study, tables=kept)


def test_what_is_missing_is_named(example):
    people = example.table("people")
    cases = {
        "service_ratings and morale": without(example, morale=None),
        "table people with associate_type": without(example, people=people.drop(columns="associate_type")),
        "fewer than 5 associates": without(example, people=people.assign(associate_type="employee")),
    }
    for words, study in cases.items():
        assert words in associates.associates_panel(study).reason
        assert words in {q.id: q.reason for q in questions(study)}["H6"]


def test_four_units_are_too_few(example):
    """Associates of two suppliers, whose people are enough to be shown."""
    people = example.table("people")
    others = people["unit_id"].isin(["unit-31", "unit-32"])
    study = without(example, people=people.assign(associate_type=np.where(others, "supplier", "employee")))
    assert "only 2 units" in associates.associates_panel(study).reason


def group(units, slope, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"unit": np.repeat(units, 10), "t": np.tile(np.arange(10), len(units)), "w": 1.0})
    x = rng.normal(size=len(frame))
    y = slope * x + rng.normal(size=len(frame))
    return Design(frame.assign(x=x, y=y, w=rng.uniform(1, 3, len(frame))), "y", "x", True, "w")


def test_the_difference_is_that_of_two_slopes_and_of_units_left_out_of_both():
    one, two = group(np.arange(12), 0.8, 1), group(np.arange(6, 24), 0.3, 2)
    found = associates.between(one, two, 0.2)
    apart = [design.fit().estimate.value for design in (one, two)]
    assert found.estimate.value == pytest.approx(apart[0] - apart[1], rel=1e-9)
    assert found.estimate.dof == 23
    for unit in (0, 7, 20):  # in one, in both, in the other
        left = [replace(d, frame=d.frame[d.frame["unit"] != unit]).fit().estimate.value for d in (one, two)]
        assert found.estimate.left_out[unit] == pytest.approx(left[0] - left[1], rel=1e-9)


@pytest.mark.parametrize(
    ("value", "se", "words"),
    [
        (0.02, 0.05, "it is the same"),
        (0.5, 0.05, "it is another"),
        (0.1, 0.2, "not clear"),
    ],
)
def test_alike_different_or_unclear(value, se, words):
    """The bound is .2; two one-sided tests as statsmodels makes them of a mean with this standard error."""
    from statsmodels.stats.weightstats import DescrStatsW

    found = associates.Difference(Estimate(value, se, 39, np.full(40, value)), 0.2)
    sample = np.array([-1.0, 1.0] * 20)
    sample = value + sample / sample.std(ddof=1) * se * np.sqrt(40)
    assert found.p == pytest.approx(DescrStatsW(sample).ttost_mean(-0.2, 0.2)[0], rel=1e-9)
    finding = evidence.with_difference(
        evidence.Finding("H6", "c", "n", "supported", "precedence", 1, 1.0, sentence="It is so."), found
    )
    assert words in finding.sentence
    assert finding.sentence.startswith("It is so.")
    assert finding.sensitivity[0].name == "difference from employees"
    low, high = found.estimate.interval(0.9)
    assert (finding.sensitivity[1].ci_low, finding.sensitivity[1].ci_high) == (low, high)
    assert "cannot be told" in evidence.with_difference(finding, None).sentence


def test_small_kinds_are_hidden(example):
    levels = associates.levels(example, "internal", 5).set_index("kind")
    assert (levels["shown"] == "").all()
    assert levels.loc["employee", "low"] < levels.loc["employee", "mean"] < levels.loc["employee", "high"]
    scores = example.table("people").set_index("person_id")["associate_type"]
    assert levels["people"].sum() <= len(scores)
    hidden = associates.levels(example, "internal", 30).set_index("kind")
    assert hidden.loc["distributor", ["people", "mean", "low", "high"]].isna().all()
    assert hidden["mean"].isna().sum() == 2  # one alone could be worked out
    assert "not the same" in associates.describe(example, note="They do not mean the same: not the same scale.").text


def test_the_example_says_how_associates_differ(example):
    claim, panel = ic.hypothesis("H6", example), associates.associates_panel(example)
    tested = ic.strongest(example, panel)
    finding = evidence.of_slope(claim, panel, tested, words=("One point", "{value} points"))
    found = associates.difference(example, panel, tested, finding.smallest_effect)
    assert found is not None
    assert abs(found.estimate.value) < 4 * found.estimate.se  # truth: no difference
    assert finding.n_people < len(example.table("people")) / 3
