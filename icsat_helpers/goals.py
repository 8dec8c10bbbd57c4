"""Goals: what a provider was to reach, what it reached, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import stats

from icsat_helpers.service import provider_means, served
from icsat_helpers.study import Study
from icsat_helpers.words import message

MET, MISSED = message("met"), message("missed")
OPEN, SILENT = message("too early to say"), message("no answers")


def judge(study: Study, periods: Iterable[int] = ()) -> pd.DataFrame:
    """Judge each goal against the predictive distribution of its provider's mean.

    A goal is met where the whole 95% interval reaches the target, missed where none of it does.

    Parameters
    ----------
    study : Study
    periods : iterable of int
        Numbers of the periods whose goals are judged; the reported one if none is given. A goal without a period
        is for the reported one, one without a scale is on `internal`.

    Returns
    -------
    DataFrame
        provider, measure, t, target, n (people; for models, hide it before display), value, low, high,
        probability (that the target is reached), status (met, missed, too early to say, no answers); one row a goal.
    """
    table = study.table("goals")
    due = pd.DataFrame(
        {
            "provider": table["provider_unit"],
            "measure": ("internal." + table["scale"].astype("str")).where(table["scale"].notna(), "internal"),
            "t": table["t"].fillna(study.t).astype(int),
            "target": table["target"].astype(float),
        }
    )
    due = due[due["t"].isin(list(periods) or [study.t])]
    parts = [
        goals.merge(provider_means(served(study, str(measure), int(t))), on="provider", how="left")
        for (measure, t), goals in due.groupby(["measure", "t"], sort=True)
    ]
    columns = [*due.columns, "n", "mean", "se", "low", "high"]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    rows = rows.astype(dict.fromkeys(columns[3:], float)).rename(columns={"mean": "value"})
    rows["n"] = rows["n"].fillna(0.0)
    status = np.select([rows["n"] == 0, rows["low"] >= rows["target"], rows["high"] < rows["target"]],
                       [SILENT, MET, MISSED], OPEN)  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = stats.norm.sf((rows["target"] - rows["value"]) / rows["se"])
    rows = rows.assign(probability=chance, status=status).drop(columns="se")
    return rows.sort_values(["t", "provider", "measure"], ignore_index=True)


def over_time(judged: pd.DataFrame, minimum: int) -> pd.DataFrame:
    """Share of goals met by period, of those behind which `minimum` people stand.

    Returns
    -------
    DataFrame
        t, goals, met, missed, open, share (of all goals; NaN where none can be shown).

    Examples
    --------
    >>> judged = pd.DataFrame({"t": [1, 1, 1], "n": [9, 9, 2], "status": [MET, OPEN, MISSED]})
    >>> over_time(judged, 5).to_dict("records")
    [{'t': 1, 'goals': 2, 'met': 1, 'missed': 0, 'open': 1, 'share': 0.5}]
    """
    rows = judged[judged["n"] >= minimum]
    counted = {name: (rows["status"] == status).groupby(rows["t"]).sum() for name, status in
               {"met": MET, "missed": MISSED, "open": OPEN}.items()}  # fmt: skip
    frame = pd.DataFrame({"goals": rows.groupby("t").size()} | counted).reset_index()
    return frame.assign(share=frame["met"] / frame["goals"])
