"""Findings on programmes: verdicts, sentences, what is planned, the picture of before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from icsat_helpers.adoption import Rollout, shortfall, young
from icsat_helpers.charts import BLUE, FAINT, PERIODS, SOFT, Chart, _axes, claims
from icsat_helpers.claims import Hypothesis, hypothesis, of_customers, questions
from icsat_helpers.effects import Effect, checks, honest, rows, together
from icsat_helpers.evidence import LEFT_OUT, Finding, conclude, not_estimable, p_text
from icsat_helpers.listing import Page, listing, paragraphs, steps
from icsat_helpers.outlook import outlook
from icsat_helpers.randomisation import SAME, Randomised
from icsat_helpers.sensitivity import SIGNIFICANT
from icsat_helpers.staggered import over_treated
from icsat_helpers.study import Study
from icsat_helpers.words import known, message, say, say_each, upper


def describe(rollouts: Sequence[Rollout], minimum: int) -> Page:
    """What there is on each programme: who started when, whom they are compared with, what stands in the way."""
    if not rollouts:
        return paragraphs(say("No programme has started, or nothing is measured that it could change."))
    shown = [
        (
            known(each.name), int(np.isfinite(each.start).sum()) + each.unseen, int(each.treated.sum()),
            int(each.controls.sum()), each.followed if (each.followed or 0) >= minimum else None,
            each.random, shortfall(each, minimum) or say("can be judged"),
        )
        for each in rollouts
    ]  # fmt: skip
    head = say_each("programme", "started", "followed", "to compare", "people after", "assigned at random", "state")
    return listing(shown, head)


def findings(study: Study, rollouts: Sequence[Rollout], effects: Sequence[Effect]) -> list[Finding]:
    """H7 first, then each programme, those that cannot be judged yet with what is planned.

    Parameters
    ----------
    rollouts : sequence of Rollout
        All programmes of the study.
    effects : sequence of Effect
        Of those that can be judged, in the same order.
    """
    by_name = {effect.rollouts[0].name: effect for effect in effects}
    parts = []
    for each in rollouts:
        claim, effect = _claim(f"H7.{each.name}", study, rollouts), by_name.get(each.name)
        parts.append(finding(claim, effect) if effect else early(study, claim, each))
    return [_main(study, rollouts, effects, parts), *parts]


def _claim(name: str, study: Study, rollouts: Sequence[Rollout]) -> Hypothesis:
    """Claim on providers, or where there are only aggregates on units as customers."""
    claim = hypothesis(name, study)
    return claim if not rollouts or rollouts[0].providers else of_customers(claim)


def _main(study: Study, rollouts: Sequence[Rollout], effects: Sequence[Effect], parts: Sequence[Finding]) -> Finding:
    claim = _claim("H7", study, rollouts)
    if effects:
        return finding(claim, together(effects))
    if len(parts) == 1 and young(rollouts[0]):
        return replace(not_estimable(claim, str(parts[0].reason)), sentence=parts[0].sentence)
    return not_estimable(claim, next(each.reason for each in questions(study) if each.id == "H7"))


def early(study: Study, claim: Hypothesis, rollout: Rollout) -> Finding:
    """Finding of a programme that cannot be judged: the plan, where it has just started."""
    if not young(rollout):
        return not_estimable(claim, shortfall(rollout, study.settings.minimum_group))
    plan = outlook(study, claim, rollout)
    return replace(not_estimable(claim, plan), sentence=say("Too early to say: {plan}.", plan=plan))


def finding(claim: Hypothesis, effect: Effect) -> Finding:
    """Judge an effect; a drift before the start leaves a verdict standing only if the honest interval does."""
    first = effect.rollouts[0]
    spread = first.spread
    low, high = effect.estimate.interval()
    if not (np.isfinite([low, high]).all() and high - low > SAME and spread > SAME):
        return not_estimable(claim, say("the ratings do not vary, or too few units started it to be told from chance"))
    judged = conclude(
        claim, effect.estimate, rung="intervention", sd_ratio=1 / spread,
        method=_method(effect), n_units=effect.units, n_periods=len(first.periods),
        n_rows=int(np.any([np.isfinite(r.clean) for r in effect.rollouts], axis=0).sum()),
        n_people=first.followed if len(effect.rollouts) == 1 else None,
        sensitivity=rows(effect), checks=checks(effect),
        warnings=() if first.providers or first.followed is not None else ("n_unknown",),
    )  # fmt: skip
    moved = _moved(judged, effect)
    judged = replace(judged, verdict="inconclusive") if moved else judged
    return replace(judged, sentence=_sentence(judged, effect, moved))


def _moved(judged: Finding, effect: Effect) -> bool:
    """Whether a drift before the start takes a verdict away."""
    drift, widened = effect.way("drift"), honest(effect)
    if judged.verdict not in ("supported", "contradicted") or drift is None or drift.p >= SIGNIFICANT:
        return False
    return widened is None or widened[0] <= 0 <= widened[1]


def _method(effect: Effect) -> str:
    few = isinstance(effect.estimate, Randomised)
    several = [SEVERAL] if len(effect.rollouts) > 1 else []
    return " ".join([ADOPTION, *several, REARRANGED if few else LEFT_OUT["unit"]])


ADOPTION = message("Staggered adoption: group-time effects against units that have not started by then.")
SEVERAL = message("Mean over programmes, by units.")
REARRANGED = message("Which units start, and when, rearranged.")
RAISED = {
    "supported": message("{programme} raised {what} by {size}, against units that had not started by then."),
    "too small": message(
        "{programme} raised {what} by {size}, against units that had not started by then: supported, but too small to "
        "matter."
    ),
    "contradicted": message(
        "Against the claim, {programme} changed {what} by {size}, against units that had not started by then."
    ),
    "negligible": message(
        "{programme} raised {what} by {size}, against units that had not started by then: less than the {smallest} "
        "that would matter, either way."
    ),
    "inconclusive": message("It is not clear whether {programme} raised {what}: {size}. {why}"),
}
CHANGED = {
    "supported": message(
        "{what} changed after {programme} started: by {size}, against units that had not started by then."
    ),
    "too small": message(
        "{what} changed after {programme} started: by {size}, against units that had not started by then: supported, "
        "but too small to matter."
    ),
    "contradicted": message(
        "Against the claim, {what} changed after {programme} started: by {size}, against units that had not started by "
        "then."
    ),
    "negligible": message(
        "{what} changed after {programme} started: by {size}, against units that had not started by then: less than "
        "the {smallest} that would matter, either way."
    ),
    "inconclusive": message("It is not clear whether {what} changed after {programme} started: {size}. {why}"),
}
"""What a finding says; "raised" only where units were assigned at random."""


def _sentence(judged: Finding, effect: Effect, moved: bool) -> str:
    """Say a finding: "changed after", and "raised" only where units were assigned at random."""
    if judged.estimate is None or judged.ci_low is None or judged.ci_high is None:
        return judged.sentence
    if judged.verdict != "inconclusive":
        why = ""
    elif moved:
        why = say("Those units were on the move before the start, and that may explain it.")
    elif judged.ci_low > 0 or judged.ci_high < 0:
        why = say("With several tested at once, one like it may be chance.")
    else:
        why = say(
            "An effect of {points} would have been found in four cases of five.",
            points=float(judged.detectable_effect or 0),
        )
    small = max(abs(judged.ci_low), abs(judged.ci_high)) < (judged.smallest_effect or 0.0)
    kind = "too small" if judged.verdict == "supported" and small else judged.verdict
    said = RAISED if all(r.random for r in effect.rollouts) else CHANGED
    what = (
        say("what customers say of a provider")
        if effect.rollouts[0].providers
        else say("the satisfaction of units as customers")
    )
    size = say(
        "{points} points (95% interval {low} to {high})", points=judged.estimate, low=judged.ci_low, high=judged.ci_high
    )
    smallest = float(judged.smallest_effect or 0)
    return upper(say(said[kind], programme=effect.name, what=what, size=size, smallest=smallest, why=why))


# ---------------------------------------------------------------- what a notebook shows


def event_study(effect: Effect, minimum: int, frequency: str) -> Chart:
    """Effect at each period since the start, with intervals; before it, what should lie around zero.

    Points that describe fewer than `minimum` people are left out.
    """
    figure, axes = _axes(height=3.4)
    known = [r.people for r in effect.rollouts if r.people]
    shown = [e for e in effect.events if not known or max(p.get(e, 0) for p in known) >= minimum]
    points = [(e, over_treated(effect.events[e], max(effect.treated, 2))) for e in shown if e != -1]
    for event, estimate in points:
        low, high = estimate.interval() if np.isfinite(estimate.left_out).all() else (estimate.value,) * 2
        colour = BLUE if event >= 0 else SOFT
        axes.plot([event, event], [low, high], color=colour, alpha=0.35, linewidth=4, solid_capstyle="butt")
        axes.plot(event, estimate.value, "o", color=colour, markersize=6)
    axes.plot(-1, 0, "o", color=SOFT, markersize=6, markerfacecolor="white")
    axes.axhline(0, color=SOFT, linewidth=1)
    axes.axvline(-0.5, color=FAINT, linewidth=2)
    periods = say(PERIODS[frequency])
    x_label = say("{periods} since the start (0 is the first with it)", periods=upper(periods))
    axes.set(xlabel=x_label, ylabel=say("Points"))
    axes.set_xticks(shown[:: 1 + len(shown) // 10])
    axes.set_title(upper(effect.name).replace("$", r"\$"), loc="left", fontsize=10, y=1.0)
    before, after = ([v.value for e, v in points if (e >= 0) == side] for side in (False, True))
    said = [
        say("{programme}: {n} units that started against others, in {periods} since then.",
            programme=upper(effect.name), n=effect.treated, periods=periods)
    ]  # fmt: skip
    if before:
        said.append(
            say("Before the start between {low} and {high} points (zero is expected).",
                low=min(before), high=max(before))
        )  # fmt: skip
    if after:
        said.append(say("From the start on between {low} and {high} points.", low=min(after), high=max(after)))
    said.append(say("Bars are 95% intervals; the hollow dot is the period compared with."))
    return Chart(figure, " ".join(said))


def forest(found: Sequence[Finding]) -> Chart:
    """All programmes and each, in standard deviations between units."""
    return claims([{**asdict(f), "id": f.id.replace("$", r"\$")} for f in found])


SO_WHAT = {
    "supported": message("{programme}: extend it to those without it, and keep measuring. {sentence}"),
    "contradicted": message("{programme}: stop extending it and find out what went wrong. {sentence}"),
    "negligible": message("{programme}: do not extend it for the sake of satisfaction. {sentence}"),
    "inconclusive": message(
        "{programme}: do not extend it on this evidence alone; more units with it, or more periods, would settle it. "
        "{sentence}"
    ),
    "not_estimable": message("{programme}: nothing to decide on yet. {sentence}"),
}


def so_what(found: Sequence[Finding]) -> Page:
    """What to do with each programme, in the order in which to act."""
    parts = [f for verdict in SO_WHAT for f in found if "." in f.id and f.verdict == verdict]
    texts = [say(SO_WHAT[f.verdict], programme=known(f.id.partition(".")[2]), sentence=f.sentence) for f in parts]
    return steps(texts) if texts else paragraphs(say("To answer it, the study needs what is named above."))


def checks_table(effects: Sequence[Effect]) -> Page:
    """Checks of each programme."""
    rows = [
        (known(e.rollouts[0].name), known(c.name.replace("_", " ")), c.passed, c.detail)
        for e in effects
        for c in checks(e)
    ]
    if not rows:
        return paragraphs(say("There is nothing to check here: no programme can be judged yet."))
    return listing(rows, say_each("programme", "check", "passed", "detail"))


def sensitivity_table(found: Sequence[Finding]) -> Page:
    """Each programme asked in other ways."""
    rows = [(f.id, known(r.name), r.estimate, r.ci_low, r.ci_high, p_text(r.p)) for f in found for r in f.sensitivity]
    if not rows:
        return paragraphs(say("There is nothing to vary: no programme could be judged."))
    return listing(rows, say_each("claim", "asked this way", "estimate", "from", "to", "p"))
