"""Answers to scores: scales, a person's score in a period, a unit's score in a period."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icsat_helpers.study import Study

ROUNDING = 1e-9  # points; rescaling an item leaves some 1e-16
APART = ("overall", "recommend", "stay")  # scales that are reported apart from `internal` and `morale`
TABLE_OF = {"internal": "service_ratings", "morale": "morale"}
UNIT_OF = {"internal": "customer_unit", "morale": "unit_id"}


def scales(study: Study, measure: str) -> dict[str, list[str]]:
    """Items of each scale of `internal` or `morale`, those that are in the table, in the order of ``study.toml``."""
    table = study.table(TABLE_OF[measure])
    found: dict[str, list[str]] = {}
    for item in study.settings.items.values():
        if item.table == TABLE_OF[measure] and item.name in table:
            found.setdefault(item.scale, []).append(item.name)
    return found


def _mean_of_half(values: np.ndarray) -> np.ndarray:
    """Row means where at least half of the columns are answered, else NaN. `values`: n x k."""
    answered = np.isfinite(values).sum(axis=1)
    total = np.nansum(values, axis=1)
    enough = (answered > 0) & (2 * answered >= values.shape[1])
    return np.where(enough, total / np.maximum(answered, 1), np.nan)


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
    result = pd.DataFrame(columns)
    for scale, items in found.items():
        result[scale] = _mean_of_half(table[items].to_numpy(dtype=float))
    together = [scale for scale in found if scale not in APART]
    result[measure] = _mean_of_half(result[together].to_numpy(dtype=float)) if together else np.nan
    return result


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
    if measure not in study.derived:
        study.derived[measure] = _person_scores(study, measure)
    return study.derived[measure]


def _person_scores(study: Study, measure: str) -> pd.DataFrame:
    kind, _, scale = measure.partition(".")
    if kind not in TABLE_OF or not study.has(TABLE_OF[kind]):
        return pd.DataFrame({"unit": [], "t": [], "person": [], "linked": [], "score": []})
    sheets = scale_scores(study, kind)
    column = scale or kind
    if column not in sheets:
        return sheets.iloc[:0][["unit", "t", "person", "linked"]].assign(score=np.nan)
    keys = ["unit", "t", "person"]
    grouped = sheets.dropna(subset=[column]).groupby(keys, observed=True, sort=True)
    return grouped.agg(linked=("linked", "first"), score=(column, "mean")).reset_index()


def unit_scores(study: Study, measure: str) -> pd.DataFrame:
    """One row a unit and period, from the tables of persons and records, else from ``unit_scores``.

    Parameters
    ----------
    study : Study
    measure : str
        ``internal``, ``morale``, a scale of them, ``external``, ``productivity`` (log of output per hour),
        ``turnover`` or ``intent_to_leave``.

    Returns
    -------
    DataFrame
        unit, t, value, n (answers, NaN where unknown), source, given (True where someone else computed it).
        Where both exist, the tables of persons win, period by period.
    """
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
    elif measure == "productivity":
        table = study.table("operations").rename(columns={"unit_id": "unit"})
        table = table[(table["output"] > 0) & (table["hours"] > 0)]
        table = table.assign(score=np.log(table["output"] / table["hours"]))
        grouped, source = table.groupby(["unit", "t"], observed=True)["score"], "records"
    elif measure.partition(".")[0] in TABLE_OF:
        grouped = person_scores(study, measure).groupby(["unit", "t"], observed=True)["score"]
        source = "associates"
    else:
        return _intention(study) if measure == "intent_to_leave" else _given(study, measure).iloc[:0]
    frame = grouped.agg(value="mean", n="size").reset_index()
    return frame.assign(n=frame["n"].astype(float), source=source, given=False)


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
    """Share of item answers at or above ``favourable``, by period; `measure` as ``internal`` or ``internal.quality``.

    Returns
    -------
    DataFrame
        t, share (0 to 1), answers, people.
    """
    kind, _, one = measure.partition(".")
    wanted = {
        scale: names for scale, names in scales(study, kind).items() if (scale == one if one else scale not in APART)
    }
    items = [name for names in wanted.values() for name in names]
    table = study.table(TABLE_OF[kind])
    values = table[items].to_numpy(dtype=float)
    bar = np.array([_bar(study, name) for name in items])
    frame = pd.DataFrame(
        {
            "t": table["t"],
            "person": table["person_id"],
            "yes": (values >= bar - ROUNDING).sum(1),
            "all": np.isfinite(values).sum(1),
        }
    )
    grouped = frame.groupby("t").agg(yes=("yes", "sum"), answers=("all", "sum"), people=("person", "nunique"))
    return grouped.assign(share=grouped["yes"] / grouped["answers"]).reset_index()[["t", "share", "answers", "people"]]


def _bar(study: Study, name: str) -> float:
    """From which answer on an item is favourable, on the study's answer scale."""
    item, settings = study.settings.items[name], study.settings
    share = (item.favourable - item.minimum) / (item.maximum - item.minimum)
    return settings.minimum + share * (settings.maximum - settings.minimum)
