"""Few treated units: an estimate judged by rearranging which units start and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import comb, perm, prod

import numpy as np

from icsat_helpers.inference import Array, Estimate
from icsat_helpers.staggered import apart, group_time

DRAWS, SEED = 999, 20260930
EXACT = 3000  # arrangements up to which all are gone through
SAME = 1e-9  # of what rounding leaves


@dataclass(frozen=True, slots=True)
class Randomised(Estimate):
    """An estimate judged by rearranging which units start and when.

    A constant effect tau is as unusual as what was seen, or less, in a draw with
    ``|drawn - tau carried| >= |value - tau|``: an interval of tau around the estimate, so that the randomisation
    test (Rosenbaum 2002) is inverted in closed form.

    Attributes
    ----------
    drawn, carried : ndarray, one value a draw
        The estimate under each arrangement, and how much of a constant effect of 1 it would show; NaN in draws in
        which nothing can be compared.
    """

    drawn: Array
    carried: Array

    def _ends(self) -> tuple[Array, Array]:
        known = np.isfinite(self.drawn) & np.isfinite(self.carried)
        drawn, carried = self.drawn[known], self.carried[known]
        with np.errstate(divide="ignore", invalid="ignore"):
            one, two = (drawn - self.value) / (carried - 1), (drawn + self.value) / (carried + 1)
        whole = np.abs(carried) >= 1 - SAME  # what was seen, or its mirror image: never more or less unusual
        return np.where(whole, -np.inf, np.minimum(one, two)), np.where(whole, np.inf, np.maximum(one, two))

    @property
    def p(self) -> float:
        """Share of arrangements at least as unusual as the one seen, itself counted."""
        low, high = self._ends()
        return float((1 + np.sum((low <= 0) & (high >= 0))) / (1 + len(low)))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Constant effects that the arrangements do not reject; infinite where there are too few of them."""
        low, high = self._ends()
        place = int((1 - level) * (1 + len(low)) + SAME)  # so many unusual draws, and a value is not rejected
        if place < 1:
            return -np.inf, np.inf
        return float(np.sort(low)[place - 1]), float(np.sort(high)[-place])


def randomised(value: float, drawn: Array, carried: Array) -> Randomised:
    """Estimate with its arrangements; `se` is their spread."""
    spread = drawn - value * carried
    known = spread[np.isfinite(spread)]
    se = float(np.std(known)) if len(known) else 0.0
    return Randomised(value, se, max(len(known) - 1, 1), np.array([value]), drawn, carried)


def paired(parts: Sequence[Randomised], weights: Array) -> Randomised:
    """Weighted mean of estimates whose starts are rearranged independently of each other."""
    if len(parts) == 1:
        return parts[0]
    rng = np.random.default_rng(SEED)
    picks = [rng.integers(0, len(part.drawn) + 1, DRAWS) for part in parts]  # the last is the arrangement seen
    drawn = [np.append(part.drawn, part.value)[pick] for part, pick in zip(parts, picks, strict=True)]
    carried = [np.append(part.carried, 1.0)[pick] for part, pick in zip(parts, picks, strict=True)]
    value = float(np.average([part.value for part in parts], weights=weights))
    return randomised(value, np.average(drawn, axis=0, weights=weights), np.average(carried, axis=0, weights=weights))


def rearranged(outcome: Array, start: Array, others: Array) -> tuple[Array, Array]:
    """Mean effect after the start in other arrangements of the starts over the observed units.

    All of them where they are no more than `EXACT`, else `DRAWS` at random.

    Returns
    -------
    drawn, carried : ndarray
        Of the outcome, and of an outcome that is 1 where the units that really started had started.
    """
    here = np.isfinite(outcome).any(axis=1)
    outcome, start, others = outcome[here], start[here], others[here]
    starts = _placed(start)
    treated = np.where(np.isfinite(outcome), np.arange(outcome.shape[1]) >= start[:, None], np.nan)
    drawn, carried = (group_time(apart(values, starts, others), starts).after() for values in (outcome, treated))
    return drawn, carried


def _placed(start: Array) -> Array:
    """Starts placed on other units, one row an arrangement."""
    places = np.flatnonzero(np.isfinite(start))
    if perm(len(start), len(places)) > EXACT:
        return np.random.default_rng(SEED).permuted(np.tile(start, (DRAWS, 1)), axis=1)
    chosen = np.array([each for each in permutations(range(len(start)), len(places)) if each != tuple(places)])
    starts = np.full((len(chosen), len(start)), np.inf)
    np.put_along_axis(starts, chosen, np.tile(start[places], (len(chosen), 1)), axis=1)
    return starts


def arrangements(start: Array) -> int:
    """In how many different ways starts can fall on units; `start` is infinite for never.

    Examples
    --------
    >>> arrangements(np.array([2, 2, 5, np.inf, np.inf, np.inf]))
    60
    """
    groups = np.unique(start[np.isfinite(start)], return_counts=True)[1]
    left = len(start) - np.concatenate([[0], np.cumsum(groups)[:-1]])
    return prod(comb(int(n), int(k)) for n, k in zip(left, groups, strict=True))
