"""Associates who are not employees: a study of one group's answers, how their slope differs, how satisfied they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd
from scipy import stats

from icsat_helpers.designs import Design, Strongest, main_design, plain_design
from icsat_helpers.disclosure import coarse, grains, publishable
from icsat_helpers.inference import Estimate, NotEstimable, apart, jackknife, slope
from icsat_helpers.listing import Page, of_frame, paragraphs
from icsat_helpers.margins import suppress_parts
from icsat_helpers.panel import Panel, unit_panel
from icsat_helpers.release import ROUNDING, Statements
from icsat_helpers.scores import person_scores
from icsat_helpers.study import Study
from icsat_helpers.words import known, say, spoken

KINDS = ("employee", "supplier", "contractor", "distributor")
ANSWERED = ("service_ratings", "morale")


def only(study: Study, employees: bool = False) -> Study:
    """The study with the answers of employees alone, or of those known not to be employees; no aggregates."""
    people = study.table("people").reindex(columns=["person_id", "associate_type"]).dropna()
    kept = people.loc[(people["associate_type"] == "employee") == employees, "person_id"]
    tables = {name: table for name, table in study.tables.items() if name != "unit_scores"}
    answers = {name: tables[name][tables[name]["person_id"].isin(kept)] for name in ANSWERED if name in tables}
    return replace(study, tables={**tables, **answers})


def associates_panel(study: Study) -> Panel:
    """Morale on internal satisfaction of associates who are not employees, by unit; or why there is none."""
    return study.once(("associates", spoken()), lambda: _associates_panel(study))


def _associates_panel(study: Study) -> Panel:
    people, others = study.table("people"), only(study)
    found = unit_panel(others, "internal", "morale")
    reason = found.reason
    if not (len(person_scores(study, "internal")) and len(person_scores(study, "morale"))):
        reason = "there are no answers of persons on internal satisfaction and morale (service_ratings and morale)"
    elif "associate_type" not in people or people["associate_type"].isna().all():
        reason = "it is not known who is not an employee (table people with associate_type)"
    elif found.answers["person"].nunique() < study.settings.minimum_group:
        reason = f"fewer than {study.settings.minimum_group} associates who are not employees answered"
    elif reason:
        reason = f"of associates who are not employees: {reason}"
    return replace(found, rung="none" if reason else found.rung, reason=reason)


@dataclass(frozen=True, slots=True)
class Difference:
    """Slope of associates less slope of employees, and whether it is within a bound either way (TOST).

    Attributes
    ----------
    estimate : Estimate
    bound : float
        Smallest effect that matters, above 0, in the unit of the slopes.
    """

    estimate: Estimate
    bound: float

    @property
    def p(self) -> float:
        """P of the two one-sided tests (Schuirmann 1987): small where the difference lies within the bound."""
        above = (self.estimate.value + self.bound) / self.estimate.se
        below = (self.bound - self.estimate.value) / self.estimate.se
        return float(stats.t.sf(min(above, below), self.estimate.dof))


def difference(study: Study, panel: Panel, tested: Strongest, bound: float) -> Difference | None:
    """How much the slope of associates (as `tested`) differs from that of employees; None where it cannot be told.

    Both are fitted at once, each with unit and period effects of its own, so that leaving a unit out leaves out
    its associates and its employees.
    """
    if tested.design is None or tested.slope is None:
        return None
    employees = only(study, employees=True)
    other = unit_panel(employees, "internal", "morale")
    if other.rung != panel.rung:
        return None
    try:
        units = study.table("units")
        design = main_design(other, units) if tested.design.instrumented else plain_design(other)
        return between(tested.design, design, bound)
    except NotEstimable:
        return None


def between(one: Design, two: Design, bound: float) -> Difference:
    """Slope of one design less that of another of the same columns, over clusters that both may share."""
    frame, (first, second) = apart([one.frame, two.frame], one.exposure)
    fitted = slope(frame, one.outcome, first, beside=[second], fixed_effects=one.fixed_effects, weights=one.weights)
    other = fitted.beside[0]
    left_out = fitted.estimate.left_out - other.left_out
    return Difference(jackknife(fitted.estimate.value - other.value, left_out), bound)


def levels(study: Study, measure: str, minimum: int) -> pd.DataFrame:
    """Level of satisfaction of each kind of associate in the reported period, hidden where too few answered.

    The interval is over people: what others of the same kind might have said.

    Returns
    -------
    DataFrame
        kind, people, mean, low, high, step (to which they are rounded; 0 for none), shown.
    """
    scores = person_scores(study, measure)
    kinds = study.table("people").reindex(columns=["person_id", "associate_type"]).set_index("person_id")
    scores = scores.assign(kind=kinds["associate_type"].reindex(scores["person"]).to_numpy())
    bounds = (study.settings.minimum, study.settings.maximum)
    steps = grains(
        scores[scores["t"] >= study.t - 1].dropna(subset=["kind"]), ["t", "kind"], minimum, bounds[1] - bounds[0]
    )
    people = scores[scores["t"] == study.t].groupby(["kind", "person"], as_index=False)["score"].mean()
    if people.empty:
        return pd.DataFrame(columns=["kind", "people", "mean", "low", "high", "step", "shown"])
    hidden = suppress_parts(people.rename(columns={"kind": "part"}), minimum, bounds)
    table = people.groupby("kind")["score"].agg(["size", "mean", "sem"]).reindex(KINDS).dropna(subset=["size"])
    half = stats.t.ppf(0.975, table["size"] - 1) * table["sem"]
    step = [steps.get((study.t, kind), 0.0) for kind in table.index]
    mean, low, high = coarse(table["mean"], table["mean"] - half, table["mean"] + half, step)
    table = table.assign(mean=mean, low=low, high=high, step=step).rename_axis("kind").reset_index()
    table = table.rename(columns={"size": "people"})[["kind", "people", "mean", "low", "high", "step"]]
    return publishable(table, "people", minimum, ["mean", "low", "high"], hidden=table["kind"].map(hidden).astype(bool))


def describe(study: Study, measure: str = "internal", note: str = "") -> Page:
    """Levels as a table; `note` says where answers of different associates do not mean the same."""
    table = levels(study, measure, study.settings.minimum_group)
    if table.empty:
        return paragraphs(say("In the reported period nobody answered whose kind of work is known."))
    shown = of_frame(table.drop(columns="step").assign(kind=[known(kind) for kind in table["kind"]]))
    under = paragraphs(say("Intervals are over people: what others of the same kind might have said."), note)
    return Page(shown.html + under.html, f"{shown.text}\n\n{under.text}", (statements(study, table, measure),))


def statements(study: Study, table: pd.DataFrame, measure: str) -> Statements:
    """What `levels` says of groups; the kinds are all who answered where everybody's is known."""
    place = f"{study.period}: {{}} {study.site}".rstrip()
    groups: dict[str, tuple[int | None, float | None, int]] = {
        place.format(row.kind): (None, None, 1) if row.shown else (int(row.people), row.mean, 1)
        for row in table.itertuples()
    }
    scores = person_scores(study, measure)
    now = scores.loc[scores["t"] == study.t, "person"]
    kinds = study.table("people").reindex(columns=["person_id", "associate_type"]).dropna()
    everybody = now.isin(kinds["person_id"]).all()
    whole = place.format("people")
    sums = ((whole, tuple(groups)),) if everybody else ()
    groups |= {whole: (now.nunique(), None, 1)} if everybody else {}
    scale = (study.settings.minimum, study.settings.maximum)
    return Statements(*scale, groups, sums, half=ROUNDING + table["step"].max() / 2)
