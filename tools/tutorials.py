#!/usr/bin/env python
"""The tutorials as notebooks: made from their sources, and run.

    tools/tutorials.py build           # write tutorials/*.ipynb from tutorials/*.py
    tools/tutorials.py run             # run all, and keep them with outputs in build/tutorials
    tools/tutorials.py run 01 04       # run those whose names begin so

A source is a script in which `# %%` begins a cell of code and `# %% [markdown]` one of text
(jupytext's py:percent). Each notebook runs in a fresh kernel of this Python, in an empty folder
that holds the other files of tutorials/ and is removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = ROOT / "tutorials"
EXECUTED = ROOT / "build" / "tutorials"
LIMIT = 180  # seconds of one notebook, at most
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",  # what TensorFlow says in C++
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # what a debugger says of frozen modules
}
# TensorFlow 2.21 says these when it is imported, before it has read any setting.
NOTICES = re.compile(
    r"^(WARNING: All log messages before absl::InitializeLog.*"
    r"|[IW]0000 \S+\s+\d+ (port|cudart_stub)\.cc:.*)?\n",
    flags=re.MULTILINE,
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def sources() -> list[Path]:
    """The scripts that notebooks are made from, in the order in which they are read."""
    return sorted(TUTORIALS.glob("[0-9][0-9]_*.py"))


def notebook_of(source: Path) -> NotebookNode:
    """The notebook of a script; the same script gives the same notebook, byte for byte."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02d}"
        cell.metadata = NotebookNode()
    return notebook


def text_of(notebook: NotebookNode) -> str:
    """A notebook as it stands in a file."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4) + "\n"


class _ThisPython(AsyncKernelManager):
    """Runs the kernel of this Python, whatever other kernels are installed."""

    def __init__(self, **settings: object) -> None:
        specs = KernelSpecManager(kernel_dirs=[])
        super().__init__(**{**settings, "kernel_spec_manager": specs})


def execute(source: Path, limit: float = LIMIT) -> tuple[NotebookNode, float]:
    """Run a notebook in an empty folder.

    Args:
        source: The script that it is made from.
        limit: Seconds that a cell may take.

    Returns:
        The notebook with its outputs, but for TensorFlow's notices, and the seconds it took.

    Raises:
        CellExecutionError: A cell failed; it tells the cell and the error.
        CellTimeoutError: A cell took too long.
    """
    notebook = notebook_of(source)
    with tempfile.TemporaryDirectory(prefix="tutorial-") as folder:
        for beside in (*TUTORIALS.glob("*.py"), *TUTORIALS.glob("*.json")):
            shutil.copy(beside, folder)
        client = NotebookClient(
            notebook,
            timeout=limit,
            resources={"metadata": {"path": folder}},
            coalesce_streams=True,
            kernel_manager_class=_ThisPython,
            extra_arguments=["--log-level=40"],  # errors of the kernel itself
        )
        start = time.perf_counter()
        client.execute(env={**os.environ, **QUIET})
        seconds = time.perf_counter() - start
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        if cell.cell_type == "code":
            cell.outputs = _without_notices(cell.outputs)
    return notebook, seconds


def _without_notices(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    kept = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            output.text = NOTICES.sub("", output.text)
        if output.output_type != "stream" or output.text:
            kept.append(output)
    return kept


def build() -> None:
    """Write all notebooks, and remove those without a source."""
    wanted = {source.with_suffix(".ipynb"): source for source in sources()}
    for old in set(TUTORIALS.glob("*.ipynb")) - set(wanted):
        old.unlink()
    for path, source in wanted.items():
        path.write_text(text_of(notebook_of(source)), encoding="utf-8")
        print(path.relative_to(ROOT))


def run(names: Sequence[str]) -> int:
    """Run notebooks, keep them with their outputs, and say how long each took.

    Args:
        names: How the names of those that are run begin; none for all.

    Returns:
        The number of those that failed.
    """
    chosen = [each for each in sources() if not names or each.name.startswith(tuple(names))]
    if not chosen:
        print(f"tutorials: no tutorial begins with {' or '.join(names)}", file=sys.stderr)
        return 1
    EXECUTED.mkdir(parents=True, exist_ok=True)
    failed = 0
    for source in chosen:
        print(f"{source.stem} ...", end=" ", flush=True)
        try:
            notebook, seconds = execute(source)
        except (CellExecutionError, CellTimeoutError) as error:
            failed += 1
            print(f"failed\n{COLOURS.sub('', str(error))}")
            continue
        (EXECUTED / f"{source.stem}.ipynb").write_text(text_of(notebook), encoding="utf-8")
        print(f"{seconds:.0f} s")
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked; gives the exit status."""
    parser = argparse.ArgumentParser(description="Make and run the notebooks of the tutorials.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="write tutorials/*.ipynb from their sources")
    runs = verbs.add_parser("run", help="run them, and keep them in build/tutorials")
    runs.add_argument("names", nargs="*", help="how names begin; all of them by default")
    given = parser.parse_args(arguments)
    if given.verb == "build":
        build()
        return 0
    return min(1, run(given.names))


if __name__ == "__main__":
    sys.exit(main())
