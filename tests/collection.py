"""Small notebooks and a small study for the tests of runs: no model in them, so that kernels start fast."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import v4

from icsat_helpers import paper, workers
from icsat_helpers.execution import Outcome
from icsat_helpers.parameters import Notebook
from icsat_helpers.plans import SUMMARY, Plan, Request
from icsat_helpers.project import ROOT
from icsat_helpers.results import MIME

STUDY = "Tiny & <b>Co</b>"
PARAMETERS = """period: str = ""
study: str = "data/example"
site: str = ""
output: str = "outputs"
language: str = \"\""""
SAY_RUN = (
    "from IPython.display import display\n"
    f'display({{"{MIME}": {{"run": {{"period": period, "study": "{STUDY}", "site": site}}}}}}, raw=True)'
)


def say_finding(name: str, estimate: str = "1.5") -> str:
    """Return a cell that emits one finding and one metric."""
    return (
        "from IPython.display import display\n"
        f'display({{"{MIME}": {{"findings": [{{"id": "{name}", "estimate": {estimate}}}],\n'
        '    "metrics": [{"name": "mean", "of": "internal", "value": 4.0}]}}, raw=True)'
    )


def node(*cells: str, parameters: str | None = PARAMETERS, title: str = "A title") -> nbformat.NotebookNode:
    """Return a notebook: a title, the parameters, and these code cells."""
    made = [v4.new_markdown_cell(f"# {title}\n\n## Question\n\nWhich?")]
    if parameters is not None:
        made.append(v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    made += [v4.new_code_cell(cell) for cell in cells]
    for number, cell in enumerate(made):
        cell.id = f"cell-{number}"
    return v4.new_notebook(cells=made)


def write(folder: Path, **notebooks: nbformat.NotebookNode) -> Path:
    """Write notebooks to a folder; ``n04_x`` becomes ``04-x.ipynb``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in notebooks.items():
        nbformat.write(each, folder / (name.removeprefix("n").replace("_", "-") + ".ipynb"))
    return folder


def write_study(folder: Path, score: float = 3.6) -> Path:
    """Write a study of two units and two quarters."""
    folder.mkdir(parents=True, exist_ok=True)
    toml = f'contract = 1\n[study]\nname = "{STUDY}"\nfrequency = "quarter"\nminimum_group = 5\n'
    (folder / "study.toml").write_text(toml, encoding="utf-8")
    rows = f"2026Q1,U1,internal,3.5\n2026Q2,U1,internal,{score}\n2026Q2,U2,internal,4\n"
    (folder / "unit_scores.csv").write_text("period,unit_id,measure,value\n" + rows, encoding="utf-8")
    return folder


def answer_at_once(patch: pytest.MonkeyPatch, log: Path, **tables: list[str] | None) -> Callable[[], list[str]]:
    """Let notebooks end well without a kernel, having asked for `tables`; return what says which were run lately."""

    def fake(notebook: Notebook, plan: Plan, _: Any) -> Outcome:
        with log.open("a") as lines:
            print(plan.identity["site"] + notebook.name, file=lines)
        found = [] if notebook.name == SUMMARY else [{"id": notebook.sha256[:6], "notebook": notebook.name}]
        asked = tables.get("n" + notebook.name.replace("-", "_"))
        return Outcome(notebook.name, "ok", 0.1, node("1"), None, found, [], asked)

    def said() -> list[str]:
        names = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return sorted(names)

    patch.setattr(workers, "execute", fake)
    patch.setattr(workers.Machine, "start", lambda machine: None)
    draw_at_once(patch)
    return said


def draw_at_once(patch: pytest.MonkeyPatch, told: Callable[[str], None] = lambda _: None) -> None:
    """Let documents be on paper without a process that draws them; each is `told`."""

    class Press:
        def draw(self, document: str, _: float) -> paper.Paper:
            told(document)
            return paper.Paper(b"%PDF-")

        def close(self) -> None:
            pass

    patch.setattr(paper, "Press", Press)


def inflated(pdf: bytes) -> bytes:
    """Return a PDF and what its streams hold: among it the objects that say what it is."""
    streams = re.findall(rb"stream\r?\n(x.*?)endstream", pdf, re.S)
    return b"\n".join([pdf, *(zlib.decompressobj().decompress(each) for each in streams)])


def start_run(request: Request, **environment: str) -> subprocess.Popen[bytes]:
    """Start a run in a process of its own."""
    fields = {name: getattr(request, name) for name in ("study", "output", "notebooks", "scheduler")}
    code = (
        "import sys; from pathlib import Path; from icsat_helpers import batch\n"
        f"sys.exit(batch.run(batch.Request(**{fields!r}, collection=Path({str(request.collection)!r}))))"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment)


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def dead(pid: int) -> bool:
    """Return whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
