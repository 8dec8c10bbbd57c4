"""What the libraries lack: leave-one-unit-out inference for slopes, plain or from split halves.

A slope here is two-stage least squares within blocks (unit effects) and periods. All of it is sums over units,
so leaving a unit out is a subtraction, and the covariance is the cluster jackknife CRV3 (MacKinnon, Nielsen &
Webb 2023). pyfixest gives the same point estimates; a test holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

Array = npt.NDArray[np.float64]
SMALLEST_SHARE = 1e-14  # of a sum of squares; rounding alone leaves some 1e-16
WEAK_F = 10.0
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
    sd_x, sd_y : float
        Standard deviations after removing the fixed effects; of x without its noise where instrumented.
    first_stage_f : float
        Cluster-robust, median over splits; infinite where exposure and instrument are the same.
    reliability : float
        2f / (1 + f), f the slope of one half on the other; 1 where they are the same.
    n_rows, n_units, n_periods : int
    """

    estimate: Estimate
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


def slope(
    frame: pd.DataFrame,
    outcome: str,
    exposure: str | tuple[str, str],
    *,
    fixed_effects: bool = True,
    weights: str = "",
    cluster: str = "unit",
) -> Slope:
    """Slope of an outcome on an exposure, within units and periods.

    Parameters
    ----------
    frame : DataFrame
        unit, t, the named columns; with halves also `split` and `block`. Rows with a missing value are left out.
    outcome : str
    exposure : str or (str, str)
        One column: weighted least squares. Two halves: one instruments the other, both ways stacked, averaged
        over splits (obviously related instruments: Gillen, Snowberg & Yariv 2019).
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
    one, two = (exposure, exposure) if isinstance(exposure, str) else exposure
    rows = _usable(frame, list(dict.fromkeys([outcome, one, two, *([weights] if weights else [])])), fixed_effects)
    codes, clusters = pd.factorize(rows[cluster], sort=True)
    if len(clusters) < 3:
        raise NotEstimable(f"a slope needs at least 3 clusters, there are {len(clusters)}")
    w = rows[weights].to_numpy(dtype=float) if weights else np.ones(len(rows))
    values, block, t = rows[[one, two, outcome]].to_numpy(dtype=float), rows["block"].to_numpy(), rows["t"].to_numpy()
    parts = [np.flatnonzero(rows["split"] == k) for k in rows["split"].unique()]
    moments = [_moments(values[s], w[s], block[s], t[s], codes[s], len(clusters), fixed_effects) for s in parts]
    full, left = np.array([m[0] for m in moments]), np.array([m[1] for m in moments])  # S x 3 x 3, S x G x 3 x 3
    mean = full.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value, without, f = _both_ways(full), _both_ways(left), _first_stage(full)
        variance = np.array([jackknife(f[k], _first_stage(left[k])).se ** 2 for k in range(len(f))])
    if not np.isfinite(value).all() or not np.isfinite(without).all():
        raise NotEstimable(f"{one} does not vary enough within units and periods")
    if mean[0, 1] <= 0:
        raise NotEstimable("the halves of a unit's people do not move together")
    if mean[2, 2] <= SMALLEST_SHARE * np.sum(w * values[:, 2] ** 2):
        raise NotEstimable(f"{outcome} does not vary enough within units and periods")
    size = w.sum() / len(parts)
    return Slope(
        estimate=jackknife(value.mean(), without.mean(axis=0)),
        sd_x=float(np.sqrt(mean[0, 1] / size)),
        sd_y=float(np.sqrt(mean[2, 2] / size)),
        first_stage_f=float("inf") if one == two else float(np.median(f**2 / variance)),
        reliability=1.0 if one == two else float(np.clip(2 * f.mean() / (1 + f.mean()), 0, 1)),
        n_rows=len(rows.drop_duplicates(["unit", "t"])),
        n_units=int(rows["unit"].nunique()),
        n_periods=int(rows["t"].nunique()),
    )


def _usable(frame: pd.DataFrame, needed: list[str], fixed_effects: bool) -> pd.DataFrame:
    """Rows without missing values, with `split`, `block` and `t`; with fixed effects no block of a single row."""
    rows = frame.dropna(subset=needed)
    rows = rows.assign(**{name: 0 for name in ("split", "t") if name not in rows})
    rows = rows if "block" in rows else rows.assign(block=rows["unit"])
    if fixed_effects:  # a block with one row has no change, and its unit no say
        rows = rows[rows.groupby(["split", "block"])["unit"].transform("size") > 1]
    return rows


def _moments(
    values: Array,
    w: Array,
    block: Array,
    t: Array,
    cluster: npt.NDArray[np.int64],
    clusters: int,
    fixed: bool,
) -> tuple[Array, Array]:
    """Cross products of (half, half, outcome) net of fixed effects: 3 x 3, and without each cluster G x 3 x 3."""
    if fixed:
        period = pd.factorize(t, sort=True)[0]
        design = np.column_stack([np.eye(period.max() + 1)[period], values])
        code = pd.factorize(block)[0]
        total = np.bincount(code, w)
        means = np.column_stack([np.bincount(code, w * column) for column in design.T]) / total[:, None]
        design = design - means[code]
    else:
        design = np.column_stack([np.ones(len(w)), values])
    each = np.zeros((clusters, design.shape[1], design.shape[1]))
    order = np.argsort(cluster, kind="stable")
    starts = np.searchsorted(cluster[order], np.arange(clusters + 1))
    for g in range(clusters):
        part = order[starts[g] : starts[g + 1]]
        each[g] = (design[part] * w[part, None]).T @ design[part]
    full = each.sum(axis=0)
    return _partialled(full[None])[0], _partialled(full - each)


def _partialled(m: Array) -> Array:
    """Last three variables net of the ones before them. `m`: G x k x k cross products."""
    k = m.shape[1] - 3
    absorbed = np.linalg.pinv(m[:, :k, :k], rcond=1e-10, hermitian=True)
    return m[:, k:, k:] - m[:, k:, :k] @ absorbed @ m[:, :k, k:]


def _both_ways(s: Array) -> Array:
    return (s[..., 0, 2] + s[..., 1, 2]) / (2 * s[..., 0, 1])


def _first_stage(s: Array) -> Array:
    return 2 * s[..., 0, 1] / (s[..., 0, 0] + s[..., 1, 1])
