"""The site builds without a warning, asks for nothing from a network, and has all names."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import ROOT, pages

import keras_mothernets as km
from keras_mothernets.cli.parser import build_parser

sys.path.insert(0, str(ROOT / "tools"))

import commands_page
import layers_page

# What a browser fetches by itself; links that a reader may follow are not among them.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["']((?:https?:)?//[^"']+)"""
    r"""|<link\b(?=[^>]*\brel=["'](?:stylesheet|preload|icon|preconnect|dns-prefetch))"""
    r"""[^>]*\bhref=["']((?:https?:)?//[^"']+)"""
)
FETCHED_BY_STYLE = re.compile(r"""(?:@import|url\()\s*["']?((?:https?:)?//[^"')]+)""")
COMMAND = [sys.executable, "-m", "sphinx", "--builder", "html", "--quiet"]
COMMAND += ["--fail-on-warning", "--keep-going", "--conf-dir", "docs"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `tools/docs` builds it."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [*COMMAND, "--doctree-dir", str(out) + ".doctrees", ".", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_every_page_is_there(site: Path) -> None:
    made = {each.relative_to(site).with_suffix("").as_posix() for each in site.rglob("*.html")}
    kept = {name.removesuffix(".md") for name in pages()} - {"README"}
    kept = {name for name in kept if not name.startswith("tutorials/")}
    kept |= {
        each.relative_to(ROOT).with_suffix("").as_posix()
        for each in ROOT.glob("tutorials/[0-9]*.ipynb")
    }
    assert kept <= made


@pytest.mark.slow
def test_every_public_name_has_a_place(site: Path) -> None:
    reference = "".join(page.read_text() for page in (site / "docs/api").glob("*.html"))
    names = [name for name in km.__all__ if name not in ("datasets", "zoo")]
    names += ["datasets.load", "datasets.class_names", *(f"zoo.{name}" for name in km.zoo.__all__)]
    names += ["EnsembleStatistics.diversity", "methods.method.Method.fit", "Rule.flow"]
    assert [name for name in names if f'id="keras_mothernets.{name}"' not in reference] == []


@pytest.mark.slow
def test_names_lead_to_the_reference(site: Path) -> None:
    """Sphinx says nothing of names that lead nowhere."""
    name = re.compile(r'(<a class="reference internal"[^>]*>)?<code class="xref py py-obj[^>]*>')
    texts = {path: path.read_text() for path in site.rglob("*.html")}
    found = {path: name.findall(text) for path, text in texts.items()}
    assert [path for path, leads in found.items() if not all(leads)] == []
    assert sum(map(len, found.values())) > 50


@pytest.mark.slow
def test_commands_stand_as_their_parser_says(site: Path) -> None:
    page = html.unescape(re.sub(r"<[^>]+>", "", (site / "docs/COMMANDS.html").read_text()))
    commands = commands_page.commands(build_parser())
    assert set(commands) >= {"demo", "train", "resume", "export"}
    for parser in commands.values():
        assert commands_page.help_of(parser).strip() in page


@pytest.mark.slow
def test_nothing_is_asked_from_a_network(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert FETCHED.findall(path.read_text()) == [], path
    for path in site.rglob("*.css"):
        assert FETCHED_BY_STYLE.findall(path.read_text()) == [], path


def test_the_tool_builds_it_so() -> None:
    tool = (ROOT / "tools/docs").read_text()
    assert [word for word in COMMAND[1:] if word not in tool] == []


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<img alt='' src='//example.org/x.png'>",
        '<link rel="stylesheet" type="text/css" href="https://fonts.example/a.css">',
    ],
)
def test_a_request_is_seen(text: str) -> None:
    assert FETCHED.findall(text) != []
    assert FETCHED.findall('<a href="https://keepachangelog.com">x</a><img src="x.png">') == []


def test_the_page_of_layers_is_what_the_rules_say() -> None:
    assert layers_page.PAGE.read_text() == layers_page.page(), "run tools/layers_page.py"


def test_the_page_of_layers_says_what_surgery_does() -> None:
    """A few marks of the page, tried."""
    import keras

    rows = {
        name: line.split(" | ")
        for line in layers_page.PAGE.read_text().splitlines()
        for name in re.findall(r"`(\w+)`", line.split(" | ")[0])
        if line.startswith("| `")
    }
    assert rows["Dense"][1:4] == ["`units`", "-", "yes"]
    assert rows["Conv2D"][1:4] == ["`filters`", "yes", "yes"]
    assert rows["LSTM"][1:4] == ["`units`", "-", "-"]
    assert rows["Bidirectional"][1:4] == ["`layer`", "-", "-"]
    layers = [keras.Input((6, 3)), keras.layers.LSTM(4, name="lstm"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    assert km.widen(model, {"lstm": 6}).get_layer("lstm").units == 6
    with pytest.raises(km.SurgeryError):
        km.deepen(model, "lstm")
