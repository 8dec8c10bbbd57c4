"""Discrete-time hazard of leaving, with the person's own score freed of its noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from icsat_helpers.inference import FEWEST_UNITS, Array, Estimate, NotEstimable, jackknife
from icsat_helpers.words import say

NEWTON_STEPS = 50
WEAK_AGREEMENT = 0.1  # correlation of halves below which the own score cannot be freed of noise
FEW_LEAVERS_OF_A_KIND = 5
SMALLEST_SPREAD = 1e-9  # points; rounding alone leaves some 1e-16
NEWTON_TOLERANCE = 1e-6  # largest change of a coefficient; their standard errors are some 1e-1


@dataclass(frozen=True, slots=True)
class Hazard:
    """Log hazard of leaving for one point of a person's own score.

    Attributes
    ----------
    average : Estimate
        b + (share of good performers) x interaction.
    own, interaction : Estimate
        For other performers; what good performers add. `interaction` is None where performance is unknown.
    unit_mean : Estimate
        Of the unit's all-period mean, beside the own score.
    good_share, sd_x : float
        Share of good performers; standard deviation of the own score without its noise.
    split : bool
        Whether the own score was split in halves; if not, the slope is drawn towards zero.
    n_rows, n_events, n_people, n_units, n_periods : int
    """

    average: Estimate
    own: Estimate
    interaction: Estimate | None
    unit_mean: Estimate
    good_share: float
    sd_x: float
    split: bool
    n_rows: int
    n_events: int
    n_people: int
    n_units: int
    n_periods: int


def leaving_hazard(rows: pd.DataFrame, half_a: Array | None = None, half_b: Array | None = None) -> Hazard:
    """Discrete-time hazard of leaving, complementary log-log, the own score freed of its noise.

    Each half of a person's score is predicted from the other half and the covariates (regression calibration);
    the prediction enters the hazard, both ways stacked, averaged over splits. The jackknife leaves a unit out of
    both stages.

    Parameters
    ----------
    rows : DataFrame
        As `icsat_helpers.panel.risk_set` gives them: person, unit, t, event, own, unit_mean, tenure, good.
    half_a, half_b : ndarray, splits x rows, optional
        Without them, or where they are all missing, `own` enters as it is.

    Raises
    ------
    NotEstimable
        With fewer than five units or no event.
    """
    units, names = pd.factorize(rows["unit"], sort=True)
    if len(names) < FEWEST_UNITS or rows["event"].sum() < 1:
        raise NotEstimable(
            say("{units} units and {leavers} leavers are too few", units=len(names), leavers=int(rows["event"].sum()))
        )
    if rows["own"].std() < SMALLEST_SPREAD:
        raise NotEstimable(say("people of a unit all answered alike"))
    known = _told_apart(rows)
    good = rows["good"].fillna(rows["good"].mean()).to_numpy(dtype=float) if known else None
    event, covariates = rows["event"].to_numpy(dtype=float), _covariates(rows, good)
    halves = [] if half_a is None or half_b is None else list(zip(half_a, half_b, strict=True))
    split = bool(halves) and agreement(*zip(*halves, strict=True)) >= WEAK_AGREEMENT
    whole = (rows["own"].to_numpy(dtype=float), np.full(len(rows), np.nan))
    pairs = halves if split else [whole]
    spread = float(np.mean([_spread(a, b) for a, b in pairs]))
    dummies = covariates.shape[1] - 1 - int(known)  # periods and tenure bands come last
    fits = [
        _jackknifed(_Stacked.of(a, b, event, covariates, good, units), len(names), split, dummies) for a, b in pairs
    ]
    full, left = np.mean([f[0] for f in fits], axis=0), np.mean([f[1] for f in fits], axis=0)
    share = float(good.mean()) if good is not None else 0.0
    level = 2 if known else 1
    picks = np.zeros((4, len(full)))
    picks[0, 0] = picks[1, 0] = picks[2, 1] = picks[3, level] = 1.0
    picks[0, 1] = share if known else 0.0
    average, own, more, mean = (jackknife(float(full @ pick), left @ pick) for pick in picks)
    return Hazard(
        average, own, more if known else None, mean, share, spread, split,
        len(rows), int(event.sum()), int(rows["person"].nunique()), len(names), int(rows["t"].nunique()),
    )  # fmt: skip


def agreement(half_a: Iterable[Array], half_b: Iterable[Array]) -> float:
    """Mean correlation of the two halves over splits; 0 where no one has both."""
    pairs = [(a, b, np.isfinite(a) & np.isfinite(b)) for a, b in zip(half_a, half_b, strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = [np.corrcoef(a[both], b[both])[0, 1] if both.sum() > 2 else 0.0 for a, b, both in pairs]
    return float(np.nan_to_num(np.mean(found)))


def _told_apart(rows: pd.DataFrame) -> bool:
    """Whether enough good and enough other performers left for a slope of each."""
    leavers = rows.loc[rows["event"] > 0, "good"]
    return bool(min((leavers == 1).sum(), (leavers == 0).sum()) >= FEW_LEAVERS_OF_A_KIND)


def hazard_or_reason(rows: pd.DataFrame, half_a: Array, half_b: Array) -> tuple[Hazard | None, str]:
    """Return `leaving_hazard` and "", or None and why there is none."""
    try:
        return leaving_hazard(rows, half_a, half_b), ""
    except NotEstimable as why:
        return None, str(why)


def _spread(a: Array, b: Array) -> float:
    """Standard deviation of what two halves share; of the whole score where there is only one."""
    both = np.isfinite(a) & np.isfinite(b)
    return float(np.sqrt(max(np.cov(a[both], b[both])[0, 1], 0.0))) if both.any() else float(np.nanstd(a))


def _covariates(rows: pd.DataFrame, good: Array | None) -> Array:
    """Unit mean, good performer, period and tenure dummies; the first column is the unit mean, centred."""
    parts = [rows["unit_mean"].to_numpy(dtype=float)[:, None] - rows["unit_mean"].mean()]
    if good is not None:
        parts.append(good[:, None])
    period = pd.factorize(rows["t"], sort=True)[0]
    band = pd.factorize(rows["tenure"], sort=True)[0]
    parts += [np.eye(period.max() + 1)[period], np.eye(band.max() + 1)[band]]
    return np.column_stack(parts)


@dataclass(frozen=True, slots=True)
class _Stacked:
    """Both ways of a split, one above the other; a row that stands in both weighs half in each."""

    target: Array  # the half to be predicted, NaN where unanswered
    given: Array  # the other half
    event: Array
    covariates: Array
    good: Array | None
    unit: npt.NDArray[np.int64]
    weight: Array

    @classmethod
    def of(
        cls,
        a: Array,
        b: Array,
        event: Array,
        covariates: Array,
        good: Array | None,
        unit: npt.NDArray[np.int64],
    ) -> _Stacked:
        target, given = np.concatenate([b, a]), np.concatenate([a, b])
        keep = np.isfinite(given)
        twice = np.concatenate([np.isfinite(a) & np.isfinite(b)] * 2)[keep]
        index = np.concatenate([np.arange(len(event))] * 2)[keep]
        return cls(
            target[keep], given[keep], event[index], covariates[index], good[index] if good is not None else None,
            unit[index], np.where(twice, 0.5, 1.0),
        )  # fmt: skip

    def design(self, score: Array) -> Array:
        """Own score, its product with good performance, covariates: n x k."""
        own = 1 if self.good is None else 2
        design = np.hstack([np.empty((len(score), own)), self.covariates])
        self.put(design, score)
        return design

    def put(self, design: Array, score: Array) -> None:
        """Put another score in the place of a design's own."""
        design[:, 0] = score
        if self.good is not None:
            design[:, 1] = score * self.good


def _jackknifed(data: _Stacked, clusters: int, calibrate: bool, dummies: int) -> tuple[Array, Array]:
    """Coefficients, and those without each cluster (both stages refitted)."""
    first, rows = data.design(data.given), [np.flatnonzero(data.unit == g) for g in range(clusters)]
    both = np.isfinite(data.target)
    gram = np.array([first[r[both[r]]].T @ first[r[both[r]]] for r in rows])
    cross = np.array([first[r[both[r]]].T @ data.target[r[both[r]]] for r in rows])

    def predicted(grams: Array, crosses: Array) -> Array:
        return first @ (_inverse(grams) @ crosses) if calibrate else data.given

    score = predicted(gram.sum(axis=0), cross.sum(axis=0))
    design = data.design(score)
    informative = _informative(data, data.weight, dummies)
    full = cloglog(design, data.event, informative)
    information = np.array([_information(design[r], full, informative[r]) for r in rows])
    leavers = np.array([(data.covariates[r, -dummies:] * data.event[r, None]).sum(axis=0) for r in rows])
    emptied = ((leavers > 0) & (leavers == leavers.sum(axis=0))).any(axis=1)
    left, without = np.empty((clusters, len(full))), np.asfortranarray(design)
    for g in range(clusters):
        others = np.where(data.unit == g, 0.0, data.weight if emptied[g] else informative)
        weight = _informative(data, others, dummies) if emptied[g] else others
        data.put(without, predicted(gram.sum(axis=0) - gram[g], cross.sum(axis=0) - cross[g]))
        try:
            left[g] = cloglog(without, data.event, weight, full, information.sum(axis=0) - information[g])
        except NotEstimable:  # a unit so large that the others' answer is far off: with information of its own
            left[g] = cloglog(without, data.event, weight)
    return full, left


def _informative(data: _Stacked, weight: Array, dummies: int) -> Array:
    """Weights without the periods and tenure bands in which nobody leaves: they say nothing about a slope."""
    groups = data.covariates[:, -dummies:] > 0
    for _ in range(2):  # leaving out a period may empty a band
        empty = (groups * (weight * data.event)[:, None]).sum(axis=0) == 0
        weight = np.where(groups[:, empty].any(axis=1), 0.0, weight)
    return weight


def _inverse(matrix: Array) -> Array:
    """Inverse that leaves out what is collinear: every period and every tenure band has a column of its own."""
    return np.asarray(np.linalg.pinv(matrix, rcond=1e-11, hermitian=True))


def _information(design: Array, beta: Array, weight: Array) -> Array:
    rate = np.exp(np.clip(design @ beta, -30, 3))
    return (design * (weight * rate**2 * np.exp(-rate) / -np.expm1(-rate))[:, None]).T @ design


def cloglog(
    design: Array, event: Array, weight: Array, start: Array | None = None, information: Array | None = None
) -> Array:
    """Coefficients of a complementary log-log regression by Fisher scoring.

    statsmodels' ``GLM(..., Binomial(CLogLog()))`` gives the same. This one starts from a neighbour's answer and
    may keep the neighbour's information matrix, so that leaving out each of forty units in turn takes a second.

    Parameters
    ----------
    design : ndarray, n x k
    event : ndarray of 0 and 1, n
    weight : ndarray, n
    start : ndarray, k, optional
    information : ndarray, k x k, optional
        Held fixed if given: quicker near the answer, no convergence far from it.

    Raises
    ------
    NotEstimable
        Where it does not converge (separation).
    """
    beta = start
    if beta is None:
        level = np.log(-np.log1p(-np.average(event, weights=weight)))
        beta = np.linalg.lstsq(design, np.full(len(event), level), rcond=None)[0]
    solve = None if information is None else _inverse(information)
    leave = np.flatnonzero(event)
    leavers = design[leave]
    for _ in range(NEWTON_STEPS):
        rate = np.exp(np.clip(design @ beta, -30, 3))
        slope = weight * rate  # rate / p x (event - p) is rate / p - rate for who leaves, - rate for who stays
        score = leavers.T @ (slope[leave] / -np.expm1(-rate[leave])) - design.T @ slope
        inverse = _inverse(_information(design, beta, weight)) if solve is None else solve
        step = inverse @ score
        beta = beta + step
        if np.abs(step).max() < NEWTON_TOLERANCE:
            return beta
    raise NotEstimable(say("the hazard model does not converge: some group has no leaver, or everyone left"))
