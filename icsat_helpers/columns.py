"""Text columns to typed ones; what cannot be read is missing, and the caller says so."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from icsat_helpers.periods import EXAMPLES, period_label, period_number, period_of
from icsat_helpers.sources import TEXT

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DAY = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}([T ].+)?")
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+")
_NUMERAL = re.compile(r"[+-]?[0-9]*[.,][0-9]+")
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")


def distinct(column: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """Return each row's place among the texts of a column, -1 where it is missing, and these texts."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(), column.cat.categories
    return pd.factorize(column)


def coded(codes: np.ndarray, texts: pd.Series) -> pd.Categorical:
    """Return texts or numbers as categories in their order, each once, and missing where it is or its code is -1.

    Examples
    --------
    >>> coded(np.array([0, 1, 2, -1]), pd.Series(["b", "a", "b"], dtype=TEXT)).codes
    array([ 1,  0,  1, -1], dtype=int8)
    """
    values = texts.array
    if not (values[:-1] < values[1:]).all() or texts.isna().any():
        places, values = pd.factorize(texts, sort=True)
        codes = np.append(places, -1).astype(np.min_scalar_type(-max(len(places), 1))).take(codes)
    return pd.Categorical.from_codes(codes, pd.Index(values, dtype=texts.dtype))


def trimmed(column: pd.Series) -> pd.Series:
    """Return a text column without space around its texts; missing where nothing is left."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        text = column.str.strip()
        return text.where(text != "")
    texts = column.cat.categories.to_series(index=range(len(column.cat.categories)))
    kept = texts.str.strip()
    if kept.equals(texts) and not (texts == "").any():
        return column
    return pd.Series(coded(column.cat.codes.to_numpy(), kept.where(kept != "")), column.index)


def convert(column: pd.Series, kind: str, frequency: str, as_codes: bool = False) -> tuple[pd.Series, str]:
    """Return a text column as its type, missing where it cannot be read, and what was expected there.

    Where it stays text it may be returned as categories, which are in order.
    """
    if kind == "text":
        return column, ""
    codes, texts = distinct(column)  # each distinct text is read once
    expected = "a date such as 2026-03-31 (ISO 8601)"
    if kind == "date":
        read = _dates(texts)
    elif kind == "period of a date":
        read = pd.Series(
            [None if pd.isna(t) else period_label(t, frequency) for t in period_of(_dates(texts), frequency)],
            dtype=TEXT,
        )
    elif kind == "number":
        read, expected = pd.Series([number(text) for text in texts], dtype="float64"), "a number"
    elif kind == "period":
        read = pd.Series([_period(text, frequency) for text in texts], dtype=TEXT)
        expected = f"a {frequency} such as {EXAMPLES[frequency]}"
    else:
        read = pd.Series(texts if _plain(texts) else [_id(text) for text in texts], dtype=TEXT)
        expected = "text without control characters"
    if as_codes:
        return pd.Series(coded(codes, read), column.index), expected
    return read.reindex(codes).set_axis(column.index), expected  # the code -1, missing, is not in the index


def number(text: str) -> float:
    """Return the number that `text` is, NaN where it is none (or not finite): 1e400, nan, 1,5, 1_000.

    Examples
    --------
    >>> number("2.50"), number("2,50")
    (2.5, nan)
    """
    value = float(text) if _NUMBER.fullmatch(text) else np.nan
    return value if np.isfinite(value) else np.nan


def _dates(texts: pd.Index) -> pd.Series:
    days = pd.Series([text if _DAY.fullmatch(text) else None for text in texts], dtype=TEXT)
    # Where an offset is given the time is brought to UTC, so that answers can be put in order.
    dates = pd.to_datetime(days, format="ISO8601", utc=True, errors="coerce")
    return dates.dt.tz_localize(None).astype("datetime64[us]")


def _period(text: str, frequency: str) -> str | None:
    try:
        return period_label(period_number(_whole(text), frequency), frequency)
    except ValueError:
        return None


def _id(text: str) -> str | None:
    return unicodedata.normalize("NFC", _whole(text)) if text.isprintable() else None


def _plain(texts: pd.Index) -> bool:
    """Return whether ids are sure to stay as they are."""
    found = pa.array(texts, pa.large_string())
    odd = pc.or_(pc.invert(pc.ascii_is_printable(found)), pc.match_substring(found, ".0"))
    return not pc.any(odd, min_count=0).as_py()


def _whole(text: str) -> str:
    return re.sub(r"^(-?[1-9][0-9]*|0)\.0+$", r"\1", text)


def decimal_mark(texts: set[str], separator: str) -> str:
    """Return the decimal mark of a file's numbers: ``,`` or ``.``, "" where there is none, "?" where it can't be told.

    The mark of a file with semicolons is usually the comma, of one with tabs the point. The other one is taken where a
    number can be read in one way only, as 1.25 and 0.125 can: 1.250 may be a thousand.

    Examples
    --------
    >>> decimal_mark({"4", "3,5"}, ";"), decimal_mark({"1.250"}, ";"), decimal_mark({"3,5", "3.5"}, ";")
    (',', '?', '?')
    """
    marks = {mark for mark, form in ((",", _COMMA), (".", _POINT)) if any(form.fullmatch(text) for text in texts)}
    if len(marks) != 1:
        return "?" if marks else ""
    mark = marks.pop()
    usual = "," if separator == ";" else "."
    told = any(_NUMERAL.fullmatch(text) and not _MAYBE_THOUSANDS.fullmatch(text) for text in texts)
    return mark if mark == usual or told else "?"
