"""How much of an outcome each of several correlated predictors accounts for: Shapley shares of R-squared.

The share of a predictor is what it adds to R-squared, averaged over all orders in which the predictors can enter
(Lindeman, Merenda & Gold 1980; Grömping 2007). All of it is cross products: subsets are reached by sweeping one
predictor at a time, for every draw at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from icsat_helpers.inference import FEWEST_UNITS, NotEstimable
from icsat_helpers.words import say

Array = npt.NDArray[np.float64]
DRAWS = 999
MOST = 12  # predictors; the subsets double with each
COLLINEAR = 1e-9  # of a predictor's variance left by the others; rounding alone leaves some 1e-16
AT_ONCE = 2**20  # values of R-squared held at a time


@dataclass(frozen=True, slots=True)
class Importance:
    """Shares of an outcome's variance, k predictors; the shares sum to `r2`.

    Attributes
    ----------
    share, low, high : ndarray, k
        With a percentile interval over clusters drawn with replacement. A share is never negative, so an interval
        above zero shows nothing.
    chance : ndarray, k
        95th percentile of the share when this predictor is permuted across clusters.
    slope : ndarray, k
        Correlation of predictor and outcome net of what is absorbed: its sign says which way the share works.
    vif : ndarray, k
        Variance inflation: 1 where a predictor stands apart from the others, infinite where they contain it.
    ahead : ndarray, k x k
        Share of draws in which the row's share exceeds the column's.
    r2 : float
    n_rows, n_clusters : int
    """

    share: Array
    low: Array
    high: Array
    chance: Array
    slope: Array
    vif: Array
    ahead: Array
    r2: float
    n_rows: int
    n_clusters: int

    @property
    def proven(self) -> npt.NDArray[np.bool_]:
        """Whether a share is above what chance gives in 95 of 100 cases."""
        return self.share > self.chance


def shapley(gram: Array) -> Array:
    """Shapley shares of R-squared over all subsets of k predictors.

    Parameters
    ----------
    gram : ndarray, ... x (k + 1) x (k + 1)
        Centred cross products (or correlations), the outcome last.

    Returns
    -------
    ndarray, ... x k
        A predictor without variance, or contained in others, adds nothing to them.

    Examples
    --------
    >>> shapley(np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.4], [0.3, 0.4, 1.0]])).round(3).tolist()
    [0.09, 0.16]
    """
    k = gram.shape[-1] - 1
    flat = gram.reshape(-1, k + 1, k + 1)
    parts = np.array_split(flat, max(1, len(flat) * 2**k // AT_ONCE))
    return np.concatenate([_subsets(part) @ _weights(k) for part in parts]).reshape(*gram.shape[:-2], k)


def _weights(k: int) -> Array:
    """What the R-squared of each subset counts in each share: 2^k x k."""
    inside = (np.arange(2**k)[:, None] >> (k - 1 - np.arange(k))) & 1 == 1
    size = inside.sum(axis=1, keepdims=True)
    weight = np.array([1 / (k * comb(k - 1, s)) for s in range(k)] + [0.0])
    return np.where(inside, weight[size - 1], -weight[size])


def _subsets(gram: Array) -> Array:
    """R-squared of every subset: B x 2^k, the first predictor the highest bit."""
    diagonal = np.sqrt(np.einsum("bii->bi", gram))
    scale = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    left = (gram * scale[:, :, None] * scale[:, None, :])[:, None]
    while left.shape[-1] > 1:
        left = np.stack([left[..., 1:, 1:], swept(left)], axis=2)
        left = left.reshape(len(gram), -1, *left.shape[-2:])
    return np.where(diagonal[:, -1:] > 0, 1 - left[..., 0, 0], 0.0)


def swept(gram: Array, floor: float = COLLINEAR) -> Array:
    """Cross products net of the first variable; unchanged where it has no more than `floor` left."""
    pivot = gram[..., :1, :1]
    inverse = np.divide(1.0, pivot, out=np.zeros_like(pivot), where=pivot > floor)
    return gram[..., 1:, 1:] - gram[..., 1:, :1] * inverse * gram[..., :1, 1:]


def importance(
    frame: pd.DataFrame,
    predictors: list[str],
    outcome: str,
    *,
    cluster: str = "unit",
    block: str = "",
    weights: str = "",
    draws: int = DRAWS,
) -> Importance:
    """Shapley shares of `predictors` in `outcome`, with what chance would give.

    Parameters
    ----------
    frame : DataFrame
        The named columns without missing values, and `t`; rows of a cluster in a meaningful order.
    cluster : str
        What is drawn with replacement for the intervals, and what a predictor is permuted across: a cluster takes
        the whole series of another one, in order, repeated where it is too short.
    block : str
        Effects that are removed (a unit's, a person's) beside those of `t`; none where empty.
    weights : str
        Column; none where empty.

    Raises
    ------
    NotEstimable
        With too few clusters or rows, too many predictors, or an outcome or predictors that do not vary.
    """
    rows = frame.sort_values(cluster, kind="stable")
    code, clusters = pd.factorize(rows[cluster], sort=True)
    k, g = len(predictors), len(clusters)
    if g < max(FEWEST_UNITS, 0 if block else k + 2):
        raise NotEstimable(say("{n} units are too few to compare {k} scales", n=g, k=k))
    if k > MOST:
        raise NotEstimable(say("{k} scales are more than the {most} that can be compared", k=k, most=MOST))
    w = rows[weights].to_numpy(dtype=float) if weights else np.ones(len(rows))
    blocks = _blocks(pd.factorize(rows[block])[0] if block else np.empty(0, dtype=np.int64), w)
    values = rows[[*predictors, outcome]].to_numpy(dtype=float)
    effects = np.eye(rows["t"].nunique())[pd.factorize(rows["t"], sort=True)[0]]
    design = _net(np.hstack([effects, values]), blocks, w)
    size = np.bincount(code)
    each = _each_cluster(design, w, size)
    whole, floor = each.sum(axis=0), COLLINEAR * float(w.sum())
    full = _partialled(whole, k, floor)
    if full[-1, -1] <= COLLINEAR * np.sum(w * values[:, -1] ** 2):
        raise NotEstimable(say("the outcome does not vary"))
    if (np.diagonal(full)[:-1] <= COLLINEAR * np.sum(w[:, None] * values[:, :-1] ** 2, axis=0)).all():
        raise NotEstimable(say("no scale varies"))
    rng = np.random.default_rng(20260930)
    counts = rng.multinomial(g, np.full(g, 1 / g), size=draws).astype(float)
    drawn = shapley(_partialled(np.tensordot(counts, each, axes=1), k, floor))
    others = np.array([rng.permutation(g) for _ in range(draws)])
    cross, own = _permuted(_even(design, k, w), design, w, size, blocks, others)
    null = np.empty((draws, k))
    for j in range(k):
        gram, at = np.repeat(whole[None], draws, axis=0), effects.shape[1] + j
        gram[:, at], gram[:, :, at] = cross[:, j], cross[:, j]
        gram[:, at, at] = own[:, j]
        null[:, j] = shapley(_partialled(gram, k, floor))[:, j]
    share, correlation = shapley(full), _correlation(full)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return Importance(
        share=share, low=low, high=high, chance=np.percentile(null, 95, axis=0), slope=correlation[:-1, -1],
        vif=_inflation(correlation[:-1, :-1]), ahead=(drawn[:, :, None] > drawn[:, None, :]).mean(axis=0),
        r2=float(share.sum()), n_rows=len(rows), n_clusters=g,
    )  # fmt: skip


def _blocks(place: npt.NDArray[np.int64], weight: Array) -> sparse.csr_matrix:
    """An orthonormal row for each block, for values times the root of their weight; no row without blocks."""
    share = weight[: len(place)] / np.bincount(place, weight[: len(place)])[place]
    return sparse.csr_matrix((np.sqrt(share), (place, np.arange(len(place)))), (place.max(initial=-1) + 1, len(weight)))


def _net(values: Array, blocks: sparse.csr_matrix, weight: Array) -> Array:
    """Take each block's weighted mean from the columns of an array."""
    root = np.sqrt(weight)[:, None]
    return values - blocks.T @ (blocks @ (values * root)) / root


def _each_cluster(design: Array, weight: Array, size: npt.NDArray[np.int64]) -> Array:
    """Cross products by cluster, G x m x m; the rows of a cluster stand together."""
    ends = np.cumsum(size)
    weighted = design * weight[:, None]
    return np.array([weighted[a:b].T @ design[a:b] for a, b in zip(ends - size, ends, strict=True)])


def _partialled(gram: Array, k: int, floor: float) -> Array:
    """Cross products of k predictors and the outcome net of all that stands before them."""
    while gram.shape[-1] > k + 1:
        gram = swept(gram, floor)
    return gram


def _even(design: Array, k: int, weight: Array) -> Array:
    """Predictors net of all effects, times the root of their weight: as noisy in a small cluster as in a large one."""
    root = np.sqrt(weight)[:, None]
    effects, predictors = design[:, : -k - 1] * root, design[:, -k - 1 : -1] * root
    return predictors - effects @ np.linalg.lstsq(effects, predictors, rcond=None)[0]


def _permuted(
    even: Array,
    design: Array,
    weight: Array,
    size: npt.NDArray[np.int64],
    blocks: sparse.csr_matrix,
    others: npt.NDArray[np.int64],
) -> tuple[Array, Array]:
    """Cross products of each predictor with the design (B x k x m) and with itself (B x k), once it is another's.

    `others` (B x G) names whose values each cluster takes: what one cluster gives to another is worked out once. The
    design is net of the blocks, so that only the products with itself need their means taken from what is given.
    """
    draws, g, k = *others.shape, even.shape[1]
    start, code = np.cumsum(size) - size, np.repeat(np.arange(g), size)
    place = np.arange(len(design)) - start[code]
    weighted, blocks = (design * np.sqrt(weight)[:, None]).T, blocks.tocsc()
    where = blocks.tocoo()
    nested = len(np.unique(where.row * g + code[where.col])) == blocks.shape[0]  # a block lies within one cluster
    cross, own = np.zeros((len(weighted), draws, k)), np.zeros((draws, k))
    for taker in range(g):
        rows = slice(start[taker], start[taker] + size[taker])
        givers, which = np.unique(others[:, taker], return_inverse=True)
        flat = even[start[givers] + place[rows, None] % size[givers]].reshape(size[taker], -1)
        square = np.square(flat).sum(axis=0)
        if nested:
            square -= np.square(blocks[:, rows] @ flat).sum(axis=0)
        own += square.reshape(-1, k)[which]
        cross += (weighted[:, rows] @ flat).reshape(-1, len(givers), k)[:, which]
    if not nested:
        for draw, other in enumerate(others):
            given = even[start[other][code] + place % size[other][code]]
            own[draw] -= np.square(blocks @ given).sum(axis=0)
    return cross.transpose(1, 2, 0), own


def _correlation(gram: Array) -> Array:
    spread = np.sqrt(np.diag(gram))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    return gram * scale * scale[:, None]


def _inflation(correlation: Array) -> Array:
    """1 / (1 - R-squared of each predictor on the others); infinite where nothing is left."""
    k = len(correlation)
    order = [np.r_[np.delete(np.arange(k), j), j] for j in range(k)]
    left = np.array([1 - _subsets(correlation[np.ix_(o, o)][None])[0, -1] for o in order])
    return np.divide(1.0, left, out=np.full(k, np.inf), where=left > COLLINEAR)
