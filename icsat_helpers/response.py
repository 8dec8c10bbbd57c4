"""Who was asked, who answered, and what the rates may tell of a few."""

from __future__ import annotations

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from icsat_helpers.disclosure import blurred, coarse, grain, grains, publishable, suppressed
from icsat_helpers.inference import FEWEST_UNITS
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.periods import period_end
from icsat_helpers.release import ROUNDING, UNKNOWN, Group, Statements
from icsat_helpers.scores import TABLE_OF, person_scores, unit_names, unit_sites
from icsat_helpers.study import Study
from icsat_helpers.words import fixed, message, say, say_each


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


def of_units(study: Study) -> pd.DataFrame:
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
    units["site"] = unit_sites(study, units["unit"])
    hidden = units.groupby("site")["n"].transform(suppressed, study.settings.minimum_group)
    return units.assign(hidden=hidden.astype(bool))


def rates(study: Study) -> pd.DataFrame:
    """Share of the people at work who answered, by period, to the step that may be shown; hidden units are `blurred`.

    Returns
    -------
    DataFrame
        t, n (asked), value, half (by how much it may be off), low, high (Wilson, and as much wider); no row where n is
        too small.
    """
    return study.once("response rates", lambda: _rates(study))


def _rates(study: Study) -> pd.DataFrame:
    minimum, steps, found = study.settings.minimum_group, _steps(study), []
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


def _steps(study: Study) -> pd.Series:
    """Step to which the rate of all is rounded in each period, so that no few who came or went can be told."""
    asked = [_at_work(study, t).assign(t=t) for t in range(min(_answered(study)) - 1, study.t + 1)]
    rows = pd.concat(asked).rename(columns={"person_id": "person"})
    return grains(rows[["t", "person"]], ["t"], study.settings.minimum_group, 1.0)


def said(study: Study) -> tuple[Statements, ...]:
    """What the response rates of the reported period say of units and of all, in thousandths, for the release audit."""
    every = rates(study).set_index("t")
    if study.t not in every.index:
        return ()
    rate, units, place = every.loc[study.t], of_units(study), f"{study.period}: who answered in "
    whole = place + (f"site {study.site}" if study.site else "all")
    units["group"] = place + "unit " + units["unit"].astype(str)
    groups: dict[str, Group] = {whole: (int(rate["n"]), 1000 * rate["value"], 1)}
    groups |= dict.fromkeys(units.loc[units["shown"] != "", "group"], UNKNOWN)
    found = [Statements(0, 1000, groups, ((whole, tuple(units["group"])),), half=1000 * rate["half"] + ROUNDING)]
    for step, rows in units[units["shown"] == ""].groupby("step"):
        groups = {row.group: (int(row.n), 1000 * row.share, 1) for row in rows.itertuples()}
        found.append(Statements(0, 1000, groups, half=500 * step + ROUNDING))
    return tuple(found)


def _answered(study: Study) -> list[int]:
    """Periods in which somebody answered, the reported one included."""
    answers = [person_scores(study, measure)["t"] for measure in TABLE_OF if study.has(TABLE_OF[measure])]
    return sorted({study.t, *(int(t) for periods in answers for t in periods.unique())})


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
    import statsmodels.formula.api as smf
    from statsmodels.genmod.families import Binomial

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
    fitted = smf.glm(f"{left} ~ {' + '.join(kept)}", data, family=Binomial())
    result = fitted.fit(cov_type="cluster", cov_kwds={"groups": pd.factorize(data["unit"])[0]})
    odds, bounds = np.exp(result.params), np.exp(result.conf_int())
    found = [(name, odds[name], bounds.loc[name, 0], bounds.loc[name, 1]) for name in odds.index if name != "Intercept"]
    return listing(found, say_each("known of a person", "odds ratio of answering", "from", "to"))


def advice(study: Study, rows: pd.DataFrame) -> Page:
    """What the response means for reading the other pages."""
    if rows.empty:
        return paragraphs(
            say("Who was asked is not known (no table people), so nothing can be said about those not heard.")
        )
    if len(rows) < study.settings.minimum_group:
        return paragraphs(say("Too few people were asked to say how many answered."))
    rate, units = rates(study).set_index("t").loc[study.t], of_units(study)
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
