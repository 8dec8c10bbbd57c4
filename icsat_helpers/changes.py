"""What changed since the period before, and why: scores with intervals, and whether data or thresholds did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from icsat_helpers.clean import load
from icsat_helpers.evidence import CERTAINTY, percent_change
from icsat_helpers.fingerprints import of_tables
from icsat_helpers.health import history
from icsat_helpers.inference import FEWEST_UNITS
from icsat_helpers.response import invited
from icsat_helpers.scores import favourable_answers, unit_scores
from icsat_helpers.study import Study, StudyError
from icsat_helpers.words import known, number, say, series

SAME = 0.005  # of a threshold: findings hold six digits, so smaller differences are rounding


@dataclass(frozen=True, slots=True)
class Change:
    """Change of a score since the period before, with its 95% interval (None below five units)."""

    value: float
    low: float | None
    high: float | None


def since(study: Study, name: str, measure: str) -> Change | None:
    """Change of a metric since the period before; None where either period describes too few people.

    Parameters
    ----------
    name : {"mean", "favourable_share", "response_rate"}
    measure : str

    Notes
    -----
    A ratio of sums over units in each period; units are the clusters, so that a unit's lasting level cancels.
    It is the difference of what the two reports show: each level to the step that may be shown.
    """
    periods = [study.t - 1, study.t]
    rows = _sums(study, name, measure, periods)
    shown = history(study, name, measure).set_index("t")["value"].reindex(periods)
    if shown.isna().any() or set(rows["t"]) != set(periods):
        return None
    total = rows.groupby("t")[["top", "bottom"]].sum()
    ratio = total["top"] / total["bottom"]
    value = float(shown[study.t] - shown[study.t - 1])
    pull = (rows["top"] - rows["bottom"] * rows["t"].map(ratio)) / rows["t"].map(total["bottom"])
    each = (pull * np.where(rows["t"] == study.t, 1, -1)).groupby(rows["unit"]).sum()
    g = len(each)
    if g < FEWEST_UNITS:
        return Change(value, None, None)
    half = float(stats.t.ppf(0.975, g - 1) * np.sqrt((each**2).sum() * g / (g - 1)))
    return Change(value, value - half, value + half)


def _sums(study: Study, name: str, measure: str, periods: list[int]) -> pd.DataFrame:
    """Per unit and period what a metric divides (top, bottom)."""
    if name == "response_rate":
        asked = pd.concat([invited(study, t).assign(t=t) for t in periods])
        return asked.groupby(["unit", "t"])["answered"].agg(top="sum", bottom="size").reset_index()
    if name == "favourable_share":
        rows = favourable_answers(study, measure).groupby(["unit", "t"])[["yes", "answers"]].sum().reset_index()
        rows = rows.rename(columns={"yes": "top", "answers": "bottom"})
    else:
        rows = unit_scores(study, measure)
        weight = rows["n"].where(~rows["given"], 1.0).fillna(1.0)
        rows = rows.assign(top=weight * rows["value"], bottom=weight)
    return rows.loc[rows["t"].isin(periods) & (rows["bottom"] > 0), ["unit", "t", "top", "bottom"]]


# ---------------------------------------------------------------- why a finding is another one


def revised(study: Study, recorded: dict[str, str]) -> list[str] | None:
    """Tables whose rows up to the period before are not what they were when it was reported; None if not known.

    Parameters
    ----------
    recorded : dict of str to str
        What `icsat_helpers.fingerprints.of_tables` gave then; empty if nobody wrote it down.
    """
    if not recorded:
        return None
    try:
        now = of_tables(load(study.folder, study.label(study.t - 1), study.site).tables)
    except StudyError:  # the period, or the site, is no longer there
        now = {}
    return sorted(name for name in recorded.keys() | now.keys() if recorded.get(name) != now.get(name))


def told(finding: dict[str, Any], before: dict[str, Any] | None, tables: list[str] | None) -> str:
    """What changed in a finding since the period before, and why, in words."""
    if before is None:
        return say("No earlier report.")
    same = ("verdict", "rung", "estimate", "n_rows", "reason")
    if all(before.get(key) == finding.get(key) for key in same):
        return say("Unchanged.")
    why = series(_reasons(finding, before, tables))
    was, same_verdict = say(CERTAINTY[before["verdict"]]), before["verdict"] == finding["verdict"]
    if before.get("estimate") is None:
        return (
            say("Verdict unchanged. Why: {why}.", why=why)
            if same_verdict
            else say("Was: {verdict}. Why: {why}.", verdict=was, why=why)
        )
    size = (percent_change if "log " in before.get("unit", "") else number)(before["estimate"])
    if same_verdict:
        return say("Verdict unchanged (estimate {size} then). Why: {why}.", size=size, why=why)
    return say("Was: {verdict} (estimate {size} then). Why: {why}.", verdict=was, size=size, why=why)


def _reasons(finding: dict[str, Any], before: dict[str, Any], tables: list[str] | None) -> list[str]:
    why = [say("new data")]
    if tables:
        why.append(say("revised data ({tables})", tables=", ".join(known(name.replace("_", " ")) for name in tables)))
    was, now = _threshold(before), _threshold(finding)
    if was and now and all(abs(a - b) > SAME * a for a, b in zip(was, now, strict=True)):
        why.append(
            say(
                "changed threshold (what matters begins at {now} standard deviations, was {was})",
                now=now[1],
                was=was[1],
            )
        )
    was_m, m = _family(before), _family(finding)
    if was_m and m and was_m != m:
        why.append(say("changed threshold (p corrected for {now} claims, was {was})", now=m, was=was_m))
    if (before.get("rung"), before.get("method")) != (finding.get("rung"), finding.get("method")):
        why.append(say("another method"))
    return why


def _threshold(finding: dict[str, Any]) -> tuple[float, float] | None:
    """Smallest effect in raw units and in standard deviations: whichever is registered does not move with the data."""
    raw, value, standard = (finding.get(key) for key in ("smallest_effect", "estimate", "standardised"))
    return (raw, abs(raw * standard / value)) if raw and value and standard is not None else None


def _family(finding: dict[str, Any]) -> int | None:
    """Number of claims that p was corrected for, where it can be read off."""
    p, adjusted = finding.get("p"), finding.get("p_adjusted")
    return round(adjusted / p) if p and adjusted and adjusted < 1 else None
