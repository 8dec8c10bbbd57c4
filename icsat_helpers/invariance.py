"""Whether a questionnaire means the same to all: the factor model over groups, and which means may be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from icsat_helpers.disclosure import publishable
from icsat_helpers.evidence import p_text
from icsat_helpers.inference import NotEstimable
from icsat_helpers.likelihood import LEVELS, moments
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.measurement import FAIR, Instrument, sheets
from icsat_helpers.sensitivity import SIGNIFICANT
from icsat_helpers.structure import Fit, cfa
from icsat_helpers.study import Study
from icsat_helpers.words import known, listed, message, period, say, say_each

FEWEST_SHEETS = 100  # in each group; with fewer a shift of half a standard deviation is missed every other time
CFI_FALL = 0.01  # Cheung & Rensvold 2002
GROUPS = {
    "language": message("languages"),
    "associate_type": message("types of associates"),
    "period": message("periods"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step up from the looser model: how far the CFI falls, and the p of the chi-square difference."""

    fall: float
    p: float

    @property
    def answer(self) -> str:
        """What the step shows: "alike", "nearly" (a difference, but a small one) or "different"."""
        if self.fall > CFI_FALL:
            return "different" if self.p < SIGNIFICANT else "nearly"
        return "nearly" if self.p < SIGNIFICANT else "alike"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measure compared over groups.

    Attributes
    ----------
    tool : Instrument
    by : {"language", "associate_type", "period"}
    counts : DataFrame
        group, n (complete sheets), shown: as `icsat_helpers.disclosure.publishable` gives it.
    groups : tuple of str
        Those with enough sheets; the first (the largest, or the earlier period) is what the others are held against.
    fits : tuple of Fit
        Configural, metric, scalar; empty where `reason` says why.
    """

    tool: Instrument
    by: str
    counts: pd.DataFrame
    groups: tuple[str, ...]
    fits: tuple[Fit, ...]
    reason: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """From configural to metric, from metric to scalar."""
        found = []
        for loose, tight in zip(self.fits, self.fits[1:], strict=False):
            a, b = loose.indices, tight.indices
            found.append(Step(a.cfi - b.cfi, float(stats.chi2.sf(max(b.chi2 - a.chi2, 0.0), b.df - a.df))))
        return tuple(found)


def compare(study: Study, tool: Instrument, by: str) -> Comparison:
    """Fit the factor model to groups of people: languages, types of associates, or the last two periods.

    Over periods too a person has one sheet, of either period, so that groups are different people. Types of
    associates with too few sheets are taken together.
    """
    rows, items = tool.rows, [item for items in tool.modelled.values() for item in items]
    if by == "period":
        rows = sheets(study, tool.measure, [study.t - 1, study.t])
    complete = rows.dropna(subset=[*items, by])
    group = complete[by].astype(str)
    if by == "associate_type" and len(small := _small(group)) > 1:
        group = group.where(
            ~group.isin(small), say("{groups} together", groups=listed([known(name) for name in small]))
        )
    counts = group.value_counts().rename_axis("group").rename("n").reset_index()
    first = ["group"] if by == "period" else ["n", "group"]
    counts = counts.sort_values(first, ascending=[name != "n" for name in first], ignore_index=True)
    groups = tuple(counts.loc[counts["n"] >= FEWEST_SHEETS, "group"])
    shown = publishable(counts, "n", tool.minimum, [])
    fits: tuple[Fit, ...] = ()
    reason = tool.reason
    if not reason and len(groups) < 2:
        reason = say("fewer than two {groups} have {n} complete sheets", groups=say(GROUPS[by]), n=FEWEST_SHEETS)
    elif not reason:
        try:
            samples = [moments(complete[group == name], items) for name in groups]
            fits = tuple(cfa(samples, tool.modelled, level) for level in LEVELS)
        except NotEstimable as why:
            reason = str(why)
    if any(np.isnan(fit.indices.chi2) for fit in fits):
        fits, reason = (), say("in one of them items hang together too loosely")
    return Comparison(tool, by, shown, groups, fits, reason)


def _small(group: pd.Series) -> list[str]:
    sizes = group.value_counts()
    return sorted(sizes.index[sizes < FEWEST_SHEETS])


def _name(group: str) -> str:
    """A language, a type of associates or a period, as readers call it."""
    return period(known(group))


def said(found: Comparison) -> str:
    """Which comparisons of means are safe, in words."""
    name, what = found.tool.name, say(GROUPS[found.by])
    small = [_name(g) for g, n in zip(found.counts["group"], found.counts["n"], strict=True) if n < FEWEST_SHEETS]
    few = [say("Too few sheets: {groups}.", groups=", ".join(small))] if small else []
    hidden = int(found.counts["n"].isna().sum())
    few += [say("Hidden to protect small groups: {n}.", n=hidden)] if hidden else []
    if not found.fits:
        told = say("{name}: {groups} cannot be checked: {why}.", name=name, groups=what, why=found.reason)
        return " ".join([told, *few])
    groups = [_name(group) for group in found.groups]
    who = say("{first} against {second}", first=groups[0], second=", ".join(groups[1:]))
    who = who if found.by == "associate_type" else listed(groups)
    if found.fits[0].indices.cfi < FAIR["cfi"]:
        told = say(
            "{name}: the items do not form the same scales in {who}: compare nothing between them.", name=name, who=who
        )
        return " ".join([told, *few])
    answers = [step.answer for step in found.steps]
    if answers[0] == "different":
        advice = say("items do not weigh alike: compare neither means nor relations")
    elif answers[1] == "different":
        advice = say("relations may be compared, means not: some items are easier to agree with for some")
    elif "nearly" in answers:
        advice = say("means may be compared, but read a small difference with care: items do not work quite alike")
    else:
        advice = say("means may be compared")
    told = say("{name}, {groups} ({who}): {advice}.", name=name, groups=what, who=who, advice=advice)
    return " ".join([told, *few])


LEVEL_NAMES = {
    "configural": message("configural"),
    "metric": message("metric"),
    "scalar": message("scalar"),
}


def table(found: Sequence[Comparison]) -> Page:
    """Models of each comparison, from the loosest to the tightest."""
    rows = []
    for comparison in found:
        steps = [None, *comparison.steps]
        for fit, step in zip(comparison.fits, steps, strict=False):
            i = fit.indices
            change = (max(step.fall, 0.0), p_text(step.p)) if step else (None, "")
            rows.append(
                (
                    f"{comparison.tool.name}, {say(GROUPS[comparison.by])}",
                    say(LEVEL_NAMES[fit.level]),
                    i.chi2,
                    i.df,
                    i.cfi,
                    i.rmsea,
                    i.srmr,
                    *change,
                )
            )
    if not rows:
        return paragraphs(say("No groups could be compared."))
    return listing(
        rows,
        say_each("compared", "equal", "chi-square", "df", "CFI", "RMSEA", "SRMR", "CFI falls by", "p of the step"),
    )


def latent_means(found: Sequence[Comparison]) -> Page:
    """How groups differ on each scale, free of noise, in standard deviations of the group that is taken off."""
    rows = []
    for comparison in found:
        if not comparison.fits or "different" in (step.answer for step in comparison.steps):
            continue
        fit, (first, *others) = comparison.fits[-1], comparison.groups
        for g, group in enumerate(others, 1):
            for scale, mean, se in zip(fit.scales, fit.latent_means[g], fit.latent_means_se[g], strict=True):
                rows.append(
                    (
                        comparison.tool.name,
                        say("{group} less {other}", group=_name(group), other=_name(first)),
                        known(scale),
                        mean,
                        mean - 1.96 * se,
                        mean + 1.96 * se,
                    )
                )
    if not rows:
        return paragraphs(say("There are no means that may be compared between groups, or no groups to compare."))
    return listing(rows, say_each("of", "groups", "scale", "standard deviations", "from", "to"))
