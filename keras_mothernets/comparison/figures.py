"""The pictures of a comparison, after those of the MotherNets paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from keras_mothernets.comparison.entry import METHODS
from keras_mothernets.reporting import plot_error_against_time
from keras_mothernets.reporting.compared import Cell, Results
from keras_mothernets.reporting.compared_table import seconds_to
from keras_mothernets.reporting.plots import Point
from keras_mothernets.reporting.style import (
    FAINT,
    INK,
    MOTHER,
    colour,
    legend_beside,
    new_figure,
    percent_axis,
    save,
    tidy,
)
from keras_mothernets.training.ledger import PRICES

CLOCKS = {"wall": "wall clock time of training", "cpu": "CPU time of training"}
YARDSTICK = "FullData"
MEMBER_FILLS = ("#9fb8c9", "#c7d6e0")


@dataclass(frozen=True)
class Picture:
    """What a picture is made of.

    Args:
        results: All results.
        title: What was trained on what.
        clock: "wall" or "cpu".
    """

    results: Results
    title: str
    clock: str

    @property
    def seconds(self) -> str:
        """The measure of time."""
        return f"{self.clock}_seconds"

    @property
    def largest(self) -> int:
        """The largest budget, of those with which most methods were trained."""
        return max(self.results.budgets, key=lambda budget: (len(self.best(budget)), budget))

    def best(self, budget: int) -> dict[str, list[Cell]]:
        """The cells of every method that was trained with a budget, of its best variant."""
        found = {name: self.results.best(name, budget) for name in self.results.methods}
        return {name: cells for name, cells in found.items() if cells}

    def colour(self, method: str) -> str:
        """A method's colour, the same in all pictures."""
        return colour(self.results.methods.index(method))


def draw_all(
    results: Results, folder: Path, *, title: str, clock: str = "wall", suffix: str = ".png"
) -> list[Path]:
    """Draw what the results can show, each method with its best variant at every budget.

    Args:
        results: All results.
        folder: Where to write the pictures.
        title: What was trained on what, for the top of each picture.
        clock: "wall" or "cpu": which seconds are the time.
        suffix: Format of the pictures: ".png", ".svg", ".pdf".

    Returns:
        The files: error against time, time per network, growth with the number of members, cost,
        diversity.
    """
    pictures: dict[str, Callable[[Picture, Path], None]] = {
        "error_against_time": _error_against_time,
        "time_per_network": _time_per_network,
        "growth": _growth,
        "cost": _cost,
        "diversity": _diversity,
    }
    what = Picture(_in_order(results), title, clock)
    for name, draw in pictures.items():
        draw(what, folder / f"{name}{suffix}")
    return [folder / f"{name}{suffix}" for name in pictures]


def _in_order(results: Results) -> Results:
    """The same results with the methods in their usual order, which have their usual colours."""
    usual = [method.__name__ for method in METHODS.values()]
    place = {name: number for number, name in enumerate(dict.fromkeys([*usual, *results.methods]))}
    return Results(sorted(results.rows, key=lambda row: place[row.cell.method]))


def _error_against_time(what: Picture, path: Path) -> None:
    results = what.results
    points = [
        Point(
            cell.method,
            f"{budget}",
            results.value(cell, what.seconds) / 60,
            results.value(cell, "test_error"),
        )
        for budget in results.budgets
        for cells in what.best(budget).values()
        for cell in cells
    ]
    plot_error_against_time(points, path, title=what.title, clock=CLOCKS[what.clock], front=True)


def _time_per_network(what: Picture, path: Path) -> None:
    """One bar per method at the largest budget: which network took how long."""
    best = what.best(what.largest)
    longest = max(mean(what.results.over_seeds(each, what.seconds)) for each in best.values()) / 60
    figure = new_figure(8.5, 0.55 * len(best) + 1.4)
    axes = figure.subplots()
    for height, cells in enumerate(best.values()):
        end = _stacked_jobs(axes, height, what, cells, room=0.06 * longest)
        axes.text(end + 0.01 * longest, height, f"{end:.2g}", va="center", fontsize=9, color=INK)
    axes.set_xlim(0, 1.08 * longest)
    words = "minutes; black: trained for several members at once"
    tidy(
        axes,
        title=f"Which network took how long: {what.title}, budget {what.largest}",
        x=f"{CLOCKS[what.clock]} [{words}]",
        y="",
    )
    _name_bars(axes, list(best))
    save(figure, path)


def _name_bars(axes: Axes, names: Sequence[str]) -> None:
    """Names of methods beside their bars, the first at the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False)


def _stacked_jobs(
    axes: Axes, height: int, what: Picture, cells: Sequence[Cell], room: float
) -> float:
    """The jobs of one method one behind the other; words where there is room for them."""
    members = what.results.values(cells[0], "test_error", "member")
    end = 0.0
    for number, job in enumerate(what.results.values(cells[0], what.seconds, "job")):
        minutes = mean(what.results.over_seeds(cells, what.seconds, "job", job)) / 60
        fill = MEMBER_FILLS[number % 2] if job in members else MOTHER
        axes.barh(height, minutes, left=end, height=0.66, color=fill, edgecolor="white")
        if minutes > room:
            ink = INK if job in members else "white"
            middle = end + minutes / 2
            axes.text(middle, height, job, ha="center", va="center", fontsize=7, color=ink)
        end += minutes
    return end


def _growth(what: Picture, path: Path) -> None:
    """Error of the first so many members of every method, at the largest budget."""
    figure = new_figure(8.5, 4.8)
    axes = figure.subplots()
    drawn = []
    for method, cells in _by_error(what).items():
        sizes = [int(size) for size in what.results.values(cells[0], "test_error", "size")]
        errors = [what.results.over_seeds(cells, "test_error", "size", str(size)) for size in sizes]
        drawn += [mean(each) for each in errors]
        axes.errorbar(
            sizes, drawn[-len(sizes) :], yerr=[_spread(each) for each in errors], marker="o",
            color=what.colour(method), markersize=5, linewidth=1.6, elinewidth=1, capsize=2,
            label=method,
        )  # fmt: skip
    legend_beside(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    percent_axis(axes.yaxis, drawn)
    tidy(
        axes,
        title=f"What every further member adds: {what.title}, budget {what.largest}",
        x="members averaged, in the order of the ensemble",
        y="test error of the ensemble",
    )
    save(figure, path)


def _by_error(what: Picture) -> dict[str, list[Cell]]:
    """The methods at the largest budget, the worst one first, as lines and legends stand."""
    best = what.best(what.largest)
    error = {
        name: mean(what.results.over_seeds(cells, "test_error")) for name, cells in best.items()
    }
    return dict(sorted(best.items(), key=lambda item: -error[item[0]]))


def _cost(what: Picture, path: Path) -> None:
    """What it costs to be as good as independent training with the largest budget."""
    error = _target(what)
    needed = {
        name: seconds_to(what.results, name, error, what.clock) for name in what.best(what.largest)
    }
    longest = max(seconds for seconds in needed.values() if seconds is not None)
    figure = new_figure(8.5, 0.55 * len(needed) + 1.4)
    axes = figure.subplots()
    for height, (method, seconds) in enumerate(needed.items()):
        if seconds is not None:
            axes.barh(height, seconds / 60, height=0.66, color=what.colour(method))
        words = _price_words(seconds, _is_enough(what, method, error))
        ink = FAINT if seconds is None else INK
        end = (seconds or 0) + 0.01 * longest
        axes.text(end / 60, height, words, va="center", fontsize=9, color=ink)
    axes.set_xlim(0, 1.45 * longest / 60)
    prices = " and ".join(f"{price:.2f}" for price in PRICES.values())
    tidy(
        axes,
        title=f"What {100 * error:.1f} % test error costs: {what.title}",
        x=f"{CLOCKS[what.clock]} [minutes]; in brackets US cents at {prices} USD per hour",
        y="",
    )
    _name_bars(axes, list(needed))
    save(figure, path)


def _target(what: Picture) -> float:
    """The error of the yardstick at the largest budget, else one that all methods reach."""
    best = what.best(what.largest)
    if YARDSTICK in best:
        return mean(what.results.over_seeds(best[YARDSTICK], "test_error"))
    cells = best.values()
    return max(mean(what.results.over_seeds(each, "test_error")) for each in cells)


def _is_enough(what: Picture, method: str, error: float) -> bool:
    """Whether the smallest budget of a method is good enough already, so that less might be."""
    smallest = next(best[method] for best in map(what.best, what.results.budgets) if method in best)
    return mean(what.results.over_seeds(smallest, "test_error")) < error


def _price_words(seconds: float | None, at_most: bool) -> str:
    if seconds is None:
        return "not reached with these budgets"
    cents = " and ".join(f"{100 * price * seconds / 3600:.1f}" for price in PRICES.values())
    return f"{'at most ' if at_most else ''}{seconds / 60:.2g} ({cents})"


def _diversity(what: Picture, path: Path) -> None:
    """How good members are, and how differently they err, at the largest budget."""
    figure = new_figure(8.5, 4.8)
    axes = figure.subplots()
    places = []
    for method, cells in _by_error(what).items():
        if not what.results.values(cells[0], "disagreement", "ensemble"):
            continue  # a single member
        x, y, error = (
            mean(what.results.over_seeds(cells, measure))
            for measure in ("mean_member_error", "disagreement", "test_error")
        )
        places.append((x, y))
        label = f"{method}: ensemble {100 * error:.1f} %"
        axes.scatter([x], [y], s=60, color=what.colour(method), label=label)
    if places:
        percent_axis(axes.xaxis, [x for x, _ in places])
        percent_axis(axes.yaxis, [y for _, y in places])
        legend_beside(axes)
    axes.margins(0.15)
    tidy(
        axes,
        title=f"Good members, and different ones: {what.title}, budget {what.largest}",
        x="mean test error of the members (left is better)",
        y="disagreement of two members (up is more diverse)",
    )
    save(figure, path)


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
