"""From an estimate to a verdict in words: findings, metrics, sentences and their cards."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import Any

from icsat_helpers.associates import Difference
from icsat_helpers.claims import Hypothesis
from icsat_helpers.designs import Strongest
from icsat_helpers.feedback import LONG, Feedback, examine
from icsat_helpers.hazard import Hazard
from icsat_helpers.inference import Estimate
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.panel import FEWEST_UNITS, RUNGS, Panel
from icsat_helpers.results import MIME
from icsat_helpers.sensitivity import FEW_UNITS, SIGNIFICANT, Check, Row, clusters
from icsat_helpers.words import (
    fixed,
    known,
    local,
    message,
    number,
    say,
    say_each,
    say_sentences,
    series,
    spoken,
    upper,
)

SENTENCES = {
    "association": {
        "supported": message("{more} goes with {size}."),
        "supported, at least": message("{more} goes with at least {size}."),
        "too small": message("{more} goes with {size}: supported, but too small to matter."),
        "too small, at least": message("{more} goes with at least {size}: supported, but too small to matter."),
        "contradicted": message("Against the claim, {more} goes with {size}."),
        "negligible": message("{more} goes with {size}: less than the {smallest} that would matter, either way."),
        "doubt": message("{more} goes with {size}, but that does not settle the claim. {doubt}"),
        "inconclusive": message(
            "It is not clear whether {more} goes with anything: {size}. An effect of {detectable} would have been "
            "found in four cases of five."
        ),
    },
    "precedence": {
        "supported": message("{more} is followed by {size}."),
        "supported, at least": message("{more} is followed by at least {size}."),
        "too small": message("{more} is followed by {size}: supported, but too small to matter."),
        "too small, at least": message("{more} is followed by at least {size}: supported, but too small to matter."),
        "contradicted": message("Against the claim, {more} is followed by {size}."),
        "negligible": message("{more} is followed by {size}: less than the {smallest} that would matter, either way."),
        "doubt": message("{more} is followed by {size}, but that does not settle the claim. {doubt}"),
        "inconclusive": message(
            "It is not clear whether {more} is followed by anything: {size}. An effect of {detectable} would have "
            "been found in four cases of five."
        ),
    },
}
"""What a finding says, by rung; programmes, on `intervention`, have sentences of their own."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number about a measure, as in the contract."""

    name: str
    of: str
    value: float
    ci_low: float | None
    ci_high: float | None
    n: int | None
    notebook: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a claim; the fields are the contract's."""

    id: str
    claim: str
    notebook: str
    verdict: str
    rung: str
    direction: int
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    ci_level: float = 0.95
    p: float | None = None
    p_adjusted: float | None = None
    unit: str = ""
    standardised: float | None = None
    smallest_effect: float | None = None
    detectable_effect: float | None = None
    n_units: int | None = None
    n_people: int | None = None
    n_rows: int | None = None
    n_periods: int | None = None
    method: str = ""
    sensitivity: tuple[Row, ...] = ()
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str | None = None
    sentence: str = field(default="")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {
            MIME: {"findings": [plain(asdict(self))]},
            "text/html": card(self),
            "text/plain": self.sentence,
        }


def plain(value: Any) -> Any:
    """JSON-ready copy: six significant digits, NaN and infinity as None.

    Examples
    --------
    >>> plain({"a": 1.23456789, "b": float("nan")})
    {'a': 1.23457, 'b': None}
    """
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, (bool, str, int)) or value is None:
        return value
    return float(f"{float(value):.6g}") if math.isfinite(value) else None


# ---------------------------------------------------------------- the verdict


def verdict(
    estimate: Estimate,
    direction: int,
    smallest: float,
    p_adjusted: float,
    attenuated: bool,
    contradictable: bool = True,
) -> str:
    """Verdict of an estimate on a claim that expects the sign `direction`.

    `smallest` is in the unit of the estimate. Where noise draws the slope to zero (`attenuated`) a small estimate
    shows nothing, so "negligible" is not given; on a short panel feedback can turn a sign, so "contradicted" is not.
    """
    low, high = sorted(direction * bound for bound in estimate.interval(0.95))
    if low > 0 and p_adjusted < SIGNIFICANT:
        return "supported"
    if high < 0 and p_adjusted < SIGNIFICANT and contradictable:
        return "contradicted"
    narrow = estimate.interval(0.90)
    if not attenuated and -smallest < narrow[0] and narrow[1] < smallest:
        return "negligible"
    return "inconclusive"


def not_estimable(claim: Hypothesis, reason: str) -> Finding:
    """Finding of a claim that this study cannot answer."""
    sentence = say("This study cannot answer whether it is so: {reason}.", reason=reason)
    return Finding(
        claim.id, claim.claim, claim.notebook, "not_estimable", "none", claim.direction, unit=claim.unit, reason=reason,
        sentence=sentence,
    )  # fmt: skip


def conclude(
    claim: Hypothesis,
    estimate: Estimate,
    *,
    rung: str,
    sd_ratio: float,
    method: str,
    words: tuple[str, str] = ("", ""),
    express: Callable[[float], str] | None = None,
    p: float | None = None,
    n_units: int,
    n_rows: int,
    n_periods: int,
    n_people: int | None = None,
    sensitivity: tuple[Row, ...] = (),
    checks: tuple[Check, ...] = (),
    warnings: tuple[str, ...] = (),
    standardised: float | None = None,
    feedback: Feedback | None = None,
) -> Finding:
    """Judge an estimate.

    Parameters
    ----------
    sd_ratio : float
        SD of the exposure over SD of the outcome, both net of the model's fixed effects; for a hazard SD of the
        exposure. `standardised` is the estimate times this.
    words : (str, str)
        What a reader calls one point of the exposure, and the outcome: ("One point more ...", "{value} points ...");
        without them nothing is said.
    express : callable, optional
        How an estimate is said in the sentence; two significant digits if not given.
    standardised : float, optional
        Where it is something else than the estimate times `sd_ratio`.
    feedback : Feedback, optional
        What the panel says about the way back; where it leaves a doubt, the verdict is "inconclusive".
    p : float, optional
        Where it is not that of the estimate's own t.
    """
    if n_units < FEWEST_UNITS:
        return not_estimable(
            claim, say("only {n} units can be compared; at least {needed} are needed", n=n_units, needed=FEWEST_UNITS)
        )
    smallest = claim.smallest_raw if claim.smallest_raw is not None else claim.smallest_standardised / sd_ratio
    p = estimate.p if p is None else p
    adjusted = min(1.0, p * claim.family)
    contradictable = rung != "precedence" or n_periods >= LONG
    result = verdict(estimate, claim.direction, smallest, adjusted, "attenuated" in warnings, contradictable)
    doubt = feedback.doubt(estimate.value) if feedback and result in ("supported", "contradicted") else ""
    result = "inconclusive" if doubt else result
    low, high = estimate.interval()
    standardised = estimate.value * sd_ratio if standardised is None else standardised
    if feedback is not None:
        sensitivity, checks = (*sensitivity, *feedback.rows), (*checks, *feedback.checks)
    finding = Finding(
        claim.id, claim.claim, claim.notebook, result, rung, claim.direction, estimate.value, low, high, 0.95,
        p, adjusted, claim.unit, standardised, smallest, estimate.detectable, n_units, n_people,
        n_rows, n_periods, method, sensitivity, checks, tuple(warnings), None,
    )  # fmt: skip
    few = say("Only {n} units can be compared, so the interval is wide.", n=n_units) if n_units < FEW_UNITS else ""
    said = (sentence(finding, words, express or number, doubt) if words[0] else "", few)
    return replace(finding, sentence=" ".join(part for part in said if part))


METHODS = {
    True: message("Next period on this one, unit and period effects."),
    False: message("Differences between units."),
}
OTHERS = message(
    "Halves of the people instrument each other, and the outcome is of those who are not in the instrument."
)
HALVES = message("Halves of the people instrument each other.")
AS_THEY_ARE = message("Unit averages as they are.")
LEFT_OUT = {"unit": message("Left out one unit at a time."), "site": message("Left out one site at a time.")}


def of_slope(
    claim: Hypothesis,
    panel: Panel,
    tested: Strongest,
    *,
    words: tuple[str, str],
    express: Callable[[float], str] | None = None,
    sensitivity: tuple[Row, ...] = (),
    checks: tuple[Check, ...] = (),
) -> Finding:
    """Finding of a slope over a panel of units; why there is none where it could not be estimated.

    On `precedence` it is also asked whether the outcome leads back; the answer's rows and checks are added.
    """
    design, main = tested.design, tested.slope
    if design is None or main is None:
        return not_estimable(claim, tested.reason)
    people = int(panel.answers["person"].nunique()) if len(panel.answers) else None
    periods = panel.frame.dropna(subset=["exposure", "outcome"])["t"].nunique()
    others = not isinstance(design.outcome, str)  # the outcome is of other people than the instrument
    halves = OTHERS if others else HALVES if design.instrumented else AS_THEY_ARE
    warnings = [name for name in panel.warnings if not (others and name == "same_source")]
    return conclude(
        claim, main.estimate, rung=panel.rung, sd_ratio=main.sd_x / main.sd_y, words=words, express=express,
        n_units=main.n_units, n_rows=main.n_rows, n_periods=max(main.n_periods, int(periods)), n_people=people,
        method=f"{METHODS[design.fixed_effects]} {halves} {LEFT_OUT[design.cluster]}",
        sensitivity=sensitivity, checks=(*checks, clusters(design, main.n_units)),
        warnings=(*warnings, *(["attenuated"] if tested.attenuated else [])), standardised=design.standardised(main),
        feedback=examine(design) if design.fixed_effects else None,
    )  # fmt: skip


def with_difference(finding: Finding, found: Difference | None) -> Finding:
    """Finding of associates with what sets them apart from employees: rows, and a sentence that says it."""
    if finding.estimate is None:
        return finding
    if found is None:
        said = f"{finding.sentence} {say('How they differ from employees cannot be told.')}"
        return replace(finding, sentence=said)
    low, high = found.estimate.interval()
    narrow = found.estimate.interval(0.90)
    rows = (
        Row.of("difference from employees", found.estimate),
        Row(f"difference within {found.bound:.2g} either way, two one-sided tests (90% interval)",
            found.estimate.value, *narrow, found.p),
    )  # fmt: skip
    size = {"difference": found.estimate.value, "low": low, "high": high}
    if found.p < SIGNIFICANT:
        beside = say(
            "Among employees it is the same, within the {bound} that would matter (difference {difference}, 95% "
            "interval {low} to {high}).",
            bound=found.bound, **size,
        )  # fmt: skip
    elif low > 0 or high < 0:
        beside = say("Among employees it is another (difference {difference}, 95% interval {low} to {high}).", **size)
    else:
        beside = say(
            "Whether it is the same among employees is not clear (difference {difference}, 95% interval {low} to "
            "{high}).",
            **size,
        )
    return replace(finding, sensitivity=(*rows, *finding.sensitivity), sentence=f"{finding.sentence} {beside}")


def of_hazard(
    claim: Hypothesis,
    estimate: Estimate,
    fitted: Hazard,
    by_choice: bool = True,
    *,
    sensitivity: tuple[Row, ...] = (),
    checks: tuple[Check, ...] = (),
) -> Finding:
    """Finding of a hazard of leaving (by choice), said in per cent; `estimate` is the one that the claim is about."""
    warnings = ("between_persons",) if fitted.split else ("between_persons", "attenuated")
    halves = PREDICTED if fitted.split else OWN_SCORE
    return conclude(
        claim, estimate, rung="precedence", sd_ratio=fitted.sd_x, n_units=fitted.n_units, n_rows=fitted.n_rows,
        n_periods=fitted.n_periods + 1, n_people=fitted.n_people, warnings=warnings, sensitivity=sensitivity,
        checks=checks, express=percent_change, words=_leaving("." in claim.id, by_choice),
        method=f"{HAZARD} {halves} {LEFT_OUT['unit']}",
    )  # fmt: skip


HAZARD = message("Discrete-time hazard, complementary log-log, period and tenure.")
PREDICTED = message("Halves of what a person rated predict each other.")
OWN_SCORE = message("Own score as it is.")


def _leaving(good: bool, by_choice: bool) -> tuple[str, str]:
    """What one point more of a person's own satisfaction is called, for all or for good performers, and leaving."""
    if good:
        more = say("For good performers, each point that a person is more satisfied than colleagues")
        if by_choice:
            return more, say("{value} leaving by choice in the next period, over and above what it means for others")
        return more, say("{value} leaving in the next period, over and above what it means for others")
    more = say("Each point that a person is more satisfied than colleagues")
    if by_choice:
        return more, say("{value} leaving by choice in the next period")
    return more, say("{value} leaving in the next period")


def sentence(finding: Finding, words: tuple[str, str], express: Callable[[float], str], doubt: str = "") -> str:
    """Say a finding in words whose verb follows the rung.

    `words`: the exposure and the outcome; `doubt`: why an interval off zero does not settle the claim.
    """
    if finding.estimate is None or finding.ci_low is None or finding.ci_high is None or finding.smallest_effect is None:
        return finding.sentence
    more, what = words
    reported = "same_source" in finding.warnings
    said = message("{effect}, self-reported (95% interval {low} to {high})") if reported else INTERVAL
    effect = what.format(value=express(finding.estimate))
    values = {
        "more": _lower(more),
        "size": say(said, effect=effect, low=express(finding.ci_low), high=express(finding.ci_high)),
        "smallest": express(finding.direction * finding.smallest_effect),
        "detectable": express(finding.direction * (finding.detectable_effect or 0.0)),
    }
    several = (finding.p_adjusted or 0.0) >= SIGNIFICANT > (finding.p or 0.0) and finding.ci_low * finding.ci_high > 0
    if several and not doubt:
        doubt = say("As one of several claims asked at once, it may still be chance.")
    values["doubt"] = doubt
    kind = "doubt" if doubt and finding.verdict == "inconclusive" else finding.verdict
    if kind == "supported":
        inside = max(abs(finding.ci_low), abs(finding.ci_high)) < finding.smallest_effect
        kind = ("too small" if inside else kind) + (", at least" if "attenuated" in finding.warnings else "")
    return upper(say(SENTENCES[finding.rung][kind], **values))


INTERVAL = message("{effect} (95% interval {low} to {high})")


def percent_change(log_ratio: float) -> str:
    """A log hazard ratio as people say it.

    Examples
    --------
    >>> percent_change(-0.5), percent_change(0.1)
    ('39% less', '11% more')
    """
    change = 100 * (math.exp(min(log_ratio, 5.0)) - 1)
    size = fixed(abs(change), 0) if abs(change) >= 1 else number(float(f"{abs(change):.1g}"))
    return say("{size}% less", size=size) if change < 0 else say("{size}% more", size=size)


def percentage_points(share: float) -> str:
    """Difference of shares as people say it.

    Examples
    --------
    >>> percentage_points(-0.0213)
    '−2.1 percentage points'
    """
    return say("{value} percentage points", value=100 * share)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


# ---------------------------------------------------------------- what a notebook shows

CERTAINTY = {
    "supported": message("Supported"),
    "contradicted": message("Contradicted"),
    "negligible": message("No effect that matters"),
    "inconclusive": message("Not clear yet"),
    "not_estimable": message("Cannot be answered"),
}


def card(finding: Finding) -> str:
    """HTML of a finding: verdict, sentence, and how it is known; all text escaped."""
    head = f"{finding.id} · {say(CERTAINTY[finding.verdict])}"
    rung = say("rung: {rung}", rung=say(RUNGS[finding.rung])) if finding.rung in RUNGS else ""
    rung = f" <span class='rung'>{escape(rung)}</span>" if rung else ""
    parts = [
        f"<div class='finding {finding.verdict}'>",
        f"<p class='verdict'><strong>{escape(head)}</strong>{rung}</p>",
        f"<p class='sentence'>{escape(finding.sentence)}</p>",
    ]
    if finding.estimate is not None:
        facts = say(
            "{units} units, {periods} periods, {rows} rows. {method} Standardised {standardised}; smallest effect that "
            "matters {smallest}; adjusted p {p}.",
            units=finding.n_units, periods=finding.n_periods, rows=finding.n_rows, method=say_sentences(finding.method),
            standardised=float(finding.standardised or 0), smallest=float(finding.smallest_effect or 0),
            p=p_text(finding.p_adjusted),
        )  # fmt: skip
        parts.append(f"<p class='facts'>{escape(facts)}</p>")
    if finding.warnings:
        parts.append(f"<p class='warnings'>{escape(series(say(WARNINGS[w]) for w in finding.warnings))}</p>")
    return "\n".join([*parts, "</div>"])


def p_text(p: float | None) -> str:
    """A p-value as people read it."""
    if p is None:
        return "–"
    if p < 0.001:
        return say("below .001")
    text = f"{p:.3f}" if p < 1 else "1"
    return text.lstrip("0") if spoken() == "en" else local(text)


WARNINGS = {
    "same_source": message("Exposure and outcome were answered by the same people: part of the relation may be mood."),
    "attenuated": message("Unit averages are noisy and could not be corrected: the true relation is probably larger."),
    "n_unknown": message("How many people stand behind the averages is not known for all of them."),
    "mixed_source": message("Some periods come from persons' answers, others from aggregates."),
    "between_persons": message("People are compared with others, not with themselves at another time."),
}


SO_WHAT = {
    "supported": message("Act on it: start with the units that serve their customers worst. Keep measuring."),
    "contradicted": message(
        "Do not build on this claim here. Find out what else changed, and whether the measures still hold."
    ),
    "negligible": message(
        "Do not expect this benefit from better internal service; there may be other reasons for it."
    ),
    "inconclusive": message(
        "Do not act on this claim alone. More periods, more units or more answers a unit would settle it."
    ),
    "not_estimable": message("To answer it, the study needs what is named above."),
}


def so_what(finding: Finding) -> Page:
    """What to do with a finding."""
    weak = [check.detail for check in finding.checks if not check.passed]
    return paragraphs(say(SO_WHAT[finding.verdict]), say("Mind: {what}.", what=series(weak)) if weak else "")


def sensitivity_table(finding: Finding) -> Page:
    """Sensitivity rows of a finding, the headline first."""
    if finding.estimate is None:
        return paragraphs(say("There is nothing to vary: the claim could not be tested."))
    head = Row(message("headline"), finding.estimate, finding.ci_low, finding.ci_high, finding.p)
    rows = [(known(r.name), r.estimate, r.ci_low, r.ci_high, p_text(r.p)) for r in (head, *finding.sensitivity)]
    return listing(rows, say_each("asked this way", "estimate", "from", "to", "p"))


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of a notebook, shown as a table and gathered by the runner."""

    rows: tuple[Metric, ...]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        rows = [(known(r.name.replace("_", " ")), known(r.of), r.value, r.ci_low, r.ci_high, r.n) for r in self.rows]
        shown = listing(rows, say_each("metric", "of", "value", "from", "to", "n"))
        payload = {"metrics": plain([asdict(row) for row in self.rows])}
        return {MIME: payload, "text/html": shown.html, "text/plain": shown.text}
