"""SPSS files (.sav, .zsav) to text cells, read in a confined process; codes stay codes, their labels beside them."""

from __future__ import annotations

import io
from typing import Any

import pyreadstat

from icsat_helpers.confined import Cells
from icsat_helpers.problems import Unreadable
from icsat_helpers.spreadsheets import as_text


def read(data: bytes) -> Cells:
    """Read an SPSS file; what its author declared missing is missing, and counted."""
    try:
        columns, meta = pyreadstat.read_sav(io.BytesIO(data), output_format="dict", user_missing=True)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, ValueError, OverflowError):
        raise Unreadable("an SPSS file") from None
    if not all(isinstance(name, str) for name in meta.column_names):  # bytes that are no text, in a damaged file
        raise Unreadable("an SPSS file whose variables have names")
    texts, notes = [], []
    for name in meta.column_names:
        ranges = meta.missing_ranges.get(name, [])
        values = [None if value is None or value != value else value for value in list(columns[name])]
        missing = [value is not None and any(_within(value, each) for each in ranges) for value in values]
        if any(missing):
            notes.append(("missing_codes", name, sum(missing), "set to missing, as the SPSS file declares"))
        texts.append([None if gone else as_text(value) for value, gone in zip(values, missing, strict=True)])
    labels = {
        name: {as_text(code) or "": str(label) for code, label in codes.items()}
        for name, codes in meta.variable_value_labels.items()
    }
    words = {name: text for name, text in meta.column_names_to_labels.items() if text}
    return Cells(list(meta.column_names), texts, range(2, len(texts[0]) + 2 if texts else 2), words, labels, notes)


def _within(value: Any, missing: Any) -> bool:
    try:
        return bool(missing["lo"] <= value <= missing["hi"])
    except TypeError:  # text against a number
        return False
