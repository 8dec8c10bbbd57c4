"""Exports of survey tools to answers: what the tool puts around them is taken off, and counted.

Previews, tests and unfinished answers are no answers. The question behind a column is kept for the codebook.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from icsat_helpers.problems import Unreadable

Note = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One file as text columns (n rows) with the row number of each row (n,), and what was found out about it.

    `words` are the questions behind columns, `labels` the labels of a column's codes, `answered` is the column that
    says when somebody answered.
    """

    frame: pd.DataFrame
    rows: np.ndarray | range
    words: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    separator: str = ","
    answered: str = ""

    def without(self, rows: pd.Series, rule: str, what: str) -> Sheet:
        """Return the sheet without `rows`, which are counted."""
        out = rows.fillna(False).to_numpy(dtype=bool)
        if not out.any():
            return self
        notes = [*self.notes, (rule, "", int(out.sum()), what)]
        return replace(
            self, frame=self.frame[~out].reset_index(drop=True), rows=np.asarray(self.rows)[~out], notes=notes
        )


PERSONAL = {
    "qualtrics": ("IPAddress", "RecipientLastName", "RecipientFirstName", "RecipientEmail", "ExternalReference",
                  "LocationLatitude", "LocationLongitude"),
    "limesurvey": ("ipaddr", "IP address", "token", "Access code", "firstname", "lastname", "email", "refurl"),
    "forms": ("Email", "E-Mail", "Adresse de messagerie", "Email Address", "E-Mail-Adresse", "Adresse e-mail",
              "Username", "Nom d'utilisateur", "Nutzername", "Name", "Nom"),
}  # fmt: skip
"""Columns that a tool adds about the person: left out unless a study asks for them by `columns`."""

_TRUE = {"true", "1", "wahr", "vrai"}
_FALSE = {"false", "0", "falsch", "faux"}
_PREVIEWS = {"survey preview", "survey test", "survey preview spam", "offline survey preview", "1", "2", "9", "17"}
_ANSWERS = {"ip address", "imported", "spam", "imported spam", "offline", "0", "4", "8", "12", "16"}
_SUBMITTED = {"submitdate", "date submitted", "date de soumission", "datum abgeschickt", "abgabedatum"}
_ANSWERED = {
    "timestamp", "horodateur", "zeitstempel", "completion time", "heure de fin", "fertigstellungszeit",
}  # fmt: skip
_WHEN = re.compile(
    r"(\d{1,4})[/.](\d{1,2})[/.](\d{2,4}),?\s+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AaPp][Mm])?(?:\s*GMT([+-]\d{1,2})?(:\d\d)?)?"
)


def read(sheet: Sheet, form: str) -> Sheet:
    """Return the answers of an export of this kind (``qualtrics``, ``limesurvey``, ``forms``, or "" for none)."""
    return FORMS[form](sheet) if form else sheet


def _column(sheet: Sheet, names: Iterable[str]) -> str:
    wanted = set(names)
    return next((name for name in sheet.frame if name.strip().casefold() in wanted), "")


def _qualtrics(sheet: Sheet) -> Sheet:
    """Take off the second and third header row, previews and unfinished answers."""
    dates = [name for name in ("RecordedDate", "EndDate", "StartDate") if name in sheet.frame]
    if not dates:
        raise Unreadable("a column RecordedDate, EndDate or StartDate, as Qualtrics exports have")
    heads = sheet.frame[dates[0]].iloc[:2].fillna("").str.match(r"\s*\d").tolist()
    extra = 0 if all(heads) else 1 if heads[-1] else len(heads)  # an .xlsx has the questions only, a .sav nothing
    words = dict(sheet.words)
    if extra:
        words |= {name: text for name, text in sheet.frame.iloc[0].items() if isinstance(text, str)}
    sheet = replace(sheet, frame=sheet.frame.iloc[extra:].reset_index(drop=True), rows=sheet.rows[extra:], words=words)
    state, channel = (sheet.frame.get(name) for name in ("Status", "DistributionChannel"))
    if state is None and channel is None:
        raise Unreadable("a column Status or DistributionChannel, to tell previews from answers")
    if state is not None:
        _refuse_others(sheet, "Status", state, _PREVIEWS | _ANSWERS, "a status that Qualtrics gives in English")
    trial = pd.Series(False, sheet.frame.index)
    trial |= _folded(state).isin(_PREVIEWS) if state is not None else False
    trial |= _folded(channel).isin({"preview", "test"}) if channel is not None else False
    sheet = sheet.without(trial, "previews", "previews and tests of the survey left out")
    if "Finished" in sheet.frame:
        finished = sheet.frame["Finished"]
        _refuse_others(sheet, "Finished", finished, _TRUE | _FALSE, "True or False")
        undone = ~_folded(finished).isin(_TRUE)
    elif "Progress" in sheet.frame:
        undone = sheet.frame["Progress"] != "100"
    else:
        raise Unreadable("a column Finished or Progress, to tell unfinished answers")
    sheet = sheet.without(undone, "unfinished", "unfinished answers left out")
    return replace(sheet, answered=dates[0])


def _limesurvey(sheet: Sheet) -> Sheet:
    """Take codes from headings such as "G01Q02. Question"; leave out what was never submitted."""
    words, names = dict(sheet.words), {}
    for name in sheet.frame:
        found = re.fullmatch(r"([A-Za-z]\w*(?:\[\w+\])*)\.\s+(\S.*)", name, re.DOTALL)
        if found:
            names[name], words[found[1]] = found[1], found[2]
    if len({names.get(name, name) for name in sheet.frame}) < len(sheet.frame.columns):
        raise Unreadable("each question code once", row="row 1")
    submitted = _column(sheet, _SUBMITTED)
    if not submitted:
        raise Unreadable("a column submitdate, to tell unfinished answers")
    sheet = sheet.without(sheet.frame[submitted].isna(), "unfinished", "answers that were never submitted left out")
    frame = sheet.frame.mask(sheet.frame == "N/A").rename(columns=names)  # a question that was not asked
    return replace(sheet, frame=frame, words=words, answered=submitted)


def _forms(sheet: Sheet) -> Sheet:
    """Read times as Google and Microsoft write them; a heading is a question."""
    tidy = {name: " ".join(name.split()) for name in sheet.frame}
    if len(set(tidy.values())) < len(tidy):
        raise Unreadable("each question once", row="row 1")
    frame = sheet.frame.rename(columns=tidy)
    answered = _column(replace(sheet, frame=frame), _ANSWERED)
    if not answered:
        raise Unreadable("a column Timestamp or Completion time")
    frame = frame.assign(**{answered: _iso(frame[answered])})
    return replace(sheet, frame=frame, words=sheet.words | {name: name for name in frame}, answered=answered)


FORMS: dict[str, Callable[[Sheet], Sheet]] = {"qualtrics": _qualtrics, "limesurvey": _limesurvey, "forms": _forms}
"""The survey exports that are understood."""


def _folded(column: pd.Series) -> pd.Series:
    return column.str.strip().str.casefold()


def _refuse_others(sheet: Sheet, name: str, column: pd.Series, known: set[str], expected: str) -> None:
    other = np.flatnonzero(~_folded(column).isin(known))
    if len(other):
        row = f"row {sheet.rows[other[0]]}"
        raise Unreadable(expected, row, repr(str(column.iloc[other[0]])[:60]), name)


def _iso(times: pd.Series) -> pd.Series:
    """Return times such as "2026/03/31 9:15:00 PM GMT+1" or "31/03/2026 21:15" as ISO 8601.

    Whether the day or the month comes first is told by a number above 12; where none is, it is refused.
    """
    found = {text: _WHEN.fullmatch(text.strip()) for text in times.dropna().unique()}
    turned = [(int(each[1]), int(each[2])) for each in found.values() if each and len(each[1]) < 4]
    day_first, month_first = any(a > 12 for a, _ in turned), any(b > 12 for _, b in turned)
    if turned and day_first == month_first:
        expected = "dates with the year first, or a workbook: day and month can't be told apart"
        raise Unreadable(expected, column=str(times.name))
    return times.map({text: _when(each, day_first) if each else text for text, each in found.items()}).astype(
        times.dtype
    )


def _when(found: re.Match[str], day_first: bool) -> str:
    parts = [int(part) for part in found.groups()[:3]]
    if len(found[1]) < 4:
        parts = [parts[2], *(parts[1::-1] if day_first else parts[:2])]
    year, month, day = parts
    half = (found[7] or "").casefold()
    hour = int(found[4]) % 12 + 12 * (half == "pm") if half else int(found[4])
    offset = f"{int(found[8]):+03d}{found[9] or ':00'}" if found[8] else ""
    clock = f"{hour:02d}:{found[5]}:{found[6] or '00'}{offset}"
    return f"{year if year > 99 else 2000 + year}-{month:02d}-{day:02d}T{clock}"


def unpivoted(frame: pd.DataFrame, pattern: str) -> tuple[pd.DataFrame, np.ndarray, int]:
    r"""Turn one row a respondent into one row a rating.

    Parameters
    ----------
    frame
        Text columns, n rows.
    pattern
        A regular expression that whole names of columns fit; its group ``item`` is the column's name in the result,
        each other group a column of what it matched.

    Returns
    -------
    tuple of DataFrame (m rows), array (m,) and int
        The ratings, the row of `frame` each came from, and how many would hold no answer and are left out.

    Examples
    --------
    >>> wide = pd.DataFrame({"who": ["a", "b"], "IT_fast": ["4", None], "HR_fast": ["5", "2"]}, dtype="str")
    >>> unpivoted(wide, r"(?P<provider_unit>[A-Z]+)_(?P<item>\w+)")[0]["provider_unit"].tolist()
    ['IT', 'HR', 'HR']
    """
    wide: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for name in frame:
        if found := re.fullmatch(pattern, name):
            groups = {group: text or "" for group, text in found.groupdict().items()}
            item = groups.pop("item")
            if item in wide.setdefault(tuple(groups.items()), {}):
                raise Unreadable("each pair once, as unpivot reads the names", column=name)
            wide[tuple(groups.items())][item] = name
    if not wide:
        raise Unreadable("columns whose names fit the pattern of unpivot")
    same = [name for name in frame if not re.fullmatch(pattern, name)]
    parts, came = [], []
    for key, items in wide.items():
        twice = set(same) & ({*items} | {name for name, _ in key})
        if twice:
            raise Unreadable("each column name once, also after unpivot", column=min(twice))
        rated = np.flatnonzero(frame[list(items.values())].notna().any(axis=1))
        part = frame.iloc[rated][[*same, *items.values()]].rename(columns={name: item for item, name in items.items()})
        parts.append(part.assign(**dict(key)))
        came.append(rated)
    ratings = pd.concat(parts, ignore_index=True)
    return ratings, np.concatenate(came), len(frame) * len(wide) - len(ratings)
