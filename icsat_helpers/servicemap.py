"""The service map's tables, figures and sentences: who serves whom, how well, and how that changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from icsat_helpers import charts, crossed
from icsat_helpers.clean import load
from icsat_helpers.disclosure import Hidden, suppress_table
from icsat_helpers.evidence import Metric, Metrics, p_text
from icsat_helpers.health import unit_names
from icsat_helpers.inference import FEWEST_UNITS
from icsat_helpers.listing import Page, listing, paragraphs, span, together
from icsat_helpers.release import Statements
from icsat_helpers.scores import rating_scores
from icsat_helpers.sensitivity import SIGNIFICANT, Check
from icsat_helpers.service import RELIABLE, TERMS, Ranking, Served, favourable, provider_means, ranking, served
from icsat_helpers.study import Study

HIDDEN = "hidden to protect small groups"


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
        return f"There is no service map: {why if 'no table' in why else 'nobody rated a provider'}." if why else ""


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
    every, settings, t = _everywhere(study), study.settings, ratings["t"].iloc[0]
    now, before = (every[every["t"] == period] for period in (t, t - 1))
    return suppress_table(now, settings.minimum_group, (settings.minimum, settings.maximum), before, study.site)


def _everywhere(study: Study) -> pd.DataFrame:
    """Ratings of all sites: row (provider), column (unit), site where there are several, t, person, score."""
    name = "ratings everywhere"
    if name not in study.derived:
        whole = load(study.folder, study.period) if study.site else study
        ratings = rating_scores(whole).rename(columns={"provider": "row", "unit": "column"})
        units = whole.table("units")
        if "site" in units and units["site"].nunique() > 1:
            ratings["site"] = ratings["column"].map(units.set_index("unit_id")["site"]).astype(object).fillna("")
        study.derived[name] = ratings
    return study.derived[name]


def describe(found: Map) -> Page:
    """Count what the map rests on."""
    ratings = found.served.ratings
    if found.nothing:
        return paragraphs(found.nothing)
    if ratings["person"].nunique() < found.minimum:
        return paragraphs("Fewer people rated than may be described.")
    counts = {
        "ratings (one person of one provider)": len(ratings),
        "people who rated": ratings["person"].nunique(),
        "providers": ratings["provider"].nunique(),
        "customer units": ratings["unit"].nunique(),
        "relations (a customer unit and a provider)": len(ratings[["unit", "provider"]].drop_duplicates()),
    }
    return listing(counts.items(), ("what", "n"))


def checks(found: Map) -> tuple[Check, ...]:
    """Return what must hold before providers are compared."""
    model, ranks = found.served.model, found.ranking
    if model is None:
        return (Check("the scores can be modelled", False, found.served.reason),)
    left = [
        Check(f"a part of its own: {name}", False, f"cannot be told apart: {why}")
        for name, why in model.dropped.items()
    ]
    if np.isnan(ranks.p):
        return tuple(left)
    return (
        Check("providers differ by more than chance", ranks.p < SIGNIFICANT,
              f"p {p_text(ranks.p)} (below {SIGNIFICANT} is needed)"),
        Check("a provider's score is reliable", ranks.reliability >= RELIABLE,
              f"{ranks.reliability:.2f} on average ({RELIABLE} is needed)"),
        *left,
    )  # fmt: skip


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
        .rename_axis(index="provider", columns="customer unit"),
        hidden.cells.loc[order, by_name],
        "Mean score that customer units (columns) give to providers (rows)",
        (rows[order], columns[by_name]),
        between=" for ",
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
        groups[all_] = (len(ratings), None, ratings["provider"].nunique())
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
    places = -seen.index.to_numpy()
    axes.hlines(places, seen["low"], seen["high"], color=charts.FAINT, linewidth=5)
    axes.plot(seen["mean"], places, "o", color=charts.BLUE, markersize=4)
    axes.set_yticks(places, seen["name"].str.slice(0, 40))
    right = axes.secondary_yaxis("right")
    right.set_yticks(
        places, [f"{low} to {high}" for low, high in zip(seen["rank_low"], seen["rank_high"], strict=True)]
    )
    for axis in (axes, right):
        axis.tick_params(labelsize=8, length=0)
    right.spines[:].set_visible(False)
    right.set_ylabel(f"rank of {len(found.providers)}, 95% interval")
    axes.set(xlabel="Score that an average customer gives, 95% interval")
    axes.grid(visible=False, axis="y")
    return charts.Chart(figure, _ranks_in_words(found, seen))


def _ranks_in_words(found: Map, seen: pd.DataFrame) -> str:
    said = [f"{row.name} {row.mean:.2f}, rank {row.rank_low} to {row.rank_high}" for row in
            seen[["name", "mean", "rank_low", "rank_high"]].itertuples(index=False, name="Provider")]  # fmt: skip
    ends = said[:1] if len(said) < 2 else [said[0], said[-1]]
    hidden = len(found.providers) - len(seen)
    return (
        f"{len(seen)} providers by what an average customer says of them: {' at the top, '.join(ends)} of "
        f"{len(found.providers)}{' at the end' if len(ends) > 1 else ''}. Each rank alone lies in its interval with "
        f"95% probability, all of them together with less.{f' Hidden: {hidden}.' if hidden else ''}"
    )


def _no_ranking(found: Map) -> str:
    p, reliability = found.ranking.p, found.ranking.reliability
    if np.isnan(p):
        why = found.served.reason or "their differences cannot be separated from their customers'"
        return f"Providers are not ranked: {why}."
    chance = "differences as large as these come about by chance" if p >= SIGNIFICANT else "they differ, but"
    noise = f"{100 * (1 - reliability):.0f}% of what separates their scores is noise"
    return (
        f"Providers are not ranked: {chance}{' (p ' + p_text(p) + '),' if p >= SIGNIFICANT else ''} "
        f"{'and ' if p >= SIGNIFICANT else ''}{noise}. They stand in the order of their names."
    )


def table(found: Map) -> Page:
    """List what each provider's customers say: mean, what an average customer says, favourable answers."""
    rows = found.providers[found.providers["shown"]]
    ranked = found.ranking.frame is not None
    lines = [
        (row.name, row.n, row.plain, span(row.mean, row.low, row.high),
         span(100 * row.share, 100 * row.share_low, 100 * row.share_high, 0),
         *([f"{row.rank_low} to {row.rank_high}"] if ranked else []))
        for row in rows.itertuples(name="Provider", index=False)
    ]  # fmt: skip
    head = ["provider", "people", "mean", "an average customer says", "% favourable"]
    hidden = len(found.providers) - len(rows)
    return together(
        listing(lines, [*head, f"rank of {len(found.providers)}"] if ranked else head),
        paragraphs(f"Providers {HIDDEN}: {hidden}." if hidden else ""),
    )


def sensitivity(found: Map) -> Page:
    """Ask again with ranks in place of scores: a scale's steps need not be equally far apart."""
    model, ratings = found.served.model, found.served.ratings
    if model is None or "provider" not in model.levels:
        return paragraphs("There is nothing to vary: providers cannot be compared.")
    by_rank = crossed.fit(ratings.assign(score=stats.rankdata(ratings["score"])), "score", TERMS)
    rows: list[tuple[str, float | None, str]] = [
        ("providers' share of variance, scores", model.shares["provider"], p_text(found.ranking.p)),
        (
            "providers' share of variance, ranks of the scores",
            by_rank.shares["provider"],
            p_text(by_rank.p("provider")),
        ),
    ]
    seen = found.providers[found.providers["shown"]].dropna(subset=["share"])
    if len(seen) >= FEWEST_UNITS and min(seen["mean"].nunique(), seen["share"].nunique()) > 1:
        rho = stats.spearmanr(seen["mean"], seen["share"])
        rows.append(("order by mean and by favourable share, rank correlation", rho.statistic, p_text(rho.pvalue)))
    return listing(rows, ("asked this way", "value", "p"))


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
    "provider": "the provider",
    "customer": "the customer unit",
    "relationship": "this customer unit with this provider",
    "person": "the person who answers",
    "residual": "all else, chance included",
}


def variance(found: Map) -> Page:
    """Say what one person's score of one provider depends on."""
    model = found.served.model
    if model is None or found.hidden is None or found.hidden.total:
        why = found.nothing or (f"{found.served.reason}." if model is None else "Too few people rated.")
        return paragraphs(f"What a score depends on cannot be said: {why[:1].lower()}{why[1:]}")
    said = ", ".join(f"{100 * share:.0f}% {PARTS_IN_WORDS[name]}" for name, share in model.shares.items())
    not_apart = [PARTS_IN_WORDS[name] for name in model.dropped]
    return paragraphs(
        f"What one person's score of one provider depends on, as shares of its variance: {said}.",
        f"Not told apart here: {', '.join(not_apart)}." if not_apart else "",
    )


def advice(found: Map) -> Page:
    """What to do with the map."""
    if found.nothing:
        return paragraphs(found.nothing, "To draw one, ask people about each unit that serves them.")
    if found.ranking.frame is None:
        return paragraphs(
            "Do not reward or blame a provider for its score this period: the scores do not tell them apart."
        )
    own = found.served.model is not None and "customer" in found.served.model.dropped
    low, high = (names["name"].tolist()[:3] for names in surely(found))
    return paragraphs(
        f"Start with {', '.join(low)}: each of them is in the lower half with some certainty." if low else "",
        f"Ask {', '.join(high)} what they do differently." if high else "",
        "Whether a provider serves badly or its own customers are hard to please cannot be told apart here."
        if own
        else "Within a provider, talk first to the customer units that are least satisfied with it.",
    )
