"""Foreign file formats are read in a process of their own, with a ceiling on memory and on time.

A few kilobytes can unpack to more than a machine holds, and a parser of bytes from elsewhere can crash: neither
may take the caller with it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

from icsat_helpers.problems import Unreadable
from icsat_helpers.project import ROOT

MEMORY = 1_500  # megabytes for a small file; with what the caller needs itself it stays below 2 GB
SECONDS = 4  # of processor time for a small file
PER_MEGABYTE = 8, 1.0  # how many more megabytes and seconds for each megabyte of a large one
MOST_COLUMNS = 16_384  # as many as a spreadsheet has
# Libraries that reserve memory for many threads would meet the ceiling before they read a byte.
_LEAN = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
# Memory of one batch of rows is used for the next: to give it back and ask again takes longer than to read them.
_LEAN |= {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**28)}


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
    memory, seconds = limits(len(data))
    try:
        answer = _answer((module, data, options, memory, seconds), seconds)
    except (BrokenPipeError, pickle.UnpicklingError, EOFError, MemoryError):
        raise Unreadable(f"a file that can be read with {memory} MB of memory in {seconds} seconds") from None
    if isinstance(answer, Unreadable):
        raise answer
    assert isinstance(answer, Cells)
    return answer


def _answer(asked: tuple[object, ...], seconds: int) -> object:
    """Return what a confined process answers; large data goes through as it is, without another copy of it."""
    # Isolated: neither the current folder nor the user's own packages are on its path.
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from icsat_helpers.confined import serve; serve()"
    command, pipe = [sys.executable, "-I", "-c", code], subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=os.environ | _LEAN, pipesize=2**20
    ) as process:
        assert process.stdin and process.stdout
        late = threading.Timer(10 * seconds, process.kill)
        late.start()
        try:
            pickle.dump(asked, process.stdin, protocol=5)
            process.stdin.close()  # it reads all before it writes, so neither waits for the other
            return pickle.load(process.stdout)
        finally:
            late.cancel()
            process.kill()


class _WithoutPandas:
    """Pyarrow imports pandas for the first number it is given, which takes longer than to read a file."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError(name)


def serve() -> None:
    """Answer the one question on standard input, in the confined process."""
    import importlib

    module, data, options, memory, seconds = pickle.load(sys.stdin.buffer)
    _confine(memory, seconds)
    if module == "parquet":
        sys.meta_path.insert(0, _WithoutPandas())
    answer: Cells | Unreadable
    try:
        answer = importlib.import_module(f"icsat_helpers.{module}").read(data, **options)
    except Unreadable as refused:
        answer = refused
    pickle.dump(answer, sys.stdout.buffer, protocol=5)
    sys.stdout.flush()
    os._exit(0)  # what the libraries would still tidy up is not worth waiting for


def limits(size: int) -> tuple[int, int]:
    """Return the megabytes and the seconds that a file of `size` bytes may take.

    Examples
    --------
    >>> limits(10_000), limits(100_000_000)
    ((1500, 4), (2300, 104))
    """
    more = size / 1e6
    return int(MEMORY + PER_MEGABYTE[0] * more), int(SECONDS + PER_MEGABYTE[1] * more)


def _confine(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the clock still holds
        return
    for kind, amount in ((resource.RLIMIT_AS, memory * 2**20), (resource.RLIMIT_CPU, seconds)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
