"""What the executive summary says: read from a run's ``findings.json``, never computed again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icsat_helpers.claims import questions
from icsat_helpers.evidence import CERTAINTY, WARNINGS
from icsat_helpers.listing import Page, listing, paragraphs, steps
from icsat_helpers.results import folder
from icsat_helpers.study import Study

MAIN = re.compile(r"H\d+$")


@dataclass(frozen=True, slots=True)
class Results:
    """Findings and metrics of a period, and of the period before where they are there.

    Attributes
    ----------
    findings, metrics, before : list of dict, as in ``findings.json``
    """

    findings: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    before: list[dict[str, Any]]

    @property
    def main(self) -> list[dict[str, Any]]:
        """Findings of H1 to H7, without parts, in order."""
        return sorted((f for f in self.findings if MAIN.match(f["id"])), key=lambda f: int(f["id"][1:]))


def results(study: Study, output: str) -> Results:
    """Read the findings of this run and of the period before; empty where there are none yet."""

    def read(period: str) -> dict[str, Any]:
        for root in (Path(output), Path(__file__).resolve().parent.parent / output):
            path = folder(root, period, study.site) / "findings.json"
            if path.is_file():
                found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
                return found if found.get("study") == study.settings.name else {}
        return {}

    now, before = read(study.period), read(study.label(study.t - 1))
    return Results(now.get("findings", []), now.get("metrics", []), before.get("findings", []))


def headline(study: Study, found: Results) -> Page:
    """Score, favourable share and response rate of the period, one line each."""
    wanted = {
        ("mean", "internal"): "Internal satisfaction, mean",
        ("favourable_share", "internal"): "Favourable answers, share",
        ("response_rate", "internal"): "Response rate, share",
        ("mean", "morale"): "Morale, mean",
        ("mean", "external"): "External score, mean",
    }
    rows = [
        (wanted[m["name"], m["of"]], m["value"], m["ci_low"], m["ci_high"], m["n"])
        for m in found.metrics
        if (m["name"], m["of"]) in wanted
    ]
    where = f", {study.site}" if study.site else ""
    if not rows:
        return paragraphs(
            f"{study.settings.name}{where}, {study.period}. There are no results of this period yet: run `icsat run`."
        )
    shown = listing(rows, (f"{study.settings.name}{where}, {study.period}", "value", "from", "to", "n"))
    return shown


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
            said, verdict = finding["sentence"], CERTAINTY[finding["verdict"]]
            change = _change(finding, earlier.get(question.id))
        elif question.answerable:
            said, verdict, change = "Not tested in this run.", "Not tested", ""
        else:
            said, verdict, change = (
                f"This study cannot answer it: {question.reason}.",
                CERTAINTY["not_estimable"],
                "",
            )
        rows.append((question.id, question.claim, verdict, said, change))
    return listing(rows, ("", "Claim", "Verdict", "What is known", "Since last period"))


def _change(finding: dict[str, Any], before: dict[str, Any] | None) -> str:
    if before is None:
        return "No earlier report."
    if before["verdict"] == finding["verdict"]:
        return "Unchanged."
    return f"Was: {CERTAINTY[before['verdict']].lower()}."


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
