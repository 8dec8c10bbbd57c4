"""Where a page comes from: the data's fingerprints and the versions that made it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from typing import Any

from icsat_helpers.results import MIME
from icsat_helpers.study import ASKED, Study
from icsat_helpers.words import say

PACKAGES = ("icsat-helpers", "pandas", "numpy", "scipy", "statsmodels", "pyfixest", "diff-diff", "papermill")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Study, period, site, SHA-256 of each table that was asked for, version of each package."""

    study: str
    period: str
    site: str
    sha256: dict[str, str]
    versions: dict[str, str]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        rows = {say("study"): self.study, say("period"): self.period, say("site"): self.site or say("all")}
        rows |= {say("data: {table}", table=name): value[:16] for name, value in self.sha256.items()} | self.versions
        body = "".join(f"<tr><th scope='row'>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items())
        run = {"period": self.period, "study": self.study, "site": self.site}
        text = "\n".join(f"{k}: {v}" for k, v in rows.items())
        return {MIME: {"run": run, "tables": sorted(ASKED)}, "text/html": f"<table>{body}</table>", "text/plain": text}


def provenance(study: Study) -> Provenance:
    """Provenance of what was made from a study."""
    versions = {name: version(name) for name in PACKAGES}
    used = {name: value for name, value in study.sha256.items() if name in ASKED or name == "study.toml"}
    return Provenance(study.settings.name, study.period, study.site, used, versions)
