"""Whether the outcome moves satisfaction in turn: then a slope within units is not what it seems.

With unit effects, a slope on a panel takes for granted that what happened to the outcome does not reach later
exposure (strict exogeneity). The check adds the exposure after the outcome to the equation; rows beside it ask what is
left when the outcome's own past is held, and when the bias of a short panel is taken off (half-panel jackknife,
Dhaene & Jochmans 2015). Feedback within one period, with shocks that carry over, hardly shows in the check but always
in the outcome held: so that row has to agree whether or not anything was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from icsat_helpers.designs import Design
from icsat_helpers.inference import WEAK_F, Column, Estimate, NotEstimable, Slope, apart, jackknife, pair, slope
from icsat_helpers.sensitivity import SIGNIFICANT, Check, Row
from icsat_helpers.words import message, places, say

LONG = 8  # periods from which half a panel still says something


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a panel says about the way back; None where it does not allow the question.

    Attributes
    ----------
    after : Estimate
        Slope of the outcome on the exposure one period *after* it, the exposure before it held.
    reverse : Estimate
        Slope of the next exposure on the outcome now.
    held : Estimate
        The slope in question with this period's outcome held.
    half_panel : Estimate
        Twice the slope in question less the mean of the slopes of the panel's two halves in time.
    attenuated : bool
        Whether noise draws `reverse` to zero, and leaves `held` with some of the outcome's past.
    """

    after: Estimate | None
    reverse: Estimate | None
    held: Estimate | None
    half_panel: Estimate | None
    attenuated: bool

    @property
    def seen(self) -> bool:
        """Whether the outcome seems to move the exposure."""
        return any(way is not None and way.p < SIGNIFICANT for way in (self.after, self.reverse))

    def doubt(self, value: float) -> str:
        """Why a slope away from zero says nothing for or against a claim, in a sentence; "" where it stands.

        The row with the outcome held needs its sign and an interval off zero; where feedback is seen, both rows do.
        """
        needed = (self.held, self.half_panel) if self.seen else ((self.held,) if self.held else ())
        if all(row is not None and value * row.value > 0 and row.p < SIGNIFICANT for row in needed):
            return ""
        if self.seen:
            return say("Each seems to move the other, so that it is not clear which comes first.")
        return say("Among units that stood alike before, too little of it is left to say so.")

    @property
    def rows(self) -> tuple[Row, ...]:
        """Sensitivity rows."""
        reverse = (
            message("reverse path: outcome now, satisfaction next (attenuated)")
            if self.attenuated
            else message("reverse path: outcome now, satisfaction next")
        )
        asked = {
            message("outcome now held"): self.held,
            message("half-panel jackknife"): self.half_panel,
            message("exposure after the outcome, that before it held"): self.after,
            reverse: self.reverse,
        }
        return tuple(Row.of(name, estimate) for name, estimate in asked.items() if estimate is not None)

    @property
    def checks(self) -> tuple[Check, ...]:
        """Checks, each passed where nothing leads back from the outcome."""
        said = {
            "feedback": (self.after, message("the outcome goes with satisfaction in the period after it with p = {p}")),
            "reverse_path": (self.reverse, message("the outcome is followed by satisfaction with p = {p}")),
        }
        return tuple(
            Check(name, way.p >= SIGNIFICANT, say(text, p=places(way.p, 3)))
            if way is not None
            else Check(name, False, say("too few periods to see whether the outcome moves satisfaction in turn"))
            for name, (way, text) in said.items()
        )


def examine(design: Design) -> Feedback:
    """Look for the way back in a design on a panel.

    Parameters
    ----------
    design : Design
        Its frame also holds, as a column or as two halves, `after` (the exposure two periods on), `exposure_next`
        and `outcome` (this period's).
    """
    frame = design.frame
    after, following, now = (_column(frame, name) for name in ("after", "exposure_next", "outcome"))
    reverse = _asked(design, following, now)
    weak = not isinstance(now, str) and (reverse is None or reverse.first_stage_f < WEAK_F)
    if weak:  # its halves hardly move together: as it is
        frame, now = frame.assign(outcome=frame[list(now)].mean(axis=1)), "outcome"
        design = Design(frame, design.outcome, design.exposure, True, design.weights, design.cluster)
        reverse = _asked(design, following, now)
    own = _asked(design, design.outcome, after, design.exposure)
    held = _asked(design, design.outcome, design.exposure, now)
    after_, reverse_, held_ = (None if found is None else found.estimate for found in (own, reverse, held))
    return Feedback(after_, reverse_, held_, half_panel(design), weak)


def _column(frame: pd.DataFrame, name: str) -> Column:
    return (f"{name}_a", f"{name}_b") if f"{name}_a" in frame else name


def _asked(design: Design, outcome: Column, exposure: Column, *beside: Column) -> Slope | None:
    """Slope in a design's frame, or None where it cannot be estimated."""
    return _or_none(
        lambda: slope(design.frame, outcome, exposure, beside=beside, weights=design.weights, cluster=design.cluster)
    )


def _or_none(fit: Callable[[], Slope]) -> Slope | None:
    try:
        return fit()
    except NotEstimable:
        return None


def half_panel(design: Design) -> Estimate | None:
    """Slope free of the bias of a short panel; None below `LONG` periods."""
    frame = design.frame.dropna(subset=[*pair(design.outcome), *pair(design.exposure)])
    periods = np.sort(frame["t"].unique())
    if len(periods) + 1 < LONG:
        return None
    early = frame["t"] < periods[len(periods) // 2]
    stacked, (whole, *halves) = apart([frame, frame[early], frame[~early]], design.exposure)
    fitted = _or_none(
        lambda: slope(stacked, design.outcome, whole, beside=halves, weights=design.weights, cluster=design.cluster)
    )
    if fitted is None:
        return None
    first, second = fitted.beside
    left = 2 * fitted.estimate.left_out - (first.left_out + second.left_out) / 2
    return jackknife(2 * fitted.estimate.value - (first.value + second.value) / 2, left)
