"""``study.toml`` to `Settings`, strictly: an unknown name is refused and the nearest one suggested."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from icsat_helpers.exports import FORMS
from icsat_helpers.periods import PARTS
from icsat_helpers.problems import Problem, clipped, shown
from icsat_helpers.schemas import TABLES, kinds
from icsat_helpers.words import LANGUAGES


@dataclass(frozen=True, slots=True)
class Item:
    """One question: its table and scale, the scale its answers come on, and its text by language."""

    name: str
    table: str = ""
    scale: str = ""
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
    sheet: str = ""
    format: str = ""
    unpivot: str = ""
    query: str = ""


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
    url_variable: str = ""

    def items_of(self, table: str) -> list[Item]:
        """Return the items of a table, in the order of ``study.toml``."""
        return [item for item in self.items.values() if item.table == table]


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return "; did you mean X?" for the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {shown(close[0])}?" if close else ""


def fold(text: str) -> str:
    """Return a label as it is compared: case, kinds of apostrophe and white space do not count.

    Examples
    --------
    >>> fold("Tout  à fait d’accord ")
    "tout à fait d'accord"
    """
    # Apostrophes first: NFKC would turn an acute accent into a space and a combining mark.
    straight = re.sub("[\u2018\u2019\u02bc\u00b4\u0060\u2032]", "'", text)
    return " ".join(unicodedata.normalize("NFKC", straight).casefold().split())


# What a key of study.toml may hold: a rule answers with what was expected instead, or with nothing.
Rule = Callable[[Any], str]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _has_one_group(value: object) -> bool:
    try:
        return isinstance(value, str) and re.compile(value).groups == 1
    except re.error:
        return False


def _rule(test: Callable[[Any], bool], expected: str) -> Rule:
    return lambda value: "" if test(value) else expected


def _one_of(*names: str) -> Rule:
    return lambda value: "" if value in names else f"one of {', '.join(names)}" + nearest(str(value), names)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z_]\w*", value, re.ASCII))


def _is_codes(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(code, str) or _is_number(code) for code in value)


def _is_unpivot(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"pattern"} or not isinstance(value["pattern"], str):
        return False
    try:
        groups = re.compile(value["pattern"]).groupindex
    except re.error:
        return False
    return "item" in groups and len(groups) > 1


_VARIABLE = _rule(_is_name, "the name of an environment variable")
_NUMBER = _rule(_is_number, "a number")
_SCALE = {"minimum": _NUMBER, "maximum": _NUMBER, "favourable": _NUMBER}
_BLOCKS: dict[str, dict[str, Rule]] = {
    "study": {
        "name": _rule(_is_text, "the name of the study"),
        "frequency": _one_of(*PARTS),
        "minimum_group": _rule(lambda value: type(value) is int and value >= 1, "a whole number of 1 or more"),
        "language": _one_of(*LANGUAGES),
    },
    "answer_scale": _SCALE,
    "items": _SCALE
    | {
        "table": _one_of("service_ratings", "morale"),
        "scale": _rule(_is_text, "the scale the item belongs to"),
        "reversed": _rule(lambda value: type(value) is bool, "true or false"),
        "missing": _rule(_is_codes, "a list of codes such as [99]"),
        "text": _rule(lambda value: _texts(value) and set(value) <= set(LANGUAGES), "a text for any of en, fr, de"),
    },
    "tables": {
        "source": _rule(_is_text, "the name of a file"),
        "columns": _rule(_texts, 'names as { ours = "theirs" }'),
        "period_from": _rule(_is_text, "the name of a date column"),
        "period_pattern": _rule(_has_one_group, "a regular expression with one group, the period"),
        "sheet": _rule(_is_text, "the name of a sheet"),
        "format": _one_of(*FORMS),
        "unpivot": _rule(_is_unpivot, 'pattern = "...", with a group named item and a group for each other column'),
        "query": _rule(_is_text, "a query in SQL"),
    },
    "database": {"url_variable": _VARIABLE},
    "privacy": {"pseudonymise": _VARIABLE},
    "cleaning": {"straight_lines": _one_of("keep", "drop")},
}
_REQUIRED = {"study": ("name",), "items": ("table", "scale")}
_NAMES = ["contract", *_BLOCKS, "answers", "smallest_effects"]
_UNSAID = ("url_variable", "pseudonymise", "query")
_ADDRESS = re.compile(
    r"(?i)\b(postgres\w*|mysql|mariadb|mssql|oracle|sqlite|duckdb|snowflake|bigquery|redshift|databricks|"
    r"trino|presto|clickhouse|hive|db2|mongodb)(\+\w+)?://|\b[jo]dbc:\w|://[^/\s]*@|\b(password|pwd)\s*="
)


class _Toml:
    """A parsed file and the problems found in it so far."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.problems: list[Problem] = []
        self.found = self.without_addresses(found)
        self.refuse_unknown("", self.found, _NAMES)

    def problem(self, path: str, expected: str, value: object = None) -> None:
        """Note what is wrong at `path`."""
        unsaid = value is None or isinstance(value, dict) or path.endswith(_UNSAID)
        said = "" if unsaid else repr(clipped(str(value)))
        self.problems.append(Problem("study", "study.toml", path, "", said, expected))

    def without_addresses(self, block: dict[str, Any], path: str = "") -> dict[str, Any]:
        """Return the block without what may hold a password, so that no later message can say it."""
        kept = {}
        for key, value in block.items():
            here, in_key = f"{path}.{key}".lstrip("."), _is_address(key, path)
            if in_key or (not isinstance(value, dict) and _is_address(str(value), here)):
                expected = "no database address here: url_variable names an environment variable"
                self.problem(path if in_key else here, expected)
            else:
                kept[key] = self.without_addresses(value, here) if isinstance(value, dict) else value
        return kept

    def refuse_unknown(self, path: str, block: dict[str, Any], known: Collection[str]) -> None:
        """Note each name of a block that is not one of its kind's."""
        for name in block:
            if name not in known:
                self.problem(f"{path}.{name}".lstrip("."), "a known name" + nearest(name, known))

    def block(self, name: str) -> dict[str, Any]:
        """Return a block of the file as it stands, empty where there is none."""
        block = self.found.get(name, {})
        if isinstance(block, dict):
            return block
        self.problem(name, f"a block [{name}]")
        return {}

    def kept(self, path: str, block: object) -> dict[str, Any]:
        """Return what of a block keeps its rules."""
        name, kept = path.partition(".")[0], {}
        if not isinstance(block, dict):
            self.problem(path, f"a block [{path}]")
            return {}
        self.refuse_unknown(path, block, _BLOCKS[name])
        for key, rule in _BLOCKS[name].items():
            value = block.get(key)
            if value is None and key not in _REQUIRED.get(name, ()):
                continue
            if expected := rule(value):
                self.problem(f"{path}.{key}", expected, value)
            else:
                kept[key] = value.strip() if isinstance(value, str) else value
        return kept

    def scale(self, path: str, block: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
        """Return minimum, maximum and favourable; the last, where unsaid, at the same share of the scale."""
        low, high = (float(block.get(key, default[key])) for key in ("minimum", "maximum"))
        if low >= high:
            self.problem(f"{path}.maximum", f"a number above the minimum, {low:g}", high)
            return default
        share = (default["favourable"] - default["minimum"]) / (default["maximum"] - default["minimum"])
        usual = low + share * (high - low)
        favourable = float(block.get("favourable", usual))
        if not low <= favourable <= high:
            self.problem(f"{path}.favourable", f"a number from {low:g} to {high:g}", favourable)
            favourable = usual
        return {"minimum": low, "maximum": high, "favourable": favourable}


def _is_address(text: str, path: str) -> bool:
    in_source = path.startswith(("database", "privacy", "tables"))
    return bool(_ADDRESS.search(text)) or (in_source and "://" in text)


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
    toml = _Toml(found)
    if type(found.get("contract")) is not int or found["contract"] != 1:
        toml.problem("contract", "contract = 1", found.get("contract"))
    blocks = {name: toml.kept(name, toml.block(name)) for name in _BLOCKS if name not in ("items", "tables")}
    scale = toml.scale("answer_scale", blocks["answer_scale"], {"minimum": 1.0, "maximum": 5.0, "favourable": 4.0})
    return Settings(
        **blocks["study"],
        **scale,
        labels=_labels(toml),
        items={name: _item(toml, name, block, scale) for name, block in toml.block("items").items()},
        tables={name: _source(toml, name, block) for name, block in toml.block("tables").items()},
        smallest_effects=_effects(toml),
        **blocks["cleaning"],
        **blocks["privacy"],
        **blocks["database"],
    ), toml.problems


def _labels(toml: _Toml) -> dict[str, float | str]:
    labels: dict[str, float | str] = {}
    for label, value in toml.block("answers").items():
        same = [other for other in labels if fold(other) == fold(label) and labels[other] != value]
        if same:
            toml.problem(f"answers.{label}", f"the same number as {clipped(same[0])}, the same label", value)
        elif value == "missing" or _is_number(value):
            labels[label] = value if value == "missing" else float(value)
        else:
            toml.problem(f"answers.{label}", 'a number or "missing"', value)
    return labels


def _effects(toml: _Toml) -> dict[str, float]:
    effects: dict[str, float] = {}
    for claim, value in toml.block("smallest_effects").items():
        parts = {f"{claim}.{part}": each for part, each in value.items()} if isinstance(value, dict) else {claim: value}
        for name, effect in parts.items():
            if re.fullmatch(r"H[1-7](\.\w+)?", name) and _is_number(effect) and effect > 0:
                effects[name] = float(effect)
            else:
                toml.problem(f"smallest_effects.{name}", "a hypothesis from H1 to H7 and a number above 0", effect)
    return effects


def _item(toml: _Toml, name: str, block: object, scale: dict[str, Any]) -> Item:
    path = f"items.{name}"
    kept = toml.kept(path, block)
    if name in kinds(kept.get("table", "service_ratings")):
        toml.problem(path, "a name that is not a column of the table already")
    own = toml.scale(path, kept, scale)
    own_scale = (own["minimum"], own["maximum"]) != (scale["minimum"], scale["maximum"])
    return Item(name, **(kept | own | {"missing": tuple(kept.get("missing", ())), "own_scale": own_scale}))


def _source(toml: _Toml, name: str, block: object) -> TableSource:
    path = f"tables.{name}"
    if name not in TABLES:
        toml.problem(path, "a table of the contract" + nearest(name, TABLES))
    kept = toml.kept(path, block)
    if "query" in kept and {"source", "sheet", "period_pattern"} & set(kept):
        toml.problem(f"{path}.query", "either a query or files, not both")
    return TableSource(**kept | {"unpivot": kept.get("unpivot", {}).get("pattern", "")})
