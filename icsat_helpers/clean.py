"""A checked study to a clean one as it stood at the end of a period; each change is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from icsat_helpers import answers, rows
from icsat_helpers.periods import period_end, period_label, period_number
from icsat_helpers.rows import Log
from icsat_helpers.schemas import kinds
from icsat_helpers.settings import Item, Settings
from icsat_helpers.sources import TEXT, Problem
from icsat_helpers.study import Study, StudyError, find
from icsat_helpers.tables import Typed, read

PERIOD_TABLES = ("service_ratings", "unit_scores", "morale")
"""The tables that say which periods a study has; the latest is that of the first with rows."""

_UNIT_OF = {
    "service_ratings": "customer_unit",
    "people": "unit_id",
    "morale": "unit_id",
    "operations": "unit_id",
    "external_ratings": "unit_id",
    "unit_scores": "unit_id",
}
_ANSWERED = ("service_ratings", "morale")


@dataclass(slots=True)
class _Work:
    """What is known while one study is cleaned."""

    settings: Settings
    typed: dict[str, Typed]
    problems: list[Problem]
    log: Log = field(default_factory=Log)
    t: int = 0


def load(folder: str | Path, period: str | int = "", site: str = "") -> Study:
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

    Raises
    ------
    StudyError
        With every problem there is.
    """
    study, problems = _prepare(folder, str(period), str(site))
    if problems or study is None:
        raise StudyError(problems)
    return study


def check(folder: str | Path) -> list[Problem]:
    """Return every problem of a study; none means that `load` would succeed."""
    return _prepare(folder, "", "")[1]


def _prepare(folder: str | Path, period: str, site: str) -> tuple[Study | None, list[Problem]]:
    path = find(folder)
    settings, typed, hashes, problems = read(path)
    work = _Work(settings, typed, problems)
    readable = not problems
    numbers = {table: _numbers(each.frame, "period", settings) for table, each in typed.items()}
    work.t = _period(work, numbers, period, readable)
    units = _units_of(work, site, readable)
    frames = {table: _kept(work, table, numbers[table], units) for table in typed}
    if problems:
        return None, problems
    people = typed["people"].frame["person_id"] if "people" in typed else None
    tables = {table: _finished(work, table, frame) for table, frame in frames.items()}
    for table in _ANSWERED:
        if table in tables and people is not None:
            absent = tables[table]["linked"] & ~tables[table]["person_id"].isin(people)
            what = "respondents who are not in people are kept"
            work.log.count(table, "not_in_people", "person_id", absent.sum(), what)
    changes = work.log.frame()
    return Study(path, settings, tables, period_label(work.t, settings.frequency), site, changes, hashes), []


def _numbers(frame: pd.DataFrame, column: str, settings: Settings) -> pd.Series:
    """Return period numbers (Int64) of a column of labels; missing where there is none."""
    if column not in frame:
        return pd.Series(pd.array([pd.NA], dtype="Int64").take(np.zeros(len(frame), dtype=int)), index=frame.index)
    codes, labels = pd.factorize(frame[column])
    numbers = [period_number(label, settings.frequency) for label in labels]
    return pd.Series(pd.array(numbers, dtype="Int64").take(codes, allow_fill=True), index=frame.index)


def _period(work: _Work, numbers: dict[str, pd.Series], asked: str, readable: bool) -> int:
    """Return the reporting period's number, or note why there is none."""
    there = {table: set(numbers[table].dropna().astype(int)) for table in PERIOD_TABLES if table in numbers}
    everywhere = sorted(set().union(*there.values()))
    if not everywhere:
        if readable:
            wanted = "at least one row with a period in one of these tables"
            work.problems.append(Problem(", ".join(PERIOD_TABLES), expected=wanted))
        return 0
    if not asked:
        return max(next(found for found in there.values() if found))
    frequency = work.settings.frequency
    try:
        number = period_number(asked.removesuffix(".0"), frequency)
    except ValueError:
        number = -1
    if number not in everywhere:
        labels = [period_label(t, frequency) for t in everywhere]
        listed = ", ".join(labels) if len(labels) <= 12 else f"{labels[0]} to {labels[-1]}"
        wanted = f"a period that the study has: {listed}"
        work.problems.append(Problem("study", column="period", value=repr(asked), expected=wanted))
    return number


def _units_of(work: _Work, site: str, readable: bool) -> pd.Series | None:
    """Return the unit ids of a site, or None for all."""
    if not site:
        return None
    units = work.typed["units"].frame if "units" in work.typed else pd.DataFrame()
    sites = sorted(units["site"].dropna().unique()) if "site" in units else []
    if site not in sites and (sites or readable):
        listed = ", ".join(sites[:20]) + (", ..." if len(sites) > 20 else "") or "the study names none"
        wanted = f"a site that the study has: {listed}"
        work.problems.append(Problem("units", column="site", value=repr(site), expected=wanted))
    return units.loc[units["site"] == site, "unit_id"] if site in sites and "unit_id" in units else None


def _kept(work: _Work, table: str, numbers: pd.Series, units: pd.Series | None) -> pd.DataFrame:
    """Return the rows up to the period and of the site, answers read as numbers."""
    frame, settings = work.typed[table].frame, work.settings
    keep = np.ones(len(frame), dtype=bool)
    if table == "programmes":
        keep &= ~(_numbers(frame, "started", settings) > work.t).fillna(False).to_numpy(dtype=bool)
    elif "period" in kinds(table):
        keep &= ~(numbers > work.t).fillna(False).to_numpy(dtype=bool)
    if table == "people" and "hired_on" in frame and work.t > 0:
        keep &= ~(frame["hired_on"] >= _after(work)).to_numpy()
    if units is not None and _UNIT_OF.get(table) in frame:
        keep &= frame[_UNIT_OF[table]].isin(units).to_numpy()
    frame = frame.copy(deep=False)
    for item in settings.items_of(table):
        if item.name in frame:
            frame[item.name] = _item(work, frame[item.name], item, keep)
    if "period" in kinds(table):
        frame["t"] = numbers
    return frame[keep]


def _after(work: _Work) -> pd.Timestamp:
    return period_end(work.t, work.settings.frequency) + pd.Timedelta(days=1)


def _item(work: _Work, column: pd.Series, item: Item, keep: np.ndarray) -> np.ndarray:
    """Return an item's answers as numbers; count what was changed in the rows that are kept."""
    codes, texts = pd.factorize(column)
    values, how = answers.convert(texts, item, work.settings)
    values, how = np.append(values, np.nan), np.append(how, answers.READ)  # the code -1, an empty cell
    scale = f"{item.minimum:g} to {item.maximum:g}"
    unknown = np.flatnonzero(how[codes] == answers.UNKNOWN) if answers.UNKNOWN in how else codes[:0]
    if len(unknown):
        expected = f"a number from {scale} or a known label"
        said = texts[np.unique(codes[unknown])]
        work.problems.append(work.typed[item.table].raw.problem(item.name, unknown, expected, said))
    counts = np.bincount(how[codes[keep]], minlength=5)
    answered = np.isfinite(values[codes[keep]]).sum()
    to = f"{work.settings.minimum:g} to {work.settings.maximum:g}"
    for rule, count, what in (
        ("labels", counts[answers.LABEL], "labels read as numbers"),
        ("missing_codes", counts[answers.MISSING], "codes for no answer set to missing"),
        ("out_of_range", counts[answers.OUT_OF_RANGE], f"set to missing: not from {scale}"),
        ("rescaled", answered * item.own_scale, f"from {scale} brought to {to}"),
        ("reversed", answered * item.reversed, "turned, for the item is worded the other way"),
    ):
        work.log.count(item.table, rule, item.name, count, what)
    return values[codes]


def _finished(work: _Work, table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table as the contract promises it, in an order that its file's order does not change."""
    settings = work.settings
    if "t" in frame and table != "goals":
        frame = frame.assign(t=frame["t"].astype("int64"))
    if table == "people":
        frame = _people(work, frame)
    if table == "programmes":
        frame = _programmes(work, frame)
    if table in _ANSWERED:
        items = settings.items_of(table)
        frame = rows.straight_lines(table, frame, items, settings, work.log)
        frame = rows.named(table, frame, items, work.log)
        frame = rows.merged(table, frame, items, work.log)
    return frame.take(rows.order(frame, rows.sort_columns(table, frame))).reset_index(drop=True)


def _people(work: _Work, people: pd.DataFrame) -> pd.DataFrame:
    kind = people["associate_type"] if "associate_type" in people else pd.Series(pd.NA, people.index, dtype=TEXT)
    work.log.count("people", "default", "associate_type", kind.isna().sum(), "empty, so taken as employee")
    people = people.assign(associate_type=kind.fillna("employee"))
    if "left_on" in people:
        later = people["left_on"] >= _after(work)
        people["left_on"] = people["left_on"].mask(later)
        if "leave_reason" in people:
            people["leave_reason"] = people["leave_reason"].mask(later)
    return people


def _programmes(work: _Work, programmes: pd.DataFrame) -> pd.DataFrame:
    started, ended = (_numbers(programmes, column, work.settings) for column in ("started", "ended"))
    later = (ended > work.t).fillna(False)
    programmes = programmes.assign(started_t=started.astype("int64"), ended_t=ended.mask(later))
    if "ended" in programmes:
        programmes["ended"] = programmes["ended"].mask(later)
    return programmes
