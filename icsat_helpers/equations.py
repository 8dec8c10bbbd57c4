"""Two equations in a row, x to m and m to y beside x, and their product: what travels through m."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from icsat_helpers.halves import answer_halves, joint_halves
from icsat_helpers.inference import Array, Column, Estimate, NotEstimable, Slope, bootstrap, jackknife, moments, slope
from icsat_helpers.panel import capped_weights, unit_panel
from icsat_helpers.scores import TABLE_OF, person_scores
from icsat_helpers.study import Study
from icsat_helpers.words import say

SURE = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """One equation of a chain: an outcome on what stood a period before it.

    Attributes
    ----------
    frame : DataFrame
        unit, t, weight, the columns named below; with halves split and block too.
    outcome : str or (str, str)
        The following period's; halves go with the same people's half of the regressors.
    regressors : tuple of str or (str, str)
        The first is the one whose slope the chain takes; of two halves one instruments the other.
    """

    frame: pd.DataFrame
    outcome: Column
    regressors: tuple[Column, ...]

    def fit(self) -> Slope:
        """Slope of the first regressor, the others beside."""
        return slope(self.frame, self.outcome, self.regressors[0], beside=self.regressors[1:], weights="weight")

    def drawn(self) -> Array:
        """Slopes when units are drawn again, one a draw."""
        known, _ = moments(self.frame, self.outcome, self.regressors, weights="weight")
        return np.asarray(bootstrap(known)[:, 0])

    @property
    def formulas(self) -> dict[str, str]:
        """Formulas on `rows`: each regressor on the other half's regressors, then the outcome on the predictions."""
        names, absorbed = [_name(column) for column in self.regressors], "| block^way + t^way"
        others = " + ".join(f"z_{name}" for name in names)
        stages = {f"fitted_{name}": f"{name} ~ {others} {absorbed}" for name in names}
        return stages | {"outcome_next": f"outcome_next ~ {' + '.join(stages)} {absorbed}"}

    def rows(self, split: int = 0) -> pd.DataFrame:
        """Rows of one split, both ways stacked: outcome_next, each regressor and its instrument ``z_<regressor>``."""
        one = self.frame if "split" in self.frame else self.frame.assign(split=0, block=self.frame["unit"])
        one = one[one["split"] == split].dropna(
            subset=[part for c in (self.outcome, *self.regressors) for part in _pair(c)]
        )
        one = one[one.groupby("block")["t"].transform("size") > 1]
        ways = []
        for way in (0, 1):
            columns = {"outcome_next": one[_pair(self.outcome)[way]]}
            for column in self.regressors:
                columns |= {_name(column): one[_pair(column)[way]], f"z_{_name(column)}": one[_pair(column)[1 - way]]}
            ways.append(one[["unit", "t", "block", "weight"]].assign(way=way, **columns))
        return pd.concat(ways, ignore_index=True)


@dataclass(frozen=True, slots=True)
class Chain:
    """Two slopes and what they make together; the same units stand in both.

    Attributes
    ----------
    order : (str, str, str)
    steps : (Step, Step)
    first, second : Slope
        Of the second measure on the first, and of the third on the second beside the first.
    n_periods : int
        Periods from which anything is used.
    """

    order: tuple[str, ...]
    steps: tuple[Step, Step]
    first: Slope
    second: Slope
    n_periods: int

    @property
    def product(self) -> Estimate:
        """What travels through the middle, the same unit left out of both slopes."""
        a, b = self.first.estimate, self.second.estimate
        return jackknife(a.value * b.value, a.left_out * b.left_out)

    @property
    def p(self) -> float:
        """A chain is as sure as its weaker link."""
        return max(self.first.estimate.p, self.second.estimate.p)

    @property
    def total(self) -> Estimate:
        """What one point more brings that stays: through the middle and beside it."""
        beside, through = self.second.beside[0], self.product
        return jackknife(beside.value + through.value, beside.left_out + through.left_out)

    @property
    def share(self) -> Estimate | None:
        """Part of the total that travels through the middle; None where the total is not told from zero."""
        total, through = self.total, self.product
        if not total.p < SURE:
            return None
        return jackknife(through.value / total.value, through.left_out / total.left_out)

    @property
    def instrumented(self) -> bool:
        """Whether the two measures that explain are freed of noise by halves."""
        return not any(isinstance(name, str) for name in self.steps[1].regressors)

    def drawn(self) -> tuple[float, float]:
        """Percentile interval of the product, the same draw of units for both slopes."""
        products = self.steps[0].drawn() * self.steps[1].drawn()
        low, high = np.nanpercentile(products, [2.5, 97.5])
        return float(low), float(high)


def _pair(column: Column) -> tuple[str, str]:
    return (column, column) if isinstance(column, str) else column


def _name(column: Column) -> str:
    return column if isinstance(column, str) else column[0].removesuffix("_a")


def chain(study: Study, order: Sequence[str], halved: bool = True) -> Chain:
    """Fit the chain ``order[0](t)``, ``order[1](t+1)``, ``order[2](t+2)``.

    First ``m(t+1) ~ x(t)``, second ``y(t+1) ~ m(t) + x(t)``, unit and period effects in both. Without x(t) in the
    second its lasting part would be read as the work of m.

    Parameters
    ----------
    halved : bool
        False: unit averages as they are.

    Raises
    ------
    NotEstimable
        Where either slope is.
    """
    x, m, y = order
    levels = _levels(study, order, halved)
    steps = _step(levels, m, [x]), _step(levels, y, [m, x])
    units = [set(moments(s.frame, s.outcome, s.regressors, weights="weight")[1]["unit"]) for s in steps]
    both = units[0] & units[1]
    if not both:
        raise NotEstimable(say("no unit has all three measures in periods that follow each other"))
    a, b = (replace(s, frame=s.frame[s.frame["unit"].isin(both)]) for s in steps)
    periods = set(a.frame["t"]) | set(b.frame["t"])
    return Chain(tuple(order), (a, b), a.fit(), b.fit(), len(periods | {t + 1 for t in periods}))


def _levels(study: Study, order: Sequence[str], halved: bool) -> dict[str, tuple[pd.DataFrame, Column]]:
    """Unit-period scores of the three measures, and the columns that hold them: halves where there are answers."""
    first, second = unit_panel(study, order[0], order[1]), unit_panel(study, order[1], order[2])
    found: dict[str, tuple[pd.DataFrame, Column]] = {}
    aggregates = False
    for name, panel, end in ((order[0], first, ""), (order[1], second, ""), (order[2], second, "_outcome")):
        columns = {"outcome" if end else "exposure": name, f"n{end}": f"n_{name}"}
        frame = panel.frame.dropna(subset=next(iter(columns)))
        aggregates |= name in TABLE_OF and bool(frame[f"given{end}"].astype(bool).any())
        found[name] = frame[["unit", "t", *columns]].rename(columns=columns), name
    if aggregates:  # as elsewhere: not weighted, for nobody says what stands behind them
        found = {name: (frame.assign(**{f"n_{name}": np.nan}), name) for name, (frame, _) in found.items()}
    if not halved:
        return found
    if aggregates:
        raise NotEstimable(say("unit averages have no halves"))
    halves = dict(zip(TABLE_OF, joint_halves([person_scores(study, name) for name in TABLE_OF]), strict=True))
    if order[0] == "external" and study.has("external_ratings"):
        answers = study.table("external_ratings").rename(columns={"unit_id": "unit"})
        halves["external"] = answer_halves(answers[["unit", "t", "score"]]).assign(block=0)
    for name, frame in halves.items():
        columns = {"half_a": f"{name}_a", "half_b": f"{name}_b", "n": f"n_{name}", "block": f"block_{name}"}
        found[name] = frame.rename(columns=columns), (f"{name}_a", f"{name}_b")
    return found


def _step(levels: dict[str, tuple[pd.DataFrame, Column]], outcome: str, regressors: Sequence[str]) -> Step:
    """Put an outcome beside the regressors of the period before it; a missing period stays missing."""
    later = levels[outcome][0]
    frame = later.assign(t=later["t"] - 1)
    for name in reversed(regressors):
        other = levels[name][0]
        frame = frame.merge(other, on=["unit", "t", *({"split"} & set(frame) & set(other))])
    blocks = [column for column in frame if column.startswith("block_")]
    if blocks:  # a level means nothing across components of any of the measures
        frame["block"] = frame.groupby(["split", "unit", *blocks]).ngroup()
    frame["weight"] = capped_weights(frame[f"n_{regressors[0]}"])
    return Step(frame, levels[outcome][1], tuple(levels[name][1] for name in regressors))
