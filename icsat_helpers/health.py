"""Whether a period's answers can be trusted: who was asked, who answered, what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from icsat_helpers.cache import across_sites
from icsat_helpers.clean import load
from icsat_helpers.disclosure import blurred, coarse, grain, grains, publishable, suppressed
from icsat_helpers.evidence import Metric, Metrics
from icsat_helpers.inference import FEWEST_UNITS
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.margins import suppress_parts
from icsat_helpers.periods import period_end
from icsat_helpers.release import ROUNDING, Statements, exposed
from icsat_helpers.scores import TABLE_OF, favourable_answers, favourable_share, person_scores, scales, unit_scores
from icsat_helpers.study import Study
from icsat_helpers.words import fixed, message, say, say_each

Group = tuple[int | None, float | None, int]
UNKNOWN: Group = (None, None, 1)
TITLES = {
    "internal": message("Mean internal score"),
    "morale": message("Mean morale score"),
    "external": message("Mean external score"),
}


def invited(study: Study, t: int | None = None) -> pd.DataFrame:
    """People at work at the end of a period, and whether they answered.

    Returns
    -------
    DataFrame
        unit, answered (0 or 1), associate_type, tenure (years), performance, language; one row a person, for
        models only, never for display. Empty where there is no table ``people``.
    """
    at = study.t if t is None else t
    here, end = _at_work(study, at), period_end(at, study.settings.frequency)
    answers = [person_scores(study, measure) for measure in TABLE_OF]
    who = pd.concat([a.loc[a["t"] == at, "person"] for a in answers if len(a)]) if any(map(len, answers)) else []
    return pd.DataFrame(
        {
            "unit": here["unit_id"],
            "answered": here["person_id"].isin(who).astype(float),
            "associate_type": here["associate_type"],
            "tenure": (end - pd.to_datetime(here["hired_on"])).dt.days / 365,
            "performance": here["performance"].astype(float),
            "language": here["language"],
        }
    ).reset_index(drop=True)


def _at_work(study: Study, t: int) -> pd.DataFrame:
    """People at work at the end of a period."""
    end = period_end(t, study.settings.frequency)
    wanted = ["person_id", "unit_id", "associate_type", "hired_on", "left_on", "performance", "language"]
    people = study.table("people").reindex(columns=wanted)
    if study.site:  # the table also holds who answered for the site and has moved since
        units = study.table("units")
        people = people[people["unit_id"].isin(units.loc[units["site"] == study.site, "unit_id"])]
    hired, left = pd.to_datetime(people["hired_on"]), pd.to_datetime(people["left_on"])
    return people[(hired.isna() | (hired <= end)) & (left.isna() | (left > end))]


def rounding(study: Study, name: str, measure: str) -> pd.Series:
    """Step to which a metric is rounded in each period, so that no few who came or went can be told; 0 for none.

    Parameters
    ----------
    name : {"mean", "favourable_share", "response_rate"}
    measure : str
        What is measured; what records or external customers say needs no rounding.
    """
    return study.once((measure, name, "rounding"), lambda: _rounding(study, name, measure))


def _rounding(study: Study, name: str, measure: str) -> pd.Series:
    settings, width = study.settings, 1.0
    if name == "response_rate":
        asked = [_at_work(study, t).assign(t=t) for t in range(min(_answered(study)) - 1, study.t + 1)]
        rows = pd.concat(asked).rename(columns={"person_id": "person"})
    elif measure.partition(".")[0] not in TABLE_OF:
        return pd.Series(dtype=float)
    else:
        rows, (low, high) = _answers(study, name, measure), _scale(study, name)
        width = high - low
    return grains(rows[["t", "person"]], ["t"], settings.minimum_group, width)


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
    site = _site(study, pd.Series(units))[place].array
    return rows.assign(person=pd.factorize(rows["person"])[0], site=pd.Categorical(site))


def _scale(study: Study, name: str) -> tuple[float, float]:
    return (study.settings.minimum, study.settings.maximum) if name == "mean" else (0.0, 1.0)


def _site(study: Study, units: pd.Series) -> pd.Series:
    """The site of each unit, a dash where it has none."""
    sites = study.table("units").reindex(columns=["unit_id", "site"]).set_index("unit_id")["site"]
    return units.map(sites).astype(object).fillna("–")


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
        said = Statements(*scale, {"": whole, **dict.fromkeys(hidden.index, UNKNOWN)}, (("", tuple(hidden.index)),))
        if len(hidden) > 1 and hidden.all() and exposed([said.plain()], [], minimum):
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


def response(study: Study) -> pd.DataFrame:
    """Response rate of each unit with a Wilson interval, rounded so that no few of it can be told, or hidden.

    Returns
    -------
    DataFrame
        unit, name, n (asked), answered, share, low, high, step (to which share is rounded), shown.
    """
    frame, minimum = _asked(study, study.t), study.settings.minimum_group
    step = np.array([grain(n, minimum - 1, 1.0) for n in frame["n"]])
    rate = frame["answered"] / frame["n"]
    share = coarse(rate, rate, rate, step)[0].clip(0, 1)
    low, high = proportion_confint(share * frame["n"], frame["n"], method="wilson")
    ends = {"low": np.minimum(low, share), "high": np.maximum(high, share)}
    frame = frame.assign(answered=(share * frame["n"]).round(), share=share, step=step, **ends)
    frame = publishable(frame, "n", minimum, ["answered", "share", "low", "high"], hidden=frame["hidden"])
    return frame.assign(name=unit_names(study, frame["unit"])).drop(columns=["site", "hidden"])


def _asked(study: Study, t: int) -> pd.DataFrame:
    """People asked in each unit, how many answered, and whether that is hidden, in a report of all or of a site."""
    return study.once(("asked", t), lambda: _asked_at(study, t))


def _asked_at(study: Study, t: int) -> pd.DataFrame:
    units = invited(study, t).groupby("unit")["answered"].agg(n="size", answered="sum").reset_index()
    units["site"] = _site(study, units["unit"])
    hidden = units.groupby("site")["n"].transform(suppressed, study.settings.minimum_group)
    return units.assign(hidden=hidden.astype(bool))


def unit_names(study: Study, units: pd.Series) -> pd.Series:
    """Names of units where the study has them, else their ids."""
    table = study.table("units").set_index("unit_id")
    if "unit_name" not in table:
        return units.astype(str)
    return units.map(table["unit_name"]).astype(object).fillna(units).astype(str)


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


def level_said(study: Study, kind: str) -> tuple[Statements, ...]:
    """What means and favourable shares of associates' answers say of sites and of all, for the release audit.

    Of the reported period; of `kind` itself of each period, for its course is shown. Nothing of a period in which each
    site has answers of enough people.
    """
    measures = [kind, *(f"{kind}.{scale}" for scale in scales(study, kind))] if kind in TABLE_OF else []
    return tuple(
        said
        for measure in measures
        for name in ("mean", "favourable_share")
        if len(_answers(study, name, measure))
        for said in _level_said(study, name, measure, measure == kind)
    )


def _level_said(study: Study, name: str, measure: str, course: bool) -> Iterator[Statements]:
    times, (low, high) = 1 if name == "mean" else 1000, _scale(study, name)
    rows, steps = _answers(study, name, measure), rounding(study, name, measure)
    hidden = {*hidden_sites(study, name, measure).itertuples(index=False, name=None)}
    looked = {t for t, _ in hidden} | _few(study, name, measure)
    rows = rows[rows["t"].isin(looked if course else looked & {study.t})]
    if rows.empty:
        return
    shown = history(study, name, measure).set_index("t")["value"].dropna()
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


def who_answers(rows: pd.DataFrame, model: str, minimum: int) -> Page:
    """Odds ratios of having answered, clustered by unit.

    Parameters
    ----------
    rows : DataFrame
        As `invited` gives them.
    model : str
        Formula over their columns and `good`; what is unknown of everybody, or alike, is taken out.
    minimum : int
        Kinds of people of whom fewer did, or did not, answer are left out: their odds would show who it was.
    """
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    data = rows.assign(good=(rows["performance"] >= 4).astype(float).where(rows["performance"].notna()))
    left, right = model.split("~")
    terms = {term.strip(): term.strip().removeprefix("C(").rstrip(")") for term in right.split("+")}
    terms = {term: column for term, column in terms.items() if data[column].notna().mean() > 0.5}
    data = data.dropna(subset=list(terms.values()))
    for column in [column for column in terms.values() if column != "tenure"]:
        kinds = data.groupby(column)["answered"]
        fewest = np.minimum(kinds.sum(), kinds.size() - kinds.sum())
        data = data[data[column].isin(fewest.index[fewest >= minimum])]
    kept = [term for term, column in terms.items() if data[column].nunique() > 1]
    both = min(data["answered"].sum(), (1 - data["answered"]).sum())
    if not kept or both < minimum or data["unit"].nunique() < FEWEST_UNITS:
        return paragraphs(say("Who answers cannot be compared: too little is known, or too few did or did not answer."))
    fitted = smf.glm(f"{left} ~ {' + '.join(kept)}", data, family=sm.families.Binomial())
    result = fitted.fit(cov_type="cluster", cov_kwds={"groups": pd.factorize(data["unit"])[0]})
    odds, bounds = np.exp(result.params), np.exp(result.conf_int())
    found = [(name, odds[name], bounds.loc[name, 0], bounds.loc[name, 1]) for name in odds.index if name != "Intercept"]
    return listing(found, say_each("known of a person", "odds ratio of answering", "from", "to"))


def response_rates(study: Study) -> pd.DataFrame:
    """Share of the people at work who answered, by period, to the step that may be shown; hidden units are `blurred`.

    Returns
    -------
    DataFrame
        t, n (asked), value, half (by how much it may be off), low, high (Wilson, and as much wider); no row where n is
        too small.
    """
    return study.once("response rates", lambda: _response_rates(study))


def _response_rates(study: Study) -> pd.DataFrame:
    minimum, steps, found = study.settings.minimum_group, rounding(study, "response_rate", "internal"), []
    for t in _answered(study):
        units = _asked(study, t)
        n = int(units["n"].sum())
        if n >= minimum:
            parts = units[units["hidden"]].groupby("site")[["n", "answered"]].sum()
            told = [(people, *blurred(yes / people, people, minimum)) for people, yes in parts.itertuples(index=False)]
            answered = units.loc[~units["hidden"], "answered"].sum() + sum(people * share for people, share, _ in told)
            step = steps.get(t, 0.0)
            rate = coarse(answered / n, answered / n, answered / n, step)[0].clip(0, 1)
            found.append((t, n, float(rate), sum(people * half for people, _, half in told) / n + step / 2))
    frame = pd.DataFrame(found, columns=["t", "n", "value", "half"])
    low, high = proportion_confint(frame["value"] * frame["n"], frame["n"], method="wilson")
    return frame.assign(low=(low - frame["half"]).clip(0, 1), high=(high + frame["half"]).clip(0, 1))


def response_said(study: Study) -> tuple[Statements, ...]:
    """What the response rates of the reported period say of units and of all, in thousandths, for the release audit."""
    rates = response_rates(study).set_index("t")
    if study.t not in rates.index:
        return ()
    rate, units, place = rates.loc[study.t], response(study), f"{study.period}: who answered in "
    whole = place + (f"site {study.site}" if study.site else "all")
    units["group"] = place + "unit " + units["unit"].astype(str)
    groups: dict[str, Group] = {whole: (int(rate["n"]), 1000 * rate["value"], 1)}
    groups |= dict.fromkeys(units.loc[units["shown"] != "", "group"], UNKNOWN)
    said = [Statements(0, 1000, groups, ((whole, tuple(units["group"])),), half=1000 * rate["half"] + ROUNDING)]
    for step, rows in units[units["shown"] == ""].groupby("step"):
        groups = {row.group: (int(row.n), 1000 * row.share, 1) for row in rows.itertuples()}
        said.append(Statements(0, 1000, groups, half=500 * step + ROUNDING))
    return tuple(said)


def _answered(study: Study) -> list[int]:
    """Periods in which somebody answered, the reported one included."""
    answers = [person_scores(study, measure)["t"] for measure in TABLE_OF if study.has(TABLE_OF[measure])]
    return sorted({study.t, *(int(t) for periods in answers for t in periods.unique())})


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
    if name == "response_rate":
        return response_rates(study)[["t", "value", "low", "high"]]
    if name == "mean":
        return level(study, measure)[["t", "value", "low", "high"]]
    return favourable(study, measure).rename(columns={"share": "value"})[["t", "value", "low", "high"]]


def metrics(study: Study, notebook: str) -> Metrics:
    """Response rate, means and favourable shares of the reported period that describe enough people."""
    rates = response_rates(study)
    found = [
        Metric("response_rate", "internal", row.value, row.low, row.high, row.n, notebook)
        for row in rates[rates["t"] == study.t].itertuples()
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


def advice(study: Study, rows: pd.DataFrame) -> Page:
    """What the response means for reading the other pages."""
    if rows.empty:
        return paragraphs(
            say("Who was asked is not known (no table people), so nothing can be said about those not heard.")
        )
    if len(rows) < study.settings.minimum_group:
        return paragraphs(say("Too few people were asked to say how many answered."))
    rate, units = response_rates(study).set_index("t").loc[study.t], response(study)
    low = int((units["share"] < 0.5).sum())
    heard = (
        say("Enough people answered to read on.")
        if rate["value"] >= 0.5
        else say("Fewer than half answered: read every page with care.")
    )
    quiet = say("In {low} of {units} units fewer than half did; ask there first next time.", low=low, units=len(units))
    exact, about = message("{percent}% of {n} people answered."), message("About {percent}% of {n} people answered.")
    return paragraphs(
        heard + " " + say(about if rate["half"] > 0.005 else exact, percent=fixed(100 * rate["value"], 0), n=len(rows)),
        quiet if low else "",
    )
