"""A few charts in one house style; each carries its own alt text and shows intervals."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from icsat_helpers.designs import Design
from icsat_helpers.evidence import CERTAINTY
from icsat_helpers.inference import Slope, pair
from icsat_helpers.listing import Page, listing
from icsat_helpers.release import Statements, travelling
from icsat_helpers.risk import Incidence
from icsat_helpers.vectors import slim
from icsat_helpers.words import fixed, local, message, places, say, say_each, series, spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, FAINT = "#1f2933", "#616e7c", "#d9dee4"
BLUE, ORANGE, GREEN, RED = (
    "#0b5394",
    "#b45309",
    "#0f766e",
    "#b42318",
)  # told apart by the colour-blind, 4.5:1 on white
TONE = {
    "supported": GREEN,
    "contradicted": RED,
    "negligible": SOFT,
    "inconclusive": BLUE,
    "not_estimable": SOFT,
}
BINS = 20  # dots at most
WIDTH = 6.2  # inches, of all but the widest
_MARGIN = 0.1  # inches, around what is drawn
_DPI = 200  # of what is drawn as dots
_UNSIGNED = dict.fromkeys(("Date", "Creator", "Format", "Type"))
TYPEFACES = (
    "'DejaVu Sans', Verdana, 'Helvetica Neue', Arial, sans-serif"  # none is wider than the first, which is measured
)
NOT_TESTED = message("Not tested")
PERIODS = {
    "quarter": message("quarters"), "half": message("half-years"), "year": message("years"),
    "month": message("months"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chart:
    """A matplotlib figure with what it says in words."""

    figure: Figure
    alt: str
    table: Page | None = None  # the numbers behind it
    said: tuple[Statements, ...] = ()  # of groups of people, for the release audit

    def svg(self) -> str:
        """SVG text, the same bytes for the same data."""
        import matplotlib as mpl

        _lay_out(self.figure)
        with mpl.rc_context({"svg.hashsalt": "icsat", "svg.fonttype": "none"}):  # text stays text
            out, drawn = io.StringIO(), self.figure.get_tightbbox().padded(_MARGIN)
            self.figure.savefig(out, format="svg", metadata=_UNSIGNED, bbox_inches=drawn, dpi=_DPI)
        return slim(re.sub("'?DejaVu Sans'?", TYPEFACES, out.getvalue()))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        data = base64.b64encode(self.svg().encode()).decode()
        alt = escape(self.alt, quote=True)
        image = f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}">'
        behind = ""
        if self.table is not None:
            behind = (
                f"<details class='numbers'><summary>{escape(say('The numbers'))}</summary>{self.table.html}</details>"
            )
        wide = " class='wide'" if self.figure.get_figwidth() > WIDTH else ""
        return {
            "text/html": f"<figure{wide}>{image}<figcaption>{escape(self.alt)}</figcaption></figure>{behind}",
            "text/plain": self.alt,
            **travelling(self.said),
        }


def _axes(width: float = WIDTH, height: float = 4.2) -> tuple[Figure, Axes]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {
        "font.family": "DejaVu Sans", "font.size": 10, "axes.edgecolor": SOFT, "axes.labelcolor": INK,
        "text.color": INK, "xtick.color": SOFT, "ytick.color": SOFT, "axes.spines.top": False,
        "axes.spines.right": False, "axes.grid": True,
        "grid.color": FAINT, "grid.linewidth": 0.6, "axes.axisbelow": True, "xtick.bottom": False, "ytick.left": False,
        "axes.titley": 1.0,  # no ticks are above, and to see that costs a fifth of a chart
    }  # fmt: skip
    with rc_context(style):
        figure = Figure(figsize=(width, height), dpi=_DPI)
        axes = figure.subplots()
    if spoken() != "en":
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(_ticks())
    return figure, axes


def _lay_out(figure: Figure) -> None:
    """Give the axes the room that their words leave.

    It looks at the words once where a layout engine looks twice, and `savefig` would once more: words are most of the
    work of a chart.
    """
    if len(figure.axes) > 1:  # a scale of colours
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        ConstrainedLayoutEngine().execute(figure)
        return
    [axes], size, drawn = figure.axes, figure.get_size_inches(), figure.get_tightbbox()
    inside = axes.get_position().get_points() * size
    low, high = inside[0] - drawn.min + _MARGIN, size - (drawn.max - inside[1]) - _MARGIN
    axes.set_position((*(low / size), *((high - low) / size)))


def _ticks() -> Any:
    """Numbers at an axis, in the language of the report."""
    from matplotlib.ticker import ScalarFormatter

    class Ticks(ScalarFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return local(super().__call__(x, pos))

    return Ticks()


def relation(design: Design, main: Slope, plain: Slope, x_label: str, y_label: str, minimum: int = 5) -> Chart:
    """Relation of exposure and outcome net of the model's fixed effects: group means, the slope, the plain slope.

    A dot averages at least `minimum` units, and so as many people. Halves are averaged for the axis; the
    slope comes from the instrument, and so need not run through the dots.
    """
    x, y = (design.frame[list(pair(column))].mean(axis=1) for column in (design.exposure, design.outcome))
    rows = design.frame.assign(x=x, y=y)
    if "split" in rows:
        rows = rows.groupby(["unit", "t"], as_index=False)[["x", "y"]].mean()
    points = _net(rows, design.fixed_effects)
    order = (points["x"].rank(method="first") - 1) / len(points)
    for dots in range(BINS, 0, -1):
        bins = points.groupby(np.floor(order * dots))
        if rows["unit"].groupby(np.floor(order * dots)).nunique().min() >= minimum:
            break
    middle, mean, sem = bins["x"].mean(), bins["y"].mean(), bins["y"].sem()
    figure, axes = _axes()
    axes.errorbar(middle, mean, 1.96 * sem, fmt="o", color=SOFT, ecolor=FAINT, elinewidth=2, markersize=5)
    span = np.linspace(middle.min(), middle.max(), 101)  # the interval closes at zero
    low, high = main.estimate.interval()
    axes.fill_between(
        span, np.minimum(low * span, high * span), np.maximum(low * span, high * span), color=BLUE, alpha=0.14
    )
    axes.plot(span, main.estimate.value * span, color=BLUE, linewidth=2)
    line = message("corrected: {slope}") if design.instrumented else message("slope: {slope}")
    axes.annotate(say(line, slope=main.estimate.value), (span[-1], main.estimate.value * span[-1]),
                  xytext=(6, 0), textcoords="offset points", color=BLUE, va="center")  # fmt: skip
    axes.margins(x=0.04)
    if design.instrumented:
        axes.plot(span, plain.estimate.value * span, color=ORANGE, linewidth=1.5, linestyle="--")
        axes.annotate(
            say("plain: {slope}", slope=plain.estimate.value), (span[-1], plain.estimate.value * span[-1]),
            xytext=(6, -9), textcoords="offset points", color=ORANGE, va="center",
        )  # fmt: skip
    net = message("{label}, net of unit and period") if design.fixed_effects else message("{label}, from the mean")
    axes.set(xlabel=say(net, label=x_label), ylabel=say(net, label=y_label))
    said = [
        say("{y} against {x}: slope {slope}, 95% interval {low} to {high}, {units} units.", y=y_label,
            x=_small(x_label), slope=main.estimate.value, low=low, high=high, units=main.n_units),
        say("The plain slope on unit averages as they are is {plain}.", plain=plain.estimate.value)
        if design.instrumented else "",
        say("Each dot averages several unit-periods."),
    ]  # fmt: skip
    return Chart(
        figure,
        " ".join(filter(None, said)),
        listing(zip(middle, mean, 1.96 * sem, strict=True), (x_label, y_label, say("plus or minus"))),
    )


def _small(label: str) -> str:
    return label[:1].lower() + label[1:]


def _net(rows: pd.DataFrame, fixed_effects: bool) -> pd.DataFrame:
    """Return x and y less unit and period means (a few sweeps settle an unbalanced panel), or less their mean."""
    values = rows[["x", "y"]]
    for _ in range(20 if fixed_effects else 0):
        values = values - values.groupby(rows["unit"]).transform("mean")
        values = values - values.groupby(rows["t"]).transform("mean")
    return values - values.mean()


def staying(groups: dict[str, Incidence], frequency: str, by_choice: bool) -> Chart:
    """Survival picture: how many of 100 had not left (by choice), by group, with intervals."""
    figure, axes = _axes()
    said, rows = [], []
    for (name, group), colour in zip(groups.items(), (ORANGE, SOFT, BLUE), strict=False):
        k = np.arange(len(group.share))
        kept, low, high = 100 * (1 - group.share), 100 * (1 - group.high), 100 * (1 - group.low)
        axes.fill_between(k, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(k, kept, color=colour, linewidth=2)
        axes.annotate(
            say(name), (k[-1], kept[-1]), xytext=(6, 0), textcoords="offset points", color=colour, va="center"
        )
        numbers = dict(zip(("kept", "low", "high"), (fixed(x[-1], 0) for x in (kept, low, high)), strict=True))
        said.append(say("{group} {kept} of 100 ({low} to {high})", group=say(name), **numbers))
        rows += [(say(name), int(i), *(round(float(x[i]), 1) for x in (kept, low, high))) for i in k]
    stayed = say("Not left by choice, of 100 people") if by_choice else say("Not left, of 100 people")
    periods, horizon = say(PERIODS[frequency]), len(next(iter(groups.values())).share) - 1
    axes.set(xlabel=say("After an answer, in {periods}", periods=periods), ylabel=stayed)
    axes.set_xlim(0, None)
    alt = (
        say("People who had not left by choice {n} {periods} after answering: {groups}.", n=horizon, periods=periods,
            groups=series(said))
        if by_choice
        else say("People who had not left {n} {periods} after answering: {groups}.", n=horizon, periods=periods,
                 groups=series(said))
    )  # fmt: skip
    return Chart(figure, alt, listing(rows, (say("group"), periods, stayed, *say_each("from", "to"))))


def shares(
    frame: pd.DataFrame, label: str, share: str, low: str, high: str, title: str, said: Sequence[Statements] = ()
) -> Chart:
    """Shares with intervals, one line a row, sorted; rows without a value are named as hidden.

    Parameters
    ----------
    frame : DataFrame
        As `icsat_helpers.disclosure.publishable` gives it; `share`, `low` and `high` between 0 and 1.
    said : sequence of Statements
        What the shares say of groups of people, for the release audit.
    """
    rows = frame.sort_values(share, na_position="first", ignore_index=True)
    seen = rows[rows[share].notna()]
    figure, axes = _axes(height=0.9 + 0.24 * len(rows))
    axes.hlines(seen.index, 100 * seen[low], 100 * seen[high], color=FAINT, linewidth=5)
    axes.plot(100 * seen[share], seen.index, "o", color=BLUE, markersize=5)
    for i in rows.index[rows[share].isna()]:
        axes.annotate(say("hidden: too few people"), (0, i), color=SOFT, fontsize=8, va="center")
    axes.set_yticks(rows.index, rows[label].astype(str).str.slice(0, 40))
    axes.set(xlabel=title, xlim=(0, 100))
    axes.grid(visible=False, axis="y")
    counts = {"title": title, "units": len(seen), "hidden": len(rows) - len(seen)}
    if len(seen):
        last, first = seen.iloc[-1], seen.iloc[0]
        alt = say(
            "{title}, {units} units: highest {last} {most}%, lowest {first} {least}%; {hidden} hidden because they "
            "describe too few people.",
            last=last[label], most=fixed(100 * last[share], 0), first=first[label],
            least=fixed(100 * first[share], 0), **counts,
        )  # fmt: skip
    else:
        alt = say("{title}, {units} units; {hidden} hidden because they describe too few people.", **counts)
    table = [
        (row[label], *(round(100 * row[column], 1) for column in (share, low, high))) for _, row in seen.iterrows()
    ]
    return Chart(figure, alt, listing(reversed(table), (say("unit"), title, *say_each("from", "to"))), tuple(said))


def dots(frame: pd.DataFrame, title: str, alt: str) -> Chart:
    """Values with intervals, one line a row from the top. `frame`: label, value, low, high; the axis holds 0 and 1."""
    figure, axes = _axes(height=0.9 + 0.28 * len(frame))
    place = -np.arange(len(frame))
    axes.hlines(place, frame["low"], frame["high"], color=FAINT, linewidth=5)
    axes.plot(frame["value"], place, "o", color=BLUE, markersize=5)
    axes.set_yticks(place, frame["label"].astype(str).str.slice(0, 48))
    axes.set(xlabel=title)
    axes.set_xlim(
        min(0.0, float(frame[["low", "value"]].min().min())), max(1.0, float(frame[["high", "value"]].max().max()))
    )
    axes.grid(visible=False, axis="y")
    return Chart(figure, alt)


def trend(frame: pd.DataFrame, labels: Sequence[str], title: str, said: Sequence[Statements] = ()) -> Chart:
    """A mean over periods with its interval. `frame`: t, value, low, high; a hidden period has no value."""
    figure, axes = _axes(height=3.2)
    x = frame["t"].to_numpy()
    axes.fill_between(x, frame["low"], frame["high"], color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(x, frame["value"], color=BLUE, linewidth=2, marker="o", markersize=4)
    step = -(-len(x) // 7)  # at most seven labels
    axes.set_xticks(x[::-step][::-1], list(labels)[::-step][::-1])
    axes.set(ylabel=title)
    names = dict(zip(x, labels, strict=True))
    seen = frame.dropna(subset=["value"])
    gone = len(frame) - len(seen)
    hidden = [say("One period is hidden to protect small groups.")] if gone == 1 else []
    hidden += [say("{n} periods are hidden to protect small groups.", n=gone)] if gone > 1 else []
    if seen.empty:
        return Chart(figure, " ".join([f"{title}.", *hidden]), said=tuple(said))
    first, last = seen.iloc[0], seen.iloc[-1]
    value, low, high = (fixed(last[column], 2) for column in ("value", "low", "high"))
    numbers = {"title": title, "first": fixed(first["value"], 2), "start": names[first["t"]], "last": value,
               "end": names[last["t"]]}  # fmt: skip
    axes.annotate(value, (last["t"], last["value"]), xytext=(6, 0), textcoords="offset points", color=BLUE,
                  va="center")  # fmt: skip
    if np.isfinite(last["low"]):
        text = say("{title}: {first} in {start}, {last} in {end} (95% interval {low} to {high}).", low=low, high=high,
                   **numbers)  # fmt: skip
    else:
        text = say("{title}: {first} in {start}, {last} in {end}.", **numbers)
    table = [(names[row.t], row.value, row.low, row.high) for row in seen.itertuples()]
    behind = listing(table, (say("period"), title, *say_each("from", "to")))
    return Chart(figure, " ".join([text, *hidden]), behind, tuple(said))


def claims(findings: list[dict[str, Any]]) -> Chart:
    """Standardised effect and interval of each claim; the grey band is too small to matter.

    Effects are shown in the direction that the claim expects: to the right of zero speaks for it. A claim without
    an estimate keeps its line, which says why. `name`, where a finding has one, stands for its id.
    """
    figure, axes = _axes(height=1.2 + 0.5 * max(1, len(findings)))
    said, table = [], []
    for i, f in enumerate(reversed(findings)):
        words, colour = say(CERTAINTY.get(f["verdict"], NOT_TESTED)), TONE.get(f["verdict"], SOFT)
        at = 0.0
        if f["estimate"] is not None and f["standardised"] is not None:
            scale = f["standardised"] / f["estimate"] if f["estimate"] else 0.0
            low, value, at = sorted(f["direction"] * scale * f[key] for key in ("ci_low", "estimate", "ci_high"))
            small = abs(scale * f["smallest_effect"])
            axes.add_patch(_band(small, i))
            axes.plot([low, at], [i, i], color=colour, linewidth=3, solid_capstyle="round")
            axes.plot(value, i, "o", color=colour, markersize=8)
            said.append(
                say("{claim}: {verdict}, {value} ({low} to {high})", claim=f["id"], verdict=words, value=value, low=low,
                    high=at)
            )  # fmt: skip
            table.append((f["id"], words, value, low, at, small))
        else:
            said.append(say("{claim}: {verdict}", claim=f["id"], verdict=words))
            table.append((f["id"], words, None, None, None, None))
        axes.annotate(words, (at, i), xytext=(8, 0), textcoords="offset points", va="center", color=colour)
    axes.axvline(0, color=SOFT, linewidth=1)
    axes.set_yticks(range(len(findings)), [f.get("name", f["id"]) for f in reversed(findings)])
    axes.set(
        xlabel=say("Effect in standard deviations, in the direction of the claim"), ylim=(-0.6, len(findings) - 0.4)
    )
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.25)
    text = series(reversed(said)) or say("no claim could be tested")
    head = say_each("claim", "verdict", "effect", "from", "to", "smallest that matters")
    return Chart(
        figure,
        say("Effects in standard deviations, with 95% intervals: {effects}.", effects=text),
        listing(reversed(table), head),
    )


def _band(small: float, at: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((-small, at - 0.3), 2 * small, 0.6, color=FAINT, alpha=0.7, linewidth=0)


def heatmap(
    values: pd.DataFrame,
    hidden: pd.DataFrame,
    title: str,
    margins: tuple[pd.Series, pd.Series],
    cell: str = message("{row} and {column} {value}"),
    extremes: int = 3,
) -> Chart:
    """Table as colours, low orange, high blue, hidden cells crossed, empty ones white; margins right and below.

    Parameters
    ----------
    values : DataFrame
        Labelled rows and columns, each axis with its name; missing where nothing may be shown or there is nothing.
    hidden : DataFrame of bool
    margins : (Series, Series)
        Of the rows and of the columns, missing where hidden.
    cell : str
        Message that names a cell in the alt text, which tells the `extremes` lowest and highest.
    """
    from matplotlib.colors import LinearSegmentedColormap

    rows, columns = values.shape
    shown = values.stack().dropna().sort_values(ascending=False, kind="stable")
    figure, axes = _axes(2.6 + 0.19 * max(columns, 12), 2.2 + 0.19 * max(rows, 4))
    middle = float(margins[0].mean()) if margins[0].notna().any() else 0.0
    far = np.abs(shown - middle).quantile(0.9) if len(shown) else 0.0  # the few beyond it share the last colour
    colours = LinearSegmentedColormap.from_list("house", [ORANGE, "#f3efe8", BLUE])
    full = np.full((rows + 2, columns + 2), np.nan)  # a gap stands before the margins
    full[:rows, :columns], full[:rows, -1], full[-1, :columns] = values, margins[0], margins[1]
    crossed = np.zeros(full.shape, dtype=bool)
    crossed[:rows, :columns], crossed[:rows, -1], crossed[-1, :columns] = hidden, margins[0].isna(), margins[1].isna()
    reach = max(0.5, far)
    # Dots rather than thousands of paths: pages and paper are drawn in a fraction of the time.
    drawn = axes.pcolormesh(
        full, cmap=colours, vmin=middle - reach, vmax=middle + reach, edgecolors="white", linewidth=0.4, rasterized=True
    )
    y, x = np.nonzero(crossed)
    axes.scatter(x + 0.5, y + 0.5, marker="x", s=9, color="#9aa5b1", linewidth=0.8)
    axes.set_xticks(
        [*(np.arange(columns) + 0.5), columns + 1.5], [*map(_short, values.columns), say("all")], rotation=90
    )
    axes.set_yticks([*(np.arange(rows) + 0.5), rows + 1.5], [*map(_short, values.index), say("all")])
    axes.tick_params(labelsize=7, length=0)
    axes.set(ylim=(rows + 2, 0), xlim=(0, columns + 2), xlabel=values.columns.name, ylabel=values.index.name)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    figure.colorbar(
        drawn, ax=axes, use_gridspec=False, shrink=0.4, aspect=30, pad=0.01, extend="both",
        label=say("×: hidden, blank: none"), format=None if spoken() == "en" else _ticks(),
    )  # fmt: skip
    named = [say(cell, row=row, column=column, value=places(value, 1)) for (row, column), value in shown.items()]
    most = min(extremes, len(named) // 2)
    told = [
        say("{title}, {rows} by {columns}: {shown} cells shown and {hidden} hidden to protect small groups.",
            title=title, rows=rows, columns=columns, shown=len(named), hidden=int(hidden.to_numpy().sum()))
    ]  # fmt: skip
    if most:
        ends = {"highest": series(named[:most]), "lowest": series(named[::-1][:most])}
        told.append(say("Highest: {highest}. Lowest: {lowest}.", **ends))
    elif len(named) == 1:
        told.append(say("It is {cell}.", cell=named[0]))
    return Chart(figure, " ".join(told))


def _short(name: Any) -> str:
    return str(name) if len(str(name)) <= 24 else f"{str(name)[:23]}…"
