"""What may be published: nothing that describes fewer people than the study's minimum group."""

from __future__ import annotations

import numpy as np
import pandas as pd


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


def publishable(frame: pd.DataFrame, n: str, minimum: int, values: list[str], with_total: bool = True) -> pd.DataFrame:
    """Copy of a table in which what may not be shown is missing and `shown` says why.

    Parameters
    ----------
    frame : DataFrame
    n : str
        Column with the people behind each row; it is hidden with the values.
    values : list of str
        Columns that describe those people.

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
    hidden = suppressed(frame[n], minimum, with_total)
    result = frame.copy()
    result[[n, *values]] = result[[n, *values]].astype(float).mask(hidden)
    small = (frame[n] < minimum) & hidden
    reason = np.where(small, f"hidden: fewer than {minimum} people", "hidden: it would reveal a smaller group")
    return result.assign(shown=np.where(hidden, reason, ""))
