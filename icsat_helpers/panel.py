"""The tables that models need: units by period with leads, and what may be done with them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from icsat_helpers.inference import FEWEST_UNITS
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.scores import answers_of, missing_measure, person_scores, unit_scores
from icsat_helpers.study import Study
from icsat_helpers.words import message, say, say_each, spoken

RUNGS = {
    "association": message("association"),
    "precedence": message("precedence"),
    "intervention": message("intervention"),
}
WEIGHT_CAP = 4.0  # times the median: a few very large units must not decide alone


@dataclass(frozen=True, slots=True)
class Panel:
    """An exposure and an outcome over units and periods, and what may be done with them.

    Attributes
    ----------
    frame : DataFrame
        unit, t, exposure, outcome, n (answers behind the exposure), n_outcome, outcome_next, exposure_next
        (the following period's, NaN where that very period is missing).
    answers : DataFrame
        unit, t, person, linked, score: the persons behind the exposure; empty where there are only aggregates.
    rung : {"precedence", "association", "none"}
    reason : str
        Why the rung is "none", else "".
    warnings : tuple of str
    outcome_answers : DataFrame
        unit, t, score, and where it is known whose they are person, linked: the answers behind the outcome.
    """

    frame: pd.DataFrame
    answers: pd.DataFrame
    rung: str
    reason: str
    warnings: tuple[str, ...]
    outcome_answers: pd.DataFrame = field(default_factory=pd.DataFrame)


def lead(frame: pd.DataFrame, columns: list[str], by: int = 1) -> pd.DataFrame:
    """Add ``<column>_next``: its value `by` periods later in the same unit; a missing period stays missing.

    Examples
    --------
    >>> lead(pd.DataFrame({"unit": "a", "t": [1, 2, 4], "y": [1.0, 2.0, 4.0]}), ["y"])["y_next"].tolist()
    [2.0, nan, nan]
    """
    later = frame[["unit", "t", *columns]].assign(t=frame["t"] - by)
    return frame.merge(later.rename(columns={c: f"{c}_next" for c in columns}), on=["unit", "t"], how="left")


def unit_panel(study: Study, exposure: str, outcome: str) -> Panel:
    """Bring an exposure and an outcome together and find the highest rung they reach.

    `precedence` needs three or more periods: pairs of an exposure and the next period's outcome in at least two
    periods, in at least five units. Where the persons' periods alone reach it, older aggregates are left out;
    else a series of both carries ``mixed_source``.
    """
    return study.once((exposure, outcome, spoken()), lambda: _unit_panel(study, exposure, outcome))


def _unit_panel(study: Study, exposure: str, outcome: str) -> Panel:
    x, y = unit_scores(study, exposure), unit_scores(study, outcome)
    missing = [missing_measure(name) for name, part in ((exposure, x), (outcome, y)) if part.empty]
    empty = person_scores(study, exposure).iloc[:0]
    if missing:
        return Panel(_join(x, y), empty, "none", _lacks(missing), ())
    persons = x[~x["given"]]
    if len(persons) < len(x) and _rung(_join(persons, y))[0] == "precedence":
        x = persons
    frame = _join(x, y)
    rung, reason = _rung(frame)
    used = frame.dropna(subset=["exposure", "outcome_next" if rung == "precedence" else "outcome"])
    warnings = []
    later = "_next" if rung == "precedence" else ""
    if _shared_sources(used["source"], used[f"source_outcome{later}"]):
        warnings.append("same_source")
    if used["n"].isna().any():
        warnings.append("n_unknown")
    if used["given"].nunique() > 1 or used[f"given_outcome{later}"].nunique() > 1:
        warnings.append("mixed_source")
    answers = empty if x["given"].any() else person_scores(study, exposure)
    return Panel(frame, answers, rung, reason, tuple(warnings), answers_of(study, outcome, y))


def _lacks(missing: list[str]) -> str:
    if len(missing) == 1:
        return say("the study has no {one}", one=missing[0])
    return say("the study has no {one} and no {other}", one=missing[0], other=missing[1])


def _join(x: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    x = x.rename(columns={"value": "exposure"})
    y = y.rename(columns={"value": "outcome", "n": "n_outcome", "source": "source_outcome", "given": "given_outcome"})
    frame = x.merge(y, on=["unit", "t"], how="outer").sort_values(["unit", "t"], ignore_index=True)
    return lead(frame, ["outcome", "exposure", "source_outcome", "given_outcome"])


def _shared_sources(one: pd.Series, two: pd.Series) -> bool:
    """Whether any row has a source in common; several sources of one value stand beside each other, with a +."""
    pairs = pd.DataFrame({"one": one, "two": two}).dropna().drop_duplicates()
    return any(set(a.split(" + ")) & set(b.split(" + ")) - {""} for a, b in pairs.itertuples(index=False))


def _rung(frame: pd.DataFrame) -> tuple[str, str]:
    pairs = frame.dropna(subset=["exposure", "outcome_next"])
    repeated = pairs.groupby("unit")["t"].transform("nunique") > 1
    if pairs.loc[repeated, "t"].nunique() > 1 and pairs.loc[repeated, "unit"].nunique() >= FEWEST_UNITS:
        return "precedence", ""
    units = frame.dropna(subset=["exposure", "outcome"])["unit"].nunique()
    if units >= FEWEST_UNITS:
        return "association", ""
    return "none", say("only {n} units have both measures; at least {needed} are needed", n=units, needed=FEWEST_UNITS)


def capped_weights(n: pd.Series) -> pd.Series:
    """Answers as weights, capped at `WEIGHT_CAP` times their median; all ones where any is unknown."""
    if n.isna().any():
        return pd.Series(1.0, index=n.index)
    return n.clip(upper=WEIGHT_CAP * float(n.median())).astype(float)


def one_row_a_unit(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Unit means of `columns` over periods in which all are there, net of the periods' own means."""
    rows = frame.dropna(subset=columns)
    centred = rows[columns] - rows.groupby("t")[columns].transform("mean") + rows[columns].mean()
    others = rows.groupby("unit")[["n"]].sum(min_count=1)
    return centred.groupby(rows["unit"]).mean().join(others).reset_index()


def describe(panel: Panel) -> Page:
    """What a panel holds: units, periods, pairs of an exposure and an outcome, and the rung they reach."""
    if panel.rung == "none":
        return paragraphs(say("This study cannot answer it: {reason}.", reason=panel.reason))
    used = panel.frame.dropna(subset=["exposure", "outcome_next" if panel.rung == "precedence" else "outcome"])
    people = panel.answers["person"].nunique() if len(panel.answers) else None
    rows = [
        (say("rung"), say(RUNGS[panel.rung])),
        (say("units"), used["unit"].nunique()),
        (say("periods"), used["t"].nunique()),
        (say("units x periods"), len(used)),
        (say("people behind the exposure"), people if people is not None else say("not known: only aggregates")),
    ]
    return listing(rows, say_each("what", "n"))
