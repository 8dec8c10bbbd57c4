"""``study.toml`` to `Settings`, strictly: an unknown name is refused and the nearest one suggested."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from icsat_helpers.periods import PARTS
from icsat_helpers.schemas import TABLES, kinds
from icsat_helpers.sources import Problem, clipped
from icsat_helpers.strict import Toml, is_number, nearest
from icsat_helpers.values import fold

__all__ = ["LANGUAGES", "Item", "Settings", "TableSource", "nearest", "parse"]

LANGUAGES = ("en", "fr", "de")
_ITEM_TABLES = ("service_ratings", "morale")
_KEYS = {
    block: tuple(names.split())
    for block, names in {
        "": "contract study answer_scale answers items tables database privacy cleaning smallest_effects",
        "study": "name frequency minimum_group language",
        "answer_scale": "minimum maximum favourable",
        "items": "table scale reversed missing minimum maximum favourable text",
        "tables": "source sheet format columns period_from period_pattern unpivot query",
        "database": "url_variable",
        "privacy": "pseudonymise",
        "cleaning": "straight_lines",
    }.items()
}
_LATER = {
    "sheet": "Excel workbooks",
    "format": "survey exports",
    "unpivot": "wide survey exports",
    "query": "database queries",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One question: its table and scale, the scale its answers come on, and its text by language."""

    name: str
    table: str
    scale: str
    reversed: bool = False
    missing: tuple[float | str, ...] = ()
    minimum: float = 1.0
    maximum: float = 5.0
    favourable: float = 4.0
    own_scale: bool = False
    text: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where a table comes from, if not from the file of its own name in the study's folder."""

    source: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    period_from: str = ""
    period_pattern: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``study.toml`` says; the defaults are those of the contract."""

    name: str = ""
    frequency: str = "quarter"
    minimum_group: int = 5
    language: str = "en"
    minimum: float = 1.0
    maximum: float = 5.0
    favourable: float = 4.0
    labels: dict[str, float | str] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    tables: dict[str, TableSource] = field(default_factory=dict)
    straight_lines: str = "keep"
    smallest_effects: dict[str, float] = field(default_factory=dict)
    pseudonymise: str = ""

    def items_of(self, table: str) -> list[Item]:
        """Return the items of a table, in the order of ``study.toml``."""
        return [item for item in self.items.values() if item.table == table]


def parse(text: str) -> tuple[Settings | None, list[Problem]]:
    r"""Read the text of a ``study.toml``.

    Returns
    -------
    tuple of Settings (None where the text is no TOML) and list of Problem
        Where something is wrong the default stands in, so that the tables can be checked all the same.

    Examples
    --------
    >>> settings, problems = parse('contract = 1\n[study]\nname = "A"\nlanguge = "fr"')
    >>> print(problems[0])
    study (study.toml), column study.languge: expected a known name; did you mean language?
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [Problem("study", "study.toml", expected=f"valid TOML: {error}")]
    toml = Toml(found, _KEYS)
    if found.get("contract") != 1 or isinstance(found.get("contract"), bool):
        toml.problem("contract", "contract = 1", found.get("contract"))
    study = toml.block("study")
    scale = toml.scale(toml.block("answer_scale"), "answer_scale", 1.0, 5.0, 0.75)
    toml.variable("database", "url_variable")
    return Settings(
        name=toml.text(study, "study.name", "the name of the study", required=True),
        frequency=toml.choice(study, "study.frequency", tuple(PARTS), "quarter"),
        minimum_group=toml.whole(study, "study.minimum_group", 5),
        language=toml.choice(study, "study.language", LANGUAGES, "en"),
        minimum=scale[0],
        maximum=scale[1],
        favourable=scale[2],
        labels=_labels(toml),
        items={path.partition(".")[2]: _item(toml, path, block, scale) for path, block in toml.blocks("items")},
        tables={path.partition(".")[2]: _source(toml, path, block) for path, block in toml.blocks("tables")},
        straight_lines=toml.choice(toml.block("cleaning"), "cleaning.straight_lines", ("keep", "drop"), "keep"),
        smallest_effects=_effects(toml),
        pseudonymise=toml.variable("privacy", "pseudonymise"),
    ), toml.problems


def _labels(toml: Toml) -> dict[str, float | str]:
    labels: dict[str, float | str] = {}
    for label, value in toml.block("answers").items():
        same = [other for other in labels if fold(other) == fold(label) and labels[other] != value]
        if same:
            toml.problem(f"answers.{label}", f"the same number as {clipped(same[0])}, the same label", value)
        elif value == "missing" or is_number(value):
            labels[label] = value if isinstance(value, str) else float(value)
        else:
            toml.problem(f"answers.{label}", 'a number or "missing"', value)
    return labels


def _effects(toml: Toml) -> dict[str, float]:
    effects: dict[str, float] = {}
    for name, value in _flat(toml.block("smallest_effects")):
        if re.fullmatch(r"H[1-7](\.\w+)?", name) and is_number(value) and value > 0:
            effects[name] = float(value)
        else:
            toml.problem(f"smallest_effects.{name}", "a hypothesis from H1 to H7 and a number above 0", value)
    return effects


def _item(toml: Toml, path: str, block: dict[str, Any], scale: tuple[float, float, float]) -> Item:
    name, (low, high, favourable) = path.partition(".")[2], scale
    table = toml.choice(block, f"{path}.table", _ITEM_TABLES, "")
    if name in kinds(table or "service_ratings"):
        toml.problem(path, "a name that is not a column of the table already")
    turned, missing, text = block.get("reversed", False), block.get("missing", []), block.get("text", {})
    if not isinstance(turned, bool):
        toml.problem(f"{path}.reversed", "true or false", turned)
    if not isinstance(missing, list) or not all(isinstance(code, str) or is_number(code) for code in missing):
        toml.problem(f"{path}.missing", "a list of codes such as [99]", missing)
        missing = []
    if not isinstance(text, dict) or not all(key in LANGUAGES and isinstance(text[key], str) for key in text):
        toml.problem(f"{path}.text", f"a text for any of {', '.join(LANGUAGES)}")
        text = {}
    own = toml.scale(block, path, low, high, (favourable - low) / (high - low))
    belongs = toml.text(block, f"{path}.scale", "the scale the item belongs to", required=True)
    return Item(
        name,
        table,
        belongs,
        turned is True,
        tuple(missing),
        minimum=own[0],
        maximum=own[1],
        favourable=own[2],
        own_scale=own[:2] != (low, high),
        text=text,
    )


def _source(toml: Toml, path: str, block: dict[str, Any]) -> TableSource:
    name = path.partition(".")[2]
    if name not in TABLES:
        toml.problem(path, "a table of the contract" + nearest(name, TABLES))
    for key in _LATER.keys() & block.keys():
        toml.problem(f"{path}.{key}", f"CSV or Parquet: {_LATER[key]} are not read yet")
    columns = block.get("columns", {})
    if not isinstance(columns, dict) or not all(isinstance(theirs, str) for theirs in columns.values()):
        toml.problem(f"{path}.columns", 'names as { ours = "theirs" }')
        columns = {}
    pattern = toml.text(block, f"{path}.period_pattern", "a regular expression")
    if pattern and not _has_group(pattern):
        toml.problem(f"{path}.period_pattern", "a regular expression with one group, the period", pattern)
        pattern = ""
    return TableSource(
        toml.text(block, f"{path}.source", "the name of a file"),
        columns,
        toml.text(block, f"{path}.period_from", "the name of a date column"),
        pattern,
    )


def _has_group(pattern: str) -> bool:
    try:
        return re.compile(pattern).groups == 1
    except re.error:
        return False


def _flat(block: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
