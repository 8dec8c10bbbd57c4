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
from icsat_helpers.panel import FEWEST_UNITS, Panel
from icsat_helpers.results import MIME
from icsat_helpers.sensitivity import FEW_UNITS, SIGNIFICANT, Check, Row, clusters
from icsat_helpers.words import number

VERBS = {"association": "goes with", "precedence": "is followed by", "intervention": "changed after"}


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
    sentence = f"This study cannot answer whether it is so: {reason}."
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
    words: tuple[str, str],
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
        What a reader calls one point of the exposure, and the outcome: ("One point more ...", "points ...").
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
        return not_estimable(claim, f"only {n_units} units can be compared; at least {FEWEST_UNITS} are needed")
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
    few = f"Only {n_units} units can be compared, so the interval is wide." if n_units < FEW_UNITS else ""
    said = (sentence(finding, words, express or number, doubt), few)
    return replace(finding, sentence=" ".join(part for part in said if part))


METHODS = {
    True: "Next period on this one, unit and period effects",
    False: "Differences between units",
}


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
    halves = "halves of the people instrument each other" if design.instrumented else "unit averages as they are"
    halves += ", and the outcome is of those who are not in the instrument" if others else ""
    warnings = [name for name in panel.warnings if not (others and name == "same_source")]
    return conclude(
        claim, main.estimate, rung=panel.rung, sd_ratio=main.sd_x / main.sd_y, words=words, express=express,
        n_units=main.n_units, n_rows=main.n_rows, n_periods=max(main.n_periods, int(periods)), n_people=people,
        method=f"{METHODS[design.fixed_effects]}; {halves}. Left out one {design.cluster} at a time.",
        sensitivity=sensitivity, checks=(*checks, clusters(design, main.n_units)),
        warnings=(*warnings, *(["attenuated"] if tested.attenuated else [])), standardised=design.standardised(main),
        feedback=examine(design) if design.fixed_effects else None,
    )  # fmt: skip


def with_difference(finding: Finding, found: Difference | None) -> Finding:
    """Finding of associates with what sets them apart from employees: rows, and a sentence that says it."""
    if finding.estimate is None:
        return finding
    if found is None:
        return replace(finding, sentence=f"{finding.sentence} How they differ from employees cannot be told.")
    low, high = found.estimate.interval()
    narrow, bound = found.estimate.interval(0.90), number(found.bound)
    rows = (
        Row.of("difference from employees", found.estimate),
        Row(f"difference within {bound} either way, two one-sided tests (90% interval)", found.estimate.value, *narrow,
            found.p),
    )  # fmt: skip
    if found.p < SIGNIFICANT:
        beside = f"Among employees it is the same, within the {bound} that would matter"
    elif low > 0 or high < 0:
        beside = "Among employees it is another"
    else:
        beside = "Whether it is the same among employees is not clear"
    size = f"difference {number(found.estimate.value)}, 95% interval {number(low)} to {number(high)}"
    said = f"{finding.sentence} {beside} ({size})."
    return replace(finding, sensitivity=(*rows, *finding.sensitivity), sentence=said)


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
    leaving = "leaving by choice" if by_choice else "leaving"
    warnings = ("between_persons",) if fitted.split else ("between_persons", "attenuated")
    part = "." in claim.id
    halves = "halves of what a person rated predict each other" if fitted.split else "own score as it is"
    return conclude(
        claim, estimate, rung="precedence", sd_ratio=fitted.sd_x, n_units=fitted.n_units, n_rows=fitted.n_rows,
        n_periods=fitted.n_periods + 1, n_people=fitted.n_people, warnings=warnings, sensitivity=sensitivity,
        checks=checks, express=percent_change,
        words=(
            f"{'For good performers, each' if part else 'Each'} point that a person is more satisfied than colleagues",
            f"{leaving} in the next period" + (", over and above what it means for others" if part else ""),
        ),
        method=f"Discrete-time hazard, complementary log-log, period and tenure; {halves}. One unit left out in turn.",
    )  # fmt: skip


def sentence(finding: Finding, words: tuple[str, str], express: Callable[[float], str], doubt: str = "") -> str:
    """Say a finding in words whose verb follows the rung.

    `words`: the exposure and the outcome; `doubt`: why an interval off zero does not settle the claim.
    """
    if finding.estimate is None or finding.ci_low is None or finding.ci_high is None or finding.smallest_effect is None:
        return finding.sentence
    more, what = words
    verb = VERBS[finding.rung]
    reported = "self-reported " if "same_source" in finding.warnings else ""
    interval = f"(95% interval {express(finding.ci_low)} to {express(finding.ci_high)})"
    size = f"{express(finding.estimate)} {reported}{what} {interval}"
    if finding.verdict == "supported":
        least = "at least " if "attenuated" in finding.warnings else ""
        inside = max(abs(finding.ci_low), abs(finding.ci_high)) < finding.smallest_effect
        return f"{more} {verb} {least}{size}" + (": supported, but too small to matter." if inside else ".")
    if finding.verdict == "contradicted":
        return f"Against the claim, {_lower(more)} {verb} {size}."
    smallest = express(finding.direction * finding.smallest_effect)
    if finding.verdict == "negligible":
        return f"{more} {verb} {size}: less than the {smallest} that would matter, either way."
    if doubt:
        return f"{more} {verb} {size}, but that does not settle the claim. {doubt}"
    detectable = express(finding.direction * (finding.detectable_effect or 0.0))
    unclear = f"It is not clear whether {_lower(more)} {verb} anything: {size}."
    return f"{unclear} An effect of {detectable} would have been found in four cases of five."


def percent_change(log_ratio: float) -> str:
    """A log hazard ratio as people say it.

    Examples
    --------
    >>> percent_change(-0.5), percent_change(0.1)
    ('39% less', '11% more')
    """
    change = 100 * (math.exp(min(log_ratio, 5.0)) - 1)
    size = f"{abs(change):.0f}" if abs(change) >= 1 else number(float(f"{abs(change):.1g}"))
    return f"{size}% {'less' if change < 0 else 'more'}"


def percentage_points(share: float) -> str:
    """Difference of shares as people say it.

    Examples
    --------
    >>> percentage_points(-0.0213)
    '−2.1 percentage points'
    """
    return f"{number(100 * share)} percentage points"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


# ---------------------------------------------------------------- what a notebook shows

CERTAINTY = {
    "supported": "Supported",
    "contradicted": "Contradicted",
    "negligible": "No effect that matters",
    "inconclusive": "Not clear yet",
    "not_estimable": "Cannot be answered",
}


def card(finding: Finding) -> str:
    """HTML of a finding: verdict, sentence, and how it is known; all text escaped."""
    head = f"{finding.id} · {CERTAINTY[finding.verdict]}"
    rung = "" if finding.rung == "none" else f" <span class='rung'>rung: {finding.rung}</span>"
    parts = [
        f"<div class='finding {finding.verdict}'>",
        f"<p class='verdict'><strong>{escape(head)}</strong>{rung}</p>",
        f"<p class='sentence'>{escape(finding.sentence)}</p>",
    ]
    if finding.estimate is not None:
        facts = (
            f"{finding.n_units} units, {finding.n_periods} periods, {finding.n_rows} rows. {finding.method} "
            f"Standardised {number(finding.standardised or 0.0)}; smallest effect that matters "
            f"{number(finding.smallest_effect or 0.0)}; adjusted p {p_text(finding.p_adjusted)}."
        )
        parts.append(f"<p class='facts'>{escape(facts)}</p>")
    if finding.warnings:
        parts.append(f"<p class='warnings'>{escape('; '.join(WARNINGS[w] for w in finding.warnings))}</p>")
    return "\n".join([*parts, "</div>"])


def p_text(p: float | None) -> str:
    """A p-value as people read it."""
    return "–" if p is None else "below .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


WARNINGS = {
    "same_source": "Exposure and outcome were answered by the same people: part of the relation may be mood.",
    "attenuated": "Unit averages are noisy and could not be corrected: the true relation is probably larger.",
    "n_unknown": "How many people stand behind the averages is not known for all of them.",
    "mixed_source": "Some periods come from persons' answers, others from aggregates.",
    "between_persons": "People are compared with others, not with themselves at another time.",
}


SO_WHAT = {
    "supported": "Act on it: start with the units that serve their customers worst. Keep measuring.",
    "contradicted": "Do not build on this claim here. Find out what else changed, and whether the measures still hold.",
    "negligible": "Do not expect this benefit from better internal service; there may be other reasons for it.",
    "inconclusive": "Do not act on this claim alone. More periods, more units or more answers a unit would settle it.",
    "not_estimable": "To answer it, the study needs what is named above.",
}


def so_what(finding: Finding) -> Page:
    """What to do with a finding."""
    weak = [check.detail for check in finding.checks if not check.passed]
    return paragraphs(SO_WHAT[finding.verdict], f"Mind: {'; '.join(weak)}." if weak else "")


def sensitivity_table(finding: Finding) -> Page:
    """Sensitivity rows of a finding, the headline first."""
    if finding.estimate is None:
        return paragraphs("There is nothing to vary: the claim could not be tested.")
    head = Row("headline", finding.estimate, finding.ci_low, finding.ci_high, finding.p)
    rows = [(r.name, r.estimate, r.ci_low, r.ci_high, p_text(r.p)) for r in (head, *finding.sensitivity)]
    return listing(rows, ("asked this way", "estimate", "from", "to", "p"))


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of a notebook, shown as a table and gathered by the runner."""

    rows: tuple[Metric, ...]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        rows = [(r.name.replace("_", " "), r.of, r.value, r.ci_low, r.ci_high, r.n) for r in self.rows]
        shown = listing(rows, ("metric", "of", "value", "from", "to", "n"))
        payload = {"metrics": plain([asdict(row) for row in self.rows])}
        return {MIME: payload, "text/html": shown.html, "text/plain": shown.text}
