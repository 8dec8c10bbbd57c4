"""The hazard of leaving against statsmodels and known truth."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from icsat_helpers import hazard

TRUE, EXTRA = -0.8, -0.4


def leaving(units=20, people=60, periods=6, seed=0, noise=0.6, true=TRUE, extra=EXTRA):
    """People at risk whose own score is seen twice, each time with noise."""
    rng = np.random.default_rng(seed)
    n = units * people * periods
    unit = np.repeat(np.arange(units), people * periods)
    own = np.repeat(rng.normal(0, 0.6, units * people), periods)
    good = np.repeat((rng.random(units * people) < 0.4).astype(float), periods)
    mean = rng.normal(3.5, 0.3, units)[unit]
    rate = 0.03 * np.exp((true + extra * good) * own + 0.3 * (mean - 3.5))
    a, b = own + rng.normal(0, noise, n), own + rng.normal(0, noise, n)
    rows = pd.DataFrame(
        {
            "person": np.repeat(np.arange(units * people), periods), "unit": unit,
            "t": np.tile(np.arange(periods), units * people),
            "event": (rng.random(n) < -np.expm1(-rate)).astype(float), "own": (a + b) / 2, "unit_mean": mean,
            "tenure": rng.integers(0, 3, n), "good": good,
        }
    )  # fmt: skip
    return rows, a[None], b[None]


def test_the_regression_is_statsmodels():
    rows, _, _ = leaving(units=8)
    found = hazard.leaving_hazard(rows.assign(good=np.nan))
    design = pd.get_dummies(
        rows[["own", "unit_mean", "t", "tenure"]], columns=["t", "tenure"], drop_first=True, dtype=float
    )
    family = sm.families.Binomial(sm.families.links.CLogLog())
    fit = sm.GLM(rows["event"], sm.add_constant(design), family=family).fit()
    assert found.average.value == pytest.approx(fit.params["own"], abs=1e-5)
    assert found.unit_mean.value == pytest.approx(fit.params["unit_mean"], abs=1e-5)
    assert found.interaction is None


def test_both_stages_are_refitted_without_each_unit():
    rows, a, b = leaving(units=6, people=200)
    found = hazard.leaving_hazard(rows, a, b)
    for g, unit in enumerate(sorted(rows["unit"].unique())):
        kept = (rows["unit"] != unit).to_numpy()
        without = (
            hazard.leaving_hazard(rows[kept], a[:, kept], b[:, kept]) if rows[kept]["unit"].nunique() >= 5 else None
        )
        assert without is not None
        share = found.good_share
        again = without.own.value + share * without.interaction.value
        assert found.average.left_out[g] == pytest.approx(again, abs=1e-4)


def test_noise_is_taken_out_of_the_own_score():
    """14,400 rows: the calibrated slope is within three standard errors of the truth, the raw one is not."""
    rows, a, b = leaving(units=40)
    truth = TRUE + EXTRA * rows["good"].mean()
    found, raw = hazard.leaving_hazard(rows, a, b), hazard.leaving_hazard(rows)
    assert abs(found.average.value - truth) < 3 * found.average.se
    assert abs(raw.average.value - truth) > 3 * raw.average.se
    assert found.interaction.value == pytest.approx(EXTRA, abs=3 * found.interaction.se)
    assert found.sd_x == pytest.approx(0.6, abs=0.05)


def test_where_only_one_half_is_answered_the_row_still_counts():
    rows, a, b = leaving(units=10)
    a[0, ::3] = np.nan
    found = hazard.leaving_hazard(rows, a, b)
    assert found.split
    assert found.average.value == pytest.approx(hazard.leaving_hazard(*leaving(units=10)).average.value, abs=0.3)


def test_too_few_is_refused_in_words():
    rows, a, b = leaving(units=4)
    with pytest.raises(ValueError, match="4 units"):
        hazard.leaving_hazard(rows, a, b)
    rows, a, b = leaving(units=6)
    with pytest.raises(ValueError, match="0 leavers"):
        hazard.leaving_hazard(rows.assign(event=0.0), a, b)


def test_a_period_without_leavers_does_not_stop_the_rest():
    rows, a, b = leaving(units=12)
    rows.loc[rows["t"] == 2, "event"] = 0.0
    found = hazard.leaving_hazard(rows, a, b)
    kept = (rows["t"] != 2).to_numpy()
    without = hazard.leaving_hazard(rows[kept], a[:, kept], b[:, kept])
    assert found.own.value == pytest.approx(without.own.value, abs=0.1)


def test_a_very_large_unit_may_be_left_out():
    rows, a, b = leaving(units=10, people=60)
    rows["unit"] = np.where(rows["unit"] < 6, 0, rows["unit"])
    found = hazard.leaving_hazard(rows, a, b)
    assert found.average.se > 0
    assert len(found.average.left_out) == 5


@pytest.mark.parametrize("good", [1.0, 0.0])
def test_where_all_perform_alike_there_is_no_difference(good):
    rows, a, b = leaving(units=8)
    assert hazard.leaving_hazard(rows.assign(good=good), a, b).interaction is None


def test_halves_that_do_not_agree_are_not_used():
    rows, a, _ = leaving(units=8)
    noise = np.random.default_rng(1).normal(size=(2, *a.shape))
    found = hazard.leaving_hazard(rows, noise[0], noise[1])
    assert not found.split
    assert found.average.value == pytest.approx(hazard.leaving_hazard(rows).average.value)
