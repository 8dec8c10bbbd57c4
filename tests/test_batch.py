"""Runs: what is refused before a kernel starts, what a run leaves, what happens when something goes wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import nbformat
import pytest
from collection import (
    PARAMETERS,
    SAY_RUN,
    STUDY,
    dead,
    draw_at_once,
    inflated,
    node,
    say_finding,
    until,
    write,
    write_study,
)

from icsat_helpers import batch, execution, fingerprints, paper, plans, release, results, workers
from icsat_helpers.execution import Outcome
from icsat_helpers.parameters import Notebook, RequestError, declarations, values
from icsat_helpers.plans import Request
from icsat_helpers.project import ROOT
from icsat_helpers.results import MIME

READ_FINDINGS = (
    "import json, pathlib\n"
    'found = json.loads((pathlib.Path(output) / period / "findings.json").read_text())\n'
    'print("read", sorted(each["id"] for each in found["findings"]))'
)
LOOK_AROUND = (
    "import os, pathlib, sys, warnings\n"
    'print("cwd", pathlib.Path("pyproject.toml").is_file())\n'
    'print("python", sys.executable)\n'
    'print("threads", os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"])\n'
    'print("given", draws, type(draws).__name__, period)\n'
    'print("at", study, pathlib.Path.home() / "x")\n'
    'print("who", os.environ["ICSAT_TEST_SECRET"], os.environ["USER"])\n'
    'print("where", "postgre" + "sql://me:pw@db/x", "/usr" + "/local/my/a.csv")\n'
    'warnings.warn("un" + "welcome")'
)
PRESS = paper.Press  # the fixtures put something faster in its place
BREAK = (
    'secret = os.environ["ICSAT_TEST_SECRET"]\nraise KeyError(f"{secret} /srv/data/people.csv postgres://me:pw@db/x")'
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Request, int]]:
    """One run: good notebooks, one that raises, one that hangs, one that dies, the summary."""
    base = tmp_path_factory.mktemp("batch")
    collection = write(
        base / "notebooks",
        n00_executive_summary=node(READ_FINDINGS, SAY_RUN),
        n01_good=node(SAY_RUN, say_finding("H1"), LOOK_AROUND, parameters=PARAMETERS + "\ndraws: int = 5"),
        n02_broken=node(SAY_RUN, "import os", BREAK, "print('never')"),
        n03_hangs=node("import time", "time.sleep(600)"),
        n04_dies=node("import os", "os._exit(9)"),
        n05_good=node(SAY_RUN, say_finding("H2")),
    )
    study = write_study(base / "study")
    request = Request(
        study=str(study), output=str(base / "out"), collection=collection, parameters=("draws=7",), timeout=10
    )
    foreign = base / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text('{"argv": ["false"], "language": "python", "display_name": "Other"}')
    startup = base / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "own.py").write_text("import os; os._exit(3)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICSAT_TEST_SECRET", "a-secret-value")
        patch.setenv("USER", "mabel.fernsby")
        patch.setenv("JUPYTER_PATH", str(base / "jupyter"))  # a user's kernel of the same name
        patch.setenv("IPYTHONDIR", str(base / "ipython"))  # and a user's start-up files: neither may matter
        patch.chdir(base)
        yield request, batch.run(request)


def place(request: Request) -> Path:
    return Path(request.output) / "2026Q2"


def read(request: Request, name: str) -> Any:
    return json.loads((place(request) / name).read_text(encoding="utf-8"))


def records(request: Request) -> dict[str, Any]:
    return {each["name"]: each for each in read(request, "manifest.json")["notebooks"]}


def planned(request: Request) -> plans.Plan:
    study = plans.Source(request.study, request.period, lambda: None)
    return plans.plan(request, plans.collect(request), plans.check(request, study), study.folder)[0][0]


def printed(request: Request, name: str) -> str:
    made = nbformat.read(place(request) / f"{name}.ipynb", as_version=4)
    return "".join(output.text for cell in made.cells for output in cell.get("outputs", ()) if "text" in output)


def test_a_failing_notebook_stops_no_other(ran: tuple[Request, int]) -> None:
    request, code = ran
    ended = {name: record["ended"] for name, record in records(request).items()}
    assert code == 1
    assert ended == {
        "00-executive-summary": "ok",
        "01-good": "ok",
        "02-broken": "failed",
        "03-hangs": "timed out",
        "04-dies": "failed",
        "05-good": "ok",
    }


def test_files_are_whole_and_nothing_else_is_left(ran: tuple[Request, int]) -> None:
    request, _ = ran
    pages = [f"{name}.{kind}" for name in ("00-executive-summary", "01-good", "05-good") for kind in ("html", "ipynb")]
    others = ["data-changes.csv", "findings.json", "index.html", "manifest.json"]
    others += ["index.pdf"] if read(request, "manifest.json")["pdf"]["made"] else []
    assert sorted(path.name for path in place(request).iterdir()) == sorted(pages + others)
    cache = Path(request.output) / ".cache"
    assert cache.stat().st_mode & 0o777 == 0o700
    left = {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()}
    held = {f"2026Q2/study/{name}" for name in ("study.json", "unit_scores.arrow")}
    assert left <= held | {"checked-latest.json", "remembering", "2026Q2/running"}


def test_findings_travel_with_their_notebook_and_the_summary_reads_them(ran: tuple[Request, int]) -> None:
    request, _ = ran
    found = read(request, "findings.json")
    assert {key: found[key] for key in ("contract", "study", "period", "site")} == {
        "contract": 1,
        "study": STUDY,
        "period": "2026Q2",
        "site": "",
    }
    assert [(each["id"], each["notebook"]) for each in found["findings"]] == [
        ("H1", "01-good"),
        ("H2", "05-good"),
    ]
    assert [each["notebook"] for each in found["metrics"]] == ["01-good", "05-good"]
    assert "read ['H1', 'H2']" in printed(request, "00-executive-summary")


def test_kernels_are_this_python_one_thread_in_the_root(ran: tuple[Request, int]) -> None:
    said = printed(ran[0], "01-good")
    assert "cwd True" in said
    assert "threads 1 1" in said
    assert "python python/" in said  # sys.prefix, scrubbed
    assert "given 7 int 2026Q2" in said  # the parameter and the latest period arrived


def test_a_failure_says_where_and_gives_nothing_away(ran: tuple[Request, int]) -> None:
    failures = records(ran[0])
    broken = failures["02-broken"]["error"]
    assert (broken["type"], broken["cell"]) == ("KeyError", 5)
    assert broken["frames"] == ["notebook cell:2"]
    assert broken["message"] == "'<environment> people.csv <address>"
    assert failures["03-hangs"]["error"]["message"] == "stopped after 10 seconds"
    assert failures["03-hangs"]["seconds"] < 20
    assert "died" in failures["04-dies"]["error"]["message"]


def test_nothing_of_the_machine_is_in_the_results(ran: tuple[Request, int]) -> None:
    request, _ = ran
    there = [
        str(Path.home()),
        str(ROOT),
        sys.prefix,
        str(Path(request.output).parent),
        "a-secret-value",
        "mabel.fernsby",
        "postgresql",
        "/usr/local",
        "never",
    ]
    for path in place(request).iterdir():
        text = inflated(path.read_bytes()).decode(errors="replace")
        assert [word for word in there if re.search(rf"(?<![\w+/]){re.escape(word)}(?![\w+-])", text)] == [], path.name
        assert "unwelcome" not in text, path.name  # stderr


def test_executed_notebooks_hold_only_declared_parameters(ran: tuple[Request, int]) -> None:
    made = nbformat.read(place(ran[0]) / "01-good.ipynb", as_version=4)
    assert set(made.metadata) == {"kernelspec", "language_info", "papermill"}
    assert made.metadata.papermill == {
        "parameters": {"period": "2026Q2", "study": "study", "site": "", "output": "out", "draws": 7}
    }
    assert all(set(cell.metadata) <= {"tags"} for cell in made.cells)
    assert [cell.id for cell in made.cells][:3] == ["cell-0", "cell-1", "injected-parameters-2"]


def test_the_manifest_is_an_auditors(ran: tuple[Request, int]) -> None:
    manifest = read(ran[0], "manifest.json")
    assert set(manifest["data"]) == {"study.toml", "unit_scores"}
    assert manifest["packages"]["papermill"]
    assert manifest["parameters"]["draws"] == 7
    assert all(len(record["sha256"]) == 64 for record in manifest["notebooks"])


def test_one_notebook_again_replaces_its_entries_and_keeps_the_rest(
    ran: tuple[Request, int], capsys: pytest.CaptureFixture[str]
) -> None:
    request, _ = ran
    before = records(request)
    write(request.collection, n05_good=node(SAY_RUN, say_finding("H9")))
    for name in ("02-broken", "03-hangs", "04-dies"):
        (request.collection / f"{name}.ipynb").unlink()
    assert batch.run(replace(request, notebooks=("05-good",), parameters=())) == 0
    assert "01-good: its earlier results are dropped" in capsys.readouterr().out  # it had draws=7 then
    assert "read ['H9']" in printed(request, "00-executive-summary")  # the summary followed

    assert batch.run(replace(request, notebooks=("01-good",))) == 0
    after = records(request)
    assert [each["id"] for each in read(request, "findings.json")["findings"]] == ["H1", "H9"]
    assert after["05-good"]["sha256"] != before["05-good"]["sha256"]
    assert set(after) == {"00-executive-summary", "01-good", "05-good"}

    write_study(Path(request.study), score=3.7)
    assert batch.run(replace(request, notebooks=("01-good",))) == 0
    assert [each["id"] for each in read(request, "findings.json")["findings"]] == ["H1"]
    assert not (place(request) / "05-good.html").exists()
    assert "05-good" not in (place(request) / "index.html").read_text(encoding="utf-8")


# ---- without kernels


PANGO_IS_MISSING = "raise OSError('cannot load library libpango-1.0-0 of /srv/lib')"


@pytest.mark.usefixtures("no_kernels")
def test_without_pango_all_else_is_there_and_the_manifest_says_why(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is tried again each time; where it succeeds later, nothing else is written again but the manifest."""
    monkeypatch.setattr(paper, "Press", PRESS)
    (tmp_path / "weasyprint.py").write_text(PANGO_IS_MISSING)
    (tmp_path / "out" / "2026Q2").mkdir(parents=True)
    (place(request_) / "index.pdf").write_bytes(b"of an earlier run")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        assert batch.run(request_) == 0
        assert "index.pdf was not made" in capsys.readouterr().out
        told = read(request_, "manifest.json")["pdf"]
        assert told["made"] is False
        assert re.fullmatch(r"WeasyPrint, or the Pango library .* is not installed on this machine\.", told["why"])
        assert not (place(request_) / "index.pdf").exists()
        written = {path.name: path.stat().st_mtime_ns for path in place(request_).iterdir()}
        assert {"index.html", "01-good.html", "manifest.json"} <= {*written}
        assert batch.run(request_) == 0
        assert {path.name: path.stat().st_mtime_ns for path in place(request_).iterdir()} == written
    draw_at_once(monkeypatch)
    assert batch.run(request_) == 0
    assert read(request_, "manifest.json")["pdf"] == {"made": True}
    changed = {path.name for path in place(request_).iterdir() if path.stat().st_mtime_ns != written.get(path.name)}
    assert changed == {"index.pdf", "manifest.json"}


@pytest.mark.usefixtures("no_kernels")
def test_what_is_on_paper_is_drawn_again_only_when_the_pages_are_made_again(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    draw_at_once(monkeypatch, drawn.append)
    assert batch.run(request_) == 0
    assert batch.run(request_) == 0
    assert drawn == [(place(request_) / "index.html").read_text(encoding="utf-8")]
    (place(request_) / "index.pdf").unlink()
    assert batch.run(request_) == 0
    assert batch.run(replace(request_, force=True)) == 0
    assert drawn == drawn[:1] * 3


@pytest.mark.usefixtures("no_kernels")
def test_each_site_is_drawn_beside_the_next(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one document is drawn, the notebooks of other sites go on."""
    at_once: list[int] = []
    under_way: list[int] = []

    def slow(_: str) -> None:
        under_way.append(1)
        at_once.append(len(under_way))
        time.sleep(0.5)
        under_way.pop()

    draw_at_once(monkeypatch, slow)
    units = "unit_id,site\nU1,North\nU2,South\n"
    (Path(request_.study) / "units.csv").write_text(units)
    toml = Path(request_.study) / "study.toml"
    toml.write_text(toml.read_text().replace("minimum_group = 5", "minimum_group = 1"))
    assert batch.run(replace(request_, by_site=True, jobs=2)) == 0
    assert max(at_once) == 2
    assert len(list(Path(request_.output).rglob("index.pdf"))) == 2


@pytest.mark.usefixtures("no_kernels")
@pytest.mark.parametrize("how", ["drawn before", "drawn after", "full disk"])
def test_what_the_audit_refuses_is_nowhere_and_nobody_goes_on_drawing_it(
    request_: Request, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """Whether the document would be drawn before the audit ends or after; nor is one drawn that nobody waits for."""
    slow = how != "drawn before"
    presses: list[paper.Press] = []

    class Press(PRESS):
        def __init__(self) -> None:
            super().__init__()
            presses.append(self)

    monkeypatch.setattr(paper, "Press", Press)
    if slow:
        code = "import time\ndef HTML(**_): time.sleep(60)\nURLFetcher = dict\n"
        (Path(request_.study).parent / "weasyprint.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(Path(request_.study).parent))

    def audit(*_: Any) -> list[str]:
        until(lambda: presses[0]._taken.locked() if slow else presses[0]._process.poll() is not None)
        if how == "full disk":
            raise OSError(28, "No space left on device")
        return ["two of few"]

    monkeypatch.setattr(release, "exposed", audit)
    monkeypatch.setattr(release, "of_notebook", lambda _: [{}])
    begun = time.monotonic()
    assert batch.run(request_) == 1
    assert time.monotonic() - begun < 40  # nobody waited for what is slow
    said = capsys.readouterr()
    if how == "full disk":
        assert "The results could not be written" in said.err
    else:
        assert "Not published: what is hidden of two of few could be worked out" in said.out
        assert list(place(request_).iterdir()) == []
    assert presses and all(each._process.poll() is not None for each in presses)


@pytest.mark.usefixtures("no_kernels")
def test_the_process_that_draws_is_there_before_the_summary_ends(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    draw_at_once(monkeypatch)
    press, execute = paper.Press, workers.execute
    monkeypatch.setattr(paper, "Press", lambda: begun.append("press") or press())
    monkeypatch.setattr(workers, "execute", lambda each, *more: begun.append(each.name) or execute(each, *more))
    write(request_.collection, n00_executive_summary=node(SAY_RUN))
    assert batch.run(request_) == 0
    assert begun.count("press") == 1
    assert begun.index("press") < begun.index("00-executive-summary")


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    """A request for one good notebook."""
    collection = write(tmp_path / "notebooks", n01_good=node(SAY_RUN, parameters=PARAMETERS + "\ndraws: int = 5"))
    study = write_study(tmp_path / "study")
    return Request(study=str(study), output=str(tmp_path / "out"), collection=collection)


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Make `execute` answer at once."""

    def fake(notebook: Notebook, *_: Any) -> Outcome:
        found = [] if notebook.name == plans.SUMMARY else [{"id": "H1", "notebook": notebook.name}]
        return Outcome(notebook.name, "ok", 0.1, node(), None, found, [])

    monkeypatch.setattr(workers, "execute", fake)
    monkeypatch.setattr(workers.Machine, "start", lambda machine: None)
    draw_at_once(monkeypatch)
    return fake


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[Request], str]:
    """Return what a request is refused with; no kernel may be asked for."""

    def said(request: Request) -> str:
        monkeypatch.setattr(workers, "execute", lambda *_: pytest.fail("a notebook was started"))
        monkeypatch.setattr(workers.Machine, "start", lambda machine: None)
        assert batch.run(request) == 2
        words = capsys.readouterr()
        assert "Traceback" not in words.err + words.out
        return words.err

    return said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": ("draw=3",)}, r"no.*parameter 'draw'.*did you mean draws"),
        ({"parameters": ("draws=many",)}, r"--parameter draws: 'many' is not a whole number"),
        ({"parameters": ("draws=1.5",)}, r"--parameter draws: '1.5' is not a whole number"),
        ({"parameters": ("draws",)}, r"NAME=VALUE"),
        ({"parameters": ("period=2026Q1",)}, r"--parameter period: use PERIOD"),
        ({"parameters": ("language=xx",)}, r"language: 'xx' is not en, fr, de"),
        ({"notebooks": ("01-goood",)}, r"no notebook '01-goood'.*did you mean 01-good"),
        ({"period": "2031Q1"}, r"2031Q1.*2026Q1.*2026Q2"),
        ({"period": "soon"}, r"soon"),
        ({"study": "no/such/folder"}, r"no/such/folder"),
        ({"sites": ("Nowhere",)}, r"Nowhere"),
        ({"by_site": True}, r"No site of `units` can be reported"),
        ({"by_site": True, "sites": ("Lyon",)}, r"--by-site runs every site"),
        ({"jobs": 0}, r"--jobs 0"),
        ({"timeout": 0.0}, r"--timeout 0"),
        ({"timeout": float("nan")}, r"--timeout nan"),
    ],
)
def test_refused_in_words_before_anything_runs(
    request_: Request, changes: dict[str, Any], words: str, refused: Callable[[Request], str]
) -> None:
    assert re.search(words, refused(replace(request_, **changes)))
    assert not Path(request_.output).exists()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (node(parameters=None), "has 0 cells tagged `parameters`"),
        (node(parameters="study: str = ''"), "does not declare period, site, output, language as str"),
        (node(parameters=PARAMETERS + "\nx: int = len('a')"), "may hold only lines such as"),
        (node(parameters=PARAMETERS + "\nimport os"), "may hold only lines such as"),
        (node(parameters=PARAMETERS + "\nx = 1"), "may hold only lines such as"),
    ],
)
def test_a_notebook_needs_one_parameters_cell(
    request_: Request, broken: nbformat.NotebookNode, words: str, refused: Callable[[Request], str]
) -> None:
    write(request_.collection, n02_bad=broken)
    assert f"02-bad.ipynb {words}" in refused(request_).replace(": the `parameters` cell", "")


def test_two_parameters_cells_are_refused(request_: Request, refused: Callable[[Request], str]) -> None:
    made = node(PARAMETERS)
    made.cells[-1].metadata["tags"] = ["parameters"]
    write(request_.collection, n02_bad=made)
    assert "has 2 cells tagged" in refused(request_)


def test_every_problem_of_a_study_is_told(request_: Request, refused: Callable[[Request], str]) -> None:
    table = Path(request_.study) / "unit_scores.csv"
    table.write_text("period,unit_id,measure,value\n2026Q7,U1,internal,3\n2026Q2,U1,internal,many\n")
    said = refused(request_)
    assert "2026Q7" in said
    assert "many" in said


@pytest.mark.parametrize("file", ["findings.json", "manifest.json"])
@pytest.mark.parametrize("key", ["study", "site"])
def test_a_folder_of_another_study_is_refused(
    request_: Request, file: str, key: str, refused: Callable[[Request], str]
) -> None:
    place(request_).mkdir(parents=True)
    (place(request_) / file).write_text(json.dumps({key: "Somebody else's"}), encoding="utf-8")
    said = refused(request_)
    assert "Somebody else's" in said
    assert (place(request_) / file).read_text() == json.dumps({key: "Somebody else's"})


def test_a_second_run_into_the_folder_is_refused(request_: Request, refused: Callable[[Request], str]) -> None:
    cache = Path(request_.output) / ".cache" / "2026Q2"
    cache.mkdir(parents=True)
    with filelock.FileLock(cache / "running"):
        assert "Another run is writing" in refused(request_)


def test_an_output_that_cannot_be_a_folder_is_refused(request_: Request, refused: Callable[[Request], str]) -> None:
    Path(request_.output).write_text("a file")
    assert "cannot be written to" in refused(request_)


@pytest.mark.usefixtures("no_kernels")
@pytest.mark.parametrize("period", ["2026Q1", "2026Q2"])
def test_the_period_asked_for_is_the_one_run(request_: Request, period: str) -> None:
    assert batch.run(replace(request_, period=period)) == 0
    found = json.loads((Path(request_.output) / period / "findings.json").read_text())
    assert found["period"] == period


@pytest.mark.usefixtures("no_kernels")
def test_a_relative_study_is_tried_from_the_root_too(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(request_.study).parent)
    assert batch.run(replace(request_, study="study")) == 0
    assert planned(replace(request_, study="study")).values["study"] == request_.study  # kernels start elsewhere


def contents(folder: Path) -> dict[str, str]:
    """Text of every result; of the manifest, what does not tell the time."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}
    if "manifest.json" in texts:
        texts["manifest.json"] = re.sub(r'"(finished|seconds)": [^,]*', "", texts["manifest.json"])
    return texts


@pytest.mark.usefixtures("no_kernels")
@pytest.mark.parametrize("when", range(1, 12))
def test_a_full_disk_ends_in_words_and_leaves_no_torn_file(
    request_: Request, when: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(request_.collection, n00_executive_summary=node(SAY_RUN), n02_more=node(SAY_RUN))
    assert batch.run(request_) == 0
    before = contents(place(request_))
    written = []

    def full(_: int) -> None:
        written.append(1)
        if len(written) >= when:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert batch.run(replace(request_, force=True)) == 1
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "Traceback" not in said
    after = contents(place(request_))
    assert {name: text for name, text in before.items() if name in after} == after
    assert {*before} - {*after} <= {"manifest.json"}  # without it the folder does not pass for a finished run
    assert not list(Path(request_.output).rglob("part-*"))
    assert batch.run(replace(request_, notebooks=("02-more",))) == 0  # what was found of the others is not lost
    assert contents(place(request_)) == before


@pytest.mark.usefixtures("no_kernels")
def test_what_a_killed_run_left_is_cleared(request_: Request) -> None:
    part = Path(request_.output) / ".cache" / "2026Q2" / "part-09-gone.html"
    part.parent.mkdir(parents=True)
    part.write_text("torn")
    assert batch.run(request_) == 0
    assert not part.exists()


@pytest.mark.usefixtures("no_kernels")
def test_cells_that_start_a_formula_are_quoted(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Path(request_.study)
    with (study / "study.toml").open("a") as toml:
        toml.write('[items."=HYPERLINK(1)"]\ntable = "morale"\nscale = "x"\n')
    (study / "morale.csv").write_text("period,unit_id,=HYPERLINK(1)\n2026Q2,U1,9\n")
    assert batch.run(request_) == 0
    written = (place(request_) / "data-changes.csv").read_text().splitlines()
    assert written[0] == "table,rule,column,rows,what"
    assert "morale,out_of_range,'=HYPERLINK(1),1,set to missing: not from 1 to 5" in written


@pytest.mark.usefixtures("no_kernels")
@pytest.mark.parametrize("cause", ["helpers", "packages"])
def test_what_other_code_made_is_not_kept(
    request_: Request, cause: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(request_.collection, n02_more=node(SAY_RUN))
    assert batch.run(request_) == 0
    assert batch.run(replace(request_, notebooks=("01-good",))) == 0
    assert set(records(request_)) == {"01-good", "02-more"}
    monkeypatch.setattr(fingerprints, cause, lambda: {"other": "1"})
    assert batch.run(replace(request_, notebooks=("01-good",))) == 0
    assert set(records(request_)) == {"01-good"}
    assert "02-more: its earlier results are dropped" in capsys.readouterr().out


@pytest.mark.usefixtures("no_kernels")
def test_an_unfinished_run_is_not_built_upon(request_: Request) -> None:
    write(request_.collection, n02_more=node(SAY_RUN))
    assert batch.run(request_) == 0
    (place(request_) / "manifest.json").unlink()
    assert batch.run(replace(request_, notebooks=("01-good",))) == 0
    assert set(records(request_)) == {"01-good"}
    assert not list(place(request_).glob("02-more*"))


def test_two_sites_in_one_folder_are_refused(request_: Request, refused: Callable[[Request], str]) -> None:
    (Path(request_.study) / "units.csv").write_text("unit_id,site\nU1,A b\nU2,a-B\n")
    assert "share one folder" in refused(replace(request_, sites=("A b", "a-B")))


def test_interrupting_ends_the_kernels_too(request_: Request) -> None:
    pid = Path(request_.output).parent / "pid"
    cell = f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(600)"
    write(request_.collection, n01_good=node(cell))
    code = (
        "import signal, sys; from pathlib import Path; from icsat_helpers import batch\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background\n"
        f"sys.exit(batch.run(batch.Request(study={request_.study!r}, output={request_.output!r}, "
        f"collection=Path({str(request_.collection)!r}))))"
    )
    run = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    try:
        said = run.communicate(timeout=20)[1]
    finally:
        run.kill()
    assert run.returncode == 1
    assert "Stopped" in said
    assert "Traceback" not in said
    until(lambda: dead(int(pid.read_text())), 2)


# ---- the parts


def with_outputs(*payloads: Any) -> nbformat.NotebookNode:
    made = node("pass")
    made.cells[-1].outputs = [nbformat.v4.new_output("display_data", {MIME: each}) for each in payloads]
    return made


RUN = {"period": "2026Q2", "study": STUDY, "site": ""}


@pytest.mark.parametrize(
    ("payloads", "words"),
    [
        ([{"findings": []}], "does not say which period"),
        ([{"run": RUN | {"period": "2026Q1"}}], "used the period '2026Q1', not '2026Q2'"),
        ([{"run": RUN}, {"run": RUN | {"study": "Other"}}], "used the study 'Other'"),
        ([{"run": RUN | {"site": "Lyon"}}], "used the site 'Lyon'"),
        ([{"run": RUN, "findings": [{"estimate": float("nan")}]}], "not finite"),
        ([{"run": RUN, "findings": 3}], "not lists"),
        ([{"run": "2026Q2"}], "not lists"),
    ],
)
def test_what_comes_out_must_be_what_was_asked(payloads: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        execution.gather(with_outputs(*payloads), "01-x", RUN)


def test_names_go_but_what_a_run_was_asked_with_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("USER", "fernsby"), ("TOKEN", "correcthorse"), ("STAGE", "production"), ("NOTE", "a<b & c>d")):
        monkeypatch.setenv(name, text)
    monkeypatch.setattr(execution.socket, "gethostname", lambda: "mill.example.org")
    said = [
        ("fernsby on mill.example.org, mill", "<environment> on <environment>, <environment>"),
        ("correcthorse in production", "<environment> in production"),
        ("a&lt;b &amp; c&gt;d", "<environment>"),
        ("postgresql+psycopg://me:pw@db/x and https://me:pw@db/x", "<address> and <address>"),
        ("https://example.org/usr/lib and </tmp> 3/usr/lib", "https://example.org/usr/lib and </tmp> 3/usr/lib"),
        ("<td>/usr/lib/people.csv</td> C:\\data\\a.csv", "<td>people.csv</td> a.csv"),
        ("iVBfernsby+/usr/lib/", "iVBfernsby+/usr/lib/"),
    ]
    assert execution.without_names([text for text, _ in said]) == [scrubbed for _, scrubbed in said]
    assert execution.without_names({"a": ("fernsby", 1)}, {"fernsby"}) == {"a": ["fernsby", 1]}


def test_paths_go_but_base64_stays() -> None:
    shown = {"/root": "~", "/root/some": "."}
    assert execution.without_paths(["/root/some/a file:///root/b x=/root", "ab/root/some+/root"], shown) == [
        "./a file://~/b x=~",
        "ab/root/some+/root",
    ]
    assert execution.without_paths("/rootless", shown) == "/rootless"


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("~/venv/lib/python3.11/site-packages/pandas/core/frame.py", "pandas.core.frame"),
        ("/usr/lib/python3.12/json/decoder.py", "json.decoder"),
        ("/home/ann/project/icsat_helpers/panel.py", "icsat_helpers.panel"),
        ("/home/ann/own.py", "own"),
    ],
)
def test_frames_name_modules_not_folders(file: str, module: str) -> None:
    assert execution.frames([f"\x1b[31mFile {file}:12\x1b[0m, in f(x)\n  12 secret = 'value'"]) == [f"{module}:12 in f"]


def test_parameters_of_two_types_are_refused() -> None:
    two = [Notebook("01-a", "", "", {"draws": "int"}, 0), Notebook("02-b", "", "", {"draws": "float"}, 0)]
    with pytest.raises(RequestError, match="as float and as int"):
        values(["draws=3"], two)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("str", "3", "3"), ("int", "3", 3), ("float", "3", 3.0), ("bool", "True", True), ("list", "[1]", [1])],
)
def test_parameters_take_the_declared_type(kind: str, text: str, value: Any) -> None:
    declared = declarations(f"x: {kind} = None")
    found = values([f"x={text}"], [Notebook("01-a", "", "", declared, 0)])["x"]
    assert (found, type(found)) == (value, type(value))


def test_sites_have_folders_of_letters() -> None:
    names = ["Köln/Süd", "../../etc", "上海", "a b"]
    assert [results.slug(name) for name in names[:1] + names[2:]] == ["köln-süd", "上海", "a-b"]
    assert results.slug(names[1]) == "etc"
