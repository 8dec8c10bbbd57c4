"""What may be shown of comments: themes, their change, by provider, and how satisfied those are who raise them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from icsat_helpers import charts
from icsat_helpers.charts import Chart
from icsat_helpers.disclosure import coarse, grain, publishable, suppressed
from icsat_helpers.inference import FEWEST_UNITS, Estimate, jackknife
from icsat_helpers.listing import Page, listing, paragraphs, steps
from icsat_helpers.scores import unit_names
from icsat_helpers.study import Study
from icsat_helpers.themes import SHOWN, Themes, comments
from icsat_helpers.words import fixed, message, period, say, say_each, series

LANGUAGES = {"en": message("English"), "fr": message("French"), "de": message("German")}
PRINTABLE = 0x0590  # the figures' font knows Latin, Greek and Cyrillic letters, which stand before it


def difference(value: np.ndarray, group: np.ndarray, unit: np.ndarray) -> Estimate | None:
    """Mean of a value in a group less its mean elsewhere, one unit left out in turn.

    Parameters
    ----------
    value : ndarray of float, n
    group : ndarray of bool, n
    unit : ndarray, n

    Returns
    -------
    Estimate or None
        None below five units, or where without some unit one side is empty.

    Examples
    --------
    >>> unit = np.repeat(list("abcdef"), 2)
    >>> difference(np.tile([1.0, 3.0], 6), np.tile([False, True], 6), unit).value
    2.0
    """
    known = np.isfinite(value)
    code, units = pd.factorize(unit[known], sort=True)
    if len(units) < FEWEST_UNITS:
        return None
    sides = [(group[known] == side).astype(float) for side in (True, False)]
    n = np.array([np.bincount(code, side, len(units)) for side in sides])
    total = np.array([np.bincount(code, side * value[known], len(units)) for side in sides])
    left = n.sum(axis=1, keepdims=True) - n
    if (left < 1).any():
        return None
    one, other = (total.sum(axis=1, keepdims=True) - total) / left
    whole = total.sum(axis=1) / n.sum(axis=1)
    return jackknife(whole[0] - whole[1], one - other)


def summary(study: Study, found: Themes) -> pd.DataFrame:
    """One row a theme: how often it is raised, the change on the last period, how satisfied those are who raise it.

    Returns
    -------
    DataFrame
        theme; comments, people and share of the reported period; change, change_low, change_high on the period
        before; gap, gap_low, gap_high: satisfaction of those who raise it less that of other commenters of the same
        period, in points, over all periods. What rests on fewer than ten comments, or on too few people on either
        side, is missing, and `shown` says why.
    """
    frame, minimum = found.comments, study.settings.minimum_group
    now, before = (frame["t"] == study.t).to_numpy(), (frame["t"] == study.t - 1).to_numpy()
    score = (frame["score"] - frame.groupby("t")["score"].transform("mean")).to_numpy()
    person, unit = frame["person"].to_numpy(), frame["unit"].to_numpy()
    rows = []
    for label, raised in zip(found.labels, found.raised.T, strict=True):
        either = now | before
        two = _enough(raised & before, ~raised & before, person, minimum)
        change = difference(raised[either].astype(float), now[either], unit[either]) if two else None
        gap = difference(score, raised, unit) if _enough(raised, ~raised, person, minimum) else None
        row = {"theme": label, "comments": (raised & now).sum(), "people": len(np.unique(person[raised & now]))}
        row |= {"others": len(np.unique(person[~raised & now])), "share": raised[now].mean() if now.any() else np.nan}
        rows.append(row | _bounds("change", change) | _bounds("gap", gap))
    names = ["theme", "comments", "people", "others", "share", *_bounds("change", None), *_bounds("gap", None)]
    return _shown(pd.DataFrame(rows, columns=names), minimum, ["share", "change", "change_low", "change_high"])


def by_provider(study: Study, found: Themes) -> pd.DataFrame:
    """Themes of a provider's comments over all periods, one row a provider and theme that may be shown.

    Returns
    -------
    DataFrame
        provider (its name), theme, comments, share (of the provider's comments); rounded, so that two reports do not
        show what the few said who commented in between.
    """
    frame, minimum, rows = found.comments, study.settings.minimum_group, []
    person = pd.factorize(frame["person"])[0]
    for provider, place in frame.groupby("provider", sort=True).indices.items():
        if len(place) < SHOWN:
            continue
        raised, who = found.raised[place], person[place]
        people, others = ([len(np.unique(who[flag])) for flag in side.T] for side in (raised, ~raised))
        comments, share = raised.sum(axis=0), raised.mean(axis=0)
        hidden = suppressed(pd.Series(_fewest(comments, people, others, minimum)), max(minimum, 2))
        step = grain(len(place), minimum - 1, 1.0)  # what is said of all periods changes by what a few add
        cells = zip(found.labels, _rounded(comments, minimum), coarse(share, share, share, step)[0].clip(0, 1), hidden,
                    strict=True)  # fmt: skip
        rows += [(provider, *cell) for *cell, hide in cells if not hide]
    both = pd.DataFrame(rows, columns=["unit", "theme", "comments", "share"])
    both = both.assign(provider=unit_names(study, both["unit"]))
    return both.sort_values(["provider", "comments", "theme"], ascending=[True, False, True], ignore_index=True)[
        ["provider", "theme", "comments", "share"]
    ]


def _rounded(n: Any, minimum: int) -> Any:
    """Round a count to a multiple of the minimum group."""
    return minimum * np.round(n / minimum)


def _enough(one: np.ndarray, other: np.ndarray, person: np.ndarray, minimum: int) -> bool:
    """Whether ten comments stand behind a figure, and enough people on either side of it."""
    sides = [len(np.unique(person[side])) for side in (one, other)]
    return bool(one.sum() >= SHOWN and min(sides) >= minimum)


def _shown(frame: pd.DataFrame, minimum: int, values: list[str]) -> pd.DataFrame:
    """Hide what rests on fewer than ten comments, or too few people on either side; one hidden row takes another."""
    fewest = _fewest(frame["comments"], frame["people"], frame["others"], minimum)
    hidden = publishable(frame.assign(people=fewest), "people", max(minimum, 2), ["comments", *values])
    return hidden.assign(people=frame["people"].where(hidden["shown"] == "")).drop(columns="others")


def _fewest(comments: npt.ArrayLike, people: npt.ArrayLike, others: npt.ArrayLike, minimum: int) -> np.ndarray:
    """People on the smaller side of a theme, where there are two; fewer than the minimum behind too few comments."""
    n, rest = np.asarray(people), np.asarray(others)
    fewest = np.where(rest == 0, n, np.minimum(n, rest))
    return np.where(np.asarray(comments) >= SHOWN, fewest, fewest.clip(1, max(minimum - 1, 1)))


def _bounds(name: str, estimate: Estimate | None) -> dict[str, float]:
    low, high = estimate.interval() if estimate is not None else (np.nan, np.nan)
    return {name: estimate.value if estimate is not None else np.nan, f"{name}_low": low, f"{name}_high": high}


# ---------------------------------------------------------------- what a notebook shows


def language(found: Themes) -> str:
    """The language in words, or its code."""
    return say(LANGUAGES[found.language]) if found.language in LANGUAGES else found.language


def overview(study: Study, found: list[Themes]) -> Page:
    """Comments by language, and how many themes they have or why none."""
    minimum = study.settings.minimum_group
    rows: list[tuple[Any, ...]] = []
    for one in found:
        now = one.comments[one.comments["t"] == study.t]
        few = now["person"].nunique() < minimum
        lately = say("fewer than {minimum} people", minimum=minimum) if few else len(now)
        many = len(one.labels) or say("not analysed: {reason}", reason=one.reason)
        rows.append((language(one), int(_rounded(len(one.comments), minimum)), lately, many))
    if not rows:
        return paragraphs(_why(study))
    return listing(
        rows,
        (*say_each("language", "comments"), say("of them in {period}", period=period(study.period)), say("themes")),
    )


def _why(study: Study) -> str:
    if not study.has("service_ratings"):
        return say("There are no comments: there is no table service_ratings.")
    if comments(study).empty:
        return say("There are no comments: service_ratings has no column comment, or nothing in it.")
    least = study.settings.minimum_group
    return say("There are too few comments: no language is written by {n} people.", n=least)


def stability(found: list[Themes]) -> Page:
    """How well the themes are found again in subsamples of people, by their number; the chosen one is marked."""
    rows = [
        (language(one), say("{k} (chosen)", k=k) if k == len(one.labels) else str(k), value)
        for one in found
        for k, value in one.stability.items()
    ]
    return (
        listing(rows, say_each("language", "themes", "similarity"))
        if rows
        else paragraphs(say("There are no themes to check."))
    )


def table(frame: pd.DataFrame) -> Page:
    """A `summary` in per cent and points of satisfaction; a dash where it must not, or cannot, be shown."""
    rows = [
        (r.theme, r.comments, *(round(100 * v, 1) + 0.0 for v in (r.share, r.change, r.change_low, r.change_high)),
         *(round(v, 2) + 0.0 for v in (r.gap, r.gap_low, r.gap_high)))
        for r in frame.itertuples()
    ]  # fmt: skip
    head = say_each("theme", "comments", "share, %", "change", "from", "to", "satisfaction", "from", "to")
    return listing(rows, head)


def provider_table(study: Study, found: Themes) -> Page:
    """Themes by provider, those that may be shown."""
    cells = by_provider(study, found)
    if cells.empty:
        return paragraphs(
            say(
                "No provider has a theme in {language} that ten comments of enough people raise.",
                language=language(found),
            )
        )
    rows = [(r.provider, r.theme, int(r.comments), round(100 * r.share, 1)) for r in cells.itertuples()]
    return listing(
        rows,
        (say("provider"), say("theme ({language})", language=language(found)),
         *say_each("comments", "share of its comments, %")),
    )  # fmt: skip


def gaps(frame: pd.DataFrame, tongue: str) -> Chart | Page:
    """How satisfied those are who raise a theme, less other commenters, with intervals; the least satisfied on top."""
    rows = frame[frame["gap"].notna()].sort_values("gap", ascending=False, ignore_index=True)
    if rows.empty:
        return paragraphs(
            say(
                "{language}: how satisfied those are who raise a theme cannot be shown; too few people do.",
                language=tongue,
            )
        )
    figure, axes = charts._axes(height=1.1 + 0.36 * len(rows))
    axes.axvline(0, color=charts.SOFT, linewidth=1)
    axes.hlines(rows.index, rows["gap_low"], rows["gap_high"], color=charts.FAINT, linewidth=6)
    for flag, colour in ((rows["gap_high"] < 0, charts.RED), (rows["gap_low"] > 0, charts.GREEN)):
        axes.plot(rows.loc[flag, "gap"], rows.index[flag], "o", color=colour, markersize=7)
    open_ = (rows["gap_low"] <= 0) & (rows["gap_high"] >= 0)
    axes.plot(rows.loc[open_, "gap"], rows.index[open_], "o", color=charts.SOFT, markersize=7, markerfacecolor="white")
    names = [
        t if max(map(ord, t)) < PRINTABLE else say("theme {n} of the table", n=i + 1)
        for i, t in enumerate(rows["theme"])
    ]
    axes.set_yticks(rows.index, names)
    axes.set(xlabel=say("Satisfaction against other commenters, points"))
    axes.grid(visible=False, axis="y")
    said = [
        say("{theme} {gap} ({low} to {high})", theme=n, gap=r.gap, low=r.gap_low, high=r.gap_high)
        for n, r in zip(names, rows.itertuples(), strict=True)
    ]
    alt = say(
        "Comments in {language}, points of satisfaction by theme, 95% intervals: {themes}.",
        language=tongue, themes=series(said[::-1]),
    )  # fmt: skip
    return Chart(figure, alt)


def advice(study: Study, found: list[Themes]) -> Page:
    """Which themes to look into first, language by language, and what is raised more often than last period."""
    said = []
    for one in found:
        if not one.labels:
            continue
        frame = summary(study, one)
        hurts = frame[frame["gap_high"] < 0].sort_values("gap")
        for r in hurts.head(1).itertuples():
            said.append(
                say(
                    "Look first into “{theme}” ({language}): those who raise it are {gap} points less satisfied than "
                    "other commenters ({low} to {high}).",
                    theme=r.theme,
                    language=language(one),
                    gap=-r.gap,
                    low=-r.gap_high,
                    high=-r.gap_low,
                )
            )
        for r in frame[frame["change_low"] > 0].itertuples():
            said.append(
                say(
                    "“{theme}” ({language}) is raised more often than last period: by {share}% of comments, {change} "
                    "points more ({low} to {high}).",
                    theme=r.theme,
                    language=language(one),
                    **{
                        name: fixed(100 * value, 0)
                        for name, value in (
                            ("share", r.share),
                            ("change", r.change),
                            ("low", r.change_low),
                            ("high", r.change_high),
                        )
                    },
                )
            )
    if not any(one.labels for one in found):
        return paragraphs(
            say("Comments cannot be read here as themes: see above what is missing. Read scores instead.")
        )
    return steps(said) if said else paragraphs(say("No theme stands out, neither by who raises it nor by its change."))
