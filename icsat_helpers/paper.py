"""The executive's document on paper: `index.html` as an A4 PDF, drawn by WeasyPrint in a process of its own.

A process of its own: its libraries are slow to import, some machines lack one, and whatever stops it must not stop
the run.
"""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

from icsat_helpers.project import ROOT

_NOT_INSTALLED = 3
"""What the process ends with where WeasyPrint, or a library that it loads, is missing."""

_LONGEST = 600.0
"""Seconds, for a run without a `--timeout`."""

_FOLDED = re.compile(r"(<details\b[^>]*>|</details\s*>)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Paper:
    """The bytes of a PDF, or why there is none."""

    content: bytes = b""
    why: str = ""


class Press:
    """The process that draws one document: it imports before there is one, and ends if none comes."""

    def __init__(self) -> None:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self._process: subprocess.Popen[bytes] | None = None
        self._why, self._taken = "", threading.Lock()  # by who draws, or by who ends it before it does
        try:
            self._process = subprocess.Popen([sys.executable, "-m", "icsat_helpers.paper"], cwd=ROOT, **pipes)
        except OSError as error:
            self._why = f"Its process could not be started: {error.strerror}."

    def draw(self, document: str, timeout: float) -> Paper:
        """Draw a document that `publish` made; what stops it is told in words that give nothing away."""
        timeout = min(timeout, _LONGEST)
        if self._process is None:
            return Paper(why=self._why)
        if not self._taken.acquire(blocking=False):
            return Paper(why="It was no longer wanted.")
        with self._process as process:
            try:
                drawn, said = process.communicate(document.encode(), timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                return Paper(why=f"It was stopped after {timeout:g} seconds.")
        if process.returncode == _NOT_INSTALLED:
            return Paper(why="WeasyPrint, or the Pango library that it needs, is not installed on this machine.")
        if process.returncode or not drawn.startswith(b"%PDF-"):
            last = re.match(r"[\w.]+", said.decode(errors="replace").strip().rpartition("\n")[2])
            kind = last[0].rpartition(".")[2] if last else f"exit code {process.returncode}"
            return Paper(why=f"WeasyPrint stopped with {kind}.")
        return Paper(drawn)

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process:
            self._process.kill()
            if self._taken.acquire(blocking=False):  # else who draws sees its end
                self._process.communicate()


def pdf(document: str) -> bytes:
    """Return a document as a tagged A4 PDF, without what unfolds; an address of anything outside it is refused."""
    import weasyprint

    inside = weasyprint.URLFetcher(allowed_protocols=["data"], fail_on_errors=True)
    drawn = weasyprint.HTML(string=unfolded(document), url_fetcher=inside).write_pdf(pdf_variant="pdf/ua-1")
    return bytes(drawn)


def unfolded(document: str) -> str:
    """Return a document without what unfolds: print CSS hides it, but it would still take time to read.

    Examples
    --------
    >>> unfolded("<p>a</p><details><summary>b</summary><details>c</details></details><p>d</p>")
    '<p>a</p><p>d</p>'
    """
    kept, depth = [], 0
    for number, part in enumerate(_FOLDED.split(document)):
        if number % 2:  # every second part is what it was split at
            depth += -1 if part.startswith("</") else 1
        elif not depth:
            kept.append(part)
    return "".join(kept)


def main() -> int:
    """Write the PDF of the document that standard input holds to standard output."""
    gc.disable()  # next to nothing of what a document is laid out with is garbage before it is drawn
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError):  # OSError: the library is looked for as the module is imported
        return _NOT_INSTALLED
    document = sys.stdin.buffer.read().decode()
    if document:
        sys.stdout.buffer.write(pdf(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
