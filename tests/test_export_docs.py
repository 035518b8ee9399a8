"""What docs/EXPORT.md shows must run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parent.parent / "docs/EXPORT.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def is_missing(example: str) -> bool:
    needed = re.match(r"# needs: (\w+)", example)
    return needed is not None and importlib.util.find_spec(needed[1]) is None


@pytest.mark.slow
def test_examples_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    assert len(EXAMPLES) == 6
    for example in EXAMPLES:
        if not is_missing(example):
            exec(compile(example, "EXPORT.md", "exec"), names)
    said = capsys.readouterr().out
    assert "# Handwritten digits" in said and "(2, 10)" in said
    assert "['disagreement', 'mutual_information', 'predictive_entropy']" in said
    assert {"served", "served_scans", "served_two", "served_fast"} <= {
        each.name for each in tmp_path.iterdir()
    }


def test_the_command_parses() -> None:
    from keras_mothernets.cli.parser import build_parser

    (command,) = re.findall(r"^    keras-mothernets (.*)$", TEXT, flags=re.MULTILINE)
    assert build_parser().parse_args(command.split()).command == "export"
