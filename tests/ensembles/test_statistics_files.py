"""Statistics on disk: the same after loading, whole after a kill, refused when damaged."""

import json
import os
import shutil

import numpy as np
import pytest
from directly import brier_of
from made_up import classes, numbers

from keras_mothernets import EnsembleStatistics, RunError
from keras_mothernets.ensembles import statistics_files
from keras_mothernets.training import files
from keras_mothernets.training.checked_json import checked_json


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def made(chunk=16, examples=100):
    return EnsembleStatistics(classes(examples=examples), chunk=chunk)


def same(one, other):
    assert one.names == other.names
    assert str(one) == str(other)
    for part in (lambda s: s, lambda s: s.range(3, 77), lambda s: s.of_class(1)):
        assert part(one).brier() == part(other).brier()
        assert part(one).diversity() == part(other).diversity()
    return True


@pytest.mark.parametrize("mapped_from", [0, 2**40], ids=["mapped", "read"])
def test_loaded_statistics_are_the_same(tmp_path, monkeypatch, mapped_from):
    monkeypatch.setattr(statistics_files, "MAPPED_FROM", mapped_from)
    statistics = made()
    statistics.save(tmp_path / "new" / "folder")
    loaded = EnsembleStatistics.load(tmp_path / "new" / "folder")
    assert same(loaded, statistics)
    is_mapped = isinstance(loaded.aggregates.examples.values.parts[0].base, np.memmap)
    assert is_mapped is (mapped_from == 0)
    np.testing.assert_array_equal(loaded.predictions.values, statistics.predictions.values)
    new = classes(members=5, examples=100, seed=1).values[4]
    for each in (loaded, statistics):
        each.add("new", new)
        each.drop(2)
    assert same(loaded, statistics)
    values = loaded.predictions.values.mean(axis=0)
    assert loaded.brier() == pytest.approx(brier_of(values, loaded.predictions.labels), abs=1e-12)


def test_of_what_is_new_only_that_is_written(tmp_path):
    statistics = made()
    statistics.save(tmp_path)
    before = content(tmp_path)
    statistics.add("new", classes(members=5, examples=100, seed=1).values[4])
    statistics.drop(0)
    statistics.save(tmp_path)
    after = content(tmp_path)
    written = {name for name in after if before.get(name) != after[name]}
    assert {name for name in written if name != "statistics.json"} == {
        f"0001_{what}.npy"
        for what in (
            "values",
            "named",
            "pairs_in_order",
            "pairs_by_class",
            "members_in_order",
            "members_by_class",
        )
    }
    assert same(EnsembleStatistics.load(tmp_path), statistics)
    statistics.save(tmp_path)
    assert content(tmp_path) == after


def test_dropping_writes_the_index_alone(tmp_path):
    statistics = made()
    statistics.save(tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    statistics.drop("member_2")
    statistics.save(tmp_path)
    changed = {p.name for p in tmp_path.iterdir() if p.stat().st_mtime_ns != times[p.name]}
    assert changed == {"statistics.json"}
    loaded = EnsembleStatistics.load(tmp_path)
    assert loaded.names == ("member_1", "member_3", "member_4")
    assert same(loaded, statistics)


def test_a_regression(tmp_path):
    statistics = EnsembleStatistics(numbers(), chunk=8)
    statistics.save(tmp_path)
    loaded = EnsembleStatistics.load(tmp_path)
    assert loaded.range(3, 50).mse() == statistics.range(3, 50).mse()
    assert str(loaded) == str(statistics)


def test_a_kill_at_any_rename_leaves_the_old_or_the_new(tmp_path, monkeypatch):
    """The rename of each file in turn does not happen any more."""
    statistics = made()
    statistics.save(tmp_path / "first")
    old = EnsembleStatistics.load(tmp_path / "first")
    statistics.add("new", classes(members=5, examples=100, seed=1).values[4])
    renames = []
    really = os.replace

    def until(number):
        def replace(source, target):
            renames.append(target)
            if len(renames) > number:
                raise KeyboardInterrupt
            really(source, target)

        return replace

    for number in range(7):
        folder = tmp_path / f"at_{number}"
        shutil.copytree(tmp_path / "first", folder)
        renames.clear()
        monkeypatch.setattr(files.os, "replace", until(number))
        with pytest.raises(KeyboardInterrupt):
            statistics.save(folder)
        monkeypatch.setattr(files.os, "replace", really)
        assert same(EnsembleStatistics.load(folder), old)
        statistics.save(folder)
        assert same(EnsembleStatistics.load(folder), statistics)
    renames.clear()
    monkeypatch.setattr(files.os, "replace", until(99))
    shutil.copytree(tmp_path / "first", tmp_path / "whole")
    statistics.save(tmp_path / "whole")
    assert len(renames) == 7  # six files and the index


OTHERS = {
    "labels": lambda: EnsembleStatistics(classes(examples=100, seed=3), chunk=16),
    "chunk": lambda: made(chunk=8),
    "examples": lambda: made(examples=99),
    "classes": lambda: EnsembleStatistics(classes(examples=100, classes=4), chunk=16),
    "members": lambda: EnsembleStatistics(made().predictions.of_members([1, 0, 2, 3]), chunk=16),
    "fewer members": lambda: EnsembleStatistics(made().predictions.of_members([0]), chunk=16),
    "task": lambda: EnsembleStatistics(numbers(examples=100, targets=3), chunk=16),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_directory_of_other_statistics_is_left_alone(tmp_path, case):
    made().save(tmp_path)
    before = content(tmp_path)
    other = OTHERS[case]()
    shown = str(other)
    with pytest.raises(RunError, match="holds other statistics"):
        other.save(tmp_path)
    assert content(tmp_path) == before
    assert str(other) == shown


def rewrite(folder, **changes):
    index = json.loads((folder / "statistics.json").read_text())
    index.pop("sha256")
    (folder / "statistics.json").write_bytes(checked_json({**index, **changes}))


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "nothing there": (lambda f: (f / "statistics.json").unlink(), "There are no statistics"),
    "a bit of predictions": (lambda f: flip(f / "0000_values.npy"), "`0000_values.npy`"),
    "a bit of sums": (lambda f: flip(f / "0000_pairs_in_order.npy"), "checksum"),
    "a bit of labels": (lambda f: flip(f / "labels.npy"), "`labels.npy`"),
    "cut off": (lambda f: os.truncate(f / "0000_named.npy", 150), "checksum"),
    "lost": (lambda f: (f / "0000_members_by_class.npy").unlink(), "No such file"),
    "index by hand": (
        lambda f: (f / "statistics.json").write_text(
            (f / "statistics.json").read_text().replace("member_1", "member_9")
        ),
        "checksum does not agree",
    ),
    "index cut off": (lambda f: os.truncate(f / "statistics.json", 99), "cannot be read"),
    "foreign": (lambda f: (f / "statistics.json").write_text('{"version": 1}'), "not of stat"),
    "no object": (lambda f: (f / "statistics.json").write_text("[]"), "not of statistics"),
    "newer": (lambda f: rewrite(f, version=2), "Expected: version 1. Received: 2"),
    "half": (lambda f: rewrite(f, rows=None), "cannot be read"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_foreign_and_newer_files(tmp_path, case):
    damage, fragment = DAMAGE[case]
    made().save(tmp_path)
    damage(tmp_path)
    before = content(tmp_path)
    with pytest.raises(RunError) as caught:
        EnsembleStatistics.load(tmp_path)
    assert fragment in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert content(tmp_path) == before


def test_without_checksums_the_form_of_files_is_still_looked_at(tmp_path):
    made().save(tmp_path)
    flip(tmp_path / "0000_values.npy")
    EnsembleStatistics.load(tmp_path, verify=False)
    np.save(tmp_path / "0000_values.npy", np.zeros((4, 99, 3)))
    with pytest.raises(RunError, match="of shape"):
        EnsembleStatistics.load(tmp_path, verify=False)


def test_nothing_in_a_file_is_unpickled(tmp_path):
    made().save(tmp_path)
    np.save(tmp_path / "labels.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(RunError, match="allow_pickle=False"):
        EnsembleStatistics.load(tmp_path, verify=False)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    statistics = made()
    with pytest.raises(RunError, match="cannot be written into"):
        statistics.save(tmp_path / "file")
    statistics.save(tmp_path / "folder")
