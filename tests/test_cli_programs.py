"""What scripts rely on: exit codes, JSON on standard output, no colours in files, completion."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keras_mothernets import zoo
from keras_mothernets.cli import build_parser, main
from keras_mothernets.cli.outcome import DONE, INTERRUPTED, LEFT_OUT, READER_GONE, USER_ERROR

COMMAND = [sys.executable, "-m", "keras_mothernets"]
QUICK = ["--epochs", "1", "--member-epochs", "1", "--optimizer", "adam"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three small networks for digits."""
    place = tmp_path_factory.mktemp("networks")
    for name, hidden in {"narrow": (8, 8), "wide": (16, 12), "deep": (8, 8, 8)}.items():
        zoo.mlp((8, 8, 1), 10, hidden, scale=1 / 255).save(place / f"{name}.keras")
    return str(place)


@pytest.mark.slow
def test_train_status_and_export_tell_programs_in_json(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    assert main(["train", folder, "digits", *QUICK, "--run-dir", run, "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert set(told["test_accuracy_of_members"]) == {"narrow", "wide", "deep"}
    assert 0 < told["test_accuracy"] < 1
    assert told["seconds"] > 0
    report = str(Path(run, "report.html"))
    assert (told["left_out"], told["files"]) == ({}, {"run_dir": run, "report": report})
    assert "test accuracy" in err, "people who look on see the tables"
    assert "\x1b" not in out + err, "no colours where there is no terminal"

    assert main(["resume", run, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["test_accuracy"] == told["test_accuracy"]

    assert main(["status", run, "--json"]) == 0
    jobs = json.loads(capsys.readouterr().out)["jobs"]
    assert {job["state"] for job in jobs} == {"finished"}

    served = str(tmp_path / "served")
    assert main(["export", run, "--out", served, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": served, "format": "tf_saved_model"}


def test_inspect_and_dry_runs_in_json(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", folder, "--json"]) == 0
    (cluster,) = json.loads(capsys.readouterr().out)
    assert cluster["members"]["narrow"]["inherits"] == 1.0
    assert cluster["mothernet_parameters"] == cluster["members"]["narrow"]["parameters"]
    assert cluster["members"]["deep"]["inserts"]
    assert main(["train", folder, "digits", *QUICK, "--dry-run", "--json"]) == 0
    jobs = json.loads(capsys.readouterr().out)["jobs"]
    assert [job["role"] for job in jobs] == ["member"] * 3, "the smallest is the mother"


def test_an_error_leaves_standard_output_empty(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", folder, "digits", "--json", "--output", "e.h5"]) == USER_ERROR
    out, err = capsys.readouterr()
    assert out == ""
    assert "--output must be a .keras file" in err


def test_all_exit_codes_are_told_in_the_help() -> None:
    text = build_parser().format_help()
    for code in (DONE, USER_ERROR, LEFT_OUT, INTERRUPTED):
        assert f" {code} " in text[text.index("Exit codes") :]


@pytest.mark.parametrize("command", [[], ["train"], ["plan"], ["report"], ["completion"]])
def test_help_is_plain_text_when_nobody_looks(command: list[str]) -> None:
    done = subprocess.run(
        [*COMMAND, *command, "--help"], capture_output=True, text=True, check=True
    )
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_a_reader_who_goes_away_is_no_traceback() -> None:
    process = subprocess.Popen(
        [*COMMAND, "completion", "bash"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == READER_GONE
    assert errors == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["st"], ["status"]),
        (["train", "--on-f"], ["--on-failure"]),
        (["train", "v5", "digits", "--on-failure", "re"], ["retry"]),
        (["export", "--f"], ["--format"]),
    ],
)
def test_bash_completes(
    words: list[str], wanted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    typed = " ".join(["keras-mothernets", *words])
    script += f"\nCOMP_WORDS=({typed})\nCOMP_CWORD={len(words)}\n_shtab_keras_mothernets\n"
    script += 'printf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout.split() == wanted


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_script_with_all_commands(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name in ("train", "compare", "plan", "status", "export", "report"):
        assert name in script
