"""The tutorials: notebooks are what their sources say, and run from top to bottom."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

jupytext = pytest.importorskip("jupytext")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

from nbclient.exceptions import CellExecutionError  # noqa: E402

import tutorials  # noqa: E402

SOURCES = tutorials.sources()
READ_ME = (tutorials.TUTORIALS / "README.md").read_text(encoding="utf-8")
# A cell that ends in one of these promises a picture.
DRAWS = re.compile(r"^(plt\.show\(\)|km\.plot_\w+\(.*\)|figure|display\(.*\))$")


def _name(source: Path) -> str:
    return source.stem


def test_there_are_eight_in_order() -> None:
    assert [source.name[:2] for source in SOURCES] == [f"{number:02d}" for number in range(1, 9)]
    for number, source in enumerate(SOURCES, start=1):
        assert source.read_text().startswith(f"# %% [markdown]\n# # {number}. ")


@pytest.mark.parametrize("source", SOURCES, ids=_name)
def test_the_notebook_is_what_its_source_says(source: Path) -> None:
    made = tutorials.text_of(tutorials.notebook_of(source))
    kept = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert kept == made, "`tools/tutorials.py build` writes it anew"
    assert '"outputs": []' in kept and '"outputs": [\n' not in kept


def test_no_notebook_is_without_a_source() -> None:
    notebooks = {path.stem for path in tutorials.TUTORIALS.glob("*.ipynb")}
    assert notebooks == {source.stem for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=_name)
def test_links_lead_somewhere(source: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", source.read_text()):
        assert link.startswith("https://") or (tutorials.TUTORIALS / link).exists(), link


@pytest.mark.parametrize("source", SOURCES, ids=_name)
def test_the_list_of_tutorials_names_it(source: Path) -> None:
    assert f"({source.stem}.ipynb)" in READ_ME


def _tutorial(folder: Path, *cells: str) -> Path:
    source = folder / "09_made_up.py"
    source.write_text("# %% [markdown]\n# # 9. Words\n\n" + "".join(f"# %%\n{c}\n" for c in cells))
    return source


def test_the_same_source_gives_the_same_notebook(tmp_path: Path) -> None:
    source = _tutorial(tmp_path, "print(1)", "print(2)")
    first, second = (tutorials.text_of(tutorials.notebook_of(source)) for _ in range(2))
    assert first == second
    source.write_text(source.read_text().replace("print(2)", "print(3)"))
    assert tutorials.text_of(tutorials.notebook_of(source)) != first


def test_notices_of_tensorflow_are_left_out_and_nothing_else() -> None:
    notices = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1795676548.200921   28282 port.cc:153] oneDNN custom operations are on.\n"
        "I0000 00:00:1795676548.201313   28282 cudart_stub.cc:31] Could not find cuda drivers\n"
    )
    assert tutorials.NOTICES.sub("", notices) == ""
    other = "UserWarning: I0000 of something\n"
    assert tutorials.NOTICES.sub("", notices + other) == other


@pytest.mark.slow
def test_a_cell_that_fails_is_told(tmp_path: Path) -> None:
    source = _tutorial(tmp_path, "import sys; print(sys.executable)", "1 / 0")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        tutorials.execute(source)


@pytest.mark.slow
def test_it_runs_in_this_python_and_leaves_nothing_behind(tmp_path: Path) -> None:
    source = _tutorial(
        tmp_path,
        "import sys; from pathlib import Path; print(sys.executable)",
        "Path('left').touch(); print(Path('serve.py').exists(), Path.cwd())",
        "print('trouble', file=sys.stderr)",
    )
    before = set(tutorials.TUTORIALS.iterdir())
    notebook, _ = tutorials.execute(source)
    python, place, trouble = (cell.outputs[0] for cell in notebook.cells[1:])
    assert python.text.strip() == sys.executable
    was_there, folder = place.text.split()
    assert was_there == "True" and not Path(folder).exists()
    assert (trouble.name, trouble.text) == ("stderr", "trouble\n")
    assert set(tutorials.TUTORIALS.iterdir()) == before


def _promises_a_picture(code: str) -> bool:
    [*_, last] = ast.parse(code).body or [ast.parse("0").body[0]]
    return bool(DRAWS.match(ast.unparse(last)))


def test_promises_are_seen() -> None:
    drawing = [
        cell.source
        for source in SOURCES
        for cell in tutorials.notebook_of(source).cells
        if cell.cell_type == "code" and _promises_a_picture(cell.source)
    ]
    assert len(drawing) >= 2 * len(SOURCES)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=_name)
def test_it_runs_from_top_to_bottom(source: Path) -> None:
    notebook, seconds = tutorials.execute(source)
    assert seconds < tutorials.LIMIT
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        # Warnings go to stderr; TensorFlow's log goes to either.
        told = "".join(each.text for each in cell.outputs if each.output_type == "stream")
        errors = [each.text for each in cell.outputs if each.get("name") == "stderr"]
        assert errors == [] and "WARNING" not in told and "INFO:" not in told
        if _promises_a_picture(cell.source):
            pictures = [each for each in cell.outputs if "image/png" in each.get("data", {})]
            assert pictures, f"no picture came of\n{cell.source}"
