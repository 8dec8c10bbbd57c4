"""Rows of answers: straight-lined, without a person, given twice; and one order for the same rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from icsat_helpers.schemas import TABLES, kinds, merged_on
from icsat_helpers.settings import Item, Settings
from icsat_helpers.sources import TEXT

_STRAIGHT_ITEMS = 5


@dataclass(slots=True)
class Log:
    """What cleaning changed so far, one entry a change."""

    changes: list[tuple[str, str, str, int, str]] = field(default_factory=list)

    def count(self, table: str, rule: str, column: str, rows: int, what: str) -> None:
        """Note a change of `rows` rows; none is no change."""
        if rows:
            self.changes.append((table, rule, column, int(rows), what))

    def frame(self) -> pd.DataFrame:
        """Return the changes as a table."""
        return pd.DataFrame(self.changes, columns=["table", "rule", "column", "rows", "what"])


def straight_lines(table: str, frame: pd.DataFrame, items: list[Item], settings: Settings, log: Log) -> pd.DataFrame:
    """Count, and on request drop, rows with one answer throughout although an item is turned."""
    shared = [item for item in items if not item.own_scale]
    if len(shared) < _STRAIGHT_ITEMS or len({item.reversed for item in shared}) < 2:
        return frame
    low, high = np.full(len(frame), np.inf), np.full(len(frame), -np.inf)
    count, turned = np.zeros(len(frame), dtype=int), np.zeros((2, len(frame)), dtype=bool)
    for item in shared:
        values = frame[item.name].to_numpy()
        given = np.isfinite(values)
        # As it stood in the cell, before it was turned.
        values = settings.minimum + settings.maximum - values if item.reversed else values
        low, high = np.fmin(low, values), np.fmax(high, values)
        count += given
        turned[int(item.reversed)] |= given
    # Turning an answer back may cost its last digit.
    straight = (count >= _STRAIGHT_ITEMS) & turned.all(axis=0) & (high - low < 1e-9)
    drop = settings.straight_lines == "drop"
    what = f"rows of one answer to {_STRAIGHT_ITEMS} or more items, one of them reversed, "
    log.count(table, "straight_lines", "", straight.sum(), what + ("dropped" if drop else "kept"))
    return frame[~straight] if drop else frame


def named(table: str, frame: pd.DataFrame, items: list[Item], log: Log) -> pd.DataFrame:
    """Give each row without a person an id of its own, one that the order of the file does not change."""
    ids = frame["person_id"] if "person_id" in frame else pd.Series(pd.NA, frame.index, dtype=TEXT)
    linked = ids.notna()
    frame = frame.assign(person_id=ids, linked=linked)
    alone = np.flatnonzero(~linked.to_numpy())
    if len(alone):
        columns = [*sort_columns(table, frame), *(item.name for item in items)]
        alone = alone[order(frame.iloc[alone], columns)]
        names = np.empty(len(frame), dtype=object)
        names[alone] = [f"row-{table}-{i}" for i in range(1, len(alone) + 1)]
        frame["person_id"] = ids.mask(~linked, pd.Series(names, index=frame.index, dtype=TEXT))
        what = "each row without person_id is a person of its own"
        log.count(table, "no_person", "person_id", len(alone), what)
    return frame


def merged(table: str, frame: pd.DataFrame, items: list[Item], log: Log) -> pd.DataFrame:
    """Settle a person's duplicate answers: the latest stands, and where that cannot be told their mean."""
    keys = ["t" if key == "period" else key for key in merged_on(table)]
    twice = frame.duplicated(keys, keep=False)
    if not twice.any():
        return frame
    some = frame[twice]
    if "answered_at" in some:
        latest = some.groupby(keys)["answered_at"].transform("max")
        left = some[latest.isna() | (some["answered_at"] == latest)]
    else:
        left = some
    left = left.take(order(left, list(left)))
    names = {item.name for item in items}
    how = {column: "mean" if column in names else "first" for column in left if column not in keys}
    one = left.groupby(keys, as_index=False, sort=True).agg(how)
    columns = ", ".join(merged_on(table))
    what = "rows dropped, for a later answer of the same person stands"
    log.count(table, "duplicates", columns, len(some) - len(left), what)
    what = "rows merged into the mean of the same person's answers, for none is the latest"
    log.count(table, "duplicates", columns, len(left) - len(one), what)
    return pd.concat([frame[~twice], one[list(frame)].astype(frame.dtypes.to_dict())])


def sort_columns(table: str, frame: pd.DataFrame) -> list[str]:
    """Return the columns that put a table in order: period, keys, then the rest of the contract's."""
    keys = merged_on(table) or list(TABLES[table].unique or ())
    known = dict.fromkeys(["t", *(key for key in keys if key != "period"), *kinds(table)])
    return [column for column in known if column in frame and column != "period"]


def order(frame: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """Return the positions that sort a frame by `columns`; text is compared once for each distinct text."""
    ranks = []
    for column in columns:
        codes, values = pd.factorize(frame[column])
        rank = np.empty(len(values) + 1, dtype=np.int64)
        rank[np.argsort(np.asarray(values), kind="stable")] = np.arange(len(values))
        rank[-1] = len(values)
        ranks.append(rank[codes])
    return np.lexsort(ranks[::-1]) if ranks else np.arange(len(frame))
