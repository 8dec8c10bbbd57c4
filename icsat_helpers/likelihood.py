"""Normal likelihood of a factor model with means, for one group or many, from means and covariances.

In group g: covariances = L F L' + T, means = v + L a. Each item loads on one scale; scales may correlate.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

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
        self.means = np.array([(group.mean - centre) / sd for group in groups])
        self.covs = np.array([group.cov / np.outer(sd, sd) for group in groups])
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

    def parts(self, x: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Loadings G x p x f, covariances of scales G x f x f, residual variances and intercepts G x p, means G x f.

        `x` may be several vectors at once; what is returned then has their axes first.
        """
        local = np.where(self.index >= 0, x[..., self.index], self.fixed)
        ends = [0, *self.cuts, local.shape[-1]]
        loading, covariance, residual, intercept, mean = (local[..., a:b] for a, b in itertools.pairwise(ends))
        matrix = np.zeros((*local.shape[:-1], self.p, self.f))
        latent = np.zeros((*local.shape[:-1], self.f, self.f))
        matrix[..., np.arange(self.p), self.of] = loading
        latent[..., self.row, self.column] = latent[..., self.column, self.row] = covariance
        return matrix, latent, residual, intercept, mean

    def implied(self, x: Array) -> tuple[Array, Array]:
        """Means G x p and covariances G x p x p that the model expects."""
        loading, latent, residual, intercept, mean = self.parts(x)
        common = loading @ latent @ loading.swapaxes(-1, -2)
        return intercept + (loading @ mean[..., None])[..., 0], common + residual[..., None] * np.eye(self.p)

    def derivatives(self, x: Array) -> tuple[Array, Array]:
        """Of the means (G x q x p) and of the covariances (G x q x p x p) by each of a group's q parameters."""
        loading, latent, _, _, mean = self.parts(x)
        groups, unit = len(loading), np.eye(self.p)
        along = loading.swapaxes(1, 2)
        by_loading = unit[:, :, None] * (loading @ latent)[:, :, self.of].swapaxes(1, 2)[:, :, None, :]
        half = np.where(self.row == self.column, 0.5, 1.0)[:, None, None]
        by_latent = half * along[:, self.row, :, None] * along[:, self.column, None, :]
        by_residual = np.broadcast_to(unit[:, :, None] * unit[:, None, :] / 2, by_loading.shape)
        halves = np.concatenate([by_loading, by_latent, by_residual], axis=1)
        nothing = np.zeros((groups, self.p + self.f, self.p, self.p))
        covariances = np.concatenate([halves + halves.swapaxes(-1, -2), nothing], axis=1)
        of_latent = np.zeros((groups, len(self.row) + self.p, self.p))
        units = np.broadcast_to(unit, (groups, self.p, self.p))
        return np.concatenate([unit * mean[:, self.of, None], of_latent, units, along], axis=1), covariances

    def discrepancy(self, x: Array) -> tuple[float, Array]:
        """-2 log likelihood a sheet, less that of the saturated model; with its gradient."""
        mean, cov = self.implied(x)
        try:
            lower = np.linalg.cholesky(cov)
        except np.linalg.LinAlgError:  # no covariances at all: the search takes a shorter step
            return math.inf, np.zeros(len(x))
        white = np.linalg.inv(lower)
        inverse, away = white.swapaxes(1, 2) @ white, self.means - mean
        seen = self.covs + away[:, :, None] * away[:, None, :]
        logs = 2 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1) - np.linalg.slogdet(self.covs)[1]
        value = self.weight @ (logs + (inverse * seen).sum(axis=(1, 2)) - self.p)
        by_mean, by_cov = self.derivatives(x)
        slope = np.einsum("gqij,gij->gq", by_cov, inverse - inverse @ seen @ inverse)
        slope -= 2 * np.einsum("gqi,gi->gq", by_mean, (inverse @ away[:, :, None])[:, :, 0])
        gradient = np.zeros(len(x) + 1)
        np.add.at(gradient, self.index, self.weight[:, None] * slope)  # the last place takes what is fixed (-1)
        return float(value), gradient[:-1]

    def information(self, x: Array) -> Array:
        """Expected second derivative of `discrepancy`; where that is infinite the identity, which no search uses."""
        try:
            lower = np.linalg.cholesky(self.implied(x)[1])
        except np.linalg.LinAlgError:
            return np.eye(len(x))
        white = np.linalg.inv(lower)[:, None]
        by_mean, by_cov = self.derivatives(x)
        spread = (white @ by_cov @ white.swapaxes(-1, -2)).reshape(*by_mean.shape[:2], -1)
        level = by_mean @ white[:, 0].swapaxes(-1, -2)
        each = spread @ spread.swapaxes(-1, -2) + 2 * level @ level.swapaxes(-1, -2)
        result = np.zeros((len(x) + 1, len(x) + 1))
        np.add.at(result, (self.index[:, :, None], self.index[:, None, :]), self.weight[:, None, None] * each)
        return result[:-1, :-1]
