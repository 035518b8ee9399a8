"""What is shown while jobs run, and what is counted."""

import csv
import io

import pytest
import rich.console

from keras_mothernets import MotherNetsError
from keras_mothernets.training import (
    History,
    Job,
    JobRecord,
    Ledger,
    LedgerRow,
    Plan,
    make_progress,
)
from keras_mothernets.training.clock import Clock
from keras_mothernets.training.progress import Lines, Live, Silent

JOBS = tuple(
    Job(name, "member", name, epochs=2, steps_per_epoch=3, parameters=10) for name in ("a", "b")
)
PLAN = Plan("example", JOBS)


def play(progress):
    with progress:
        for job, was_finished in zip(JOBS, (True, False), strict=True):
            if not was_finished:
                progress.begin_job(job)
                for epoch in range(2):
                    progress.end_step(job, epoch, 2, {"loss": 0.5})
                    progress.end_epoch(job, epoch, {"loss": 0.5})
            row = LedgerRow(job.name, "member", job.name, metrics={"loss": 0.5})
            progress.end_job(JobRecord(job, {"loss": [0.5]}, row), was_finished)


def test_lines_tell_job_epoch_metrics_and_time_left(capsys):
    play(Lines(PLAN))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[1/2] a: is finished already"
    assert lines[1] == "[2/2] b: member, 10 parameters, own weights"
    assert lines[3].startswith("[2/2] b: epoch 2/2 loss 0.5000 (0:00 left)")
    assert len(lines) == 4


def test_the_live_display_shows_jobs_and_metrics():
    live = Live(PLAN)
    live._bars.live.console = rich.console.Console(
        file=io.StringIO(), force_terminal=True, width=100
    )
    play(live)
    shown = live._bars.console.file.getvalue()
    for part in ("all jobs", "a (member): finished already", "epoch 2/2 loss 0.5000", "2/2 done"):
        assert part in shown


def test_silence_is_silent(capsys):
    play(Silent())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("verbose", "kind"), [(0, Silent), ("auto", Lines), (1, Lines), (2, Lines)]
)
def test_verbose_means_what_keras_means_where_there_is_no_terminal(verbose, kind):
    assert type(make_progress(verbose, PLAN)) is kind


def test_on_a_terminal_the_display_is_live(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert isinstance(make_progress("auto", PLAN), Live)
    assert isinstance(make_progress(2, PLAN), Lines)


def test_another_verbose_is_refused():
    with pytest.raises(MotherNetsError, match="`verbose`"):
        make_progress("loud", PLAN)


def test_the_clock_counts_only_work_of_this_run():
    clock = Clock(PLAN)
    clock.finish(JOBS[0], was_finished=True)
    assert clock.seconds_left() is None
    clock.advance(JOBS[1])
    assert clock.done == 0.75 * clock.total
    assert clock.seconds_left() > 0
    clock.finish(JOBS[1], was_finished=False)
    assert clock.done == clock.total
    assert clock.seconds_left() == 0


@pytest.fixture
def ledger():
    return Ledger(
        [
            LedgerRow("m", "mother", "m", wall_seconds=3.0, examples=None, metrics={"loss": 0.5}),
            LedgerRow("a", "member", "a", "m", wall_seconds=1.5, examples=10, metrics={"acc": 0.9}),
        ]
    )


def test_totals_by_role_and_column(ledger):
    assert ledger.total() == 4.5
    assert ledger.total(role="mother") == 3.0
    assert ledger.total(column="examples") == 10
    assert ledger["a"].waits_for == "m"
    with pytest.raises(MotherNetsError, match="`column`"):
        ledger.total(column="device")


def test_the_csv_has_the_columns_that_others_read(ledger, tmp_path):
    ledger.to_csv(tmp_path / "ledger.csv")
    rows = list(csv.DictReader((tmp_path / "ledger.csv").read_text().splitlines()))
    assert (
        list(rows[0])
        == (
            "job role network waits_for epochs steps examples parameters inherited deviation "
            "hatch_seconds wall_seconds cpu_seconds device status loss acc"
        ).split()
    )
    assert (rows[0]["loss"], rows[0]["acc"], rows[1]["acc"]) == ("0.5", "", "0.9")


def test_a_notebook_shows_the_tables(ledger):
    assert repr(ledger) == str(ledger)
    assert repr(PLAN) == str(PLAN)


def test_the_history_of_a_job_of_no_epochs_is_empty_lists():
    rows = [LedgerRow(job.name, "member", job.name) for job in JOBS]
    records = [JobRecord(JOBS[0], {"loss": [0.5]}, rows[0]), JobRecord(JOBS[1], {}, rows[1])]
    assert History(records).history == {"a/loss": [0.5], "b/loss": []}


def test_the_ledger_prints_a_line_per_job(ledger):
    lines = str(ledger).splitlines()
    assert [line.split()[0] for line in lines] == ["job", "m", "a"]
