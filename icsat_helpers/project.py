"""Where the project is, and folders that are named from here or from there."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder: kernels start here, and relative paths are tried from here."""


def find(folder: str | Path) -> Path:
    """Return a study's folder, tried from the current folder, then from the project's root."""
    path = Path(folder)
    return ROOT / path if not (path / "study.toml").is_file() and (ROOT / path / "study.toml").is_file() else path
