"""The chain H5: internal satisfaction, then morale, then external customers; two equations and their product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from icsat_helpers.charts import BLUE, INK, SOFT, Chart, _axes
from icsat_helpers.claims import Hypothesis, chain_reason
from icsat_helpers.evidence import Finding, conclude, not_estimable, number
from icsat_helpers.halves import answer_halves, joint_halves
from icsat_helpers.inference import WEAK_F, Column, Estimate, NotEstimable, Slope, bootstrap, jackknife, moments, slope
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.panel import capped_weights, unit_panel
from icsat_helpers.scores import TABLE_OF, person_scores
from icsat_helpers.sensitivity import SIGNIFICANT, Check, Row, checks, left_out
from icsat_helpers.study import Study

ORDER = ("internal", "morale", "external")
Array = np.ndarray[Any, np.dtype[np.float64]]


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
    def splits(self) -> int:
        """Number of splits into halves; 1 where nothing is split."""
        return int(self.frame["split"].nunique()) if "split" in self.frame else 1

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
        if not total.p < SIGNIFICANT:
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


def chain(study: Study, order: Sequence[str] = ORDER, halved: bool = True) -> Chain:
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
        raise NotEstimable("no unit has all three measures in periods that follow each other")
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
        raise NotEstimable("unit averages have no halves")
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


# ---------------------------------------------------------------- the claim


@dataclass(frozen=True, slots=True)
class Tested:
    """What a study's chain was tested with.

    Attributes
    ----------
    chain : Chain or None
        None where it cannot be estimated; `reason` says why.
    halves : Chain or None
        With split halves, also where they were too weak to be the one reported.
    """

    chain: Chain | None
    halves: Chain | None
    reason: str = ""


def tested(study: Study) -> Tested:
    """Test the chain with halves of people, or with unit averages where halves hardly move together (F below 10)."""
    reason = chain_reason(study)
    return Tested(None, None, reason) if reason else _strongest(study, ORDER)


def _strongest(study: Study, order: Sequence[str]) -> Tested:
    halves, reason = None, ""
    for halved in (True, False):
        try:
            fitted = chain(study, order, halved)
        except NotEstimable as why:
            reason = str(why)
            continue
        halves = fitted if halved else halves
        if not halved or min(fitted.first.first_stage_f, fitted.second.first_stage_f) >= WEAK_F:
            return Tested(fitted, halves)
    return Tested(None, halves, reason)


def describe(found: Tested) -> Page:
    """What a chain is made from, or why there is none."""
    main = found.chain
    if main is None:
        return paragraphs(f"This study cannot answer it: {found.reason}.")
    said = [("units with all three measures", main.first.n_units), ("periods", main.n_periods)]
    said += [("units x periods, first step", main.first.n_rows), ("units x periods, second step", main.second.n_rows)]
    return listing(said, ("what", "n"))


def step_checks(found: Tested) -> tuple[Check, ...]:
    """Checks of both equations, and whether each step goes the way that the claim says."""
    if found.halves is None:
        return ()
    named = []
    for step, fitted in (("first step", found.halves.first), ("second step", found.halves.second)):
        named += [replace(c, name=f"{c.name}, {step}") for c in checks(fitted)]
    return tuple(named)


def rows(study: Study, found: Tested) -> tuple[Row, ...]:
    """Rows beside the chain: its steps, what does not pass through morale, other ways to fit it, the reversed order."""
    main = found.chain
    if main is None:
        return ()
    share = main.share
    first = [
        Row.of("first step: morale on satisfaction", main.first.estimate),
        Row.of("second step: external score on morale, satisfaction held", main.second.estimate),
        Row.of("external score on satisfaction, morale held", main.second.beside[0]),
        Row.of("both ways together, for a point that stays", main.total),
        *([Row.of("share of both that travels through morale", share)] if share is not None else []),
        Row("units drawn again, percentile interval", main.product.value, *main.drawn(), None),
    ]
    if main.instrumented:
        first.append(_product("unit averages as they are (not freed of noise)", chain(study, halved=False)))
    back = _strongest(study, ORDER[::-1])
    if back.chain is not None:
        first.append(_product("reversed order: external score, then morale, then satisfaction", back.chain))
    return (*first, left_out(main.product))


def _product(name: str, fitted: Chain) -> Row:
    return replace(Row.of(name, fitted.product), p=fitted.p)


def reversed_check(found: tuple[Row, ...]) -> tuple[Check, ...]:
    """Whether the chain also runs backwards: then what comes first is not known."""
    return tuple(
        Check("reversed_order", row.p >= SIGNIFICANT, f"the chain also runs backwards with p = {row.p:.3f}")
        for row in found
        if row.name.startswith("reversed order") and row.p is not None
    )


def finding(
    claim: Hypothesis, study: Study, found: Tested, *, sensitivity: tuple[Row, ...] = (), checks: tuple[Check, ...] = ()
) -> Finding:
    """Finding of the chain; why there is none where it could not be estimated."""
    main = found.chain
    if main is None:
        return not_estimable(claim, found.reason)
    people = pd.concat([person_scores(study, name)["person"] for name in TABLE_OF]).nunique()
    how = "halves of the people instrument each other" if main.instrumented else "unit averages as they are"
    wrong = max(main.first.estimate.value, main.second.estimate.value) < 0  # two harms make no benefit
    return conclude(
        claim, main.product, p=1.0 if wrong else main.p, rung="precedence", sd_ratio=main.first.sd_x / main.second.sd_y,
        n_units=main.first.n_units, n_rows=main.second.n_rows, n_periods=main.n_periods, n_people=people or None,
        words=("One point more internal satisfaction", "points more external satisfaction by way of morale"),
        method=f"Morale on satisfaction a period before, times external score on morale with satisfaction held; unit "
        f"and period effects; {how}. p of the weaker step. Left out one unit at a time.",
        sensitivity=sensitivity, checks=checks, warnings=_warnings(study, main),
    )  # fmt: skip


def _warnings(study: Study, main: Chain) -> tuple[str, ...]:
    """Warnings of the three pairs; people who answer on satisfaction and morale are no worry between halves."""
    pairs = [("internal", "morale"), ("morale", "external"), ("internal", "external")]
    found = [set(unit_panel(study, *pair).warnings) for pair in pairs]
    if main.instrumented and person_scores(study, "morale")["linked"].mean() > 0.5:
        found[0] -= {"same_source"}
    return (*sorted(set().union(*found)), *([] if main.instrumented else ["attenuated"]))


BOXES = {
    "Internal\nsatisfaction": (0.0, 0.0),
    "Morale\none period later": (1.0, 1.0),
    "External score\nafter that": (2.0, 0.0),
}


def paths(main: Chain) -> Chart:
    """The chain as three boxes and the slopes between them; an arrow that is not told from zero is faint and dashed."""
    figure, axes = _axes(height=3.4)
    axes.set(xlim=(-0.45, 2.45), ylim=(-0.55, 1.35))
    axes.set_axis_off()
    names = list(BOXES)
    arrows = [(0, 1, main.first.estimate), (1, 2, main.second.estimate), (0, 2, main.second.beside[0])]
    for begin, end, slope_ in arrows:
        sure = slope_.p < SIGNIFICANT
        (x, y), (u, v) = BOXES[names[begin]], BOXES[names[end]]
        how = {"color": BLUE if sure else SOFT, "linestyle": "-" if sure else "--", "linewidth": 2.5 if sure else 1.2}
        style = {"arrowstyle": "-|>", "mutation_scale": 18, "shrinkA": 42, "shrinkB": 42}
        axes.annotate("", (u, v), (x, y), arrowprops=style | how)
        low, high = slope_.interval()
        text = f"{number(slope_.value)}\n({number(low)} to {number(high)})"
        side = {(0, 1): "right", (1, 2): "left"}.get((begin, end), "center")
        axes.text((x + u) / 2 + {"right": -0.12, "left": 0.12}.get(side, 0), (y + v) / 2 + (0.05 if y != v else -0.1),
                  text, ha=side, va="bottom" if y != v else "top", color=INK)  # fmt: skip
    for name, (x, y) in BOXES.items():
        axes.text(x, y, name, ha="center", va="center", bbox={"boxstyle": "round,pad=0.5", "fc": "white", "ec": SOFT})
    words = ("Morale for a point of satisfaction", "external score for a point of morale",
             "external score for a point of satisfaction that does not pass through morale")  # fmt: skip
    said = [
        f"{word} {number(each.value)} ({number(each.interval()[0])} to {number(each.interval()[1])})"
        for word, (_, _, each) in zip(words, arrows, strict=True)
    ]
    return Chart(figure, f"{'; '.join(said)}. A dashed arrow is not told from zero. Points, with 95% intervals.")
