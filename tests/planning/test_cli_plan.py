"""`keras-mothernets plan`, and `train --plan`."""

import json

import pytest

from keras_mothernets.cli import main
from keras_mothernets.cli.parser import build_parser


@pytest.fixture(autouse=True)
def _measured(costs):
    """The device has been measured."""


def test_it_proposes_draws_and_hands_over(tmp_path, capsys):
    out, picture = tmp_path / "proposal.json", tmp_path / "proposals.png"
    argv = ["plan", "demo", "digits", "--budget", "2m", "--clusters", "1..2"]
    assert main([*argv, "--out", str(out), "--plot", str(picture)]) == 0
    text = capsys.readouterr().out
    assert "effective epochs" in text and "best" in text and "Longest way" in text
    assert f"--plan {out}" in text
    assert picture.stat().st_size > 10_000
    values = json.loads(out.read_text())
    assert main(["train", "demo", "digits", "--plan", str(out), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert f"n_clusters={values['n_clusters']}" in text
    mother = next(line for line in text.splitlines() if "own weights" in line)
    assert f" {values['epochs']} " in mother


def test_json_is_for_programs(capsys):
    assert main(["plan", "demo", "digits", "--epochs", "5", "--clusters", "1,3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["n_clusters"] for one in told] == [1, 3]
    assert all(one["epochs"] == 5 and one["seconds"] > 0 for one in told)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--width", "2"], "for another training"),
        (["--method", "fulldata"], "for another training"),
        (["--batch-size", "7"], "batch_size 128"),
    ],
)
def test_a_proposal_for_something_else_is_refused(tmp_path, capsys, more, words):
    out = tmp_path / "proposal.json"
    main(["plan", "demo", "digits", "--epochs", "2", "--clusters", "1", "--out", str(out)])
    capsys.readouterr()
    argv = ["train", "demo", "digits", "--plan", str(out), "--dry-run"]
    assert main([*argv, *more]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", '{"version": 1}', None])
def test_a_file_that_is_no_proposal_is_refused(tmp_path, capsys, text):
    path = tmp_path / "proposal.json"
    if text is not None:
        path.write_text(text)
    assert main(["train", "demo", "digits", "--plan", str(path)]) == 2
    assert "is no proposal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--budget", "soon"], "is no time"),
        (["--budget", "0.001s"], "too short"),
        (["--without", "nobody"], "no member `nobody`"),
        (["--plot", "picture.xyz"], "picture"),
    ],
)
def test_bad_questions_end_in_a_sentence(capsys, more, words):
    assert main(["plan", "demo", "digits", *more]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("clusters", ["0", "x", "2..1", "1..x", ""])
def test_numbers_of_clusters_are_read(clusters):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["plan", "demo", "digits", "--clusters", clusters])
