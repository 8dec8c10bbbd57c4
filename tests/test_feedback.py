"""Whether the outcome leads back: the check, the rows beside it, and what they do to a verdict."""

from dataclasses import replace

import numpy as np
import pyfixest as pf
import pytest

import icsat_helpers as ic
from icsat_helpers import evidence, feedback
from icsat_helpers.claims import Hypothesis
from icsat_helpers.designs import Design
from icsat_helpers.inference import Estimate, slope
from tests.feedback_study import judged, panel

CLAIM = Hypothesis("H1", "It helps.", "No.", "A slope.", 1, 0.1, "So.", "points", "04-external-customers", "x", "y")


def plain(design: Design) -> Design:
    """The same panel known from averages only."""
    frame = design.frame
    means = {
        name: frame[[f"{stem}_a", f"{stem}_b"]].mean(axis=1)
        for name, stem in (("exposure", "half"), ("exposure_next",) * 2, ("after",) * 2, ("outcome",) * 2)
    }
    kept = frame[["unit", "t", "outcome_next"]].assign(**means)
    return Design(kept, "outcome_next", "exposure", True)


def test_what_is_asked_is_what_pyfixest_answers():
    design = plain(panel(1, 0.3, 0.3, "next", 0.4))
    found = feedback.examine(design)
    asked = {
        "outcome_next ~ after + exposure | unit + t": ("after", found.after),
        "outcome_next ~ exposure + outcome | unit + t": ("exposure", found.held),
        "exposure_next ~ outcome | unit + t": ("outcome", found.reverse),
    }
    for formula, (name, estimate) in asked.items():
        rows = design.frame.dropna(subset=["after"]) if name == "after" else design.frame
        assert estimate.value == pytest.approx(pf.feols(formula, rows).coef()[name], rel=1e-8), formula


def test_the_half_panel_jackknife_is_twice_the_whole_less_its_halves():
    """Brute force, and without each unit in turn."""
    design = panel(2, 0.3, 0.3, "next", 0.4)
    found = feedback.half_panel(design)

    def by_hand(frame):
        middle = np.sort(frame["t"].unique())[frame["t"].nunique() // 2]
        parts = (frame, frame[frame["t"] < middle], frame[frame["t"] >= middle])
        whole, early, late = (replace(design, frame=part).fit().estimate.value for part in parts)
        return 2 * whole - (early + late) / 2

    assert found.value == pytest.approx(by_hand(design.frame), rel=1e-8)
    without = [by_hand(design.frame[design.frame["unit"] != unit]) for unit in range(3)]
    np.testing.assert_allclose(found.left_out[:3], without, rtol=1e-7)
    assert found.dof == 29
    assert feedback.half_panel(panel(2, 0.3, 0.0, "next", 0.0, periods=7)) is None


def test_feedback_is_seen_where_there_is_some():
    seen = [feedback.examine(panel(seed, 0.0, 0.5, "next", 0.0)) for seed in range(12)]
    none = [feedback.examine(panel(seed, 0.3, 0.0, "next", 0.4)) for seed in range(12)]
    assert sum(one.after.p < 0.05 for one in seen) >= 7
    assert sum(one.seen for one in seen) >= 11
    assert sum(one.seen for one in none) <= 4  # 12 x .1
    assert [check.name for check in seen[0].checks] == ["feedback", "reverse_path"]


def test_feedback_within_a_quarter_gives_no_verdict():
    """The outcome moves satisfaction in the same quarter and carries over: 60 panels, no true slope."""
    rows = [judged((seed, 0.0, 0.5, "same", 0.4, 12)) for seed in range(60)]
    false = {when: sum(row[when] in ("supported", "contradicted") for row in rows) for when in ("before", "after")}
    assert false["before"] >= 6  # 17 in 100 without the rule
    assert false["after"] <= 4  # 60 x .06


def estimate(value, se=0.1):
    return Estimate(value, se, 29, np.full(30, value))


STRONG, NOTHING, AGAINST = estimate(0.5), estimate(0.05), estimate(-0.5)


@pytest.mark.parametrize(
    ("after", "held", "half_panel", "verdict", "words"),
    [
        (NOTHING, STRONG, NOTHING, "supported", "is followed by"),
        (NOTHING, NOTHING, STRONG, "inconclusive", "stood alike before"),
        (NOTHING, AGAINST, STRONG, "inconclusive", "stood alike before"),
        (STRONG, STRONG, STRONG, "supported", "is followed by"),
        (STRONG, STRONG, NOTHING, "inconclusive", "Each seems to move the other"),
        (STRONG, STRONG, AGAINST, "inconclusive", "Each seems to move the other"),
        (STRONG, STRONG, None, "inconclusive", "Each seems to move the other"),
        (STRONG, NOTHING, STRONG, "inconclusive", "Each seems to move the other"),
        (None, None, None, "supported", "is followed by"),
    ],
)
def test_the_rule(after, held, half_panel, verdict, words):
    way_back = feedback.Feedback(after, NOTHING, held, half_panel, False)
    found = ic.conclude(
        CLAIM, estimate(0.6), rung="precedence", sd_ratio=1.0, method="m", words=("One point more", "{value} points"),
        n_units=30, n_rows=300, n_periods=12, feedback=way_back,
    )  # fmt: skip
    assert found.verdict == verdict
    assert words in found.sentence
    assert {check.name: check.passed for check in found.checks} == {
        "feedback": after is NOTHING, "reverse_path": True,
    }  # fmt: skip


def test_no_notebook_can_forget_it(example):
    claim = ic.hypothesis("H4", example)
    board = ic.unit_panel(example, "internal", "productivity")
    found = evidence.of_slope(claim, board, ic.strongest(example, board), words=("One point", "{value} points"))
    assert {"feedback", "reverse_path", "effective_clusters"} <= {check.name for check in found.checks}
    assert {"outcome now held", "half-panel jackknife"} <= {row.name for row in found.sensitivity}


def test_halves_of_the_outcome_are_freed_of_noise_too(example):
    """Held as it is, a noisy outcome is held only in part: with halves more of it is."""
    board = ic.unit_panel(example, "internal", "external")
    design = ic.strongest(example, board).design
    assert {"outcome_a", "after_b", "exposure_next_a"} <= set(design.frame)
    noisy = design.frame.assign(outcome=design.frame[["outcome_a", "outcome_b"]].mean(axis=1))
    both = [slope(frame, "outcome_next", now, weights="weight").estimate.value
            for frame, now in ((design.frame, ("outcome_a", "outcome_b")), (noisy, "outcome"))]  # fmt: skip
    assert abs(both[0]) > abs(both[1])
