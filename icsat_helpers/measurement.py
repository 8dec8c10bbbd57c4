"""Whether a questionnaire measures what it says: the sheets to judge it by, reliability, items, structure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from icsat_helpers.agreement import RELIABLE
from icsat_helpers.charts import Chart, dots
from icsat_helpers.evidence import Metric, p_text
from icsat_helpers.inference import NotEstimable
from icsat_helpers.likelihood import moments
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.scores import APART, TABLE_OF, scales
from icsat_helpers.structure import Fit, cfa
from icsat_helpers.study import Study
from icsat_helpers.words import known, listed, message, say, say_each, series, spoken, upper

NEARLY_ONE = 0.85  # correlation of two scales from which they hardly say different things (Brown 2015)
GOOD = {"cfi": 0.95, "rmsea": 0.06, "srmr": 0.08}  # Hu & Bentler 1999
FAIR = {"cfi": 0.90, "rmsea": 0.08, "srmr": 0.10}
LONGEST = 44  # letters of a question beside a figure
SAID = {"internal": message("Internal satisfaction"), "morale": message("Morale")}


@dataclass(frozen=True, slots=True)
class Instrument:
    """A measure's items and one sheet of each person to judge them by.

    Attributes
    ----------
    measure, name : str
        ``internal`` or ``morale``, and how a sentence begins with it.
    rows : DataFrame
        As `sheets` gives them; never for display.
    scales : dict of scale to items
        Those of the score, without items to which everyone gave the same answer.
    single, constant : tuple of str
        Scales of one item, and items without variation: neither is in the factor model.
    fit : Fit or None
    reason : str
        Why there is no fit.
    texts : dict of item to str
        The questions in the language of the report, or in English, or the item's name.
    minimum : int
        Figures about fewer people are not shown.
    """

    measure: str
    name: str
    rows: pd.DataFrame
    scales: dict[str, list[str]]
    single: tuple[str, ...]
    constant: tuple[str, ...]
    fit: Fit | None
    reason: str
    texts: dict[str, str]
    minimum: int

    @property
    def modelled(self) -> dict[str, list[str]]:
        """Scales of the factor model."""
        return {scale: items for scale, items in self.scales.items() if len(items) > 1}

    @property
    def formula(self) -> str:
        """The factor model as R's lavaan would read it."""
        return "\n".join(f"{scale} =~ {' + '.join(items)}" for scale, items in self.modelled.items())


def sheets(study: Study, measure: str, periods: Sequence[int]) -> pd.DataFrame:
    """One sheet of each person: of those with the fewest gaps in some periods, one drawn by a hash.

    A person rates several providers and answers again next period; where each item meets the same habit of the
    person again, the sheets are not independent and the chi-square rejects a true model (seen, at 5%: all sheets 22
    to 29 of 30, one sheet 1 to 4). A person's mean sheet is no way out: means over one sheet and over twenty have
    different variances (seen: 31 of 60, one sheet 5). What sheets share through the scales (a unit, a provider,
    leniency) leaves the chi-square as it is (Anderson & Amemiya 1988).

    Returns
    -------
    DataFrame
        The table's columns, with `language` (of the sheet, else of the person) and `associate_type`; the same rows
        whatever the order of the file.
    """
    table = study.table(TABLE_OF[measure])
    items = [item for items in scales(study, measure).values() for item in items]
    rows = table[table["t"].isin(periods)]
    keys = [rows[name].astype(str) for name in ("person_id", "t", "provider_unit") if name in rows]
    drawn = pd.util.hash_array(keys[0].str.cat(keys[1:], sep="\n").to_numpy(dtype=object)) if len(rows) else []
    rows = rows.assign(gaps=rows[items].isna().sum(axis=1), drawn=drawn)
    rows = rows.sort_values(["gaps", "drawn"], kind="stable").drop_duplicates("person_id")
    people = study.table("people").drop_duplicates("person_id").set_index("person_id")
    for column in ("language", "associate_type"):
        known = rows["person_id"].map(people[column]) if column in people else pd.Series(np.nan, rows.index)
        rows[column] = rows[column].fillna(known) if column in rows else known
    return rows.drop(columns=["gaps", "drawn"]).sort_values("person_id", ignore_index=True)


def instrument(study: Study, measure: str) -> Instrument | None:
    """A measure's questionnaire in the reported period; None where the study has no items of it."""
    found = {scale: items for scale, items in scales(study, measure).items() if scale not in APART}
    if not study.has(TABLE_OF[measure]) or not found:
        return None
    rows = sheets(study, measure, [study.t])
    constant = tuple(item for items in found.values() for item in items if rows[item].nunique() < 2)
    varying = {scale: [item for item in items if item not in constant] for scale, items in found.items()}
    single = tuple(scale for scale, items in varying.items() if len(items) == 1)
    modelled = {scale: items for scale, items in varying.items() if len(items) > 1}
    names, fit, reason = [item for items in modelled.values() for item in items], None, ""
    try:
        if not names:
            raise NotEstimable(say("no scale has two items that differ between people"))
        if len(rows[names].dropna()) < study.settings.minimum_group:
            raise NotEstimable(say("fewer than {n} people answered every item", n=study.settings.minimum_group))
        fit = cfa([moments(rows, names)], modelled)
    except NotEstimable as why:
        reason = str(why)
    kept = {scale: items for scale, items in varying.items() if items}
    texts = {
        item.name: item.text.get(spoken()) or item.text.get("en") or item.name
        for item in study.settings.items_of(TABLE_OF[measure])
    }
    minimum = study.settings.minimum_group
    return Instrument(measure, say(SAID[measure]), rows, kept, single, constant, fit, reason, texts, minimum)


def measures(study: Study, tool: Instrument) -> list[str]:
    """The measure and each of its scales, those reported apart too."""
    return [tool.measure, *(f"{tool.measure}.{name}" for name in scales(study, tool.measure))]


def describe(tools: Sequence[Instrument]) -> Page:
    """What there is to judge the questions by."""
    if not tools:
        return paragraphs(
            say("There are no answers to single questions, only averages: the questions cannot be judged here.")
        )
    rows = []
    for tool in tools:
        n = len(tool.rows)
        complete = tool.fit.n if tool.fit else None
        items = sum(len(each) for each in tool.scales.values())
        rows.append((tool.name, len(tool.scales), items, n if n >= tool.minimum else None, complete))
    return listing(rows, say_each("of", "scales", "items", "people", "complete sheets"))


def reliability(tool: Instrument, notebook: str) -> tuple[Metric, ...]:
    """Cronbach's alpha (pingouin) and McDonald's omega total (of the factor model) of a measure and its scales.

    Omega is that of the mean of items, for the measure that of the mean of its scales, as scores are made; only
    where the model can be read and holds every item.
    """
    import pingouin as pg

    named = {tool.measure: [item for items in tool.scales.values() for item in items]}
    named |= {f"{tool.measure}.{scale}": items for scale, items in tool.scales.items()}
    rows: list[Metric] = []
    for name, items in named.items():
        complete = tool.rows[items].dropna()
        if len(items) < 2 or len(complete) < max(tool.minimum, 3) or complete.sum(axis=1).nunique() < 2:
            continue
        value, (low, high) = pg.cronbach_alpha(complete)
        rows.append(Metric("cronbach_alpha", name, float(value), float(low), float(high), len(complete), notebook))
        fit, scale = tool.fit, name.partition(".")[2]
        if fit is not None and not fit.problems and (scale or not tool.single):
            at = fit.scales.index(scale) if scale else -1
            value, half = float(fit.omega[0, at]), 1.96 * float(fit.omega_se[0, at])
            rows.append(Metric("omega_total", name, value, value - half, min(1.0, value + half), fit.n, notebook))
    return tuple(rows)


def reliability_said(tool: Instrument, found: Sequence[Metric]) -> str:
    """Whether a measure's answers hang together, in words."""
    of = {metric.name: metric for metric in found if metric.of == tool.measure}
    metric = of.get("omega_total") or of.get("cronbach_alpha")
    if metric is None:
        return say(
            "{name}: with one item, or too few answers, it cannot be checked whether answers hang together.",
            name=tool.name,
        )
    kind = message("omega {value}") if metric.name == "omega_total" else message("alpha {value}")
    value = say(kind, value=metric.value)
    if metric.value >= RELIABLE:
        return say("{name}: a person's answers hang together ({reliability}).", name=tool.name, reliability=value)
    return say(
        "{name}: a person's answers hang together loosely ({reliability}): read averages of many people only.",
        name=tool.name, reliability=value,
    )  # fmt: skip


def reliability_table(found: Sequence[Metric]) -> Page:
    """Alpha and omega side by side, with intervals."""
    if not found:
        return paragraphs(say("Nothing to check here: answers that hang together need two items on one matter."))
    alphas = {m.of: m for m in found if m.name == "cronbach_alpha"}
    omegas = {m.of: m for m in found if m.name == "omega_total"}
    head = say_each("of", "alpha", "from", "to", "omega", "from", "to", "n")
    rows = []
    for name, alpha in alphas.items():
        omega = omegas.get(name)
        pair = (omega.value, omega.ci_low, omega.ci_high) if omega else (None, None, None)
        rows.append((known(name), alpha.value, alpha.ci_low, alpha.ci_high, *pair, alpha.n))
    return listing(rows, head)


def item_table(tool: Instrument) -> Page:
    """Item by item: text, correlation with the rest of its scale, alpha of the scale without it, loading."""
    import pingouin as pg

    loadings = dict(zip(tool.fit.items, tool.fit.loadings[0], strict=True)) if tool.fit else {}
    rows = []
    for scale, items in tool.scales.items():
        complete = tool.rows[items].dropna()
        if len(items) < 2 or len(complete) < max(tool.minimum, 3):
            continue
        for item in items:
            others = complete.drop(columns=item)
            rest = float(complete[item].corr(others.mean(axis=1)))
            dropped = float(pg.cronbach_alpha(others)[0]) if len(items) > 2 else None
            rows.append((known(scale), tool.texts[item], rest, dropped, loadings.get(item)))
    if not rows:
        return paragraphs(
            say(
                "{name}: no scale has two items, and answers of enough people, to hold an item against the rest.",
                name=tool.name,
            )
        )
    return listing(rows, say_each("scale", "item", "with the rest", "alpha without it", "loading"))


def structure_table(tools: Sequence[Instrument]) -> Page:
    """Fit of each measure's factor model."""
    rows = []
    for tool in tools:
        if tool.fit is not None:
            i = tool.fit.indices
            rows.append(
                (
                    tool.name,
                    tool.fit.n,
                    i.chi2,
                    i.df,
                    p_text(i.p),
                    i.cfi,
                    i.tli,
                    i.rmsea,
                    i.rmsea_low,
                    i.rmsea_high,
                    i.srmr,
                )
            )
    if not rows:
        return paragraphs(say("No factor model could be fitted; what follows says why."))
    head = say_each("of", "n", "chi-square", "df", "p", "CFI", "TLI", "RMSEA", "90% from", "to", "SRMR")
    return listing(rows, head)


def structure_said(tool: Instrument) -> str:
    """Whether the items form the scales, in words."""
    name, i, fit = tool.name, tool.fit.indices if tool.fit else None, tool.fit
    if fit is None or i is None:
        said = say("{name}: whether the items form their scales cannot be checked: {why}.", name=name, why=tool.reason)
    elif fit.problems:
        said = say("{name}: the factor model cannot be read: {why}.", name=name, why=series(fit.problems))
    elif i.df == 0:
        said = say("{name}: the items are just enough to describe one scale, too few to test it.", name=name)
    elif _within(tool, GOOD):
        said = say("{name}: the items form the scales they are meant for.", name=name)
    elif _within(tool, FAIR):
        said = say("{name}: the items form the scales they are meant for, though not neatly.", name=name)
    else:
        said = say("{name}: the items do not form the scales they are meant for: read items, not scales.", name=name)
    left = [say("{scale} has one item and is not in the model.", scale=upper(known(scale))) for scale in tool.single]
    left += [say("Everyone gave the same answer to {item}.", item=item) for item in tool.constant]
    alike = _alike(fit) if fit is not None and not fit.problems else ""
    return " ".join(filter(None, [said, *left, alike]))


def _within(tool: Instrument, bounds: dict[str, float]) -> bool:
    i = tool.fit.indices if tool.fit else None
    return i is not None and i.cfi >= bounds["cfi"] and i.rmsea <= bounds["rmsea"] and i.srmr <= bounds["srmr"]


def _alike(fit: Fit) -> str:
    """Scales that hardly say different things."""
    pairs = [
        (float(fit.correlations[0, a, b]), listed([known(fit.scales[b]), known(fit.scales[a])]))
        for a, b in zip(*np.tril_indices(len(fit.scales), -1), strict=True)
    ]
    close = [(r, names) for r, names in sorted(pairs, reverse=True) if r >= NEARLY_ONE]
    if not close:
        return ""
    r, names = close[0]
    if len(pairs) == 1:
        return say(
            "Free of noise, {scales} correlate {r}: people hardly tell them apart; read the overall score.",
            scales=names, r=r,
        )  # fmt: skip
    return say(
        "Free of noise, {scales} correlate {r}: people hardly tell them apart ({n} of {pairs} pairs so); read the "
        "overall score.",
        scales=names, r=r, n=len(close), pairs=len(pairs),
    )  # fmt: skip


def loadings(tool: Instrument, fit: Fit) -> Chart:
    """Standardised loadings with 95% intervals, scale by scale."""
    values, half = fit.loadings[0], 1.96 * fit.loadings_se[0]
    names = [textwrap.shorten(tool.texts[item], LONGEST, placeholder=" …") for item in fit.items]
    labels = [name.replace("$", r"\$") for name in names]  # not a formula
    low, high = int(np.argmin(values)), int(np.argmax(values))
    return dots(
        pd.DataFrame({"label": labels, "value": values, "low": values - half, "high": values + half}),
        say("{name}: standardised loading of each item on its scale", name=tool.name),
        say(
            "{name}, loadings of {items} items on {scales} scales with 95% intervals: from {low} ({lowest}) to {high} "
            "({highest}).",
            name=tool.name,
            items=len(values),
            scales=len(fit.scales),
            low=float(values[low]),
            lowest=names[low],
            high=float(values[high]),
            highest=names[high],
        ),
    )


def structure_metrics(tool: Instrument, notebook: str) -> tuple[Metric, ...]:
    """Fit indices of a measure as metrics of the contract."""
    if tool.fit is None:
        return ()
    i, of, n = tool.fit.indices, tool.measure, tool.fit.n
    rows = [Metric(name, of, getattr(i, name), None, None, n, notebook) for name in ("chi2", "cfi", "tli", "srmr")]
    rows.append(Metric("rmsea", of, i.rmsea, i.rmsea_low, i.rmsea_high, n, notebook))
    return tuple(row for row in rows if np.isfinite(row.value))


def verdict(tools: Sequence[Instrument], found: Sequence[Metric]) -> Page:
    """Reliability and structure of each measure in words."""
    if not tools:
        return describe(tools)
    return paragraphs(*(text for tool in tools for text in (reliability_said(tool, found), structure_said(tool))))
