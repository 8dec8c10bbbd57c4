"""What the contract's columns are called elsewhere: a suggestion where a column is missing, never a decision."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from icsat_helpers.settings import fold

_UNIT = """dept; department; department id; unit; unit code; org unit; team; division; business unit; cost centre;
    cost center; service; département; direction; équipe; unité; entité; code unité; abteilung; bereich; einheit;
    kostenstelle"""
_CALLED = {
    "unit_id": _UNIT,
    "customer_unit": """customer; customer department; my department; your department; own department; client interne;
    respondent department; mon département; votre département; meine abteilung; ihre abteilung; kunde; """ + _UNIT,
    "provider_unit": """provider; provider department; rated department; rated unit; service provider; supplier;
    evaluated unit; prestataire; département évalué; fournisseur; dienstleister; bewertete abteilung; anbieter""",
    "person_id": """person; respondent; respondent id; responseid; response id; employee; employee id; employee number;
    emp id; staff id; personnel number; user id; email; e-mail; participant; matricule; salarié; identifiant;
    répondant; mitarbeiter; personalnummer; mitarbeiternummer; teilnehmer""",
    "period": """quarter; wave; year; survey period; reporting period; trimestre; période; année; vague; quartal;
    zeitraum; jahr; welle""",
    "score": "csat; rating; satisfaction; customer satisfaction; note; zufriedenheit; bewertung; wert",
    "value": "score; mean; average; result; moyenne; valeur; mittelwert; wert",
    "measure": "metric; indicator; kpi; indicateur; mesure; kennzahl",
    "programme": "program; initiative; intervention; action; programm; massnahme; maßnahme",
    "started": "start; started on; start period; begin; début; beginn",
    "target": "goal; objective; objectif; cible; ziel; zielwert",
}  # fmt: skip
CALLED = {column: {fold(name) for name in names.split(";")} for column, names in _CALLED.items()}


def probable(
    wanted: str, there: Sequence[str], words: Mapping[str, str], texts: Iterable[str], *, private: bool = False
) -> str:
    """Return the column that is probably `wanted`, or nothing.

    Parameters
    ----------
    wanted
        A column of the contract or an item.
    there
        The columns nobody knows.
    words, texts
        The questions behind columns, and the item's question in each language.
    private
        Whether, without a header, a person's id could stand where a name should: then only a sure name counts.

    Examples
    --------
    >>> probable("unit_id", ["When", "Dept"], {}, ())
    'Dept'
    """
    questions = {fold(text) for text in texts}
    plain = {name: fold(re.sub(r"[_\W]+", " ", name)) for name in there}
    for name in there:
        if {plain[name], fold(name)} & CALLED.get(wanted, set()) or {fold(name), fold(words.get(name, ""))} & questions:
            return name
    named = [name for name in there if not (private and re.search(r"\d", name))]
    close = difflib.get_close_matches(wanted, named, n=1, cutoff=0.8 if private else 0.6)
    return close[0] if close else ""
