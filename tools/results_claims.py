"""The claims of the MotherNets paper, each with a check against the results that are kept."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from statistics import mean

from keras_mothernets.comparison import Results, seconds_to

Kept = dict[str, Results]
Check = Callable[[Kept], tuple[str, str]]
OURS, FULL = "MotherNets", "FullData"


def error(results: Results, method: str, budget: int, measure: str = "test_error") -> float:
    """A measure of a method's best variant at a budget, mean over seeds."""
    return mean(results.over_seeds(results.best(method, budget), measure))


def ahead_of(*rivals: str, name: str = "v5") -> Check:
    """At every budget MotherNets have a lower test error than the rivals."""

    def check(kept: Kept) -> tuple[str, str]:
        if name not in kept:
            return "not measured", ""
        results = kept[name]
        gaps = {
            (rival, budget): 100 * (error(results, rival, budget) - error(results, OURS, budget))
            for rival in rivals
            for budget in results.budgets
            if results.best(rival, budget) and results.best(OURS, budget)
        }
        words = "; ".join(
            f"{rival}: {', '.join(f'{gap:+.1f}' for (own, _), gap in gaps.items() if own == rival)}"
            for rival in rivals
        )
        budgets = sorted({budget for _, budget in gaps})
        text = f"error above ours in points, budgets {listed(budgets)}: {words}"
        return verdict(list(gaps.values())), text

    return check


def faster_than(rival: str, times: float, name: str = "v5") -> Check:
    """The rival needs longer, once so many times as long, for what it reaches at its budgets."""

    def check(kept: Kept) -> tuple[str, str]:
        if name not in kept:
            return "not measured", ""
        results = kept[name]
        ratios = []
        budgets = [budget for budget in results.budgets if results.best(rival, budget)]
        for budget in budgets:
            cells = results.best(rival, budget)
            wanted = mean(results.over_seeds(cells, "test_error"))
            theirs = mean(results.over_seeds(cells, "cpu_seconds"))
            ours = seconds_to(results, OURS, wanted, "cpu")
            ratios.append((theirs / ours if ours else 0.0, first_is_enough(results, wanted)))
        words = ", ".join(
            f"{'at least ' if at_least else ''}{ratio:.1f} times" if ratio else "not reached"
            for ratio, at_least in ratios
        )
        # That our smallest budget is enough says nothing if less might be, but was not tried.
        gains = [ratio - 1 for ratio, at_least in ratios if ratio > 1 or not at_least]
        text = f"time of {rival} over ours for its error at budgets {listed(budgets)}: {words}"
        told = verdict(gains)
        if told == "reproduced" and max(gains) < times - 1:
            told = "in part"
        return told, text

    return check


def first_is_enough(results: Results, wanted: float, measure: str = "test_error") -> bool:
    """Whether our smallest budget is good enough already, so that less might be."""
    smallest = min(budget for budget in results.budgets if results.best(OURS, budget))
    return error(results, OURS, smallest, measure) <= wanted


def listed(numbers: list[int]) -> str:
    """Numbers with commas between."""
    return ", ".join(map(str, numbers))


def verdict(gains: list[float]) -> str:
    """In words, from figures that are above 0 where the claim holds."""
    if not gains:
        return "not measured"
    holds = sum(gain > 0 for gain in gains)
    return "reproduced" if holds == len(gains) else "in part" if holds else "not reproduced"


def bagging_time(kept: Kept) -> tuple[str, str]:
    """Bagging's time beside independent training's."""
    results = kept["v5"]
    ratios = [
        error(results, "Bagging", budget, "cpu_seconds")
        / error(results, FULL, budget, "cpu_seconds")
        for budget in results.budgets
        if results.best("Bagging", budget) and results.best(FULL, budget)
    ]
    words = ", ".join(f"{100 * ratio:.0f} %" for ratio in ratios)
    text = f"{words} at equal epochs: a bootstrap sample is as long as the data"
    return ("reproduced" if max(ratios) < 0.8 else "not reproduced"), text


def ensembles_help(kept: Kept) -> tuple[str, str]:
    """How much of the error of single networks independent ensembles take away."""
    words, gains = [], []
    for name, results in kept.items():
        budget = max(each for each in results.budgets if results.best(FULL, each))
        single = error(results, FULL, budget, "mean_member_error")
        gains.append(1 - error(results, FULL, budget) / single)
        words.append(f"{name} {100 * gains[-1]:.0f} %")
    return verdict(gains), f"independent ensembles against their mean member: {', '.join(words)}"


def snapshots_grow(kept: Kept) -> tuple[str, str]:
    """Error of the first so many snapshots."""
    results = kept["v5"]
    budget = max(each for each in results.budgets if results.best("SnapshotEnsemble", each))
    cells = results.best("SnapshotEnsemble", budget)
    sizes = list(results.values(cells[0], "test_error", "size"))
    errors = [mean(results.over_seeds(cells, "test_error", "size", size)) for size in sizes]
    words = ", ".join(f"{100 * value:.1f}" for value in errors)
    return "out of reach", f"only five snapshots here: {words} % with 1 to {len(sizes)} of them"


def target_text(kept: Kept) -> str:
    """Error and NLL of independent training's best budget, and our time to it."""
    lines = []
    for name, results in kept.items():
        for budget in results.budgets:
            cells = results.best(FULL, budget)
            if not cells:
                continue
            wanted = error(results, FULL, budget)
            theirs = mean(results.over_seeds(cells, "cpu_seconds"))
            ours = seconds_to(results, OURS, wanted, "cpu")
            likelihood = error(results, FULL, budget, "test_nll")
            ours_likelihood = seconds_to(results, OURS, likelihood, "cpu", measure="test_nll")
            in_error = part(ours, theirs, first_is_enough(results, wanted))
            is_enough = first_is_enough(results, likelihood, "test_nll")
            lines.append(
                f"- {name}, budget {budget}: FullData has {100 * wanted:.1f} % error and a NLL of "
                f"{likelihood:.3f}. MotherNets reach the error {in_error}, the NLL "
                f"{part(ours_likelihood, theirs, is_enough)}."
            )
    text = (
        "MotherNets should reach the test error and the NLL of independent training in at most a "
        "third of its time, and have the lowest error of all methods at every equal budget "
        "(see below)."
    )
    return "\n\n".join([textwrap.fill(text, 100), "\n".join(lines + ranks(kept))])


def ranks(kept: Kept) -> list[str]:
    """The methods in the order of their errors, for every budget that several have."""
    lines = []
    for name, results in kept.items():
        for budget in results.budgets:
            methods = [method for method in results.methods if results.best(method, budget)]
            methods.sort(key=lambda method: error(results, method, budget))
            if len(methods) > 1:
                words = ", ".join(
                    f"{method} {100 * error(results, method, budget):.1f} %" for method in methods
                )
                lines.append(f"- {name}, budget {budget}, the lowest error first: {words}.")
    return lines


def part(ours: float | None, theirs: float, at_most: bool) -> str:
    """One time as a part of another; at most that, where our smallest budget was enough."""
    if ours is None:
        return "with no budget that was tried"
    return f"in {'at most ' if at_most else ''}{ours / theirs:.2f} of its time"


RIVALS = ("KnowledgeDistillation", "TreeNets", "Bagging")
CLAIMS: list[tuple[int, str, Check | None]] = [
    (1, "MotherNets beat KD, TreeNets and bagging everywhere", ahead_of(*RIVALS)),
    (2, "2 to 4.2 times faster than KD", faster_than("KnowledgeDistillation", 2)),
    (3, "3.6 times faster than bagging", faster_than("Bagging", 3.6)),
    (4, "TreeNets need up to 3.8 times longer on V5", faster_than("TreeNets", 3.8)),
    (5, "With four clusters more than a point below TreeNets in the same time", None),
    (6, "As fast as snapshots on V5, and more accurate", ahead_of("SnapshotEnsemble")),
    (7, "0.7 points below snapshots on V5", ahead_of("SnapshotEnsemble")),
    (8, "R10: below 4.5 % where snapshots have 5.1 %", None),
    (9, "V25 on CIFAR-100: 1.5 points below snapshots", None),
    (10, "D5: snapshots are more accurate than one MotherNet", None),
    (11, "V25 on SVHN: better than snapshots with two clusters", None),
    (12, "Independent training takes 5 times as long per network", faster_than("FullData", 5)),
    (13, "Bagging takes 73 % of the time of independent training", bagging_time),
    (14, "V100: time grows slower than that of snapshots", None),
    (15, "Snapshots get worse beyond six", snapshots_grow),
    (16, "Up to 3 times cheaper than independent training", faster_than("FullData", 3)),
    (17, "Large ensembles: 2 to 3 points below snapshots, 35 % faster", None),
    (18, "100 networks: up to 6 times faster", None),
    (19, "Ensembles cut misclassification by up to 20 %", ensembles_help),
    (
        20,
        "MotherNets dominate fast geometric ensembles on Wide ResNets",
        ahead_of("FastGeometricEnsemble", name="wrn5"),
    ),
]
NOT_HERE = {
    5: "four clusters of five networks were not run",
    8: "ten ResNets of up to 110 layers: too long for two CPU cores",
    9: "25 networks: too long for two CPU cores, and CIFAR-100 is not at hand",
    10: "DenseNets of 100 layers: too long for two CPU cores",
    11: "25 networks: too long for two CPU cores, and SVHN is not at hand",
    14: "100 networks: too long for two CPU cores",
    17: "100 networks: too long for two CPU cores",
    18: "100 networks: too long for two CPU cores",
}
