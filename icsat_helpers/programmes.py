"""Findings on programmes: verdicts, sentences, what is planned, the picture of before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from icsat_helpers.adoption import Rollout, shortfall, young
from icsat_helpers.charts import BLUE, FAINT, SOFT, Chart, _axes, claims
from icsat_helpers.claims import Hypothesis, hypothesis, of_customers, questions
from icsat_helpers.effects import Effect, checks, honest, rows, together
from icsat_helpers.evidence import Finding, conclude, not_estimable, p_text
from icsat_helpers.listing import Page, listing, paragraphs, steps
from icsat_helpers.outlook import outlook
from icsat_helpers.randomisation import SAME, Randomised
from icsat_helpers.sensitivity import SIGNIFICANT
from icsat_helpers.staggered import over_treated
from icsat_helpers.study import Study
from icsat_helpers.words import number


def describe(rollouts: Sequence[Rollout], minimum: int) -> Page:
    """What there is on each programme: who started when, whom they are compared with, what stands in the way."""
    if not rollouts:
        return paragraphs("No programme has started, or nothing is measured that it could change.")
    shown = [
        (
            each.name, int(np.isfinite(each.start).sum()) + each.unseen, int(each.treated.sum()),
            int(each.controls.sum()), each.followed if (each.followed or 0) >= minimum else None,
            "yes" if each.random else "no", shortfall(each, minimum) or "can be judged",
        )
        for each in rollouts
    ]  # fmt: skip
    head = ("programme", "started", "followed", "to compare", "people after", "assigned at random", "state")
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
    return replace(not_estimable(claim, plan), sentence=f"Too early to say: {plan}.")


def finding(claim: Hypothesis, effect: Effect) -> Finding:
    """Judge an effect; a drift before the start leaves a verdict standing only if the honest interval does."""
    first = effect.rollouts[0]
    spread = first.spread
    low, high = effect.estimate.interval()
    if not (np.isfinite([low, high]).all() and high - low > SAME and spread > SAME):
        return not_estimable(claim, "the ratings do not vary, or too few units started it to be told from chance")
    judged = conclude(
        claim, effect.estimate, rung="intervention", sd_ratio=1 / spread, words=("", ""),
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
    several = f" Mean of {len(effect.rollouts)} programmes by units." if len(effect.rollouts) > 1 else ""
    how = "Which units start, and when, rearranged." if few else "One unit left out at a time."
    return f"Staggered adoption: group-time effects against units that have not started by then.{several} {how}"


def _sentence(judged: Finding, effect: Effect, moved: bool) -> str:
    """Say a finding: "changed after", and "raised" only where units were assigned at random."""
    if judged.estimate is None or judged.ci_low is None or judged.ci_high is None:
        return judged.sentence
    first = effect.rollouts[0]
    what = "what customers say of a provider" if first.providers else "the satisfaction of units as customers"
    interval = f"(95% interval {number(judged.ci_low)} to {number(judged.ci_high)})"
    size = f"{number(judged.estimate)} points {interval}"
    raised = all(r.random for r in effect.rollouts)
    verb = "changed" if judged.verdict == "contradicted" else "raised"
    if judged.verdict == "inconclusive":
        did = f"{effect.name} {verb} {what}" if raised else f"{what} changed after {effect.name} started"
        found = f"An effect of {number(judged.detectable_effect or 0.0)} would have been found in four cases of five."
        if judged.ci_low > 0 or judged.ci_high < 0:
            found = "With several tested at once, one like it may be chance."
        moving = "Those units were on the move before the start, and that may explain it."
        return f"It is not clear whether {did}: {size}. {moving if moved else found}"
    did = f"{effect.name} {verb} {what} by" if raised else f"{what} changed after {effect.name} started: by"
    said = f"{did} {size}, against units that had not started by then"
    if judged.verdict == "negligible":
        return f"{_upper(said)}: less than the {number(judged.smallest_effect or 0.0)} that would matter, either way."
    small = max(abs(judged.ci_low), abs(judged.ci_high)) < (judged.smallest_effect or 0.0)
    said += ": supported, but too small to matter." if judged.verdict == "supported" and small else "."
    return f"Against the claim, {said}" if judged.verdict == "contradicted" else _upper(said)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


# ---------------------------------------------------------------- what a notebook shows


def event_study(effect: Effect, minimum: int, period_name: str) -> Chart:
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
    axes.set(xlabel=f"{period_name.capitalize()}s since the start (0 is the first with it)", ylabel="Points")
    axes.set_xticks(shown[:: 1 + len(shown) // 10])
    axes.set_title(_upper(effect.name).replace("$", r"\$"), loc="left", fontsize=10)
    before, after = ([v.value for e, v in points if (e >= 0) == side] for side in (False, True))
    said = f"{_upper(effect.name)}: {effect.treated} units that started against others, by {period_name} since then."
    if before:
        said += f" Before the start between {number(min(before))} and {number(max(before))} points (zero is expected);"
    if after:
        said += f" from the start on between {number(min(after))} and {number(max(after))} points."
    return Chart(figure, f"{said} Bars are 95% intervals; the hollow dot is the {period_name} compared with.")


def forest(found: Sequence[Finding]) -> Chart:
    """All programmes and each, in standard deviations between units."""
    return claims([{**asdict(f), "id": f.id.replace("$", r"\$")} for f in found])


SO_WHAT = {
    "supported": "extend it to those without it, and keep measuring",
    "contradicted": "stop extending it and find out what went wrong",
    "negligible": "do not extend it for the sake of satisfaction",
    "inconclusive": "do not extend it on this evidence alone; more units with it, or more periods, would settle it",
    "not_estimable": "nothing to decide on yet",
}


def so_what(found: Sequence[Finding]) -> Page:
    """What to do with each programme, in the order in which to act."""
    parts = [f for verdict in SO_WHAT for f in found if "." in f.id and f.verdict == verdict]
    texts = [f"{f.id.partition('.')[2]}: {SO_WHAT[f.verdict]}. {f.sentence}" for f in parts]
    return steps(texts) if texts else paragraphs("To answer it, the study needs what is named above.")


def checks_table(effects: Sequence[Effect]) -> Page:
    """Checks of each programme."""
    rows = [(e.rollouts[0].name, c.name.replace("_", " "), c.passed, c.detail) for e in effects for c in checks(e)]
    if not rows:
        return paragraphs("There is nothing to check here: no programme can be judged yet.")
    return listing(rows, ("programme", "check", "passed", "detail"))


def sensitivity_table(found: Sequence[Finding]) -> Page:
    """Each programme asked in other ways."""
    rows = [(f.id, r.name, r.estimate, r.ci_low, r.ci_high, p_text(r.p)) for f in found for r in f.sensitivity]
    if not rows:
        return paragraphs("There is nothing to vary: no programme could be judged.")
    return listing(rows, ("claim", "asked this way", "estimate", "from", "to", "p"))
