"""The registered claims, and which of them a study can answer: known from its tables alone, before any p."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, replace
from typing import Any

from icsat_helpers.adoption import rollouts, shortfall
from icsat_helpers.associates import associates_panel
from icsat_helpers.cache import noted
from icsat_helpers.panel import FEWEST_UNITS, unit_panel
from icsat_helpers.project import ROOT
from icsat_helpers.scores import person_scores, unit_scores
from icsat_helpers.study import Study
from icsat_helpers.words import known, message, say, say_each, series, significant, spoken

SHARES = {
    "turnover": {
        "axis": message("Turnover, share"),
        "change": message("{value} change in turnover (a share of people)"),
    },
    "intent_to_leave": {
        "axis": message("Intent to leave, share"),
        "change": message("{value} change in intent to leave (a share of people)"),
    },
}
"""What H3 is called on the units' averages: at an axis, and in a sentence."""
REGISTER = ROOT / "notebooks" / "hypotheses.toml"


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A registered claim; the fields are those of ``notebooks/hypotheses.toml``.

    `family` is the number of claims H1 to H7 that the study can answer, known before any p; parts of a claim are a
    family of their own (of H7 as many as there are programmes that can be judged). `smallest_raw` is the study's own
    smallest effect, if it names one.
    """

    id: str
    claim: str
    null: str
    estimand: str
    direction: int
    smallest_standardised: float
    why: str
    unit: str
    notebook: str
    exposure: str
    outcome: str
    family: int = 1
    smallest_raw: float | None = None

    def _repr_markdown_(self) -> str:
        expected = (
            say("The claim expects a value above zero.")
            if self.direction > 0
            else say("The claim expects a value below zero.")
        )
        smallest = (
            say("{size} {unit} (this study's own)", size=significant(self.smallest_raw), unit=known(self.unit))
            if self.smallest_raw is not None
            else say(
                "{size} standard deviations. {why}", size=significant(self.smallest_standardised), why=say(self.why)
            )
        )
        null, estimand, matters = say_each("Null.", "Estimand.", "Smallest effect that matters.")
        rows = [
            f"**{self.id}.** {self.claim}",
            f"**{null}** {say(self.null)}",
            f"**{estimand}** {say(self.estimand)} {expected}",
            f"**{matters}** {smallest}",
        ]
        return "\n\n".join(rows)


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a study can answer a claim, and if not, what is missing."""

    id: str
    notebook: str
    claim: str
    answerable: bool
    reason: str


def _registered() -> dict[str, dict[str, Any]]:
    """Claims by id; parts of a claim (H3.performance) take what they do not say from it."""
    claims: dict[str, dict[str, Any]] = {}
    for name, block in tomllib.loads(REGISTER.read_text(encoding="utf-8")).items():
        own = {key: value for key, value in block.items() if not isinstance(value, dict)}
        claims[name] = own
        claims |= {f"{name}.{part}": {**own, **value} for part, value in block.items() if isinstance(value, dict)}
    return claims


def hypothesis(name: str, study: Study | None = None) -> Hypothesis:
    """Registered claim `name`; given a study, with the family size and smallest effect that hold for it.

    Every programme is a part of H7, whatever its name: ``H7.training``.

    Raises
    ------
    KeyError
        For a claim that is not registered.
    """
    registered = _registered()
    programme = name.removeprefix("H7.") if name.startswith("H7.") else ""
    claim = Hypothesis(id=name, **registered["H7" if programme else name])
    said = (
        say("The programme “{name}” makes a provider's customers more satisfied.", name=known(programme))
        if programme
        else say(claim.claim)
    )
    claim = replace(claim, claim=said)
    if study is None:
        return claim
    smallest = study.settings.smallest_effects
    if programme:
        return replace(claim, family=max(1, _estimable(study)), smallest_raw=smallest.get(name, smallest.get("H7")))
    family = _parts(name, study) if "." in name else max(1, sum(q.answerable for q in questions(study)))
    return replace(claim, family=family, smallest_raw=smallest.get(name))


def of_aggregates(claim: Hypothesis, measure: str) -> Hypothesis:
    """Claim on what someone else computed; turnover and the intention to leave are shares of a unit's people."""
    shares = f"{measure.replace('_', ' ')} (a share of people)"
    what = "productivity as delivered" if measure == "productivity" else shares
    unit = f"{what} for each point of internal satisfaction"
    return replace(claim, unit=unit, smallest_raw=None)


def of_customers(claim: Hypothesis) -> Hypothesis:
    """H7 where only aggregates say how satisfied a unit is: on the units with the programme as customers."""
    said = (
        say("Units with the programme “{name}” became more satisfied as customers.", name=known(claim.id[3:]))
        if "." in claim.id
        else say("Units with an improvement programme became more satisfied as customers.")
    )
    return replace(claim, claim=said, unit="points of the units' own internal satisfaction")


def questions(study: Study) -> list[Question]:
    """Which of the claims H1 to H7 this study can answer; known from the tables alone, before any p."""
    name = f"questions-{spoken()}"
    rows = study.once(name, lambda: noted(study, name, lambda: [asdict(each) for each in _questions(study)]))
    return [Question(**row) for row in rows]


def _questions(study: Study) -> list[Question]:
    reasons = {
        "H1": unit_panel(study, "internal", "external").reason,
        "H2": unit_panel(study, "internal", "morale").reason,
        "H3": leaving(study),
        "H4": unit_panel(study, "internal", "productivity").reason,
        "H5": chain_reason(study),
        "H6": associates_panel(study).reason,
        "H7": _programmes(study),
    }
    claims = _registered()
    return [
        Question(name, claims[name]["notebook"], say(claims[name]["claim"]), not reason, reason)
        for name, reason in reasons.items()
    ]


def leaving_measure(study: Study) -> str:
    """What H3 is tested on: "persons" where leaving is recorded, else "turnover", "intent_to_leave" or ""."""
    people, answers = study.table("people"), person_scores(study, "internal")
    if study.has("people") and "left_on" in people and people["left_on"].notna().any() and len(answers):
        left = people["left_on"].notna()
        if "leave_reason" in people and people["leave_reason"].notna().any():
            left &= people["leave_reason"] == "voluntary"
        known = answers[answers["linked"] & answers["person"].isin(people["person_id"]) & (answers["t"] < study.t)]
        known = known if left.any() else known.iloc[:0]
        if known["unit"].nunique() >= FEWEST_UNITS:
            return "persons"
    return next((m for m in ("turnover", "intent_to_leave") if len(unit_scores(study, m))), "")


def leaving(study: Study) -> str:
    """Why H3 cannot be answered, or ""."""
    measure = leaving_measure(study)
    if measure:
        return "" if measure == "persons" else unit_panel(study, "internal", measure).reason
    people = study.table("people")
    if not study.has("people"):
        return say("there is no table people with left_on, and no turnover in unit_scores")
    if "left_on" not in people:
        return say("people has no column left_on, and there is no turnover in unit_scores")
    if people["left_on"].isna().all():
        return say("nobody has left yet, and there is no turnover in unit_scores")
    return say("fewer than five units have answers of people followed into a next period")


def chain_reason(study: Study) -> str:
    """Why H5 cannot be answered, or "": two chains of three periods, four or more in all, in at least five units."""
    parts = [unit_panel(study, "internal", "morale"), unit_panel(study, "morale", "external")]
    missing = [part.reason for part in parts if part.reason]
    if missing:
        return missing[0]
    first, second = (part.frame.dropna(subset=["exposure", "outcome_next"])[["unit", "t"]] for part in parts)
    whole = first.merge(second.assign(t=second["t"] - 1), on=["unit", "t"])
    repeated = whole[whole.groupby("unit")["t"].transform("nunique") > 1]
    if repeated["unit"].nunique() >= FEWEST_UNITS:
        return ""
    return say("the chain needs all three measures in four or more periods, in at least {n} units", n=FEWEST_UNITS)


def _parts(name: str, study: Study) -> int:
    """How many parts of the claim that `name` is a part of the study can answer; known from the tables alone."""
    whole = _registered()[name.partition(".")[0]]
    parts = [block for other, block in _registered().items() if other.startswith(name.partition(".")[0] + ".")]
    asked = [block["outcome"] for block in parts if block["outcome"] != whole["outcome"]]
    other = len(parts) - len(asked)
    return max(1, other + sum(not unit_panel(study, whole["exposure"], outcome).reason for outcome in asked))


def _programmes(study: Study) -> str:
    if study.table("programmes").empty:
        return say("there is no table programmes, or nothing in it has started")
    found = rollouts(study)
    if not found:
        return say("there are no answers on internal satisfaction, and no internal in unit_scores")
    missing = {rollout.name: shortfall(rollout, study.settings.minimum_group) for rollout in found}
    return (
        ""
        if not all(missing.values())
        else series(say("“{name}”: {why}", name=known(name), why=why) for name, why in missing.items())
    )


def _estimable(study: Study) -> int:
    return sum(not shortfall(rollout, study.settings.minimum_group) for rollout in rollouts(study))
