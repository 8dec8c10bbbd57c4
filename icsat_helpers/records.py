"""What is known of a notebook that has run: how it ended, what it found, and all that this depended on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from icsat_helpers import fingerprints, results
from icsat_helpers.execution import Outcome
from icsat_helpers.parameters import Notebook
from icsat_helpers.plans import Plan

Record = dict[str, Any]
"""As in the manifest, with ``findings``, ``metrics`` and, until it is published, the executed ``notebook``."""

_EVERYTHING = "every table"
_OF_A_SITE = ("units", "service_ratings", "morale")  # whose rows say what belongs to a site
_PUBLISHED = ("name", "ended", "seconds", "sha256", "inputs", "data", "error")


def inputs(plan: Plan, notebook: Notebook, *more: Any) -> str:
    """Return one hash of all that a notebook's results depend on but the data: that is known when it has run."""
    # What the study's files hold matters, not where they lie.
    values = plan.values_for(notebook) | {"study": "", "output": ""}
    code = [notebook.sha256, fingerprints.helpers(), fingerprints.packages()]
    return fingerprints.of([plan.identity, values, *code, *more])


def record(plan: Plan, notebook: Notebook, made_from: str, outcome: Outcome) -> Record:
    """Return what is to be known of a notebook that has run on the inputs `made_from`."""
    tables = [_EVERYTHING] if outcome.tables is None else ["study.toml", *outcome.tables]
    tables += _OF_A_SITE if plan.identity["site"] else ()
    there = _data(plan)
    return {
        "name": notebook.name, "ended": outcome.ended, "seconds": outcome.seconds, "sha256": notebook.sha256,
        "inputs": made_from, "data": {name: there.get(name) for name in tables}, "error": outcome.error,
        "findings": outcome.findings, "metrics": outcome.metrics, "notebook": outcome.notebook,
    }  # fmt: skip


def _data(plan: Plan) -> dict[str, str]:
    return plan.study.sha256 | {_EVERYTHING: fingerprints.of(plan.study.sha256)}


def unchanged(plan: Plan, known: Record | None, made_from: str) -> bool:
    """Return whether a notebook would find again what is known of it; a table that was absent must still be."""
    if known is None or known["ended"] != "ok" or known["inputs"] != made_from:
        return False
    there = _data(plan)
    return all(there.get(table) == sha256 for table, sha256 in known["data"].items())


def standing(plan: Plan) -> dict[str, Record]:
    """Return the records of the last finished run, and over them those that an unfinished one has left."""
    manifest, found = results.read_json(plan.folder / "manifest.json"), results.read_json(plan.folder / "findings.json")
    known = {}
    for each in manifest.get("notebooks", ()) if found else ():
        if (plan.folder / f"{each['name']}.ipynb").is_file():
            mine = {key: [e for e in found[key] if e["notebook"] == each["name"]] for key in ("findings", "metrics")}
            known[each["name"]] = {**each, **mine}
    for path in plan.cache.glob("done-*.json"):
        each = results.read_json(path)
        known[each["name"]] = each
    return known


def keep(plan: Plan, known: Record) -> None:
    """Keep a record where the next run finds it, whatever becomes of this one."""
    whole = known if "notebook" in known else known | {"notebook": node(plan, known)}
    results.write(plan.cache, plan.cache / f"done-{known['name']}.json", json.dumps(whole, ensure_ascii=False))


def forget(plan: Plan) -> None:
    """Remove what was kept: it is published."""
    results.remove(plan.cache.glob("done-*.json"))


def node(plan: Plan, known: Record) -> Any:
    """Return the executed notebook of a record."""
    import nbformat

    if "notebook" in known:
        return nbformat.from_dict(known["notebook"])
    return nbformat.read(plan.folder / f"{known['name']}.ipynb", as_version=4)


def published(known: Record) -> Record:
    """Return what the manifest says of it."""
    return {key: known[key] for key in _PUBLISHED}


def merged(known: Iterable[Record]) -> dict[str, Any]:
    """Return all findings and metrics, in the notebooks' order."""
    ordered = sorted(known, key=lambda each: str(each["name"]))
    return {key: [entry for each in ordered for entry in each[key]] for key in ("findings", "metrics")}


def state(plan: Plan, known: Mapping[str, Record]) -> str:
    """Return one hash of all that the published files depend on."""
    made_from = {name: [each["ended"], each["inputs"], each["data"]] for name, each in known.items()}
    shown = [plan.identity, plan.language, plan.study.sha256, made_from]
    return fingerprints.of([*shown, fingerprints.pages(), fingerprints.helpers(), fingerprints.packages()])
