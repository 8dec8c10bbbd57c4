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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from icsat_helpers import publish, results, scrub
from icsat_helpers.execution import Outcome, execute
from icsat_helpers.kernels import Kernels
from icsat_helpers.parameters import Notebook, RequestError
from icsat_helpers.plans import ROOT, SUMMARY, Plan, Request, prepare
from icsat_helpers.study import StudyError

_NO_INPUT = {
    "batch.py",
    "cli.py",
    "publish.py",
    "page.css",
    "page.html.j2",
}  # no notebook's results depend on these


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
        print(refused, file=sys.stderr)
        return 2
    return max([carry_out(plan) for plan in plans])


def carry_out(plan: Plan) -> int:
    """Run a plan alone in its folder, and return the exit code."""
    import filelock

    try:
        results.make_private(plan.cache)
        plan.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(plan.cache / "running")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"Another run is writing to {plan.folder} at this moment; this one is refused.", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"The output folder {plan.folder} cannot be written to: {error.strerror}.", file=sys.stderr)
        return 2
    kernels = Kernels(ROOT)
    try:
        results.clear_parts(plan.cache)
        return _run_and_publish(plan, kernels)
    except OSError as error:
        print(f"The results could not be written to {plan.folder}: {error.strerror or error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the results are not complete. The next run makes them anew.", file=sys.stderr)
        return 1
    finally:
        kernels.close()
        lock.release()


def _run_and_publish(plan: Plan, kernels: Kernels) -> int:
    earlier = results.read(plan.folder)
    by_name = {notebook.name: notebook for notebook in plan.notebooks}
    inputs = {notebook.name: _inputs(plan, notebook) for notebook in plan.notebooks}
    kept = _kept(plan, earlier, inputs)
    chosen = list(plan.chosen)
    if SUMMARY in earlier.records and SUMMARY in by_name and SUMMARY not in chosen:
        chosen.append(SUMMARY)  # what sums up the others is out of date as soon as one of them runs
    outcomes = _execute(plan, [by_name[name] for name in chosen if name != SUMMARY], kernels, len(chosen))

    # From here until the manifest is written again, the run is unfinished.
    results.remove(plan.folder, ["manifest.json"])
    _put_json(plan, "findings.json", _findings(plan, earlier, kept, outcomes))
    if SUMMARY in chosen:
        outcomes |= _execute(plan, [by_name[SUMMARY]], kernels, len(chosen), done=len(chosen) - 1)
    _put(plan, "data-changes.csv", results.quoted(plan.changes).to_csv(index=False, lineterminator="\n"))
    _put_pages(plan, outcomes, kept)
    records = [earlier.records[name] for name in kept]
    records += [_record(outcome, by_name[name], inputs[name]) for name, outcome in outcomes.items()]
    _put_json(plan, "manifest.json", _manifest(plan, sorted(records, key=lambda record: str(record["name"]))))

    failed = sorted(name for name, outcome in outcomes.items() if outcome.ended != "ok")
    print(plan.folder / "index.html", f"(without {', '.join(failed)})" if failed else "")
    return 1 if failed else 0


def _kept(plan: Plan, earlier: results.Earlier, inputs: Mapping[str, str]) -> list[str]:
    """Return the notebooks that do not run and whose results still stand; tell of those that do not."""
    others = sorted(earlier.records.keys() - {*plan.chosen, SUMMARY})
    kept = [name for name in others if results.is_current(earlier.records[name], inputs.get(name), plan.folder)]
    for name in others:
        if name not in kept:
            print(f"{name}: its earlier results are dropped, for what they were made from has changed.")
    return kept


def _execute(
    plan: Plan, notebooks: Sequence[Notebook], kernels: Kernels, total: int, done: int = 0
) -> dict[str, Outcome]:
    """Run notebooks side by side; report each as it ends."""
    from tqdm import tqdm

    outcomes: dict[str, Outcome] = {}
    pool = ThreadPoolExecutor(plan.jobs)
    # A bar where somebody looks on, plain lines elsewhere (`disable=None` asks whether stderr is a terminal).
    bar = tqdm(total=total, initial=done, unit="notebook", leave=False, disable=None)
    try:
        running = [
            pool.submit(execute, each, plan.values_for(each), kernels, plan.identity, plan.shown, plan.timeout)
            for each in notebooks
        ]
        for future in as_completed(running):
            outcome = future.result()
            outcomes[outcome.name] = outcome
            bar.write(_line(outcome), file=sys.stdout)
            sys.stdout.flush()
            bar.update()
    except BaseException:
        kernels.stop_all()  # else the pool would wait for notebooks that nobody wants any more
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        bar.close()
    return outcomes


def _line(outcome: Outcome) -> str:
    line = f"{outcome.name:<28} {outcome.ended:<9} {outcome.seconds:6.1f} s"
    if outcome.error is None:
        return line
    where = f" in cell {outcome.error['cell']}" if outcome.error["cell"] else ""
    return f"{line}  {outcome.error['type']}{where}: {outcome.error['message']}"


def _findings(
    plan: Plan, earlier: results.Earlier, kept: Sequence[str], outcomes: Mapping[str, Outcome]
) -> dict[str, Any]:
    """Return what `findings.json` holds: what was found now and what is kept, in the notebooks' order."""
    new = [outcomes[name] for name in sorted(outcomes)]
    entries = {
        "findings": [each for each in earlier.findings if each["notebook"] in kept],
        "metrics": [each for each in earlier.metrics if each["notebook"] in kept],
    }
    for outcome in new:
        entries["findings"] += outcome.findings
        entries["metrics"] += outcome.metrics
    ordered = {key: sorted(found, key=lambda each: str(each["notebook"])) for key, found in entries.items()}
    return {"contract": 1, **plan.identity, **ordered}


def _put_pages(plan: Plan, outcomes: Mapping[str, Outcome], kept: Sequence[str]) -> None:
    """Write each notebook executed and rendered, and the document of all; remove what is no longer."""
    import nbformat

    nodes = {name: nbformat.read(plan.folder / f"{name}.ipynb", as_version=4) for name in kept}
    nodes |= {name: outcome.notebook for name, outcome in outcomes.items() if outcome.notebook is not None}
    names = sorted({*outcomes, *kept})  # the summary is number 00: first to be read
    pages = [publish.render(name, nodes[name]) if name in nodes else publish.missing(name) for name in names]
    place = " · ".join(filter(None, [plan.period, plan.site]))
    for page in pages:
        if page.name in nodes:
            _put(plan, f"{page.name}.ipynb", nbformat.writes(nodes[page.name]) + "\n")
            about = f"{plan.study} · {place}"
            single = publish.document([page], title=page.title, subtitle=about, language=plan.language)
            _put(plan, f"{page.name}.html", single)
    index = publish.document(pages, title=plan.study, subtitle=place, language=plan.language)
    _put(plan, "index.html", index)
    left = [path.name for path in plan.folder.glob("[0-9][0-9]-*") if path.stem not in nodes]
    results.remove(plan.folder, [name for name in left if name.endswith((".html", ".ipynb"))])


def _put(plan: Plan, name: str, text: str) -> None:
    results.write(plan.cache, plan.folder / name, text)


def _put_json(plan: Plan, name: str, document: Mapping[str, Any]) -> None:
    _put(plan, name, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _inputs(plan: Plan, notebook: Notebook) -> str:
    """Return one hash of all that a notebook's results depend on."""
    values = plan.values_for(notebook)
    values |= {"study": "", "output": ""}  # what the study's files hold matters, not where they lie
    everything = [plan.identity, values, plan.data, notebook.sha256, _helpers(), _packages()]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _record(outcome: Outcome, notebook: Notebook, inputs: str) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "ended": outcome.ended,
        "seconds": outcome.seconds,
        "sha256": notebook.sha256,
        "inputs": inputs,
        "error": outcome.error,
    }


def _manifest(plan: Plan, records: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "contract": 1,
        **plan.identity,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "parameters": scrub.without_paths(plan.values, plan.shown),
        "data": plan.data,
        "notebooks": records,
        "git_commit": _git_commit(),
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


def _git_commit() -> str | None:
    command = ["git", "rev-parse", "HEAD"]
    try:
        asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout.strip()
