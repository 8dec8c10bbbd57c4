"""Answers to scores: scales, a person's score in a period, a unit's score in a period."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from icsat_helpers.ordering import BLOCK, order, taken
from icsat_helpers.sources import TEXT, values
from icsat_helpers.study import Study
from icsat_helpers.words import known, listed, say

ROUNDING = 1e-9  # points; rescaling an item leaves some 1e-16
APART = ("overall", "recommend", "stay")  # scales that are reported apart from `internal` and `morale`
TABLE_OF = {"internal": "service_ratings", "morale": "morale"}
UNIT_OF = {"internal": "customer_unit", "morale": "unit_id"}
RECORDS = {
    "productivity": ("output", "hours"), "first_response": ("first_response_hours",), "rework": ("rework_rate",),
}  # fmt: skip
"""Columns of ``operations`` behind each measure of what gets done."""


def scales(study: Study, measure: str) -> dict[str, list[str]]:
    """Items of each scale of `internal` or `morale`, those that are in the table, in the order of ``study.toml``."""
    columns = study.columns(TABLE_OF[measure])
    found: dict[str, list[str]] = {}
    for item in study.settings.items.values():
        if item.table == TABLE_OF[measure] and item.name in columns:
            found.setdefault(item.scale, []).append(item.name)
    return found


def _mean_of_half(columns: list[np.ndarray]) -> np.ndarray:
    """Row means of columns where at least half are answered, else NaN."""
    if not any(np.isnan(column).any() for column in columns):
        mean: np.ndarray = sum(columns[1:], start=columns[0]) / len(columns)
        return mean
    answered, total = np.zeros(len(columns[0]), dtype=np.int64), np.zeros(len(columns[0]))
    for column in columns:
        answered += np.isfinite(column)
        total += np.where(np.isnan(column), 0.0, column)
    enough = (answered > 0) & (2 * answered >= len(columns))
    return np.where(enough, total / np.maximum(answered, 1), np.nan)


def _scores(table: pd.DataFrame, found: dict[str, list[str]], measure: str, names: list[str]) -> dict[str, np.ndarray]:
    """Scores of each row: those of the scales `found` and the one named like `measure` that are among `names`."""
    items = {item: table[item].array for scale in found.values() for item in scale}
    scores = {name: np.full(len(table), np.nan) for name in names}
    for start in range(0, len(table), BLOCK):
        rows = slice(start, start + BLOCK)
        means = {
            scale: _mean_of_half([np.asarray(values(items[item][rows])) for item in found[scale]]) for scale in found
        }
        together = [means[scale] for scale in found if scale not in APART]
        means[measure] = _mean_of_half(together) if together else np.full(len(scores[names[0]][rows]), np.nan)
        for name in names:
            scores[name][rows] = means[name]
    return scores


def scale_scores(study: Study, measure: str) -> pd.DataFrame:
    """Scale scores of every answer sheet.

    Parameters
    ----------
    study : Study
    measure : {"internal", "morale"}

    Returns
    -------
    DataFrame
        unit, person, linked, t, (provider,) one column a scale and one named like `measure`: the mean of the
        scales but for those of `APART`. A scale is the mean of its items where at least half are answered.
    """
    table, found = study.table(TABLE_OF[measure]), scales(study, measure)
    columns = {
        "unit": table[UNIT_OF[measure]],
        "person": table["person_id"],
        "linked": table["linked"],
        "t": table["t"],
    }
    if measure == "internal":
        columns["provider"] = table["provider_unit"]
    means = _scores(table, found, measure, [*found, *([] if measure in found else [measure])])
    return pd.DataFrame(columns | means, table.index, copy=False)


def person_scores(study: Study, measure: str) -> pd.DataFrame:
    """One row a person, unit and period: their mean over the providers they rated.

    Parameters
    ----------
    study : Study
    measure : str
        ``internal``, ``morale`` or one scale of them, as in ``internal.quality``.

    Returns
    -------
    DataFrame
        unit, t, person, linked, score; sorted, rows without a score left out.
    """
    return study.once(measure, lambda: _person_scores(study, measure).astype({"unit": TEXT, "person": TEXT}))


def _person_scores(study: Study, measure: str) -> pd.DataFrame:
    """Return the scores of persons, with units and persons as categories."""
    return study.once((measure, "in categories"), lambda: _scored_persons(study, measure))


def _scored_persons(study: Study, measure: str) -> pd.DataFrame:
    kind, _, scale = measure.partition(".")
    if kind not in TABLE_OF or not study.has(TABLE_OF[kind]):
        return pd.DataFrame({"unit": [], "t": [], "person": [], "linked": [], "score": []})
    table, found, column = study.coded(TABLE_OF[kind]), scales(study, kind), scale or kind
    if column not in (*found, kind):
        return scale_scores(study, kind).iloc[:0][["unit", "t", "person", "linked"]].assign(score=np.nan)
    score = pd.Series(_scores(table, found, kind, [column])[column], copy=False)
    unit, person, t, linked = (table[name].array for name in (UNIT_OF[kind], "person_id", "t", "linked"))
    there = score.notna().to_numpy() & (unit.codes >= 0) & (person.codes >= 0)
    if not there.all():
        unit, person, t, linked, score = (column[there] for column in (unit, person, t, linked, score))
    standing = order([t, person, unit])  # as cleaning has left them
    first = standing.first
    places = np.flatnonzero(standing.new)
    given = score.to_numpy() if standing.rows is None else score.to_numpy()[standing.rows]
    means = np.add.reduceat(given, places) / np.diff(np.append(places, len(given)))
    columns = {"unit": unit, "t": t, "person": person, "linked": linked}
    persons = taken(pd.DataFrame(columns, copy=False), first).assign(score=means)
    persons = taken(persons, order([persons["unit"].array, persons["t"].array, persons["person"].array]).first)
    return persons.assign(t=values(persons["t"].array))


def unit_scores(study: Study, measure: str) -> pd.DataFrame:
    """One row a unit and period, from the tables of persons and records, else from ``unit_scores``.

    Parameters
    ----------
    study : Study
    measure : str
        ``internal``, ``morale``, a scale of them, ``external``, ``productivity`` (log of output per hour),
        ``first_response`` (log of hours), ``rework`` (share), ``turnover`` or ``intent_to_leave``.

    Returns
    -------
    DataFrame
        unit, t, value, n (answers, NaN where unknown), source, given (True where someone else computed it).
        Where both exist, the tables of persons win, period by period.
    """
    return study.once((measure, "units"), lambda: _unit_scores(study, measure))


def _unit_scores(study: Study, measure: str) -> pd.DataFrame:
    own, given = _from_records(study, measure), _given(study, measure)
    if len(own) and len(given):
        given = given[~given["t"].isin(own["t"].unique())]
    both = [part for part in (own, given) if len(part)]
    frame = pd.concat(both, ignore_index=True) if both else given
    return frame.sort_values(["unit", "t"], ignore_index=True)


def _from_records(study: Study, measure: str) -> pd.DataFrame:
    if measure == "external":
        table = study.table("external_ratings").rename(columns={"unit_id": "unit"}).dropna(subset=["score"])
        grouped, source = table.groupby(["unit", "t"], observed=True)["score"], "external customers"
    elif measure in RECORDS:
        table = recorded(study, measure).dropna(subset=["score"])
        grouped, source = table.groupby(["unit", "t"], observed=True)["score"], "records"
    elif measure.partition(".")[0] in TABLE_OF:
        grouped = _person_scores(study, measure).groupby(["unit", "t"], observed=True)["score"]
        source = "associates"
    else:
        return _intention(study) if measure == "intent_to_leave" else _given(study, measure).iloc[:0]
    frame = grouped.agg(value="mean", n="size").reset_index().astype({"unit": TEXT})
    return frame.assign(n=frame["n"].astype(float), source=source, given=False)


def recorded(study: Study, measure: str) -> pd.DataFrame:
    """One row a unit and period of ``operations``: unit, t, score.

    The score is the log of output per hour, the log of hours to a first response, or the share of rework; it is
    missing where a number is, or has no logarithm.
    """
    table = study.table("operations").rename(columns={"unit_id": "unit"})
    numbers = table.reindex(columns=list(RECORDS[measure])).astype(float)
    score = numbers.iloc[:, 0]
    if measure != "rework":
        logs = np.log(numbers.where(numbers > 0))
        score = logs.iloc[:, 0] - (logs.iloc[:, 1] if measure == "productivity" else 0.0)
    return table[["unit", "t"]].assign(score=score)


def answers_of(study: Study, measure: str, values: pd.DataFrame) -> pd.DataFrame:
    """Answers behind the `values` that `unit_scores` gave; none where some were computed by someone else.

    Returns
    -------
    DataFrame
        unit, t, score; of `internal` and `morale` person and linked too.
    """
    if values["given"].any():
        return pd.DataFrame()
    if measure == "external":
        answers = study.table("external_ratings").rename(columns={"unit_id": "unit"})
        return answers[["unit", "t", "score"]].dropna(subset=["score"])
    return person_scores(study, measure) if measure.partition(".")[0] in TABLE_OF else pd.DataFrame()


def missing_measure(measure: str) -> str:
    """Say what a study lacks to have a measure.

    Examples
    --------
    >>> missing_measure("productivity")
    'productivity (table operations with output and hours, or unit_scores)'
    """
    if measure in RECORDS:
        name, columns = known(measure.replace("_", " ")), listed(RECORDS[measure])
        if measure == "productivity":
            return say("{measure} (table operations with {columns}, or unit_scores)", measure=name, columns=columns)
        return say("{measure} (table operations with {columns})", measure=name, columns=columns)
    tables = {**TABLE_OF, "external": "external_ratings"}
    table = tables.get(measure.partition(".")[0])
    name = known(measure)
    if table:
        return say("{measure} (table {table} or unit_scores)", measure=name, table=table)
    return say("{measure} (table unit_scores)", measure=name)


def _intention(study: Study) -> pd.DataFrame:
    """Share of people whose answers on the scale `stay` are not favourable."""
    answers = person_scores(study, "morale.stay")
    answers = answers.assign(leaves=(answers["score"] < study.settings.favourable).astype(float))
    frame = answers.groupby(["unit", "t"])["leaves"].agg(value="mean", n="size").reset_index()
    return frame.assign(n=frame["n"].astype(float), source="associates", given=False)


def _given(study: Study, measure: str) -> pd.DataFrame:
    table = study.table("unit_scores").rename(columns={"unit_id": "unit"})
    table = table.reindex(columns=["unit", "t", "measure", "value", "n", "source"])
    rows = table[table["measure"] == measure]
    if measure == "internal":  # where it is not given itself: the mean of its scales, period by period
        parts = table[table["measure"].isin([m for m in table["measure"].unique() if _is_part(str(m))])]
        parts = parts[~parts["t"].isin(rows["t"].unique())]
        means = parts.assign(source=parts["source"].astype(object).fillna("")).groupby(["unit", "t"], observed=True)
        together = means.agg(value=("value", "mean"), n=("n", "min"), source=("source", _together)).reset_index()
        rows = pd.concat([rows, together], ignore_index=True) if len(rows) else together
    rows = rows.assign(source=rows["source"].astype(object).fillna(""), given=True)
    return rows[["unit", "t", "value", "n", "source", "given"]].reset_index(drop=True)


def _is_part(measure: str) -> bool:
    kind, _, scale = measure.partition(".")
    return kind == "internal" and scale not in ("", *APART)


def _together(sources: pd.Series) -> str:
    return " + ".join(sorted(set(sources)))


def favourable_share(study: Study, measure: str) -> pd.DataFrame:
    """Share of item answers at or above ``favourable``, by period, with a 95% interval that keeps units together.

    The interval is Wilson's with the number of answers that would be as sure if all were independent, and t for
    units less one (Franco, Little, Louis & Slud 2019): it stays between 0 and 1, and is there for 0 and 1 too.

    Parameters
    ----------
    study : Study
    measure : str
        ``internal``, ``morale`` (their scales but for those reported apart) or one scale, as in ``internal.quality``.

    Returns
    -------
    DataFrame
        t, share (0 to 1), low, high (NaN with one unit), answers, people (who answered one of the items).
    """
    frame = favourable_answers(study, measure)
    frame = frame[frame["answers"] > 0]
    grouped = frame.groupby("t").agg(yes=("yes", "sum"), answers=("answers", "sum"), people=("person", "nunique"))
    grouped["share"] = grouped["yes"] / grouped["answers"]
    units = frame.groupby(["t", "unit"], observed=True)[["yes", "answers"]].sum().reset_index("t")
    away = units["yes"] - units["answers"] * units["t"].map(grouped["share"])
    clusters = units.groupby("t").size()
    variance = (away**2).groupby(units["t"]).sum() * clusters / (clusters - 1) / grouped["answers"] ** 2
    low, high = _wilson(grouped["share"], variance, grouped["answers"], clusters)
    return grouped.assign(low=low, high=high).reset_index()[["t", "share", "low", "high", "answers", "people"]]


def _wilson(share: pd.Series, variance: pd.Series, answers: pd.Series, units: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Interval of shares of clustered answers; where all units say the same, each counts as one answer."""
    spread = share * (1 - share)
    n = (spread / variance.where(variance > 0)).clip(upper=answers).fillna(units)
    t = pd.Series(stdtrit(np.maximum(units - 1, 1), 0.975), share.index).where(units > 1)
    middle, half = share + t**2 / (2 * n), t * np.sqrt(spread / n + t**2 / (4 * n**2))
    return (middle - half) / (1 + t**2 / n), (middle + half) / (1 + t**2 / n)


def favourable_answers(study: Study, measure: str) -> pd.DataFrame:
    """Favourable item answers, and all item answers, of every answer sheet.

    Returns
    -------
    DataFrame
        unit, person, t, (provider,) yes, answers (counts of items); without a scale all but those of `APART`.
    """
    return study.once((measure, "favourable answers"), lambda: _favourable_answers(study, measure))


def _favourable_answers(study: Study, measure: str) -> pd.DataFrame:
    kind, _, one = measure.partition(".")
    found = scales(study, kind)
    items = [
        name for scale, names in found.items() if scale == one or (not one and scale not in APART) for name in names
    ]
    table = study.table(TABLE_OF[kind])
    values = table[items].to_numpy(dtype=float)
    bar = np.array([_bar(study, name) for name in items])
    columns = {"unit": table[UNIT_OF[kind]], "person": table["person_id"], "t": table["t"]}
    if kind == "internal":
        columns["provider"] = table["provider_unit"]
    return pd.DataFrame(columns).assign(yes=(values >= bar - ROUNDING).sum(1), answers=np.isfinite(values).sum(1))


def rating_scores(study: Study, measure: str = "internal") -> pd.DataFrame:
    """One row a person, unit, provider and period: the person's score of that provider.

    Parameters
    ----------
    study : Study
    measure : str
        ``internal`` or one scale of it, as in ``internal.quality``.

    Returns
    -------
    DataFrame
        unit, provider, t, person, score; sorted, rows without a score left out.
    """
    column = measure.partition(".")[2] or measure
    sheets = scale_scores(study, "internal")
    keys = ["unit", "provider", "t", "person"]
    if column not in sheets:
        return sheets.iloc[:0][keys].assign(score=np.nan)
    scored = sheets.dropna(subset=[column]).groupby(keys, observed=True, sort=True)
    return scored[column].mean().rename("score").reset_index()


def _bar(study: Study, name: str) -> float:
    """From which answer on an item is favourable, on the study's answer scale."""
    item, settings = study.settings.items[name], study.settings
    share = (item.favourable - item.minimum) / (item.maximum - item.minimum)
    return settings.minimum + share * (settings.maximum - settings.minimum)


def unit_names(study: Study, units: pd.Series) -> pd.Series:
    """Names of units where the study has them, else their ids."""
    table = study.table("units").set_index("unit_id")
    if "unit_name" not in table:
        return units.astype(str)
    return units.map(table["unit_name"]).astype(object).fillna(units).astype(str)


def unit_sites(study: Study, units: pd.Series) -> pd.Series:
    """The site of each unit, a dash where it has none."""
    sites = study.table("units").reindex(columns=["unit_id", "site"]).set_index("unit_id")["site"]
    return units.map(sites).astype(object).fillna("–")
