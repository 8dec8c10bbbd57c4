"""A study to fill in: a commented ``study.toml``, the questionnaire in three languages, tables with headers only."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

import jinja2

from icsat_helpers.schemas import TABLES, kinds
from icsat_helpers.words import LANGUAGES

_HERE = Path(__file__).parent


def write(folder: Path) -> None:
    """Write the study; the folder is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    questionnaire = (_HERE / "resources" / "questionnaire.toml").read_text(encoding="utf-8")
    head = (_HERE / "resources" / "study.toml").read_text(encoding="utf-8")
    _put(folder / "study.toml", head + "\n" + questionnaire.split("\n\n", 1)[1])
    items = tomllib.loads(questionnaire)["items"]
    for table in TABLES:
        columns = list(kinds(table))
        place = columns.index("person_id") + 1 if "person_id" in columns else len(columns)
        columns[place:place] = [name for name, item in items.items() if item["table"] == table]
        _put(folder / f"{table}.csv", ",".join(columns) + "\n")
    with (folder / "questionnaire.csv").open("w", encoding="utf-8-sig", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item", "table", "scale", "reversed", *LANGUAGES])
        for name, item in items.items():
            words = [item["text"][language] for language in LANGUAGES]
            rows.writerow([name, item["table"], item["scale"], str(item["reversed"]).lower(), *words])
    for language in LANGUAGES:
        _put(folder / f"questionnaire-{language}.html", questionnaire_page(items, language))


def questionnaire_page(items: dict[str, Any], language: str) -> str:
    """Return the questionnaire in a language as a page to print or to copy from."""
    words = tomllib.loads((_HERE / "resources" / "words.toml").read_text(encoding="utf-8"))[language]
    loader = jinja2.FileSystemLoader(_HERE / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    parts = {
        table: [item["text"][language] for item in items.values() if item["table"] == table]
        for table in ("service_ratings", "morale")
    }
    return environment.get_template("questionnaire.html.j2").render(words=words, parts=parts, language=language)


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
