"""Every notebook is built alike, so that a reader of one can read all; none is committed with results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from collection import PARAMETERS

from icsat_helpers.parameters import COMMON, read
from icsat_helpers.plans import SUMMARY
from icsat_helpers.project import ROOT
from icsat_helpers.publish import FRONT

HEADINGS = [
    "Question",
    "Hypothesis",
    "Parameters",
    "Data",
    "Checks",
    "Analysis",
    "Result",
    "So what",
    "Provenance",
]
MOST_CELLS, MOST_LINES = 14, 15
PAPERMILL = ("papermill", "execution")


def faults(path: Path) -> list[str]:
    """Return what is not as it should be in one notebook."""
    made = nbformat.read(path, as_version=4)
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    words = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    titles, headings = re.findall(r"^# (.+)", words, re.M), re.findall(r"^## (.+)", words, re.M)
    found = []
    if len(titles) != 1 or not words.startswith("# "):
        found.append(f"{len(titles)} H1 headings; one is needed, first of all")
    if headings != HEADINGS:
        found.append(f"headings {headings}")
    if len(code) > MOST_CELLS:
        found.append(f"{len(code)} code cells")
    if set(made.metadata) & set(PAPERMILL):
        found.append("papermill's metadata")
    if not any(FRONT in cell.metadata.get("tags", ()) for cell in code):
        found.append("no code cell that an executive sees")
    return found + [f"code cell {number}: {fault}" for number, cell in enumerate(code, 1) for fault in in_cell(cell)]


def in_cell(cell: Any) -> list[str]:
    """Return what is not as it should be in one code cell."""
    found = []
    if cell.source.count("\n") >= MOST_LINES:
        found.append(f"{cell.source.count(chr(10)) + 1} lines")
    if re.search(r"^\s*(?:(?:async\s+)?def\s|class\s|%|!)|get_ipython\(", cell.source, re.M):
        found.append("def, class, magic or shell")
    if cell.outputs or cell.execution_count:
        found.append("results of a run")
    if set(cell.metadata) & set(PAPERMILL):
        found.append("papermill's metadata")
    return found


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebooks_are_built_alike(path: Path) -> None:
    assert re.fullmatch(r"\d\d-[a-z0-9-]+", path.stem)
    assert faults(path) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebooks_declare_the_common_parameters_first(path: Path) -> None:
    notebook = read(path)
    assert tuple(notebook.declared)[: len(COMMON)] == COMMON
    source = nbformat.reads(notebook.source, as_version=4).cells[notebook.cell].source
    assert re.search(r'^period: str = ""  # ', source, re.M)


def test_there_are_notebooks_and_a_summary() -> None:
    assert SUMMARY in [path.stem for path in NOTEBOOKS]


def built(**changes: Any) -> nbformat.NotebookNode:
    """Return a notebook that is as it should be, but for the changes."""
    cells = [nbformat.v4.new_markdown_cell("# A title")]
    cells += [nbformat.v4.new_markdown_cell(f"## {heading}") for heading in changes.get("headings", HEADINGS)]
    cells.append(nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}))
    seen = {"tags": changes.get("seen", [FRONT])}
    cells += [nbformat.v4.new_code_cell(source, metadata=seen) for source in changes.get("code", ["1"])]
    cells[-1].update({key: value for key, value in changes.items() if key in ("outputs", "execution_count")})
    cells[-1].metadata.update(changes.get("cell", {}))
    return nbformat.v4.new_notebook(cells=cells, metadata=changes.get("notebook", {}))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, ""),
        ({"headings": HEADINGS[::-1]}, "headings"),
        ({"headings": HEADINGS[1:]}, "headings"),
        ({"code": ["# x"] * 14}, "15 code cells"),
        ({"code": ["x\n" * 14 + "x"]}, ""),
        ({"code": ["x\n" * 15 + "x"]}, "16 lines"),
        ({"code": ["def f():\n    pass"]}, "def, class"),
        ({"code": ["if x:\n    class A: pass"]}, "def, class"),
        ({"code": ["%matplotlib inline"]}, "magic"),
        ({"code": ["!pip install x"]}, "shell"),
        ({"execution_count": 3}, "results of a run"),
        ({"outputs": [nbformat.v4.new_output("stream", text="x")]}, "results of a run"),
        ({"cell": {"papermill": {}}}, "papermill"),
        ({"notebook": {"papermill": {}}}, "papermill"),
        ({"seen": []}, "no code cell that an executive sees"),
    ],
)
def test_the_rules_see_what_breaks_them(changes: dict[str, Any], fault: str, tmp_path: Path) -> None:
    nbformat.write(built(**changes), tmp_path / "01-x.ipynb")
    found = faults(tmp_path / "01-x.ipynb")
    assert (len(found), fault in "".join(found)) == (1 if fault else 0, True)
