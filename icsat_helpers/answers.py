"""Answers: labels in English, French and German to numbers; rows straight-lined, without a person, given twice."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from icsat_helpers.columns import coded, number
from icsat_helpers.draft import Draft
from icsat_helpers.labels import FIVE_POINTS
from icsat_helpers.ordering import order, taken
from icsat_helpers.schemas import MERGED_ON, TABLES, kinds
from icsat_helpers.settings import Item, Settings, fold
from icsat_helpers.sources import TEXT, values, written_out
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
    """Return one row of answers a person and pair of units, in order; count what was straight-lined, unnamed, twice."""
    items = draft.settings.items_of(table)
    return _merged(draft, table, _named(draft, table, _straight(draft, table, frame, items), items), items)


def _straight(draft: Draft, table: str, frame: pd.DataFrame, items: list[Item]) -> pd.DataFrame:
    """Count, and on request drop, rows with one answer throughout although an item is turned."""
    shared = [item for item in items if not item.own_scale]
    if len(shared) < _STRAIGHT_ITEMS:
        return frame
    answers = written_out(frame[[item.name for item in shared]]).to_numpy()
    turned = np.array([item.reversed for item in shared])
    # As it stood in the cell, before it was turned.
    answers = np.where(turned, draft.settings.minimum + draft.settings.maximum - answers, answers)
    given = np.isfinite(answers)
    both = given[:, turned].any(axis=1) & given[:, ~turned].any(axis=1)
    # Turning an answer back may cost its last digit.
    same = np.fmax.reduce(answers, axis=1) - np.fmin.reduce(answers, axis=1) < 1e-9
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
        frame = frame.assign(person_id=pd.Categorical.from_codes([-1] * len(frame), pd.Index([], dtype=TEXT)))
    frame = frame.assign(linked=frame["person_id"].notna())
    if frame["linked"].all():
        return frame
    alone = in_order(table, frame[~frame["linked"]], [item.name for item in items]).index
    ids, codes = list(frame["person_id"].cat.categories), frame["person_id"].cat.codes.to_numpy(dtype=np.int64)
    codes[frame.index.get_indexer(alone)] = np.arange(len(ids), len(ids) + len(alone))
    ids += [f"row-{table}-{i}" for i in range(1, len(alone) + 1)]
    what = message("each row without person_id is a person of its own")
    draft.count(table, "no_person", "person_id", len(alone), what)
    return frame.assign(person_id=coded(codes, pd.Series(ids, dtype=TEXT)))


def _merged(draft: Draft, table: str, frame: pd.DataFrame, items: list[Item]) -> pd.DataFrame:
    """Settle a person's duplicate answers: the latest stands, and where that cannot be told their mean.

    The rows are put in order, for then the duplicates stand side by side.
    """
    keys = MERGED_ON[table]
    found = order([frame[key].array for key in keys])
    one = frame if found.rows is None and found.new.all() else taken(frame, found.first)
    if len(one) == len(frame):
        return one
    others = list(frame.columns.difference([*keys, "t", "linked"], sort=False))
    twice = ~(found.new & np.append(found.new[1:], True))
    rows = np.flatnonzero(twice) if found.rows is None else found.rows[twice]
    some, which = written_out(taken(frame[others], rows)), np.cumsum(found.new[twice])
    stands = np.ones(len(some), dtype=bool)
    if "answered_at" in some:
        latest = some["answered_at"].groupby(which).transform("max")
        stands = (latest.isna() | (some["answered_at"] == latest)).to_numpy()
    what = message("rows dropped, for a later answer of the same person stands")
    draft.count(table, "duplicates", ", ".join(keys), (~stands).sum(), what)
    what = message("rows merged into the mean of the same person's answers, for none is the latest")
    draft.count(table, "duplicates", ", ".join(keys), stands.sum() - which[-1], what)
    left = some.assign(t=which)[stands].sort_values(others)
    names = {item.name for item in items}
    merged = left.groupby("t").agg({name: "mean" if name in names else "first" for name in others})
    place = np.flatnonzero(twice[found.new])
    columns = {name: one[name].array for name in one}
    for name in others:
        known = columns[name]
        if name in names:  # a mean is another answer than there was
            known = known.add_categories(np.setdiff1d(merged[name].dropna(), known.categories))
        else:
            known = values(known)
        known[place] = merged[name].array
        columns[name] = known
    return pd.DataFrame(columns, copy=False)


def in_order(table: str, frame: pd.DataFrame, more: list[str] | None = None) -> pd.DataFrame:
    """Return a table sorted by period, keys, the rest of the contract's columns and `more`."""
    keys = MERGED_ON.get(table) or TABLES[table].unique
    columns = dict.fromkeys(["t", *keys, *kinds(table), *(more or [])])
    return frame.sort_values([column for column in columns if column in frame])
