"""The chain H5: internal satisfaction, then morale, then external customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from icsat_helpers.charts import BLUE, INK, SOFT, Chart, _axes
from icsat_helpers.claims import Hypothesis, chain_reason
from icsat_helpers.equations import Chain, chain
from icsat_helpers.evidence import AS_THEY_ARE, HALVES, LEFT_OUT, Finding, conclude, not_estimable, sentence
from icsat_helpers.inference import WEAK_F, NotEstimable
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.panel import unit_panel
from icsat_helpers.scores import TABLE_OF, person_scores
from icsat_helpers.sensitivity import SIGNIFICANT, Check, Row, checks, left_out
from icsat_helpers.study import Study
from icsat_helpers.words import message, number, places, say, say_each

ORDER = ("internal", "morale", "external")


@dataclass(frozen=True, slots=True)
class Tested:
    """What a study's chain was tested with.

    Attributes
    ----------
    chain : Chain or None
        None where it cannot be estimated; `reason` says why.
    halves : Chain or None
        With split halves, also where they were too weak to be the one reported.
    """

    chain: Chain | None
    halves: Chain | None
    reason: str = ""


def tested(study: Study) -> Tested:
    """Test the chain with halves of people, or with unit averages where halves hardly move together (F below 4).

    F is that of the first step. Net of satisfaction little of morale's change is left, so the second is often weak;
    its interval is then wide and still holds the truth (as a rule with one instrument for one regressor: Angrist &
    Kolesár 2024), while that of unit averages is narrow and wrong. A check says so instead.
    """
    reason = chain_reason(study)
    return Tested(None, None, reason) if reason else _strongest(study, ORDER)


def _strongest(study: Study, order: Sequence[str]) -> Tested:
    halves, reason = None, ""
    for halved in (True, False):
        try:
            fitted = chain(study, order, halved)
        except NotEstimable as why:
            reason = str(why)
            continue
        halves = fitted if halved else halves
        if not halved or fitted.first.first_stage_f >= WEAK_F:
            return Tested(fitted, halves)
    return Tested(None, halves, reason)


def describe(found: Tested) -> Page:
    """What a chain is made from, or why there is none."""
    main = found.chain
    if main is None:
        return paragraphs(say("This study cannot answer it: {reason}.", reason=found.reason))
    said = [(say("units with all three measures"), main.first.n_units), (say("periods"), main.n_periods)]
    said += [(say("units x periods, first step"), main.first.n_rows)]
    said += [(say("units x periods, second step"), main.second.n_rows)]
    return listing(said, say_each("what", "n"))


def step_checks(found: Tested) -> tuple[Check, ...]:
    """Checks of both equations, and whether each step goes the way that the claim says."""
    if found.halves is None:
        return ()
    named = []
    for step, fitted in (("first step", found.halves.first), ("second step", found.halves.second)):
        named += [replace(c, name=f"{c.name}, {step}") for c in checks(fitted)]
    return tuple(named)


def rows(study: Study, found: Tested) -> tuple[Row, ...]:
    """Rows beside the chain: its steps, what does not pass through morale, other ways to fit it, the reversed order."""
    main = found.chain
    if main is None:
        return ()
    share = main.share
    first = [
        Row.of(message("first step: morale on satisfaction"), main.first.estimate),
        Row.of(message("second step: external score on morale, satisfaction held"), main.second.estimate),
        Row.of(message("external score on satisfaction, morale held"), main.second.beside[0]),
        Row.of(message("both ways together, for a point that stays"), main.total),
        *([Row.of(message("share of both that travels through morale"), share)] if share is not None else []),
        Row(message("units drawn again, percentile interval"), main.product.value, *main.drawn(), None),
    ]
    if main.instrumented:
        first.append(
            _product(message("unit averages as they are (not freed of noise)"), chain(study, ORDER, halved=False))
        )
    back = _strongest(study, ORDER[::-1])
    if back.chain is not None:
        first.append(_product(message("reversed order: external score, then morale, then satisfaction"), back.chain))
    return (*first, left_out(main.product))


def _product(name: str, fitted: Chain) -> Row:
    return replace(Row.of(name, fitted.product), p=fitted.p)


def reversed_check(found: tuple[Row, ...]) -> tuple[Check, ...]:
    """Whether the chain also runs backwards: then what comes first is not known."""
    return tuple(
        Check(
            "reversed_order",
            row.p >= SIGNIFICANT,
            say("the chain also runs backwards with p = {p}", p=places(row.p, 3)),
        )
        for row in found
        if row.name.startswith("reversed order") and row.p is not None
    )


def finding(
    claim: Hypothesis, study: Study, found: Tested, *, sensitivity: tuple[Row, ...] = (), checks: tuple[Check, ...] = ()
) -> Finding:
    """Finding of the chain; why there is none where it could not be estimated."""
    main = found.chain
    if main is None:
        return not_estimable(claim, found.reason)
    people = pd.concat([person_scores(study, name)["person"] for name in TABLE_OF]).nunique()
    how = HALVES if main.instrumented else AS_THEY_ARE
    wrong = max(main.first.estimate.value, main.second.estimate.value) < 0  # two harms make no benefit
    warnings = _warnings(study, main)
    more = (
        say("One point more internal satisfaction, by way of self-reported morale,")
        if "same_source" in warnings
        else say("One point more internal satisfaction, by way of morale,")
    )
    words = (more, say("{value} points more external satisfaction"))
    made = conclude(
        claim, main.product, p=1.0 if wrong else main.p, rung="precedence", sd_ratio=main.first.sd_x / main.second.sd_y,
        n_units=main.first.n_units, n_rows=main.second.n_rows, n_periods=main.n_periods, n_people=people or None,
        words=words,
        method=f"{CHAIN} {how} {LEFT_OUT['unit']}",
        sensitivity=sensitivity, checks=checks, warnings=warnings,
    )  # fmt: skip
    # Noise in the satisfaction that is held can also inflate the second step, so that no "at least" is earned.
    return replace(made, sentence=sentence(replace(made, warnings=()), words, number))


CHAIN = message(
    "Morale on satisfaction a period before, times external score on morale with satisfaction held; unit and period "
    "effects; p of the weaker step."
)


def _warnings(study: Study, main: Chain) -> tuple[str, ...]:
    """Warnings of the three pairs; people who answer on satisfaction and morale are no worry between halves."""
    pairs = [("internal", "morale"), ("morale", "external"), ("internal", "external")]
    found = [set(unit_panel(study, *pair).warnings) for pair in pairs]
    if main.instrumented and person_scores(study, "morale")["linked"].mean() > 0.5:
        found[0] -= {"same_source"}
    return (*sorted(set().union(*found)), *([] if main.instrumented else ["attenuated"]))


BOXES = {
    message("Internal\nsatisfaction"): (0.0, 0.0),
    message("Morale\none period later"): (1.0, 1.0),
    message("External score\nafter that"): (2.0, 0.0),
}


def paths(main: Chain) -> Chart:
    """The chain as three boxes and the slopes between them; an arrow that is not told from zero is faint and dashed."""
    figure, axes = _axes(height=3.4)
    axes.set(xlim=(-0.45, 2.45), ylim=(-0.55, 1.35))
    axes.set_axis_off()
    names = list(BOXES)
    arrows = [(0, 1, main.first.estimate), (1, 2, main.second.estimate), (0, 2, main.second.beside[0])]
    for begin, end, slope_ in arrows:
        sure = slope_.p < SIGNIFICANT
        (x, y), (u, v) = BOXES[names[begin]], BOXES[names[end]]
        how = {"color": BLUE if sure else SOFT, "linestyle": "-" if sure else "--", "linewidth": 2.5 if sure else 1.2}
        style = {"arrowstyle": "-|>", "mutation_scale": 18, "shrinkA": 42, "shrinkB": 42}
        axes.annotate("", (u, v), (x, y), arrowprops=style | how)
        low, high = slope_.interval()
        text = say("{value}\n({low} to {high})", value=slope_.value, low=low, high=high)
        side = {(0, 1): "right", (1, 2): "left"}.get((begin, end), "center")
        axes.text((x + u) / 2 + {"right": -0.12, "left": 0.12}.get(side, 0), (y + v) / 2 + (0.05 if y != v else -0.1),
                  text, ha=side, va="bottom" if y != v else "top", color=INK)  # fmt: skip
    for name, (x, y) in BOXES.items():
        axes.text(
            x, y, say(name), ha="center", va="center", bbox={"boxstyle": "round,pad=0.5", "fc": "white", "ec": SOFT}
        )
    values: dict[str, float] = {}
    for name, (_, _, each) in zip(("a", "b", "c"), arrows, strict=True):
        low, high = each.interval()
        values |= {name: each.value, f"{name}_low": low, f"{name}_high": high}
    alt = say(
        "Morale for a point of satisfaction {a} ({a_low} to {a_high}); external score for a point of morale {b} "
        "({b_low} to {b_high}); external score for a point of satisfaction that does not pass through morale {c} "
        "({c_low} to {c_high}). A dashed arrow is not told from zero. Points, with 95% intervals.",
        **values,
    )
    return Chart(figure, alt)
