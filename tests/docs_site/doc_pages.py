"""Markdown pages taken apart: code blocks, links, headings, commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("", "docs", "docs/api", "tutorials")
FENCED = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$",
    flags=re.DOTALL | re.MULTILINE,
)
INDENTED = re.compile(r"(?:(?<=\n\n)|^)((?: {4}[^\n]*\n)+)")
LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Args:
        line: Number of its first line of code, from 1.
        kind: What stands behind the fence: "python", "sh", ...; "" of an indented block.
        code: The code.
        reason: Why it is not run by the tests; empty if it is.
    """

    line: int
    kind: str
    code: str
    reason: str


def pages() -> dict[str, Path]:
    """All Markdown pages by their path in the repository."""
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path for path in found}


def blocks(text: str) -> list[Block]:
    """The code blocks of a page, in order."""
    found = [
        Block(_line(text, match.start("code")), match["kind"], match["code"], match["reason"] or "")
        for match in FENCED.finditer(text)
    ]
    rest = _without_fenced(text)
    found += [
        Block(_line(rest, match.start()), "", re.sub(r"^ {4}", "", match[1], flags=re.M), "")
        for match in INDENTED.finditer(rest)
    ]
    return sorted(found, key=lambda block: block.line)


def prose(text: str) -> str:
    """A page without its code blocks."""
    return INDENTED.sub("\n", _without_fenced(text))


def anchors(text: str) -> set[str]:
    """The anchors that headings of a page get, as GitHub and MyST make them."""
    return {_slug(title) for title in HEADING.findall(_without_fenced(text))}


def links(text: str) -> list[str]:
    """Where the links and pictures of a page lead to."""
    return LINK.findall(prose(text))


def commands(text: str) -> Iterator[tuple[int, str]]:
    """Lines of shell blocks, with their numbers; comments are left out, continued lines joined."""
    for block in blocks(text):
        if block.kind in ("", "sh", "bash", "shell"):
            joined = re.sub(r"\\\n\s*", " ", block.code)
            for offset, line in enumerate(joined.splitlines()):
                command = re.sub(r"(^|\s)#.*", "", line).strip()
                if command:
                    yield block.line + offset, command


def _slug(title: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", title.strip().lower())
    return kept.replace(" ", "-")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _without_fenced(text: str) -> str:
    """The same with as many lines."""
    return FENCED.sub(lambda match: "\n" * match[0].count("\n"), text)
