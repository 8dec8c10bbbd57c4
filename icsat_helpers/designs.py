"""How a panel becomes a regression: the strongest design that its data allows, and the ones shown beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from icsat_helpers.halves import answer_halves, split_half_means
from icsat_helpers.inference import WEAK_F, NotEstimable, Slope, slope
from icsat_helpers.panel import FEWEST_UNITS, Panel, capped_weights, one_row_a_unit
from icsat_helpers.study import Study

MANY_SITES = 10


@dataclass(frozen=True, slots=True)
class Design:
    """One regression: the rows, and which columns are what.

    Attributes
    ----------
    frame : DataFrame
        unit, t, the columns named below; with halves split and block too.
    outcome : str
    exposure : str or (str, str)
        A column, or two halves of which one instruments the other.
    fixed_effects : bool
        Unit (block) and period effects, or an intercept only.
    weights, cluster : str
    """

    frame: pd.DataFrame
    outcome: str
    exposure: str | tuple[str, str]
    fixed_effects: bool
    weights: str = ""
    cluster: str = "unit"

    @property
    def formula(self) -> str:
        """Formula for `pyfixest.feols` on `rows`."""
        if self.instrumented:
            absorbed = "block^way + t^way" if self.fixed_effects else "way"
            return f"{self.outcome} ~ 1 | {absorbed} | exposure ~ instrument"
        return f"{self.outcome} ~ {self.exposure}" + (" | unit + t" if self.fixed_effects else "")

    @property
    def splits(self) -> int:
        """Number of splits into halves; 1 where nothing is split."""
        return int(self.frame["split"].nunique()) if self.instrumented else 1

    @property
    def instrumented(self) -> bool:
        """Whether one half instruments the other."""
        return not isinstance(self.exposure, str)

    def rows(self, split: int = 0) -> pd.DataFrame:
        """Rows as the formula reads them: of one split, both ways stacked (`exposure`, `instrument`, `way`)."""
        if isinstance(self.exposure, str):
            return self.frame.dropna(subset=[self.outcome, self.exposure])
        a, b = self.exposure
        one = self.frame[self.frame["split"] == split].dropna(subset=[self.outcome, a, b])
        ways = [one.assign(way=way, exposure=one[x], instrument=one[z]) for way, (x, z) in enumerate([(a, b), (b, a)])]
        return pd.concat(ways, ignore_index=True)

    def fit(self) -> Slope:
        """Slope with its leave-one-unit-out covariance."""
        return slope(
            self.frame, self.outcome, self.exposure, fixed_effects=self.fixed_effects, weights=self.weights,
            cluster=self.cluster,
        )  # fmt: skip


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
    halves = split_half_means(panel.answers, net=precedence)
    if precedence:
        outcome = panel.frame.dropna(subset=["exposure", "outcome_next"])[["unit", "t", "outcome_next", "n"]]
        outcome = outcome.assign(weight=capped_weights(outcome["n"])).drop(columns="n")
        return Design(halves.merge(outcome, on=["unit", "t"]), "outcome_next", ("half_a", "half_b"), True, "weight")
    outcome = panel.frame.dropna(subset=["exposure", "outcome"])[["unit", "t", "outcome"]]
    columns = ["half_a", "half_b", "outcome"]
    merged = halves.merge(outcome, on=["unit", "t"])
    if merged.empty:
        raise NotEstimable("no unit has answers of two people")
    parts = [one_row_a_unit(part, columns).assign(split=split) for split, part in merged.groupby("split")]
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.assign(weight=capped_weights(frame["n"]), t=0)
    return _by_site(Design(frame, "outcome", ("half_a", "half_b"), False, "weight"), units)


def plain_design(panel: Panel, weighted: bool = True) -> Design:
    """Least squares on unit averages as they are: drawn towards zero by their noise."""
    if panel.rung == "precedence":
        frame, outcome = panel.frame.dropna(subset=["exposure", "outcome_next"]), "outcome_next"
    else:
        frame, outcome = one_row_a_unit(panel.frame, ["exposure", "outcome"]).assign(t=0), "outcome"
    frame = frame.assign(weight=capped_weights(frame["n"]))
    return Design(frame, outcome, "exposure", panel.rung == "precedence", "weight" if weighted else "")


def between_design(panel: Panel) -> Design:
    """Differences between units only, one row a unit: the lower rung of a panel."""
    frame = one_row_a_unit(panel.frame, ["exposure", "outcome"]).assign(t=0)
    return Design(frame, "outcome", "exposure", False)


def reverse_design(study: Study, panel: Panel, outcome: str) -> Design | None:
    """Outcome now, internal satisfaction next; instrumented where the outcome has answers. None without a panel."""
    if panel.rung != "precedence":
        return None
    later = panel.frame.dropna(subset=["outcome", "exposure_next"])
    if later.groupby("unit")["t"].nunique().gt(1).sum() < FEWEST_UNITS or later["t"].nunique() < 2:
        return None
    later = later.assign(weight=capped_weights(later["n_outcome"]))
    if outcome != "external" or not study.has("external_ratings"):
        return Design(later, "exposure_next", "outcome", True)
    answers = study.table("external_ratings").rename(columns={"unit_id": "unit"})
    halves = answer_halves(answers[["unit", "t", "score"]]).drop(columns="n")
    halves["block"] = pd.factorize(halves["unit"], sort=True)[0]
    frame = halves.merge(later[["unit", "t", "exposure_next", "weight"]], on=["unit", "t"])
    return Design(frame, "exposure_next", ("half_a", "half_b"), True, "weight")


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
    """Test a panel with halves of its people, or with the plain slope where they hardly move together (F below 10)."""
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
