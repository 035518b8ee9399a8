#!/usr/bin/env python
"""How the scheduler does with up to ten thousand members and a thousand workers: docs/SCALE.md.

Nothing is trained: workers are simulated, and only the clock moves. What a job takes is drawn from
what jobs of its network took when they were measured; the scheduler does not know it, and predicts
it from the ledger of an earlier run.

    tools/simulate_scale.py                                  # everything; a minute
    tools/simulate_scale.py --members 100 --workers 1 10 --page /tmp/scale.md
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from simulated_workers import Deaths, Simulated, lower_bound, simulate

from keras_mothernets.comparison import Results
from keras_mothernets.training import Hatch, Job, LedgerRow, Plan, Scratch, SecondsModel, work_of
from keras_mothernets.training.job import Start

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tools" / "results" / "v5"
PAGE = ROOT / "docs" / "SCALE.md"
WIDTH, EXAMPLES, BATCH_SIZE = 0.125, 10_000, 128  # as in settings.json of what is kept
EPOCHS = {"mother": 35, "hatched": 6, "alone": 10}  # of the budget of 10 epochs there
MOTHER = "mothernet"
EARLIER_BUDGET = 5  # FullData with it is the earlier run, from which seconds are predicted
MAX_OVERHEAD, MAX_RATIO = 5.0, 2.0  # milliseconds per job; what is more makes the tool fail
DEATHS_PER_HOUR = (1.0, 10.0)

HEAD = """# What the scheduler does at scale

Written by `tools/simulate_scale.py`; nothing is trained there. Workers are simulated: only the
clock moves, from event to event."""

WORDS = {
    "jobs": "MotherNets-shaped plans have a mother for every {cluster_size} members, which wait"
    " for her ({mother} epochs, then {hatched}); FullData-shaped ones have members alone ({alone}"
    " epochs). Each member is one of the five networks of V5 at an eighth of their width.",
    "times": "Seconds per epoch are drawn, with replacement, from the processor seconds of {count}"
    " jobs of these networks and their MotherNet that are kept in `tools/results/v5`; a worker is"
    " thus one core. Those of one network differ by up to a factor of {spread:.2f}.",
    "predictions": "The scheduler does not know them. It predicts them with `SecondsModel.fit` from"
    " an earlier run, the {earlier} jobs of FullData with the smallest budget, which are not drawn"
    " from: {model}. Of the jobs of the largest plan half take between {low:.2f} and {high:.2f}"
    " times what is predicted.",
    "columns": "*Lower bound*: the longest path through the plan, or all work divided by the"
    " workers, whichever is longer; no order of jobs can be faster. It does not see that"
    " workers wait at first where there are fewer mothers than workers. *Ratio*: makespan divided"
    " by it; whatever is predicted it stays below 2. *By work*: the ratio where steps times"
    " parameters are the prediction, as without a ledger: here members train equally many steps,"
    " and both put them into one order. *Known*: where the true seconds are. *Plan order*:"
    " of a scheduler without predictions, which takes the first job of the plan that is ready."
    " *Overhead*: processor time of all that is not training, the making of the plan and the"
    " simulation itself included, divided by the number of jobs.",
}
DEATHS_HEAD = """## Workers that die

Each worker dies at random instants of its work, as often as the table says in the mean; another
takes its place after a minute, and the job begins anew from its beginning (a run directory would
let it go on after its last epoch). A job that has failed three times is given up, with all that
wait for it. *Without deaths*: the makespan divided by that of the same run without deaths."""


@dataclass(frozen=True)
class Measured:
    """What is known of the networks whose jobs are simulated.

    Args:
        parameters: Number of parameters by network.
        seconds: Measured seconds per epoch by network, one for each job.
        earlier: Ledger rows of the run from which seconds are predicted.
    """

    parameters: Mapping[str, int]
    seconds: Mapping[str, Sequence[float]]
    earlier: Sequence[LedgerRow]

    @property
    def members(self) -> list[str]:
        """Names of the networks that are members."""
        return [name for name in self.seconds if name != MOTHER]


def read_measured(results: Results, parameters: Mapping[str, int]) -> Measured:
    """Seconds of jobs from the results of a comparison.

    Args:
        results: The results.
        parameters: Number of parameters by network.
    """
    seconds: dict[str, list[float]] = {name: [] for name in parameters}
    earlier = []
    for cell in results.cells:
        if cell.method not in ("FullData", "MotherNets"):
            continue
        epochs = results.values(cell, "epochs", "job")
        for name, took in results.values(cell, "cpu_seconds", "job").items():
            if name not in parameters:  # a mother of a cluster, of all, or a narrower one
                continue
            if (cell.method, cell.budget) == ("FullData", EARLIER_BUDGET):
                steps = int(epochs[name]) * steps_per_epoch()
                row = LedgerRow(
                    name,
                    "member",
                    name,
                    steps=steps,
                    parameters=parameters[name],
                    wall_seconds=took,
                )
                earlier.append(row)
            else:
                seconds[name].append(took / epochs[name])
    return Measured(parameters, seconds, earlier)


def steps_per_epoch() -> int:
    """Steps in an epoch of the measured jobs."""
    return math.ceil(EXAMPLES / BATCH_SIZE)


def parameters_of_v5() -> dict[str, int]:
    """Number of parameters of the measured networks: the members and their MotherNet."""
    import keras_mothernets as km

    members = km.zoo.v5((32, 32, 3), 10, width=WIDTH)
    found = {member.label: member.model.count_params() for member in members}
    return {MOTHER: km.mothernet(members).count_params(), **found}


def full_data_plan(members: int, measured: Measured, seed: int) -> Plan:
    """Members that wait for nobody."""
    networks = random.Random(seed).choices(measured.members, k=members)
    jobs = (
        _job(f"member_{number}", network, "alone", measured)
        for number, network in enumerate(networks)
    )
    return Plan("FullData", tuple(jobs))


def mothernets_plan(members: int, cluster_size: int, measured: Measured, seed: int) -> Plan:
    """Clusters of members behind a mother each, in the order in which `MotherNets` plans them."""
    networks = random.Random(seed).choices(measured.members, k=members)
    jobs = []
    for number, network in enumerate(networks):
        mother = f"{MOTHER}_{number // cluster_size + 1}"
        if number % cluster_size == 0:
            jobs.append(_job(mother, MOTHER, "mother", measured))
        jobs.append(_job(f"member_{number}", network, "hatched", measured, Hatch(mother)))
    return Plan("MotherNets", tuple(jobs))


def _job(name: str, network: str, kind: str, measured: Measured, start: Start | None = None) -> Job:
    return Job(
        name,
        "mother" if kind == "mother" else "member",
        network,
        start or Scratch(),
        epochs=EPOCHS[kind],
        steps_per_epoch=steps_per_epoch(),
        parameters=measured.parameters[network],
    )


def draw_seconds(plan: Plan, measured: Measured, seed: int) -> dict[str, float]:
    """What each job really takes, by name."""
    chance = random.Random(seed)
    return {job.name: job.epochs * chance.choice(measured.seconds[job.network]) for job in plan}


@dataclass(frozen=True)
class Scale:
    """A plan on a number of workers, simulated.

    Args:
        members: Number of members.
        plan: The plan.
        workers: Number of workers.
        run: What came of it.
        bound: The lower bound of its makespan, in seconds.
        others: Makespans with other predictions, in seconds, by the title of their column.
        overhead: Processor milliseconds per job.
        with_deaths: By deaths in a worker's hour, what came of it then.
    """

    members: int
    plan: Plan
    workers: int
    run: Simulated
    bound: float
    others: Mapping[str, float]
    overhead: float
    with_deaths: Mapping[float, Simulated]

    @property
    def is_good(self) -> bool:
        """Whether both demands hold."""
        longest = max(self.run.makespan, *self.others.values())
        return self.overhead <= MAX_OVERHEAD and longest <= MAX_RATIO * self.bound


def measure(
    members: int, make: Callable[[], Plan], workers: int, measured: Measured, seed: int
) -> Scale:
    """Simulate one plan: with the predictions of the ledger and others, and with deaths."""
    seconds = draw_seconds(make(), measured, seed)
    model = SecondsModel.fit(measured.earlier)
    begin = time.process_time()
    plan = make()
    run = simulate(plan, seconds, workers, model)
    overhead = 1000 * (time.process_time() - begin) / len(plan)
    deaths = {
        rate: simulate(plan, seconds, workers, model, Deaths(rate, seed=seed))
        for rate in DEATHS_PER_HOUR
    }
    bound = lower_bound(plan, seconds, workers)
    others: dict[str, Callable[[Job], float]] = {
        "by work": work_of,
        "known": lambda job: seconds[job.name],
        "plan order": lambda job: 0.0,
    }
    makespans = {
        name: simulate(plan, seconds, workers, predicted).makespan
        for name, predicted in others.items()
    }
    return Scale(members, plan, workers, run, bound, makespans, overhead, deaths)


def scales(arguments: argparse.Namespace, measured: Measured) -> Iterator[Scale]:
    """All plans on all numbers of workers."""
    for members in arguments.members:
        makes = (
            lambda count=members: mothernets_plan(
                count, arguments.cluster_size, measured, arguments.seed
            ),
            lambda count=members: full_data_plan(count, measured, arguments.seed),
        )
        for make in makes:
            for workers in arguments.workers:
                yield measure(members, make, workers, measured, arguments.seed)
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def scale_table(found: Sequence[Scale]) -> str:
    """A line for every plan and number of workers."""
    header = "plan,members,jobs,workers,makespan (h),lower bound (h),ratio"
    cells = [
        (
            *(
                scale.plan.method,
                f"{scale.members:,}",
                f"{len(scale.plan):,}",
                f"{scale.workers:,}",
            ),
            f"{scale.run.makespan / 3600:.3f}",
            f"{scale.bound / 3600:.3f}",
            f"{scale.run.makespan / scale.bound:.3f}",
            *(f"{makespan / scale.bound:.3f}" for makespan in scale.others.values()),
            f"{scale.overhead:.3f}",
        )
        for scale in found
    ]
    titles = [*header.split(","), *found[0].others, "overhead (ms per job)"]
    return _table(titles, cells)


def deaths_table(found: Sequence[Scale]) -> str:
    """The same with deaths, of the largest plans."""
    header = "plan,members,workers,deaths per hour,deaths,jobs given up,makespan (h)"
    largest = max(scale.members for scale in found)
    cells = [
        (
            *(scale.plan.method, f"{scale.members:,}", f"{scale.workers:,}", f"{rate:g}"),
            *(f"{run.deaths:,}", f"{len(run.given_up):,}", f"{run.makespan / 3600:.3f}"),
            f"{run.makespan / scale.run.makespan:.3f}",
        )
        for scale in found
        if scale.members == largest
        for rate, run in scale.with_deaths.items()
    ]
    return _table([*header.split(","), "without deaths"], cells)


def _table(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [header, ("---",) + ("---:",) * (len(header) - 1), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _words(measured: Measured, plan: Plan, arguments: argparse.Namespace) -> dict[str, object]:
    """What the text of the page says in numbers."""
    model = SecondsModel.fit(measured.earlier)
    seconds = draw_seconds(plan, measured, arguments.seed)
    off = sorted(seconds[job.name] / model(job) for job in plan)
    return {
        **EPOCHS,
        "cluster_size": arguments.cluster_size,
        "count": sum(map(len, measured.seconds.values())),
        "spread": max(max(times) / min(times) for times in measured.seconds.values()),
        "earlier": len(measured.earlier),
        "model": f"{1000 * model.seconds_per_step:.0f} ms per step and"
        f" {1e9 * model.seconds_per_parameter:.0f} ms more for each million parameters",
        "low": off[len(off) // 4],
        "high": off[3 * len(off) // 4],
    }


def page(found: Sequence[Scale], measured: Measured, arguments: argparse.Namespace) -> str:
    """The text of docs/SCALE.md."""
    largest = max(found, key=lambda scale: len(scale.plan)).plan
    words = _words(measured, largest, arguments)
    text = [textwrap.fill(paragraph.format(**words), 100) for paragraph in WORDS.values()]
    parts = [HEAD, *text, scale_table(found), DEATHS_HEAD, deaths_table(found)]
    return "\n\n".join(parts) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print and write the page; 1 if one of the two demands does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--members", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100, 1_000])
    parser.add_argument("--cluster-size", type=int, default=20, help="members of a mother (20)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (0)")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write")
    arguments = parser.parse_args(argv)
    measured = read_measured(Results.read(KEPT / "results.csv"), parameters_of_v5())
    found = list(scales(arguments, measured))
    text = page(found, measured, arguments)
    arguments.page.write_text(text)
    print(text, end="")
    print(f"highest overhead {max(scale.overhead for scale in found):.3f} ms, limit {MAX_OVERHEAD}")
    return int(not all(scale.is_good for scale in found))


if __name__ == "__main__":
    raise SystemExit(main())
