"""Whether service got better: change on earlier periods, and goals; the tables and sentences of a page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from icsat_helpers import goals
from icsat_helpers.change import PARTS as CHANGES
from icsat_helpers.change import change
from icsat_helpers.disclosure import coarse
from icsat_helpers.health import history
from icsat_helpers.levels import rounding
from icsat_helpers.listing import Page, listing, paragraphs, span, together
from icsat_helpers.release import ROUNDING, Statements
from icsat_helpers.scores import person_scores, rating_scores, unit_names
from icsat_helpers.servicemap import HIDDEN, Map, compared, group, hidden_parts
from icsat_helpers.study import Study
from icsat_helpers.words import fixed, known, message, period, places, say, say_each, series

SPLIT = ["same", "same_low", "same_high", "who", "who_low", "who_high"]


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
    answers, settings = person_scores(study, "internal"), study.settings
    steps = rounding(study, "mean", "internal")
    shown = history(study, "mean", "internal").dropna(subset=["value"])["t"]
    said, behind = [], []
    for t in compared(study):
        if not {t, study.t} <= {*shown}:
            continue
        rows = publishable_change(
            change(answers[answers["t"] == study.t], answers[answers["t"] == t]), settings.minimum_group
        )
        two = (steps.get(study.t, 0.0), steps.get(t, 0.0))
        rows = _rounded(rows, *two)
        said += [_sentence(row, study.label(t)) for row in rows.itertuples(index=False)]
        now, then = (f"{label}: people {study.site}".rstrip() for label in (study.period, study.label(t)))
        behind += [
            replace(statements(study, row, now, then, named=True), half=ROUNDING + sum(two) / 2)
            for row in rows.itertuples(index=False)
        ]
    return (
        replace(paragraphs(*said), said=tuple(behind))
        if said
        else paragraphs(say("There is no earlier period to compare with."))
    )


def _rounded(rows: pd.DataFrame, now: float, before: float) -> pd.DataFrame:
    """Changes as the difference of what is shown of either period, to the step of each."""
    if not (now or before):
        return rows
    one, two = (
        coarse(rows[name], rows[name], rows[name], step)[0] for name, step in (("now", now), ("before", before))
    )
    off = one - two - rows["total"]
    moved = {name: rows[name] + off for name in ("total", "total_low", "total_high")}
    gone = dict.fromkeys(SPLIT, np.nan)  # the split would tell the mean before it was rounded
    return rows.assign(now=one, before=two, **moved, **gone)


def statements(study: Study, row: Any, now: str, before: str, named: bool = False) -> Statements:
    """What a row of changes says of the groups `now` and `before`, and, with the split, of those who came and went.

    `named`: the page says the means too, not their difference alone.
    """
    groups: dict[str, tuple[int | None, float | None, int]] = {
        now: (row.people, row.now if named else None, 1),
        before: (row.people_before, row.before if named else None, 1),
    }
    sums, changes = [], [(now, before, row.total)]
    if np.isfinite(row.same):
        stayed = f"{now} who answered in {before}"
        for whole, n, moved in ((now, row.people, "who came since"), (before, row.people_before, "who went until")):
            other = before if whole == now else now
            parts = {f"{stayed} too, {whole}": row.people_same, f"{whole} {moved} {other}": n - row.people_same}
            groups |= {name: (size, None, 1) for name, size in parts.items() if size}
            sums.append((whole, tuple(name for name, size in parts.items() if size)))
        changes.append((sums[0][1][0], sums[1][1][0], row.same))
    scale = (study.settings.minimum, study.settings.maximum)
    return Statements(*scale, groups, tuple(sums), tuple(changes))


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
        behind = []
        for row in rows.itertuples(index=False):
            sizes = ((found.served.ratings, study.period, row.people), (before, study.label(t), row.people_before))
            now, then = (_group(answers, label, row.provider, n, study.site) for answers, label, n in sizes)
            behind.append(statements(study, row, now, then))
        changed = say("change since {period}", period=period(study.label(t)))
        head = (*say_each("provider", "people"), changed, *say_each("of the same people", "of who answered"))
        clear = int(((rows["total_low"] > 0) | (rows["total_high"] < 0)).sum())
        sure = int(rows["total_low"].notna().sum())
        note = say(
            "{clear} of {n} intervals lie off zero; about {chance} would by chance alone.",
            clear=clear, n=sure, chance=fixed(0.05 * sure, 0),
        )  # fmt: skip
        page = together(listing(sorted(lines), head), paragraphs(note if sure else ""))
        pages.append(replace(page, said=tuple(behind)))
    return together(*pages) if pages else paragraphs(say("There is no earlier period to compare with."))


COUNTED = {
    goals.MET: message("{n} met"),
    goals.MISSED: message("{n} missed"),
    goals.OPEN: message("{n} too early to say"),
    goals.SILENT: message("{n} no answers"),
    HIDDEN: message("{n} hidden to protect small groups"),
}


def _group(answers: pd.DataFrame, period: str, provider: str, people: int, site: str) -> str:
    """The map's name of who rated a provider, unless somebody rated it from two units, and so counts once here."""
    name = group(period, provider, site=site)
    return name if (answers["provider"] == provider).sum() == people else f"{name}, people"


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
