"""What the README shows must run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.slow
def test_examples_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict = {}
    for example in EXAMPLES:
        exec(compile(example, "README.md", "exec"), names)
    assert len(EXAMPLES) == 2
    assert names["ensemble"].output_shape == (None, 10)
    printed = capsys.readouterr().out
    assert "mothernet" in printed and "accuracy" in printed
    figures = [float(line) for line in printed.splitlines() if re.fullmatch(r"[\d.e-]+", line)]
    assert figures[-1] < 1e-11
    assert "brier" in printed.lower()


def test_the_first_example_is_ten_statements() -> None:
    assert len(ast.parse(EXAMPLES[0]).body) <= 10


def test_commands_that_the_readme_names_parse() -> None:
    from keras_mothernets.cli.parser import build_parser

    commands = re.findall(r"^    keras-mothernets (.*)$", README, flags=re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        assert build_parser().parse_args(command.split()).command == command.split()[0]
