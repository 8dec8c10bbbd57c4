"""Foreign file formats are read in a process of their own, with a ceiling on memory and on time.

A few kilobytes can unpack to more than a machine holds, and a parser of bytes from elsewhere can crash: neither
may take the caller with it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

from icsat_helpers.problems import Unreadable
from icsat_helpers.project import ROOT

MEMORY = 1_500  # megabytes; with what the caller needs itself it stays below 2 GB
SECONDS = 4  # of processor time for a small file ...
PER_MEGABYTE = 1.0  # ... and more for a large one
MOST_COLUMNS = 16_384  # as many as a spreadsheet has
# Libraries that reserve memory for many threads would meet the ceiling before they read a byte.
_LEAN = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}


@dataclass(frozen=True, slots=True)
class Cells:
    """What a reader finds in a file: names, columns of text (None is empty), and the row number of each row.

    `words` are the questions behind column names; `labels` the labels of a column's codes; `notes` what else is
    to be said of it: rule, column, rows, what; `separator` what stands between the cells of delimited text.
    """

    names: list[str]
    columns: list[Any]
    rows: Any
    words: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[tuple[str, str, int, str]] = field(default_factory=list)
    separator: str = ","


def read(module: str, data: bytes, **options: str) -> Cells:
    """Return what ``icsat_helpers.<module>.read(data, **options)`` does, done in a confined process.

    Raises
    ------
    Unreadable
        As the reader does, or where it crashes or needs more memory or time than a table should.
    """
    seconds = int(SECONDS + PER_MEGABYTE * len(data) / 1e6)
    # Isolated: neither the current folder nor the user's own packages are on its path.
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from icsat_helpers.confined import serve; serve()"
    asked = pickle.dumps((module, data, options, seconds), protocol=5)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], input=asked, capture_output=True, timeout=10 * seconds, check=True,
            env=os.environ | _LEAN,
        )  # fmt: skip
        answer = pickle.loads(done.stdout)
    except (subprocess.SubprocessError, pickle.UnpicklingError, EOFError, MemoryError):
        raise Unreadable(f"a file that can be read with {MEMORY} MB of memory in {seconds} seconds") from None
    if isinstance(answer, Unreadable):
        raise answer
    assert isinstance(answer, Cells)
    return answer


def serve() -> None:
    """Answer the one question on standard input, in the confined process."""
    import importlib

    module, data, options, seconds = pickle.load(sys.stdin.buffer)
    _confine(seconds)
    answer: Cells | Unreadable
    try:
        answer = importlib.import_module(f"icsat_helpers.{module}").read(data, **options)
    except Unreadable as refused:
        answer = refused
    sys.stdout.buffer.write(pickle.dumps(answer, protocol=5))
    sys.stdout.flush()
    os._exit(0)  # what the libraries would still tidy up is not worth waiting for


def _confine(seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the clock still holds
        return
    for kind, amount in ((resource.RLIMIT_AS, MEMORY * 2**20), (resource.RLIMIT_CPU, seconds)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
