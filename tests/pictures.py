"""The README's pictures, made from a run of the example: ``make pictures``. Look at them before you commit them."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from icsat_helpers import cli
from icsat_helpers.project import ROOT

FOLDER = ROOT / "docs"
PICTURES: Mapping[str, tuple[str, int, int, str]] = MappingProxyType(
    {
        "summary.png": ("index.html", 900, 972, "h2"),
        "external-customers.png": ("04-external-customers.html", 900, 846, "figure"),
        "phone.png": ("05-morale.html", 390, 780, "h1"),
    }
)
"""File, width and height of the window, and what stands at its top."""

TO_THE_TOP = "name => scrollTo(0, document.querySelector(name).getBoundingClientRect().y - 24)"


def main() -> int:
    """Run the example and take the pictures."""
    from playwright.sync_api import sync_playwright

    from tests.test_browser import CHROMIUM, OFFLINE

    with tempfile.TemporaryDirectory() as output, sync_playwright() as driver:
        code = cli.main(["run", "2026Q3", "--study", str(ROOT / "data" / "example"), "--output", output])
        if code:
            return code
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        for name, (page, width, height, top) in PICTURES.items():
            window = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            window.goto((Path(output) / "2026Q3" / page).as_uri())
            window.evaluate(TO_THE_TOP, top)
            _save(window.screenshot(), FOLDER / name)
        browser.close()
    return 0


def _save(taken: bytes, path: Path) -> None:
    from PIL import Image

    picture: Any = Image.open(io.BytesIO(taken)).convert("RGB").quantize(dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
