"""Answers to numbers: labels in English, French and German, missing codes, scales and reversed items."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from icsat_helpers.settings import Item, Settings
from icsat_helpers.values import fold, number

READ, LABEL, MISSING, OUT_OF_RANGE, UNKNOWN = range(5)
"""How one answer was read: as the number it is, as a label, as no answer, or not at all."""

_FIVE_POINTS = (
    """strongly disagree; very dissatisfied; never; pas du tout d'accord; tout à fait en désaccord;
    fortement en désaccord; très insatisfait; très insatisfaite; jamais; stimme überhaupt nicht zu;
    stimme gar nicht zu; trifft überhaupt nicht zu; trifft gar nicht zu; sehr unzufrieden; nie""",
    """disagree; dissatisfied; rarely; seldom; pas d'accord; plutôt pas d'accord; en désaccord; plutôt en
    désaccord; insatisfait; insatisfaite; plutôt insatisfait; plutôt insatisfaite; rarement; stimme
    nicht zu; stimme eher nicht zu; trifft eher nicht zu; unzufrieden; eher unzufrieden; selten""",
    """neither agree nor disagree; neither satisfied nor dissatisfied; neutral; undecided; sometimes; ni
    d'accord ni pas d'accord; ni d'accord, ni pas d'accord; ni d'accord ni en désaccord; ni en accord ni
    en désaccord; ni satisfait ni insatisfait; ni satisfaite ni insatisfaite; neutre; parfois;
    quelquefois; weder noch; stimme weder zu noch nicht zu; stimme weder zu noch lehne ab; teils teils;
    teils/teils; teils, teils; teils-teils; weder zufrieden noch unzufrieden; manchmal""",
    """agree; satisfied; often; d'accord; plutôt d'accord; en accord; plutôt en accord; satisfait;
    satisfaite; plutôt satisfait; plutôt satisfaite; souvent; stimme zu; stimme eher zu; trifft eher zu;
    zufrieden; eher zufrieden; oft; häufig""",
    """strongly agree; very satisfied; always; tout à fait d'accord; tout à fait en accord; fortement en
    accord; très satisfait; très satisfaite; toujours; stimme voll und ganz zu; stimme voll zu; stimme
    völlig zu; trifft voll und ganz zu; sehr zufrieden; immer""",
)
FIVE_POINTS = {fold(label): point for point, labels in enumerate(_FIVE_POINTS, 1) for label in labels.split(";")}
"""The built-in labels and their place on a scale of five points."""


def convert(texts: Iterable[str], item: Item, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Read distinct answers to an item.

    A built-in label is a place on five points, spread over the item's scale; a label of ``[answers]`` is the
    number it stands for, as if that had been in the cell.

    Returns
    -------
    tuple of array
        Numbers on the study's answer scale, reversed items turned, NaN where there is no answer; and how each
        was read (`READ` and so on).

    Examples
    --------
    >>> item = Item("q", "morale", "engagement", reversed=True)
    >>> convert(["Strongly agree", "2", "9"], item, Settings())[0]
    array([ 1.,  4., nan])
    """
    labels = {fold(label): value for label, value in settings.labels.items()}
    missing = {fold(str(code)) for code in item.missing}
    codes = {value for code in item.missing if np.isfinite(value := number(str(code)))}
    read = [_one(text, item, labels, missing, codes) for text in texts]
    values = np.array([value for value, _ in read], dtype=float)
    if item.own_scale:
        share = (values - item.minimum) / (item.maximum - item.minimum)
        values = settings.minimum + share * (settings.maximum - settings.minimum)
    if item.reversed:
        values = settings.minimum + settings.maximum - values
    return values, np.array([how for _, how in read], dtype=np.int8)


def _one(
    text: str, item: Item, labels: dict[str, float | str], missing: set[str], codes: set[float]
) -> tuple[float, int]:
    folded, value, how = fold(text), number(text.strip()), READ
    if not folded or folded in missing or value in codes or labels.get(folded) == "missing":
        return np.nan, READ if not folded else MISSING
    if folded in labels:
        value, how = float(labels[folded]), LABEL
    elif folded in FIVE_POINTS:
        value, how = item.minimum + (FIVE_POINTS[folded] - 1) / 4 * (item.maximum - item.minimum), LABEL
    if pd.isna(value):
        return np.nan, UNKNOWN
    return (value, how) if item.minimum <= value <= item.maximum else (np.nan, OUT_OF_RANGE)
