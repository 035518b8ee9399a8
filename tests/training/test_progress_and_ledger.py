"""What is shown while jobs run, and what is counted."""

import csv
import io
from dataclasses import replace

import pytest
import rich.console

from keras_mothernets import MotherNetsError
from keras_mothernets.training import (
    History,
    Job,
    JobRecord,
    Ledger,
    LedgerRow,
    Phase,
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


@pytest.fixture
def live():
    """A live display of a terminal, whose text is in `live.shown()`."""
    display = Live(PLAN)
    display._bars.live.console = rich.console.Console(
        file=io.StringIO(), force_terminal=True, width=100
    )

    def shown():
        display._bars.refresh()
        return display._bars.console.file.getvalue()

    display.shown = shown
    return display


def test_the_live_display_shows_jobs_and_metrics(live):
    play(live)
    for part in ("all jobs", "a (member): finished already", "b (member): loss 0.5", "2/2 done"):
        assert part in live.shown()


def test_the_live_display_shows_all_jobs_under_way(live):
    with live:
        for job in JOBS:
            live.begin_job(job)
        for job, loss in zip(JOBS, (0.25, 0.75), strict=True):
            live.end_step(job, 0, 2, {"loss": loss})
        for part in ("epoch 1/2 loss 0.2500", "epoch 1/2 loss 0.7500", "0/2 done"):
            assert part in live.shown()


def test_epochs_that_are_done_again_are_not_counted_twice(live):
    with live:
        live.begin_job(JOBS[0])
        live.end_epoch(JOBS[0], 0, {"loss": 0.5})
        live.begin_job(JOBS[0])  # its worker was lost
        live.resume_job(JOBS[0], 1)
    assert live._clock.done == live._clock.total / 4


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
            "job role network waits_for epochs steps examples flops parameters inherited "
            "deviation hatch_seconds wall_seconds cpu_seconds peak_memory device status loss acc"
        ).split()
    )
    assert (rows[0]["loss"], rows[0]["acc"], rows[1]["acc"]) == ("0.5", "", "0.9")


COSTLY = [
    LedgerRow(
        "m", "mother", "m", epochs=5, steps=50, examples=500, flops=3 * 10**12,
        wall_seconds=3600.0, cpu_seconds=7000.0, peak_memory=3 * 2**30,
    ),
    LedgerRow(
        "a", "member", "a", "m", epochs=2, steps=20, examples=200, flops=10**12,
        wall_seconds=600.0, cpu_seconds=1000.0, peak_memory=2 * 2**30,
    ),
    LedgerRow(
        "b", "member", "b", "m", epochs=1, steps=10, examples=100, flops=5 * 10**11,
        wall_seconds=1200.0, cpu_seconds=2000.0, peak_memory=4 * 2**30,
    ),
]  # fmt: skip


def test_phases_are_summed_in_order_of_appearance_and_the_largest_peak_counts():
    mother, member, total = Ledger(COSTLY).phases()
    assert mother == Phase("mother", 1, 5, 50, 500, 3 * 10**12, 3600.0, 7000.0, 3 * 2**30)
    assert member == Phase("member", 2, 3, 30, 300, 15 * 10**11, 1800.0, 3000.0, 4 * 2**30)
    assert total == Phase("total", 3, 8, 80, 800, 45 * 10**11, 5400.0, 10000.0, 4 * 2**30)


def test_what_is_not_known_of_one_job_is_not_known_of_its_phase():
    unknown = replace(COSTLY[0], examples=None, flops=None, peak_memory=None)
    phases = Ledger([unknown, *COSTLY[1:]]).phases()
    for role in ("mother", "total"):
        assert (phases[role].examples, phases[role].flops, phases[role].peak_memory) == (None,) * 3
    assert phases["member"] == Ledger(COSTLY).phases()["member"]
    with pytest.raises(KeyError):
        phases["tree"]


def test_tables_show_operations_and_memory_in_units_that_can_be_read():
    jobs, phases = (
        [line.split() for line in str(table).splitlines()]
        for table in (Ledger(COSTLY), Ledger(COSTLY).phases())
    )
    for table, expected in ((jobs, ("0.5", "4,096")), (phases, ("4.5", "4,096"))):
        by_name = dict(zip(table[0], table[-1], strict=table is phases))
        assert by_name["tera_flops"] == expected[0]
        assert expected[1] in table[-1]
        assert "peak_mib" in table[0]


def test_a_run_without_jobs_has_sums_of_nothing():
    assert list(Ledger([]).phases()) == [Phase("total", 0, 0, 0, 0, 0, 0.0, 0.0, 0)]


def test_money_is_hours_by_price():
    assert Ledger(COSTLY).cost() == pytest.approx({"p2.xlarge": 1.35, "p3.2xlarge": 4.59})
    assert Ledger(COSTLY).cost({"free": 0, "mine": 2.0}) == {"free": 0.0, "mine": 3.0}


@pytest.mark.parametrize(
    "prices", [0.9, None, ["p2.xlarge"], {"a": "0.9"}, {"a": -1.0}, {"a": float("nan")}]
)
def test_a_price_must_be_a_number(prices, ledger):
    with pytest.raises(MotherNetsError, match=r"`usd_per_hour`.*Received"):
        ledger.cost(prices)


def test_a_notebook_shows_the_tables(ledger):
    assert repr(ledger) == str(ledger)
    assert repr(ledger.phases()) == str(ledger.phases())
    assert repr(PLAN) == str(PLAN)


def test_the_history_of_a_job_of_no_epochs_is_empty_lists():
    rows = [LedgerRow(job.name, "member", job.name) for job in JOBS]
    records = [JobRecord(JOBS[0], {"loss": [0.5]}, rows[0]), JobRecord(JOBS[1], {}, rows[1])]
    assert History(records).history == {"a/loss": [0.5], "b/loss": []}


def test_the_ledger_prints_a_line_per_job(ledger):
    lines = str(ledger).splitlines()
    assert [line.split()[0] for line in lines] == ["job", "m", "a"]
