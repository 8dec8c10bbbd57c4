"""Which rows say what drives an outcome: each outcome on the kind of variation that its claim is tested on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from icsat_helpers.claims import leaving, leaving_measure
from icsat_helpers.halves import SPLITS, halves_of
from icsat_helpers.inference import FEWEST_UNITS, NotEstimable
from icsat_helpers.panel import capped_weights, one_row_a_unit, unit_panel
from icsat_helpers.risk import risk_set
from icsat_helpers.scores import APART, person_scores, scale_scores, scales, unit_scores
from icsat_helpers.shapley import Importance, importance
from icsat_helpers.study import Study
from icsat_helpers.words import known, message, period, say

PRESENT = 0.5  # of the rows; a scale that is asked of fewer would cost the others their rows
OUTCOMES = {
    "overall": message("overall satisfaction"),
    "morale": message("morale"),
    "external": message("external score"),
    "retention": message("staying"),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one outcome.

    Attributes
    ----------
    level : str
        Which differences are compared, in words.
    frame : DataFrame
        `unit` (what is drawn and permuted: a provider or a customer unit), `t`, the scales, `outcome`, `weight` and,
        where its effects are removed, `block`; sorted, without missing values.
    scales : list of str
    later : bool
        Whether the outcome is of the next period.
    self_reported : bool
        Whether the same people answered the scales and the outcome.
    """

    level: str
    frame: pd.DataFrame
    scales: list[str]
    later: bool = False
    self_reported: bool = False

    @property
    def n(self) -> int:
        """Rows, those of split halves counted once."""
        return len(self.frame.drop_duplicates(["unit", "t"]) if "half" in self.frame else self.frame)

    @property
    def block(self) -> str:
        """The column of what is compared only with itself, or ""."""
        return "block" if "block" in self.frame else ""

    @property
    def formula(self) -> str:
        """Formula for `pyfixest.feols` on `table`; its R-squared within is the sum of the shares."""
        absorbed = " + ".join([*([self.block] if self.block else []), "t"])
        return f"outcome ~ {' + '.join(f'`{_quotable(scale)}`' for scale in self.scales)} | {absorbed}"

    @property
    def table(self) -> pd.DataFrame:
        """The frame with names of scales that stand in a formula."""
        return self.frame.rename(columns={scale: _quotable(scale) for scale in self.scales})


def _quotable(scale: str) -> str:
    return scale.replace("`", "'")


@dataclass(frozen=True, slots=True)
class Drivers:
    """What the scales account for in one outcome, a key of `OUTCOMES`; without rows `reason` says why."""

    outcome: str
    rows: Rows | None = None
    importance: Importance | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """The outcome in words."""
        return say(OUTCOMES[self.outcome])


def measured(study: Study) -> list[str]:
    """Scales of `internal` that the study has, from its items or from aggregates; without those reported apart."""
    found = list(scales(study, "internal")) if study.has("service_ratings") else []
    given = study.table("unit_scores").reindex(columns=["measure"])["measure"].astype(str)
    found += sorted({m.partition(".")[2] for m in given if m.startswith("internal.")})
    return [scale for scale in dict.fromkeys(found) if scale not in APART]


def drivers(study: Study) -> list[Drivers]:
    """What the scales of internal satisfaction account for, outcome by outcome.

    Overall satisfaction: ratings that one person gives to several providers, so that it does not count who is
    lenient; drawn and permuted by provider. Morale and external score: a unit over time and the outcome of the next
    period, as the claims are tested; morale from other people than the scales. Staying: people of one unit, in the
    next period. Differences between people, or between units, where the study has no more.
    """
    ways = {"overall": _overall, "morale": _morale, "external": _external, "retention": _retention}
    return [_weighed(study, outcome, way) for outcome, way in ways.items()]


def _weighed(study: Study, outcome: str, way: Callable[[Study, list[str]], Rows]) -> Drivers:
    names = measured(study)
    try:
        if len(names) < 2:
            raise NotEstimable(say("the study does not have two scales of internal satisfaction to compare"))
        rows = way(study, names)
        if len(rows.scales) < 2:
            raise NotEstimable(say("fewer than two scales were answered often enough"))
        return Drivers(
            outcome, rows, importance(rows.frame, rows.scales, "outcome", block=rows.block, weights="weight")
        )
    except NotEstimable as why:
        return Drivers(outcome, reason=str(why))


def _overall(study: Study, names: list[str]) -> Rows:
    """Ratings of the period, of one person where people rate several providers; else people, else units."""
    if "overall" not in (scales(study, "internal") if study.has("service_ratings") else ()):
        return _units(study, names, "internal.overall", ahead=False)
    sheets = scale_scores(study, "internal").rename(columns={"overall": "outcome"})
    sheets = sheets[sheets["t"] == study.t].assign(weight=1.0)
    kept, when = _answered(sheets, names), period(study.period)
    rows = sheets.dropna(subset=[*kept, "outcome"])
    several = rows[rows.groupby(["person", "unit"])["provider"].transform("nunique") > 1]
    if 2 * len(several) < len(rows) or several["provider"].nunique() < FEWEST_UNITS:
        people = rows.groupby(["unit", "t", "person"], as_index=False)[[*kept, "outcome", "weight"]].mean()
        return Rows(say("differences between people in {period}", period=when), people, kept, self_reported=True)
    several = several.sort_values(["provider", "unit", "person"], ignore_index=True)
    several = several.assign(block=several.groupby(["unit", "person"]).ngroup(), unit=several["provider"])
    return Rows(
        say("how one person rates several providers in {period}", period=when), several, kept, self_reported=True
    )


def _external(study: Study, names: list[str]) -> Rows:
    return _units(study, names, "external")


def _morale(study: Study, names: list[str]) -> Rows:
    return _units(study, names, "morale")


def _retention(study: Study, names: list[str]) -> Rows:
    """People of one unit and whether they are still there a period later; else the units' turnover, turned round."""
    measure = leaving_measure(study)
    if not measure:
        raise NotEstimable(leaving(study))
    if measure != "persons":
        found = _units(study, names, measure)
        turned = found.frame.assign(outcome=-found.frame["outcome"])
        return replace(
            found,
            frame=turned,
            level=say("{level} ({measure}, turned round)", level=found.level, measure=known(measure.replace("_", " "))),
        )
    people, _, _ = risk_set(study, splits=1)
    own = _people(study, names)
    kept = _answered(own, names)
    rows = people[["unit", "t", "person", "event"]].merge(own, on=["unit", "t", "person"]).dropna(subset=kept)
    rows = rows.assign(outcome=1 - rows["event"], weight=1.0, block=rows["unit"])
    rows = rows.sort_values(["unit", "t", "person"], ignore_index=True)
    return Rows(say("people of one unit, and who is still there a period later"), rows, kept, later=True)


def _units(study: Study, names: list[str], measure: str, ahead: bool = True) -> Rows:
    """Units over time, the outcome `ahead` by a period, where there is a panel; else differences between units."""
    panel = unit_panel(study, "internal", measure)
    if panel.rung == "none":
        raise NotEstimable(panel.reason)
    over_time = panel.rung == "precedence"
    by = int(over_time and ahead)
    apart = measure == "morale" and len(panel.answers) > 0 and len(person_scores(study, "morale")) > 0
    frame = _other_people(study, names, by) if apart else _averages(study, names, measure, by)
    kept = _answered(frame, names)
    frame = frame.dropna(subset=[*kept, "outcome"]).sort_values(["unit", "t", "half"], ignore_index=True)
    reported = "same_source" in panel.warnings and not apart
    weigh = capped_weights if len(panel.answers) else np.ones_like  # aggregates count alike, as where claims are tested
    if over_time:
        frame = frame.assign(weight=weigh(frame["n"]), block=frame.groupby(["unit", "half"]).ngroup())
        return Rows(
            say("a unit over time, the outcome a period later") if by else say("a unit over time"),
            frame,
            kept,
            bool(by),
            reported,
        )
    parts = [one_row_a_unit(part, [*kept, "outcome"]) for _, part in frame.groupby("half")]
    frame = pd.concat(parts or [frame], ignore_index=True).sort_values("unit", kind="stable")
    return Rows(say("differences between units"), frame.assign(t=0, weight=weigh(frame["n"])), kept, False, reported)


def _averages(study: Study, names: list[str], measure: str, by: int) -> pd.DataFrame:
    """Unit averages as they are: unit, t, n, half (0), the scales, and the outcome `by` periods later."""
    keys = ["unit", "t"]
    later = unit_scores(study, measure)[[*keys, "value"]].rename(columns={"value": "outcome"})
    frame = unit_scores(study, "internal")[[*keys, "n"]].merge(later.assign(t=later["t"] - by), on=keys)
    for name in names:
        scores = unit_scores(study, f"internal.{name}")[[*keys, "value"]].rename(columns={"value": name})
        frame = frame.merge(scores, on=keys, how="left")
    return frame.assign(half=0)


def _other_people(study: Study, names: list[str], by: int) -> pd.DataFrame:
    """As `_averages` on morale, but scales and morale come from disjoint halves of the people, split in many ways."""
    keys = ["unit", "t"]
    own = _people(study, names)
    later = person_scores(study, "morale").rename(columns={"score": "outcome"})
    later = later.assign(t=later["t"] - by)
    who = pd.concat([own, later])[["person", "unit"]].drop_duplicates("person").sort_values("person")
    parts = []
    for split, second in enumerate(halves_of(who["person"], who["unit"], SPLITS)):
        half = dict(zip(who["person"], second, strict=True))
        for way in (False, True):
            one = own[own["person"].map(half) == way].groupby(keys)[names].mean()
            other = later[later["person"].map(half) != way].groupby(keys)[["outcome"]].mean()
            parts.append(one.join(other, how="inner").assign(half=2 * split + way))
    n = own.groupby(keys).size().rename("n").astype(float)
    return pd.concat(parts).join(n).reset_index()


def _people(study: Study, names: list[str]) -> pd.DataFrame:
    """Scale scores of a person in a period: their mean over the providers they rated."""
    sheets = scale_scores(study, "internal").reindex(columns=["unit", "t", "person", *names])
    return sheets.groupby(["unit", "t", "person"], as_index=False)[names].mean()


def _answered(rows: pd.DataFrame, names: list[str]) -> list[str]:
    """Scales that are there in at least half of the rows: one that few are asked would cost the others their rows."""
    return [name for name in names if name in rows and rows[name].notna().mean() >= PRESENT]
