"""Normal likelihood of a factor model with means, for one group or many, from means and covariances.

In group g: covariances = L F L' + T, means = v + L a. Each item loads on one scale; scales may correlate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import linalg

from icsat_helpers.inference import Array, NotEstimable
from icsat_helpers.words import say

LEVELS = ("configural", "metric", "scalar")  # equal in all groups: nothing, loadings, loadings and intercepts


@dataclass(frozen=True, slots=True)
class Moments:
    """Sufficient statistics of a group: sheets, means (p), covariances (p x p, divisor n)."""

    n: int
    mean: Array
    cov: Array


def moments(rows: pd.DataFrame, items: Sequence[str]) -> Moments:
    """Moments of the rows without a missing answer, items in the given order."""
    values = rows[list(items)].to_numpy(dtype=float)
    complete = values[np.isfinite(values).all(axis=1)]
    if len(complete) <= len(items):
        raise NotEstimable(say("{n} complete sheets are too few for {items} items", n=len(complete), items=len(items)))
    cov = np.cov(complete, rowvar=False, bias=True).reshape(len(items), len(items))
    return Moments(len(complete), complete.mean(axis=0), cov)


class Model:
    """Discrepancy of the model from the groups' moments, its gradient and its expected information.

    A group's parameters stand in one vector: loadings (p), covariances of scales (lower triangle, f (f + 1) / 2),
    residual variances (p), intercepts (p), means of scales (f). `index` (G x q) says which free parameter each is, -1
    where it is fixed. A scale has variance 1 and mean 0, in later groups only where equal loadings, or intercepts,
    do not tell. Items are brought to a common standard deviation of 1, which changes no figure that is reported.

    Parameters
    ----------
    groups : sequence of Moments
    of : ndarray of int, p
        The scale of each item.
    level : one of `LEVELS`
    """

    def __init__(self, groups: Sequence[Moments], of: npt.NDArray[np.int64], level: str) -> None:
        self.n = np.array([group.n for group in groups], dtype=float)
        self.weight = self.n / self.n.sum()
        centre = self.weight @ np.array([group.mean for group in groups])
        sd = np.sqrt(self.weight @ np.array([np.diag(group.cov) for group in groups]))
        self.means = [(group.mean - centre) / sd for group in groups]
        self.covs = [group.cov / np.outer(sd, sd) for group in groups]
        self.of, self.p, self.f, self.level = of, len(of), int(of.max()) + 1, level
        self.row, self.column = np.tril_indices(self.f)
        self.index, self.fixed, self.cuts = self._parameters()
        self.df = len(groups) * self.p * (self.p + 3) // 2 - int(self.index.max()) - 1

    def _parameters(self) -> tuple[npt.NDArray[np.int64], Array, npt.NDArray[np.int64]]:
        """Index of the free parameters, start or value of each, and where the blocks end."""
        p, f, same = self.p, self.f, self.row == self.column
        blocks = [p, len(self.row), p, p, f]
        sizes = np.concatenate([np.full(p, 0.7), np.where(same, 1.0, 0.3), np.full(p, 0.5), np.zeros(p + f)])
        shared = np.repeat([self.level != "configural", False, False, self.level == "scalar", False], blocks)
        free = np.concatenate([np.ones(p, bool), ~same, np.ones(2 * p, bool), np.zeros(f, bool)])
        later = free | np.repeat([False, self.level != "configural", False, False, self.level == "scalar"], blocks)
        places = np.arange(len(sizes))
        rows = [
            np.where(later if g else free, places + np.where(shared, 0, g * len(sizes)), -1) for g in range(len(self.n))
        ]
        codes = np.unique(np.append(np.ravel(rows), -1), return_inverse=True)[1]  # -1 comes first, as code 0
        return codes[:-1].reshape(len(rows), -1) - 1, sizes, np.cumsum(blocks)[:-1]

    def start(self) -> Array:
        """Loadings .7, correlations .3, intercepts as the means of the first group that has them."""
        x = np.zeros(int(self.index.max()) + 1)
        for g in range(len(self.n))[::-1]:
            local = self.fixed.copy()
            local[self.cuts[2] : self.cuts[3]] = self.means[g]
            x[self.index[g][self.index[g] >= 0]] = local[self.index[g] >= 0]
        return x

    def parts(self, x: Array, g: int) -> tuple[Array, Array, Array, Array, Array]:
        """Loadings p x f, covariances of scales f x f, residual variances p, intercepts p, means of scales f."""
        local = np.where(self.index[g] >= 0, x[self.index[g]], self.fixed)
        loading, covariance, residual, intercept, mean = np.split(local, self.cuts)
        matrix, latent = np.zeros((self.p, self.f)), np.zeros((self.f, self.f))
        matrix[np.arange(self.p), self.of] = loading
        latent[self.row, self.column] = latent[self.column, self.row] = covariance
        return matrix, latent, residual, intercept, mean

    def implied(self, x: Array, g: int) -> tuple[Array, Array]:
        """Means p and covariances p x p that the model expects."""
        loading, latent, residual, intercept, mean = self.parts(x, g)
        return intercept + loading @ mean, loading @ latent @ loading.T + np.diag(residual)

    def derivatives(self, x: Array, g: int) -> tuple[Array, Array]:
        """Of the means (q x p) and of the covariances (q x p x p) by each of a group's q parameters."""
        loading, latent, _, _, mean = self.parts(x, g)
        unit = np.eye(self.p)
        by_loading = unit[:, :, None] * (loading @ latent)[:, self.of].T[:, None, :]
        by_latent = loading[:, self.row].T[:, :, None] * loading[:, self.column].T[:, None, :]
        half = np.where(self.row == self.column, 0.5, 1.0)[:, None, None]
        halves = np.concatenate([by_loading, half * by_latent, unit[:, :, None] * unit[:, None, :] / 2])
        nothing = np.zeros((self.p + self.f, self.p, self.p))
        covariances = np.concatenate([halves + halves.transpose(0, 2, 1), nothing])
        of_latent = np.zeros((len(self.row) + self.p, self.p))
        return np.concatenate([unit * mean[self.of][:, None], of_latent, unit, loading.T]), covariances

    def discrepancy(self, x: Array) -> tuple[float, Array]:
        """-2 log likelihood a sheet, less that of the saturated model; with its gradient."""
        value, gradient = 0.0, np.zeros(len(x) + 1)
        for g, weight in enumerate(self.weight):
            mean, cov = self.implied(x, g)
            try:
                lower = np.linalg.cholesky(cov)
            except np.linalg.LinAlgError:  # no covariances at all: the search takes a shorter step
                return math.inf, np.zeros(len(x))
            inverse = linalg.cho_solve((lower, True), np.eye(self.p))
            away = self.means[g] - mean
            seen = self.covs[g] + np.outer(away, away)
            logs = 2 * np.log(np.diag(lower)).sum() - np.linalg.slogdet(self.covs[g])[1]
            value += weight * (logs + np.sum(inverse * seen) - self.p)
            by_mean, by_cov = self.derivatives(x, g)
            slope = np.tensordot(by_cov, inverse - inverse @ seen @ inverse) - 2 * by_mean @ inverse @ away
            np.add.at(gradient, self.index[g], weight * slope)  # the last place takes what is fixed (-1)
        return float(value), gradient[:-1]

    def information(self, x: Array) -> Array:
        """Expected second derivative of `discrepancy`; where that is infinite the identity, which no search uses."""
        result = np.zeros((len(x) + 1, len(x) + 1))
        for g, weight in enumerate(self.weight):
            try:
                lower = np.linalg.cholesky(self.implied(x, g)[1])
            except np.linalg.LinAlgError:
                return np.eye(len(x))
            white = linalg.solve_triangular(lower, np.eye(self.p), lower=True)
            by_mean, by_cov = self.derivatives(x, g)
            spread, level = (white @ by_cov @ white.T).reshape(len(by_cov), -1), by_mean @ white.T
            np.add.at(result, np.ix_(self.index[g], self.index[g]), weight * (spread @ spread.T + 2 * level @ level.T))
        return result[:-1, :-1]
