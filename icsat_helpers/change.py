"""Change between two periods, taken apart into the same people's change and who answered."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from icsat_helpers.inference import FEWEST_UNITS

PARTS = ("total", "same", "who")
SUMS = [
    "n1",
    "s1",
    "n0",
    "s0",
    "ns",
    "a1",
    "a0",
]  # answers and their sums now, before; the same people's, now and before


def change(now: pd.DataFrame, before: pd.DataFrame, by: str = "") -> pd.DataFrame:
    """Change of a mean over people between two periods.

    The total is the sum of `same`, the change of the mean of those who answered both times, and `who`, the rest: that
    other people answered than before. Intervals by leaving out one unit (the one a person is in now) at a time.

    Parameters
    ----------
    now, before : DataFrame
        unit, person, score and `by`; a person who stands there twice counts with their mean.
    by : str
        Column whose values are compared, ``provider`` say; all together where empty.

    Returns
    -------
    DataFrame
        `by` (or "all"), now, before, people, people_before, people_same, and total, same, who, each with ``_low`` and
        ``_high``: NaN where nobody answered in both periods, ends NaN below five units.

    Examples
    --------
    >>> before = pd.DataFrame({"unit": "a", "person": ["p", "q"], "score": [3.0, 4.0]})
    >>> now = pd.DataFrame({"unit": "a", "person": ["p", "r"], "score": [3.5, 4.5]})
    >>> change(now, before)[["total", "same", "who"]].to_dict("records")
    [{'total': 0.5, 'same': 0.5, 'who': 0.0}]
    """
    by_unit = _sums(now, before, by)
    whole = by_unit.groupby(level=0).sum()
    values, without = _values(whole), _values(whole.reindex(by_unit.index.get_level_values(0)) - by_unit.to_numpy())
    units = by_unit.groupby(level=0).size()
    full = values.reindex(without.index)
    squares = ((without - full) ** 2).groupby(level=0).sum(min_count=1)
    broken = without.isna().groupby(level=0).any()
    se = np.sqrt(squares.mul((units - 1) / units, axis=0)).mask(broken)
    half = se.mul(stats.t.ppf(0.975, np.maximum(units - 1, 1)), axis=0).where(units >= FEWEST_UNITS, np.nan)
    frame = pd.DataFrame({"now": whole["s1"] / whole["n1"], "before": whole["s0"] / whole["n0"]})
    frame[["people", "people_before", "people_same"]] = whole[["n1", "n0", "ns"]].astype(int)
    for part in PARTS:
        frame[part] = values[part]
        frame[f"{part}_low"], frame[f"{part}_high"] = values[part] - half[part], values[part] + half[part]
    return frame.rename_axis(by or "all").reset_index()


def _sums(now: pd.DataFrame, before: pd.DataFrame, by: str) -> pd.DataFrame:
    """Sums of `SUMS` by group and unit, of groups with answers in both periods."""
    keys = ["group", "person"]
    one, two = (
        frame.assign(group=frame[by] if by else "all").groupby(keys, observed=True).agg(
            unit=("unit", "first"), score=("score", "mean")).reset_index()
        for frame in (now, before)
    )  # fmt: skip
    both = one.merge(two[[*keys, "score"]], on=keys, suffixes=("", "_before"))
    parts = [
        one.groupby(["group", "unit"])["score"].agg(n1="size", s1="sum"),
        two.groupby(["group", "unit"])["score"].agg(n0="size", s0="sum"),
        both.groupby(["group", "unit"]).agg(ns=("score", "size"), a1=("score", "sum"), a0=("score_before", "sum")),
    ]
    sums = pd.concat(parts, axis=1).reindex(columns=SUMS).fillna(0.0).sort_index()
    known = sums.groupby(level=0).sum()
    kept = known.index[(known["n1"] > 0) & (known["n0"] > 0)]
    return sums[sums.index.get_level_values(0).isin(kept)].rename_axis(["group", "unit"])


def _values(sums: pd.DataFrame) -> pd.DataFrame:
    """Total, same and who of sums."""
    positive = sums.where(sums > 0)
    total = sums["s1"] / positive["n1"] - sums["s0"] / positive["n0"]
    same = (sums["a1"] - sums["a0"]) / positive["ns"]
    return pd.DataFrame({"total": total, "same": same, "who": total - same})
