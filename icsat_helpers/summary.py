"""What the executive summary says: read from a run's ``findings.json``, never computed again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icsat_helpers import charts
from icsat_helpers.changes import revised, since, told
from icsat_helpers.claims import questions
from icsat_helpers.disclosure import publishable
from icsat_helpers.evidence import CERTAINTY, WARNINGS
from icsat_helpers.health import invited, response
from icsat_helpers.listing import Page, listing, paragraphs, steps
from icsat_helpers.project import ROOT
from icsat_helpers.results import folder, read_json
from icsat_helpers.study import Study
from icsat_helpers.words import number

MAIN = re.compile(r"H\d+$")
NOT_TESTED = "Not tested"
CLOSE, FAR = 1.5, 20  # times the data there is: hardly more, and more than anybody will collect
FEW_NAMES = 8  # units named on the first screen
ANCHORS = {"H1": ("customer satisfaction", 0.32), "H3": ("turnover", -0.36), "H4": ("productivity", 0.20)}
"""True-score correlations with job satisfaction over business units (Harter, Schmidt & Hayes 2002)."""


@dataclass(frozen=True, slots=True)
class Results:
    """Findings and metrics of a period, and of the period before where they are there.

    Attributes
    ----------
    findings, metrics, before : list of dict, as in ``findings.json``
    revised : list of str, or None
        Tables of which what was known a period ago has been revised since; None where it is not known.
    """

    findings: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    before: list[dict[str, Any]]
    revised: list[str] | None = None

    @property
    def main(self) -> list[dict[str, Any]]:
        """Findings of H1 to H7, without parts, in order."""
        return sorted((f for f in self.findings if MAIN.match(f["id"])), key=lambda f: int(f["id"][1:]))

    @property
    def parts(self) -> list[dict[str, Any]]:
        """Findings of parts of a claim, such as H7.training, in order."""
        return sorted((f for f in self.findings if not MAIN.match(f["id"])), key=lambda f: str(f["id"]))


def results(study: Study, output: str) -> Results:
    """Read the findings of this run and of the period before; empty where there are none yet."""

    def read(period: str, file: str) -> dict[str, Any]:
        for root in (Path(output), ROOT / output):
            path = folder(root, period, study.site) / file
            if path.is_file():
                found = read_json(path)
                return found if found.get("study") == study.settings.name else {}
        return {}

    last = study.label(study.t - 1)
    now, before = read(study.period, "findings.json"), read(last, "findings.json")
    known = read(last, "manifest.json").get("tables", {}) if before else {}
    return Results(now.get("findings", []), now.get("metrics", []), before.get("findings", []), revised(study, known))


def headline(study: Study, found: Results) -> Page:
    """Scores, favourable share and response rate of the period, and how each changed since the one before."""
    wanted = {
        ("mean", "internal"): "Internal satisfaction",
        ("favourable_share", "internal"): "Favourable answers",
        ("response_rate", "internal"): "People who answered",
        ("mean", "morale"): "Morale",
        ("mean", "external"): "External score",
    }
    by_name = {(m["name"], m["of"]): m for m in found.metrics}
    where = f"{study.settings.name}, {study.site}" if study.site else study.settings.name
    if not wanted.keys() & by_name.keys():
        which = (
            "There are no scores: 01-data-health did not run."
            if found.findings
            else "There are no results yet: run `icsat run`."
        )
        return paragraphs(f"{where}, {study.period}. {which}")
    rows = []
    for name, label in wanted.items():
        if name in by_name:
            metric, changed = by_name[name], since(study, *name)
            share = name[0] != "mean"
            now = _interval(metric["value"], metric["ci_low"], metric["ci_high"], share)
            moved = _interval(changed.value, changed.low, changed.high, share, sign=True) if changed else "–"
            rows.append((label, now, moved, metric["n"]))
    head = (f"{where}, {study.period}", "now (95% interval)", f"change since {study.label(study.t - 1)}", "people")
    return listing(rows, head)


def _interval(value: float, low: float | None, high: float | None, share: bool, sign: bool = False) -> str:
    """Say a number and its interval as people read them: two decimals, or per cent; a change with its sign."""
    kind = ("+" if sign else "") + (".0f" if share else ".2f")

    def said(x: float) -> str:
        text = format(100 * x if share else x, kind).replace("-", "−")
        return text.lstrip("+−") if float(text.replace("−", "-")) == 0 else text

    unit = (" points" if sign else "%") if share else ""
    return f"{said(value)}{unit}" + ("" if low is None or high is None else f" ({said(low)} to {said(high)})")


def not_heard(study: Study) -> Page:
    """Who is not heard: units of which fewer than half answered, and units too small to show."""
    if not len(invited(study)):
        return paragraphs("Not heard: who was asked is not known, for there is no table people.")
    shown = publishable(response(study), "n", study.settings.minimum_group, ["share", "low", "high", "answered"])
    hidden = int((shown["shown"] != "").sum())
    low = shown[shown["share"] < 0.5].sort_values(["share", "unit"])
    names = [f"{row.name_} ({100 * row.share:.0f}%)" for row in low.rename(columns={"name": "name_"}).itertuples()]
    more = f" and {len(names) - FEW_NAMES} more" if len(names) > FEW_NAMES else ""
    heard = "In every unit that can be shown at least half of the people answered."
    told_ = f"Not heard: fewer than half answered in {', '.join(names[:FEW_NAMES])}{more}." if names else heard
    small = f"{hidden} of {len(shown)} units are not shown, so that no small group can be told." if hidden else ""
    return paragraphs(told_, small)


def cautions(found: Results) -> Page:
    """Checks that did not pass, and warnings, claim by claim."""
    rows = [
        (f["id"], c["name"].replace("_", " "), c["detail"]) for f in found.main for c in f["checks"] if not c["passed"]
    ]
    rows += [(f["id"], "mind", WARNINGS[w]) for f in found.main for w in f["warnings"]]
    return (
        listing(rows, ("claim", "check", "detail"))
        if rows
        else paragraphs("Every check passed, or there was none to make.")
    )


def claims_table(study: Study, found: Results) -> Page:
    """One row a claim: what is known, in words; claims that were not tested in this run say so."""
    by_id, earlier = {f["id"]: f for f in found.main}, {f["id"]: f for f in found.before}
    rows = []
    for question in questions(study):
        finding = by_id.get(question.id)
        if finding is not None:
            rows.append(
                (question.id, question.claim, _verdict(finding), finding["sentence"],
                 told(finding, earlier.get(question.id), found.revised), to_know_more(finding))
            )  # fmt: skip
        elif question.answerable:
            rows.append((question.id, question.claim, NOT_TESTED, "Not tested in this run.", "", "Run its notebook."))
        else:
            said = f"This study cannot answer it: {question.reason}."
            rows.append((question.id, question.claim, CERTAINTY["not_estimable"], said, "", MORE["not_estimable"]))
    return listing(rows, ("Id", "Claim", "Verdict", "What is known", "Since last period", "To know more"))


def _verdict(finding: dict[str, Any]) -> str:
    """Verdict with the rung it was reached on."""
    rung = finding.get("rung", "none")
    return CERTAINTY[finding["verdict"]] + ("" if rung == "none" else f" (rung: {rung})")


def parts_table(found: Results) -> Page:
    """Parts of the claims, one row each; nothing where there are none."""
    rows = [(f["id"], f["claim"], _verdict(f), f["sentence"]) for f in found.parts]
    return listing(rows, ("Id", "Part of a claim", "Verdict", "What is known")) if rows else paragraphs("")


MORE = {
    "not_estimable": "The data that are named there.",
    "negligible": "Nothing: what there may be is too small to matter.",
    "association": "Three or more periods, to see which comes first.",
    "precedence": "A programme started at different times in different units, to see whether it can be brought about.",
    "intervention": "Units drawn by lot for the programme, to be sure that it was the programme.",
}


def to_know_more(finding: dict[str, Any]) -> str:
    """What would have to be there to know more than a finding says."""
    if finding["verdict"] in MORE:
        return MORE[finding["verdict"]]
    needs = [MORE[finding["rung"]]] if finding["verdict"] != "inconclusive" and finding.get("rung") in MORE else []
    found, wanted = finding.get("detectable_effect"), finding.get("smallest_effect")
    if finding["verdict"] == "inconclusive" and found and wanted:
        times = (found / wanted) ** 2  # standard errors shrink with the root of the data
        needs.append(_more_of_the_same(times))
    if "attenuated" in finding["warnings"]:
        needs.append("Answers of persons, more of them in each unit, to free averages of noise.")
    if "same_source" in finding["warnings"]:
        needs.append("The two asked of different people.")
    return " ".join(needs)


def _more_of_the_same(times: float) -> str:
    """What `times` as much data means for who has to collect it."""
    if times <= CLOSE:
        return "A few more periods: an effect just large enough to matter is within reach."
    if times <= FAR:
        return f"About {number(times)} times as many units or periods, to find an effect just large enough to matter."
    return (
        f"More of the same will not do for an effect just large enough to matter (over {FAR} times as many units or "
        "periods): more answers in each unit, or a programme started at different times."
    )


def claims_chart(study: Study, found: Results) -> charts.Chart:
    """Every registered claim with its effect, or with why there is none."""
    by_id = {f["id"]: f for f in found.main}
    blank = {"estimate": None, "standardised": None}
    return charts.claims(
        [
            by_id.get(q.id, {"id": q.id, "verdict": "not_tested" if q.answerable else "not_estimable"} | blank)
            for q in questions(study)
        ]
    )


def context(found: Results) -> Page:
    """Published relations beside those found here; context, not a test."""
    by_id = {f["id"]: f for f in found.main if f.get("standardised") is not None}
    rows = [
        (name, what, f"{r:.2f}".replace("-", "−"), number(by_id[name]["standardised"]) if name in by_id else "–")
        for name, (what, r) in ANCHORS.items()
    ]
    shown = listing(rows, ("claim", "relation with", "published (context only)", "here, standardised"))
    note = paragraphs(
        "Context only, no yardstick: published are correlations of job satisfaction over business units, corrected for "
        "noise (Harter, Schmidt & Hayes 2002). Here it is internal satisfaction, on the rung named above; for turnover "
        "it is the log hazard of leaving for one standard deviation, where persons can be followed."
    )
    return Page(shown.html + note.html, f"{shown.text}\n\n{note.text}")


def next_steps(found: Results) -> Page:
    """What to do: build on what is supported, then what would settle the open claims."""
    advice = {
        "supported": "keep and build on it",
        "contradicted": "do not rely on it",
        "inconclusive": "measure on",
    }
    todo = [
        f"{f['id']}: {advice[verdict]}. {f['sentence']}"
        for verdict in advice
        for f in found.main
        if f["verdict"] == verdict
    ]
    return steps(todo or ["No claim could be tested yet. `icsat check` says which table opens which question."])
