"""What to do next with a study: lines to add to its ``study.toml``, and tables that would open further questions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from icsat_helpers import delimited
from icsat_helpers.claims import Question
from icsat_helpers.problems import Problem, Unreadable
from icsat_helpers.schemas import required
from icsat_helpers.settings import TableSource, parse
from icsat_helpers.study import Study

_OPENS = {
    "service_ratings": (("H1", "H2", "H3", "H4", "H5", "H6", "H7"), ()),
    "morale": (("H2", "H5", "H6"), ()),
    "external_ratings": (("H1", "H5"), ()),
    "people": (("H3", "H6"), ("hired_on", "left_on", "leave_reason", "associate_type")),
    "operations": (("H4",), ("output", "hours")),
    "programmes": (("H7",), ()),
}
"""What a table opens, and which columns it should have for that beside those each row must have."""

_INSTEAD = {"service_ratings": "internal", "external_ratings": "external", "operations": "productivity"}
"""The measure of `unit_scores` that stands for a table, where it isn't its name."""


def lines_to_add(folder: Path, problems: Iterable[Problem]) -> list[str]:
    """Return the lines for ``study.toml`` that would name the columns which are probably meant.

    Each names columns of a table as ``columns`` does, with those that are named already.
    """
    try:
        settings, _ = parse(delimited.utf8((folder / "study.toml").read_bytes()))
    except (OSError, Unreadable):
        settings = None
    if settings is None:
        return []
    found: dict[str, dict[str, str]] = {}
    for problem in problems:
        if problem.closest:
            found.setdefault(problem.table, {})[problem.column] = problem.closest
    lines = []
    for table, names in found.items():
        columns = settings.tables.get(table, TableSource()).columns | names
        # A JSON text is a TOML text.
        pairs = [f"{_key(ours)} = {json.dumps(theirs, ensure_ascii=False)}" for ours, theirs in columns.items()]
        lines += [f"[tables.{table}]", f"columns = {{ {', '.join(pairs)} }}"]
    return lines


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def openings(study: Study, questions: Sequence[Question]) -> list[str]:
    """Return each table that is not there and the open questions that need it, the one with most of them first."""
    closed = {question.id for question in questions if not question.answerable}
    measured = {measure.partition(".")[0] for measure in study.table("unit_scores")["measure"].dropna()}
    found = []
    for table, (opens, more) in _OPENS.items():
        wanted = [name for name in opens if name in closed]
        if wanted and study.table(table).empty and _INSTEAD.get(table, table) not in measured:
            found.append((len(wanted), f"{table} ({', '.join([*required(table), *more])}) for {', '.join(wanted)}"))
    return [line for _, line in sorted(found, key=lambda each: -each[0])]
