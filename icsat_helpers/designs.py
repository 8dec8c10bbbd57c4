"""How a panel becomes a regression: the strongest design that its data allows, and the ones shown beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from icsat_helpers.halves import answer_halves, split_half_means
from icsat_helpers.inference import WEAK_F, Column, NotEstimable, Slope, pair, slope
from icsat_helpers.panel import Panel, capped_weights, one_row_a_unit
from icsat_helpers.study import Study
from icsat_helpers.words import say

MANY_SITES = 10


@dataclass(frozen=True, slots=True)
class Design:
    """One regression: the rows, and which columns are what.

    Attributes
    ----------
    frame : DataFrame
        unit, t, the columns named below; with halves split and block too.
    outcome : str or (str, str)
        A column, or two halves: each goes with the exposure's half of the same people.
    exposure : str or (str, str)
        A column, or two halves of which one instruments the other.
    fixed_effects : bool
        Unit (block) and period effects, or an intercept only.
    weights, cluster : str
    """

    frame: pd.DataFrame
    outcome: Column
    exposure: Column
    fixed_effects: bool
    weights: str = ""
    cluster: str = "unit"

    @property
    def formula(self) -> str:
        """Formula for `pyfixest.feols` on `rows`."""
        if self.instrumented:
            absorbed = "block^way + t^way" if self.fixed_effects else "way"
            return f"{self._named} ~ 1 | {absorbed} | exposure ~ instrument"
        return f"{self.outcome} ~ {self.exposure}" + (" | unit + t" if self.fixed_effects else "")

    @property
    def _named(self) -> str:
        """Name of the outcome in `rows`; halves have one name with an ending each."""
        return self.outcome if isinstance(self.outcome, str) else self.outcome[0].removesuffix("_a")

    @property
    def instrumented(self) -> bool:
        """Whether one half instruments the other."""
        return not isinstance(self.exposure, str)

    def rows(self, split: int = 0) -> pd.DataFrame:
        """Rows as the formula reads them: of one split, both ways stacked (`exposure`, `instrument`, `way`)."""
        (a, b), outcome = pair(self.exposure), pair(self.outcome)
        one = self.frame.dropna(subset=[a, b, *outcome])
        if not self.instrumented:
            return one
        one = one[one["split"] == split]
        ways = [one.assign(way=way, exposure=one[x], instrument=one[z]) for way, (x, z) in enumerate([(a, b), (b, a)])]
        if not isinstance(self.outcome, str):
            ways = [rows.assign(**{self._named: one[y]}) for rows, y in zip(ways, outcome, strict=True)]
        return pd.concat(ways, ignore_index=True)

    def fit(self) -> Slope:
        """Slope with its leave-one-unit-out covariance."""
        return slope(
            self.frame, self.outcome, self.exposure, fixed_effects=self.fixed_effects, weights=self.weights,
            cluster=self.cluster,
        )  # fmt: skip

    def effective_units(self) -> float:
        """How many clusters of equal say the slope rests on (Carter, Schnepel & Steigerwald 2017, for equal errors).

        A cluster's say is its weighted sum of squares of the exposure, net of unit and period means.
        """
        rows = self.frame.assign(x=self.frame[list(pair(self.exposure))].mean(axis=1), w=1.0).dropna(subset=["x"])
        rows = rows.assign(w=rows[self.weights]) if self.weights else rows
        x = rows["x"] - rows["x"].mean()
        for key in ("unit", "t") if self.fixed_effects else ():
            x = x - x.groupby(rows[key]).transform("mean")
        say = (rows["w"] * x**2).groupby(rows[self.cluster]).sum()
        return float(say.sum() ** 2 / (say**2).sum()) if say.any() else 0.0

    def standardised(self, fitted: Slope) -> float:
        """Slope in standard deviations; of differences between units where the outcome has halves a correlation.

        That is of one half's exposure with the other half's outcome, both ways, averaged over splits.
        """
        if self.fixed_effects or isinstance(self.outcome, str):
            return fitted.standardised
        crossed = list(zip(pair(self.exposure), reversed(self.outcome), strict=True))
        return float(np.mean([part[x].corr(part[y]) for _, part in self.frame.groupby("split") for x, y in crossed]))


def main_design(panel: Panel, units: pd.DataFrame) -> Design:
    """Strongest design for a panel: halves of people where there are persons, else the plain slope.

    Parameters
    ----------
    panel : Panel
        On `precedence` or `association`.
    units : DataFrame
        The table ``units``; from `MANY_SITES` sites up, differences between units are clustered by site.
    """
    if panel.answers.empty:
        return _by_site(plain_design(panel, weighted=False), units)
    precedence = panel.rung == "precedence"
    halves = split_half_means(panel.answers, net=precedence, everyone=shared_people(panel))
    outcome, values = outcome_values(panel)
    if precedence:
        frame, outcome = joined(_with_later(halves), _with_next(values, outcome)), renamed(outcome, "outcome_next")
        return Design(frame.pipe(_answers_halved, panel), outcome, ("half_a", "half_b"), True, "weight")
    columns = ["half_a", "half_b", *dict.fromkeys(pair(outcome))]
    merged = joined(halves, values)
    if merged.empty:
        raise NotEstimable(say("no unit has answers of two people"))
    parts = [one_row_a_unit(part, columns).assign(split=split) for split, part in merged.groupby("split")]
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.assign(weight=capped_weights(frame["n"]), t=0)
    return _by_site(Design(frame, outcome, ("half_a", "half_b"), False, "weight"), units)


def shared_people(panel: Panel) -> pd.DataFrame | None:
    """People who are dealt into halves for exposure and outcome alike; None where the outcome is nobody's answers.

    Raises
    ------
    NotEstimable
        Where both were answered by persons, but not known which: then no half is of other people.
    """
    if "person" not in panel.outcome_answers:
        return None
    both = [answers[["unit", "person", "linked"]] for answers in (panel.answers, panel.outcome_answers)]
    linked = all(part["linked"].mean() > 0.5 for part in both)
    if not linked or not both[1]["person"].isin(both[0]["person"]).any():
        raise NotEstimable(say("it is not known which answers to both questions are of the same person"))
    return pd.concat(both, ignore_index=True).drop(columns="linked")


def outcome_values(panel: Panel) -> tuple[Column, pd.DataFrame]:
    """Outcome of a unit and period: halves of the people of the exposure's halves, or as it is."""
    everyone = shared_people(panel)
    if everyone is None:
        return "outcome", panel.frame.dropna(subset=["outcome"])[["unit", "t", "outcome"]]
    net = panel.rung == "precedence"
    halves = split_half_means(panel.outcome_answers, net=net, everyone=everyone).drop(columns="n")
    names = {"half_a": "outcome_a", "half_b": "outcome_b", "block": "outcome_block"}
    return ("outcome_a", "outcome_b"), halves.rename(columns=names)


def renamed(column: Column, name: str) -> Column:
    """Another name for a column, or for its halves."""
    return name if isinstance(column, str) else (f"{name}_a", f"{name}_b")


def _later(values: pd.DataFrame, column: Column, by: int, name: str) -> pd.DataFrame:
    """Values as they are `by` periods later, under another name."""
    names = dict(zip(pair(column), pair(renamed(column, name)), strict=True))
    keys = [key for key in ("split", "unit", "t", "block", "outcome_block") if key in values]
    return values[[*keys, *names]].assign(t=values["t"] - by).rename(columns=names)


def _with_later(halves: pd.DataFrame) -> pd.DataFrame:
    """Halves of the exposure, beside them those of the next period and of the one after it, of the same block."""
    both, keys = ("half_a", "half_b"), ["split", "unit", "t", "block"]
    frame = halves.merge(_later(halves, both, 1, "exposure_next"), on=keys, how="left")
    return frame.merge(_later(halves, both, 2, "after"), on=keys, how="left")


def _with_next(values: pd.DataFrame, outcome: Column) -> pd.DataFrame:
    """Outcome of the next period, beside it this period's of the same block."""
    nexts = _later(values, outcome, 1, "outcome_next")
    keys = [key for key in ("split", "unit", "t", "outcome_block") if key in values]
    return nexts.merge(values, on=keys, how="left")


def _answers_halved(frame: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Replace this period's outcome by its halves, where the outcome has answers that are nobody's."""
    if panel.outcome_answers.empty or "person" in panel.outcome_answers:
        return frame
    halves = answer_halves(panel.outcome_answers).drop(columns="n")
    halves = halves.rename(columns={"half_a": "outcome_a", "half_b": "outcome_b"})
    return frame.drop(columns="outcome").merge(halves, on=["split", "unit", "t"], how="left")


def joined(halves: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """Halves of the exposure beside the outcome, with weights; blocks finer where the outcome's are."""
    keys = ["split", "unit", "t"] if "split" in values else ["unit", "t"]
    frame = halves.merge(values, on=keys)
    if "outcome_block" in frame:
        frame["block"] = frame.groupby(["block", "outcome_block"], sort=True).ngroup()
    return frame.assign(weight=capped_weights(frame["n"]))


def plain_design(panel: Panel, weighted: bool = True) -> Design:
    """Least squares on unit averages as they are: drawn towards zero by their noise."""
    if panel.rung == "precedence":
        frame, outcome = panel.frame.dropna(subset=["exposure", "outcome_next"]), "outcome_next"
        frame = frame.merge(_later(panel.frame, "exposure", 2, "after"), on=["unit", "t"], how="left")
    else:
        frame, outcome = one_row_a_unit(panel.frame, ["exposure", "outcome"]).assign(t=0), "outcome"
    frame = frame.assign(weight=capped_weights(frame["n"]))
    return Design(frame, outcome, "exposure", panel.rung == "precedence", "weight" if weighted else "")


def between_design(panel: Panel) -> Design:
    """Differences between units only, one row a unit: the lower rung of a panel."""
    frame = one_row_a_unit(panel.frame, ["exposure", "outcome"]).assign(t=0)
    return Design(frame, "outcome", "exposure", False)


def _by_site(design: Design, units: pd.DataFrame) -> Design:
    """Cluster differences between units by site where there are many sites."""
    if design.fixed_effects or "site" not in units:
        return design
    site = units.set_index("unit_id")["site"].reindex(design.frame["unit"]).to_numpy()
    if pd.isna(site).any() or len(pd.unique(site)) < MANY_SITES:
        return design
    return replace(design, frame=design.frame.assign(site=site), cluster="site")


@dataclass(frozen=True, slots=True)
class Strongest:
    """What a panel was tested with.

    Attributes
    ----------
    design, slope : Design and Slope, or None
        None where nothing can be estimated; `reason` says why.
    halves : Slope or None
        Slope of the split halves, also where they were too weak to be the one reported.
    attenuated : bool
        Whether noise still draws the slope to zero.
    """

    design: Design | None
    slope: Slope | None
    halves: Slope | None
    attenuated: bool
    reason: str


def strongest(study: Study, panel: Panel) -> Strongest:
    """Test a panel with halves of its people, or with the plain slope where they hardly move together (F below 4)."""
    if panel.rung == "none":
        return Strongest(None, None, None, False, panel.reason)
    halves, reason = None, ""
    for make in (lambda: main_design(panel, study.table("units")), lambda: plain_design(panel)):
        try:
            design = make()
            fitted = design.fit()
        except NotEstimable as why:
            reason = str(why)
            continue
        halves = fitted if design.instrumented else halves
        if not design.instrumented or fitted.first_stage_f >= WEAK_F:
            return Strongest(design, fitted, halves, not design.instrumented, "")
    return Strongest(None, None, halves, False, reason)
