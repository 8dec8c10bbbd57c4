"""What changed after a start that comes at different times: group-time effects of Callaway & Sant'Anna (2021).

Without covariates an effect of a group (the units that start together) in a period is a difference of mean changes
since the last period before the start, so leaving a unit out is a subtraction and a thousand rearrangements of who
started are one array. diff-diff gives the same effects; a test holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from icsat_helpers.inference import Array, Estimate, jackknife

Mask = npt.NDArray[np.bool_]
FEW = 6  # treated units below which the leave-one-unit-out interval is not to be relied on


@dataclass(frozen=True, slots=True)
class Effects:
    """Group-time effects in B samples of the same units: all of them, then each left out; or rearrangements.

    Attributes
    ----------
    effect : ndarray, B x C
        NaN where nobody can be compared.
    treated : ndarray, B x C
        Treated units behind each.
    start, t : ndarray of int, C
        The group's first treated period and the effect's period, as columns of the outcome.
    """

    effect: Array
    treated: Array
    start: npt.NDArray[np.int64]
    t: npt.NDArray[np.int64]

    @property
    def event(self) -> npt.NDArray[np.int64]:
        """Periods since the start, 0 in the first treated one."""
        return self.t - self.start

    def average(self, chosen: Mask) -> Array:
        """Mean of the chosen effects by their treated units, B values."""
        known = np.isfinite(self.effect) & chosen
        weight = np.where(known, self.treated, 0.0)
        with np.errstate(invalid="ignore"):
            return (np.where(known, self.effect, 0.0) * weight).sum(axis=1) / weight.sum(axis=1)

    def after(self) -> Array:
        """Mean over all treated units and periods ("simple" aggregation), B values."""
        return self.average(self.event >= 0)

    def at(self, event: int) -> Array:
        """Mean at so many periods since the start, B values."""
        return self.average(self.event == event)

    def drift(self) -> Array:
        """Change a period *before* the start, least squares within groups, B values: what should be zero."""
        before = self.event < 0
        weight = np.where(np.isfinite(self.effect) & before, self.treated, 0.0)
        effect = np.where(weight > 0, self.effect, 0.0)
        above, below = np.zeros(len(effect)), np.zeros(len(effect))
        for group in np.unique(self.start):
            mine = self.start == group
            w, x = weight[:, mine], self.event[mine].astype(float)
            x = x - (w @ x / np.maximum(w.sum(axis=1), 1.0))[:, None]
            above += (w * x * effect[:, mine]).sum(axis=1)
            below += (w * x**2).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(below > 0, above / below, np.nan)

    def window(self) -> list[int]:
        """Events around the start without a gap that at least half of the treated units have been seen at."""
        count = {int(e): self.treated[0, self.event == e].sum() for e in np.unique(self.event)}
        seen = [e for e, n in count.items() if n >= max(2, count.get(-1, 0) / 2) and np.isfinite(self.at(e)[0])]
        last, first = 0, -1
        while last in seen:
            last += 1
        while first in seen:
            first -= 1
        return list(range(first + 1, last))

    def violation(self) -> float:
        """Largest change from one period to the next before the start, in the window."""
        before = [float(self.at(e)[0]) for e in self.window() if e < 0]
        return float(np.abs(np.diff(before)).max()) if len(before) > 1 else float("nan")

    def reach(self) -> Array:
        """Mean number of periods over which a drift since the start would add up in `after`, B values."""
        return replace(self, effect=np.where(np.isfinite(self.effect), self.event + 1.0, np.nan)).after()


def group_time(outcome: Array, start: Array, never: bool = False) -> Effects:
    """Group-time effects, each against the units that have not started by then.

    Parameters
    ----------
    outcome : ndarray, N x T or B x N x T
        Missing values are NaN. N x T gives N + 1 samples: all units, then each left out in turn.
    start : ndarray, N or B x N
        Column of the first treated period; infinite for never. Units treated from column 0 on have no say.
    never : bool
        Compare with units that never start only.

    Returns
    -------
    Effects
        Against the last period before the start; that period itself is there with effect 0.

    Examples
    --------
    >>> y = np.array([[1.0, 1.0, 3.0], [2.0, 2.0, 4.0], [5.0, 5.0, 6.0], [0.0, 0.0, 1.0]])
    >>> group_time(y, np.array([2, 2, np.inf, np.inf])).after()[0]
    np.float64(1.0)
    """
    periods = outcome.shape[-1]
    keys, effects, counts = [], [], []
    for group in np.unique(start[np.isfinite(start) & (start > 0) & (start < periods)]).astype(int):
        mine = start == group
        for t in range(periods):
            change = outcome[..., t] - outcome[..., group - 1]
            known = np.isfinite(change)
            others = np.isinf(start) if never else (start > max(t, group - 1)) & ~mine
            change = np.where(known, change, 0.0)
            treated, controls = known & mine, known & others
            n, m = _over_units(treated.astype(float)), _over_units(controls.astype(float))
            with np.errstate(invalid="ignore", divide="ignore"):
                difference = _over_units(change * treated) / n - _over_units(change * controls) / m
            effects.append(np.where((n > 0) & (m > 0), difference, np.nan))
            counts.append(n)
            keys.append((group, t))
    samples = len(outcome) + (1 if outcome.ndim == 2 else 0)
    shape = (samples, len(keys))
    of, at = np.array(keys, dtype=np.int64).reshape(-1, 2).T
    return Effects(np.array(effects).T.reshape(shape), np.array(counts).T.reshape(shape), of, at)


def _over_units(values: Array) -> Array:
    """Sum over units; of a single sample also without each unit."""
    return _with_each_left_out(values) if values.ndim == 1 else values.sum(axis=-1)


def _with_each_left_out(values: Array) -> Array:
    """Sum over the first axis, and without each of its entries."""
    total = values.sum(axis=0)
    return np.concatenate([[total], total - values])


def imputed(outcome: Array, start: Array) -> Array:
    """Mean effect after the start by imputation (Borusyak, Jaravel & Spiess 2024), N + 1 samples as `group_time`.

    Unit and period effects of what is not treated say what the treated would have been. Net of unit effects the
    period effects come from sums over units, so leaving one out is a subtraction.

    Examples
    --------
    >>> y = np.array([[1.0, 1.0, 3.0], [2.0, 2.0, 4.0], [5.0, 5.0, 6.0], [0.0, 0.0, 1.0]])
    >>> imputed(y, np.array([2, 2, np.inf, np.inf])).round(6)
    array([1., 1., 1., 1., 1.])
    """
    after = np.arange(outcome.shape[1]) >= start[:, None]
    free = (np.isfinite(outcome) & ~after).astype(float)  # N x T
    y, count = np.where(free > 0, outcome, 0.0), np.maximum(free.sum(axis=1), 1.0)[:, None]
    within = free[:, :, None] * np.eye(free.shape[1]) - free[:, :, None] * free[:, None, :] / count[:, :, None]
    total, right = _with_each_left_out(within), _with_each_left_out(y - free * y.sum(axis=1, keepdims=True) / count)
    period = (np.linalg.pinv(total, rcond=1e-10, hermitian=True) @ right[:, :, None])[:, :, 0]  # N + 1 x T
    period = np.where(_with_each_left_out(free) > 0, period, np.nan)
    unit = (y.sum(axis=1) - np.where(np.isfinite(period), period, 0.0) @ free.T) / count[:, 0]  # N + 1 x N
    effect = np.where(after & (free.sum(axis=1) > 0)[:, None], outcome, np.nan) - unit[:, :, None] - period[:, None, :]
    known = np.isfinite(effect)
    known[np.arange(1, len(known)), np.arange(len(outcome))] = False
    with np.errstate(invalid="ignore"):
        return np.where(known, effect, 0.0).sum(axis=(1, 2)) / known.sum(axis=(1, 2))


def apart(outcome: Array, start: Array, others: Array) -> Array:
    """Outcome where it cannot have moved by other programmes; NaN elsewhere.

    A unit that has not the programme leaves at its first other one. One that has it is seen from its last other
    start before the programme's to its first other start after it, and not at all where both start together.

    Parameters
    ----------
    outcome : ndarray, N x T
    start : ndarray, N or B x N
    others : ndarray, N x K
        Columns in which other programmes start; infinite for none.

    Examples
    --------
    >>> apart(np.ones((2, 4)), np.array([2.0, np.inf]), np.array([[1.0], [3.0]]))
    array([[nan,  1.,  1.,  1.],
           [ 1.,  1.,  1., nan]])
    """
    columns = np.arange(outcome.shape[1])
    begin, mine = start[..., None], np.isfinite(start)[..., None]
    later = np.where(mine & (others < begin), np.inf, others).min(axis=-1, initial=np.inf)
    earlier = np.where(mine & (others < begin), others, -np.inf).max(axis=-1, initial=-np.inf)
    kept = (columns >= earlier[..., None]) & (columns < later[..., None]) & ~(mine & (later == start)[..., None])
    return np.where(kept, outcome, np.nan)


def over_treated(values: Array, treated: int) -> Estimate:
    """Estimate of N + 1 samples (all units, then each left out), t with one degree fewer than treated units."""
    return replace(jackknife(float(values[0]), values[1:]), dof=treated - 1)
