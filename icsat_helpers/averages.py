"""What is said and shown of unit averages: a table, a picture of agreement, a sentence, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from icsat_helpers.agreement import AGREED, HALF, RELIABLE, Averaging
from icsat_helpers.charts import Chart, dots
from icsat_helpers.evidence import Metric
from icsat_helpers.listing import Page, listing, paragraphs
from icsat_helpers.sensitivity import SIGNIFICANT
from icsat_helpers.words import known, message, number, places, say, say_each, series

NOT_TOLD = message("There are no answers of persons: how alike people of a unit are cannot be told.")


def table(found: Sequence[Averaging]) -> Page:
    """ICC(1), ICC(2) with 95% intervals and reliability of change of each measure and scale."""
    rows = []
    for each in found:
        if each.icc is not None and each.people >= each.minimum:
            i = each.icc
            ones, twos = (i.icc1, i.icc1_low, i.icc1_high), (i.icc2, i.icc2_low, i.icc2_high)
            rows.append((known(each.measure), each.people, i.units, *ones, *twos, each.change))
    if not rows:
        return paragraphs(say(NOT_TOLD) if not found else say("Too little is known to tell units apart."))
    head = say_each("of", "people", "units", "ICC(1)", "from", "to", "ICC(2)", "from", "to", "reliability of change")
    return listing(rows, head)


def spread(found: Sequence[Averaging]) -> Chart | Page:
    """Picture of rwg(j) over groups that may be shown: the median, and between which values the middle half lies."""
    rows, said = [], []
    for each in found:
        if each.cells is not None and len(cells := each.cells[0][each.cells[0]["n"] >= each.minimum]):
            low, middle, high = cells["rwg"].quantile([0.25, 0.5, 0.75])
            label = say("{measure} ({n} groups)", measure=known(each.measure), n=len(cells))
            rows.append((label, middle, low, high))
            said.append(f"{known(each.measure)} {number(middle)}")
    if not rows:
        reasons = {each.reasons.get("cells") or say("groups are too small to be shown") for each in found}
        why = series(sorted(reasons))
        return paragraphs(say("Agreement cannot be told: {why}.", why=why) if found else say(NOT_TOLD))
    alt = say(
        "Median agreement rwg(j) of people in a group, 1 where all say the same: {groups}. From {bar} people agree.",
        groups=series(said), bar=places(AGREED, 2),
    )  # fmt: skip
    title = say("Agreement rwg(j): the middle half of groups, and the median")
    return dots(pd.DataFrame(rows, columns=["label", "value", "low", "high"]), title, alt)


def answer(found: Averaging, name: str) -> str:
    """Whether answers may be averaged to units, in words. `name`: what the measure is called in a sentence."""
    if found.icc is None:
        why = found.reasons["icc"]
        return say("{name}: whether answers may be averaged to units cannot be told: {why}.", name=name, why=why)
    if found.people < found.minimum:
        return say("{name}: too few people answered to say anything about unit averages.", name=name)
    two = say("ICC(2) below 0") if found.icc.icc2 < 0 else say("ICC(2) {value}", value=found.icc.icc2)
    values = {"name": name, "reliability": two}
    if found.icc.p >= SIGNIFICANT:
        said = [
            say("{name}: units cannot be told apart by their averages ({reliability}). Do not compare them.", **values)
        ]
    elif found.icc.icc2 >= RELIABLE:
        said = [
            say(
                "{name}: yes, answers may be averaged to units, and the averages are reliable ({reliability}).",
                **values,
            )
        ]
    elif found.icc.icc2 >= HALF:
        said = [
            say(
                "{name}: yes, answers may be averaged to units, but read a single unit's average with care "
                "({reliability}).",
                **values,
            )
        ]
    else:
        said = [
            say(
                "{name}: more than half of what sets unit averages apart is chance ({reliability}). Do not compare "
                "single units.",
                **values,
            )
        ]
    if found.agreed is not None:
        agree = (
            message("People of a unit agree (median rwg(j) {value}).")
            if found.agreed >= AGREED
            else message("People of a unit do not agree well (median rwg(j) {value}).")
        )
        said.append(say(agree, value=found.agreed))
    if found.change is not None:
        noise = (
            message("A unit's change from one period to the next is more than noise (reliability {value}).")
            if found.change >= HALF
            else message("A unit's change from one period to the next is mostly noise (reliability {value}).")
        )
        said.append(say(noise, value=found.change))
    return " ".join(said)


def advice(found: Sequence[Averaging], names: Mapping[str, str], *others: str) -> Page:
    """Whether the measures in `names` may be averaged, and what else is to be minded."""
    said = [answer(each, say(names[each.measure])) for each in found if each.measure in names]
    unknown = say("Ask who computed the averages how alike people of a unit answered; until then nobody can tell.")
    return paragraphs(*(said or [unknown]), *others)


def metrics(found: Averaging, notebook: str) -> tuple[Metric, ...]:
    """Metrics of the contract that could be told and may be shown."""
    rows, n, of = [], found.people, found.measure
    if n < found.minimum:
        return ()
    if (one := found.icc) is not None:
        rows.append(Metric("icc1", of, one.icc1, one.icc1_low, one.icc1_high, n, notebook))
    if one is not None and one.f > 0:
        rows.append(Metric("icc2", of, one.icc2, one.icc2_low, one.icc2_high, n, notebook))
    if found.change is not None:
        rows.append(Metric("reliability_of_change", of, found.change, None, None, n, notebook))
    if found.agreed is not None and found.cells is not None:
        rows.append(Metric("rwg_j_median", of, found.agreed, None, None, found.cells[1], notebook))
    return tuple(rows)
