"""The house as a whole: who may import whom, what is public, what starting up costs."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import keras_mothernets as km

PACKAGE = Path(km.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A name may import what stands left of it, never right.
FLOORS = (
    "errors member zoo datasets graph rules surgery mothernet clustering branching "
    "training ensembles planning methods reporting comparison cli"
).split()
SERVES_EVERY_BACKEND = {"graph", "rules", "surgery", "mothernet", "clustering", "branching"}
SERVES_EVERY_BACKEND |= {"member", "zoo"}
PRIVATE_KERAS = re.compile(
    r"keras\.src|\b(_nodes_by_depth|_inbound_nodes|_outbound_nodes|_keras_history"
    r"|_operations_by_depth|_nodes|_functional)\b"
)

# A package for processes that this one has started itself; it is in no run directory.
MAY_UNPICKLE = {"training/packing.py"}
UNPICKLERS = {"pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}


def _floor(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(file: Path) -> Iterator[str]:
    """Full names of all that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_one_way(file: Path) -> None:
    here = _floor(file)
    if here in {"__init__", "__main__"}:
        return
    assert here in FLOORS, f"`{here}` has no place among the floors"
    for name in _imports(file):
        parts = name.split(".")
        if parts[0] == "keras_mothernets" and len(parts) > 1 and parts[1] in FLOORS:
            assert FLOORS.index(parts[1]) <= FLOORS.index(here), f"{here} imports {name}"
        if here in SERVES_EVERY_BACKEND:
            assert parts[0] not in {"tensorflow", "torch", "jax"}, f"{here} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_graph_knows_private_attributes_of_keras(file: Path) -> None:
    if _floor(file) == "graph":
        return
    tree = ast.parse(file.read_text())
    used = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used += [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.isidentifier()
    ]
    used += _imports(file)
    assert [name for name in used if PRIVATE_KERAS.search(name)] == []


def _runs_what_it_reads(tree: ast.AST) -> Iterator[str]:
    """Calls that would run code which lies in a file, and imports of what makes such files."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            of = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names = [*of, *(alias.name for alias in node.names)]
            yield from (name for name in names if name.split(".")[0] in UNPICKLERS)
        elif isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            settings = {each.arg: ast.unparse(each.value) for each in node.keywords}
            if call in ("np.load", "numpy.load") and settings.get("allow_pickle") != "False":
                yield ast.unparse(node)
            if settings.get("safe_mode", "True") != "True":
                yield ast.unparse(node)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_is_unpickled(file: Path) -> None:
    found = list(_runs_what_it_reads(ast.parse(file.read_text())))
    assert bool(found) is (file.relative_to(PACKAGE).as_posix() in MAY_UNPICKLE), found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "keras.models.load_model(path, safe_mode=False)",
    ],
)
def test_what_would_run_code_in_a_file_is_seen(line: str) -> None:
    assert list(_runs_what_it_reads(ast.parse(line))) != []


def test_the_guards_see_what_they_guard(tmp_path: Path) -> None:
    """The two tests of imports would also pass if they found no imports at all."""
    assert "keras_mothernets.errors.MotherNetsError" in set(_imports(PACKAGE / "member.py"))
    assert PRIVATE_KERAS.search("_keras_history") and not PRIVATE_KERAS.search("my_nodes")
    assert len(FILES) > 10


@pytest.mark.parametrize("name", km.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(km, name)
    assert (value.__doc__ or "").strip(), f"{name} has no docstring"


def test_type_checkers_see_the_public_list() -> None:
    [block] = [
        node
        for node in ast.parse(inspect.getsource(km)).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    imported = {
        (alias.name, statement.module.split(".")[-1])
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert {name for name, _ in imported} == set(km.__all__)
    homes = {(name, home) for name, home in imported if home != "keras_mothernets"}
    assert homes == set(km._HOME_OF.items())


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        km.no_such_name  # noqa: B018
    assert set(km.__all__) <= set(dir(km))


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_starting_the_command_line_does_not_wait_for_tensorflow() -> None:
    heavy = "{'tensorflow', 'keras', 'sklearn', 'matplotlib', 'numpy'} & set(sys.modules)"
    code = f"import sys, keras_mothernets, keras_mothernets.cli; print(sorted({heavy}))"
    assert _run(code) == "[]"


@pytest.mark.slow
def test_mothernet_stays_a_function_whoever_imports_its_module_first() -> None:
    code = "import keras_mothernets.mothernet, keras_mothernets as km; print(km.mothernet.__name__)"
    assert _run(code) == "mothernet"
    assert inspect.isfunction(km.mothernet)


@pytest.mark.slow
def test_a_chosen_backend_is_left_alone() -> None:
    code = "import os, keras_mothernets as km; km.Member; print(os.environ.get('KERAS_BACKEND'))"
    assert _run(f"import os; os.environ.pop('KERAS_BACKEND', None); {code}") == "None"


def test_the_version_stands_in_one_place() -> None:
    assert importlib.metadata.version("keras-mothernets") == km.__version__
    changelog = (PACKAGE.parent / "CHANGELOG.md").read_text()
    assert f"## {km.__version__}" in changelog
