"""The files of a run: where they go, what an earlier run left, and writing each whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MIME = "application/vnd.icsat+json"
"""The type as which findings travel in a notebook's outputs."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a cell that starts so


def slug(site: str) -> str:
    """Return the name of a site's folder.

    Examples
    --------
    >>> slug("Zürich / North"), slug("..")
    ('zürich-north', 'site-5ec1f7e7')
    """
    words = re.sub(r"\W+", "-", site.casefold()).strip("-")
    return words or "site-" + hashlib.sha256(site.encode()).hexdigest()[:8]


def folder(output: str | Path, period: str, site: str = "") -> Path:
    """Return where the results of a period, or of a site in it, stand.

    Examples
    --------
    >>> folder("outputs", "2026Q3", "Lyon").as_posix()
    'outputs/2026Q3/lyon'
    """
    return Path(output) / period / slug(site) if site else Path(output) / period


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing where it is not there or is no table of values."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def open_cache(cache: Path) -> None:
    """Make the folder of locks and half-written files, readable to nobody else."""
    cache.mkdir(parents=True, exist_ok=True)
    next(each for each in (cache, *cache.parents) if each.name == ".cache").chmod(0o700)


def remove(paths: Iterable[Path]) -> None:
    """Remove files where they are there."""
    for path in paths:
        path.unlink(missing_ok=True)


def write(cache: Path, path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: in the cache first, then moved into place."""
    part = cache / f"part-{path.name}"
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def quoted(cells: Iterable[Any]) -> list[Any]:
    """Return a row whose text cells no spreadsheet takes for a formula.

    Examples
    --------
    >>> quoted(["=1+1", "item", -1])
    ["'=1+1", 'item', -1]
    """
    return ["'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in cells]
