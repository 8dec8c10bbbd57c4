"""The same question asked in other ways: checks before a test and sensitivity rows beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from icsat_helpers.designs import Design, Strongest, between_design, plain_design, reverse_design
from icsat_helpers.hazard import Hazard, leaving_hazard
from icsat_helpers.inference import WEAK_F, Estimate, NotEstimable, Slope
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.panel import Panel
from icsat_helpers.study import Study

WILD_DRAWS = 9999
SIGNIFICANT = 0.05


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
    return Row("range over left-out units", main.value, float(main.left_out.min()), float(main.left_out.max()), None)


def wild_bootstrap(design: Design) -> Row:
    """Wild cluster bootstrap of a plain unweighted slope (all that pyfixest offers), the null imposed; p only."""
    import pyfixest as pf

    rows = design.rows().assign(unit=lambda d: pd.factorize(d["unit"], sort=True)[0])
    fit = pf.feols(design.formula, rows, vcov={"CRV1": "unit"})
    drawn = fit.wildboottest(param=str(design.exposure), reps=WILD_DRAWS, seed=20260930)
    p = max(float(drawn["Pr(>|t|)"]), 1 / (WILD_DRAWS + 1))
    return Row("plain slope, wild cluster bootstrap", float(fit.coef()[str(design.exposure)]), None, None, p)


def rows(study: Study, panel: Panel, tested: Strongest, outcome: str) -> tuple[Row, ...]:
    """Rows beside a main slope; one that the data does not allow is left out.

    The plain slope (drawn to zero by noise), unweighted too; on a panel differences between units, the reverse
    path and the wild bootstrap; without one, differences within sites; the range over left-out units.
    """
    design, main = tested.design, tested.slope
    if design is None or main is None:
        return ()
    other = "unweighted" if design.weights else "weighted by answers"
    wanted: list[Callable[[], Row | None]] = [
        lambda: Row.of("plain slope", plain_design(panel).fit().estimate) if design.instrumented else None,
        lambda: Row.of(f"plain slope, {other}", plain_design(panel, weighted=not design.weights).fit().estimate),
    ]
    if panel.rung == "precedence":
        wanted += [
            lambda: Row.of("differences between units, no panel", between_design(panel).fit().estimate),
            lambda: reverse_row(reverse_design(study, panel, outcome)),
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


def reverse_row(design: Design | None) -> Row | None:
    """Reverse path: the outcome now, internal satisfaction next; plain where the outcome's halves are weak."""
    if design is None:
        return None
    fitted = design.fit()
    if design.instrumented and fitted.first_stage_f < WEAK_F:
        means = design.frame.groupby(["unit", "t"], as_index=False).mean(numeric_only=True)
        means = means.assign(mean=means[["half_a", "half_b"]].mean(axis=1)).drop(columns=["split", "block"])
        fitted = Design(means, design.outcome, "mean", True, design.weights).fit()
        return Row.of("reverse path: outcome now, satisfaction next (attenuated)", fitted.estimate)
    return Row.of("reverse path: outcome now, satisfaction next", fitted.estimate)


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
    return Row.of("plain slope, within sites", fitted.estimate)


def checks(main: Slope | None) -> tuple[Check, ...]:
    """Whether the halves of a unit's people correct for noise, and how much of a unit's *change* is more than noise."""
    if main is None or math.isinf(main.first_stage_f):
        return ()
    f, reliability = main.first_stage_f, main.reliability
    return (
        Check("instrument", f >= WEAK_F, f"first-stage F {f:.0f}; {WEAK_F:.0f} is needed to correct for noise"),
        Check(
            "reliability_of_change", reliability >= 0.5,
            f"reliability of change {reliability:.2f}; below .50 more than half of a unit's change is noise",
        ),
    )  # fmt: skip


def reverse_checks(found: tuple[Row, ...]) -> tuple[Check, ...]:
    """Whether the outcome is followed by the exposure: then unit effects are no longer innocent."""
    return tuple(
        Check(
            "reverse_path",
            row.p >= SIGNIFICANT,
            f"the outcome is followed by satisfaction with p = {row.p:.3f}",
        )
        for row in found
        if row.name.startswith("reverse path") and row.p is not None
    )


def table(found: tuple[Check, ...]) -> Page:
    """Checks as a table."""
    if not found:
        return paragraphs("There is nothing to check here: only aggregates, or no data for the claim.")
    return listing([(c.name.replace("_", " "), c.passed, c.detail) for c in found], ("check", "passed", "detail"))


def hazard_rows(people: pd.DataFrame, fitted: Hazard) -> tuple[Row, ...]:
    """Rows beside a hazard: the raw own score (drawn to zero by noise), the unit's mean, left-out units."""
    return (
        Row.of("own score as it is, not freed of noise", leaving_hazard(people).average),
        Row.of("performers below 4", fitted.own),
        Row.of("unit's mean over all periods", fitted.unit_mean),
        left_out(fitted.average),
    )
