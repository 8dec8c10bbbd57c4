"""From an estimate to a verdict and a sentence."""

import json
from dataclasses import replace

import numpy as np
import pytest

import icsat_helpers as ic
from icsat_helpers import evidence
from icsat_helpers.claims import Hypothesis, questions
from icsat_helpers.inference import Estimate

KEYS = [
    "id", "claim", "notebook", "verdict", "rung", "direction", "estimate", "ci_low", "ci_high", "ci_level", "p",
    "p_adjusted", "unit", "standardised", "smallest_effect", "detectable_effect", "n_units", "n_people", "n_rows",
    "n_periods", "method", "sensitivity", "checks", "warnings", "reason", "sentence",
]  # fmt: skip
WORDS = ("One point more", "{value} points")


def claim(**changes):
    given = dict(
        id="H1", claim="It helps.", null="It does not.", estimand="A slope.", direction=1, smallest_standardised=0.1,
        why="So.", unit="points", notebook="04-external-customers", exposure="internal", outcome="external",
    )  # fmt: skip
    return Hypothesis(**{**given, **changes})


def conclude(value, se, **changes):
    asked = {"rung": "precedence", "sd_ratio": 0.1, "n_units": 30, "n_periods": 12} | changes
    about = asked.pop("about", claim())
    return ic.conclude(
        about, Estimate(value, se, 29, np.full(30, value)), method="m", words=WORDS, n_rows=300, **asked
    )  # smallest effect: .1 / .1 = 1 point


@pytest.mark.parametrize(
    ("value", "se", "changes", "verdict"),
    [
        (4.0, 1.0, {}, "supported"),
        (-4.0, 1.0, {}, "contradicted"),
        (-4.0, 1.0, {"n_periods": 7}, "inconclusive"),  # feedback can turn a sign on a short panel
        (-4.0, 1.0, {"n_periods": 1, "rung": "association"}, "contradicted"),
        (0.1, 0.3, {}, "negligible"),
        (0.1, 0.3, {"warnings": ("attenuated",)}, "inconclusive"),
        (1.0, 1.0, {}, "inconclusive"),
        (4.0, 1.0, {"about": claim(direction=-1)}, "contradicted"),
        (-4.0, 1.0, {"about": claim(direction=-1)}, "supported"),
        (4.0, 1.0, {"n_units": 4}, "not_estimable"),
    ],
)
def test_verdicts(value, se, changes, verdict):
    assert conclude(value, se, **changes).verdict == verdict


def test_p_is_corrected_for_the_family_of_claims():
    alone, among = conclude(2.3, 1.0), conclude(2.3, 1.0, about=claim(family=7))
    assert alone.verdict == "supported"
    assert among.verdict == "inconclusive"
    assert "is followed by 2.3 points" in among.sentence
    assert among.sentence.endswith("As one of several claims asked at once, it may still be chance.")
    assert "chance" not in alone.sentence + conclude(1.0, 1.0, about=claim(family=7)).sentence
    assert among.p_adjusted == pytest.approx(7 * among.p)
    assert conclude(0.1, 1.0, about=claim(family=7)).p_adjusted == 1.0


def test_smallest_and_detectable_effects_are_in_the_estimates_unit():
    found = conclude(4.0, 1.0)
    assert found.smallest_effect == pytest.approx(1.0)
    assert found.standardised == pytest.approx(0.4)
    assert found.detectable_effect == pytest.approx(2.045 + 0.854, abs=0.001)
    assert conclude(4.0, 1.0, about=claim(smallest_raw=2.5)).smallest_effect == 2.5


@pytest.mark.parametrize(
    ("rung", "verb", "other"),
    [("association", "goes with", "is followed by"), ("precedence", "is followed by", "goes with")],
)
def test_the_verb_follows_the_rung(rung, verb, other):
    sentence = conclude(4.0, 1.0, rung=rung).sentence
    assert verb in sentence
    assert other not in sentence
    assert "changed after" not in sentence
    assert "raised" not in sentence
    assert "cause" not in sentence


def test_sentences_say_what_was_earned():
    assert conclude(4.0, 1.0).sentence == "One point more is followed by 4 points (95% interval 2 to 6)."
    assert "at least 4" in conclude(4.0, 1.0, warnings=("attenuated",)).sentence
    assert "self-reported" in conclude(4.0, 1.0, warnings=("same_source",)).sentence
    assert "too small to matter" in conclude(0.5, 0.1).sentence
    assert "not clear" in conclude(1.0, 1.0).sentence
    assert "four cases of five" in conclude(1.0, 1.0).sentence
    assert "Against the claim" in conclude(-4.0, 1.0).sentence


def test_a_finding_has_the_contracts_fields_and_six_digits():
    found = conclude(4.123456789, 1.0, sensitivity=(evidence.Row("plain", 1.0, None, float("nan"), 0.5),))
    bundle = found._repr_mimebundle_()
    payload = bundle[evidence.MIME]["findings"][0]
    assert list(payload) == KEYS
    assert payload["estimate"] == 4.12346
    assert payload["sensitivity"][0]["ci_high"] is None
    json.dumps(payload, allow_nan=False)


def test_text_from_data_is_escaped_on_the_card():
    found = ic.not_estimable(claim(), "the unit <script>alert(1)</script> is missing")
    assert "<script>" not in evidence.card(found)
    assert "&lt;script&gt;" in evidence.card(found)


def test_every_registered_claim_is_complete():
    for name in ("H1", "H2", "H3", "H3.performance", "H4", "H4.first_response", "H4.rework", "H5", "H6", "H7"):
        found = ic.hypothesis(name)
        assert found.direction in (1, -1)
        assert 0 < found.smallest_standardised < 1
        assert found.claim
        assert found.estimand
        assert found.null
    with pytest.raises(KeyError):
        ic.hypothesis("H9")


def test_the_family_is_what_the_study_can_answer(example, study_of_scores):
    assert ic.hypothesis("H1", example).family == 7
    assert ic.hypothesis("H3.performance", example).family == 1
    assert ic.hypothesis("H4.rework", example).family == 2  # parts are a family of their own
    without = replace(
        example, tables={**example.tables, "operations": example.table("operations").drop(columns="rework_rate")}
    )
    assert ic.hypothesis("H4.first_response", replace(without)).family == 1
    study = study_of_scores(8, 1)
    assert ic.hypothesis("H1", study).family == 1
    assert {q.id for q in questions(study) if q.answerable} == {"H1"}
    assert all(q.reason for q in questions(study) if not q.answerable)
