"""What must not leave the machine, taken out of executed notebooks and of error messages."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_FRAME = re.compile(r"^(?:File (?P<file>.+?):(?P<line>\d+), in (?P<name>[\w<>.]+)|Cell In\[\d+\], line (?P<cell>\d+))")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_PATH = re.compile(r"(?:(?<![\w/.~])[~.]{0,2}/|\b[A-Za-z]:\\)(?:[^\s/\\'\":]+[/\\])+")
_ADDRESS = re.compile(r"\w[\w+.-]*://\S+")
_SHORTEST_SECRET = 8  # shorter environment values are words like "root" or "1"
_LONGEST_MESSAGE = 500


def notebook(node: Any, values: Mapping[str, Any], shown: Mapping[str, str]) -> Any:
    """Return a notebook without machine paths, times, random ids, warnings and papermill's notes."""
    import nbformat

    node = nbformat.from_dict(without_paths(node, shown))
    said = without_paths(dict(values), shown)
    node.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": node.metadata.get("language_info", {}),
        "papermill": {"parameters": said},
    }
    for number, cell in enumerate(node.cells):
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell.id = f"injected-parameters-{number}"
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
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
    text = _ADDRESS.sub("<address>", _COLOUR.sub("", text).replace(str(Path.home()), "~"))
    text = _PATH.sub("", text)
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " ..."


def frames(traceback: Sequence[str]) -> list[str]:
    """Return `module:line in function` for each frame, without the source and values that IPython prints."""
    lines = _COLOUR.sub("", "\n".join(traceback)).split("\n")
    return [
        f"notebook cell:{match['cell']}"
        if match["cell"]
        else f"{_module(match['file'])}:{match['line']} in {match['name']}"
        for match in filter(None, map(_FRAME.match, lines))
    ]


def _module(file: str) -> str:
    """Return the dotted name of a library's or the project's file; of any other file its stem alone."""
    parts = Path(file.replace("\\", "/")).with_suffix("").parts
    for place, part in reversed(list(enumerate(parts))):
        if part == "icsat_helpers":
            return ".".join(parts[place:])
        if part == "site-packages" or re.fullmatch(r"python3\.\d+", part):
            return ".".join(parts[place + 1 :])
    return parts[-1]
