"""Whether a period's answers can be trusted: what is missing, and the figures that every report begins with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from icsat_helpers.disclosure import coarse, grains
from icsat_helpers.evidence import Metric, Metrics
from icsat_helpers.levels import course, favourable, level
from icsat_helpers.response import rates
from icsat_helpers.scores import TABLE_OF, scales, unit_scores
from icsat_helpers.study import Study


def missing_items(study: Study, measure: str) -> pd.DataFrame:
    """Share of unanswered items in the period and in the one before, hidden where fewer than the minimum answered.

    Returns
    -------
    DataFrame
        item, share, share_before; to the step that may be shown.
    """
    table = study.table(TABLE_OF[measure])
    items = [i.name for i in study.settings.items.values() if i.table == TABLE_OF[measure] and i.name in table]
    found: dict[str, Any] = {"item": items}
    minimum = study.settings.minimum_group
    steps = grains(table.rename(columns={"person_id": "person"})[["t", "person"]], ["t"], minimum, 1.0)
    for name, t in (("share", study.t), ("share_before", study.t - 1)):
        rows = table[table["t"] == t]
        people = rows["person_id"].nunique()
        share = rows[items].isna().mean().to_numpy()
        step = np.full(len(items), steps.get(t, 0.0))
        found[name] = coarse(share, share, share, step)[0] if people >= minimum else np.full(len(items), np.nan)
    return pd.DataFrame(found)


def history(study: Study, name: str, measure: str) -> pd.DataFrame:
    """A metric of the reported period as it was in each period, to the step that may be shown.

    Parameters
    ----------
    name : {"mean", "favourable_share", "response_rate"}
    measure : str

    Returns
    -------
    DataFrame
        t, value, low, high; no row, or missing, where too few people stand behind it.
    """
    return rates(study)[["t", "value", "low", "high"]] if name == "response_rate" else course(study, name, measure)


def metrics(study: Study, notebook: str) -> Metrics:
    """Response rate, means and favourable shares of the reported period that describe enough people."""
    asked = rates(study)
    found = [
        Metric("response_rate", "internal", row.value, row.low, row.high, row.n, notebook)
        for row in asked[asked["t"] == study.t].itertuples()
    ]
    for kind in ("internal", "morale", "external"):
        names = [kind, *(f"{kind}.{scale}" for scale in (scales(study, kind) if kind in TABLE_OF else ()))]
        for name in names:
            levels = level(study, name).set_index("t") if len(unit_scores(study, name)) else pd.DataFrame()
            if study.t in levels.index and np.isfinite(levels.at[study.t, "value"]):
                value, low, high, n = levels.loc[study.t, ["value", "low", "high", "n"]]
                found.append(Metric("mean", name, value, low, high, int(n) if np.isfinite(n) else None, notebook))
            if kind in TABLE_OF and study.has(TABLE_OF[kind]):
                shares = favourable(study, name).set_index("t")
                if study.t in shares.index:
                    share, low, high, n = shares.loc[study.t, ["share", "low", "high", "people"]]
                    found.append(
                        Metric("favourable_share", name, float(share), float(low), float(high), int(n), notebook)
                    )
    return Metrics(tuple(found))
