"""A study read and cleaned once: the runner holds its tables in columns, the kernels of the run take them from there.

What is held are the study's own rows, in a folder that nobody else can read, and only while the study stays the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icsat_helpers import fingerprints, results

if TYPE_CHECKING:
    import pandas as pd

    from icsat_helpers.study import Study

VARIABLE = "ICSAT_HELD"
"""The environment variable that tells a kernel of a run where the run's study is held."""


def hold(study: Study, place: Path, key: str) -> None:
    """Write a cleaned study to the folder `place`; `key` says what it was made from."""
    import pyarrow as pa
    from pyarrow import feather

    results.remove([place / "study.json"])
    place.mkdir(parents=True, exist_ok=True)
    results.remove(place.glob("*.arrow"))
    for name, frame in study.tables.items():
        feather.write_feather(pa.Table.from_pandas(frame, preserve_index=False), place / f"{name}.arrow", "lz4")
    facts = {
        "key": key, "folder": str(study.folder.resolve()), "period": study.period, "site": study.site,
        "sha256": study.sha256, "tables": list(study.tables), "rows": fingerprints.of_tables(study.tables),
        "toml": (study.folder / "study.toml").read_text("utf-8-sig"),
        "changes": json.loads(study.changes.to_json(orient="split", index=False)),
    }  # fmt: skip
    results.write(place, place / "study.json", json.dumps(facts))


def across_sites(study: Study, name: str, makes: Mapping[str, Callable[[], pd.DataFrame]]) -> pd.DataFrame:
    """Return what is the same for each site of a study: made by the kernel that first needs it, held for the others.

    `makes` tells by name how this is made, and what will be needed beside it: a kernel that finds another one making
    the first makes those meanwhile.
    """
    facts = _facts(study.folder, study.period, study.site)
    if not (study.site and facts.get("key")):
        return makes[name]()
    from filelock import FileLock, Timeout
    from pyarrow import ArrowInvalid, feather

    mine = Path(os.environ[VARIABLE])
    place, now = mine.parents[1], fingerprints.of([facts["key"], study.period])[:16]

    def known(each: str) -> pd.DataFrame | None:
        try:
            return feather.read_feather(place / f"{each}-{now}.arrow")
        except (OSError, ArrowInvalid):
            return None

    def hold(each: str, timeout: float) -> None:
        with contextlib.suppress(Timeout), FileLock(place / f"{each}.lock", timeout=timeout):
            if known(each) is None:
                made = makes[each]()
                results.remove(place.glob(f"{each}-????????????????.arrow"))
                feather.write_feather(made.reset_index(drop=True), mine / f"{each}.part")
                (mine / f"{each}.part").replace(place / f"{each}-{now}.arrow")

    for each in sorted(makes, key=lambda each: each != name):
        if known(name) is None:
            hold(each, timeout=0)
    hold(name, timeout=-1)
    return feather.read_feather(place / f"{name}-{now}.arrow")


def noted(study: Study, name: str, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return rows that follow from all tables together: made by the kernel that first needs them, noted for others."""
    facts = _facts(study.folder, study.period, study.site)
    if not facts.get("key"):
        return make()
    mine = Path(os.environ[VARIABLE])
    found: dict[str, Any] = results.read_json(mine / f"{name}.json")
    if found.get("key") != facts["key"]:
        found = {"key": facts["key"], "rows": make()}
        with tempfile.TemporaryDirectory(dir=mine) as place:  # another kernel may note the same at this moment
            results.write(Path(place), mine / f"{name}.json", json.dumps(found))
    from icsat_helpers.study import ASKED, TABLES

    ASKED.update(TABLES)  # who is told depends on them too
    rows: list[dict[str, Any]] = found["rows"]
    return rows


def _facts(folder: Path, period: str, site: str) -> dict[str, Any]:
    """Return what is known of the study that the run of this kernel holds; nothing where that is another one."""
    if VARIABLE not in os.environ:
        return {}
    facts = results.read_json(Path(os.environ[VARIABLE]) / "study.json")
    same = [facts.get(key) for key in ("folder", "period", "site")] == [str(folder.resolve()), period, site]
    return facts if same else {}


def held(folder: Path, period: str, site: str) -> Study | None:
    """Return the study that the run of this kernel holds, if it is the one asked for."""
    place, facts = Path(os.environ.get(VARIABLE, "")), _facts(folder, period, site)
    if not facts:
        return None
    import pandas as pd
    from pyarrow import feather

    from icsat_helpers.settings import parse
    from icsat_helpers.study import Study

    settings, _ = parse(facts["toml"])
    assert settings is not None  # it was checked before it was held
    tables = {name: feather.read_table(place / f"{name}.arrow").to_pandas() for name in facts["tables"]}
    changes = pd.DataFrame(**facts["changes"])
    return Study(folder, settings, tables, period, site, changes, facts["sha256"])
