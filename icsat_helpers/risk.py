"""People at risk of leaving, and how many of them left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from icsat_helpers.disclosure import coarse, grain, lagging
from icsat_helpers.halves import SPLITS, halves_of
from icsat_helpers.hazard import WEAK_AGREEMENT, agreement
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.periods import PARTS, period_end, period_of
from icsat_helpers.scores import APART, person_scores, scale_scores, scales
from icsat_helpers.sensitivity import Check
from icsat_helpers.study import Study
from icsat_helpers.words import fixed, message, say, say_each

TENURE_EDGES = (1.0, 2.0, 5.0, 10.0)  # years
FEW_LEAVERS = 30


def risk_set(study: Study, splits: int = SPLITS) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """People who answered in a period and were still there at its end, and whether they left in the next one.

    Returns
    -------
    rows : DataFrame
        person, unit (of the answer), t, event (left voluntarily in t + 1; leaving of any kind where no reason is
        recorded), other (left otherwise), own (score less the unit's all-period mean), unit_mean, tenure (band
        0 to 4), good (1.0 performance 4 or 5, 0.0 lower, NaN unknown), gone_after (periods until leaving,
        infinite if not yet), gone_by_choice.
    half_a, half_b : ndarray, splits x rows
        `own` from two disjoint halves of the providers rated (of the items, where people rate one provider);
        NaN where nothing of that half was answered.
    """
    scores = person_scores(study, "internal")
    wanted = {
        "hired_on": "datetime64[ns]",
        "left_on": "datetime64[ns]",
        "leave_reason": "object",
        "performance": "float64",
    }
    people = study.table("people").set_index("person_id").reindex(columns=list(wanted)).astype(wanted)
    rows = scores[scores["linked"] & scores["person"].isin(people.index) & (scores["t"] < study.t)]
    home = study.table("people").set_index("person_id")["unit_id"].reindex(rows["person"]).to_numpy()
    rows = rows.assign(away=rows["unit"].to_numpy() != home).sort_values(["person", "t", "away", "unit"])
    rows = rows.drop_duplicates(["person", "t"]).drop(columns="away")  # who answers for two units leaves once
    about = people.reindex(rows["person"])
    left = period_of(about["left_on"], study.settings.frequency).to_numpy(dtype=float, na_value=np.inf)
    t = rows["t"].to_numpy()
    recorded = people["leave_reason"].notna().any()
    voluntary = (about["leave_reason"].to_numpy() == "voluntary") if recorded else np.ones(len(rows), dtype=bool)
    rows["event"] = ((left == t + 1) & voluntary).astype(float)
    rows["other"] = ((left == t + 1) & ~voluntary).astype(float)
    rows["gone_after"] = left - t
    rows["gone_by_choice"] = voluntary & np.isfinite(left)
    mean = scores.groupby("unit")["score"].mean()
    rows["unit_mean"] = mean.reindex(rows["unit"]).to_numpy()
    rows["own"] = rows["score"] - rows["unit_mean"]
    rows["tenure"] = _tenure(study, rows, about, scores)
    performance = about["performance"].to_numpy()
    rows["good"] = np.where(np.isnan(performance), np.nan, (performance >= 4).astype(float))
    keep = left > t
    half_a, half_b = _rating_halves(study, rows[keep], splits)
    return rows[keep].drop(columns=["score", "linked"]).reset_index(drop=True), half_a, half_b


def _tenure(study: Study, rows: pd.DataFrame, about: pd.DataFrame, scores: pd.DataFrame) -> np.ndarray:
    """Bands of years since `hired_on`, or since the first answer where no date is known."""
    frequency = study.settings.frequency
    end = {t: period_end(t, frequency) for t in rows["t"].unique()}
    seen = scores.groupby("person")["t"].min()
    first = seen.map({t: period_end(t, frequency) for t in seen.unique()}).reindex(rows["person"]).to_numpy()
    since = pd.Series(about["hired_on"].to_numpy()).fillna(pd.Series(first)).to_numpy()
    years = (rows["t"].map(end).to_numpy() - since) / np.timedelta64(365, "D")
    return np.digitize(years, TENURE_EDGES)


def _rating_halves(study: Study, rows: pd.DataFrame, splits: int) -> tuple[np.ndarray, np.ndarray]:
    """Own score less the unit's all-period mean, from halves of providers, else of items: splits x rows each."""
    sheets = scale_scores(study, "internal").dropna(subset=["internal"])
    keys = sheets[["person", "unit", "t"]].drop_duplicates().sort_values(["person", "unit", "t"], ignore_index=True)
    index = pd.MultiIndex.from_frame(keys)
    code = index.get_indexer(pd.MultiIndex.from_frame(sheets[["person", "unit", "t"]]))
    at = index.get_indexer(pd.MultiIndex.from_frame(rows[["person", "unit", "t"]]))
    unit = pd.factorize(keys["unit"])[0]
    result = np.full((2, splits, len(rows)), np.nan)
    for s, parts in enumerate(_parts(study, sheets, splits)):
        for h, score in enumerate(parts):
            mine = np.isfinite(score)
            count = np.bincount(code[mine], minlength=len(keys))
            mean = np.bincount(code[mine], score[mine], len(keys)) / np.where(count > 0, count, np.nan)
            level = np.bincount(unit, np.nan_to_num(mean)) / np.maximum(np.bincount(unit, count > 0), 1)
            result[h, s] = (mean - level[unit])[at]
    return result[0], result[1]


def _parts(study: Study, sheets: pd.DataFrame, splits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores of the sheets (NaN where not in the half) for the first and the second half, one pair a split.

    Halves of providers are the same for everyone: each person's own halves would share out a finite set of
    providers, and their errors would be negatively correlated.
    """
    score = sheets["internal"].to_numpy()
    several = sheets.groupby(["person", "unit", "t"])["provider"].transform("nunique") > 1
    if several.mean() >= 0.5:
        for second in halves_of(sheets["provider"], pd.Series(0, index=sheets.index), splits):
            yield np.where(second, np.nan, score), np.where(second, score, np.nan)
        return
    items = [name for scale, names in scales(study, "internal").items() if scale not in APART for name in names]
    if len(items) < 2:
        return
    answers = study.table("service_ratings").loc[sheets.index, items].to_numpy(dtype=float)
    for second in halves_of(pd.Series(items), pd.Series(0, index=range(len(items))), splits):
        yield _mean(answers[:, ~second]), _mean(answers[:, second])


def _mean(values: np.ndarray) -> np.ndarray:
    count = np.isfinite(values).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, slots=True)
class Incidence:
    """Share of a group that has left voluntarily within k periods: `share`, `low` and `high`, k = 0, 1, ..."""

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_people: int


def incidence(rows: pd.DataFrame, last: int, horizon: int) -> Incidence:
    """Cumulative incidence of voluntary leaving with other leaving as a competing event (Aalen-Johansen).

    Every answer starts a clock of its own; the interval leaves one unit out in turn.

    Parameters
    ----------
    rows : DataFrame
        As `risk_set` gives them, of one group.
    last : int
        The last observed period.
    horizon : int
        Periods to follow.
    """
    unit = pd.factorize(rows["unit"], sort=True)[0]
    gone, seen = rows["gone_after"].to_numpy(), last - rows["t"].to_numpy()
    counts = np.zeros((unit.max() + 1, 3, horizon))  # at risk, left voluntarily, left otherwise
    for k in range(1, horizon + 1):
        at_risk = (gone >= k) & (seen >= k)
        left = at_risk & (gone == k)
        chosen = rows["gone_by_choice"].to_numpy(dtype=bool)
        for i, flag in enumerate((at_risk, left & chosen, left & ~chosen)):
            counts[:, i, k - 1] = np.bincount(unit, flag, len(counts))
    share, without = (
        _curve(counts.sum(axis=0)),
        np.array([_curve(counts.sum(axis=0) - one) for one in counts]),
    )
    g = len(counts)
    se = np.sqrt((g - 1) / g * ((without - share) ** 2).sum(axis=0))
    half = stats.t.ppf(0.975, max(g - 1, 1)) * se
    return Incidence(share, np.maximum(share - half, 0), np.minimum(share + half, 1), int(rows["person"].nunique()))


def _curve(counts: np.ndarray) -> np.ndarray:
    at_risk = np.maximum(counts[0], 1)
    chosen, other = counts[1] / at_risk, counts[2] / at_risk
    staying = np.concatenate([[1.0], np.cumprod(1 - chosen - other)])
    return np.concatenate([[0.0], np.cumsum(chosen * staying[:-1])])


def describe(rows: pd.DataFrame, chosen: bool, minimum: int) -> Page:
    """What a risk set holds."""
    return listing(
        [
            (say("people"), rows["person"].nunique()),
            (say("people x periods"), len(rows)),
            (
                say("leaving by choice in the next period") if chosen else say("leaving in the next period"),
                _counted(rows, "event", minimum),
            ),
            (
                say("leaving otherwise, or for a reason not recorded"),
                _counted(rows, "other", minimum),
            ),
            (say("units"), rows["unit"].nunique()),
        ],
        say_each("what", "n"),
    )


def _counted(rows: pd.DataFrame, column: str, minimum: int) -> str | int:
    """How many left, as of the last period in which that grew by enough people."""
    n = lagging(rows.groupby("t")[column].sum(), minimum)
    return n if n >= minimum else say("fewer than {minimum}", minimum=minimum)


def by_choice(study: Study) -> bool:
    """Whether reasons are recorded, so that leaving by choice can be told from other leaving."""
    people = study.table("people")
    return "leave_reason" in people and bool(people["leave_reason"].notna().any())


def checks(rows: pd.DataFrame, half_a: np.ndarray, half_b: np.ndarray, minimum: int) -> tuple[Check, ...]:
    """Whether enough people left, and how well two halves of a person's score agree."""
    events, agree = int(rows["event"].sum()), agreement(half_a, half_b)
    left = say("{count} left; below {few} a hazard is fragile", count=_counted(rows, "event", minimum), few=FEW_LEAVERS)
    detail = say(
        "halves of what a person rated correlate {agree}; below {weak} noise cannot be corrected",
        agree=fixed(agree, 2), weak=WEAK_AGREEMENT,
    )  # fmt: skip
    return Check("leavers", events >= FEW_LEAVERS, left), Check("own_score", agree >= WEAK_AGREEMENT, detail)


def thirds(rows: pd.DataFrame, last: int, frequency: str, minimum: int) -> dict[str, Incidence]:
    """Cumulative incidence of leaving over two years for the least, middle and most satisfied third of answers.

    None where a third has fewer than `minimum` people, or fewer than `minimum` of them left. Rounded: beside the last
    period's curve nobody can tell in which third a few belonged who have left since.
    """
    horizon = min(2 * PARTS[frequency][1], last - int(rows["t"].min()))
    third = np.ceil(3 * rows["own"].rank(pct=True)).clip(1, 3)
    names = {1: message("least satisfied"), 2: message("middle"), 3: message("most satisfied")}
    parts = {name: rows[third == k] for k, name in names.items()}
    if any(part.loc[part["gone_by_choice"], "person"].nunique() < minimum for part in parts.values()):
        return {}
    found = {name: incidence(part, last, horizon) for name, part in parts.items()}
    return {name: _rounded(each, grain(each.n_people, minimum - 1, 1.0)) for name, each in found.items()}


def _rounded(found: Incidence, step: float) -> Incidence:
    share, low, high = (end.clip(0, 1) for end in coarse(found.share, found.low, found.high, step))
    return Incidence(share, low, high, found.n_people)


def kept_a_year(groups: dict[str, Incidence], frequency: str, chosen: bool) -> Page:
    """Say how many of 100 people in the first and in the last group had left a year later."""
    year = PARTS[frequency][1]
    if len(groups) < 2 or len(next(iter(groups.values())).share) <= year:
        return paragraphs("")
    parts = []
    for name, group in (next(iter(groups.items())), list(groups.items())[-1]):
        share, low, high = (fixed(100 * x[year], 0) for x in (group.share, group.low, group.high))
        gone = (
            say("of 100 people among the {group} {share} ({low} to {high}) had left by choice",
                group=say(name), share=share, low=low, high=high)
            if chosen
            else say("of 100 people among the {group} {share} ({low} to {high}) had left",
                     group=say(name), share=share, low=low, high=high)
        )  # fmt: skip
        parts.append(gone)
    return paragraphs(say("A year after an answer, {first}; {last}.", first=parts[0], last=parts[1]))
