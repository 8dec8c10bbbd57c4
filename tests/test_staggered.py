"""Group-time effects against published numbers, diff-diff and brute force."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from icsat_helpers import staggered

NEVER = np.inf


@pytest.fixture(scope="module")
def minimum_wages():
    """Log teen employment in 500 counties, 2003 to 2007 (Callaway & Sant'Anna 2021; `mpdta` of their R package did).

    Rounded to six places, far finer than the four that are published.
    """
    frame = pd.read_csv(Path(__file__).parent / "data" / "mpdta.csv")
    start = frame["first_treat"].where(frame["first_treat"] > 0, np.inf) - 2003
    return frame.filter(regex=r"^20\d\d$").to_numpy(), start.to_numpy(dtype=float)


@pytest.fixture
def uneven():
    """An uneven panel: 24 units, 8 periods, a tenth of the cells missing, three groups and some never treated."""
    rng = np.random.default_rng(4)
    start = np.repeat([2.0, 4.0, 5.0, NEVER], [4, 3, 5, 12])
    outcome = rng.normal(size=(24, 1)) + rng.normal(size=8) + rng.normal(0, 0.5, (24, 8))
    outcome += 0.8 * (np.arange(8) >= start[:, None])
    outcome[rng.random(outcome.shape) < 0.1] = np.nan
    return outcome, start


def long(outcome, start):
    n, t = np.nonzero(np.isfinite(outcome))
    first = np.where(np.isfinite(start), start, -1)[n].astype(int) + 1
    return pd.DataFrame({"unit": n, "period": t + 1, "first": first, "y": outcome[n, t]})


def by_diff_diff(outcome, start, controls):
    from diff_diff import CallawaySantAnna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = CallawaySantAnna(control_group=controls, base_period="universal")
        return model.fit(long(outcome, start), "y", "unit", "period", "first")


@pytest.mark.parametrize(
    ("never", "simple", "first", "last"), [(True, -0.0400, -0.0105, -0.1008), (False, -0.0398, -0.0194, -0.1008)]
)
def test_the_published_answer(minimum_wages, never, simple, first, last):
    cells = staggered.group_time(*minimum_wages, never=never)
    of_2004 = cells.effect[0, cells.start == 1]
    assert round(cells.after()[0], 4) == simple
    assert (round(of_2004[1], 4), round(of_2004[4], 4)) == (first, last)


@pytest.mark.parametrize("controls", ["never_treated", "not_yet_treated"])
def test_group_time_effects_are_those_of_diff_diff(uneven, controls):
    fit = by_diff_diff(*uneven, controls)
    cells = staggered.group_time(*uneven, never=controls == "never_treated")
    mine = dict(zip(zip(cells.start + 1, cells.t + 1, strict=True), cells.effect[0], strict=True))
    theirs = {(g, t): each["effect"] for (g, t), each in fit.group_time_effects.items()}
    assert len(theirs) > 15
    assert cells.after()[0] == pytest.approx(fit.overall_att, abs=1e-8)
    for key, value in theirs.items():
        assert mine[key] == pytest.approx(value, abs=1e-8, nan_ok=True)


def test_event_study_is_that_of_diff_diff(uneven):
    table = by_diff_diff(*uneven, "not_yet_treated").aggregate("event_study").to_dataframe()
    cells = staggered.group_time(*uneven)
    column = next(name for name in table if "event" in name or "relative" in name)
    estimate = next(name for name in table if name in ("effect", "estimate", "att"))
    for event, value in zip(table[column], table[estimate], strict=True):
        assert cells.at(int(event))[0] == pytest.approx(value, abs=1e-8)


def test_imputation_is_that_of_diff_diff(uneven):
    from diff_diff import ImputationDiD

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = ImputationDiD().fit(long(*uneven), "y", "unit", "period", "first")
    assert staggered.imputed(*uneven)[0] == pytest.approx(fit.overall_att, abs=1e-8)


def test_leaving_a_unit_out_is_leaving_it_out_of_everything(uneven):
    outcome, start = uneven
    cells, imputed = staggered.group_time(outcome, start), staggered.imputed(outcome, start)
    for i in range(len(start)):
        rest = np.delete(outcome, i, axis=0), np.delete(start, i)
        without = staggered.group_time(*rest)
        for name in ("after", "drift", "reach"):
            assert getattr(cells, name)()[i + 1] == pytest.approx(getattr(without, name)()[0], abs=1e-9)
        assert imputed[i + 1] == pytest.approx(staggered.imputed(*rest)[0], abs=1e-9)


def test_many_samples_are_each_as_alone(uneven):
    outcome, start = uneven
    starts = np.random.default_rng(0).permuted(np.tile(start, (5, 1)), axis=1)
    together = staggered.group_time(np.tile(outcome, (5, 1, 1)), starts).after()
    assert together == pytest.approx([staggered.group_time(outcome, each).after()[0] for each in starts], abs=1e-12)


def test_the_honest_bounds_are_those_of_diff_diff(minimum_wages):
    """Rambachan & Roth's relative magnitudes with a factor of 1, for the mean that is reported."""
    from diff_diff import HonestDiD

    cells = staggered.group_time(*minimum_wages)
    weight = np.array([cells.treated[0, cells.event == e].sum() for e in range(4)])
    study = by_diff_diff(*minimum_wages, "not_yet_treated").aggregate("event_study")
    bounds = HonestDiD(method="relative_magnitude", M=1.0, l_vec=weight / weight.sum()).fit(study)
    bias = cells.violation() * cells.reach()[0]
    assert bias > 0.01
    assert (bounds.lb, bounds.ub) == pytest.approx((cells.after()[0] - bias, cells.after()[0] + bias), abs=1e-8)


def two_way_slope(outcome, start):
    """Plain two-way fixed effects, which is what must not be used."""
    treated = (np.arange(outcome.shape[1]) >= start[:, None]).astype(float)
    within = [v - v.mean(axis=0) - v.mean(axis=1, keepdims=True) + v.mean() for v in (treated, outcome)]
    return (within[0] * within[1]).sum() / (within[0] ** 2).sum()


def test_growing_effects_under_staggering_keep_their_sign():
    """Every effect is positive; two-way fixed effects use the early starters' growth as the late ones' trend."""
    start = np.repeat([1.0, 7.0, NEVER], [10, 12, 2])
    since = np.arange(10) - start[:, None] + 1
    size = np.where(start == 1, 0.5, 0.05)[:, None]
    outcome = np.where(since > 0, size * since, 0.0) + np.random.default_rng(1).normal(0, 0.05, (24, 10))
    assert two_way_slope(outcome, start) < -0.02
    cells = staggered.group_time(outcome, start)
    truth = np.average(np.where(since > 0, size * since, 0.0)[since > 0])
    assert staggered.over_treated(cells.after(), 22).interval()[0] > 0
    assert cells.after()[0] == pytest.approx(truth, abs=0.1)


def test_drift_is_the_slope_before_the_start():
    start = np.repeat([5.0, 7.0, NEVER], [3, 3, 6])
    outcome = np.where(np.isfinite(start), 0.1, 0.0)[:, None] * np.arange(10) + np.arange(12)[:, None]
    cells = staggered.group_time(outcome, start, never=True)  # those who start later drift too
    assert cells.drift()[0] == pytest.approx(0.1)
    assert (cells.after() - cells.drift() * cells.reach())[0] == pytest.approx(0, abs=1e-12)
    assert cells.violation() == pytest.approx(0.1)


def test_degrees_of_freedom_follow_the_treated(uneven):
    values = staggered.group_time(*uneven).after()
    estimate = staggered.over_treated(values, 12)
    assert estimate.dof == 11
    assert estimate.se == pytest.approx(np.sqrt(23 / 24 * np.sum((values[1:] - values[0]) ** 2)))


@pytest.mark.parametrize(
    ("start", "others", "kept"),
    [
        (NEVER, [3.0, NEVER], "000..."),  # a control leaves at its first other programme
        (NEVER, [0.0, NEVER], "......"),
        (3.0, [NEVER, NEVER], "000000"),
        (3.0, [5.0, NEVER], "00000."),  # seen until the next one starts
        (3.0, [1.0, 4.0], ".000.."),  # and from the last one before it
        (3.0, [2.0, 3.0], "......"),  # both at once: not to be told apart
    ],
)
def test_what_is_apart_from_other_programmes(start, others, kept):
    seen = staggered.apart(np.zeros((1, 6)), np.array([start]), np.array([others]))[0]
    assert "".join("." if np.isnan(value) else "0" for value in seen) == kept
