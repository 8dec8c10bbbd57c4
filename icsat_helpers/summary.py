"""What the executive summary says: read from a run's ``findings.json``, never computed again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icsat_helpers import charts
from icsat_helpers.changes import revised, since, told
from icsat_helpers.claims import questions
from icsat_helpers.evidence import CERTAINTY, WARNINGS
from icsat_helpers.health import history
from icsat_helpers.listing import Drawn, Page, listing, paragraphs, steps
from icsat_helpers.panel import RUNGS
from icsat_helpers.project import ROOT
from icsat_helpers.response import invited, of_units
from icsat_helpers.results import folder, read_json
from icsat_helpers.study import Study
from icsat_helpers.vectors import sparkline
from icsat_helpers.words import fixed, known, message, number, period, places, say, say_each

MAIN = re.compile(r"H\d+$")
NOT_TESTED = message("Not tested")
CLOSE, FAR = 1.5, 20  # times the data there is: hardly more, and more than anybody will collect
FEW_NAMES = 8  # units named on the first screen
MOST_NAMES = 3  # providers to start with
SUBJECTS = {
    "H1": message("External customers"), "H2": message("Morale"), "H3": message("Retention"),
    "H4": message("Productivity"), "H5": message("Service-profit chain"), "H6": message("Associates"),
    "H7": message("Programmes"),
}  # fmt: skip
"""Each claim in a word or two, as its page is called."""
ANCHORS = {
    "H1": (message("customer satisfaction"), 0.32),
    "H3": (message("turnover"), -0.36),
    "H4": (message("productivity"), 0.20),
}
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
        ("mean", "internal"): message("Internal satisfaction"),
        ("favourable_share", "internal"): message("Favourable answers"),
        ("response_rate", "internal"): message("People who answered"),
        ("mean", "morale"): message("Morale"),
        ("mean", "external"): message("External score"),
    }
    by_name = {(m["name"], m["of"]): m for m in found.metrics}
    where = ", ".join(filter(None, [study.settings.name, study.site, period(study.period)]))
    if not wanted.keys() & by_name.keys():
        which = (
            say("There are no scores: 01-data-health did not run.")
            if found.findings
            else say("There are no results yet: run `icsat run`.")
        )
        return paragraphs(f"{where}. {which}")
    rows = []
    for name, label in wanted.items():
        if name in by_name:
            metric, changed = by_name[name], since(study, *name)
            share = name[0] != "mean"
            now = _interval(metric["value"], metric["ci_low"], metric["ci_high"], share)
            moved = _interval(changed.value, changed.low, changed.high, share, sign=True) if changed else "–"
            rows.append((_trend(study, say(label), *name), now, moved, metric["n"]))
    before = say("change since {period}", period=period(study.label(study.t - 1)))
    return listing(rows, (where, say("now (95% interval)"), before, say("people")))


def _trend(study: Study, label: str, name: str, measure: str) -> Drawn | str:
    """A metric's name, and under it how it went over all periods."""
    frame = history(study, name, measure).dropna(subset=["value"])
    if len(frame) < 2:
        return label
    frame = frame.set_index("t").reindex(range(frame["t"].min(), study.t + 1))
    first, last = (_interval(value, None, None, name != "mean") for value in frame["value"].dropna().iloc[[0, -1]])
    start = period(study.label(int(frame.index[0])))
    alt = say("{first} in {start}, {last} in {end}", first=first, start=start, last=last, end=period(study.period))
    return Drawn(label, sparkline(frame["value"], frame["low"], frame["high"]), alt)


def _interval(value: float, low: float | None, high: float | None, share: bool, sign: bool = False) -> str:
    """Say a number and its interval as people read them: two decimals, or per cent; a change with its sign."""

    def said(x: float) -> str:
        text = places(100 * x if share else x, 0 if share else 2, "+" if sign else "")
        return text if text.strip("+0.,") else text.lstrip("+")

    one = said(value)
    if share:
        one = say("{value} points", value=one) if sign else say("{value}%", value=one)
    if low is None or high is None:
        return one
    return say("{value} ({low} to {high})", value=one, low=said(low), high=said(high))


def not_heard(study: Study) -> Page:
    """Who is not heard: units of which about half or fewer answered, and units too small to show."""
    if not len(invited(study)):
        return paragraphs(say("Not heard: who was asked is not known, for there is no table people."))
    shown = of_units(study)
    hidden = int((shown["shown"] != "").sum())
    low = shown[shown["share"] < 0.5].sort_values(["share", "unit"])
    units = [
        say("{name} ({share}%)", name=name, share=fixed(100 * share, 0))
        for name, share in zip(low["name"], low["share"], strict=True)
    ]
    names, more = ", ".join(units[:FEW_NAMES]), len(units) - FEW_NAMES
    if more > 0:
        heard = say(
            "Not heard: about half or fewer answered in {names} and {n} more; the rates of units are rounded.",
            names=names,
            n=more,
        )
    elif units:
        heard = say("Not heard: about half or fewer answered in {names}; the rates of units are rounded.", names=names)
    else:
        heard = say(
            "In every unit that can be shown about half of the people or more answered; the rates of units are rounded."
        )
    small = say("{n} of {units} units are not shown, so that no small group can be told.", n=hidden, units=len(shown))
    return paragraphs(heard, small if hidden else "")


def cautions(found: Results) -> Page:
    """Checks that did not pass, and warnings, claim by claim."""
    rows = [
        (f["id"], known(c["name"].replace("_", " ")), c["detail"])
        for f in found.main
        for c in f["checks"]
        if not c["passed"]
    ]
    rows += [(f["id"], say("mind"), say(WARNINGS[w])) for f in found.main for w in f["warnings"]]
    return (
        listing(rows, say_each("claim", "check", "detail"))
        if rows
        else paragraphs(say("Every check passed, or there was none to make."))
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
            first, why, to_do = say_each(NOT_TESTED, "Not tested in this run.", "Run its notebook.")
            rows.append((question.id, question.claim, first, why, "", to_do))
        else:
            said = say("This study cannot answer it: {reason}.", reason=question.reason)
            rows.append(
                (question.id, question.claim, say(CERTAINTY["not_estimable"]), said, "", say(MORE["not_estimable"]))
            )
    return listing(rows, say_each("Id", "Claim", "Verdict", "What is known", "Since last period", "To know more"))


def _verdict(finding: dict[str, Any]) -> str:
    """Verdict with the rung it was reached on."""
    verdict, rung = say(CERTAINTY[finding["verdict"]]), RUNGS.get(finding.get("rung", "none"))
    return say("{verdict} (rung: {rung})", verdict=verdict, rung=say(rung)) if rung else verdict


def parts_table(found: Results) -> Page:
    """Parts of the claims, one row each; nothing where there are none."""
    rows = [(f["id"], f["claim"], _verdict(f), f["sentence"]) for f in found.parts]
    return listing(rows, say_each("Id", "Part of a claim", "Verdict", "What is known")) if rows else paragraphs("")


MORE = {
    "not_estimable": message("The data that are named there."),
    "negligible": message("Nothing: what there may be is too small to matter."),
    "association": message("Three or more periods, to see which comes first."),
    "precedence": message(
        "A programme started at different times in different units, to see whether it can be brought about."
    ),
    "intervention": message("Units drawn by lot for the programme, to be sure that it was the programme."),
}


def to_know_more(finding: dict[str, Any]) -> str:
    """What would have to be there to know more than a finding says."""
    if finding["verdict"] in MORE:
        return say(MORE[finding["verdict"]])
    rung = MORE.get(finding.get("rung", "none"), "") if finding["verdict"] != "inconclusive" else ""
    needs = [say(rung)] if rung else []
    found, wanted = finding.get("detectable_effect"), finding.get("smallest_effect")
    if finding["verdict"] == "inconclusive" and found and wanted:
        times = (found / wanted) ** 2  # standard errors shrink with the root of the data
        needs.append(_more_of_the_same(times))
    if "attenuated" in finding["warnings"]:
        needs.append(say("Answers of persons, more of them in each unit, to free averages of noise."))
    if "same_source" in finding["warnings"]:
        needs.append(say("The two asked of different people."))
    return " ".join(needs)


def _more_of_the_same(times: float) -> str:
    """What `times` as much data means for who has to collect it."""
    if times <= CLOSE:
        return say("A few more periods: an effect just large enough to matter is within reach.")
    if times <= FAR:
        return say(
            "About {times} times as many units or periods, to find an effect just large enough to matter.", times=times
        )
    return say(
        "More of the same will not do for an effect just large enough to matter (over {times} times as many units or "
        "periods): more answers in each unit, or a programme started at different times.",
        times=FAR,
    )


def claims_chart(study: Study, found: Results) -> charts.Chart:
    """Every registered claim with its effect, or with why there is none."""
    by_id = {f["id"]: f for f in found.main}
    blank = {"estimate": None, "standardised": None}
    return charts.claims(
        [
            by_id.get(q.id, {"id": q.id, "verdict": "not_tested" if q.answerable else "not_estimable"} | blank)
            | {"name": say("{subject} ({id})", subject=say(SUBJECTS[q.id]), id=q.id)}
            for q in questions(study)
        ]
    )


def context(found: Results) -> Page:
    """Published relations beside those found here; context, not a test."""
    by_id = {f["id"]: f for f in found.main if f.get("standardised") is not None}
    rows = [
        (name, say(what), places(r, 2), number(by_id[name]["standardised"]) if name in by_id else "–")
        for name, (what, r) in ANCHORS.items()
    ]
    shown = listing(rows, say_each("claim", "relation with", "published (context only)", "here, standardised"))
    note = paragraphs(
        say(
            "Context only, no yardstick: published are correlations of job satisfaction over business units, corrected "
            "for noise (Harter, Schmidt & Hayes 2002). Here it is internal satisfaction, on the rung named above; for "
            "turnover it is the log hazard of leaving for one standard deviation, where persons can be followed."
        )
    )
    return Page(shown.html + note.html, f"{shown.text}\n\n{note.text}")


def first(found: Results) -> Page:
    """The three things to do first, each with why: the scale, the providers, the programme that the pages name."""
    urgent = next((m["of"].partition(".")[2] for m in found.metrics if m["name"] == "urgency"), "")
    favourable = next(
        (m["value"] for m in found.metrics if (m["name"], m["of"]) == ("favourable_share", f"internal.{urgent}")), None
    )
    low = [m["of"] for m in found.metrics if m["name"] == "lower_half"][:MOST_NAMES]
    programmes = [f for f in found.parts if f["id"].startswith("H7.")]
    worked = [f for f in programmes if f["verdict"] == "supported"]
    worked = sorted(worked, key=lambda f: -abs(f["standardised"] or 0))[:1]
    todo = []
    if urgent and favourable is not None:
        todo.append(
            say("Improve {scale}. Of what is proven to go with good outcomes it leaves most to gain: {share}% of its "
                "answers are favourable (Drivers).", scale=known(urgent), share=round(100 * favourable))
        )  # fmt: skip
    if low:
        todo.append(
            say("Start with {providers}: rated lowest by those they serve, in the lower half with some certainty "
                "(The service map).", providers=", ".join(low))
        )  # fmt: skip
    for f in worked:
        todo.append(
            say("Extend {programme} to the units without it. {sentence}",
                programme=known(f["id"].partition(".")[2]), sentence=f["sentence"])
        )  # fmt: skip
    nothing = say("Nothing is proven yet that would say where to begin; see below what would settle it.")
    return steps(todo or [nothing])


def next_steps(found: Results) -> Page:
    """What to do: build on what is supported, then what would settle the open claims."""
    advice = {
        "supported": message("{claim}: keep and build on it. {sentence}"),
        "contradicted": message("{claim}: do not rely on it. {sentence}"),
        "inconclusive": message("{claim}: measure on. {sentence}"),
    }
    todo = [
        say(advice[verdict], claim=f["id"], sentence=f["sentence"])
        for verdict in advice
        for f in found.main
        if f["verdict"] == verdict
    ]
    return steps(todo or [say("No claim could be tested yet. `icsat check` says which table opens which question.")])
