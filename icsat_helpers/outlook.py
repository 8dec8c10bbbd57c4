"""From plan to verdict: what a programme will be measured against, when an effect could be seen."""

from __future__ import annotations

import numpy as np
from scipy import stats

from icsat_helpers.adoption import FEWEST_PERIODS, Rollout
from icsat_helpers.claims import Hypothesis
from icsat_helpers.inference import Array
from icsat_helpers.staggered import FEW
from icsat_helpers.study import Study
from icsat_helpers.words import known, message, period, say

HORIZON = 40  # periods ahead that are looked at


def noise(rollout: Rollout) -> float:
    """Standard deviation of what units without the programme do net of unit and period, in one period."""
    columns = np.arange(len(rollout.periods))
    before = np.where(columns >= rollout.start[:, None], np.nan, rollout.clean)
    n, t = np.nonzero(np.isfinite(before))
    if not len(n):
        return float("nan")
    design = np.hstack([np.eye(len(before))[n], np.eye(len(columns))[t]])
    fitted, _, rank, _ = np.linalg.lstsq(design, before[n, t], rcond=None)
    residual = before[n, t] - design @ fitted
    return float(np.sqrt(np.sum(residual**2) / (len(n) - rank))) if len(n) > rank else float("nan")


def detectable(sigma: float, treated: int, controls: int, periods: Array) -> Array:
    """Effect seen with 80% power after so many periods.

    The mean of k periods after the start less the one before it, treated less controls, varies with
    ``sigma^2 (1 + 1/k) (1/treated + 1/controls)`` if periods are independent; t with one degree fewer than treated
    units, below `FEW` two fewer than all units.

    Examples
    --------
    >>> detectable(0.1, 6, 30, np.array([1, 4])).round(3)
    array([0.221, 0.175])
    """
    dof = treated - 1 if treated >= FEW else max(treated + controls - 2, 1)
    se = sigma * np.sqrt((1 + 1 / periods) * (1 / treated + 1 / controls))
    return se * float(stats.t.ppf(0.975, dof) + stats.t.ppf(0.80, dof))


def outlook(study: Study, claim: Hypothesis, rollout: Rollout) -> str:
    """What will be measured of a programme that has just started, against whom, and when an effect could be seen."""
    latest = len(rollout.periods) - 1
    treated = int((np.isfinite(rollout.start) & (rollout.start > 0)).sum()) + rollout.unseen
    free = np.isinf(rollout.start) & (rollout.others > latest).all(axis=1) & np.isfinite(rollout.outcome[:, latest])
    plan = say(PLANS[rollout.providers], programme=known(rollout.name), n=treated, free=int(free.sum()))
    smallest = claim.smallest_raw or claim.smallest_standardised * rollout.spread
    sizes = detectable(noise(rollout), treated, max(int(free.sum()), 1), np.arange(1.0, HORIZON + 1))
    if not free.any() or not np.isfinite(sizes).all():
        return say("{plan}; whether an effect can be seen is not known yet", plan=plan)
    large = np.flatnonzero(sizes <= smallest)
    if not len(large):
        return say(
            "{plan}. An effect of {points} points would hardly be seen with so few: what could be seen in four cases "
            "of five comes down to {least} points; start it in more units",
            plan=plan, points=float(smallest), least=float(sizes[-1]),
        )  # fmt: skip
    start = rollout.periods[latest] if (rollout.start == latest).any() else study.t
    step = int(np.median(np.diff(rollout.periods))) if latest else 1
    when = study.label(start + step * max(int(large[0]), FEWEST_PERIODS - 1))
    return say(
        "{plan}. An effect of {points} points could be seen in four cases of five from {period} on, if ratings go on "
        "varying as they did, from one period to the next independently",
        plan=plan, points=float(smallest), period=period(when),
    )  # fmt: skip


PLANS = {
    True: message(
        "“{programme}” has just started; providers with it: {n}. Measured will be what customers say of them, net of "
        "who answers, against {free} providers without a programme"
    ),
    False: message(
        "“{programme}” has just started; units with it: {n}. Measured will be how satisfied they are, against {free} "
        "units without a programme"
    ),
}
"""What is planned, for providers and for units as customers."""
