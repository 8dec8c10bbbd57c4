"""Helpers of the internal customer satisfaction notebooks; ``import icsat_helpers as ic`` offers what they use.

Names are imported when first used, so that a command that only checks a study does not load plotting libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "load": "clean",
    "hypothesis": "claims",
    "unit_panel": "panel",
    "strongest": "designs",
    "plain_design": "designs",
    "risk_set": "risk",
    "hazard_or_reason": "hazard",
    "leaving_hazard": "hazard",
    "conclude": "evidence",
    "not_estimable": "evidence",
    "publishable": "disclosure",
    "provenance": "origins",
}
_MODULES = (
    "associates",
    "chain",
    "claims",
    "listing",
    "charts",
    "disclosure",
    "evidence",
    "feedback",
    "inference",
    "panel",
    "risk",
    "scores",
    "sensitivity",
    "service",
    "servicemap",
    "crossed",
    "goals",
    "health",
    "levels",
    "response",
    "progress",
    "adoption",
    "effects",
    "programmes",
    "drivers",
    "priorities",
    "themes",
    "voices",
    "summary",
    "agreement",
    "averages",
    "measurement",
    "invariance",
    "words",
)
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"icsat_helpers.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"icsat_helpers.{name}")
    raise AttributeError(f"module 'icsat_helpers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
