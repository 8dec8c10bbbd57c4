"""A cluster: a real scheduler and two real workers, one of which dies in the middle."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from collection import SAY_RUN, dead, node, say_finding, start_run, until, write, write_study

from icsat_helpers import batch, workers
from icsat_helpers.plans import Request
from icsat_helpers.project import ROOT

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")


def start(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dask", *words]
    environment = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler's address, and the processes of two workers."""
    file = tmp_path / "scheduler.json"
    started = [
        start("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file))
    ]
    try:
        until(lambda: file.exists() and file.read_text())
        address = json.loads(file.read_text())["address"]
        one = ("worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        started += [start(*one, "--local-directory", str(tmp_path / str(n))) for n in range(2)]
        yield address, started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def contents(request: Request) -> dict[str, str]:
    # All but the PDF, which is no text.
    texts = {path.name: path.read_text() for path in (Path(request.output) / "2026Q2").glob("*[!f]")}
    return {name: re.sub(r'"(finished|seconds)": [^,]*', "", text) for name, text in texts.items()}


def test_a_dead_worker_s_notebook_is_run_by_another(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, _ = cluster
    told = tmp_path / "told"
    # The first time it runs, this notebook kills the worker that runs it: the parent of its fork server.
    kill = (
        f"import os, pathlib, signal, time\ntold = pathlib.Path({str(told)!r})\nif not told.exists():\n"
        "    worker = int(pathlib.Path(f'/proc/{os.getppid()}/stat').read_text().rpartition(')')[2].split()[1])\n"
        "    told.write_text(f'{worker} {os.getpid()}')\n    os.kill(worker, signal.SIGKILL)\n    time.sleep(600)"
    )
    collection = write(
        tmp_path / "notebooks",
        n00_executive_summary=node(SAY_RUN),
        n01_kills=node(kill, SAY_RUN, say_finding("H1")),
        n02_good=node(SAY_RUN, say_finding("H2")),
        n03_fails=node("1 / 0"),
    )
    study = write_study(tmp_path / "study")
    request = Request(study=str(study), output=str(tmp_path / "a" / "out"), collection=collection, scheduler=address)
    assert batch.run(request) == 1  # for the one that fails, as on one machine
    said = capsys.readouterr().out
    worker, kernel = map(int, told.read_text().split())
    assert worker in [process.pid for process in cluster[1]]
    until(lambda: dead(kernel), 2)  # its fork server notices, and may still be ending itself
    assert re.search(r"01-kills +ok", said)
    assert re.search(r"03-fails +failed .* ZeroDivisionError in cell 3: division by zero", said)
    local = replace(request, output=str(tmp_path / "b" / "out"), scheduler="")
    assert batch.run(local) == 1
    assert contents(request) == contents(local)


def test_nothing_runs_on_when_the_runner_is_gone(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    cell = f"import os, pathlib, time\npathlib.Path({str(told)!r}).write_text(str(os.getpid()))\ntime.sleep(600)"
    collection = write(tmp_path / "notebooks", n01_sleeps=node(cell))
    request = Request(study=str(write_study(tmp_path / "study")), output=str(tmp_path / "out"), collection=collection)
    run = start_run(replace(request, scheduler=cluster[0]))
    until(lambda: told.exists() and told.read_text())
    run.kill()
    run.wait()
    until(lambda: dead(int(told.read_text())), 4)  # the scheduler notices, the worker looks once a second


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense"])
def test_a_scheduler_that_is_not_there_is_refused(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_CONNECT_SECONDS", 1)
    collection = write(tmp_path / "notebooks", n01_good=node(SAY_RUN))
    study = write_study(tmp_path / "study")
    request = Request(study=str(study), output=str(tmp_path / "out"), collection=collection, scheduler=address)
    assert batch.run(request) == 2
    assert f"--scheduler {address}: no worker answers there" in capsys.readouterr().err
    assert not Path(request.output).exists()


def test_a_worker_with_other_code_is_not_trusted() -> None:
    from icsat_helpers.parameters import Notebook

    ended = workers._on_worker(Notebook("01-x", "", "", {}, 0), None, (), "other")  # type: ignore[arg-type]
    assert (ended.ended, ended.error["type"]) == ("failed", "OtherVersion")


def test_a_scheduler_that_has_gone_is_no_error_of_the_output_folder() -> None:
    """Each notebook then says that it was cancelled."""

    class Client:
        def nthreads(self) -> dict[str, int]:
            raise OSError("Timed out trying to connect")

    cluster = workers.Cluster.__new__(workers.Cluster)
    cluster._client = Client()
    assert cluster.room == 1
    assert [cluster.spare(left) for left in (5, 2, 1)] == [False, False, True]
