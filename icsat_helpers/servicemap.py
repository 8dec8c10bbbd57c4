"""The service map's tables, figures and sentences: who serves whom, how well, and how that changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from icsat_helpers import charts, crossed
from icsat_helpers.cache import across_sites
from icsat_helpers.evidence import Metric, Metrics, p_text
from icsat_helpers.inference import FEWEST_UNITS
from icsat_helpers.levels import all_sites
from icsat_helpers.listing import Page, listing, paragraphs, span, together
from icsat_helpers.margins import Hidden, hidden_groups
from icsat_helpers.periods import PARTS
from icsat_helpers.release import Statements
from icsat_helpers.scores import rating_scores, unit_names
from icsat_helpers.sensitivity import SIGNIFICANT, Check
from icsat_helpers.service import RELIABLE, TERMS, Ranking, Served, favourable, provider_means, ranking, served
from icsat_helpers.study import Study
from icsat_helpers.words import fixed, message, places, say, say_each, series, upper

HIDDEN = message("hidden to protect small groups")


@dataclass(frozen=True, slots=True)
class Map:
    """A period's service map.

    Attributes
    ----------
    served : Served
    ranking : Ranking
    providers : DataFrame
        provider, name, shown, n, plain (mean of the answers), mean, low, high, and ranks where there is a ranking;
        best first where there is one, else by name.
    hidden : Hidden or None
        None where nobody rated.
    names : Series
        Unit id to name, of providers and customers.
    minimum : int
    period, site : str
    scale : (float, float)
    """

    served: Served
    ranking: Ranking
    providers: pd.DataFrame
    hidden: Hidden | None
    names: pd.Series
    minimum: int
    period: str
    site: str
    scale: tuple[float, float]

    @property
    def nothing(self) -> str:
        """Why there is no map, or ""."""
        why = self.served.reason if self.served.ratings.empty else ""
        if not why:
            return ""
        if self.served.asked:
            return say("There is no service map: nobody rated a provider.")
        return say("There is no service map: {reason}.", reason=why)


def service_map(study: Study) -> Map:
    """Draw up the map of the reported period."""
    found = served(study)
    ranks, hidden = ranking(found), hidden_parts(study, found.ratings)
    ids = pd.Series(sorted({*found.ratings["provider"], *found.ratings["unit"]}), dtype="str")
    names = unit_names(study, ids).set_axis(ids)
    providers = provider_means(found)
    providers["name"] = providers["provider"].map(names)
    providers["plain"] = found.ratings.groupby("provider")["score"].mean().to_numpy()
    providers["shown"] = ~providers["provider"].map(hidden.rows).astype(bool) if hidden else True
    providers = providers.merge(favourable(study), on="provider", how="left")
    if ranks.frame is not None:
        providers = providers.merge(ranks.frame, on="provider")
        order = ["shown", "mean", "name"]  # the place of a hidden one would tell its mean
        providers["mean"] = providers["mean"].where(providers["shown"])
        providers = providers.sort_values(order, ascending=[False, False, True])
    else:
        providers = providers.sort_values(["name", "provider"])
    settings = study.settings
    scale = (settings.minimum, settings.maximum)
    providers = providers.reset_index(drop=True)
    return Map(found, ranks, providers, hidden, names, settings.minimum_group, study.period, study.site, scale)


def hidden_parts(study: Study, ratings: pd.DataFrame) -> Hidden | None:
    """What a map of one period's ratings hides (providers are its rows); None where there are none.

    The reader is taken to have the maps of all sites and of the whole: nothing hidden in one may follow from others.
    """
    if ratings.empty:
        return None
    t = int(ratings["t"].iloc[0])
    there = {*study.table("service_ratings")["t"]} & {study.t, *compared(study)}
    makes = {f"hidden-{each}": partial(_hidden_everywhere, study, each) for each in {t, *there}}
    groups = study.once(("hidden", t), lambda: across_sites(study, f"hidden-{t}", makes))
    study.has("units")  # which says where the columns are, also where another kernel has looked
    return Hidden.of(groups[groups["site"] == study.site] if study.site and "site" in groups else groups)


def compared(study: Study) -> list[int]:
    """Numbers of the last period and of the same period last year."""
    return sorted({study.t - 1, study.t - PARTS[study.settings.frequency][1]}, reverse=True)


def _hidden_everywhere(study: Study, t: int) -> pd.DataFrame:
    every, settings = _everywhere(study), study.settings
    now, before = (every[every["t"] == period] for period in (t, t - 1))
    now = now if study.site else now.drop(columns="site", errors="ignore")
    return hidden_groups(now, settings.minimum_group, (settings.minimum, settings.maximum), before)


def _everywhere(study: Study) -> pd.DataFrame:
    """Ratings of all sites: row (provider), column (unit), site where there are several, t, person, score."""

    def make() -> pd.DataFrame:
        ratings = rating_scores(all_sites(study)).rename(columns={"provider": "row", "unit": "column"})
        units = all_sites(study).table("units")
        if "site" in units and units["site"].nunique() > 1:
            ratings["site"] = ratings["column"].map(units.set_index("unit_id")["site"]).astype(object).fillna("")
        return ratings

    return study.once("ratings everywhere", make)


def describe(found: Map) -> Page:
    """Count what the map rests on."""
    ratings = found.served.ratings
    if found.nothing:
        return paragraphs(found.nothing)
    if ratings["person"].nunique() < found.minimum:
        return paragraphs(say("Fewer people rated than may be described."))
    counts = {
        message("ratings (one person of one provider)"): len(ratings),
        message("people who rated"): ratings["person"].nunique(),
        message("providers"): ratings["provider"].nunique(),
        message("customer units"): ratings["unit"].nunique(),
        message("relations (a customer unit and a provider)"): len(ratings[["unit", "provider"]].drop_duplicates()),
    }
    return listing([(say(name), n) for name, n in counts.items()], say_each("what", "n"))


def checks(found: Map) -> tuple[Check, ...]:
    """Return what must hold before providers are compared."""
    model, ranks = found.served.model, found.ranking
    if model is None:
        return (Check(message("the scores can be modelled"), False, found.served.reason),)
    left = [
        Check(PARTS_OF_THEIR_OWN[name], False, say("cannot be told apart: {why}", why=why))
        for name, why in model.dropped.items()
    ]
    if np.isnan(ranks.p):
        return tuple(left)
    return (
        Check(message("providers differ by more than chance"), ranks.p < SIGNIFICANT,
              say("p {p} (below {needed} is needed)", p=p_text(ranks.p), needed=SIGNIFICANT)),
        Check(message("a provider's score is reliable"), ranks.reliability >= RELIABLE,
              say("{reliability} on average ({needed} is needed)", reliability=places(ranks.reliability, 2),
                  needed=RELIABLE)),
        *left,
    )  # fmt: skip


PARTS_OF_THEIR_OWN = {
    "provider": message("a part of its own: provider"),
    "customer": message("a part of its own: customer"),
    "relationship": message("a part of its own: relationship"),
    "person": message("a part of its own: person"),
}


def heat_map(found: Map) -> charts.Chart | Page:
    """Draw providers (rows) by customer units (columns): mean score of each relation that may be shown."""
    if found.hidden is None:
        return paragraphs(found.nothing)
    ratings, hidden = found.served.ratings, found.hidden
    means = ratings.groupby(["provider", "unit"])["score"].mean().unstack().mask(hidden.cells)
    rows = ratings.groupby("provider")["score"].mean().mask(hidden.rows)
    columns = ratings.groupby("unit")["score"].mean().mask(hidden.columns)
    order = found.providers["provider"]
    by_name = found.names[columns.index].sort_values().index
    drawn = charts.heatmap(
        means.loc[order, by_name]
        .rename(index=found.names, columns=found.names)
        .rename_axis(index=say("provider"), columns=say("customer unit")),
        hidden.cells.loc[order, by_name],
        say("Mean score that customer units (columns) give to providers (rows)"),
        (rows[order], columns[by_name]),
        cell=message("{row} for {column} {value}"),
    )
    return replace(drawn, said=(statements(found),))


def group(period: str, provider: str = "", unit: str = "", site: str = "") -> str:
    """Name a group of answers, in all reports alike.

    Examples
    --------
    >>> group("2026Q3", "hr", "it"), group("2026Q3", "hr", site="Lyon")
    ('2026Q3: it on hr', '2026Q3: Lyon on hr')
    """
    return f"{period}: {unit or site or 'all'} on {provider or 'all'}"


def statements(found: Map) -> Statements:
    """What the map says of groups of people: means of what is shown, and what is hidden."""
    period, site, ratings, hidden = found.period, found.site, found.served.ratings, found.hidden
    if hidden is None:
        return Statements(*found.scale, {})
    groups: dict[str, tuple[int | None, float | None, int]] = {}
    sums: dict[str, list[str]] = {}
    all_ = group(period, site=site)

    def note(name: str, part: pd.DataFrame, is_hidden: bool, each: int = 1) -> None:
        groups[name] = (None, None, each) if is_hidden else (len(part), part["score"].mean(), each)

    for (provider, unit), part in ratings.groupby(["provider", "unit"]):
        row, column, cell = group(period, provider, site=site), group(period, unit=unit), group(period, provider, unit)
        note(cell, part, hidden.cells.at[provider, unit])
        for whole in (row, column):
            sums.setdefault(whole, []).append(cell)
    rows, columns = [], []
    for provider, part in ratings.groupby("provider"):
        rows.append(group(period, provider, site=site))
        note(rows[-1], part, hidden.rows[provider])
    for unit, part in ratings.groupby("unit"):
        columns.append(group(period, unit=unit))
        note(columns[-1], part, hidden.columns[unit], part["provider"].nunique())
    if not hidden.total:  # `describe` counts all answers
        groups[all_] = (len(ratings), None, len(ratings) // ratings["person"].nunique())  # enough people, as is shown
        sums |= {f"{all_}, by provider": rows, f"{all_}, by unit": columns}
    made_up = [(name.partition(", by ")[0], tuple(parts)) for name, parts in sums.items()]
    return Statements(*found.scale, groups, tuple(made_up))


def ranks(found: Map) -> charts.Chart | Page:
    """Draw the providers by what an average customer says of them, with intervals of their ranks; or why not."""
    if found.nothing:
        return paragraphs(found.nothing)
    if found.ranking.frame is None:
        return paragraphs(_no_ranking(found))
    seen = found.providers[found.providers["shown"]].reset_index(drop=True)
    figure, axes = charts._axes(height=1.2 + 0.2 * max(1, len(seen)))
    order = -seen.index.to_numpy()
    axes.hlines(order, seen["low"], seen["high"], color=charts.FAINT, linewidth=5)
    axes.plot(seen["mean"], order, "o", color=charts.BLUE, markersize=4)
    axes.set_yticks(order, seen["name"].str.slice(0, 40))
    right = axes.secondary_yaxis("right")
    right.set_yticks(order, [_range(low, high) for low, high in zip(seen["rank_low"], seen["rank_high"], strict=True)])
    for axis in (axes, right):
        axis.tick_params(labelsize=8, length=0)
    right.spines[:].set_visible(False)
    right.set_ylabel(say("rank of {n}, 95% interval", n=len(found.providers)))
    axes.set(xlabel=say("Score that an average customer gives, 95% interval"))
    axes.grid(visible=False, axis="y")
    return charts.Chart(figure, _ranks_in_words(found, seen))


def _ranks_in_words(found: Map, seen: pd.DataFrame) -> str:
    said = [
        say("{name} {mean}, rank {low} to {high} of {n}", name=row.name, mean=places(row.mean, 2),
            low=int(row.rank_low), high=int(row.rank_high), n=len(found.providers))
        for row in seen[["name", "mean", "rank_low", "rank_high"]].itertuples(index=False, name="Provider")
    ]  # fmt: skip
    hidden = len(found.providers) - len(seen)
    told = [say("{n} providers by what an average customer says of them.", n=len(seen))]
    if len(said) > 1:
        told.append(say("At the top: {first}. At the end: {last}.", first=said[0], last=said[-1]))
    elif said:
        told.append(f"{said[0]}.")
    told.append(say("Each rank alone lies in its interval with 95% probability, all of them together with less."))
    return " ".join([*told, *([say("Hidden: {n}.", n=hidden)] if hidden else [])])


def _range(low: int, high: int) -> str:
    return say("{low} to {high}", low=int(low), high=int(high))


def _no_ranking(found: Map) -> str:
    p, reliability = found.ranking.p, found.ranking.reliability
    if np.isnan(p):
        why = found.served.reason or say("their differences cannot be separated from their customers'")
        return say("Providers are not ranked: {why}.", why=why)
    noise = fixed(100 * (1 - reliability), 0)
    if p >= SIGNIFICANT:
        return say(
            "Providers are not ranked: differences as large as these come about by chance (p {p}), and {noise}% of "
            "what separates their scores is noise. They stand in the order of their names.",
            p=p_text(p), noise=noise,
        )  # fmt: skip
    return say(
        "Providers are not ranked: they differ, but {noise}% of what separates their scores is noise. They stand in "
        "the order of their names.",
        noise=noise,
    )


def table(found: Map) -> Page:
    """List what each provider's customers say: mean, what an average customer says, favourable answers."""
    rows = found.providers[found.providers["shown"]]
    ranked = found.ranking.frame is not None
    lines = [
        (row.name, row.n, row.plain, span(row.mean, row.low, row.high),
         span(100 * row.share, 100 * row.share_low, 100 * row.share_high, 0),
         *([_range(row.rank_low, row.rank_high)] if ranked else []))
        for row in rows.itertuples(name="Provider", index=False)
    ]  # fmt: skip
    head = say_each("provider", "people", "mean", "an average customer says", "% favourable")
    hidden = len(found.providers) - len(rows)
    return together(
        listing(lines, [*head, say("rank of {n}", n=len(found.providers))] if ranked else head),
        paragraphs(say("Providers hidden to protect small groups: {n}.", n=hidden) if hidden else ""),
    )


def sensitivity(found: Map) -> Page:
    """Ask again with ranks in place of scores: a scale's steps need not be equally far apart."""
    model, ratings = found.served.model, found.served.ratings
    if model is None or "provider" not in model.levels:
        return paragraphs(say("There is nothing to vary: providers cannot be compared."))
    by_rank = crossed.fit(ratings.assign(score=stats.rankdata(ratings["score"])), "score", TERMS)
    rows: list[tuple[str, float | None, str]] = [
        (say("providers' share of variance, scores"), model.shares["provider"], p_text(found.ranking.p)),
        (
            say("providers' share of variance, ranks of the scores"),
            by_rank.shares["provider"],
            p_text(by_rank.p("provider")),
        ),
    ]
    seen = found.providers[found.providers["shown"]].dropna(subset=["share"])
    if len(seen) >= FEWEST_UNITS and min(seen["mean"].nunique(), seen["share"].nunique()) > 1:
        rho = stats.spearmanr(seen["mean"], seen["share"])
        rows.append((say("order by mean and by favourable share, rank correlation"), rho.statistic, p_text(rho.pvalue)))
    return listing(rows, say_each("asked this way", "value", "p"))


def metrics(found: Map, notebook: str) -> Metrics:
    """Shares of the variance of one person's score of one provider, and the providers that are surely low.

    What could not be told apart is left out.
    """
    model = found.served.model
    people = int(found.served.ratings["person"].nunique())
    if model is None or found.hidden is None or found.hidden.total:
        return Metrics(())
    shares = [
        Metric(f"variance_share.{name}", "internal", model.shares[name], None, None, people, notebook)
        for name in TERMS if name in model.shares
    ]  # fmt: skip
    low, _ = surely(found)
    ranks = [
        Metric("lower_half", str(r.name_), float(r.rank_low), float(r.rank_low), float(r.rank_high), int(r.n), notebook)
        for r in low.rename(columns={"name": "name_"}).itertuples()
    ]
    return Metrics((*shares, *ranks))


def surely(found: Map) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Providers that are in the lower half with some certainty, the lowest first, and in the upper half, shown ones."""
    if found.ranking.frame is None:
        return found.providers.iloc[:0], found.providers.iloc[:0]
    seen, half = found.providers[found.providers["shown"]], (len(found.providers) + 1) / 2
    return seen[seen["rank_low"] > half].iloc[::-1], seen[seen["rank_high"] < half]


PARTS_IN_WORDS = {
    "provider": message("the provider"),
    "customer": message("the customer unit"),
    "relationship": message("this customer unit with this provider"),
    "person": message("the person who answers"),
    "residual": message("all else, chance included"),
}


def variance(found: Map) -> Page:
    """Say what one person's score of one provider depends on."""
    model = found.served.model
    if model is None or found.hidden is None or found.hidden.total:
        why = found.nothing or (say("Too few people rated.") if model is not None else upper(f"{found.served.reason}."))
        return paragraphs(say("What a score depends on cannot be said. {why}", why=why))
    said = series(
        say("{share}% {part}", share=fixed(100 * share, 0), part=say(PARTS_IN_WORDS[name]))
        for name, share in model.shares.items()
    )
    not_apart = ", ".join(say(PARTS_IN_WORDS[name]) for name in model.dropped)
    return paragraphs(
        say("What one person's score of one provider depends on, as shares of its variance: {parts}.", parts=said),
        say("Not told apart here: {parts}.", parts=not_apart) if not_apart else "",
    )


def advice(found: Map) -> Page:
    """What to do with the map."""
    if found.nothing:
        return paragraphs(found.nothing, say("To draw one, ask people about each unit that serves them."))
    if found.ranking.frame is None:
        return paragraphs(
            say("Do not reward or blame a provider for its score this period: the scores do not tell them apart.")
        )
    own = found.served.model is not None and "customer" in found.served.model.dropped
    low, high = (names["name"].tolist()[:3] for names in surely(found))
    return paragraphs(
        say("Start with {names}: each of them is in the lower half with some certainty.", names=", ".join(low))
        if low
        else "",
        say("Ask {names} what they do differently.", names=", ".join(high)) if high else "",
        say("Whether a provider serves badly or its own customers are hard to please cannot be told apart here.")
        if own
        else say("Within a provider, talk first to the customer units that are least satisfied with it."),
    )
