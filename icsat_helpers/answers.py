"""Answers: labels in English, French and German to numbers; rows straight-lined, without a person, given twice."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from icsat_helpers.columns import number
from icsat_helpers.draft import Draft
from icsat_helpers.labels import FIVE_POINTS
from icsat_helpers.schemas import MERGED_ON, TABLES, kinds
from icsat_helpers.settings import Item, Settings, fold
from icsat_helpers.sources import TEXT
from icsat_helpers.words import message

READ, LABEL, MISSING, OUT_OF_RANGE, UNKNOWN = range(5)
"""How one answer was read: as the number it is, as a label, as no answer, or not at all."""

_STRAIGHT_ITEMS = 5


def convert(texts: Iterable[str], item: Item, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Read distinct answers to an item.

    A built-in label is a place on five points, spread over the item's scale; a label of ``[answers]`` is the
    number it stands for, as if that had been in the cell.

    Returns
    -------
    tuple of array
        Numbers on the study's answer scale, reversed items turned, NaN where there is no answer; and how each
        was read (`READ` and so on).

    Examples
    --------
    >>> item = Item("q", "morale", "engagement", reversed=True)
    >>> convert(["Strongly agree", "2", "9"], item, Settings())[0]
    array([ 1.,  4., nan])
    """
    labels = {fold(label): value for label, value in settings.labels.items()}
    labels |= dict.fromkeys([fold(str(code)) for code in item.missing], "missing")
    codes = [value for code in item.missing if np.isfinite(value := number(str(code)))]
    read = [_one(text, item, labels, codes) for text in texts]
    values = np.array([value for value, _ in read], dtype=float)
    if item.own_scale:
        share = (values - item.minimum) / (item.maximum - item.minimum)
        values = settings.minimum + share * (settings.maximum - settings.minimum)
    if item.reversed:
        values = settings.minimum + settings.maximum - values
    return values, np.array([how for _, how in read], dtype=np.int8)


def _one(text: str, item: Item, labels: dict[str, float | str], codes: list[float]) -> tuple[float, int]:
    folded, value, how = fold(text), number(text.strip()), READ
    if not folded:
        return np.nan, READ
    if value in codes or labels.get(folded) == "missing":
        return np.nan, MISSING
    if folded in labels:
        value, how = float(labels[folded]), LABEL
    elif folded in FIVE_POINTS:
        value, how = item.minimum + (FIVE_POINTS[folded] - 1) / 4 * (item.maximum - item.minimum), LABEL
    if np.isnan(value):
        return np.nan, UNKNOWN
    return (value, how) if item.minimum <= value <= item.maximum else (np.nan, OUT_OF_RANGE)


def settled(draft: Draft, table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row of answers a person and pair of units; count what was straight-lined, unnamed or given twice."""
    items = draft.settings.items_of(table)
    return _merged(draft, table, _named(draft, table, _straight(draft, table, frame, items), items), items)


def _straight(draft: Draft, table: str, frame: pd.DataFrame, items: list[Item]) -> pd.DataFrame:
    """Count, and on request drop, rows with one answer throughout although an item is turned."""
    shared = [item for item in items if not item.own_scale]
    if len(shared) < _STRAIGHT_ITEMS:
        return frame
    values = frame[[item.name for item in shared]].to_numpy()
    turned = np.array([item.reversed for item in shared])
    # As it stood in the cell, before it was turned.
    values = np.where(turned, draft.settings.minimum + draft.settings.maximum - values, values)
    given = np.isfinite(values)
    both = given[:, turned].any(axis=1) & given[:, ~turned].any(axis=1)
    # Turning an answer back may cost its last digit.
    same = np.fmax.reduce(values, axis=1) - np.fmin.reduce(values, axis=1) < 1e-9
    straight = same & both & (given.sum(axis=1) >= _STRAIGHT_ITEMS)
    drop = draft.settings.straight_lines == "drop"
    what = (
        message("rows of one answer to 5 or more items, one of them reversed, dropped")
        if drop
        else message("rows of one answer to 5 or more items, one of them reversed, kept")
    )
    draft.count(table, "straight_lines", "", straight.sum(), what)
    return frame[~straight] if drop else frame


def _named(draft: Draft, table: str, frame: pd.DataFrame, items: list[Item]) -> pd.DataFrame:
    """Give each row without a person an id of its own, one that the order of the file does not change."""
    if "person_id" not in frame:
        frame = frame.assign(person_id=pd.Series(None, frame.index, dtype=TEXT))
    frame = frame.assign(linked=frame["person_id"].notna())
    alone = in_order(table, frame[~frame["linked"]], [item.name for item in items]).index
    frame.loc[alone, "person_id"] = [f"row-{table}-{i}" for i in range(1, len(alone) + 1)]
    draft.count(
        table, "no_person", "person_id", len(alone), message("each row without person_id is a person of its own")
    )
    return frame


def _merged(draft: Draft, table: str, frame: pd.DataFrame, items: list[Item]) -> pd.DataFrame:
    """Settle a person's duplicate answers: the latest stands, and where that cannot be told their mean."""
    keys = MERGED_ON[table]
    twice = frame.duplicated(keys, keep=False)
    if not twice.any():
        return frame
    some = left = frame[twice]
    if "answered_at" in some:
        latest = some.groupby(keys)["answered_at"].transform("max")
        left = some[latest.isna() | (some["answered_at"] == latest)]
    left = left.sort_values(list(left))
    how = dict.fromkeys(left.columns.difference(keys), "first") | dict.fromkeys([item.name for item in items], "mean")
    one = left.groupby(keys, as_index=False).agg(how)
    what = message("rows dropped, for a later answer of the same person stands")
    draft.count(table, "duplicates", ", ".join(keys), len(some) - len(left), what)
    what = message("rows merged into the mean of the same person's answers, for none is the latest")
    draft.count(table, "duplicates", ", ".join(keys), len(left) - len(one), what)
    return pd.concat([frame[~twice], one[list(frame)]])


def in_order(table: str, frame: pd.DataFrame, more: list[str] | None = None) -> pd.DataFrame:
    """Return a table sorted by period, keys, the rest of the contract's columns and `more`."""
    keys = MERGED_ON.get(table) or TABLES[table].unique or []
    columns = dict.fromkeys(["t", *keys, *kinds(table), *(more or [])])
    return frame.sort_values([column for column in columns if column in frame])
