"""The Python code of the pages runs, from top to bottom of each; what cannot run is compiled."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from doc_pages import Block, blocks, pages

import keras_mothernets as km

PYTHON = {
    name: found
    for name, path in pages().items()
    if (found := [each for each in blocks(path.read_text()) if each.kind == "python"])
}
# Pages that have a test of their own, which looks at what comes out too.
RUN_ELSEWHERE = {
    "README.md": "tests/test_readme.py",
    "docs/EXPORT.md": "tests/test_export_docs.py",
    "docs/RULES.md": "tests/rules/test_rules_guide.py",
}
# What a page takes for granted. A page that is not here begins with nothing.
GIVEN = {
    "docs/EXECUTORS.md": {"km"},
    "docs/QUESTIONS.md": {
        "keras", "km", "members", "another", "x", "y", "x_val", "y_val",
    },
    "docs/REPORT.md": {"km", "method", "a run", "x_test", "y_test"},
    "docs/RUNS.md": {"method", "x", "y", "new_network"},
}  # fmt: skip
# Names that stand for a method in the pages: what they can be.
METHODS = (km.MotherNets, km.AdaptiveMotherNets, km.GrowthProbe)


def network(name: str, first: int, second: int) -> keras.Model:
    """A network of which one in two sizes can become another."""
    hidden = [keras.layers.Dense(units, "relu") for units in (first, second)]
    layers = [keras.Input((4,)), *hidden, keras.layers.Dense(3, "softmax")]
    return keras.Sequential(layers, name=name)


def given(name: str) -> dict[str, Any]:
    """The names that a page begins with."""
    wanted = GIVEN.get(name, set())
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(48, 4)).astype("float32"), np.arange(48) % 3
    members = [network("a", 8, 4), network("b", 4, 8), network("c", 6, 6)]
    method = km.MotherNets(members, member_epochs=2)
    method.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    if "a run" in wanted:
        method.fit(x, y, epochs=2, run_dir="runs/first", verbose=0)
    everything = {
        "keras": keras,
        "km": km,
        "members": members,
        "method": method,
        "another": network("another", 9, 9),
        "new_network": network("new", 9, 9),
        **{"x": x, "y": y, "x_val": x[:12], "y_val": y[:12], "x_test": x[:12], "y_test": y[:12]},
    }
    return {each: value for each, value in everything.items() if each in wanted}


def run(name: str, found: list[Block]) -> dict[str, Any]:
    """Run the blocks of a page one after the other, but for those that say why not."""
    names = given(name)
    for block in found:
        if not block.reason:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compiled(name, block), names)
    return names


def compiled(name: str, block: Block) -> Any:
    """The code, with the line numbers of the page."""
    return compile("\n" * (block.line - 1) + block.code, name, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PYTHON if name not in RUN_ELSEWHERE])
def test_code_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert assigned(PYTHON[name]) <= run(name, PYTHON[name]).keys()


def assigned(found: list[Block]) -> set[str]:
    """Names that the blocks of a page that run must leave behind."""
    statements = [
        line for block in found if not block.reason for line in ast.parse(block.code).body
    ]
    targets = [each for line in statements if isinstance(line, ast.Assign) for each in line.targets]
    return {node.id for each in targets for node in ast.walk(each) if _is_stored(node)}


def _is_stored(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


@pytest.mark.parametrize("name", PYTHON)
def test_names_and_arguments_are_right(name: str) -> None:
    for block in PYTHON[name]:
        compiled(name, block)
        assert list(wrong_calls(block.code)) == [], f"{name}, line {block.line}"


def wrong_calls(code: str) -> Iterator[str]:
    """Calls of the package, and of its methods, whose names or arguments do not exist."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and not isinstance(getattr(node.func, "value", 0), ast.Call):
            owner, _, chain = ast.unparse(node.func).partition(".")
            if owner == "km" and not any(_takes(km, chain, node)):
                yield ast.unparse(node)
            if owner in ("method", "probe") and not any(
                taken for each in METHODS for taken in _takes(each, chain, node)
            ):
                yield ast.unparse(node)


def _takes(owner: Any, chain: str, call: ast.Call) -> Iterator[bool]:
    """Whether what a name leads to takes such arguments; nothing if it leads nowhere."""
    value = owner
    for name in chain.split("."):
        if not hasattr(value, name):
            return
        value = getattr(value, name)
    parameters = inspect.signature(value).parameters.values()
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
    known = {each.name for each in parameters}
    yield takes_all or {each.arg for each in call.keywords} <= known


def test_pages_that_are_tested_elsewhere_are() -> None:
    root = Path(__file__).parent.parent.parent
    for name, test in RUN_ELSEWHERE.items():
        assert name in PYTHON and Path(name).name in (root / test).read_text()


def test_a_page_takes_nothing_for_granted_that_it_does_not_need() -> None:
    for name, names in GIVEN.items():
        code = "\n".join(block.code for block in PYTHON[name] if not block.reason)
        used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
        assert names - {"a run"} <= used, name


@pytest.mark.parametrize(
    "code",
    [
        "km.hatches(mother, member)",
        "km.hatch(mother, member, noice=0.1)",
        "method.fits(x, y, epochs=1)",
        "method.ensemble('weighted', weight=weights)",
        "km.datasets.load('digits', validaton=0.1)",
    ],
)
def test_a_wrong_call_is_seen(code: str) -> None:
    assert list(wrong_calls(code)) == [ast.unparse(ast.parse(code))]


def test_a_block_that_fails_fails_the_page() -> None:
    with pytest.raises(NameError, match="nobody"):
        run("a page", [Block(1, "python", "x = nobody\n", "")])
    assert "x" not in run("a page", [Block(1, "python", "x = nobody\n", "it cannot")])
