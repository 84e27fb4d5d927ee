"""Build the documentation: check it, and make a static site of it in build/docs.

Usage: ``python docs/build.py``. Exit status 1, with a line for each, if a link or an anchor leads nowhere, a page
breaks the rules of a page, or a generated page is stale. The site needs no server and no network: open
build/docs/index.html.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import generate
from pages import DOCS, ROOT, Page, all_pages, parser

SITE = ROOT / "build" / "docs"

SECTIONS = (
    ("Start here", ("docs/index.md", "docs/tutorial/*.md")),
    ("How to", ("docs/how-to/*.md",)),
    ("Explanation", ("docs/explanation/*.md", "docs/security.md", "docs/performance.md")),
    ("Reference", ("docs/reference/*.md", "docs/supported.md", "docs/features.md", "docs/glossary.md")),
    ("The project", ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
)
"""The order of the pages. Every page stands in exactly one section."""

KINDS = {"tutorial": "*Tutorial", "how-to": "*How-to", "explanation": "*Explanation", "reference": "*Reference"}
"""How the first paragraph of a page begins, by its folder: a page says of which kind it is."""

LONGEST = 1500
"""Words of prose on a page; more is two pages."""

BANNED = re.compile(r"\b(simply|just|easy|easily|obviously)\b", re.IGNORECASE)
"""Words that tell readers who are stuck that they should not be."""


def main() -> int:
    """Check, then build."""
    pages = all_pages()
    problems = [f"docs/reference/{name} is stale: python docs/generate.py" for name in generate.stale()]
    for page in pages:
        problems += problems_of(page)
    order = ordered(pages, problems)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"{len(problems)} problems; nothing was built", file=sys.stderr)
        return 1
    build(order)
    print(f"{len(pages)} pages in {SITE.relative_to(ROOT)}")
    return 0


def problems_of(page: Page) -> Iterator[str]:
    """What is wrong with one page."""
    where = page.path.relative_to(ROOT)
    if [heading.level for heading in page.headings].count(1) != 1 or page.headings[0].level != 1:
        yield f"{where}: a page has one heading of the first level, and begins with it"
    kind = KINDS.get(page.path.parent.name)
    if kind is not None and not re.search(rf"\A# .*\n\n{re.escape(kind)}", page.text):
        yield f"{where}: the first paragraph begins with {kind}*: it says of which kind the page is"
    if page.path.parent.name in KINDS and page.path.parent.name != "reference" and len(page.words) > LONGEST:
        yield f"{where}: {len(page.words)} words; a page has at most {LONGEST}"
    written = () if page.path.name in generate.PAGES else page.words
    for word in sorted({word.lower() for word in written if BANNED.fullmatch(word.strip(".,;:()"))}):
        yield f"{where}: the word {word!r} helps nobody"
    for link in page.links:
        problem = _broken(page, link.target)
        if problem:
            yield f"{where}:{link.line}: {problem}"


def _broken(page: Page, target: str) -> str:
    if re.match(r"[a-z]+:", target):
        return "" if target.startswith(("https:", "mailto:")) else f"{target}: only https: and mailto: lead outside"
    path, _, anchor = target.partition("#")
    file = (page.path.parent / path).resolve() if path else page.path
    if not file.is_file():
        return f"{target}: there is no such file"
    if file.suffix == ".md":
        if not (file.is_relative_to(DOCS) or file.parent == ROOT):
            return f"{target}: not a page of the documentation"
        if anchor and anchor not in {heading.anchor for heading in Page(file).headings}:
            return f"{target}: no heading has this anchor"
    return ""


def ordered(pages: list[Page], problems: list[str]) -> list[tuple[str, list[Page]]]:
    """The pages by section; one that is in none, or in two, is a problem."""
    left = {page.path: page for page in pages}
    found = []
    for title, patterns in SECTIONS:
        paths = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
        found.append((title, [left.pop(path) for path in paths if path in left]))
    problems += [f"{path.relative_to(ROOT)}: stands in no section of docs/build.py" for path in left]
    return found


def place(page: Page) -> str:
    """Where a page is in the site."""
    inside = page.path.relative_to(DOCS) if page.path.is_relative_to(DOCS) else Path(page.path.name.lower())
    return inside.with_suffix(".html").as_posix()


def build(order: list[tuple[str, list[Page]]]) -> None:
    """Write the site."""
    shutil.rmtree(SITE, ignore_errors=True)
    everything = [page for _, pages in order for page in pages]
    places = {page.path: place(page) for page in everything}
    for number, page in enumerate(everything):
        after = everything[number + 1] if number + 1 < len(everything) else None
        near = (everything[number - 1] if number else None, after)
        target = SITE / places[page.path]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_html(page, order, places, near), encoding="utf-8")
    (SITE / "style.css").write_text(STYLE, encoding="utf-8")
    entries = [[page.title, places[page.path], " ".join(page.words)] for page in everything]
    (SITE / "search.js").write_text(
        f"const PAGES = {json.dumps(entries, ensure_ascii=False)};\n{SEARCH}", encoding="utf-8"
    )


def _html(
    page: Page, order: list[tuple[str, list[Page]]], places: dict[Path, str], near: tuple[Page | None, Page | None]
) -> str:
    here = places[page.path]
    up = "../" * here.count("/")

    def to(other: Page) -> str:
        mark = ' aria-current="page"' if other is page else ""
        return f'<a href="{up}{places[other.path]}"{mark}>{html.escape(other.title)}</a>'

    menu = "".join(
        f"<h2>{title}</h2><ul>{''.join(f'<li>{to(other)}</li>' for other in pages)}</ul>" for title, pages in order
    )
    before, after = near
    foot = f"<span>{'← ' + to(before) if before else ''}</span><span>{to(after) + ' →' if after else ''}</span>"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(page.title)} - poplin</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="{up}style.css"></head>'
        f'<body data-up="{up}"><nav><input id="search" type="search" placeholder="Search" aria-label="Search">'
        f'<ul id="found"></ul>{menu}</nav><main>{_body(page, places)}<footer>{foot}</footer></main>'
        f'<script src="{up}search.js"></script></body></html>\n'
    )


def _body(page: Page, places: dict[Path, str]) -> str:
    markdown = parser()
    tokens = markdown.parse(page.text)
    anchors = iter(page.headings)
    for token in tokens:
        if token.type == "heading_open":
            token.attrSet("id", next(anchors).anchor)
        for child in token.children or ():
            target = child.attrGet("href")
            if isinstance(target, str) and not re.match(r"[a-z]+:|#", target):
                child.attrSet("href", _moved(page, target, places))
    rendered: str = markdown.renderer.render(tokens, markdown.options, {})
    rendered = re.sub(r'<h([2-4]) id="([^"]+)">(.*?)</h\1>', r'<h\1 id="\2"><a href="#\2">\3</a></h\1>', rendered)
    return re.sub(r"<!--.*?-->\n?", "", rendered)


def _moved(page: Page, target: str, places: dict[Path, str]) -> str:
    path, mark, anchor = target.partition("#")
    file = (page.path.parent / path).resolve()
    if file not in places:  # a file of the tree, such as the licence: the site has a copy
        copy = SITE / "files" / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        goal = f"files/{file.name}"
    else:
        goal = places[file]
    return os.path.relpath(goal, Path(places[page.path]).parent) + mark + anchor


STYLE = """\
:root { color-scheme: light dark; --line: #8886; --link: light-dark(#0b57a4, #8ab8ff); }
body { margin: 0 auto; max-width: 76rem; display: flex; gap: 2rem; padding: 1rem; font: 1rem/1.55 system-ui, sans-serif; }
nav { flex: 0 0 15rem; font-size: .9rem; } nav h2 { font-size: .8rem; margin: 1.2em 0 .2em; text-transform: uppercase; }
nav ul { list-style: none; margin: 0; padding: 0; } nav a[aria-current] { font-weight: bold; }
nav input { width: 100%; box-sizing: border-box; padding: .3em; font: inherit; }
main { flex: 1; min-width: 0; max-width: 52rem; } a { color: var(--link); }
h1 a, h2 a, h3 a, h4 a { color: inherit; text-decoration: none; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; padding: .7em; font-size: .88rem; line-height: 1.4; }
code { font-family: ui-monospace, monospace; } table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .25em .6em; text-align: left; vertical-align: top; }
footer { display: flex; justify-content: space-between; border-top: 1px solid var(--line); margin-top: 3rem; padding: 1rem 0; }
@media (max-width: 50rem) { body { flex-direction: column; } }
"""

SEARCH = """\
const field = document.getElementById("search"), list = document.getElementById("found");
field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const hits = !words.length ? [] : PAGES.filter(([title, , text]) =>
    words.every(word => title.toLowerCase().includes(word) || text.toLowerCase().includes(word)));
  list.replaceChildren(...hits.slice(0, 12).map(([title, place]) => {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = document.body.dataset.up + place; link.textContent = title;
    item.append(link); return item;
  }));
});
"""

if __name__ == "__main__":
    sys.exit(main())
