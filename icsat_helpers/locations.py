"""Where a table's files are: inside the study's folder, unless the operator allows more."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

from icsat_helpers.draft import Draft
from icsat_helpers.fingerprints import ALLOW_OUTSIDE
from icsat_helpers.schemas import TABLES
from icsat_helpers.sources import KINDS


def files(draft: Draft, table: str, source: str) -> list[Path]:
    """Return the files of a table, in order; none where they are absent or may not be read."""
    inside = "a file inside the study's folder"
    allowed = bool(os.environ.get(ALLOW_OUTSIDE))
    try:
        paths = _named(draft.folder, source, allowed) if source else _usual(draft.folder, table)
    except NotImplementedError:  # an absolute path
        draft.refuse(table, source, inside)
        return []
    except (ValueError, OSError):  # not a pattern, such as "**.csv"; too long a name
        paths = []
    folder = draft.folder.resolve()
    if source and not paths:
        draft.refuse(table, source, "a file of that name in the study's folder")
    elif not source and len(paths) > 1:
        draft.refuse(table, ", ".join(path.name for path in paths), "one file, not several")
    elif not allowed and any(not path.resolve().is_relative_to(folder) for path in paths):
        draft.refuse(table, source or paths[0].name, inside)
    elif not all(path.is_file() for path in paths):  # a folder, a pipe that would be waited for, a link to nothing
        draft.refuse(table, source or paths[0].name, "a file that can be read")
    else:
        return paths
    return []


def _usual(folder: Path, table: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name in {f"{table}{kind}" for kind in KINDS})


def _named(folder: Path, source: str, allowed: bool) -> list[Path]:
    """Return the file of this name, the files of a folder of this name, or those that fit the pattern."""
    if allowed and Path(source).is_absolute():
        folder, source = Path(Path(source).anchor), str(Path(source).relative_to(Path(source).anchor))
    literal = folder / source
    if Path(source).is_absolute():
        raise NotImplementedError
    if literal.is_dir():
        return sorted(path for path in literal.iterdir() if path.name.lower().endswith(KINDS) and path.name[0] != ".")
    return [literal] if os.path.lexists(literal) else sorted(folder.glob(source))


def refuse_misnamed(draft: Draft) -> None:
    """Refuse each file that is nearly the file of a table that the study does not have."""
    told = draft.settings.tables
    absent = [table for table in TABLES if table not in draft.raw and table not in told]
    mine = {source.source for source in told.values()} | {f"{t}{kind}" for t in absent for kind in KINDS}
    for name in sorted(_names(draft.folder) - mine):
        near = difflib.get_close_matches(name.partition(".")[0], absent, n=1, cutoff=0.85)
        if near and name.lower().endswith(KINDS):
            draft.refuse(near[0], name, f"a file such as {near[0]}.csv (or .csv.gz, .parquet, .xlsx, .ods, .sav)")


def _names(folder: Path) -> set[str]:
    paths: Iterable[Path] = folder.iterdir()
    return {path.name for path in paths}
