"""Kernels: a forked one is as fresh as an ordinary one, and finds the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from collection import SAY_RUN, node, say_finding, write, write_study

from icsat_helpers import batch, kernels
from icsat_helpers.plans import Request

LOOK = """import json, os, random, signal, sys, threading, warnings
import numpy
state = {
    "environment": dict(os.environ), "folder": os.getcwd(), "path": sys.path, "flags": str(sys.flags),
    "filters": [str(each) for each in before],
    "threads": sorted(each.name.rstrip("0123456789") for each in threading.enumerate()),
    "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
    "leader": os.getpid() == os.getpgid(0), "main": __name__, "arguments": [os.path.basename(sys.argv[0]), sys.argv[1]],
}
print("STATE" + json.dumps(state))
print("RANDOM", random.random(), numpy.random.random())"""
DRAW = "import matplotlib.pyplot as plt\nprint(plt.get_backend())\nplt.plot([1, 2])\nplt.show()"


def printed(made: Any) -> str:
    return "".join(output.text for cell in made.cells for output in cell.get("outputs", ()) if "text" in output)


@pytest.mark.skipif(not kernels.forking(), reason="kernels are forked on Linux")
def test_a_forked_kernel_is_a_fresh_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = node("import warnings\nbefore = list(warnings.filters)", LOOK, SAY_RUN)
    same = node(DRAW, "plt.plot([2, 1])", "{'a', 'b', 'c'}", SAY_RUN, say_finding("H1"))
    collection = write(tmp_path / "notebooks", n01_a=look, n02_b=look, n03_c=same)
    study = write_study(tmp_path / "study")
    monkeypatch.setenv("JPY_PARENT_PID", "1")  # as in a terminal of JupyterLab, whose kernels these are not
    states, randoms, made = [], [], []
    for forked in ("0", "1"):
        monkeypatch.setenv("ICSAT_FORK", forked)
        request = Request(study=str(study), output=str(tmp_path / forked / "out"), collection=collection)
        assert batch.run(request) == 0
        place = Path(request.output) / "2026Q2"
        for name in ("01-a", "02-b"):
            said = printed(nbformat.read(place / f"{name}.ipynb", as_version=4)).splitlines()
            states.append(json.loads(said[0].removeprefix("STATE")))
            randoms += said[1].split()[1:]
        made.append([(place / name).read_text() for name in ("03-c.ipynb", "03-c.html", "findings.json")])
    own = {
        "IPYTHONDIR",
        "MATPLOTLIBRC",
        "JPY_PARENT_PID",
        "ICSAT_FORK",
        "ICSAT_HELD",
    }  # of a run, or this very difference
    for state in states:
        assert own <= {*state["environment"]}
        state["environment"] = {name: value for name, value in state["environment"].items() if name not in own}
    assert states[0] == states[1] == states[2] == states[3]
    assert len(set(randoms)) == len(randoms)
    assert made[0] == made[1]
    assert made[0][0].count("image/png") == 2


def test_forking_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICSAT_FORK", "0")
    assert not kernels.forking()
    monkeypatch.setenv("ICSAT_FORK", "1")
    assert kernels.forking() == (sys.platform == "linux")
