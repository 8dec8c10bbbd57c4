"""Reporting periods: labels such as ``2026Q3`` and the consecutive numbers that models count with."""

from __future__ import annotations

import re

import pandas as pd

PARTS = {"quarter": ("Q", 4), "year": ("", 1), "half": ("H", 2), "month": ("M", 12)}
"""The letter and the number of periods in a year, for each frequency a study may have."""

EXAMPLES = {"quarter": "2026Q3", "year": "2026", "half": "2026H1", "month": "2026M03"}
_AFTER_YEAR = {"quarter": "Q([1-4])", "year": "()", "half": "H([12])", "month": "M(0[1-9]|1[0-2])"}


def period_number(label: str, frequency: str) -> int:
    """Return the number of a period; consecutive periods have consecutive numbers.

    Raises
    ------
    ValueError
        If `label` is not a period of `frequency`.

    Examples
    --------
    >>> period_number("2026Q4", "quarter") + 1 == period_number("2027Q1", "quarter")
    True
    """
    found = re.fullmatch("([1-9][0-9]{3})" + _AFTER_YEAR[frequency], label.strip())
    if found is None:
        raise ValueError(f"{label!r} is not a {frequency} such as {EXAMPLES[frequency]}")
    return int(found[1]) * PARTS[frequency][1] + int(found[2] or 1) - 1


def period_label(number: int, frequency: str) -> str:
    """Return the label of a period number, the inverse of `period_number`.

    Examples
    --------
    >>> period_label(period_number("2026M03", "month"), "month")
    '2026M03'
    """
    letter, parts = PARTS[frequency]
    year, part = divmod(int(number), parts)
    return f"{year}{letter}{part + 1:0{2 if parts == 12 else 1}d}" if letter else str(year)


def period_of(dates: pd.Series, frequency: str) -> pd.Series:
    """Return the period number (Int64, missing where the date is) that each date falls in."""
    parts = PARTS[frequency][1]
    year, month = dates.dt.year.astype("Int64"), dates.dt.month.astype("Int64")
    return year * parts + (month - 1) // (12 // parts)


def period_end(number: int, frequency: str) -> pd.Timestamp:
    """Return the last day of a period.

    Examples
    --------
    >>> period_end(period_number("2026H1", "half"), "half")
    Timestamp('2026-06-30 00:00:00')
    """
    parts = PARTS[frequency][1]
    year, part = divmod(int(number), parts)
    return pd.Timestamp(year, (part + 1) * 12 // parts, 1) + pd.offsets.MonthEnd(0)
