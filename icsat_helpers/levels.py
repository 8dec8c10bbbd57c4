"""Means and favourable shares by period, of all or of a site, and what they may tell of a few."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from icsat_helpers.cache import across_sites
from icsat_helpers.clean import load
from icsat_helpers.disclosure import coarse, grains, publishable
from icsat_helpers.inference import FEWEST_UNITS
from icsat_helpers.margins import suppress_parts
from icsat_helpers.release import ROUNDING, UNKNOWN, Group, Statements, exposed
from icsat_helpers.scores import (
    TABLE_OF,
    favourable_answers,
    favourable_share,
    person_scores,
    scales,
    unit_scores,
    unit_sites,
)
from icsat_helpers.study import Study
from icsat_helpers.words import message

TITLES = {
    "internal": message("Mean internal score"),
    "morale": message("Mean morale score"),
    "external": message("Mean external score"),
}


def level(study: Study, measure: str) -> pd.DataFrame:
    """Mean of a measure by period, its interval clustered by unit; hidden where too few people stand behind it.

    Returns
    -------
    DataFrame
        t, value, low, high (NaN below five units: too few for an interval), n (people, NaN unknown), units, shown.
    """
    return study.once((measure, "level"), lambda: _level(study, measure))


def _level(study: Study, measure: str) -> pd.DataFrame:
    units = unit_scores(study, measure)
    weight = units["n"].where(~units["given"], 1.0).fillna(1.0)
    rows = units.assign(w=weight, wx=weight * units["value"])
    total = rows.groupby("t").agg(w=("w", "sum"), wx=("wx", "sum"), units=("unit", "nunique"))
    n = rows.groupby("t")["n"].sum(min_count=1)
    persons = person_scores(study, measure).groupby("t")["person"].nunique()  # who answers for two units is one
    total["n"] = persons.reindex(n.index).fillna(n).astype(float)
    mean, g = total["wx"] / total["w"], total["units"]
    deviation = rows["w"] * (rows["value"] - rows["t"].map(mean)) / rows["t"].map(total["w"])
    se = np.sqrt((deviation**2).groupby(rows["t"]).sum() * g / (g - 1).where(g >= FEWEST_UNITS))
    half = se * stats.t.ppf(0.975, np.maximum(g - 1, 1))
    step = rounding(study, "mean", measure).reindex(total.index, fill_value=0.0)
    value, low, high = coarse(mean, mean - half, mean + half, step)
    frame = total.assign(value=value, low=low, high=high).reset_index()
    frame = frame[["t", "value", "low", "high", "n", "units"]]
    hidden = (frame["n"] < study.settings.minimum_group) | frame["t"].isin(_gone(study, "mean", measure))
    return publishable(frame, "n", study.settings.minimum_group, ["value", "low", "high"], hidden=hidden)


def favourable(study: Study, measure: str) -> pd.DataFrame:
    """Share of favourable answers by period, as `scores.favourable_share` gives it, to the step that may be shown.

    No row where too few people stand behind it.
    """
    return study.once((measure, "favourable"), lambda: _favourable(study, measure))


def _favourable(study: Study, measure: str) -> pd.DataFrame:
    frame, gone = favourable_share(study, measure), _gone(study, "favourable_share", measure)
    frame = frame[(frame["people"] >= study.settings.minimum_group) & ~frame["t"].isin(gone)]
    step = rounding(study, "favourable_share", measure).reindex(frame["t"], fill_value=0.0)
    share, low, high = coarse(frame["share"], frame["low"], frame["high"], step)
    return frame.assign(share=share, low=np.clip(low, 0, 1), high=np.clip(high, 0, 1))


def course(study: Study, name: str, measure: str) -> pd.DataFrame:
    """A mean or a favourable share as it was in each period: t, value, low, high."""
    frame = level(study, measure) if name == "mean" else favourable(study, measure).rename(columns={"share": "value"})
    return frame[["t", "value", "low", "high"]]


def rounding(study: Study, name: str, measure: str) -> pd.Series:
    """Step to which a metric is rounded in each period, so that no few who came or went can be told; 0 for none.

    Parameters
    ----------
    name : {"mean", "favourable_share"}
    measure : str
        What is measured; what records or external customers say needs no rounding.
    """
    return study.once((measure, name, "rounding"), lambda: _rounding(study, name, measure))


def _rounding(study: Study, name: str, measure: str) -> pd.Series:
    if measure.partition(".")[0] not in TABLE_OF:
        return pd.Series(dtype=float)
    low, high = _scale(study, name)
    return grains(_answers(study, name, measure)[["t", "person"]], ["t"], study.settings.minimum_group, high - low)


def hidden_sites(study: Study, name: str, measure: str) -> pd.DataFrame:
    """Sites whose metric is hidden, by period: with the whole and the other sites it would tell of a few.

    The reader is taken to have the reports of all sites and of the whole. Where the whole alone tells of a few, for all
    said nearly the same, it is hidden too: its site is "".

    Returns
    -------
    DataFrame
        t, site.
    """
    kind = f"sites-{name}-{measure}"
    make = {kind: lambda: _hidden_sites(all_sites(study), name, measure)}
    return study.once(kind, lambda: across_sites(study, kind, make))


def all_sites(study: Study) -> Study:
    """The study of all sites."""
    return study.once("whole", lambda: load(study.folder, study.period) if study.site else study)


def _hidden_sites(study: Study, name: str, measure: str) -> pd.DataFrame:
    rows, minimum = _answers(study, name, measure).rename(columns={"site": "part"}), study.settings.minimum_group
    found = []
    for t in sorted(_few(study, name, measure)):
        now, scale = rows[rows["t"] == t].astype({"part": object}), _scale(study, name)
        hidden = suppress_parts(now, minimum, scale)
        found += [(int(t), site) for site in hidden.index[hidden]]
        whole = _counted(now, np.average(now["score"], weights=now["weight"]))
        told = Statements(*scale, {"": whole, **dict.fromkeys(hidden.index, UNKNOWN)}, (("", tuple(hidden.index)),))
        if len(hidden) > 1 and hidden.all() and exposed([told.plain()], [], minimum):
            found.append((int(t), ""))
    return pd.DataFrame(found, columns=["t", "site"])


def _few(study: Study, name: str, measure: str) -> set[int]:
    """Periods in which some site has answers of fewer people than the minimum."""

    def make() -> set[int]:
        rows = _answers(study, name, measure)[["t", "site", "person"]].drop_duplicates()
        people = rows.groupby(["t", "site"], observed=True).size()
        return {int(t) for t, _ in people.index[people < study.settings.minimum_group]}

    return study.once((measure, name, "few"), make)


def _gone(study: Study, name: str, measure: str) -> set[int]:
    """Periods in which a metric is hidden for the sake of others."""
    if measure.partition(".")[0] not in TABLE_OF:
        return set()
    found = hidden_sites(study, name, measure)
    return {*found.loc[found["site"] == study.site, "t"]}


def _answers(study: Study, name: str, measure: str) -> pd.DataFrame:
    """What associates answered that a metric is the mean of: t, unit, site, person (a number), score, weight."""
    return study.once((measure, name, "answers"), lambda: _answered_on(study, name, measure))


def _answered_on(study: Study, name: str, measure: str) -> pd.DataFrame:
    rows = person_scores(study, measure) if name == "mean" else favourable_answers(study, measure)
    if name == "mean":
        rows = rows.assign(weight=1)
    else:
        rows = rows[rows["answers"] > 0]
        rows = rows.assign(score=rows["yes"] / rows["answers"], weight=rows["answers"])
    units, place = pd.factorize(rows["unit"])[::-1]
    site = unit_sites(study, pd.Series(units))[place].array
    return rows.assign(person=pd.factorize(rows["person"])[0], site=pd.Categorical(site))


def _scale(study: Study, name: str) -> tuple[float, float]:
    return (study.settings.minimum, study.settings.maximum) if name == "mean" else (0.0, 1.0)


def said(study: Study, kind: str) -> tuple[Statements, ...]:
    """What means and favourable shares of associates' answers say of sites and of all, for the release audit.

    Of the reported period; of `kind` itself of each period, for its course is shown. Nothing of a period in which each
    site has answers of enough people.
    """
    measures = [kind, *(f"{kind}.{scale}" for scale in scales(study, kind))] if kind in TABLE_OF else []
    return tuple(
        each
        for measure in measures
        for name in ("mean", "favourable_share")
        if len(_answers(study, name, measure))
        for each in _said(study, name, measure, measure == kind)
    )


def _said(study: Study, name: str, measure: str, throughout: bool) -> Iterator[Statements]:
    times, (low, high) = 1 if name == "mean" else 1000, _scale(study, name)
    rows, steps = _answers(study, name, measure), rounding(study, name, measure)
    hidden = {*hidden_sites(study, name, measure).itertuples(index=False, name=None)}
    looked = {t for t, _ in hidden} | _few(study, name, measure)
    rows = rows[rows["t"].isin(looked if throughout else looked & {study.t})]
    if rows.empty:
        return
    shown = course(study, name, measure).set_index("t")["value"].dropna()
    for t, now in rows.groupby("t"):
        place = f"{study.label(t)}: {name} {measure}, "
        me = place + (f"site {study.site}" if study.site else "all")
        parts = {} if study.site else {f"{place}site {site}": site for site in now["site"].unique()}
        groups = {me: _counted(now, times * shown[t]) if t in shown.index else UNKNOWN}
        for group, site in parts.items():
            groups[group] = UNKNOWN if (t, site) in hidden else _counted(now[now["site"] == site])
        sums = ((me, tuple(parts)),) if parts else ()
        yield Statements(times * low, times * high, groups, sums, half=times * steps.get(t, 0.0) / 2 + ROUNDING)


def _counted(rows: pd.DataFrame, mean: float | None = None) -> Group:
    """Answers, their mean where it is shown, and about how many of them one person has given."""
    n = int(rows["weight"].sum())
    return n, mean, max(1, n // rows["person"].nunique())
