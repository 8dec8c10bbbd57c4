"""What may be published: nothing that describes fewer people than the study's minimum group."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from icsat_helpers.release import NARROWEST
from icsat_helpers.words import say

Floats = npt.NDArray[np.float64]
Numbers = npt.ArrayLike


def suppressed(n: pd.Series, minimum: int, with_total: bool = True) -> pd.Series:
    """Which rows of a published table must not show their values.

    Parameters
    ----------
    n : Series of numbers
        People behind each row; unknown (NaN) counts as enough only where an aggregate was delivered without n,
        so fill it before if that is not so.
    minimum : int
    with_total : bool
        The reader can also see the total over all rows. A single hidden row would then be what is left over, so
        the smallest shown row is hidden too; likewise while the hidden rows together describe fewer than `minimum`.

    Returns
    -------
    Series of bool

    Examples
    --------
    >>> suppressed(pd.Series([3, 20, 7]), 5).tolist()
    [True, False, True]
    """
    hidden = (n < minimum) & (n > 0)
    if not with_total:
        return hidden
    while hidden.any() and (hidden.sum() == 1 or n[hidden].sum() < minimum) and not hidden.all():
        hidden = hidden | (n.index == n[~hidden & (n > 0)].idxmin()) if (~hidden & (n > 0)).any() else hidden | True
    return hidden


def publishable(
    frame: pd.DataFrame,
    n: str,
    minimum: int,
    values: list[str],
    with_total: bool = True,
    hidden: pd.Series | None = None,
) -> pd.DataFrame:
    """Copy of a table in which what may not be shown is missing and `shown` says why.

    Parameters
    ----------
    frame : DataFrame
    n : str
        Column with the people behind each row; it is hidden with the values.
    values : list of str
        Columns that describe those people.
    hidden : Series of bool, optional
        Rows to hide, where `margins.suppress_parts` says more than `suppressed`.

    Returns
    -------
    DataFrame
        With the column `shown`: "" or "hidden: fewer than 5 people".

    Examples
    --------
    >>> t = pd.DataFrame({"unit": ["a", "b", "c"], "n": [3, 9, 9], "mean": [1.0, 2.0, 3.0]})
    >>> publishable(t, "n", 5, ["mean"], with_total=False)["mean"].tolist()
    [nan, 2.0, 3.0]
    """
    hidden = suppressed(frame[n], minimum, with_total) if hidden is None else hidden
    result = frame.copy()
    result[[n, *values]] = result[[n, *values]].astype(float).mask(hidden)
    small = (frame[n] < minimum) & hidden
    few = say("hidden: fewer than {minimum} people", minimum=minimum)
    reason = np.where(small, few, say("hidden: it would reveal a smaller group"))
    return result.assign(shown=np.where(hidden, reason, ""))


# ---------------------------------------------------------------- a report beside the last one


def few_moved(now: pd.DataFrame, before: pd.DataFrame, keys: list[str], minimum: int) -> pd.Series:
    """How many people came to, or went from, each group since the period before, where they are too few to be told.

    Who stays may well answer as before; then the difference of two reports is what those few answered.

    Parameters
    ----------
    now, before : DataFrame
        `keys` and person.
    keys : list of str
        Columns that name a group.
    minimum : int

    Returns
    -------
    Series of int, by `keys` of `now`, sorted
        0 where nobody moved, `minimum` people or more did, or the group was too small to be shown before.

    Examples
    --------
    >>> before = pd.DataFrame({"unit": "a", "person": list("pqrstu")})
    >>> few_moved(before[1:], before, ["unit"], 5).tolist(), few_moved(before, before[:2], ["unit"], 5).tolist()
    ([1], [0])
    """
    one, two = (frame[[*keys, "person"]].drop_duplicates() for frame in (now, before))
    n, was, both = (frame.groupby(keys, sort=True).size() for frame in (one, two, one.merge(two)))
    was, both = (each.reindex(n.index, fill_value=0) for each in (was, both))
    moved = n + was - 2 * both
    return moved.where((was >= minimum) & (moved < minimum), 0)


def grain(people: float, moved: float, width: float) -> float:
    """Step to which a mean is rounded, so that what it gives away of a few people is too coarse to be used.

    Parameters
    ----------
    people : float
        Behind the mean.
    moved : float
        Of them, or of those who have left them, the few who could be told; 0 needs no rounding.
    width : float
        Of the scale: the mean of the few may not be narrowed to less than `NARROWEST` of it.

    Returns
    -------
    float
        One of 0.001, 0.002, 0.005, 0.01 and so on; 0 for none.

    Examples
    --------
    >>> grain(6, 1, 4), grain(700, 2, 4), grain(700, 0, 4)
    (0.5, 0.01, 0.0)
    """
    if not moved:
        return 0.0
    wanted = moved * NARROWEST * width / people
    return next(step for k in range(-3, 9) for step in (10.0**k, 2 * 10.0**k, 5 * 10.0**k) if step >= wanted - 1e-12)


def grains(answers: pd.DataFrame, by: list[str], minimum: int, width: float) -> pd.Series:
    """Step to which the mean of each group is rounded because few moved since the period before; 0 for none.

    Parameters
    ----------
    answers : DataFrame
        t, person and `by`.
    by : list of str
        Columns that name a group, ``t`` among them.

    Examples
    --------
    >>> answers = pd.DataFrame({"t": [1] * 6 + [2] * 5, "person": [*"pqrstu", *"pqrst"]})
    >>> grains(answers, ["t"], 5, 4.0).to_dict()
    {1: 0.0, 2: 0.5}
    """
    moved = few_moved(answers, answers.assign(t=answers["t"] + 1), by, minimum)
    people = answers.groupby(by)["person"].nunique().reindex(moved.index)
    steps = [grain(n, few, width) for n, few in zip(people, moved, strict=True)]
    return pd.Series(steps, moved.index, dtype=float)


def coarse(value: Numbers, low: Numbers, high: Numbers, step: Numbers) -> tuple[Floats, Floats, Floats]:
    """Round values and their intervals to a step each; the ends tell no more of a value than the value itself.

    Examples
    --------
    >>> [x.tolist() for x in coarse(*np.array([[3.46, 3.46], [3.31, 3.31], [3.61, 3.61], [0.2, 0.0]]))]
    [[3.4, 3.46], [3.2, 3.31], [3.6, 3.61]]
    """
    at, below, above, steps = (np.asarray(each, dtype=float) for each in (value, low, high, step))
    size = np.where(steps > 0, steps, 1.0)
    middle = size * np.round(at / size)
    ends = (middle, middle - size * np.ceil((at - below) / size), middle + size * np.ceil((above - at) / size))
    one, two, three = (
        np.where(steps > 0, end.round(6), given) for end, given in zip(ends, (at, below, above), strict=True)
    )
    return one, two, three


def blurred(share: float, people: float, minimum: int) -> tuple[float, float]:
    """Share of hidden people as it enters the share of a whole that is shown: the middle of a step, and half of that.

    The whole then says no more of them, even to who knows all shown shares. People are whole, so a step holds so many
    of them that of fewer than `minimum` nobody knows to less than `NARROWEST` how many. The step is the same whatever
    they did: it tells nothing itself.

    Examples
    --------
    >>> blurred(1.0, 17, 5), blurred(0.0, 300, 5), blurred(1.0, 3, 5)
    ((0.9, 0.1), (0.005, 0.005), (0.5, 0.5))
    """
    step = min(1.0, grain(people, minimum + 1, 1.0))
    place = min(np.floor(share / step + 1e-9), round(1 / step) - 1)
    return round(float(step * (place + 0.5)), 6), step / 2


def lagging(each: Iterable[float], minimum: int) -> int:
    """Count people over all periods so that it grows by nobody or by `minimum` people from one report to the next.

    Parameters
    ----------
    each : iterable of numbers
        People of each period, the first period first.
    minimum : int

    Examples
    --------
    >>> lagging([7, 4], 5), lagging([7, 4, 1], 5)
    (7, 12)
    """
    whole = shown = 0.0
    for n in each:
        whole += n
        shown = whole if whole - shown >= minimum else shown
    return int(shown)
