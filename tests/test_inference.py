"""Slopes against pyfixest, brute force and known truth."""

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest

from icsat_helpers import inference


def panel(units=12, periods=6, seed=0, beta=2.0, noise=0.8, carry=0.0):
    """Two noisy halves of an exposure, an outcome with unit and period effects and errors that carry over."""
    rng = np.random.default_rng(seed)
    n = units * periods
    unit, t = np.repeat(np.arange(units), periods), np.tile(np.arange(periods), units)
    x = rng.normal(size=n)
    error = rng.normal(size=(units, periods))
    for k in range(1, periods):
        error[:, k] += carry * error[:, k - 1]
    return pd.DataFrame(
        {
            "unit": unit,
            "block": unit,
            "t": t,
            "split": 0,
            "a": x + noise * rng.normal(size=n),
            "b": x + noise * rng.normal(size=n),
            "y": beta * x + rng.normal(size=units)[unit] + rng.normal(size=periods)[t] + error.ravel(),
            "w": rng.uniform(1, 4, n),
        }
    ).sample(frac=0.9, random_state=seed)


def stacked(frame):
    ways = [frame.assign(way=0, x=frame["a"], z=frame["b"]), frame.assign(way=1, x=frame["b"], z=frame["a"])]
    return pd.concat(ways, ignore_index=True)


def by_pyfixest(frame):
    fit = pf.feols("y ~ 1 | unit^way + t^way | x ~ z", stacked(frame), weights="w")
    return float(fit.coef().iloc[-1])


def test_the_slope_is_pyfixests():
    frame = panel()
    assert inference.slope(frame, "y", ("a", "b"), weights="w").estimate.value == pytest.approx(
        by_pyfixest(frame), rel=1e-8
    )
    plain = pf.feols("y ~ a | unit + t", frame, weights="w").coef()["a"]
    assert inference.slope(frame, "y", "a", weights="w").estimate.value == pytest.approx(plain, rel=1e-8)


def test_the_standard_error_leaves_out_one_unit_at_a_time():
    """Brute force: pyfixest refitted without each unit; (G - 1) / G times the squared distances from the full slope."""
    frame = panel()
    found = inference.slope(frame, "y", ("a", "b"), weights="w").estimate
    full = by_pyfixest(frame)
    without = np.array([by_pyfixest(frame[frame["unit"] != u]) for u in sorted(frame["unit"].unique())])
    g = len(without)
    assert found.se == pytest.approx(np.sqrt((g - 1) / g * ((without - full) ** 2).sum()), rel=1e-6)
    assert found.dof == g - 1
    np.testing.assert_allclose(found.left_out, without, rtol=1e-6)


def test_clusters_are_units_not_rows():
    """An exposure and errors that carry over make the rows of a unit alike: rows taken as independent are too sure."""
    frame = panel(units=15, periods=20, carry=0.95).sort_values(["unit", "t"])
    frame["a"] = frame.groupby("unit")["a"].cumsum()
    independent = float(pf.feols("y ~ a | unit + t", frame, vcov="iid").se()["a"])
    assert inference.slope(frame, "y", "a").estimate.se > 1.5 * independent


def test_halves_correct_what_noise_takes_away():
    """60 panels with reliability .6: the corrected interval holds the truth, the plain one does not."""
    holds = {"split": 0, "plain": 0}
    for seed in range(60):
        frame = panel(units=25, periods=8, seed=seed)
        frame["mean"] = frame[["a", "b"]].mean(axis=1)
        for name, exposure in (("split", ("a", "b")), ("plain", "mean")):
            low, high = inference.slope(frame, "y", exposure).estimate.interval()
            holds[name] += low <= 2.0 <= high
    assert holds["split"] >= 52  # 60 x .95 = 57, standard deviation 1.7: three of them
    assert holds["plain"] <= 30


def test_standard_deviations_are_net_of_noise_and_of_fixed_effects():
    found = inference.slope(panel(units=400, periods=10, noise=1.0), "y", ("a", "b"))
    assert found.sd_x == pytest.approx(0.95, abs=0.06)  # 1 less what unit and period means take
    assert found.reliability == pytest.approx(2 / 3, abs=0.03)  # two halves of reliability .5
    assert found.first_stage_f > 100
    assert found.standardised == pytest.approx(found.estimate.value * found.sd_x / found.sd_y)


def test_without_fixed_effects_one_row_a_unit_is_hc3():
    import statsmodels.formula.api as smf

    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"unit": range(40), "t": 0, "x": rng.normal(size=40)})
    frame["y"] = frame["x"] + rng.normal(size=40) * (1 + frame["x"] ** 2)
    found = inference.slope(frame, "y", "x", fixed_effects=False).estimate
    hc3 = smf.ols("y ~ x", frame).fit(cov_type="HC3")
    assert found.value == pytest.approx(hc3.params["x"])
    assert found.se == pytest.approx(hc3.bse["x"] * np.sqrt(39 / 40), rel=0.02)  # HC3 does not centre


def test_what_cannot_be_estimated_is_refused_in_words():
    frame = panel(units=2)
    with pytest.raises(ValueError, match="at least 3 clusters, there are 2"):
        inference.slope(frame, "y", "a")
    with pytest.raises(ValueError, match="does not vary"):
        inference.slope(panel().assign(a=1.0), "y", "a")


def test_the_callers_frame_is_not_touched():
    frame = panel()
    before = frame.copy()
    inference.slope(frame, "y", ("a", "b"), weights="w")
    pd.testing.assert_frame_equal(frame, before)


def test_interval_p_and_detectable_effect_agree():
    estimate = inference.Estimate(2.0, 1.0, 20, np.array([]))
    low, high = estimate.interval()
    assert (low + high) / 2 == pytest.approx(2.0)
    assert estimate.p == pytest.approx(0.0593, abs=1e-3)
    assert estimate.detectable == pytest.approx(2.086 + 0.860, abs=1e-3)


def test_units_that_do_not_change_do_not_count():
    """Forty units with one row each say nothing within units: same slope, same degrees of freedom without them."""
    frame = panel(units=6)
    lonely = panel(units=40, periods=1, seed=9).assign(unit=lambda d: d["unit"] + 100, block=lambda d: d["unit"] + 100)
    lonely = lonely.assign(block=lonely["unit"])
    both = inference.slope(pd.concat([frame, lonely], ignore_index=True), "y", ("a", "b")).estimate
    alone = inference.slope(frame, "y", ("a", "b")).estimate
    assert (both.dof, both.value) == (alone.dof, pytest.approx(alone.value))


def test_halves_that_do_not_move_together_and_constant_outcomes_are_refused():
    frame = panel(units=8)
    with pytest.raises(inference.NotEstimable, match="do not move together"):
        inference.slope(frame.assign(b=-frame["a"]), "y", ("a", "b"))
    with pytest.raises(inference.NotEstimable, match="y does not vary"):
        inference.slope(frame.assign(y=3.0), "y", ("a", "b"))


def by_least_squares(frame, outcomes, pairs):
    """Two-stage least squares with dummies, both ways stacked, in so many words: the slopes of `pairs`."""
    ways = []
    for h in (0, 1):
        x = np.column_stack([frame[pair[h]] for pair in pairs])
        z = np.column_stack([frame[pair[1 - h]] for pair in pairs])
        ways.append((frame[outcomes[h]].to_numpy(), x, z))
    dummies = np.column_stack([pd.get_dummies(frame["unit"]), pd.get_dummies(frame["t"])]).astype(float)
    w = np.sqrt(frame["w"].to_numpy())[:, None]
    residual = np.eye(len(frame)) - (w * dummies) @ np.linalg.pinv(w * dummies)
    left = sum((residual @ (w * z)).T @ (residual @ (w * x)) for _, x, z in ways)
    right = sum((residual @ (w * z)).T @ (residual @ (w[:, 0] * y)) for y, _, z in ways)
    return np.linalg.solve(left, right)


def two_regressors(seed=1, units=14):
    frame, other = panel(units=units, seed=seed), panel(units=units, seed=seed + 50)
    frame[["c", "d"]] = (
        other.reindex(frame.index)[["a", "b"]].fillna(0.3).to_numpy() + 0.5 * frame[["a", "b"]].to_numpy()
    )
    rng = np.random.default_rng(seed)
    return frame.assign(y_a=frame["y"] + frame["c"] + rng.normal(size=len(frame)), y_b=frame["y"] + frame["d"])


def test_several_instrumented_regressors_and_halves_of_the_outcome():
    frame = two_regressors()
    pairs, outcomes = [("a", "b"), ("c", "d")], ("y_a", "y_b")
    found = inference.slope(frame, outcomes, pairs[0], beside=pairs[1:], weights="w")
    expected = by_least_squares(frame, outcomes, pairs)
    assert [found.estimate.value, found.beside[0].value] == pytest.approx(list(expected), rel=1e-8)
    units = sorted(frame["unit"].unique())
    without = np.array([by_least_squares(frame[frame["unit"] != u], outcomes, pairs) for u in units])
    np.testing.assert_allclose(np.column_stack([found.estimate.left_out, found.beside[0].left_out]), without, rtol=1e-6)


def test_a_plain_regressor_beside_instruments_itself():
    frame = two_regressors()
    fit = pf.feols("y ~ c | unit^way + t^way | x ~ z", stacked(frame), weights="w").coef()
    found = inference.slope(frame, "y", ("a", "b"), beside=["c"], weights="w")
    assert [found.estimate.value, found.beside[0].value] == pytest.approx([fit["x"], fit["c"]], rel=1e-8)


def test_the_bootstrap_draws_units():
    frame = two_regressors()
    known, _ = inference.moments(frame, "y", [("a", "b"), ("c", "d")], weights="w")
    drawn = inference.bootstrap(known, 5, seed=3)
    clusters = sorted(frame["unit"].unique())
    counts = np.random.default_rng(3).multinomial(len(clusters), np.full(len(clusters), 1 / len(clusters)), 5)
    for k, count in enumerate(counts):
        parts = [
            frame[frame["unit"] == u].assign(unit=100 * i + copy)
            for i, u in enumerate(clusters)
            for copy in range(count[i])
        ]
        again = by_least_squares(pd.concat(parts, ignore_index=True), ("y", "y"), [("a", "b"), ("c", "d")])
        assert drawn[k] == pytest.approx(again, rel=1e-6)


@pytest.mark.parametrize(("units", "within"), [(8, 2.001 / 2**8), (30, 0.02)], ids=["all_signs", "drawn_signs"])
def test_the_wild_bootstrap_is_wildboottests(units, within):
    # Two of all signs give the data themselves: whether these are as large as themselves rounding decides there, and
    # they always are here. Of 9,999 draws a p has a standard error of at most .005.
    for seed in range(3):
        frame = panel(units, 5, seed, beta=0.25).rename(columns={"a": "x"})
        fit = pf.feols("y ~ x | unit + t", frame.assign(unit=pd.factorize(frame["unit"])[0]), vcov={"CRV1": "unit"})
        theirs = float(fit.wildboottest(param="x", reps=9999, seed=1)["Pr(>|t|)"])
        assert inference.wild_p(inference.moments(frame, "y", ["x"])[0]) == pytest.approx(theirs, abs=within)


def test_a_weak_second_regressor_weakens_the_first():
    """Two exposures that are nearly the same: alone each has a strong first stage, net of the other it is weak."""
    frame = panel(units=30)
    rng = np.random.default_rng(0)
    frame = frame.assign(
        c=frame["a"] + 0.3 * rng.normal(size=len(frame)), d=frame["b"] + 0.3 * rng.normal(size=len(frame))
    )
    alone = inference.slope(frame, "y", ("a", "b")).first_stage_f
    beside = inference.slope(frame, "y", ("a", "b"), beside=[("c", "d")]).first_stage_f
    assert alone > 100
    assert beside < 10


@pytest.mark.parametrize("apart", [False, True], ids=["some periods missing", "units that share no period"])
def test_what_is_left_net_of_periods_needs_no_inverse(apart):
    """Beside the generalised inverse, also where some draw has fewer periods or units that no period connects."""
    rng = np.random.default_rng(11)
    for _ in range(200):
        periods, units = rng.integers(2, 10), rng.integers(3, 10)
        products = []
        for unit in range(units):
            seen = np.flatnonzero(rng.random(periods) < rng.choice([0.3, 0.6, 1.0]))
            seen = seen[(seen < periods // 2) == (unit % 2 == 0)] if apart else seen
            rows = np.hstack([np.eye(periods)[seen], rng.normal(size=(len(seen), 4))])
            weight = rng.uniform(1, 3, len(seen))
            rows = rows - weight @ rows / weight.sum() if len(seen) else rows
            products.append((rows * weight[:, None]).T @ rows)
        known = inference.Moments(np.array(products)[None], 1, 1.0)
        counts = np.vstack([1 - np.eye(units), rng.multinomial(units, np.full(units, 1 / units), 20)]).astype(float)
        m = np.einsum("dg,gij->dij", counts, known.products[0])
        absorbed = np.linalg.pinv(m[:, :periods, :periods], rcond=1e-10, hermitian=True)
        net = m[:, periods:, periods:] - m[:, periods:, :periods] @ absorbed @ m[:, :periods, periods:]
        assert known.net(counts)[0] == pytest.approx(net, abs=1e-12 * np.abs(m).max())
