"""Variance of crossed random effects by REML, and what is then predicted of each level.

Henderson's mixed-model equations, profiled over the ratios of each effect's SD to the residual's (Bates et al. 2015,
section 3). The largest effect's block is diagonal: it is eliminated, and a Cholesky factor of the rest decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse, stats
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

from icsat_helpers.inference import NotEstimable
from icsat_helpers.words import say

Array = npt.NDArray[np.float64]
DENSE = 2500  # equations left after the elimination: up to here a dense factor is faster than a sparse one
LARGEST_RATIO = 100.0  # of an effect's SD to the residual's; beyond it the residual is below .01% of the variance
SMALLEST_RATIO = 1e-3  # a ratio below it is tried at zero
PRECISION = 1e-5  # of the ratios; the variances then have some five digits


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is predicted of each of K levels of an effect: the shrunken means (BLUPs), given the variances.

    Attributes
    ----------
    levels : Index, K
    mean : ndarray, K
        Fixed mean plus the effect.
    covariance : ndarray, K x K
        Of the levels' means around `mean`.
    reliability : ndarray, K
        1 - prediction variance of the effect / its variance; 0 where the effect has no variance.
    """

    levels: pd.Index
    mean: Array
    covariance: Array
    reliability: Array


@dataclass(frozen=True, slots=True)
class Crossed:
    """A fitted model ``score ~ 1 + (1 | each term)``.

    Attributes
    ----------
    variances : dict of str to float
        Of each term in the model, and of the ``residual``; in squared points.
    dropped : dict of str to str
        Terms that could not be told apart from something else, and why.
    mean, mean_se : float
        The fixed mean and its standard error.
    log_likelihood : float
        Restricted.
    n_rows : int
    levels : dict of str to int
    """

    variances: dict[str, float]
    dropped: dict[str, str]
    mean: float
    mean_se: float
    log_likelihood: float
    n_rows: int
    levels: dict[str, int]
    _system: _System = field(repr=False, compare=False)
    _ratios: Array = field(repr=False, compare=False)

    @property
    def shares(self) -> dict[str, float]:
        """Share of each variance in their sum."""
        total = sum(self.variances.values())
        return {name: value / total for name, value in self.variances.items()}

    def p(self, term: str) -> float:
        """Boundary likelihood-ratio p of a term: half chi-square of 0, half of 1 degree (Self & Liang 1987)."""
        if self.variances[term] == 0:
            return 1.0
        rest = self._system.without(term)
        twice = 2 * (self.log_likelihood - rest.likelihood(rest.best_ratios()))
        return 0.5 * float(stats.chi2.sf(twice, 1)) if twice > 0 else 1.0

    def predict(self, term: str) -> Prediction:
        """Shrunken means of a term's levels with their prediction covariance."""
        return self._system.predict(term, self._ratios)


def fit(frame: pd.DataFrame, score: str, terms: dict[str, list[str]]) -> Crossed:
    """Fit crossed random effects by REML.

    Parameters
    ----------
    frame : DataFrame
        One row an answer; rows without a score are left out.
    score : str
    terms : dict of str to list of str
        Name of each effect and the columns whose combinations are its levels. A term that has one level, as many
        levels as rows, or the levels of an earlier term under other names is dropped and named.

    Raises
    ------
    NotEstimable
        With fewer than three rows, or scores that are all alike.

    Examples
    --------
    >>> d = pd.DataFrame({"a": [1, 1, 2, 2, 3, 3], "b": [1, 2, 1, 2, 1, 2], "y": [1.0, 2.0, 4.0, 5.0, 2.0, 4.0]})
    >>> fitted = fit(d, "y", {"a": ["a"], "b": ["b"], "both": ["a", "b"]})
    >>> {name: round(value, 3) for name, value in fitted.variances.items()}, fitted.dropped
    ({'a': 2.167, 'b': 0.833, 'residual': 0.167}, {'both': 'it has as many levels as there are answers'})
    """
    rows = frame.dropna(subset=[score])
    if len(rows) < 3 or np.ptp(rows[score]) == 0:
        raise NotEstimable(say("there are fewer than three answers") if len(rows) < 3 else say("all answers are alike"))
    codes = {name: rows.groupby(columns, sort=True, observed=True).ngroup() for name, columns in terms.items()}
    order = np.lexsort((rows[score], *codes.values()))  # the same digits whatever the order of rows
    table = pd.DataFrame({name: code.to_numpy()[order] for name, code in codes.items()})
    dropped: dict[str, str] = {}
    kept: dict[str, pd.Index] = {}
    for name, columns in terms.items():
        if reason := _indistinct(table, name, list(kept)):
            dropped[name] = reason
        else:
            kept[name] = pd.Index(rows.groupby(columns if len(columns) > 1 else columns[0], observed=True).size().index)
    system = _System.of(table[list(kept)].to_numpy(dtype=int), rows[score].to_numpy(dtype=float)[order], kept)
    ratios = system.best_ratios()
    scale = system.residual_variance(ratios)
    variances = {name: float(scale * r**2) for name, r in zip(kept, ratios, strict=True)} | {"residual": float(scale)}
    return Crossed(
        variances, dropped, *system.fixed_mean(ratios), system.likelihood(ratios), len(rows),
        {name: len(levels) for name, levels in kept.items()}, system, ratios,
    )  # fmt: skip


def _indistinct(table: pd.DataFrame, name: str, kept: list[str]) -> str:
    """Why a term says nothing of its own, or ""."""
    levels = table[name].nunique()
    if levels == 1:
        return say("it has one level")
    if levels == len(table):
        return say("it has as many levels as there are answers")
    for other in kept:
        if levels == table[other].nunique() == len(table[[name, other]].drop_duplicates()):
            return say("its levels are those of {other}", other=other)
    return ""


@dataclass(frozen=True, slots=True)
class _System:
    """Cross products of the mixed-model equations: the eliminated effect first, the intercept last.

    Attributes
    ----------
    levels : dict of str to Index
    counts : ndarray, answers of each level of the eliminated effect (empty where there is no effect)
    cross : sparse, the others' equations by the eliminated effect's levels
    rest : sparse, the others' equations
    right : ndarray, right-hand side
    squares : float, sum of squares of the scores around their mean
    """

    levels: dict[str, pd.Index]
    codes: npt.NDArray[np.int64]
    scores: Array
    order: tuple[int, ...]
    counts: Array
    cross: sparse.csr_array
    rest: sparse.csr_array
    right: Array
    squares: float

    @classmethod
    def of(cls, codes: npt.NDArray[np.int64], scores: Array, levels: dict[str, pd.Index]) -> _System:
        n, sizes = len(scores), [len(index) for index in levels.values()]
        order = tuple(np.argsort(sizes, kind="stable")[::-1])
        blocks = [sparse.csr_array((np.ones(n), (np.arange(n), codes[:, k])), (n, sizes[k])) for k in order]
        design = sparse.hstack([*blocks, sparse.csr_array(np.ones((n, 1)))], format="csr")
        first = sizes[order[0]] if order else 0
        products, centred = (design.T @ design).tocsr(), scores - scores.mean()
        return cls(
            levels, codes, scores, order, products.diagonal()[:first], products[first:, :first],
            products[first:, first:], design.T @ centred, float(centred @ centred),
        )  # fmt: skip

    def without(self, term: str) -> _System:
        kept = [k for k, name in enumerate(self.levels) if name != term]
        return _System.of(self.codes[:, kept], self.scores, {n: v for n, v in self.levels.items() if n != term})

    def _scales(self, ratios: Array) -> Array:
        """What each equation is multiplied by: its effect's ratio, 1 for the intercept."""
        sizes = [len(index) for index in self.levels.values()]
        return np.concatenate([*(np.full(sizes[k], ratios[k]) for k in self.order), [1.0]])

    def _factor(self, ratios: Array) -> tuple[float, Callable[[Array], Array]]:
        """Log determinant of the equations, and their solution for right-hand sides (equations x m)."""
        scale, cross = self._scales(ratios), self.cross
        first = len(self.counts)
        top, low = scale[:first], scale[first:]
        pivot = top**2 * self.counts + 1
        weighed = sparse.csr_array(
            (cross.data * (top / np.sqrt(pivot))[cross.indices], cross.indices, cross.indptr), cross.shape
        )
        ridge = np.append(np.ones(len(low) - 1), 0.0)
        schur = self.rest - weighed @ weighed.T
        if len(low) <= DENSE:
            determinant, solve = _dense(schur.toarray() * np.outer(low, low) + np.diag(ridge))
        else:
            scaling = sparse.diags_array(low)
            determinant, solve = _sparse((scaling @ schur @ scaling + sparse.diags_array(ridge)).tocsc())

        def solution(right: Array) -> Array:
            upper = right[:first] / pivot[:, None]
            below = solve(right[first:] - low[:, None] * (cross @ (top[:, None] * upper)))
            return np.concatenate([upper - (top / pivot)[:, None] * (cross.T @ (low[:, None] * below)), below])

        return float(np.log(pivot).sum()) + determinant, solution

    def _fitted(self, ratios: Array) -> tuple[float, float, Array]:
        """Log determinant, residual sum of squares, solution in units of each equation's scale."""
        determinant, solution = self._factor(ratios)
        right = self._scales(ratios) * self.right
        found = solution(right[:, None])[:, 0]
        return determinant, max(self.squares - float(right @ found), 1e-12 * self.squares), found

    def likelihood(self, ratios: Array) -> float:
        """Restricted log likelihood, the residual variance at its best."""
        determinant, squares, _ = self._fitted(ratios)
        freedom = len(self.scores) - 1
        return -0.5 * float(determinant + freedom * (1 + np.log(2 * np.pi * squares / freedom)))

    def residual_variance(self, ratios: Array) -> float:
        return self._fitted(ratios)[1] / (len(self.scores) - 1)

    def fixed_mean(self, ratios: Array) -> tuple[float, float]:
        """Fixed mean and its standard error."""
        last = np.zeros((len(self.right), 1))
        last[-1] = 1.0
        variance = self.residual_variance(ratios) * self._factor(ratios)[1](last)[-1, 0]
        return float(self.scores.mean() + self._fitted(ratios)[2][-1]), float(np.sqrt(variance))

    def best_ratios(self) -> Array:
        """Ratios of SDs with the highest restricted likelihood; one that may as well be zero is zero."""
        if not self.levels:
            return np.zeros(0)
        start = np.full(len(self.levels), 0.5)
        bounds = [(0.0, LARGEST_RATIO)] * len(start)
        options = {"final_tr_radius": PRECISION, "initial_tr_radius": 0.25}
        with threadpool_limits(1, "blas"):  # threads that wait for each other: forty times slower on a busy machine
            best = minimize(lambda r: -self.likelihood(r), start, method="COBYQA", bounds=bounds, options=options).x
        for k in np.flatnonzero(best < SMALLEST_RATIO):
            if self.likelihood(zero := np.where(np.arange(len(best)) == k, 0.0, best)) >= self.likelihood(best):
                best = zero
        return best

    def predict(self, term: str, ratios: Array) -> Prediction:
        place = list(self.levels).index(term)
        before = sum(len(list(self.levels.values())[k]) for k in self.order[: self.order.index(place)])
        mine = slice(before, before + len(self.levels[term]))
        scale, (_, squares, found) = self._scales(ratios), self._fitted(ratios)
        residual = squares / (len(self.scores) - 1)
        wanted = np.zeros((len(scale), len(self.levels[term]) + 1))
        wanted[mine, :-1] = np.diag(scale[mine])
        wanted[-1, -1] = 1.0
        inverse = scale[:, None] * self._factor(ratios)[1](wanted)
        effect, with_mean, mean = inverse[mine, :-1], inverse[mine, -1], inverse[-1, -1]
        covariance = residual * (effect + with_mean[:, None] + with_mean + mean)
        variance = residual * ratios[place] ** 2
        reliability = 1 - residual * np.diag(effect) / variance if variance > 0 else np.zeros(len(effect))
        return Prediction(
            self.levels[term],
            self.scores.mean() + found[-1] + scale[mine] * found[mine],
            (covariance + covariance.T) / 2,
            np.clip(reliability, 0, 1),
        )


def _dense(matrix: Array) -> tuple[float, Callable[[Array], Array]]:
    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    return 2 * float(np.log(np.diag(factor[0])).sum()), lambda right: cho_solve(factor, right, check_finite=False)


def _sparse(matrix: sparse.csc_array) -> tuple[float, Callable[[Array], Array]]:
    """A positive definite matrix needs no pivoting; the diagonal of U then has the determinant."""
    factor = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return float(np.log(np.abs(factor.U.diagonal())).sum()), factor.solve
