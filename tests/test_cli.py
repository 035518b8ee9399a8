"""The console command, from its arguments to its files."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from marks import quick_ones

from keras_mothernets import __version__, datasets, zoo
from keras_mothernets.cli import main, parser, sources

MAKE = """
from keras_mothernets import zoo

def make(input_shape, num_classes):
    return [
        zoo.mlp(input_shape, num_classes, hidden, scale=1 / 255, name=name)
        for name, hidden in {"narrow": (8, 8), "wide": (16, 12), "deep": (8, 8, 8)}.items()
    ]

def logits_too(input_shape, num_classes):
    import keras
    logits = keras.Sequential(
        [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)]
    )
    return [*make(input_shape, num_classes), logits]

def fails(input_shape, num_classes):
    return []

def takes_nothing():
    return []

def breaks(input_shape, num_classes):
    return {}["models"]

def too_many_classes(input_shape, num_classes):
    return make(input_shape, num_classes + 1)

number = 3
"""
QUICK = ["--epochs", "2", "--member-epochs", "1", "--optimizer", "adam"]


@pytest.fixture
def make(tmp_path: Path) -> str:
    (tmp_path / "my_models.py").write_text(MAKE)
    return f"{tmp_path / 'my_models.py'}:make"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == f"keras-mothernets {__version__}"


BAD_ARGUMENTS = {
    "no command": ([], "COMMAND"),
    "unknown command": (["fly"], "invalid choice: 'fly'"),
    "zero epochs": (["train", "v5", "digits", "--epochs", "0"], "at least 1, not '0'"),
    "half an epoch": (["train", "v5", "digits", "--epochs", "2.5"], "at least 1, not '2.5'"),
    "negative rate": (["train", "v5", "digits", "--learning-rate", "-1"], "greater than 0"),
    "rate is nan": (["train", "v5", "digits", "--learning-rate", "nan"], "greater than 0"),
    "all held out": (["train", "v5", "digits", "--validation", "1"], "less than 1"),
    "shape": (["inspect", "v5", "--input-shape", "big"], "sizes such as 32,32,3, not 'big'"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_arguments_that_do_not_parse(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


BAD_INPUT = {
    "unknown ensemble": (["train", "v6", "digits"], "There is no ensemble `v6`"),
    "unknown data": (["train", "v5", "no_such_data"], "Data set `no_such_data`"),
    "clusters of nothing": (
        ["train", "v5", "digits", "--method", "fulldata", "--clusters", "2"],
        "--clusters says nothing to --method fulldata",
    ),
    "a network of nothing": (
        ["train", "v5", "digits", "--network", "V13"],
        "--network says nothing to --method mothernets",
    ),
    "no .keras": (["train", "v5", "digits", "--output", "e.h5"], "must be a .keras file"),
    "a folder to write": (
        ["train", "v5", "digits", "--output", "{folder}.keras"],
        "empty.keras` is a folder",
    ),
    "no picture": (["train", "v5", "digits", "--plot", "p.foo"], "`p.foo` has not the ending"),
    "demo, no picture": (["demo", "--plot", "p.foo"], "`p.foo` has not the ending"),
    "no folder": (["train", "v5", "digits", "--plot", "no/p.png"], "no folder `no`"),
    "a function without arguments": (
        ["train", "{file}:takes_nothing", "digits"],
        "takes_nothing`: The function fails. Expected: a function of (input_shape, num_classes)",
    ),
    "a function that breaks": (["inspect", "{file}:breaks"], "Received: KeyError: 'models'"),
    "other classes": (
        ["train", "{file}:too_many_classes", "digits"],
        "Member `narrow` does not tell the classes of the data. Expected: one output of shape"
        " (10,). Received: [(11,)]",
    ),
    "demo, no folder": (["demo", "--plot", "no/p.png"], "There is no folder `no`"),
    "empty folder": (["inspect", "{folder}"], "There are no .keras files"),
    "no file": (["inspect", "{folder}/none.py:make"], "There is no file"),
    "no function": (["inspect", "{file}:nothing"], "There is no function `nothing`"),
    "not a function": (["inspect", "{file}:number"], "There is no function `number`"),
    "no members": (["inspect", "{file}:fails"], "An ensemble needs at least one member"),
    "augment": (
        ["train", "{file}:make", "digits", "--augment"],
        "--augment and --width change networks of the zoo only",
    ),
    "mixed outputs": (
        ["train", "{file}:logits_too", "digits"],
        "end in a softmax and others do not",
    ),
    "too many clusters": (
        ["train", "{file}:make", "digits", "--clusters", "4", "--dry-run"],
        "`n_clusters`",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    message: str,
    make: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.keras").mkdir()
    file = make.rpartition(":")[0]
    filled = [
        text.replace("{folder}", str(tmp_path / "empty")).replace("{file}", file)
        for text in arguments
    ]
    assert main(filled) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith(f"keras-mothernets {arguments[0]}: ") and said.count("\n") == 1


def test_a_file_that_is_no_model_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.keras").write_text("nothing")
    assert main(["inspect", str(tmp_path)]) == 2
    assert "broken.keras` cannot be loaded as a Keras model" in capsys.readouterr().err


@pytest.mark.slow
def test_train_reports_saves_and_goes_on(
    make: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, plot, run_dir = tmp_path / "e.keras", tmp_path / "p.png", tmp_path / "run"
    command = ["train", make, "digits", *QUICK, "--run-dir", str(run_dir)]
    assert main([*command, "--output", str(output), "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    table = [line.split() for line in printed.splitlines() if line.endswith("%")]
    assert [line[0] for line in table] == ["narrow", "wide", "deep", "MotherNets"]
    assert plot.stat().st_size > 10_000

    data = datasets.load("digits")
    ensemble = keras.models.load_model(output)
    accuracy = np.mean(ensemble.predict(data.x_test, verbose=0).argmax(axis=1) == data.y_test)
    assert f"{accuracy:.2%}" == table[-1][-3]

    assert main(command) == 0
    again = capsys.readouterr().out
    assert again.count("is finished already") == 3
    reached, told_again = (
        [line for line in text.splitlines() if "MotherNets" in line][-1]
        for text in (printed, again)
    )
    assert told_again == reached
    assert "The most contested examples" in (run_dir / "report.html").read_text()


BAD = """
def with_a_bad_one(input_shape, num_classes):
    import keras
    parts = [keras.layers.Flatten(), keras.layers.Rescaling(1e38), keras.layers.Dense(num_classes)]
    softmax = keras.layers.Softmax()
    bad = keras.Sequential([keras.Input(input_shape), *parts, softmax], name="bad")
    narrow, *others = make(input_shape, num_classes)
    return [narrow, bad, *others]
"""


def test_what_is_left_out_is_told_and_the_others_are_shown(
    make: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_models.py").write_text(MAKE + BAD)
    source = make.replace(":make", ":with_a_bad_one")
    command = ["train", source, "digits", "--method", "fulldata", "--epochs", "1"]
    assert main(command) == 2
    assert "Job `bad`: the loss became nan in epoch 1" in capsys.readouterr().err
    assert main([*command, "--on-failure", "skip"]) == 3
    printed = capsys.readouterr().out
    table = [line.split()[0] for line in printed.splitlines() if line.endswith("%")]
    assert table == ["narrow", "wide", "deep", "FullData"]
    assert printed.splitlines()[-1].startswith("Job `bad` is left out: Job `bad`: the loss became")


def test_train_from_a_folder_from_scratch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, hidden in {"one": (4,), "two": (6, 5)}.items():
        zoo.mlp((8, 8, 1), 10, hidden).save(tmp_path / f"{name}.keras")
    arguments = ["--method", "fulldata", "--epochs", "1", "--optimizer", "adamw", "--constant"]
    assert main(["train", str(tmp_path), "digits", *arguments]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines() if line.endswith("%")] == [
        "one",
        "two",
        "FullData",
    ]


@pytest.mark.parametrize(
    "method", quick_ones(["bagging", "distillation", "treenets"], ["treenets"])
)
def test_train_with_the_rivals(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, hidden in {"one": (6, 4), "two": (6, 5)}.items():
        zoo.mlp((8, 8, 1), 10, hidden).save(tmp_path / f"{name}.keras")
    plot = tmp_path / "run.png"
    arguments = ["--method", method, "--epochs", "2", "--optimizer", "adamw", "--plot", str(plot)]
    assert main(["train", str(tmp_path), "digits", *arguments]) == 0
    printed = capsys.readouterr().out
    names = [line.split()[0] for line in printed.splitlines() if line.endswith("%")]
    title = {"bagging": "Bagging", "distillation": "KnowledgeDistillation"}.get(method, "TreeNets")
    assert names == ["one", "two", title]
    assert ("tree  " in printed) == (method == "treenets")
    assert plot.stat().st_size > 10_000


def test_dry_run_prints_the_plan_and_trains_nothing(
    make: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    arguments = ["--clusters", "2", "--dry-run", "--run-dir", str(run_dir)]
    assert main(["train", make, "digits", *arguments]) == 0
    assert "MotherNets(n_clusters=2" in capsys.readouterr().out
    assert not run_dir.exists()


@pytest.mark.parametrize("name", sources.ZOO)
def test_ensembles_of_the_zoo_are_known_and_in_the_help(name: str) -> None:
    assert name == "demo" or sources.ZOO[name] is getattr(zoo, name)
    sources.check_source(name, width=0.5, augment=True)
    assert re.search(rf"\b{name}\b", parser.ENSEMBLE_HELP)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["snapshots", "geometric"])
def test_methods_of_one_network_train_it(
    method: str, make: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--method", method, "--network", "wide", "--epochs", "3", "--optimizer", "adam"]
    assert main(["train", make, "digits", *chosen]) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^wide_\d", printed, re.MULTILINE) == ["wide_1", "wide_2", "wide_3"]
    assert main(["train", make, "digits", "--method", method, "--network", "none"]) == 2
    assert "There is no member `none`" in capsys.readouterr().err


@pytest.mark.slow
def test_inspect_an_ensemble_of_the_zoo(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--input-shape", "8,8,3", "--width", "0.0625", "--brief"]
    assert main(["inspect", "wrn5", *small]) == 0
    printed = capsys.readouterr().out
    shares = {line.split()[0]: line.split()[2] for line in printed.splitlines() if "%" in line}
    assert list(shares) == ["WRN-16-4", "WRN-22-4", "WRN-28-4", "WRN-16-8", "WRN-22-8"]
    assert shares["WRN-16-4"] == "100.0%" != shares["WRN-22-8"]


def test_inspect_tells_what_is_inherited_and_inserted(
    make: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", make, "--input-shape", "8,8,1"]) == 0
    printed = capsys.readouterr().out
    assert "narrow: 682 parameters" in printed  # 64*8+8 + 8*8+8 + 8*10+10
    lines = {line.split()[0]: line for line in printed.splitlines() if "%" in line}
    assert set(lines) == {"narrow", "wide", "deep"}
    assert "100.0%" in lines["narrow"] and lines["narrow"].endswith("nothing")
    assert "dense" in lines["deep"]


@pytest.mark.slow
def test_demo_ends_with_tables_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "demo.png"
    assert main(["demo", "--epochs", "2", "--member-epochs", "1", "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert plot.stat().st_size > 50_000
    for text in ("inherited", "deviation", "ensemble accuracy", "best member", "mother", str(plot)):
        assert text in printed


def test_files_may_have_names_that_members_cannot(
    make: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name, units in (("one model", 4), ("größe 2", 6)):
        zoo.mlp((4,), 2, (units,)).save(models / f"{name}.keras")
    assert main(["inspect", str(models), "--brief"]) == 0
    said = capsys.readouterr().out
    assert "one_model" in said and "gr__e_2" in said


def test_notices_of_tensorflow_are_not_shown() -> None:
    """It writes them past Python, so that only another process shows them."""
    command = [sys.executable, "-m", "keras_mothernets", "train", "v6", "digits"]
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "no ensemble `v6`" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "demo", "digits"], "The same command goes on where it stopped."),
        (["train", "demo", "digits", "--run-dir", "r"], "The same command goes on"),
        (["train", "demo", "digits"], "Nothing was kept; with --run-dir a run can go on"),
        (["demo"], "Nothing was kept."),
    ],
)
def test_an_interrupted_command_says_how_to_go_on(
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    command = importlib.import_module(f"keras_mothernets.cli.{arguments[0]}")
    monkeypatch.setattr(command, "run", interrupted)
    assert main(arguments) == 130
    assert words in capsys.readouterr().err
