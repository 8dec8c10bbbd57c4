"""The files of a run: where they go, what an earlier run left, and writing each whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from icsat_helpers.parameters import RequestError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a cell that starts so


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a finished run left in the same folder.

    Attributes
    ----------
    records : dict of str to dict
        The manifest's entry of each notebook.
    findings, metrics : list of dict
        Of all notebooks.
    """

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)


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


def refuse_others(place: Path, identity: Mapping[str, str]) -> None:
    """Refuse a folder whose results are of another study, period or site.

    Raises
    ------
    RequestError
        Naming both.
    """
    for name in ("findings.json", "manifest.json"):
        there = _read_json(place / name)
        for key, value in identity.items():
            if there.get(key, value) != value:
                raise RequestError(
                    f"{place} holds the results of the {key} {there[key]!r}, not {value!r}; choose another --output."
                )


def read(place: Path) -> Earlier:
    """Return what a finished run left; nothing where it did not finish, for then nothing is sure."""
    manifest, found = _read_json(place / "manifest.json"), _read_json(place / "findings.json")
    if not manifest or not found:
        return Earlier()
    return Earlier({each["name"]: each for each in manifest["notebooks"]}, found["findings"], found["metrics"])


def is_current(record: Mapping[str, Any], inputs: str | None, place: Path) -> bool:
    """Tell whether a notebook's results still stand: ended well, from the same inputs, its copy there."""
    return record["ended"] == "ok" and record["inputs"] == inputs and (place / f"{record['name']}.ipynb").is_file()


def make_private(cache: Path) -> None:
    """Make the folder of half-written files and locks, readable to nobody else."""
    cache.mkdir(parents=True, exist_ok=True)
    top = next(each for each in (cache, *cache.parents) if each.name == ".cache")
    top.chmod(0o700)


def clear_parts(cache: Path) -> None:
    """Remove what a run that was killed left half written."""
    for part in cache.glob("part-*"):
        part.unlink()


def remove(place: Path, names: Iterable[str]) -> None:
    """Remove files where they are there."""
    for name in names:
        (place / name).unlink(missing_ok=True)


def write(cache: Path, path: Path, text: str) -> None:
    """Write a file whole or not at all: beside the results first, then moved into place."""
    part = cache / f"part-{path.name}"
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def quoted(frame: Any) -> Any:
    r"""Return a frame whose text cells no spreadsheet takes for a formula.

    Examples
    --------
    >>> import pandas as pd
    >>> quoted(pd.DataFrame({"column": ["=1+1", "item"], "rows": [-1, 2]})).to_csv(index=False)
    "column,rows\n'=1+1,-1\nitem,2\n"
    """
    return frame.map(lambda cell: "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
