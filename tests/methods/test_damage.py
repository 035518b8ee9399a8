"""Run directories that were damaged: done again, or refused; never another ensemble."""

import math
import os
import re
import shutil
from pathlib import Path

import pytest
from marks import quick_ones
from tiny_run import assert_same, content, crash, fit, fit_another_plan

import keras_mothernets as km
from keras_mothernets.training import RunDirectory, save_epochs
from keras_mothernets.training.run_status import read_status


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run in which `a`, the mother, is finished, `b` under way, `c` not begun; what it comes to.

    `others` has files of the same kinds that are of another job.
    """
    folder = tmp_path_factory.mktemp("made")
    others = folder / "others"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(save_epochs, "SHARE", math.inf)
        expected = fit(folder / "undisturbed")
        shutil.copytree(folder / "undisturbed" / "jobs" / "b", others)
        crash(folder / "run", ("a", 1))
        shutil.copy(folder / "run" / "jobs" / "a" / "checkpoint" / "state.npz", others)
        crash(folder / "run", ("b", 1))
    return folder, expected


@pytest.fixture
def run_dir(made, tmp_path):
    shutil.copytree(made[0] / "run", tmp_path / "run")
    return tmp_path / "run"


def truncate(path, other):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path, other):
    whole = bytearray(path.read_bytes() or b"x")
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)


def put_a_folder(path, other):
    path.unlink()
    path.mkdir()


DAMAGES = {
    "deleted": lambda path, other: path.unlink(),
    "emptied": lambda path, other: path.write_bytes(b""),
    "truncated": truncate,
    "one bit": flip_a_bit,
    "a folder": put_a_folder,
    "another job's": lambda path, other: shutil.copy(other, path),
}
# What is said of each file: first of most damages, then of those that differ. What begins with a
# "!" is an error, and else a warning; "" is silence, for what follows from other files.
FILES = {
    "plan.json": (
        "!plan.*cannot be read.*Remove `.*plan.json`",
        {"deleted": "plan.json .* is missing", "another job's": "!was stored by a newer"},
    ),
    "ledger.csv": ("", {"a folder": "!ledger cannot be stored.*at `.*ledger.csv`"}),
    "run.lock": ("", {"a folder": "!cannot be written.*at `.*run.lock`"}),
    "jobs/a/model.keras": ("`a` .*damaged", {"a folder": "!model.keras` is in the way"}),
    "jobs/a/history.csv": ("`a` .*damaged", {"a folder": "!history.csv` is in the way"}),
    "jobs/a/state.json": (
        "`a` .*damaged",
        {
            "deleted": "`a` .*state.json is missing",
            "a folder": "!state.json` is in the way",
            "another job's": "!job `a` of another plan",
        },
    ),
    # Without a checkpoint a job looks as if it had not begun, and that is what it then is.
    "jobs/b/checkpoint/state.npz": (
        "`b` begins again.*checkpoint",
        {
            "deleted": "",
            "a folder": "!state.npz` is in the way",
            "another job's": "`b` begins again.*another plan",
        },
    ),
}
CASES = [f"{file}, {damage}" for file in FILES for damage in DAMAGES]
QUICK = ["plan.json, one bit", "jobs/a/model.keras, another job's", "jobs/a/state.json, one bit"]


@pytest.mark.parametrize("case", quick_ones(CASES, QUICK))
@pytest.mark.filterwarnings("always::UserWarning")
def test_what_is_damaged_is_done_again_or_refused(case, made, run_dir, recwarn):
    file, _, damage = case.partition(", ")
    said = FILES[file][1].get(damage, FILES[file][0])
    other = made[0] / "others" / Path(file).name
    DAMAGES[damage](run_dir / file, other if other.exists() else made[0] / "others" / "state.json")
    before = content(run_dir)
    if said.startswith("!"):
        with pytest.raises(km.RunError, match=said[1:]):
            fit(run_dir)
        assert content(run_dir) == before
        return
    assert_same(fit(run_dir), made[1])
    warnings = [str(warning.message) for warning in recwarn if warning.category is UserWarning]
    assert len(warnings) == bool(said)
    assert not said or re.search(said, warnings[0])
    assert all(job.state == "finished" for job in read_status(run_dir).jobs)


def test_without_damage_the_run_goes_on(made, run_dir, tmp_path):
    """Wherever it was moved to."""
    moved = run_dir.rename(tmp_path / "moved")
    assert_same(fit(moved), made[1])


@pytest.fixture
def stores(monkeypatch):
    """All stores, kept here: one that is dropped would give its lock back by that alone."""
    stores = []
    original = RunDirectory.__init__

    def keep(self, *arguments):
        stores.append(self)
        original(self, *arguments)

    monkeypatch.setattr(RunDirectory, "__init__", keep)
    return stores


def test_fit_gives_the_lock_back_however_it_ends(run_dir, stores):
    writers = []
    crash(run_dir, ("c", 1))
    assert read_status(run_dir).writer is None
    fit(run_dir, hook=lambda: writers.append(read_status(run_dir).writer))
    assert [writer.process for writer in writers] == [os.getpid()]
    assert read_status(run_dir).writer is None
    with pytest.raises(km.RunError, match="another plan"):
        fit_another_plan(run_dir)
    assert read_status(run_dir).writer is None
    assert len(stores) > 3


def test_a_second_fit_is_refused_while_the_first_trains(run_dir, made):
    refused = []

    def begin_a_second():
        with pytest.raises(km.RunError, match="is being written by another `fit`") as caught:
            RunDirectory(run_dir).open(RunDirectory(run_dir).stored_plan())
        refused.append(caught)

    assert_same(fit(run_dir, hook=begin_a_second), made[1])
    assert len(refused) == 2  # b and c
