"""SHA-256 of what results depend on: a study's files, this package, the versions of the libraries."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ALLOW_OUTSIDE = "ICSAT_ALLOW_OUTSIDE"
"""The environment variable that ``--allow-outside`` sets: a study may name files outside its folder."""

_RUNNER = ("batch.py", "cli.py")  # no result depends on these
_DESCRIBED = (".dist-info", ".egg-info")  # folders that say what is installed
_PAGES = ("publish.py", "paper.py", "page.css", "page.html.j2")  # nor any finding on these


def of(value: Any) -> str:
    """Return the hash of anything that JSON can say.

    Examples
    --------
    >>> of({"a": 1, "b": 2}) == of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def of_file(path: Path) -> str:
    """Return the hash of a file's bytes; nothing where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def of_study(folder: Path, output: Path) -> str:
    """Return one hash of all that a cleaned study depends on: its files but for `output`, this package, libraries.

    Nothing where that cannot be told without reading it, as of a database or of files outside the folder.
    """
    try:
        toml = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8-sig"))
        key = toml.get("privacy", {}).get("pseudonymise", "")
        secret = os.environ.get(key, "") if key else ""
    except (OSError, ValueError, AttributeError, TypeError):
        return ""
    if "database" in toml or os.environ.get(ALLOW_OUTSIDE):
        return ""
    files: dict[str, str] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." and (Path(place) / name).resolve() != output]
        paths = [Path(place) / name for name in names]
        files |= {path.relative_to(folder).as_posix(): of_file(path) for path in paths}
    return of([str(folder), files, hashlib.sha256(secret.encode()).hexdigest(), helpers(), packages()])


def of_tables(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Return a hash of each table of a study as it stood at the end of its period.

    A file grows each quarter, so its own hash cannot tell new rows from revised ones; this can: a later run
    loads the same period again, and the hashes are the same unless what was known then was revised.
    """
    import pandas as pd

    found = {name: pd.util.hash_pandas_object(table, index=False).to_numpy() for name, table in tables.items()}
    return {name: hashlib.sha256(rows.tobytes()).hexdigest() for name, rows in found.items()}


@functools.cache
def helpers() -> str:
    """Return one hash of this package's files, but for those that only run and publish."""
    return _of_package(lambda name: name not in (*_RUNNER, *_PAGES))


@functools.cache
def pages() -> str:
    """Return one hash of what turns notebooks into pages."""
    return _of_package(lambda name: name in _PAGES)


def _of_package(wanted: Any) -> str:
    here = Path(__file__).parent
    files = [path for path in sorted(here.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return of({path.relative_to(here).as_posix(): of_file(path) for path in files if wanted(path.name)})


@functools.cache
def packages() -> dict[str, str]:
    """Return the version of every library that is installed, as the folders that describe them are named.

    To read what is in them would take a fifth of a second, most of what a run takes in which nothing has changed.
    """
    found = [path.stem for place in sys.path for path in Path(place or ".").glob("*-info") if path.suffix in _DESCRIBED]
    return {name.replace("_", "-"): version for name, _, version in sorted(stem.partition("-") for stem in found)}
