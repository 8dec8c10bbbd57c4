"""The executive's page in a real browser: nothing is asked of a network, everyone can read it, at every width."""

from __future__ import annotations

import itertools
import shutil
from importlib.resources import files

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="the browser's driver is not installed")
CHROMIUM = shutil.which("chromium")
OFFLINE = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MOST_BYTES = 3_000_000
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield started
        started.close()


@pytest.fixture(params=["en", "fr", "de"])
def report(request):
    """Language and folder of a report."""
    return request.param, request.getfixturevalue(
        {"en": "published", "fr": "in_french", "de": "in_german"}[request.param]
    )


@pytest.fixture
def opened(browser, report):
    """A maker of open pages; what they ask for and complain of is collected in `page.said`."""
    contexts = []

    def make(width=1440, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.said = []
        page.on("request", lambda request: page.said.append(request.url))
        page.on("console", lambda line: page.said.append(line.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto((report[1] / "index.html").as_uri())
        return page

    yield make
    for context in contexts:
        context.close()


def test_it_opens_from_a_file_asks_for_nothing_and_complains_of_nothing(opened, report):
    page = opened()
    path = report[1] / "index.html"
    assert [said for said in page.said if not said.startswith("data:image/")] == [path.as_uri()]
    assert path.stat().st_size < MOST_BYTES
    assert page.locator("html").get_attribute("lang") == report[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_everyone_can_read_it(opened, scheme, width):
    """No violation at WCAG 2.2 AA, all that unfolds unfolded; nothing is wider than the screen."""
    page = opened(width, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("tags => axe.run({runOnly: tags})", STANDARD)
    faults = [(fault["id"], fault["nodes"][0]["html"][:200], len(fault["nodes"])) for fault in found["violations"]]
    assert faults == []


def test_without_scripts_all_of_it_is_there(opened):
    page = opened(java_script_enabled=False)
    assert page.locator("section").count() > 3
    unfolds = page.locator("details.method").first
    inside = unfolds.locator(":scope > div").first
    assert not inside.is_visible()
    unfolds.locator("summary").first.click()
    assert inside.is_visible()


def test_the_keyboard_reaches_what_unfolds(opened):
    page = opened()
    page.keyboard.press("Tab")
    reached = set()
    for _ in range(200):
        reached.add(page.evaluate("document.activeElement.tagName"))
        if page.evaluate("document.activeElement.matches('details.method > summary')"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open") is True
    assert "A" in reached  # the contents come first


def test_headings_descend_without_a_gap(opened):
    levels = opened().evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
