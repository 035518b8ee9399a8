"""Links, names of files, commands and names of the package in the pages lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from doc_pages import ROOT, anchors, blocks, commands, links, pages, prose

import keras_mothernets as km
from keras_mothernets.cli.parser import build_parser

PAGES = pages()
TOOL = re.compile(r"(?<![\w/.-])((?:tools|tutorials|tests|docs|keras_mothernets)/[\w./-]*\w)")

each_page = pytest.mark.parametrize("name", PAGES)


def broken_links(name: str, text: str) -> list[str]:
    """The links of a page that lead nowhere."""
    return [link for link in links(text) if not _leads_somewhere(PAGES[name], text, link)]


def _leads_somewhere(page: Path, text: str, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True  # elsewhere: nothing here asks a network
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    known = anchors(text if target == page else target.read_text()) if anchor else {anchor}
    return anchor in known


def wrong_commands(text: str) -> list[str]:
    """Commands of a page that the console command would refuse."""
    wrong = []
    for line, command in commands(text):
        words = shlex.split(command)
        if words[0] == "keras-mothernets":
            try:
                build_parser().parse_args(words[1:])
            except SystemExit as end:
                if end.code:
                    wrong.append(f"line {line}: {command}")
    return wrong


def missing_files(text: str) -> list[str]:
    """Files of this repository that a page names and that are not there."""
    return [path for path in TOOL.findall(text) if not (ROOT / path).exists()]


def missing_names(text: str) -> list[str]:
    """Names of the package that a page names, in code or outside, and that it does not have."""
    chains = set(re.findall(r"\bkm((?:\.[A-Za-z_]\w*)+)", text))
    return sorted(chain for chain in chains if not _is_there(chain[1:].split(".")))


def _is_there(chain: list[str]) -> bool:
    if chain[0] not in km.__all__:
        return False
    value: object = km
    for name in chain:
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True


@each_page
def test_links_lead_somewhere(name: str) -> None:
    assert broken_links(name, PAGES[name].read_text()) == []


@each_page
def test_commands_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert wrong_commands(PAGES[name].read_text()) == []


@each_page
def test_files_that_are_named_are_there(name: str) -> None:
    text = PAGES[name].read_text()
    shell = "\n".join(command for _, command in commands(text))
    assert missing_files(prose(text) + shell) == []


@each_page
def test_names_that_are_named_are_there(name: str) -> None:
    assert missing_names(PAGES[name].read_text()) == []


def test_what_is_wrong_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """The tests above would also pass if they found nothing to look at."""
    name = "docs/RUNS.md"
    assert "docs/QUESTIONS.md" in PAGES and len(PAGES) > 25
    wrong = "[a](NO_PAGE.md) [b](KILLS.md#no-heading) [c](#no-heading-here) [d](../../etc/passwd)\n"
    assert len(broken_links(name, wrong)) == 4
    right = (
        "# A heading, with `code`\n\n[a](KILLS.md) [b](#a-heading-with-code) [c](../tools/demo)\n"
    )
    assert broken_links(name, right) == []
    assert wrong_commands(
        "So:\n\n    keras-mothernets train v5\n    keras-mothernets status r  # x\n"
    )
    assert wrong_commands("So:\n\n    keras-mothernets status runs/first  # how far\n") == []
    assert missing_files("`tools/demo` and `tools/no_demo.py`") == ["tools/no_demo.py"]
    assert missing_names("`km.hatch` `km.Predictions.of` `km.hatches`, km.zoo.v6") == [
        ".hatches",
        ".zoo.v6",
    ]
    found = [line for _, line in commands(PAGES["README.md"].read_text())]
    assert sum(line.startswith("keras-mothernets ") for line in found) >= 9
    text = "<!-- not run: why -->\n```python\nx = 1\n```\n\n    tools/demo\n"
    assert [(each.kind, each.reason) for each in blocks(text)] == [("python", "why"), ("", "")]
