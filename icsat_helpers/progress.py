"""Whether service got better: change on earlier periods, and goals; the tables and sentences of a page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from icsat_helpers import goals
from icsat_helpers.change import PARTS as CHANGES
from icsat_helpers.change import change
from icsat_helpers.health import unit_names
from icsat_helpers.listing import Page, listing, paragraphs, span, together
from icsat_helpers.periods import PARTS
from icsat_helpers.scores import person_scores, rating_scores
from icsat_helpers.servicemap import HIDDEN, Map, hidden_parts
from icsat_helpers.study import Study
from icsat_helpers.words import fixed, known, message, period, places, say, say_each, series

SPLIT = ["same", "same_low", "same_high", "who", "who_low", "who_high"]


def compared(study: Study) -> list[int]:
    """Numbers of the last period and of the same period last year."""
    return sorted({study.t - 1, study.t - PARTS[study.settings.frequency][1]}, reverse=True)


def publishable_change(frame: pd.DataFrame, minimum: int) -> pd.DataFrame:
    """Leave out rows about fewer than `minimum` people; take away the split where it would tell of a few.

    Who stayed, who came and who went must each be nobody or `minimum` people: with the means before and now, the
    split tells the mean of the few who came or went.
    """
    rows = frame[(frame["people"] >= minimum) & (frame["people_before"] >= minimum)].copy()
    stayed = rows["people_same"]
    few = stayed < minimum
    for moved in (rows["people"] - stayed, rows["people_before"] - stayed):
        few |= (moved > 0) & (moved < minimum)
    rows[SPLIT] = rows[SPLIT].mask(few)
    return rows


def organisation(study: Study) -> Page:
    """Say how the organisation's own `internal` changed, the same people and others apart."""
    answers = person_scores(study, "internal")
    said = []
    for t in compared(study):
        rows = publishable_change(
            change(answers[answers["t"] == study.t], answers[answers["t"] == t]), study.settings.minimum_group
        )
        said += [_sentence(row, study.label(t)) for row in rows.itertuples(index=False)]
    return paragraphs(*said) if said else paragraphs(say("There is no earlier period to compare with."))


def _sentence(row: Any, label: str) -> str:
    values = {
        "period": period(label),
        "change": _part(row, "total"),
        "before": places(row.before, 2),
        "now": places(row.now, 2),
    }
    if not np.isfinite(row.same):
        return say(
            "Since {period} satisfaction with internal service changed by {change}, from {before} to {now}. How much "
            "of it is that other people answered cannot be said.",
            **values,
        )
    return say(
        "Since {period} satisfaction with internal service changed by {change}, from {before} to {now}: {same} among "
        "the {people} people who answered both times, {others} because others answered.",
        same=_part(row, "same"), people=int(row.people_same), others=_part(row, "who"), **values,
    )  # fmt: skip


def _part(row: Any, part: str) -> str:
    return span(getattr(row, part), getattr(row, f"{part}_low"), getattr(row, f"{part}_high"), sign="+")


def providers(study: Study, found: Map) -> Page:
    """List the change of each provider that may be shown in both periods' maps."""
    if found.hidden is None:
        return paragraphs(found.nothing)
    every = rating_scores(study)
    pages = []
    for t in compared(study):
        before = every[every["t"] == t]
        hidden = hidden_parts(study, before)
        if hidden is None:
            continue
        rows = change(found.served.ratings, before, "provider")
        seen = ~(rows["provider"].map(found.hidden.rows) | rows["provider"].map(hidden.rows))
        rows = publishable_change(rows[seen.astype(bool)], found.minimum)
        lines = [
            (found.names[row.provider], row.people, *(_part(row, part) for part in CHANGES))
            for row in rows.itertuples(index=False)
        ]
        changed = say("change since {period}", period=period(study.label(t)))
        head = (*say_each("provider", "people"), changed, *say_each("of the same people", "of who answered"))
        clear = int(((rows["total_low"] > 0) | (rows["total_high"] < 0)).sum())
        sure = int(rows["total_low"].notna().sum())
        note = say(
            "{clear} of {n} intervals lie off zero; about {chance} would by chance alone.",
            clear=clear, n=sure, chance=fixed(0.05 * sure, 0),
        )  # fmt: skip
        pages.append(together(listing(sorted(lines), head), paragraphs(note if sure else "")))
    return together(*pages) if pages else paragraphs(say("There is no earlier period to compare with."))


COUNTED = {
    goals.MET: message("{n} met"),
    goals.MISSED: message("{n} missed"),
    goals.OPEN: message("{n} too early to say"),
    goals.SILENT: message("{n} no answers"),
    HIDDEN: message("{n} hidden to protect small groups"),
}


def goals_page(study: Study, found: Map) -> Page:
    """List the goals of the reported period: met, missed, or too early to say, and how likely each is met."""
    judged = goals.judge(study)
    if judged.empty:
        return paragraphs(say("The study has no goals for this period."))
    shown = set(found.providers.loc[found.providers["shown"], "provider"])
    lines, statuses = [], []
    for name, row in zip(unit_names(study, judged["provider"]), judged.itertuples(index=False), strict=True):
        hidden = row.n > 0 and (row.provider not in shown or row.n < found.minimum)
        statuses.append(HIDDEN if hidden else row.status)
        known_chance = not hidden and np.isfinite(row.probability)
        chance = say("{n} of 100", n=fixed(100 * row.probability, 0)) if known_chance else "–"
        value = "–" if hidden else span(row.value, row.low, row.high)
        lines.append((name, known(row.measure), row.target, value, chance, say(statuses[-1])))
    counts = pd.Series(statuses).value_counts()
    said = series(
        say(COUNTED[status], n=int(counts[status]))
        for status in (goals.MET, goals.MISSED, goals.OPEN, goals.SILENT, HIDDEN)
        if status in counts
    )
    head = say_each("provider", "goal on", "target", "an average customer says", "chance that it is reached", "so")
    told = say("Of {n} goals: {counts}.", n=len(judged), counts=said)
    return together(paragraphs(told), listing(sorted(lines), head))
