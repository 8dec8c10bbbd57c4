"""What goes wrong at night: the runner or a kernel killed, the disk full, two runs at once, a folder that is read-only.

After each: no torn file, nothing found is lost, and the next run finishes what is missing.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from collection import SAY_RUN, answer_at_once, dead, node, say_finding, start_run, until, write, write_study

from icsat_helpers import batch
from icsat_helpers.plans import Request

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="signals and mounts of Linux")


def killed(request: Request, moment: int) -> int | None:
    """Run in a copy of this process that is killed when it writes its `moment`-th file; return how it ended."""

    count, sync = itertools.count(1), os.fsync

    def die(file: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL) if next(count) == moment else sync(file)

    def run() -> None:
        os.fsync = die
        os._exit(batch.run(request))

    copy = multiprocessing.get_context("fork").Process(target=run)
    copy.start()
    copy.join(60)
    return copy.exitcode


def whole(output: str | Path) -> dict[str, str]:
    """Every result, the times in them left out; each JSON file must be whole."""
    # All but the PDF, which is no text.
    texts = {path.name: path.read_text(encoding="utf-8") for path in (Path(output) / "2026Q2").glob("*[!f]")}
    for name, text in texts.items():
        assert not name.endswith((".json", ".ipynb")) or json.loads(text)
    return {name: re.sub(r'"(finished|seconds)": [^,]*', "", text) for name, text in texts.items()}


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    collection = write(
        tmp_path / "notebooks", n00_executive_summary=node(SAY_RUN), n01_a=node(SAY_RUN), n02_b=node(SAY_RUN)
    )
    return Request(study=str(write_study(tmp_path / "study")), output=str(tmp_path / "out"), collection=collection)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, request_: Request) -> Callable[[], list[str]]:
    """Let notebooks answer at once, without a kernel; say which have been run since it was last asked."""
    return answer_at_once(monkeypatch, request_.collection / "ran")


@LINUX
# By the number of files written: the study is held, notebooks end, the summary is to read, results are put in place.
@pytest.mark.parametrize(("moment", "kept"), [(1, 0), (4, 1), (5, 2), (8, 3), (13, 3)])
def test_the_next_run_finishes_what_a_killed_runner_left(
    request_: Request, ran: Callable[[], list[str]], moment: int, kept: int
) -> None:
    clean = replace(request_, output=str(request_.collection / "clean" / "out"))
    assert batch.run(clean) == 0
    ran()
    assert killed(request_, moment) == -signal.SIGKILL
    assert "manifest.json" not in whole(request_.output)
    assert len(list((Path(request_.output) / ".cache" / "2026Q2").glob("done-*"))) == kept
    ran()
    assert batch.run(request_) == 0
    assert len(ran()) == 3 - kept  # what was kept is not run again
    assert whole(request_.output) == whole(clean.output)
    assert not [path for path in Path(request_.output).rglob("*") if path.name.startswith(("part-", "done-"))]


@LINUX
@pytest.mark.parametrize("forked", ["1", "0"])
def test_kernels_end_with_their_runner(request_: Request, forked: str) -> None:
    told = request_.collection / "told"
    # A forked kernel goes at once even where it is deep in a computation that lets no other thread run.
    busy = "sum(range(10**12))" if forked == "1" else "import time\ntime.sleep(600)"
    cell = "import os, pathlib, subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
    cell += f"pathlib.Path({str(told)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')\n"
    write(request_.collection, n01_a=node(cell + busy))
    run = start_run(replace(request_, notebooks=("01-a",)), ICSAT_FORK=forked)
    until(lambda: told.exists() and told.read_text())
    kernel, child = map(int, told.read_text().split())
    try:
        assert os.getpgid(kernel) == kernel
        run.kill()
        run.wait()
        until(lambda: dead(kernel), 2)
        if forked == "1":
            until(lambda: dead(child), 2)  # the kernel leads a group of its own, which goes with it
    finally:
        for pid in (pid for pid in (kernel, child) if not dead(pid)):
            os.kill(pid, signal.SIGKILL)


@LINUX
def test_a_killed_kernel_fails_its_notebook_alone(request_: Request, capsys: pytest.CaptureFixture[str]) -> None:
    kill = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    write(request_.collection, n01_a=node(SAY_RUN, kill), n02_b=node(SAY_RUN, say_finding("H2")))
    assert batch.run(request_) == 1
    assert {"01-a.html", "02-b.html"} & {*whole(request_.output)} == {"02-b.html"}
    assert "DeadKernelError: Kernel died" in capsys.readouterr().out
    write(request_.collection, n01_a=node(SAY_RUN, say_finding("H1")))
    assert batch.run(request_) == 0
    said = capsys.readouterr().out
    assert re.search(r"01-a +ok", said)
    assert re.search(r"02-b +unchanged", said)
    assert [each["id"] for each in json.loads(whole(request_.output)["findings.json"])["findings"]] == ["H1", "H2"]


@LINUX
def test_a_hanging_cell_is_stopped_with_what_it_started(request_: Request) -> None:
    pid = request_.collection / "pid"
    cell = f"import pathlib, subprocess\nchild = subprocess.Popen(['sleep', '600'])\npathlib.Path({str(pid)!r})"
    write(request_.collection, n01_a=node(cell + ".write_text(str(child.pid))\nsum(range(10**12))"))
    assert batch.run(replace(request_, notebooks=("01-a",), timeout=4)) == 1
    assert dead(int(pid.read_text()))
    (record,) = json.loads((Path(request_.output) / "2026Q2" / "manifest.json").read_text())["notebooks"]
    assert (record["ended"], record["error"]["message"]) == ("timed out", "stopped after 4 seconds")


@LINUX
def test_the_second_of_two_runs_is_refused(request_: Request, capsys: pytest.CaptureFixture[str]) -> None:
    go = request_.collection / "go"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.1)"
    write(request_.collection, n01_a=node(wait, SAY_RUN))
    one = start_run(request_)
    until(lambda: (Path(request_.output) / ".cache" / "2026Q2" / "study" / "study.json").exists())
    assert batch.run(request_) == 2
    assert "Another run is writing" in capsys.readouterr().err
    go.touch()
    assert one.wait(60) == 0
    assert "manifest.json" in whole(request_.output)


def _mounted(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from _mounted(tmp_path / "small", "-o", "size=192k")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    yield from _mounted(tmp_path / "read-only", "-o", "ro")


@LINUX
@pytest.mark.usefixtures("ran")
def test_a_full_disk_is_told_and_the_next_run_finishes(
    request_: Request, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request_ = replace(request_, output=str(small_disk))
    (small_disk / "something").write_bytes(bytes(150 * 1024))  # of somebody else
    assert batch.run(request_) == 1
    said = capsys.readouterr().err
    assert "could not be written" in said
    assert "No space left on device" in said
    assert "manifest.json" not in whole(small_disk)
    (small_disk / "something").unlink()
    assert batch.run(request_) == 0
    assert "manifest.json" in whole(small_disk)


@LINUX
@pytest.mark.usefixtures("ran")
def test_a_read_only_folder_is_refused(request_: Request, read_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert batch.run(replace(request_, output=str(read_only))) == 2
    assert "cannot be written to: Read-only file system" in capsys.readouterr().err
