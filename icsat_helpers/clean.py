"""A checked study to a clean one as it stood at the end of a period; each change is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from icsat_helpers import answers, words
from icsat_helpers.cache import held
from icsat_helpers.columns import coded, distinct
from icsat_helpers.draft import Draft
from icsat_helpers.ordering import counted
from icsat_helpers.periods import period_end, period_label, period_number
from icsat_helpers.problems import Problem
from icsat_helpers.project import find
from icsat_helpers.schemas import ADDED, MERGED_ON
from icsat_helpers.settings import Item, TableSource
from icsat_helpers.sources import TEXT
from icsat_helpers.study import Study, StudyError, Tables

PERIOD_TABLES = ("service_ratings", "unit_scores", "morale")
"""The tables that say which periods a study has; the latest is that of the first with rows."""

_UNIT_OF = {
    "service_ratings": "customer_unit",
    **dict.fromkeys(("people", "morale", "operations", "external_ratings", "unit_scores"), "unit_id"),
}

_ANSWERED = ("service_ratings", "morale")

_OTHER = 0.1
"""The share of answers to an item that may be in a respondent's own words, in a form that lets them."""

_LABELS = {"t": "period", "started_t": "started", "ended_t": "ended"}
"""The columns of period numbers, and the labels they are read from."""


def load(
    folder: str | Path, period: str | int = "", site: str = "", language: str | None = None, draft: Draft | None = None
) -> Study:
    """Return a study, checked and clean, with nothing later than `period`.

    Parameters
    ----------
    folder
        The study's folder, tried from the current folder, then from the project's root.
    period
        A period's label; the latest where empty.
    site
        Keep only people and answers of this site's units; units, goals and programmes stay whole,
        for providers may sit elsewhere.
    language
        What is said from here on is in this language, in the study's own where empty; None leaves it as it is.
    draft
        The study as `tables.read` has read it; it stays as it is.

    Raises
    ------
    StudyError
        With every problem there is.
    """
    study = held(find(folder), str(period), str(site))  # in a kernel of a run
    study = _loaded(folder, str(period), str(site), draft) if study is None else study
    if language is not None:
        words.speak(language or study.settings.language)
    return study


def _loaded(folder: str | Path, period: str, site: str, draft: Draft | None) -> Study:
    draft, t, kept = _prepared(folder, period, site, draft)
    if draft.problems:
        raise StudyError(draft.problems)
    tables = Tables({table: _finished(draft, table, frame, t) for table, frame in kept.items()})
    changes = pd.DataFrame(draft.changes, columns=["table", "rule", "column", "rows", "what"])
    label = period_label(t, draft.settings.frequency)
    asked = {table: raw.words for table, raw in draft.raw.items()}
    return Study(draft.folder, draft.settings, tables, label, site, changes, draft.sha256, asked)


def check(folder: str | Path) -> list[Problem]:
    """Return every problem of a study, the most harmful first; none means that `load` would succeed."""
    return sorted(_prepared(folder, "", "")[0].problems, key=lambda problem: problem.harm)


def _prepared(
    folder: str | Path, period: str, site: str, draft: Draft | None = None
) -> tuple[Draft, int, dict[str, pd.DataFrame]]:
    """Return a study as read, the number of the period, and the rows up to it with answers as numbers."""
    from icsat_helpers.tables import read  # which brings pandera, and a kernel of a run takes what is held

    draft = read(find(folder)) if draft is None else draft.copy()
    readable = not draft.problems
    for table, frame in draft.frames.items():
        for column in [name for name in ADDED.get(table, {}) if name in _LABELS]:
            frame[column] = _numbers(frame, _LABELS[column], draft.settings.frequency)
    t = _period(draft, period, readable)
    units = _units_of(draft, site, readable)
    return draft, t, {table: _kept(draft, table, t, units) for table in draft.frames}


def _numbers(frame: pd.DataFrame, column: str, frequency: str) -> pd.Series:
    """Return period numbers of a column of labels, missing where there is none; categories where labels are."""
    if column not in frame:
        return pd.Series(pd.NA, frame.index, dtype="Int64")
    codes, labels = distinct(frame[column])
    numbers = np.array([period_number(label, frequency) for label in labels], dtype=np.int64)
    if isinstance(frame[column].dtype, pd.CategoricalDtype):
        return pd.Series(pd.Categorical.from_codes(codes, numbers), frame.index)
    return pd.Series(pd.arrays.IntegerArray(np.append(numbers, 0)[codes], codes < 0), frame.index)


def _period(draft: Draft, asked: str, readable: bool) -> int:
    """Return the reporting period's number, or note why there is none."""
    there = [set(draft.frames[table]["t"].dropna().unique()) for table in PERIOD_TABLES if table in draft.frames]
    everywhere, frequency = sorted(set().union(*there)), draft.settings.frequency
    if not everywhere:
        if readable:
            draft.refuse(", ".join(PERIOD_TABLES), expected="at least one row with a period in one of these tables")
        return 0
    if not asked:
        return int(max(next(found for found in there if found)))
    labels = {period_label(t, frequency): t for t in everywhere}
    label = asked.strip().removesuffix(".0")
    if label in labels:
        return int(labels[label])
    listed = ", ".join(labels) if len(labels) <= 12 else f"{min(labels)} to {max(labels)}"
    wanted = f"a period that the study has: {listed}"
    draft.problems.append(Problem("study", column="period", value=repr(asked), expected=wanted))
    return int(everywhere[-1])


def _units_of(draft: Draft, site: str, readable: bool) -> pd.Series | None:
    """Return the unit ids of a site, or None for all."""
    if not site:
        return None
    units = draft.frames.get("units", pd.DataFrame())
    sites = sorted(units["site"].dropna().unique()) if "site" in units else []
    if site in sites and "unit_id" in units:
        return units.loc[units["site"] == site, "unit_id"]
    if sites or readable:
        listed = ", ".join(sites[:20]) + (", ..." if len(sites) > 20 else "") or "the study names none"
        wanted = f"a site that the study has: {listed}"
        draft.problems.append(Problem("units", column="site", value=repr(site), expected=wanted))
    return None


def _after(draft: Draft, t: int) -> pd.Timestamp:
    return period_end(t, draft.settings.frequency) + pd.Timedelta(days=1)


def _kept(draft: Draft, table: str, t: int, units: pd.Series | None) -> pd.DataFrame:
    """Return the rows up to the period and of the site, answers read as numbers."""
    frame = draft.frames[table]
    keep = np.ones(len(frame), dtype=bool)
    when = "started_t" if table == "programmes" else "t"
    if when in ADDED.get(table, {}):
        codes, numbers = distinct(frame[when])
        later = np.append(numbers > t, False)
        keep &= ~later[codes] if later.any() else True
    if table == "people" and "hired_on" in frame and t:
        keep &= ~(frame["hired_on"] >= _after(draft, t)).to_numpy()
    if units is not None and _UNIT_OF.get(table) in frame:
        here = frame[_UNIT_OF[table]].isin(units)
        if table == "people" and "person_id" in frame:  # who answered for the site and has moved since belongs to it
            here |= frame["person_id"].isin(_answering(draft, units))
        keep &= here.to_numpy()
    for item in draft.settings.items_of(table):
        if item.name in frame:
            frame[item.name] = _item(draft, frame[item.name], item, keep)
    return frame if keep.all() else frame[keep]


def _answering(draft: Draft, units: pd.Series) -> set[str]:
    """Return who answered for these units, in any period."""
    found: set[str] = set()
    for table in _ANSWERED:
        frame = draft.frames.get(table, pd.DataFrame())
        if {"person_id", _UNIT_OF[table]} <= set(frame):
            found |= set(frame.loc[frame[_UNIT_OF[table]].isin(units), "person_id"].dropna().unique())
    return found


def _item(draft: Draft, column: pd.Series, item: Item, keep: np.ndarray) -> pd.Categorical:
    """Return an item's answers as categories that are numbers; count what was changed in the rows that are kept."""
    codes, texts = distinct(column)
    values, how = answers.convert(texts, item, draft.settings)
    values, how = np.append(values, np.nan), np.append(how, answers.READ)  # the code -1, an empty cell
    scale = f"{item.minimum:g} to {item.maximum:g}"
    strange = how == answers.UNKNOWN
    unknown = np.flatnonzero(strange[codes]) if strange.any() else np.array([], dtype=np.intp)
    form = draft.settings.tables.get(item.table, TableSource()).format
    if form == "forms" and len(unknown) <= _OTHER * (codes >= 0).sum():
        other = int(np.count_nonzero((how[codes] == answers.UNKNOWN) & keep))
        draft.count(item.table, "other_answers", item.name, other, words.message("answers in own words set to missing"))
    elif len(unknown):
        expected = f"a number from {scale} or a known label"
        raw = draft.raw[item.table]
        draft.problems.append(raw.problem(item.name, unknown, expected, column.iloc[unknown]))
    rows = counted(codes if keep.all() else codes[keep], len(texts))
    counts = np.bincount(how, rows, minlength=5)
    answered = rows[np.isfinite(values)].sum()
    to = f"{draft.settings.minimum:g} to {draft.settings.maximum:g}"
    for rule, count, what in (
        ("labels", counts[answers.LABEL], words.message("labels read as numbers")),
        ("missing_codes", counts[answers.MISSING], words.message("codes for no answer set to missing")),
        ("out_of_range", counts[answers.OUT_OF_RANGE], f"set to missing: not from {scale}"),
        ("rescaled", answered * item.own_scale, f"from {scale} brought to {to}"),
        ("reversed", answered * item.reversed, words.message("turned, for the item is worded the other way")),
    ):
        draft.count(item.table, rule, item.name, count, what)
    return coded(codes, pd.Series(values[:-1]))


def _finished(draft: Draft, table: str, frame: pd.DataFrame, t: int) -> pd.DataFrame:
    """Return a table as the contract promises it, in an order that its file's order does not change."""
    if table == "people":
        frame = _people(draft, frame, t)
    if table == "programmes":
        frame = _blank(frame, frame["ended_t"] > t, "ended", "ended_t")
    if table in MERGED_ON:
        frame = answers.settled(draft, table, frame)
        if "people" in draft.frames:
            absent = frame["linked"] & ~frame["person_id"].isin(draft.frames["people"]["person_id"])
            what = words.message("respondents who are not in people are kept")
            draft.count(table, "not_in_people", "person_id", absent.sum(), what)
    else:
        frame = answers.in_order(table, frame)
    types = {name: kind for name, kind in ADDED.get(table, {}).items() if name != "t" or table not in MERGED_ON}
    return frame.reset_index(drop=True).astype(types)


def _people(draft: Draft, people: pd.DataFrame, t: int) -> pd.DataFrame:
    if "associate_type" not in people:
        people = people.assign(associate_type=pd.Series(None, people.index, dtype=TEXT))
    empty = people["associate_type"].isna().sum()
    draft.count("people", "default", "associate_type", empty, words.message("empty, so taken as employee"))
    people = people.assign(associate_type=people["associate_type"].fillna("employee"))
    if "left_on" in people:
        people = _blank(people, people["left_on"] >= _after(draft, t), "left_on", "leave_reason")
    return people


def _blank(frame: pd.DataFrame, rows: pd.Series, *columns: str) -> pd.DataFrame:
    """Return a frame without what is not known yet: `columns`, where there are such, in `rows`."""
    return frame.assign(**{column: frame[column].mask(rows.fillna(False)) for column in columns if column in frame})
