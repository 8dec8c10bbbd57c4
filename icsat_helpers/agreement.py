"""Whether answers may be averaged to units: units differ, their averages are reliable, their people agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from icsat_helpers.halves import split_half_means
from icsat_helpers.inference import Array, NotEstimable, slope
from icsat_helpers.panel import capped_weights
from icsat_helpers.scores import APART, ROUNDING, TABLE_OF, UNIT_OF, person_scores, scales
from icsat_helpers.sensitivity import SIGNIFICANT, Check
from icsat_helpers.study import Study
from icsat_helpers.words import places, say

RELIABLE, HALF = 0.70, 0.50  # the usual bar of an average that is used; below a half there is more noise than signal
AGREED = 0.70  # of rwg (James, Demaree & Wolf 1984)
SMALLEST_CELL = 5  # the variance of fewer answers says little


@dataclass(frozen=True, slots=True)
class Icc:
    """How far people of one unit are alike, and their average reliable: one-way analysis of variance.

    Attributes
    ----------
    icc1, icc1_low, icc1_high
        Share of the variance of one person's score that lies between units; 95% interval.
    icc2, icc2_low, icc2_high
        Reliability of a unit's average.
    f, p
        Test that units do not differ.
    units, people : int
    """

    icc1: float
    icc1_low: float
    icc1_high: float
    icc2: float
    icc2_low: float
    icc2_high: float
    f: float
    p: float
    units: int
    people: int


def icc(score: pd.Series, unit: pd.Series) -> Icc:
    """ICC(1) and ICC(2) at the average size of units (Bliese 2000, as R's multilevel), intervals from F.

    Parameters
    ----------
    score, unit : Series, one row a person; no missing values

    Raises
    ------
    NotEstimable
        Fewer than two units, no unit with two people, or people of a unit who all say the same.

    Examples
    --------
    >>> found = icc(pd.Series([1.0, 2.0, 4.0, 5.0]), pd.Series(["a", "a", "b", "b"]))
    >>> round(found.icc1, 3), round(found.icc2, 3)
    (0.895, 0.944)
    """
    groups = score.groupby(unit.to_numpy())
    n, mean = groups.size().to_numpy(dtype=float), groups.mean().to_numpy()
    units, people = len(n), int(n.sum())
    if units < 2:
        raise NotEstimable(say("there is one unit only") if units else say("nobody answered"))
    if people == units:
        raise NotEstimable(say("no unit has answers of two people"))
    within = float(((score - groups.transform("mean")) ** 2).sum()) / (people - units)
    between = float(n @ (mean - score.mean()) ** 2) / (units - 1)
    if within <= ROUNDING**2:
        raise NotEstimable(say("people of a unit all say the same"))
    size, f = people / units, between / within
    upper, lower = (float(x) for x in stats.f.ppf([0.975, 0.025], units - 1, people - units))
    one, one_low, one_high = ((x - 1) / (x - 1 + size) for x in (f, f / upper, f / lower))
    two, two_low, two_high = (1 - 1 / x if x > 0 else -math.inf for x in (f, f / upper, f / lower))
    p = float(stats.f.sf(f, units - 1, people - units))
    return Icc(one, one_low, one_high, two, two_low, two_high, f, p, units, people)


def rwg(answers: Array, group: pd.Series, null: Array) -> pd.DataFrame:
    """rwg(j) of each group of two or more, the observed variance capped at the null's (James, Demaree & Wolf 1984).

    Parameters
    ----------
    answers : ndarray, n x J
        Rows with a missing answer are left out.
    group : Series, n
    null : ndarray, J
        Variance of each item if people answered at random; (A^2 - 1) / 12 for A equally likely points.

    Returns
    -------
    DataFrame
        group, n, rwg (0: no more agreement than by chance, 1: everybody says the same).

    Examples
    --------
    >>> rwg(np.array([[4.0], [5.0], [4.0], [5.0]]), pd.Series(["a"] * 4), np.array([2.0]))["rwg"].round(3).tolist()
    [0.833]
    """
    complete = np.isfinite(answers).all(axis=1)
    groups = pd.DataFrame(answers[complete]).groupby(group.to_numpy()[complete], sort=True)
    share = (groups.var() / null).mean(axis=1).clip(upper=1.0)
    items = answers.shape[1]
    value = items * (1 - share) / (items * (1 - share) + share)
    frame = pd.DataFrame({"n": groups.size(), "rwg": value}).rename_axis("group").reset_index()
    return frame[frame["n"] > 1].reset_index(drop=True)


def agreement(study: Study, measure: str) -> tuple[pd.DataFrame, int]:
    """rwg(j) of the reported period within units (morale), or within unit and provider (internal), of five or more.

    Returns
    -------
    tuple of DataFrame, as `rwg` gives it, and int
        The second is how many people stand behind it; one person rates several providers.

    Raises
    ------
    NotEstimable
        No items, answers that are no whole points (scale means someone else computed), or no group of five.
    """
    kind, _, scale = measure.partition(".")
    found = scales(study, kind) if kind in TABLE_OF else {}
    names = found.get(scale, []) if scale else [i for s, items in found.items() if s not in APART for i in items]
    table = study.table(TABLE_OF[kind]) if names else pd.DataFrame({"t": []})
    rows = table[table["t"] == study.t]
    if not len(rows):
        raise NotEstimable(say("there are no answers of persons"))
    settings = study.settings
    points = np.array([settings.items[name].maximum - settings.items[name].minimum for name in names])
    step = (settings.maximum - settings.minimum) / points
    answers = rows[names].to_numpy(dtype=float)
    steps = (answers - settings.minimum) / step
    if (np.abs(steps - np.round(steps)) > 1e-6).any():
        raise NotEstimable(say("answers are no whole points: there is no chance to compare a mean of items with"))
    cell = rows[UNIT_OF[kind]].astype(str)
    cell = cell + "\n" + rows["provider_unit"].astype(str) if kind == "internal" else cell
    cells = rwg(answers, cell, ((points + 1) ** 2 - 1) / 12 * step**2)
    cells = cells[cells["n"] >= SMALLEST_CELL].reset_index(drop=True)
    if cells.empty:
        raise NotEstimable(say("no group has {n} complete answers", n=SMALLEST_CELL))
    behind = np.isfinite(answers).all(axis=1) & cell.isin(cells["group"]).to_numpy()
    return cells, int(rows["person_id"][behind].nunique())


def reliability_of_change(study: Study, measure: str) -> float:
    """How much of a unit's change between periods is more than noise: two halves of its people, 2f / (1 + f).

    Raises
    ------
    NotEstimable
        One period only, too few units, or halves that do not move together.
    """
    answers = person_scores(study, measure)
    if answers["t"].nunique() < 2:
        raise NotEstimable(say("there is one period only"))
    answers = answers[answers.groupby("unit")["person"].transform("nunique") > 1]
    if answers.empty:
        raise NotEstimable(say("no unit has answers of two people"))
    halves = split_half_means(answers)
    halves = halves.assign(weight=capped_weights(halves["n"]))
    return slope(halves, "half_a", ("half_a", "half_b"), weights="weight").reliability


@dataclass(frozen=True, slots=True)
class Averaging:
    """What is known of a measure's unit averages; what cannot be told is None, and `reasons` says why.

    Attributes
    ----------
    measure : str
    people : int
        Who answered in the reported period.
    minimum : int
        Fewer people are not shown.
    icc : Icc or None
    cells : (DataFrame, int) or None
        As `agreement` gives them.
    change : float or None
        Reliability of change.
    reasons : dict of {"icc", "cells", "change"} to str
    """

    measure: str
    people: int
    minimum: int
    icc: Icc | None
    cells: tuple[pd.DataFrame, int] | None
    change: float | None
    reasons: dict[str, str]

    @property
    def agreed(self) -> float | None:
        """Median rwg(j) over groups; None where it cannot be told or describes too few people."""
        if self.cells is None or self.cells[1] < self.minimum:
            return None
        return float(self.cells[0]["rwg"].median())

    @property
    def checks(self) -> tuple[Check, ...]:
        """Units differ, their averages are reliable, their people agree: as far as it can be told and may be shown."""
        if self.people < self.minimum or self.icc is None:
            return ()
        one, two, agreed = self.icc.icc1, self.icc.icc2, self.agreed
        share = say(
            "ICC(1) {value}: the share of differences between people that lies between units", value=places(one, 2)
        )
        usual = say(
            "ICC(2) {value}; {bar} is the usual bar for a unit's average", value=places(two, 2), bar=places(RELIABLE, 2)
        )
        rows = [Check("units_differ", self.icc.p < SIGNIFICANT, share)]
        rows.append(Check("reliable_averages", two >= RELIABLE, usual))
        if agreed is not None:
            detail = say(
                "median rwg(j) {value}; from {bar} on people of a unit agree",
                value=places(agreed, 2), bar=places(AGREED, 2),
            )  # fmt: skip
            rows.append(Check("people_agree", agreed >= AGREED, detail))
        return tuple(rows)


def averaging(study: Study, measure: str) -> Averaging:
    """Everything that is known of the averages of a measure or scale with answers of persons."""
    scores = person_scores(study, measure)
    now = scores[scores["t"] == study.t]
    asked: dict[str, Callable[[], Any]] = {
        "icc": lambda: icc(now["score"], now["unit"]),
        "cells": lambda: agreement(study, measure),
        "change": lambda: reliability_of_change(study, measure),
    }
    parts: dict[str, Any] = dict.fromkeys(asked)
    reasons = {}
    for name, ask in asked.items():
        try:
            parts[name] = ask()
        except NotEstimable as why:
            reasons[name] = str(why)
    people = int(now["person"].nunique())
    return Averaging(measure, people, study.settings.minimum_group, **parts, reasons=reasons)


def checks(study: Study, measure: str) -> tuple[Check, ...]:
    """Checks for a notebook whose claim rests on unit averages of a measure; none where there are no persons."""
    return averaging(study, measure).checks
