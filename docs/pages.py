"""A page of the documentation as data: headings, links, and fenced blocks with their markers.

Only reading lives here. `run_samples` runs the blocks, `build` makes the site and checks the links.

A marker is an HTML comment on the line before a block:

    <!-- sample: file=shop.py -->        the block is this file of the page's folder; a later block uses it
    <!-- sample: is=examples/simple.py -->   the block shows this file of the tree, octet for octet
    <!-- sample: joins=poplin.toml -->   the block is appended to a file written before
    <!-- sample: background -->          the block starts a server that stays until the page ends
    <!-- sample: background fixed -->    the same, on the usual ports themselves; skipped where one is in use
    <!-- sample: ends -->                the background server is stopped now; the block is its last output
    <!-- sample: exit=1 -->              the block ends with this exit status
    <!-- not run: why -->                the block is shown only, for this reason
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["DOCS", "ROOT", "Block", "Heading", "Link", "Page", "all_pages", "parser"]

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
_ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")

_MARKER = re.compile(r"^<!--\s*(sample|not run):\s*(.*?)\s*-->$")
_SAMPLE_WORDS = frozenset({"file", "is", "joins", "background", "fixed", "ends", "exit"})


@dataclass(frozen=True)
class Block:
    """One fenced block. `line` is that of its opening fence; `reason` says why it is not run, if it is not."""

    page: Path
    line: int
    language: str
    text: str
    words: Mapping[str, str]
    reason: str = ""

    @property
    def where(self) -> str:
        """``docs/page.md:12``, as editors take it."""
        return f"{os.path.relpath(self.page, ROOT)}:{self.line}"


@dataclass(frozen=True)
class Heading:
    """A heading with the anchor that it has on every page host: GitHub's rule."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True)
class Link:
    """A link as written, and the line of the paragraph that holds it."""

    target: str
    line: int


def parser() -> MarkdownIt:
    """Markdown as the tree's hosts read it: CommonMark and tables."""
    return MarkdownIt("commonmark").enable("table")


class Page:
    """One Markdown file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")

    def __repr__(self) -> str:
        return f"<Page {os.path.relpath(self.path, ROOT)}>"

    @cached_property
    def tokens(self) -> list[Token]:
        """The page, parsed."""
        return parser().parse(self.text)

    @cached_property
    def blocks(self) -> list[Block]:
        """Its fenced blocks, in order.

        Raises:
            ValueError: a marker that cannot be read; the text says where.
        """
        lines = self.text.splitlines()
        found = []
        for token in self.tokens:
            if token.type == "fence" and token.map is not None:
                line = token.map[0]
                words, reason = _marker(lines[line - 1] if line else "", f"{self.path}:{line}")
                found.append(Block(self.path, line + 1, token.info.strip(), token.content, words, reason))
        return found

    @cached_property
    def headings(self) -> list[Heading]:
        """Its headings, with distinct anchors."""
        found: list[Heading] = []
        seen: dict[str, int] = {}
        for token, inline in zip(self.tokens, self.tokens[1:], strict=False):
            if token.type == "heading_open":
                text = plain(inline)
                anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
                times = seen.get(anchor, 0)
                seen[anchor] = times + 1
                found.append(Heading(int(token.tag[1:]), text, f"{anchor}-{times}" if times else anchor))
        return found

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.headings[0].text if self.headings else self.path.stem

    @cached_property
    def links(self) -> list[Link]:
        """Its links and pictures."""
        return list(_links(self.tokens))

    @cached_property
    def words(self) -> list[str]:
        """The words of its prose: no blocks, no code, no tables."""
        found: list[str] = []
        table = 0
        for token in self.tokens:
            table += {"table_open": 1, "table_close": -1}.get(token.type, 0)
            if token.type == "inline" and not table:
                for child in token.children or ():
                    if child.type == "text":
                        found += child.content.split()
        return found


def plain(inline: Token) -> str:
    """The text of an inline token, without its marks."""
    return "".join(child.content for child in inline.children or () if child.type in {"text", "code_inline"})


def all_pages() -> list[Page]:
    """Every page of the documentation, the tree's own pages (README and its neighbours) first."""
    paths = [ROOT / name for name in _ROOT_PAGES] + sorted(DOCS.rglob("*.md"))
    return [Page(path) for path in paths if path.exists()]


def _links(tokens: list[Token]) -> Iterator[Link]:
    for token in tokens:
        line = token.map[0] + 1 if token.map else 0
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if isinstance(target, str):
                yield Link(target, line)


def _marker(line: str, where: str) -> tuple[Mapping[str, str], str]:
    match = _MARKER.match(line.strip())
    if match is None:
        if line.strip().startswith("<!--"):
            raise ValueError(f"{where}: expected <!-- sample: … --> or <!-- not run: … -->, found {line.strip()}")
        return {}, ""
    kind, rest = match.groups()
    if kind == "not run":
        if not rest:
            raise ValueError(f"{where}: a block that is not run needs a reason")
        return {}, rest
    words = dict(word.partition("=")[::2] for word in rest.split())
    unknown = words.keys() - _SAMPLE_WORDS
    if unknown or not words:
        raise ValueError(f"{where}: unknown word in the marker: {', '.join(sorted(unknown)) or 'none given'}")
    return words, ""
