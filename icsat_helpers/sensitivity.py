"""The same question asked in other ways: checks before a test and sensitivity rows beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from icsat_helpers.designs import Design, Strongest, between_design, plain_design
from icsat_helpers.hazard import Hazard, leaving_hazard
from icsat_helpers.inference import WEAK_F, Estimate, NotEstimable, Slope, moments, wild_p
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.panel import Panel
from icsat_helpers.scores import RECORDS, recorded
from icsat_helpers.study import Study
from icsat_helpers.words import fixed, known, listed, message, places, say, say_each

WILD_DRAWS = 9999
SIGNIFICANT = 0.05
FEW_UNITS = 10  # with fewer of equal say, one unit can turn a slope


@dataclass(frozen=True, slots=True)
class Check:
    """A check made before the test."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Row:
    """A sensitivity row: the same question asked another way. `se` is for the display only."""

    name: str
    estimate: float
    ci_low: float | None
    ci_high: float | None
    p: float | None

    @classmethod
    def of(cls, name: str, estimate: Estimate) -> Row:
        """Row of an estimate with its 95% interval."""
        low, high = estimate.interval()
        return cls(name, estimate.value, low, high, estimate.p)


def left_out(main: Estimate) -> Row:
    """Smallest and largest estimate when one unit at a time is left out."""
    return Row(
        message("range over left-out units"), main.value, float(main.left_out.min()), float(main.left_out.max()), None
    )


def wild_bootstrap(design: Design) -> Row:
    """Wild cluster bootstrap of a plain slope, the null imposed; p only."""
    known, _ = moments(
        design.frame, design.outcome, [design.exposure], fixed_effects=design.fixed_effects, weights=design.weights,
        cluster=design.cluster,
    )  # fmt: skip
    value, p = float(known.coefficients(known.net())[0, 0, 0]), wild_p(known, WILD_DRAWS)
    return Row(message("plain slope, wild cluster bootstrap"), value, None, None, p)


def rows(study: Study, panel: Panel, tested: Strongest) -> tuple[Row, ...]:
    """Rows beside a main slope; one that the data does not allow is left out.

    The plain slope (drawn to zero by noise), unweighted too; on a panel differences between units and the
    wild bootstrap; without one, differences within sites; the range over left-out units.
    """
    design, main = tested.design, tested.slope
    if design is None or main is None:
        return ()
    other = message("plain slope, unweighted") if design.weights else message("plain slope, weighted by answers")
    wanted: list[Callable[[], Row | None]] = [
        lambda: same_people(panel, design, main),
        lambda: Row.of(message("plain slope"), plain_design(panel).fit().estimate) if design.instrumented else None,
        lambda: Row.of(other, plain_design(panel, weighted=not design.weights).fit().estimate),
    ]
    if panel.rung == "precedence":
        wanted += [
            lambda: Row.of(message("differences between units, no panel"), between_design(panel).fit().estimate),
            lambda: wild_bootstrap(plain_design(panel, weighted=False)),
        ]
    else:
        wanted.append(lambda: within_sites(study, panel))
    found = []
    for ask in wanted:
        try:
            found.append(ask())
        except NotEstimable:
            continue
    return (*(row for row in found if row is not None), left_out(main.estimate))


def same_people(panel: Panel, design: Design, main: Slope) -> Row | None:
    """The slope where instrument and outcome come from the same people, whose mood is in both; how much larger it is.

    None where the outcome has no halves of people.
    """
    if isinstance(design.outcome, str):
        return None
    one, two = design.outcome
    fitted = replace(design, outcome=(two, one)).fit()
    more = fitted.estimate.value - main.estimate.value
    part = f", {abs(more / main.estimate.value):.0%}" if main.estimate.p < SIGNIFICANT else ""
    words = f"{abs(more):.2g} {'larger' if more > 0 else 'smaller'}{part}"
    if panel.rung == "association":
        same = plain_design(panel, weighted=False).fit().standardised
        words += f"; correlation {same:.2f}, of disjoint halves {design.standardised(main):.2f}"
    return Row.of(f"the same people asked about both ({words})", fitted.estimate)


def within_sites(study: Study, panel: Panel) -> Row | None:
    """Differences between units of one site, where there are sites with several units."""
    units = study.table("units")
    if "site" not in units:
        return None
    frame = plain_design(panel, weighted=False).frame
    frame = frame.assign(site=units.set_index("unit_id")["site"].reindex(frame["unit"]).to_numpy())
    frame = frame[frame.groupby("site")["unit"].transform("size") > 1]
    if frame["site"].nunique() < 2:
        return None
    inner = frame[["exposure", "outcome"]] - frame.groupby("site")[["exposure", "outcome"]].transform("mean")
    fitted = Design(frame.assign(**inner), "outcome", "exposure", False).fit()
    return Row.of(message("plain slope, within sites"), fitted.estimate)


def checks(main: Slope | None) -> tuple[Check, ...]:
    """Whether the halves of a unit's people correct for noise, and how much of a unit's *change* is more than noise."""
    if main is None or math.isinf(main.first_stage_f):
        return ()
    f, reliability = main.first_stage_f, main.reliability
    return (
        Check(
            "instrument", f >= WEAK_F,
            say("first-stage F {f}; {needed} is needed to correct for noise", f=fixed(f, 0), needed=fixed(WEAK_F, 0)),
        ),
        Check(
            "reliability_of_change", reliability >= 0.5,
            say("reliability of change {reliability}; below {half} more than half of a unit's change is noise",
                reliability=places(reliability, 2), half=places(0.5, 2)),
        ),
    )  # fmt: skip


def records(study: Study, *measures: str) -> tuple[Check, ...]:
    """Whether the rows of ``operations`` have what each measure needs; those without are left out and counted."""
    found = []
    for measure in measures if study.has("operations") else ():
        score = recorded(study, measure)["score"]
        needs = listed(RECORDS[measure])
        needs = needs if measure == "rework" else say("{columns} above 0", columns=needs)
        left = int(score.isna().sum())
        said = (
            say(
                "{n} of {rows} rows of operations are left out for want of {needs}",
                n=left,
                rows=len(score),
                needs=needs,
            )
            if left
            else say("every row of operations has {needs}", needs=needs)
        )
        found.append(Check(f"records_{measure}", not left, said))
    return tuple(found)


def clusters(design: Design, units: int) -> Check:
    """Whether enough units stand behind a slope, those with more change and more answers counting for more."""
    effective = design.effective_units()
    values = {"effective": places(effective, 1), "units": units, "few": FEW_UNITS}
    enough, rests, shaky = effective >= FEW_UNITS, *CLUSTERS[design.cluster]
    return Check("effective_clusters", enough, say(rests if enough else shaky, **values))


CLUSTERS = {
    "unit": (
        message("the slope rests on as much as {effective} units of equal say, of {units} units"),
        message(
            "the slope rests on as much as {effective} units of equal say, of {units} units; below {few} the interval "
            "is wide, and one unit can turn it"
        ),
    ),
    "site": (
        message("the slope rests on as much as {effective} sites of equal say, of {units} units"),
        message(
            "the slope rests on as much as {effective} sites of equal say, of {units} units; below {few} the interval "
            "is wide, and one site can turn it"
        ),
    ),
}


def table(found: tuple[Check, ...]) -> Page:
    """Checks as a table."""
    if not found:
        return paragraphs(say("There is nothing to check here: only aggregates, or no data for the claim."))
    return listing(
        [(known(c.name.replace("_", " ")), c.passed, c.detail) for c in found], say_each("check", "passed", "detail")
    )


def hazard_rows(people: pd.DataFrame, fitted: Hazard) -> tuple[Row, ...]:
    """Rows beside a hazard: the raw own score (drawn to zero by noise), the unit's mean, left-out units."""
    return (
        Row.of(message("own score as it is, not freed of noise"), leaving_hazard(people).average),
        Row.of(message("performers below 4"), fitted.own),
        Row.of(message("unit's mean over all periods"), fitted.unit_mean),
        left_out(fitted.average),
    )
