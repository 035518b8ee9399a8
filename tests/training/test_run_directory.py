"""The run directory: what is written, what counts as finished, what is refused."""

import contextlib
import csv
import dataclasses
import json
import os
import platform
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow

import keras_mothernets
from keras_mothernets import RunError
from keras_mothernets.training import (
    Job,
    JobRecord,
    Ledger,
    LedgerRow,
    Plan,
    RunDirectory,
    job_files,
)
from keras_mothernets.training.checked_json import checked_json, read_checked_json
from keras_mothernets.training.files import replace_atomically, sha256_of, write_atomically

JOB = Job("vgg16: big", "member", "net", epochs=2)
PLAN = Plan("example", (JOB, Job("other", "member", "net")))


def network():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="net")


def record(job=JOB):
    row = LedgerRow(
        job.name, "member", "net", epochs=2, flops=12, peak_memory=34, metrics={"loss": 0.1}
    )
    return JobRecord(job, {"loss": [0.3, 0.1], "val_loss": [0.5, 1 / 3]}, row)


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.open(PLAN)
    return directory


def opened_again(run, plan=PLAN):
    """The same folder in the hands of the next process."""
    run.close()
    again = RunDirectory(run.path)
    again.open(plan)
    return again


def test_a_finished_job_comes_back_exactly(run):
    model = network()
    run.save(record(), model)
    again = opened_again(run)
    assert again.record(JOB) == record()
    np.testing.assert_equal(again.load(JOB, network()).get_weights(), model.get_weights())
    assert again.record(PLAN["other"]) is None


def test_the_files_are_plain_and_nothing_unfinished_is_left(run):
    run.save(record(), network())
    names = {
        path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()
    }
    folder = "jobs/vgg16%3A big"
    assert names == {"plan.json", "ledger.csv", "run.lock"} | {
        f"{folder}/{name}" for name in ("model.keras", "history.csv", "state.json")
    }
    (row,) = csv.DictReader((run.path / "ledger.csv").read_text().splitlines())
    assert row["job"] == JOB.name
    assert float(row["loss"]) == 0.1
    assert json.loads((run.path / "plan.json").read_text())["version"] == 2


def test_the_stored_model_loads_in_plain_keras_without_the_users_loss(run):
    model = network()
    model.compile("adam", loss=lambda y_true, y_pred: keras.ops.mean(y_pred))
    run.save(record(), model)
    assert model.compiled
    loaded = keras.saving.load_model(run.files.folder(JOB) / "model.keras")
    assert not loaded.compiled
    np.testing.assert_equal(loaded.get_weights(), model.get_weights())


def test_code_in_a_stored_network_does_not_run(run, tmp_path):
    """Not even if the checksums are made to agree: only weights are read."""
    proof = tmp_path / "it_ran"
    run.save(record(), network())
    layer = keras.layers.Lambda(eval(f"lambda x: (open({str(proof)!r}, 'w').close(), x)[1]"))
    model = keras.Sequential([keras.Input((4,)), *network().layers, layer])
    stored = run.files.folder(JOB) / "model.keras"
    model.save(stored)
    state = run.files.folder(JOB) / "state.json"
    values = read_checked_json(state, since=3)
    state.write_bytes(checked_json({**values, "model_sha256": sha256_of(stored)}))
    proof.unlink()  # it ran while the network was made
    assert run.record(JOB) == record()
    np.testing.assert_equal(run.load(JOB, network()).get_weights(), model.get_weights())
    assert not proof.exists()


class Unpickled:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_in_a_checkpoint_is_not_read(run, tmp_path):
    proof, file = tmp_path / "it_ran", run.checkpoint(JOB)
    file.path.parent.mkdir(parents=True)
    np.savez(file.path, text=np.array([Unpickled(proof)], dtype=object))
    with pytest.warns(UserWarning, match="begins again.*allow_pickle=False"):
        assert file.read() is None
    assert not proof.exists()
    with np.load(file.path, allow_pickle=True) as arrays:
        assert len(arrays["text"]) == 1  # so it would have run
    assert proof.exists()


def damage_model(folder):
    content = bytearray((folder / "model.keras").read_bytes())
    content[len(content) // 2] ^= 255
    (folder / "model.keras").write_bytes(content)


def other_number(folder):
    state = folder / "state.json"
    before = state.read_text()
    state.write_text(before.replace('"flops": 12', '"flops": 13'))
    assert state.read_text() != before


@pytest.mark.parametrize(
    "damage",
    [
        damage_model,
        lambda folder: (folder / "model.keras").unlink(),
        lambda folder: (folder / "history.csv").unlink(),
        lambda folder: (folder / "history.csv").write_text("epoch,loss,val_loss\n1,0.3,0.5\n"),
        lambda folder: (folder / "state.json").write_text('{"version": 1, "stat'),
        lambda folder: (folder / "state.json").write_text('{"version": 1}'),
        other_number,
    ],
    ids=[
        "one byte",
        "no model",
        "no history",
        "half a history",
        "half a state",
        "old state",
        "a number",
    ],
)
def test_a_damaged_job_is_not_finished(run, damage):
    run.save(record(), network())
    damage(run.files.folder(JOB))
    with pytest.warns(UserWarning, match="vgg16: big.*damaged"):
        assert run.record(JOB) is None


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("")])
def test_the_ledger_is_written_again(run, damage):
    run.save(record(), network())
    before = (run.path / "ledger.csv").read_text()
    damage(run.path / "ledger.csv")
    opened_again(run)
    assert (run.path / "ledger.csv").read_text() == before


def test_the_ledger_of_many_jobs_is_not_written_after_each_but_is_whole_at_the_end(
    tmp_path, monkeypatch
):
    jobs = tuple(Job(f"job_{number}", "member", "net") for number in range(300))
    directory = RunDirectory(tmp_path)
    directory.open(Plan("example", jobs))
    writes = []
    monkeypatch.setattr(Ledger, "to_csv", lambda self, path: writes.append(len(self)))
    for job in jobs:
        directory._ledger.add(LedgerRow(job.name, "member", "net"))
    assert writes[:99] == list(range(1, 100))
    assert len(writes) < 200
    assert writes[-1] == 300


def test_what_a_killed_process_left_is_removed(run):
    run.save(record(), network())
    left = [
        run.path / ".unfinished-1-plan.json",
        run.files.folder(JOB) / ".unfinished-2-model.keras",
    ]
    for path in left:
        path.write_text("half")
    again = opened_again(run)
    assert not any(path.exists() for path in left)
    assert again.record(JOB) == record()


@pytest.mark.parametrize("name", ["jobs", "jobs/other", "jobs/other/model.keras"])
def test_what_is_in_the_way_of_a_job_is_named_at_the_door(tmp_path, name):
    in_the_way = tmp_path / name
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.mkdir() if name.endswith(".keras") else in_the_way.write_text("")
    with pytest.raises(RunError, match=f"cannot be stored: `{in_the_way}` is in the way"):
        RunDirectory(tmp_path).open(PLAN)


def test_a_disk_that_is_full_is_named_with_the_job(run, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job_files, "replace_atomically", fail)
    with pytest.raises(RunError, match="Job `vgg16: big` cannot be stored.*No space left"):
        run.save(record(), network())


def test_what_is_in_the_way_of_the_ledger_is_named(tmp_path):
    (tmp_path / "ledger.csv").mkdir()
    run = RunDirectory(tmp_path)
    with pytest.raises(RunError, match=f"ledger cannot be stored.*at `{tmp_path}/ledger.csv`"):
        run.open(PLAN)
    assert run.writer() is None


@pytest.mark.slow
def test_every_bit_of_the_plan_is_checked(tmp_path):
    run = RunDirectory(tmp_path)
    run.open(Plan("example", (Job("a", "member", "net"),)))
    path = run.path / "plan.json"
    whole, passed = path.read_bytes(), []
    assert len(whole) > 500
    for place in range(len(whole)):
        for bit in range(8):
            content = bytearray(whole)
            content[place] ^= 1 << bit
            path.write_bytes(content)
            with contextlib.suppress(RunError):
                passed.append(RunDirectory(run.path).stored_plan())
    assert passed == []


def test_a_plan_of_the_first_version_has_no_checksum_and_no_versions(run):
    path = run.path / "plan.json"
    path.write_text(json.dumps({**PLAN.to_json(), "version": 1}))
    before = path.read_bytes()
    again = opened_again(run)
    assert again.stored_plan() == PLAN
    assert again.stored_versions() == {}
    assert path.read_bytes() == before


def begun_with(run, **versions):
    path = run.path / "plan.json"
    values = read_checked_json(path, since=2)
    values["versions"].update(versions)
    path.write_bytes(checked_json(values))


def test_the_plan_tells_the_versions(run):
    assert run.stored_versions() == {
        "keras_mothernets": keras_mothernets.__version__,
        "keras": keras.__version__,
        "tensorflow": tensorflow.__version__,
        "python": platform.python_version(),
    }


def test_other_versions_of_what_computes_are_told_once_and_make_no_other_plan(run):
    begun_with(run, tensorflow="2.0.1", keras="3.0.1", python="3.0.1", keras_mothernets="0.0.1")
    with pytest.warns(UserWarning) as caught:
        again = opened_again(run)
    [warning] = [str(warning.message) for warning in caught]
    assert f"began with keras 3.0.1, now {keras.__version__}, tensorflow 2.0.1, now" in warning
    assert "python" not in warning and "last digits" in warning
    for job in PLAN:
        again.save(record(job), network())
    opened_again(again)  # nothing is trained any more, so nothing can differ


def test_other_versions_of_the_rest_are_not_told(run):
    begun_with(run, python="3.0.1", keras_mothernets="0.0.1")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = opened_again(run)
    assert caught == []
    assert again.stored_versions()["python"] == "3.0.1"


def test_a_plan_that_is_lost_is_written_again_if_the_jobs_are_of_it(run):
    run.save(record(), network())
    before = (run.path / "plan.json").read_bytes()
    (run.path / "plan.json").unlink()
    with pytest.warns(UserWarning, match="plan.json of .* is missing and is written again"):
        opened_again(run)
    assert (run.path / "plan.json").read_bytes() == before


@pytest.mark.parametrize("path", [5, "", None])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(RunError, match="`run_dir` must be the path of a folder"):
        RunDirectory(path)


def test_a_job_without_its_state_is_not_finished(run):
    run.save(record(), network())
    (run.files.folder(JOB) / "state.json").unlink()
    with pytest.warns(UserWarning, match="vgg16: big.* has a network, but its state.json is miss"):
        assert run.record(JOB) is None


def test_another_plan_is_refused_and_the_difference_named(run):
    other = Plan("example", (Job("vgg16: big", "member", "net", epochs=5), PLAN["other"]))
    with pytest.raises(RunError, match="job `vgg16: big`, epochs: here 5, there 2"):
        opened_again(run, other)


def test_a_newer_state_is_refused(run):
    run.save(record(), network())
    state = run.files.folder(JOB) / "state.json"
    values = read_checked_json(state, since=3)
    state.write_bytes(checked_json({**values, "version": job_files.STATE_VERSION + 1}))
    with pytest.raises(RunError, match="newer"):
        run.record(JOB)


def test_a_job_of_the_first_version_has_no_operations_and_no_memory(run):
    run.save(record(), network())
    path = run.files.folder(JOB) / "state.json"
    state = json.loads(path.read_text())
    del state["sha256"]
    assert state["version"] == 3
    assert state["row"].pop("flops") == 12
    assert state["row"].pop("peak_memory") == 34
    path.write_text(json.dumps({**state, "version": 1}))
    again = opened_again(run)
    old = dataclasses.replace(record().row, flops=None, peak_memory=None)
    assert again.record(JOB).row == old
    (row,) = csv.DictReader((run.path / "ledger.csv").read_text().splitlines())
    assert (row["flops"], row["peak_memory"]) == ("", "")


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(RunError, match="run` cannot be written"):
        RunDirectory(tmp_path / "run").open(PLAN)
    with pytest.raises(RunError, match="inside` cannot be written"):
        RunDirectory(tmp_path / "run" / "inside").open(PLAN)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_without_permission_is_named(tmp_path):
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(RunError, match="run` cannot be written"):
        RunDirectory(tmp_path / "run").open(PLAN)


@pytest.mark.parametrize("content", ["{", "null", "{}", '{"version": 1}'])
def test_a_plan_that_cannot_be_read_is_refused_with_its_folder(run, content):
    (run.path / "plan.json").write_text(content)
    with pytest.raises(RunError, match=f"[Rr]un directory `{run.path}`"):
        opened_again(run)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "state.json"
    write_atomically(path, b"old")

    def fail(unfinished):
        unfinished.write_bytes(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_the_checksum_is_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of(tmp_path / "f").startswith("ba7816bf8f01cfea414140de5dae2223")
