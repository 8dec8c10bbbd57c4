"""What a programme changed: the effect, the same asked in other ways, the checks before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from icsat_helpers.adoption import Rollout
from icsat_helpers.evidence import p_text
from icsat_helpers.inference import Array, Estimate
from icsat_helpers.randomisation import Randomised, paired, randomised, rearranged
from icsat_helpers.sensitivity import SIGNIFICANT, Check, Row, left_out
from icsat_helpers.staggered import FEW, group_time, imputed, over_treated
from icsat_helpers.words import known, message, say

PLACEBOS = (2, 4)  # periods by which a pretended start comes too early


@dataclass(frozen=True, slots=True)
class Effect:
    """What one programme, or all of them together, changed.

    Attributes
    ----------
    rollouts : tuple of Rollout
        One, or several.
    estimate : Estimate
        Mean over treated units and periods. Below `FEW` treated units a `Randomised` one.
    ways : dict of str to ndarray, N + 1
        The same asked in other ways, and what should be zero; all units, then each left out. "after" is the headline.
    events : dict of int to ndarray, N + 1
        Mean effect at each period since the start; -1 is the period compared with, 0 by definition.
    bias : float
        How far a drift as large as the largest seen before the start could have moved the estimate.
    """

    rollouts: tuple[Rollout, ...]
    estimate: Estimate
    ways: dict[str, Array]
    events: dict[int, Array]
    bias: float

    @property
    def treated(self) -> int:
        """Different treated units."""
        return int(np.any([r.treated for r in self.rollouts], axis=0).sum())

    @property
    def units(self) -> int:
        """Different units that are compared."""
        return int(np.any([r.treated | r.controls for r in self.rollouts], axis=0).sum())

    @property
    def name(self) -> str:
        """What started, as a sentence says it."""
        if len(self.rollouts) > 1:
            return say("an improvement programme")
        return say("“{name}”", name=known(self.rollouts[0].name))

    def way(self, name: str) -> Estimate | None:
        """Estimate of one of `ways`; None where the data does not allow it."""
        values = self.ways[name]
        return over_treated(values, self.treated) if np.isfinite(values).all() and self.treated > 1 else None


def effect(rollout: Rollout) -> Effect:
    """Effect of one programme; `rollout` has no shortfall."""
    cells, treated = rollout.effects(), rollout.treated
    after, drift = cells.after(), cells.drift()
    ways = {
        "after": after,
        "drift": drift,
        "never": rollout.effects(never=True).after(),
        "imputation": imputed(rollout.clean, rollout.start),
        "drift goes on": after - drift * cells.reach(),
        **{f"placebo {k}": _placebo(rollout, k) for k in PLACEBOS},
    }
    if treated.sum() < FEW:
        drawn, carried = rearranged(rollout.outcome, rollout.start, rollout.others)
        estimate: Estimate = randomised(float(after[0]), drawn, carried)
    else:
        estimate = over_treated(after, int(treated.sum()))
    bias = cells.violation() * float(cells.reach()[0])
    return Effect((rollout,), estimate, ways, {e: cells.at(e) for e in cells.window()}, bias)


def _placebo(rollout: Rollout, early: int) -> Array:
    """Effect of a start that comes `early` periods before the real one, from the periods before that."""
    columns = np.arange(len(rollout.periods))
    before = np.where(columns >= rollout.start[:, None], np.nan, rollout.clean)
    cells = group_time(before, rollout.start - early)
    return cells.after() if cells.effect.size else np.full(len(before) + 1, np.nan)


def together(effects: Sequence[Effect]) -> Effect:
    """All programmes together: the mean of their effects by treated units.

    The weights are those of all units also where one is left out: how many units each programme has is no chance, and
    letting weights move would count differences between programmes as noise.
    """
    weights = np.array([float(e.treated) for e in effects])

    def mean(values: list[Array]) -> Array:
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return weights @ np.where(known, values, 0.0) / (weights @ known)

    nothing = np.full(len(effects[0].ways["after"]), np.nan)
    ways = {name: mean([e.ways[name] for e in effects]) for name in effects[0].ways}
    seen = sorted({event for e in effects for event in e.events})
    estimate = over_treated(ways["after"], 2)
    whole = Effect(
        rollouts=tuple(r for e in effects for r in e.rollouts),
        estimate=estimate,
        ways=ways,
        events={event: mean([e.events.get(event, nothing) for e in effects]) for event in seen},
        bias=float(np.average([e.bias for e in effects], weights=weights)),
    )
    if whole.treated >= FEW:
        return replace(whole, estimate=replace(estimate, dof=whole.treated - 1))
    parts = [e.estimate for e in effects if isinstance(e.estimate, Randomised)]
    return replace(whole, estimate=paired(parts, weights))


# ---------------------------------------------------------------- beside the headline


def checks(effect: Effect) -> tuple[Check, ...]:
    """Whether the units were on the move before the start, how many programmes overlap, how few units started."""
    drift = effect.way("drift")
    if drift is None:
        before = Check("pre_trend", False, say("too few periods or units before the start to see whether they moved"))
    else:
        moved = say(
            "before the start they moved by {points} points a period against the others (p {p})",
            points=drift.value, p=p_text(drift.p),
        )  # fmt: skip
        before = Check("pre_trend", drift.p >= SIGNIFICANT, moved)
    starts = sum(int(np.isfinite(r.start).sum()) for r in effect.rollouts)
    both = sum(int((np.isfinite(r.start) & np.isfinite(r.others).any(axis=1)).sum()) for r in effect.rollouts)
    lost = starts - sum(int(r.treated.sum()) for r in effect.rollouts)
    overlap = say(
        "{both} of {starts} starts are in units with another programme; what came after its start is left out, {lost} "
        "of {starts} altogether",
        both=both, starts=starts, lost=lost,
    )  # fmt: skip
    found = (before, Check("overlap", lost == 0, overlap))
    if not isinstance(effect.estimate, Randomised):
        return found
    few = say("only {n} units started: judged by rearranging which units start and when", n=effect.treated)
    return (*found, Check("treated_units", False, few))


def honest(effect: Effect) -> tuple[float, float] | None:
    """95% interval if the drift since the start may be as large as the largest seen before it.

    Relative magnitudes of 1 (Rambachan & Roth 2023): the interval, widened by what such a drift would add up to.
    """
    low, high = effect.estimate.interval()
    return (low - effect.bias, high + effect.bias) if np.isfinite(effect.bias) else None


def rows(effect: Effect) -> tuple[Row, ...]:
    """Rows beside an effect; one that the data does not allow is left out."""
    asked = {
        "drift goes on": message("if the drift before the start had gone on"),
        "imputation": message("imputation estimator"),
        "never": message("against units that never start it"),
        **{f"placebo {k}": f"placebo: as if it had started {k} periods earlier" for k in PLACEBOS},
    }
    if isinstance(effect.estimate, Randomised):
        asked = {"after": message("one unit left out in turn (wide: few units started)"), **asked}
    found = [Row.of(words, way) for name, words in asked.items() if (way := effect.way(name)) is not None]
    widened = honest(effect)
    if widened is not None:
        words = message("honest: drift may be as large as the largest before the start")
        found.insert(0, Row(words, effect.estimate.value, *widened, None))
    after = effect.way("after")
    return (*found, left_out(after)) if after is not None else tuple(found)
