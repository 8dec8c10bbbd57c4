"""One notebook run by papermill in a kernel of its own, and what came out of it.

Nothing is written to disk here: a notebook that ends well is handed back scrubbed, one that fails as words.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from icsat_helpers import scrub
from icsat_helpers.kernels import Kernels
from icsat_helpers.parameters import Notebook

MIME = "application/vnd.icsat+json"

_START_SECONDS = 120  # a cold disk may take a minute to import the kernel


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a notebook ended.

    Attributes
    ----------
    name : str
        The notebook's stem.
    ended : str
        ``"ok"``, ``"failed"`` or ``"timed out"``.
    seconds : float
        Wall time, kernel start included.
    notebook : NotebookNode or None
        The executed notebook, scrubbed; only where it ended well.
    error : dict or None
        Where it did not: ``type``, ``message``, ``cell`` (number in the notebook's file, from 1), ``frames``.
    findings, metrics : list of dict
        As the contract words them, each with the name of this notebook.
    """

    name: str
    ended: str
    seconds: float
    notebook: Any = None
    error: dict[str, Any] | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)


def execute(
    notebook: Notebook,
    values: Mapping[str, Any],
    kernels: Kernels,
    run: Mapping[str, str],
    shown: Mapping[str, str],
    timeout: float | None = None,
) -> Outcome:
    """Run one notebook to its end.

    Parameters
    ----------
    notebook : Notebook
        What to run.
    values : mapping
        Parameters, each declared by the notebook.
    kernels : Kernels
        Where to run it.
    run : mapping
        ``period``, ``study`` and ``site`` that the notebook must say it used.
    shown : mapping of str to str
        Paths to the words that stand for them in what is published.
    timeout : float, optional
        Seconds after which it is stopped.
    """
    from papermill.exceptions import PapermillException, PapermillExecutionError

    start = time.monotonic()
    ended, expired = threading.Event(), threading.Event()
    threading.Thread(target=_watch, args=(kernels, notebook.name, timeout, ended, expired), daemon=True).start()
    try:
        node = _papermill(notebook, values, kernels)
        findings, metrics = gather(node, notebook.name, run)
        return Outcome(notebook.name, "ok", _since(start), scrub.notebook(node, values, shown), None, findings, metrics)
    except PapermillExecutionError as error:
        return Outcome(notebook.name, "failed", _since(start), error=_cell_error(error, notebook))
    except (PapermillException, RuntimeError, OSError, ValueError) as error:
        how = "timed out" if expired.is_set() else "failed"
        message = f"stopped after {timeout:g} seconds" if expired.is_set() else scrub.safe_message(str(error))
        return Outcome(
            notebook.name,
            how,
            _since(start),
            error={"type": type(error).__name__, "message": message, "cell": None, "frames": []},
        )
    finally:
        ended.set()


def _watch(
    kernels: Kernels, name: str, timeout: float | None, ended: threading.Event, expired: threading.Event
) -> None:
    """Stop a kernel after its time, or with all others; again and again, for it may only be starting."""
    deadline = time.monotonic() + (timeout or float("inf"))
    while not ended.wait(0.25):
        if time.monotonic() > deadline:
            expired.set()
        if expired.is_set() or kernels.stopped.is_set():
            kernels.stop(name)


def _papermill(notebook: Notebook, values: Mapping[str, Any], kernels: Kernels) -> Any:
    import nbformat
    from papermill import execute_notebook

    # Not papermill's `cwd`: it changes the folder of the whole process, which other threads share.
    return execute_notebook(
        nbformat.reads(notebook.source, as_version=4),
        None,
        dict(values),
        kernel_name="python3",
        language="python",
        progress_bar=False,
        start_timeout=_START_SECONDS,
        kernel_manager_class=kernels.manager(notebook.name),
        resources={"metadata": {"path": str(kernels.folder)}},
        record_timing=False,
        shutdown_kernel="immediate",
        extra_arguments=["--HistoryManager.enabled=False"],
    )


def gather(node: Any, name: str, run: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the findings and metrics that travel in a notebook's outputs.

    Raises
    ------
    ValueError
        If the notebook does not say which run it was, names another, or gives a number that is not finite.
    """
    bundles = [
        output["data"][MIME]
        for cell in node.cells
        for output in cell.get("outputs", ())
        if MIME in output.get("data", {})
    ]
    try:
        runs = [bundle["run"] for bundle in bundles if "run" in bundle]
        wrong = [
            f"it used the {key} {said.get(key)!r}, not {asked!r}"
            for said in runs
            for key, asked in run.items()
            if said.get(key) != asked
        ]
        findings = [{**entry, "notebook": name} for bundle in bundles for entry in bundle.get("findings", ())]
        metrics = [{**entry, "notebook": name} for bundle in bundles for entry in bundle.get("metrics", ())]
    except (TypeError, AttributeError):
        raise ValueError("its findings and metrics are not lists of tables of values") from None
    if not runs:
        raise ValueError("it does not say which period and study it used (its Provenance cell shows no `run`)")
    if wrong:
        raise ValueError(wrong[0])
    try:
        json.dumps([findings, metrics], allow_nan=False)
    except ValueError:
        raise ValueError("a finding or metric holds a number that is not finite") from None
    return findings, metrics


def _cell_error(error: Any, notebook: Notebook) -> dict[str, Any]:
    """Say what went wrong and where, in the numbering of the notebook's file (papermill adds a cell)."""
    cell = error.cell_index + 1 - (error.cell_index > notebook.cell)
    return {
        "type": error.ename,
        "message": scrub.safe_message(str(error.evalue)),
        "cell": cell,
        "frames": scrub.frames(error.traceback),
    }


def _since(start: float) -> float:
    return round(time.monotonic() - start, 2)
