"""Text to the contract's types: ids, numbers, dates and periods; what does not convert is pointed at."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pandas as pd

from icsat_helpers.periods import EXAMPLES, period_label, period_number
from icsat_helpers.sources import TEXT

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(
    r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)
_WHOLE = re.compile(r"(-?[1-9][0-9]*|0)\.0+")
_STRAIGHT = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4\u0060\u2032", "'"))


def fold(text: str) -> str:
    """Return a label as it is compared: case, kinds of apostrophe and white space do not count.

    Examples
    --------
    >>> fold("Tout  à fait d’accord ")
    "tout à fait d'accord"
    """
    # Apostrophes first: NFKC would turn an acute accent into a space and a combining mark.
    return " ".join(unicodedata.normalize("NFKC", text.translate(_STRAIGHT)).casefold().split())


def trimmed(column: pd.Series) -> pd.Series:
    """Return a text column without white space around its values; nothing but white space is missing."""
    stripped = column.str.strip()
    return stripped.where(stripped != "")


def convert(column: pd.Series, kind: str, frequency: str) -> tuple[pd.Series, np.ndarray, str]:
    """Return a trimmed text column as its type, the positions that are not of it, and what was expected."""
    if kind == "text":
        return column, np.empty(0, dtype=np.int64), ""
    # Each distinct text is read once.
    codes, texts = pd.factorize(column)
    if kind == "number":
        read, expected = pd.Series([number(text) for text in texts], dtype=float), "a number"
    elif kind == "date":
        read, expected = _dates(texts), "a date such as 2026-03-31 (ISO 8601)"
    elif kind == "period":
        read = pd.Series([_period(text, frequency) for text in texts], dtype=TEXT)
        expected = f"a {frequency} such as {EXAMPLES[frequency]}"
    else:
        read = pd.Series([_id(text) for text in texts], dtype=TEXT)
        expected = "text without control characters"
    result = read.reindex(codes).set_axis(column.index)  # the code -1, missing, is not in the index
    return result, np.flatnonzero((codes >= 0) & result.isna().to_numpy()), expected


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
    iso = pd.Series([text if _DATE.fullmatch(text) else None for text in texts], dtype=TEXT)
    # Where an offset is given the time is brought to UTC, so that answers can be put in order.
    dates = pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce")
    return dates.dt.tz_localize(None).astype("datetime64[us]")


def _period(text: str, frequency: str) -> str | None:
    try:
        return period_label(period_number(_whole(text), frequency), frequency)
    except ValueError:
        return None


def _id(text: str) -> str | None:
    return unicodedata.normalize("NFC", _whole(text)) if text.isprintable() else None


def _whole(text: str) -> str:
    return _WHOLE.sub(r"\1", text) if _WHOLE.fullmatch(text) else text
