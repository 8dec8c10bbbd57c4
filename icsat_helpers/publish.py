"""Executed notebooks to pages that open anywhere: self-contained HTML, no script, no request to any network.

One page a notebook, and one document with every page inline. All that comes from data is escaped here but for
`text/html` outputs, which their makers escape; of those, any that would load or run something is not shown.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import mistune
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from icsat_helpers.results import MIME
from icsat_helpers.words import known, message, say, speaking

_TEMPLATES = Path(__file__).parent / "templates"
FRONT = "executive"
"""The tag of cells that an executive sees at once; the others unfold below, and so does all code."""

_ACTIVE = {
    "script", "iframe", "frame", "object", "embed", "applet", "link", "base", "meta", "form", "audio", "video",
    "source", "template",
}  # fmt: skip
_POINTERS = {
    "src", "srcset", "href", "xlink:href", "poster", "background", "action", "formaction", "data", "cite", "ping",
}  # fmt: skip
_LOADS = re.compile(r"@import|url\(\s*[\"']?\s*(?!data:image/|#)", re.IGNORECASE)
_REFUSED = message("An output is not shown: it would run a script or load something from elsewhere.")
_HEADING = re.compile(r"<(/?)h([1-6])\b", re.IGNORECASE)
_ID = re.compile(r"""\bid\s*=\s*["']([^"'\s]+)["']""")
_ID_LIST = re.compile(r"""\b(for|headers|aria-(?:labelledby|describedby|controls))\s*=\s*["']([^"']+)["']""")


@dataclass(frozen=True, slots=True)
class Page:
    """One notebook as HTML: its stem, its H1 as plain text, what is seen at once, and how it is known (folded).

    Headings start at level 2.
    """

    name: str
    title: str
    body: str
    method: str = ""


def render(name: str, notebook: Any, language: str = "en") -> Page:
    r"""Turn an executed notebook, named by its stem, into a page; its own words are said in a language.

    Cells tagged `executive` are seen at once, a code cell by its outputs; without any such tag all but code is.

    Examples
    --------
    >>> from nbformat import v4
    >>> render("04-x", v4.new_notebook(cells=[v4.new_markdown_cell("# A title\n\nSome *words*.")]))
    Page(name='04-x', title='A title', body='<div class="words"><p>Some <em>words</em>.</p>\n</div>', method='')
    """
    with speaking(language):
        return _rendered(name, notebook)


def _rendered(name: str, notebook: Any) -> Page:
    title = name
    tagged = any(FRONT in cell.metadata.get("tags", ()) for cell in notebook.cells)
    front: list[str] = []
    method: list[str] = []
    for number, cell in enumerate(notebook.cells):
        shown = front if not tagged or FRONT in cell.metadata.get("tags", ()) else method
        if cell.cell_type == "markdown":
            words = say(cell.source)
            heading = re.match(r"\s*# +(.+)\n?", words)
            title = heading[1].strip() if heading else title
            text = words[heading.end() :] if heading else words
            if text.strip():
                shown.append(f'<div class="words">{_markdown(text)}</div>')
        elif cell.cell_type == "code":
            method.append(_code(cell.source))
            outputs = (_output(output, f"{name}-{number}-{n}-") for n, output in enumerate(cell.outputs))
            shown += [f'<div class="output">{output}</div>' for output in outputs if output]
    return Page(name, title, "\n".join(front), "\n".join(method))


def _code(source: str) -> str:
    lines = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    block = f'<pre class="code" tabindex="0"><code>{lines}</code></pre>'
    return f'<details class="code-cell"><summary>{html.escape(say("Code"))}</summary>{block}</details>'


def missing(name: str, language: str = "en") -> Page:
    """Return the page that stands for a notebook that failed."""
    title = name.partition("-")[2].replace("-", " ").capitalize() or name
    with speaking(language):
        why = say("This page could not be made this time. The file manifest.json beside this report says why.")
        return Page(name, known(title), f'<p class="missing">{html.escape(why)}</p>')


def document(pages: Sequence[Page], *, title: str, subtitle: str = "", language: str = "en") -> str:
    """Return one self-contained HTML document of pages; a single one is shown alone, its title the only H1."""
    loader = jinja2.FileSystemLoader(_TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    # Inlined pages stand one level lower, below the document's own title.
    shown = [replace(page, body=_lower(page.body), method=_lower(page.method)) for page in pages]
    shown = shown if len(pages) > 1 else list(pages)
    style = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    template = environment.get_template("page.html.j2")
    with speaking(language):
        return template.render(pages=shown, title=title, subtitle=subtitle, language=language, style=style, say=say)


class _Words(mistune.HTMLRenderer):
    """Markdown whose raw HTML is text, and which leads nowhere outside the page."""

    def __init__(self) -> None:
        super().__init__(escape=True)

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        return f"<h{max(level, 2)}>{text}</h{max(level, 2)}>\n"

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if url.startswith(("http://", "https://")) and html.escape(url) not in text:
            return f"{text} ({html.escape(url)})"
        return text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return _figure(url, text) if url.startswith("data:image/") else text


_markdown_to_html = mistune.create_markdown(renderer=_Words(), plugins=["table", "strikethrough"])


def _markdown(text: str) -> str:
    return _wide(str(_markdown_to_html(text)))


def _output(output: Any, prefix: str) -> str:
    """Return one output as HTML, or nothing where it has nothing for a reader."""
    if output.output_type == "stream":
        return f'<pre lang="en">{html.escape(output.text)}</pre>' if output.name == "stdout" else ""
    if output.output_type == "error":
        return f"<pre>{html.escape(output.ename)}</pre>"
    data, metadata = output.data, output.metadata
    if "text/html" in data:
        return _wide(_unique(data["text/html"], prefix)) if _inert(data["text/html"]) else _refused()
    for kind in ("image/svg+xml", "image/png", "image/jpeg"):
        if kind in data:
            alt = metadata.get("alt") or metadata.get(kind, {}).get("alt") or say("A figure without a description")
            # An SVG becomes an image too, so that its ids cannot meet those of another.
            content = base64.b64encode(data[kind].encode()).decode() if "svg" in kind else data[kind]
            return _figure(f"data:{kind};base64,{''.join(content.split())}", alt)
    if "text/markdown" in data:
        return _markdown(data["text/markdown"])
    return f"<pre>{html.escape(data['text/plain'])}</pre>" if "text/plain" in data and MIME not in data else ""


class _Inspector(HTMLParser):
    """Notes whether HTML would run something, or load it from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.inert = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            address = (value or "").strip()
            leads = name in _POINTERS and not address.startswith(("#", "data:image/"))
            if leads or name.startswith("on") or (name == "style" and _LOADS.search(address)):
                self.inert = False
        self.inert &= tag not in _ACTIVE

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style" and _LOADS.search(data):
            self.inert = False


def _inert(body: str) -> bool:
    inspector = _Inspector()
    inspector.feed(body)
    inspector.close()
    return inspector.inert


def _refused() -> str:
    return f'<p class="missing">{html.escape(say(_REFUSED))}</p>'


def _figure(address: str, alt: str) -> str:
    return f'<figure><img src="{html.escape(address)}" alt="{html.escape(alt)}"></figure>'


def _wide(body: str) -> str:
    """Let tables scroll sideways on a narrow screen, by keyboard too."""
    label = html.escape(say("Table"))
    body = re.sub(r"<table\b", f'<div class="scroll" role="group" aria-label="{label}" tabindex="0"><table', body)
    return body.replace("</table>", "</table></div>")


def _unique(body: str, prefix: str) -> str:
    """Prefix every id, and what refers to it, so that ids stay unique where pages are inlined."""
    ids = set(_ID.findall(body))
    if not ids:
        return body

    def renamed(words: str) -> Iterator[str]:
        return (prefix + word if word in ids else word for word in words.split())

    body = _ID.sub(lambda found: f'id="{prefix}{found[1]}"', body)
    body = _ID_LIST.sub(lambda found: f'{found[1]}="{" ".join(renamed(found[2]))}"', body)
    known = "|".join(map(re.escape, sorted(ids, key=len, reverse=True)))
    return re.sub(rf"#({known})(?![\w-])", rf"#{prefix}\1", body)


def _lower(body: str) -> str:
    return _HEADING.sub(lambda found: f"<{found[1]}h{min(int(found[2]) + 1, 6)}", body)
