"""A run: every notebook of the collection on one study and period, and the files it leaves.

Results are put in place together at the end, each file whole or not at all; `manifest.json` comes last, so
a folder without one holds an unfinished run.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from icsat_helpers import publish, results
from icsat_helpers.execution import Kernels, Outcome, execute, without_paths
from icsat_helpers.parameters import Notebook, RequestError
from icsat_helpers.plans import ROOT, SUMMARY, Plan, Request, prepare
from icsat_helpers.study import StudyError

_NO_INPUT = {"batch.py", "cli.py", "publish.py", "page.css", "page.html.j2"}  # no result depends on these


def run(request: Request) -> int:
    """Run what is asked for, tell of it in words, and return the exit code.

    Returns
    -------
    int
        0 every notebook ended well; 1 some failed, or the results could not be written; 2 refused before
        anything ran.
    """
    try:
        plans = [prepare(request, site) for site in request.sites or ("",)]
        if len({plan.folder for plan in plans}) < len(plans):
            raise RequestError("Two of the sites would share one folder; run them with an --output each.")
    except (RequestError, StudyError) as refused:
        return _say(2, str(refused))
    return max([carry_out(plan) for plan in plans])


def carry_out(plan: Plan) -> int:
    """Run a plan alone in its folder, and return the exit code."""
    import filelock

    try:
        results.open_cache(plan.cache)
        plan.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(plan.cache / "running", timeout=0).acquire()
    except filelock.Timeout:
        return _say(2, f"Another run is writing to {plan.folder} at this moment; this one is refused.")
    except OSError as error:
        return _say(2, f"The output folder {plan.folder} cannot be written to: {error.strerror}.")
    kernels = Kernels(ROOT)
    with lock:
        try:
            return _run_and_publish(plan, kernels)
        except OSError as error:
            return _say(1, f"The results could not be written to {plan.folder}: {error.strerror or error}.")
        except KeyboardInterrupt:
            return _say(1, "Stopped; the results are not complete. The next run makes them anew.")
        finally:
            kernels.close()


def _say(code: int, why: str) -> int:
    print(why, file=sys.stderr)
    return code


def _run_and_publish(plan: Plan, kernels: Kernels) -> int:
    results.remove(plan.cache.glob("part-*"))  # what a killed run left half written
    records, found = results.earlier(plan.folder)
    inputs = {notebook.name: _inputs(plan, notebook) for notebook in plan.notebooks}
    kept = _kept(plan, records, inputs)
    chosen = {*plan.chosen}
    if SUMMARY in records and SUMMARY in inputs:
        chosen.add(SUMMARY)  # what sums up the others is out of date as soon as one of them runs
    first = [notebook for notebook in plan.notebooks if notebook.name in chosen - {SUMMARY}]
    last = [notebook for notebook in plan.notebooks if notebook.name in chosen & {SUMMARY}]
    outcomes = _execute(plan, first, kernels, len(chosen))

    # From here until the manifest is written again, the run is unfinished.
    results.remove([plan.folder / "manifest.json"])
    _put_json(plan, "findings.json", plan.identity | _merged(found, kept, outcomes.values()))
    outcomes |= _execute(plan, last, kernels, len(chosen), done=len(first))
    _put(plan, "data-changes.csv", results.quoted(plan.changes).to_csv(index=False, lineterminator="\n"))
    _put_pages(plan, outcomes, kept)
    records = {name: records[name] for name in kept}
    for notebook in (each for each in plan.notebooks if each.name in outcomes):
        outcome = outcomes[notebook.name]
        records[notebook.name] = {
            "name": notebook.name, "ended": outcome.ended, "seconds": outcome.seconds, "sha256": notebook.sha256,
            "inputs": inputs[notebook.name], "error": outcome.error,
        }  # fmt: skip
    _put_json(plan, "manifest.json", _manifest(plan, [records[name] for name in sorted(records)]))

    failed = sorted(name for name, outcome in outcomes.items() if outcome.ended != "ok")
    print(plan.folder / "index.html", f"(without {', '.join(failed)})" if failed else "")
    return 1 if failed else 0


def _kept(plan: Plan, records: Mapping[str, dict[str, Any]], inputs: Mapping[str, str]) -> list[str]:
    """Return the notebooks that do not run and whose results still stand; tell of those that do not."""
    kept = []
    for name in sorted(records.keys() - {*plan.chosen, SUMMARY}):
        same = records[name]["ended"] == "ok" and records[name]["inputs"] == inputs.get(name)
        if same and (plan.folder / f"{name}.ipynb").is_file():
            kept.append(name)
        else:
            print(f"{name}: its earlier results are dropped, for what they were made from has changed.")
    return kept


def _execute(
    plan: Plan, notebooks: Sequence[Notebook], kernels: Kernels, total: int, done: int = 0
) -> dict[str, Outcome]:
    """Run notebooks side by side; report each as it ends."""
    from tqdm import tqdm

    outcomes: dict[str, Outcome] = {}
    # A bar where somebody looks on, plain lines elsewhere (`disable=None` asks whether stderr is a terminal).
    bar = tqdm(total=total, initial=done, unit="notebook", leave=False, disable=None)
    with bar, ThreadPoolExecutor(plan.request.jobs) as pool:
        running = [pool.submit(execute, each, plan, kernels) for each in notebooks]
        try:
            for future in as_completed(running):
                outcome = future.result()
                outcomes[outcome.name] = outcome
                bar.write(_line(outcome), file=sys.stdout)
                sys.stdout.flush()
                bar.update()
        except BaseException:
            kernels.stop()  # else the pool would wait for notebooks that nobody wants any more
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def _line(outcome: Outcome) -> str:
    line = f"{outcome.name:<28} {outcome.ended:<9} {outcome.seconds:6.1f} s"
    if outcome.error is None:
        return line
    where = f" in cell {outcome.error['cell']}" if outcome.error["cell"] else ""
    return f"{line}  {outcome.error['type']}{where}: {outcome.error['message']}"


def _merged(found: Mapping[str, Any], kept: Sequence[str], outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Return what was found now with what is kept, in the notebooks' order."""
    merged = {key: [each for each in found.get(key, ()) if each["notebook"] in kept] for key in ("findings", "metrics")}
    for outcome in outcomes:
        merged["findings"] += outcome.findings
        merged["metrics"] += outcome.metrics
    return {key: sorted(entries, key=lambda each: str(each["notebook"])) for key, entries in merged.items()}


def _put_pages(plan: Plan, outcomes: Mapping[str, Outcome], kept: Sequence[str]) -> None:
    """Write each notebook executed and rendered, and the document of all; remove what is no longer."""
    import nbformat

    nodes = {name: nbformat.read(plan.folder / f"{name}.ipynb", as_version=4) for name in kept}
    nodes |= {name: outcome.notebook for name, outcome in outcomes.items() if outcome.notebook is not None}
    names = sorted({*outcomes, *kept})  # the summary is number 00: first to be read
    pages = [publish.render(name, nodes[name]) if name in nodes else publish.missing(name) for name in names]
    study, place = plan.identity["study"], " · ".join(filter(None, [plan.identity["period"], plan.identity["site"]]))
    for page in (page for page in pages if page.name in nodes):
        _put(plan, f"{page.name}.ipynb", nbformat.writes(nodes[page.name]) + "\n")
        alone = publish.document([page], title=page.title, subtitle=f"{study} · {place}", language=plan.language)
        _put(plan, f"{page.name}.html", alone)
    _put(plan, "index.html", publish.document(pages, title=study, subtitle=place, language=plan.language))
    made = [path for kind in ("html", "ipynb") for path in plan.folder.glob(f"[0-9][0-9]-*.{kind}")]
    results.remove(path for path in made if path.stem not in nodes)


def _put(plan: Plan, name: str, text: str) -> None:
    results.write(plan.cache, plan.folder / name, text)


def _put_json(plan: Plan, name: str, content: Mapping[str, Any]) -> None:
    _put(plan, name, json.dumps({"contract": 1, **content}, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _inputs(plan: Plan, notebook: Notebook) -> str:
    """Return one hash of all that a notebook's results depend on."""
    # What the study's files hold matters, not where they lie.
    values = plan.values_for(notebook) | {"study": "", "output": ""}
    everything = [plan.identity, values, plan.data, notebook.sha256, _helpers(), _packages()]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _manifest(plan: Plan, records: list[dict[str, Any]]) -> dict[str, Any]:
    git = ["git", "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        **plan.identity,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "parameters": without_paths(plan.values, plan.shown),
        "data": plan.data,
        "tables": plan.tables,
        "notebooks": records,
        "git_commit": commit,
        "python": sys.version.split()[0],
        "packages": _packages(),
    }


@functools.cache
def _helpers() -> str:
    """Return one hash of this package's files, but for those that only run and publish."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.is_file() and path.suffix != ".pyc" and path.name not in _NO_INPUT:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def _packages() -> dict[str, str]:
    return dict(sorted((each.metadata["Name"], each.version) for each in distributions()))
