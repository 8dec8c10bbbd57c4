"""A parsed TOML file, read strictly: unknown names refused, types checked, addresses never repeated."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from icsat_helpers.sources import Problem, clipped, shown

_ADDRESS = re.compile(
    r"(?i)\b(postgres\w*|mysql|mariadb|mssql|oracle|sqlite|duckdb|snowflake|bigquery|redshift|databricks|"
    r"trino|presto|clickhouse|hive|db2|mongodb)(\+\w+)?://|\b[jo]dbc:\w|://[^/\s]*@|\b(password|pwd)\s*="
)


class Toml:
    """A parsed file and the problems found in it so far; each block is asked for once."""

    def __init__(self, found: dict[str, Any], keys: Mapping[str, Sequence[str]]) -> None:
        self.keys = keys
        self.problems: list[Problem] = []
        self.found = self.without_addresses(found)
        self.unknown("", self.found)

    def without_addresses(self, block: dict[str, Any], path: str = "") -> dict[str, Any]:
        """Return the block without what may hold a password, so that no later message can say it."""
        kept = {}
        for key, value in block.items():
            here = f"{path}.{key}".lstrip(".")
            if _is_address(key, path) or (not isinstance(value, dict) and _is_address(str(value), here)):
                place = path if _is_address(key, path) else here
                self.problem(place, "no database address here: url_variable names an environment variable")
            else:
                kept[key] = self.without_addresses(value, here) if isinstance(value, dict) else value
        return kept

    def problem(self, path: str, expected: str, value: object = None) -> None:
        """Note what is wrong at `path`."""
        said = "" if value is None else repr(clipped(str(value)))
        self.problems.append(Problem("study", "study.toml", path, "", said, expected))

    def unknown(self, path: str, block: dict[str, Any]) -> None:
        """Note each name of a block that is not one of its kind's."""
        known = self.keys[path.partition(".")[0]]
        for name in block:
            if name not in known:
                self.problem(f"{path}.{name}".lstrip("."), "a known name" + nearest(name, known))

    def block(self, name: str) -> dict[str, Any]:
        """Return a block of the file, empty where there is none."""
        block = self.found.get(name, {})
        if not isinstance(block, dict):
            self.problem(name, f"a block [{name}]")
            return {}
        if name in self.keys and name not in ("items", "tables"):
            self.unknown(name, block)
        return block

    def blocks(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield path and content of each block within a block."""
        for key, block in self.block(name).items():
            path = f"{name}.{key}"
            if isinstance(block, dict):
                self.unknown(path, block)
                yield path, block
            else:
                self.problem(path, f"a block [{path}]")

    def text(self, block: dict[str, Any], path: str, expected: str, required: bool = False) -> str:
        """Return a text that is not empty; "" where there is none."""
        value = block.get(path.rpartition(".")[2])
        if (isinstance(value, str) and value.strip()) or (value is None and not required):
            return (value or "").strip()
        self.problem(path, expected, value)
        return ""

    def choice(self, block: dict[str, Any], path: str, allowed: Sequence[str], default: str) -> str:
        """Return one of the allowed texts."""
        value = block.get(path.rpartition(".")[2], default)
        if value in allowed:
            return str(value)
        self.problem(path, f"one of {', '.join(allowed)}" + nearest(str(value), allowed), value)
        return default

    def number(self, block: dict[str, Any], path: str, default: float) -> float:
        """Return a finite number."""
        value = block.get(path.rpartition(".")[2], default)
        if is_number(value):
            return float(value)
        self.problem(path, "a number", value)
        return default

    def scale(
        self, block: dict[str, Any], path: str, low: float, high: float, share: float
    ) -> tuple[float, float, float]:
        """Read minimum, maximum and favourable; the last, where unsaid, at `share` of the scale."""
        low, high = self.number(block, f"{path}.minimum", low), self.number(block, f"{path}.maximum", high)
        if low >= high:
            self.problem(f"{path}.maximum", f"a number above the minimum, {low:g}", high)
            low, high = 1.0, 5.0
        favourable = self.number(block, f"{path}.favourable", low + share * (high - low))
        if not low <= favourable <= high:
            self.problem(f"{path}.favourable", f"a number from {low:g} to {high:g}", favourable)
            favourable = low + share * (high - low)
        return low, high, favourable

    def whole(self, block: dict[str, Any], path: str, default: int) -> int:
        """Return a whole number of 1 or more."""
        value = block.get(path.rpartition(".")[2], default)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        self.problem(path, "a whole number of 1 or more", value)
        return default

    def variable(self, name: str, key: str) -> str:
        """Return the environment variable that a block of one key names; never say what stands there."""
        value = self.block(name).get(key, "")
        if value == "" or (isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value)):
            return str(value)
        self.problem(f"{name}.{key}", "the name of an environment variable")
        return ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" for the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {shown(close[0])}?" if close else ""


def is_number(value: object) -> bool:
    """Return whether a TOML value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_address(text: str, path: str) -> bool:
    strict = path.startswith(("database", "privacy", "tables"))
    return bool(_ADDRESS.search(text)) or (strict and "://" in text)
