"""One notebook run by papermill in a kernel of its own, and what came out of it: scrubbed, or an error in words."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from icsat_helpers import cache, words
from icsat_helpers.kernels import Kernels
from icsat_helpers.parameters import Notebook
from icsat_helpers.plans import Plan
from icsat_helpers.results import MIME

_START_SECONDS = 120  # a cold disk may take a minute to import the kernel
_FRAME = re.compile(r"File (?P<file>.+?):(?P<line>\d+), in (?P<name>[\w<>.]+)|Cell In\[\d+\], line (?P<cell>\d+)")
_LIBRARY = re.compile(r".*/(?=icsat_helpers/)|.*/(?:site-packages|python3\.\d+)/|.*/")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_PATH = re.compile(r"(?:(?<![\w/.~])[~.]{0,2}/|\b[A-Za-z]:\\)(?:[^\s/\\'\":]+[/\\])+")
_ADDRESS = re.compile(r"\w[\w+.-]*://\S+")
_SHORTEST_SECRET = 8  # shorter environment values are words like "root" or "1"
_LONGEST_MESSAGE = 500
_URL = re.compile(r"\b(?!(?:https?|file)://)[A-Za-z][\w+.-]*://[^\s\"'<>]+|\bhttps?://[^\s/@\"'<>]*@[^\s\"'<>]+")
_ANYBODY = {"root", "user", "admin", "nobody", "ubuntu", "runner", "jovyan", "localhost"}  # names that name nobody
_SHORTEST_NAME = 4
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASS|PWD|CREDENTIAL|URL", re.IGNORECASE)
_MEMORY = re.compile(r" at 0x[0-9a-f]{6,16}\b")  # where an object lay: elsewhere in each run


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a notebook ended: ``"ok"``, ``"failed"`` or ``"timed out"``.

    `notebook` is the executed one, scrubbed, where it ended well; `error` says where it did not: ``type``, ``message``,
    ``cell`` (number in the notebook's file, from 1) and ``frames``. Findings and metrics are the contract's. `tables`
    are those it asked the study for, None where it does not say.
    """

    name: str
    ended: str
    seconds: float
    notebook: Any = None
    error: dict[str, Any] | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    tables: list[str] | None = None


def failed(name: str, kind: str, message: str) -> Outcome:
    """Return the outcome of a notebook that could not be run."""
    return Outcome(name, "failed", 0.0, None, _problem(kind, message))


def execute(notebook: Notebook, plan: Plan, kernels: Kernels, wanted: Callable[[], bool] = lambda: True) -> Outcome:
    """Run one notebook of a plan to its end, whatever that is, as long as it is `wanted`."""
    from papermill.exceptions import PapermillException, PapermillExecutionError

    start, timeout, values = time.monotonic(), plan.request.timeout, plan.values_for(notebook)
    how, node, problem = "failed", None, None
    found: tuple[Any, ...] = ()
    try:
        kernels.wait(notebook.imports)
        start = time.monotonic()
        manager = kernels.manager(
            start + timeout, {cache.VARIABLE: str(plan.held), words.VARIABLE: plan.language}, wanted
        )
        made = _papermill(notebook, values, kernels.folder, manager)
        known = {*map(str, values.values()), *plan.identity.values()}
        findings, metrics = without_names(gather(made, notebook.name, plan.identity), known)
        found = findings, metrics, asked(made)
        how, node = "ok", scrubbed(made, values, plan.shown, known)
    except PapermillExecutionError as error:
        cell = error.cell_index + 1 - (error.cell_index > notebook.cell)  # papermill adds one
        problem = _problem(error.ename, str(error.evalue), cell, frames(error.traceback))
    except (PapermillException, RuntimeError, OSError, ValueError) as error:
        late = time.monotonic() >= start + timeout
        how = "timed out" if late else "failed"
        problem = _problem(type(error).__name__, f"stopped after {timeout:g} seconds" if late else str(error))
    return Outcome(notebook.name, how, round(time.monotonic() - start, 2), node, problem, *found)


def _problem(kind: str, message: str, cell: int | None = None, trace: Sequence[str] = ()) -> dict[str, Any]:
    return {"type": kind, "message": safe_message(message), "cell": cell, "frames": list(trace)}


def _papermill(notebook: Notebook, values: Mapping[str, Any], folder: Path, manager: type) -> Any:
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
        kernel_manager_class=manager,
        resources={"metadata": {"path": str(folder)}},
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
    outputs = [output.get("data", {}) for cell in node.cells for output in cell.get("outputs", ())]
    bundles = [data[MIME] for data in outputs if MIME in data]
    try:
        said = [dict(bundle["run"]) for bundle in bundles if "run" in bundle]
        findings = [{**entry, "notebook": name} for bundle in bundles for entry in bundle.get("findings", ())]
        metrics = [{**entry, "notebook": name} for bundle in bundles for entry in bundle.get("metrics", ())]
    except (TypeError, ValueError, AttributeError):
        raise ValueError("its findings and metrics are not lists of tables of values") from None
    if not said:
        raise ValueError("it does not say which period and study it used (its Provenance cell shows no `run`)")
    for used, (key, asked) in itertools.product(said, run.items()):
        if used.get(key) != asked:
            raise ValueError(f"it used the {key} {used.get(key)!r}, not {asked!r}")
    try:
        json.dumps([findings, metrics], allow_nan=False)
    except ValueError:
        raise ValueError("a finding or metric holds a number that is not finite") from None
    return findings, metrics


def asked(node: Any) -> list[str] | None:
    """Return the tables that a notebook says it asked its study for, if it says so in its last code cell."""
    last = [cell for cell in node.cells if cell.cell_type == "code" and cell.source.strip()][-1]
    said = [output["data"][MIME].get("tables") for output in last.outputs if MIME in output.get("data", {})]
    return next((sorted(map(str, tables)) for tables in said if isinstance(tables, list)), None)


def scrubbed(node: Any, values: Mapping[str, Any], shown: Mapping[str, str], known: Collection[str] = ()) -> Any:
    """Return a notebook without machine paths, names, addresses, times, random ids, warnings and papermill's notes.

    `known` are the words that a run was asked with: they may be shown whatever else they are.
    """
    import nbformat

    node = nbformat.from_dict(without_paths(node, shown))
    for cell in node.cells:
        if "outputs" in cell:
            cell.outputs = nbformat.from_dict(without_names(cell.outputs, known))
    node.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": node.metadata.get("language_info", {}),
        "papermill": {"parameters": without_paths(dict(values), shown)},
    }
    for number, cell in enumerate(node.cells):
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell.id = f"injected-parameters-{number}"
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                for texts, kind in ((output, "text"), (output.get("data", {}), "text/plain")):
                    if kind in texts:
                        texts[kind] = _MEMORY.sub("", texts[kind])
    return node


def without_paths(value: Any, shown: Mapping[str, str]) -> Any:
    """Replace paths, the longest first, in every text within ``value``; a run of base64 is left alone."""
    if isinstance(value, dict):
        return {key: without_paths(inner, shown) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_paths(inner, shown) for inner in value]
    if not isinstance(value, str):
        return value
    paths = "|".join(map(re.escape, sorted(shown, key=len, reverse=True)))
    return re.sub(rf"(?:(?<=file://)|(?<![\w+/.]))(?:{paths})(?![\w+-])", lambda found: shown[found[0]], value)


def without_names(value: Any, known: Collection[str] = ()) -> Any:
    """Take users, machines, values of environment variables, addresses and folders out of every text in ``value``.

    Words alone are kept where they stand in a variable whose name does not say that it is secret, and so is what is
    `known`; a run of base64 is left alone.
    """
    machine, roots = socket.gethostname(), "|".join(re.escape(path.name) for path in Path("/").iterdir())
    people = {Path.home().name, *(os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME"))}
    names = {each for each in (*people, machine, machine.partition(".")[0]) if len(each) >= _SHORTEST_NAME} - _ANYBODY
    secrets = {
        text
        for name, text in os.environ.items()
        if len(text) >= _SHORTEST_SECRET and (_SECRET.search(name) or not text.isalpha())
    }
    kept = (names | secrets) - {*known}
    words = sorted(kept | {*map(escape, kept)}, key=len, reverse=True)
    private = re.compile(rf"(?<![\w+/.-])(?:{'|'.join(map(re.escape, words))})(?![\w+/-])" if words else r"(?!)")
    path = re.compile(rf"(?<![\w+/.~<])(?:/(?:{roots})(?=/)|[A-Za-z]:)(?:[/\\][^\s/\\'\":<>&]+)*[/\\]")

    def clean(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {key: clean(each) for key, each in inner.items()}
        if isinstance(inner, (list, tuple)):
            return [clean(each) for each in inner]
        if not isinstance(inner, str):
            return inner
        return path.sub("", private.sub("<environment>", _URL.sub("<address>", inner)))

    return clean(value)


def safe_message(text: str) -> str:
    """Return an error's message without paths, addresses and values of environment variables.

    Examples
    --------
    >>> safe_message("cannot open /srv/data/units.csv")
    'cannot open units.csv'
    """
    secrets = [value for value in (*os.environ.values(), socket.gethostname()) if len(value) >= _SHORTEST_SECRET]
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, "<environment>")
    text = _PATH.sub("", _ADDRESS.sub("<address>", _COLOUR.sub("", text).replace(str(Path.home()), "~")))
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " ..."


def frames(traceback: Sequence[str]) -> list[str]:
    """Return `module:line in function` for each frame, without the source and values that IPython prints.

    Examples
    --------
    >>> frames(["Cell In[2], line 7", "File /usr/lib/python3.12/json/decoder.py:12, in decode(self)"])
    ['notebook cell:7', 'json.decoder:12 in decode']
    """
    found = []
    for match in filter(None, map(_FRAME.match, _COLOUR.sub("", "\n".join(traceback)).split("\n"))):
        file, line, name, cell = match.groups()
        module = _LIBRARY.sub("", (file or "").replace("\\", "/"), count=1).removesuffix(".py").replace("/", ".")
        found.append(f"notebook cell:{cell}" if cell else f"{module}:{line} in {name}")
    return found
