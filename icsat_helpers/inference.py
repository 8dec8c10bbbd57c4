"""What the libraries lack: leave-one-unit-out inference for slopes, plain or from split halves.

A slope here is two-stage least squares within blocks (unit effects) and periods. All of it is sums over units,
so leaving a unit out is a subtraction, and the covariance is the cluster jackknife CRV3 (MacKinnon, Nielsen &
Webb 2023). pyfixest gives the same point estimates; a test holds them together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from icsat_helpers import words
from icsat_helpers.words import say

Array = npt.NDArray[np.float64]
Column = str | tuple[str, str]
"""A column, or the columns of two halves."""

SMALLEST_SHARE = 1e-14  # of a sum of squares; rounding alone leaves some 1e-16
SOLVED = 1e-9  # of a right-hand side, by which a solution may be off
WEAK_F = 4.0
"""Below it (near t(.975) squared) two halves cannot be told from unrelated ones.

Not the usual 10: with one instrument for one regressor t holds its level there too, and it is turning to another
estimate on seeing a small F that does harm (Angrist & Kolesár 2024).
"""
FEWEST_UNITS = 5  # fewer say nothing about units that are not there


class NotEstimable(ValueError):
    """The data does not allow the estimate; the message says why, in words for a reader."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number with its uncertainty: t with `dof` degrees of freedom.

    Attributes
    ----------
    value, se, dof : float
    left_out : ndarray, one value a unit
        The estimate without that unit.
    """

    value: float
    se: float
    dof: int
    left_out: Array

    @property
    def p(self) -> float:
        """Two-sided p of zero."""
        return float(2 * stats.t.sf(abs(self.value / self.se), self.dof)) if self.se > 0 else float("nan")

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided interval."""
        half = float(stats.t.ppf(0.5 + level / 2, self.dof)) * self.se
        return self.value - half, self.value + half

    @property
    def detectable(self) -> float:
        """Effect that would be found with 80% power: (t(.975) + t(.80)) standard errors."""
        return float(stats.t.ppf(0.975, self.dof) + stats.t.ppf(0.80, self.dof)) * self.se


@dataclass(frozen=True, slots=True)
class Slope:
    """A slope and what is needed to judge it.

    Attributes
    ----------
    estimate : Estimate
    beside : tuple of Estimate
        Slopes of the other regressors, in their order.
    by_split : dict of int to float
        Slope of each split, of which the estimate is the mean; one where nothing is split.
    sd_x, sd_y : float
        Standard deviations after removing the fixed effects; of x without its noise where instrumented.
    first_stage_f : float
        Cluster-robust, median over splits, net of the other regressors; infinite where exposure and instrument
        are the same.
    reliability : float
        2f / (1 + f), f the slope of one half on the other; 1 where they are the same.
    n_rows, n_units, n_periods : int
    """

    estimate: Estimate
    beside: tuple[Estimate, ...]
    by_split: dict[int, float]
    sd_x: float
    sd_y: float
    first_stage_f: float
    reliability: float
    n_rows: int
    n_units: int
    n_periods: int

    @property
    def standardised(self) -> float:
        """Slope in standard deviations."""
        return self.estimate.value * self.sd_x / self.sd_y


def jackknife(value: float, left_out: Array) -> Estimate:
    """Estimate from the full value and the values with each cluster left out (CRV3, centred on the full value)."""
    g = len(left_out)
    se = float(np.sqrt((g - 1) / g * np.sum((left_out - value) ** 2)))
    return Estimate(float(value), se, g - 1, left_out)


@dataclass(frozen=True, slots=True)
class Moments:
    """What a regression needs of each unit, so that leaving units out or drawing them again is a weighted sum.

    Attributes
    ----------
    products : ndarray, S splits x G clusters x k x k
        Weighted cross products, net of block means: what is absorbed (period dummies or an intercept), first
        halves of the K regressors, their second halves, first and second half of the outcome.
    regressors : int
        K.
    size : float
        Sum of weights of a split.
    """

    products: Array
    regressors: int
    size: float

    def net(self, counts: Array | None = None) -> Array:
        """Cross products net of all fixed effects, S x D x m x m; `counts` (D x G) says how often each cluster stands.

        Without `counts` once each, D = 1.
        """
        weights = np.ones((1, self.products.shape[1])) if counts is None else counts
        return np.stack([self._partialled(np.einsum("dg,gij->dij", weights, part)) for part in self.products])

    def _partialled(self, m: Array) -> Array:
        k = m.shape[-1] - 2 * self.regressors - 2
        absorbed, beside = m[:, :k, :k], m[:, :k, k:]
        # Period dummies net of block means sum to nothing, so that what is added to all of them changes no solution.
        level = np.trace(absorbed, axis1=1, axis2=2)[:, None, None] / k**2 if k > 1 else 0.0
        try:
            solved = np.linalg.solve(absorbed + level, beside)
            with np.errstate(invalid="ignore", divide="ignore"):
                off = np.abs(absorbed @ solved - beside).max(axis=(1, 2)) / np.abs(beside).max(axis=(1, 2))
        except np.linalg.LinAlgError:
            solved, off = np.empty_like(beside), np.full(len(m), np.nan)
        more = ~(off < SOLVED)  # of the dummies than one follow from the others
        if more.any():
            solved[more] = np.linalg.pinv(absorbed[more], rcond=1e-10, hermitian=True) @ beside[more]
        return m[:, k:, k:] - m[:, k:, :k] @ solved

    def shared(self, net: Array, mixed: bool = True) -> Array:
        """Cross products of the regressors' halves, both ways: with each other's (`mixed`) or with their own."""
        k = self.regressors
        a, b = slice(0, k), slice(k, 2 * k)
        return net[..., a, b] + net[..., b, a] if mixed else net[..., a, a] + net[..., b, b]

    def coefficients(self, net: Array) -> Array:
        """Slopes, S x D x K: each half of the regressors is instrumented by the other, with its half of the outcome."""
        k = self.regressors
        right = net[..., k : 2 * k, 2 * k] + net[..., :k, 2 * k + 1]
        left = self.shared(net)
        left = np.where(np.linalg.det(left)[..., None, None] == 0, np.nan, left)
        return np.asarray(np.linalg.solve(left, right[..., None])[..., 0])

    def first_stage(self, net: Array) -> Array:
        """Slope of one half of the first regressor on its other half, net of the other regressors, S x D."""
        return np.asarray(self._first(self.shared(net)) / self._first(self.shared(net, mixed=False)))

    @staticmethod
    def _first(m: Array) -> Any:
        """What is left of the first row and column, net of the others (a Schur complement)."""
        rest = np.linalg.pinv(m[..., 1:, 1:], rcond=1e-12)
        return m[..., 0, 0] - (m[..., :1, 1:] @ rest @ m[..., 1:, :1])[..., 0, 0]


def moments(
    frame: pd.DataFrame,
    outcome: Column,
    regressors: Sequence[Column],
    *,
    fixed_effects: bool = True,
    weights: str = "",
    cluster: str = "unit",
) -> tuple[Moments, pd.DataFrame]:
    """Moments of a regression as `slope` takes it, and the rows they are made from.

    Raises
    ------
    NotEstimable
        With fewer than three clusters.
    """
    firsts, seconds = zip(*(pair(column) for column in (*regressors, outcome)), strict=True)
    columns = [*firsts[:-1], *seconds[:-1], firsts[-1], seconds[-1]]
    rows = _usable(frame, list(dict.fromkeys([*columns, *([weights] if weights else [])])), fixed_effects)
    codes, clusters = pd.factorize(rows[cluster], sort=True)
    if len(clusters) < 3:
        raise NotEstimable(say("a slope needs at least 3 clusters, there are {n}", n=len(clusters)))
    w = rows[weights].to_numpy(dtype=float) if weights else np.ones(len(rows))
    values = rows[columns].to_numpy(dtype=float)
    period = np.eye(rows["t"].nunique())[pd.factorize(rows["t"], sort=True)[0]]
    design = np.column_stack([period if fixed_effects else np.ones(len(w)), values])
    split = pd.factorize(rows["split"], sort=True)[0]
    if fixed_effects:
        block = pd.factorize(_both(split, rows["block"]))[0]
        total = np.bincount(block, w)
        design = design - (np.column_stack([np.bincount(block, w * x) for x in design.T]) / total[:, None])[block]
    splits = int(split.max()) + 1
    products = np.zeros((splits * len(clusters), design.shape[1], design.shape[1]))
    place = split * len(clusters) + codes
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(products) + 1))
    for g, (begin, end) in enumerate(itertools.pairwise(starts)):
        part = order[begin:end]
        products[g] = (design[part] * w[part, None]).T @ design[part]
    shaped = products.reshape(splits, len(clusters), *products.shape[1:])
    return Moments(shaped, len(regressors), float(w.sum() / splits)), rows


def slope(
    frame: pd.DataFrame,
    outcome: Column,
    exposure: Column,
    *,
    beside: Sequence[Column] = (),
    fixed_effects: bool = True,
    weights: str = "",
    cluster: str = "unit",
) -> Slope:
    """Slope of an outcome on an exposure, within units and periods.

    Parameters
    ----------
    frame : DataFrame
        unit, t, the named columns; with halves also `split` and `block`. Rows with a missing value are left out.
    outcome : str or (str, str)
        Two halves: each goes with the exposure's half of the same people, and only the instrument is of others.
    exposure : str or (str, str)
        One column: weighted least squares. Two halves: one instruments the other, both ways stacked, averaged
        over splits (obviously related instruments: Gillen, Snowberg & Yariv 2019).
    beside : sequence of str or (str, str)
        Other regressors; a column instruments itself.
    fixed_effects : bool
        True: ``1 | block + t`` (block is the unit where there are no splits); False: an intercept only.
    weights, cluster : str
        Columns; no weights where empty. A block lies within one cluster.

    Raises
    ------
    NotEstimable
        With fewer than three clusters, or no variation in the exposure.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> d = pd.DataFrame({"unit": np.repeat(list("abcdefgh"), 5), "t": np.tile(range(5), 8), "x": rng.normal(size=40)})
    >>> round(slope(d.assign(y=2 * d.x + d.t), "y", "x").estimate.value, 6)
    2.0
    """
    (one, two), (y, _) = pair(exposure), pair(outcome)
    known, rows = moments(
        frame, outcome, [exposure, *beside], fixed_effects=fixed_effects, weights=weights, cluster=cluster
    )
    full, left = known.net(), known.net(1 - np.eye(known.products.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        each, without = known.coefficients(full)[:, 0], known.coefficients(left).mean(axis=0)
        value = each.mean(axis=0)
        f, f_left = known.first_stage(full)[:, 0], known.first_stage(left)
        variance = np.array([jackknife(f[k], f_left[k]).se ** 2 for k in range(len(f))])
    if not np.isfinite(value).all() or not np.isfinite(without).all():
        raise NotEstimable(say("{column} does not vary enough within units and periods", column=words.known(one)))
    mean, k = full.mean(axis=(0, 1)), known.regressors
    if mean[0, k] <= 0:
        raise NotEstimable(say("the halves of a unit's people do not move together"))
    y_a, y_b = mean[2 * k, 2 * k], mean[2 * k + 1, 2 * k + 1]
    raw = rows[y].to_numpy(dtype=float)
    if min(y_a, y_b) <= SMALLEST_SHARE * known.size * np.mean(raw**2):
        raise NotEstimable(say("{column} does not vary enough within units and periods", column=words.known(y)))
    first, *others = (jackknife(value[j], without[:, j]) for j in range(k))
    same = one == two
    return Slope(
        estimate=first,
        beside=tuple(others),
        by_split=dict(zip(np.unique(rows["split"]).tolist(), each[:, 0].tolist(), strict=True)),
        sd_x=float(np.sqrt(mean[0, k] / known.size)),
        sd_y=float(np.sqrt((y_a + y_b + 2 * mean[2 * k, 2 * k + 1]) / 4 / known.size)),  # of the halves' mean
        first_stage_f=float("inf") if same else float(np.median(f**2 / variance)),
        reliability=1.0 if same else float(np.clip(2 * f.mean() / (1 + f.mean()), 0, 1)),
        n_rows=len(rows.drop_duplicates(["unit", "t"])),
        n_units=int(rows["unit"].nunique()),
        n_periods=int(rows["t"].nunique()),
    )


def bootstrap(known: Moments, draws: int = 1999, seed: int = 20260930) -> Array:
    """Slopes when clusters are drawn again, draws x K, averaged over splits; NaN where a draw has none."""
    clusters = known.products.shape[1]
    counts = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), draws)
    return known.coefficients(known.net(counts.astype(float))).mean(axis=0)


def wild_p(known: Moments, draws: int = 9999, seed: int = 20260930) -> float:
    """P of no slope by the wild cluster bootstrap, the null imposed and the first regressor alone in the model.

    Each draw gives every cluster's residuals one sign (Rademacher; all combinations where there are no more than
    `draws`), and its t is compared with that of the data (Cameron, Gelbach & Miller 2008; scores of clusters as in
    Roodman, MacKinnon, Nielsen & Webb 2019).
    """
    m = known.products[0]
    last, (_, clusters) = m.shape[-1] - 1, known.products.shape[:2]
    k = last - 2 * known.regressors - 1
    absorbed = np.linalg.pinv(m[:, :k, :k].sum(axis=0), rcond=1e-10, hermitian=True)
    change = np.eye(last + 1)
    change[:k, k:] = -absorbed @ m[:, :k, k:].sum(axis=0)
    m = change.T @ m @ change  # of everything net of what is absorbed
    xx, xy = m[:, k, k], m[:, k, last]
    scores = np.diag(xy) - m[:, k, :k] @ absorbed @ m[:, :k, last].T
    every = 2**clusters <= draws
    if every:
        signs = 1.0 - 2 * ((np.arange(2**clusters) >> np.arange(clusters)[:, None]) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (clusters, draws))

    def t(signs: npt.NDArray[Any]) -> Any:
        total = xy @ signs
        return np.abs(total) / np.sqrt(((scores @ signs - np.outer(xx, total / xx.sum())) ** 2).sum(axis=0))

    as_large = np.count_nonzero(t(signs) >= t(np.ones((clusters, 1), dtype=np.float64)) * (1 - 1e-9))
    return float(as_large / signs.shape[1] if every else (as_large + 1) / (draws + 1))


def pair(column: Column) -> tuple[str, str]:
    """Both halves of a column; the column twice where it has none."""
    return (column, column) if isinstance(column, str) else column


def _usable(frame: pd.DataFrame, needed: list[str], fixed_effects: bool) -> pd.DataFrame:
    """Rows without missing values, with `split`, `block` and `t`; with fixed effects no block of a single row."""
    rows = frame.dropna(subset=needed)
    rows = rows.assign(**{name: 0 for name in ("split", "t") if name not in rows})
    rows = rows if "block" in rows else rows.assign(block=rows["unit"])
    if fixed_effects:  # a block with one row has no change, and its unit no say
        block = pd.factorize(_both(pd.factorize(rows["split"])[0], rows["block"]))[0]
        rows = rows[np.bincount(block)[block] > 1]
    return rows


def _both(first: npt.NDArray[np.int64], second: pd.Series) -> npt.NDArray[np.int64]:
    """One number for each pair of a number and a value."""
    codes, values = pd.factorize(second, use_na_sentinel=False)
    return np.asarray(first * len(values) + codes)


def apart(parts: Sequence[pd.DataFrame], exposure: Column) -> tuple[pd.DataFrame, list[Column]]:
    """Stack regressions that share clusters, each with fixed effects and an exposure of its own.

    Fitted in one `slope`, their coefficients are those of the parts fitted alone, and leaving a unit out leaves it
    out of all: what is computed from several slopes has its jackknife.

    Returns
    -------
    frame, exposures
        The rows of all parts; the exposure's column (or halves) of each, zero in the rows of the others.
    """
    stacked = []
    exposures: list[Column] = [
        f"{exposure}_{k}" if isinstance(exposure, str) else (f"{exposure[0]}_{k}", f"{exposure[1]}_{k}")
        for k in range(len(parts))
    ]
    for k, part in enumerate(parts):
        block = part["block"] if "block" in part else part["unit"]
        values = {
            name: part[own] if j == k else 0.0
            for j, column in enumerate(exposures)
            for name, own in zip(pair(column), pair(exposure), strict=True)
        }
        stacked.append(part.assign(block=[(k, b) for b in block], t=[(k, t) for t in part["t"]], **values))
    return pd.concat(stacked, ignore_index=True), exposures
