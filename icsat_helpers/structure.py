"""Confirmatory factor analysis with means, for one group or many: maximum likelihood with equality constraints.

Conventions are those of R's lavaan: moments with divisor n, a statistic of n times the discrepancy, the RMSEA times the
root of the number of groups, a baseline of independent items within groups, means in the SRMR of several groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from icsat_helpers.inference import Array, NotEstimable
from icsat_helpers.likelihood import Model, Moments
from icsat_helpers.words import say

SINGULAR = 1e-8  # smallest eigenvalue of a correlation matrix, or of the scaled information; rounding leaves 1e-14
FLAT = 1e-5  # gradient at an optimum: the discrepancy is then within some 1e-9 of its smallest
AT_ONCE = 50  # parameters by which derivatives are taken together: memory grows with the groups and the square of items
STEP = 1e-5  # of the numerical derivative behind standard errors; parameters are about 1, so it is right to 1e-9


@dataclass(frozen=True, slots=True)
class Indices:
    """How well a model fits; NaN where it cannot be said (no degrees of freedom, or the search did not end).

    Attributes
    ----------
    chi2, df, p
        The test of exact fit.
    cfi, tli, rmsea, rmsea_low, rmsea_high, srmr
        The interval of RMSEA is of 90%.
    """

    chi2: float
    df: int
    p: float = math.nan
    cfi: float = math.nan
    tli: float = math.nan
    rmsea: float = math.nan
    rmsea_low: float = math.nan
    rmsea_high: float = math.nan
    srmr: float = math.nan


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted factor model; G groups, p items, f scales.

    Attributes
    ----------
    level : {"configural", "metric", "scalar"}
    scales, items : tuple of str
    n : int
        Sheets.
    indices : Indices
    loadings, loadings_se : ndarray, G x p
        Standardised within the group; errors by the delta method, NaN where the answers do not determine them.
    omega, omega_se : ndarray, G x (f + 1)
        Omega total of each scale's mean, and last of the mean of the scales.
    correlations : ndarray, G x f x f
    latent_means, latent_means_se : ndarray, G x f
        Distance from the first group in its standard deviations; NaN but at the level `scalar`.
    problems : tuple of str
        What keeps the solution from being read, in words; empty where nothing does.
    """

    level: str
    scales: tuple[str, ...]
    items: tuple[str, ...]
    n: int
    indices: Indices
    loadings: Array
    loadings_se: Array
    omega: Array
    omega_se: Array
    correlations: Array
    latent_means: Array
    latent_means_se: Array
    problems: tuple[str, ...]


def cfa(groups: Sequence[Moments], scales: Mapping[str, Sequence[str]], level: str = "configural") -> Fit:
    """Fit the model that each item measures its own scale.

    Parameters
    ----------
    groups : sequence of Moments
        One a group; items in the order in which `scales` lists them.
    scales : mapping of scale to items
        A scale has two items at least, three where it is the only one.
    level : {"configural", "metric", "scalar"}
        What is equal in all groups: nothing, loadings, loadings and intercepts.

    Raises
    ------
    NotEstimable
        Where the model has no single answer: too few items, an item without variation, items that repeat each other.

    Examples
    --------
    >>> r = np.full((4, 4), 0.49) + np.diag([0.51] * 4)  # four items, each loading .7
    >>> fit = cfa([Moments(200, np.zeros(4), r)], {"speed": ["a", "b", "c", "d"]})
    >>> fit.indices.df, round(fit.indices.chi2, 6), fit.loadings.round(3).tolist()
    (2, 0.0, [[0.7, 0.7, 0.7, 0.7]])
    """
    names = tuple(item for items in scales.values() for item in items)
    _refuse(groups, scales, names)
    model = Model(groups, np.repeat(np.arange(len(scales)), [len(items) for items in scales.values()]), level)
    found = optimize.minimize(
        model.discrepancy, model.start(), jac=True, hess=model.information, method="trust-exact",
        options={"gtol": 1e-8, "maxiter": 100},
    )  # fmt: skip
    x, n = found.x, int(model.n.sum())
    with np.errstate(invalid="ignore", divide="ignore"):  # a variance below zero has no root; `problems` says so
        values, errors = _reported(model, x), _errors(model, x)
        correlations = _correlations(model, x)
    cuts = [model.p, model.p + model.f + 1]
    loadings, omega, means = zip(np.split(values, cuts, axis=1), np.split(errors, cuts, axis=1), strict=True)
    ended = bool(np.abs(found.jac).max() < FLAT)  # rounding may end the search just before its own tolerance
    indices = _indices(model, x, n * found.fun) if ended else Indices(math.nan, model.df)
    problems = _problems(model, x, ended, correlations, errors, tuple(scales), names)
    return Fit(level, tuple(scales), names, n, indices, *loadings, *omega, correlations, *means, problems)


def _refuse(groups: Sequence[Moments], scales: Mapping[str, Sequence[str]], names: tuple[str, ...]) -> None:
    if not scales:
        raise NotEstimable(say("no scale has two items"))
    fewest = 2 if len(scales) > 1 else 3
    for scale, items in scales.items():
        if len(items) < fewest:
            raise NotEstimable(
                say(
                    "{scale} has {n} items, and a single scale needs {needed}", scale=scale, n=len(items), needed=fewest
                )
                if fewest == 3
                else say(
                    "{scale} has {n} items, and each scale needs {needed}", scale=scale, n=len(items), needed=fewest
                )
            )
    for group in groups:
        variances = np.diag(group.cov)
        same = [name for name, variance in zip(names, variances, strict=True) if not variance > 0]
        if same:
            raise NotEstimable(say("everyone gave the same answer to {items}", items=", ".join(same)))
        if np.linalg.eigvalsh(group.cov / np.sqrt(np.outer(variances, variances)))[0] < SINGULAR:
            raise NotEstimable(say("some items repeat each other"))


def _indices(model: Model, x: Array, chi2: float) -> Indices:
    n, groups, chi2, df = float(model.n.sum()), len(model.n), max(chi2, 0.0), model.df
    logs = [np.log(np.diag(cov)).sum() - np.linalg.slogdet(cov)[1] for cov in model.covs]
    baseline, base_df = float(model.n @ np.array(logs)), groups * model.p * (model.p - 1) // 2
    excess, worst = max(chi2 - df, 0.0), max(baseline - base_df, chi2 - df, 0.0)
    cfi = 1 - excess / worst if worst > 0 else 1.0
    if df == 0:
        return Indices(chi2, 0, cfi=cfi, srmr=_srmr(model, x))
    ratio = baseline / base_df
    tli = (ratio - chi2 / df) / (ratio - 1) if ratio > 1 else math.nan
    low, high = _noncentral(chi2, df, 0.95), _noncentral(chi2, df, 0.05)
    rmsea, low, high = (math.sqrt(groups * part / (n * df)) for part in (excess, low, high))
    return Indices(chi2, df, float(stats.chi2.sf(chi2, df)), cfi, tli, rmsea, low, high, _srmr(model, x))


def _noncentral(chi2: float, df: int, share: float) -> float:
    """Noncentrality at which `share` of the distribution lies below chi2; 0 where less does without any."""
    if stats.chi2.cdf(chi2, df) <= share:
        return 0.0
    high = chi2 + 10 * math.sqrt(chi2) + 10  # far in the upper tail
    return float(optimize.brentq(lambda away: stats.ncx2.cdf(chi2, df, away) - share, 0.0, high))


def _srmr(model: Model, x: Array) -> float:
    """Root mean square of residual correlations, in several groups of standardised residual means too."""
    mean, cov = model.implied(x)
    sd = np.sqrt(np.diagonal(model.covs, axis1=1, axis2=2))
    residuals = ((model.covs - cov) / (sd[:, :, None] * sd[:, None, :]))[:, *np.tril_indices(model.p)]
    if len(model.n) > 1:
        residuals = np.hstack([residuals, (model.means - mean) / sd])
    return float(model.weight @ np.sqrt(np.mean(residuals**2, axis=1)))


def _reported(model: Model, x: Array) -> Array:
    """What is reported with standard errors, one row a group: standardised loadings p, omega f + 1, latent means f.

    `x` may be several vectors at once.
    """
    each = (np.arange(model.f)[:, None] == model.of) / np.bincount(model.of)[:, None]
    sums = np.vstack([each, each.mean(axis=0)])  # weights of the scales' means, and of the mean of the scales
    loading, latent, residual, _, mean = model.parts(x)
    sign = np.where(loading.sum(axis=-2) < 0, -1.0, 1.0)  # a scale points where most of its items do
    loading = loading * sign[..., None, :]
    latent = latent * sign[..., :, None] * sign[..., None, :]
    mean = mean * sign if model.level == "scalar" else np.full_like(mean, math.nan)
    common = loading @ latent @ loading.swapaxes(-1, -2)
    cov = common + residual[..., None] * np.eye(model.p)
    sd = np.sqrt(np.diagonal(latent, axis1=-2, axis2=-1)[..., model.of] / np.diagonal(cov, axis1=-2, axis2=-1))
    omega = ((sums @ common) * sums).sum(axis=-1) / ((sums @ cov) * sums).sum(axis=-1)
    return np.concatenate([loading.sum(axis=-1) * sd, omega, mean], axis=-1)


def _errors(model: Model, x: Array) -> Array:
    """Standard errors of `_reported` by the delta method; NaN where the information is singular."""
    information = model.information(x)
    scale = np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    if values[0] < SINGULAR:
        return np.full_like(_reported(model, x), math.nan)
    root = vectors / np.sqrt(values) / scale[:, None] * math.sqrt(2 / model.n.sum())
    steps = STEP * np.eye(len(x))
    parts = np.array_split(steps, 1 + len(steps) // AT_ONCE)
    slopes = np.concatenate([_reported(model, x + part) - _reported(model, x - part) for part in parts]) / (2 * STEP)
    return np.sqrt((np.tensordot(slopes, root, (0, 0)) ** 2).sum(axis=-1))


def _correlations(model: Model, x: Array) -> Array:
    loading, latent, *_ = model.parts(x)
    sd = np.sqrt(np.diagonal(latent, axis1=1, axis2=2)) * np.where(loading.sum(axis=1) < 0, -1.0, 1.0)
    return latent / (sd[:, :, None] * sd[:, None, :])


def _problems(
    model: Model,
    x: Array,
    ended: bool,
    correlations: Array,
    errors: Array,
    scales: tuple[str, ...],
    items: tuple[str, ...],
) -> tuple[str, ...]:
    if not ended:
        return (say("the search for loadings did not end: some items hang together too loosely"),)
    _, latent, residual, *_ = model.parts(x)
    lowest = np.hstack([residual, np.diagonal(latent, axis1=1, axis2=2)]).min(axis=0)
    found = [
        say("{name} would need a variance below zero", name=name)
        for name, low in zip(items + scales, lowest, strict=True)
        if low < 0
    ]
    alike = np.argwhere(np.tril(np.abs(correlations).max(axis=0), -1) >= 1)
    found += [say("{one} and {other} cannot be told apart", one=scales[b], other=scales[a]) for a, b in alike]
    return (
        *found,
        *([say("the answers do not determine every loading")] if np.isnan(errors[:, : model.p]).any() else []),
    )
