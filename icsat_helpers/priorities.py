"""What to fix first: how much each scale counts, against how good it is today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from icsat_helpers import charts
from icsat_helpers.charts import Chart
from icsat_helpers.drivers import Drivers, measured
from icsat_helpers.evidence import Metric, Metrics
from icsat_helpers.levels import favourable, level
from icsat_helpers.listing import Page, listing, paragraphs, steps
from icsat_helpers.scores import person_scores, scales, unit_scores
from icsat_helpers.shapley import Array
from icsat_helpers.study import Study
from icsat_helpers.words import fixed, known, listed, message, places, say, say_each, series, upper

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETTLED = 0.95  # of the draws in which one scale is ahead of another
NARROW = 6.0  # per cent to each side of the map, so that small differences look small
LEGIBLE = 0.075  # of the height that lies between two labels


@dataclass(frozen=True, slots=True)
class Priority:
    """A scale as a driver of one outcome.

    Attributes
    ----------
    scale, outcome : str
        The outcome in words.
    share, low, high : float
        Share of the outcome's variance that goes with the scale, 0 to 1.
    relative : float
        The same as a share of what all scales together account for.
    favourable : float
        Share of favourable answers to the scale in the reported period; NaN where it is not known.
    proven : bool
        Above what chance gives, and in the direction that a better scale goes with a better outcome.
    later, self_reported : bool
        Whether the outcome is of the next period; whether the same people answered both.
    """

    scale: str
    outcome: str
    share: float
    low: float
    high: float
    relative: float
    favourable: float
    proven: bool
    later: bool
    self_reported: bool

    @property
    def urgency(self) -> float:
        """Relative share times the room to improve (all of it where today's level is not known)."""
        return self.relative * (1.0 if np.isnan(self.favourable) else 1 - self.favourable)


def today(study: Study) -> pd.DataFrame:
    """Share of favourable answers and mean of each scale in the reported period, by scale; hidden where too few.

    Returns
    -------
    DataFrame
        Index: scale; favourable, mean.
    """
    found, asked = {}, scales(study, "internal") if study.has("service_ratings") else {}
    for scale in measured(study):
        share = favourable(study, f"internal.{scale}").set_index("t") if scale in asked else pd.DataFrame({"share": []})
        means = level(study, f"internal.{scale}") if len(unit_scores(study, f"internal.{scale}")) else pd.DataFrame()
        mean = means.loc[means["t"] == study.t, "value"].tolist() if len(means) else []
        found[scale] = {"favourable": share["share"].get(study.t, np.nan), "mean": (mean or [np.nan])[0]}
    return pd.DataFrame.from_dict(found, orient="index", columns=["favourable", "mean"], dtype=float)


def priorities(study: Study, found: list[Drivers]) -> list[Priority]:
    """Scales by outcome, what to fix first at the top: proven before unproven, then by `Priority.urgency`."""
    shares = today(study)["favourable"]
    result = []
    for one in found:
        if one.rows is None or one.importance is None:
            continue
        i, proven = one.importance, one.importance.proven & (one.importance.slope > 0)
        for j, scale in enumerate(one.rows.scales):
            relative = float(i.share[j] / i.r2) if i.r2 > 0 else 0.0
            result.append(
                Priority(
                    scale, one.name, float(i.share[j]), float(i.low[j]), float(i.high[j]), relative,
                    float(shares[scale]), bool(proven[j]), one.rows.later, one.rows.self_reported,
                )
            )  # fmt: skip
    return sorted(result, key=lambda p: (not p.proven, -p.urgency, p.outcome, p.scale))


def urgency(ranked: list[Priority]) -> pd.Series:
    """Urgency of each scale with a proven outcome, over all of them, what to fix first at the top."""
    proven = [p for p in ranked if p.proven]
    total = pd.Series([p.urgency for p in proven], [p.scale for p in proven], dtype=float).groupby(level=0).sum()
    return total.sort_index().sort_values(ascending=False, kind="stable")


def metrics(study: Study, ranked: list[Priority], notebook: str) -> Metrics:
    """Urgency of each proven scale, for the executive summary; n is who rated in the reported period."""
    people = person_scores(study, "internal")
    n = int(people.loc[people["t"] == study.t, "person"].nunique()) if len(people) else 0
    rows = urgency(ranked)
    if n < study.settings.minimum_group:
        return Metrics(())
    return Metrics(
        tuple(Metric("urgency", f"internal.{scale}", rows[scale], None, None, n, notebook) for scale in rows.index)
    )


# ---------------------------------------------------------------- what a notebook shows


def compared(found: list[Drivers]) -> Page:
    """Which differences are compared for each outcome, or why there is nothing to compare."""
    rows: list[tuple[Any, ...]] = []
    for one in found:
        if one.rows is None or one.importance is None:
            rows.append((one.name, say("cannot be answered: {reason}", reason=one.reason), None, None, None))
            continue
        said = say("{level}; self-reported", level=one.rows.level) if one.rows.self_reported else one.rows.level
        rows.append((one.name, said, one.importance.n_clusters, one.rows.n, one.importance.r2))
    return listing(rows, say_each("outcome", "what is compared", "units", "rows", "share explained by all scales"))


def told_apart(found: list[Drivers]) -> Page:
    """How far scales that go together can be told apart, and how surely each is ahead of the next."""
    rows: list[tuple[Any, ...]] = []
    for one in found:
        if one.rows is None or one.importance is None:
            continue
        i = one.importance
        order = np.argsort(-i.share, kind="stable")
        for j, after in zip(order, [*order[1:], None], strict=True):
            ahead = (
                say(
                    "{scale}, in {n} of 100 draws",
                    scale=known(one.rows.scales[after]),
                    n=fixed(100 * i.ahead[j, after], 0),
                )
                if after is not None
                else ""
            )
            rows.append((one.name, known(one.rows.scales[j]), i.vif[j], ahead))
    if not rows:
        return paragraphs(say("There is nothing to tell apart."))
    return listing(rows, say_each("outcome", "scale", "variance inflation", "ahead of"))


def table(ranked: list[Priority]) -> Page:
    """The ranking, shares in per cent."""
    if not ranked:
        return paragraphs(say("No outcome of this study can be related to two or more scales."))
    rows = [
        (known(p.scale), p.outcome, *(_two(v) for v in (p.share, p.low, p.high)), _two(p.favourable),
         say("proven") if p.proven else say("not proven"))
        for p in ranked
    ]  # fmt: skip
    head = say_each("scale", "outcome", "share of the differences, %", "from", "to", "favourable, %", "driver")
    return listing(rows, head)


def _two(share: float) -> float:
    """Return per cent with two significant digits."""
    return float(f"{100 * share:.2g}")


def priority_map(study: Study, one: Drivers) -> Chart | Page:
    """Importance against today's level: what is high and to the left is important and weak; hollow is not proven."""
    if one.rows is None or one.importance is None:
        return paragraphs(say("{outcome}: cannot be answered, {reason}.", outcome=upper(one.name), reason=one.reason))
    i, now = one.importance, today(study).loc[one.rows.scales]
    told = now["favourable"].notna().all()  # how many answers are favourable
    x = (100 * now["favourable"] if told else now["mean"]).to_numpy()
    proven = i.proven & (i.slope > 0)
    figure, axes = charts._axes(height=3.6)
    axes.vlines(x, 100 * i.low, 100 * i.high, color=charts.FAINT, linewidth=5)
    axes.plot(x, 100 * i.chance, "_", color=charts.ORANGE, markersize=14, label=say("what chance gives"))
    for flag, fill, label in ((True, charts.BLUE, say("proven")), (False, "white", say("not proven"))):
        if (proven == flag).any():
            axes.plot(x[proven == flag], 100 * i.share[proven == flag], "o", color=charts.BLUE, markerfacecolor=fill,
                      markersize=8, label=label)  # fmt: skip
    x_label = say("Favourable answers, per cent") if told else say("Mean score")
    y_label = say("Share in {outcome}, per cent", outcome=one.name)
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, 1.08 * 100 * i.high.max()))
    middle, reach = (x.min() + x.max()) / 2, max(0.8 * np.ptp(x), NARROW if told else 0.0) or 1.0
    axes.set_xlim(middle - reach, middle + reach)
    names = [
        scale if proven[j] else say("{scale} (not proven)", scale=scale)
        for j, scale in enumerate(known(scale)[:30].replace("$", r"\$") for scale in one.rows.scales)
    ]
    _label(axes, x, 100 * i.share, names)
    axes.text(
        0.01, 0.98, say("important and weak"), transform=axes.transAxes, va="top", color=charts.SOFT, style="italic"
    )
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    said = []
    for j, scale in enumerate(one.rows.scales):
        text = NAMED[bool(proven[j]), bool(told)]
        share, low, high = (places(100 * value[j], 1) for value in (i.share, i.low, i.high))
        said.append(
            say(text, scale=known(scale), share=share, low=low, high=high, favourable=places(x[j], 0) if told else "")
        )
    alt = say(
        "What goes with {outcome}, as a share of its differences: {scales}.", outcome=one.name, scales=series(said)
    )
    return Chart(figure, alt)


NAMED = {
    (True, True): message("{scale} {share}% ({low} to {high}), proven, {favourable}% favourable"),
    (False, True): message("{scale} {share}% ({low} to {high}), not proven, {favourable}% favourable"),
    (True, False): message("{scale} {share}% ({low} to {high}), proven"),
    (False, False): message("{scale} {share}% ({low} to {high}), not proven"),
}
"""A scale, by whether it is proven, and whether it is known how many answers are favourable."""


def _label(axes: Axes, x: Array, y: Array, names: list[str]) -> None:
    """Write names beside their dots, from the bottom up, none over another."""
    gap, at = LEGIBLE * axes.get_ylim()[1], -np.inf
    aside = 0.03 * np.ptp(axes.get_xlim())
    for j in np.argsort(y, kind="stable"):
        at = max(y[j], at + gap)
        line = {"arrowstyle": "-", "color": charts.FAINT}
        axes.annotate(names[j], (x[j], y[j]), (x[j] + aside, at), va="center", fontsize=9, arrowprops=line)


def advice(found: list[Drivers], ranked: list[Priority]) -> Page:
    """The one or two scales to fix first and why; that nothing is proven where nothing is."""
    proven = [p for p in ranked if p.proven]
    if not ranked:
        return paragraphs(
            say("To answer it, the study needs answers to two or more scales, and an outcome beside them.")
        )
    if not proven:
        return paragraphs(
            say(
                "Nothing is proven: no scale goes with an outcome more than chance gives. Do not pick one by this "
                "page; more periods, units or answers would settle it."
            )
        )
    first = urgency(ranked).index[:2].tolist()
    lowest = min(ranked, key=lambda p: (p.favourable, p.scale)).scale
    said = [_why(scale, [p for p in proven if p.scale == scale], scale == lowest) for scale in first]
    open_ = sorted({p.outcome for p in ranked} - {p.outcome for p in proven})
    if len(first) == 2 and not _settled(found, *first):
        said.append(
            say(
                "Whether {first} counts for more than {second} is not settled: begin with the easier of the two.",
                first=known(first[0]),
                second=known(first[1]),
            )
        )
    if open_:
        said.append(
            say(
                "For {outcomes} no scale is proven to count; that is not the same as none does.",
                outcomes=listed(open_),
            )
        )
    return steps(said) if len(said) > 1 else paragraphs(*said)


def _why(scale: str, proven: list[Priority], lowest: bool) -> str:
    """Say what is better where a scale is better, and how good it is today."""
    parts = []
    for later in (False, True):
        names = [
            say("{outcome} (self-reported)", outcome=p.outcome) if p.self_reported else p.outcome
            for p in proven
            if p.later == later
        ]
        if names:
            parts.append(say(HIGHER[later, len(names) > 1], outcomes=listed(names)))
    share, name = proven[0].favourable, known(scale)
    said = [say("Improve {scale}: where it is rated higher, {what}.", scale=name, what=series(parts))]
    if not np.isnan(share):
        text = FEWEST if lowest else message("{share}% of its answers are favourable.")
        said.append(say(text, share=fixed(100 * share, 0)))
    return " ".join(said)


HIGHER = {
    (False, False): message("{outcomes} is higher"),
    (False, True): message("{outcomes} are higher"),
    (True, False): message("{outcomes} is higher a period later"),
    (True, True): message("{outcomes} are higher a period later"),
}
"""What is better where a scale is rated higher, by whether it comes a period later, and whether it is several."""
FEWEST = message("{share}% of its answers are favourable, fewer than of any other scale.")


def _settled(found: list[Drivers], one: str, other: str) -> bool:
    """Whether a scale is surely ahead of another in every outcome that has both."""
    both = [d for d in found if d.rows is not None and {one, other} <= set(d.rows.scales)]
    ahead = [
        d.importance.ahead[d.rows.scales.index(one), d.rows.scales.index(other)]
        for d in both
        if d.rows is not None and d.importance is not None
    ]
    return all(share >= SETTLED for share in ahead)
