"""All sections of the page as plain values, and of those left out the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_mothernets.ensembles import EnsembleStatistics
from keras_mothernets.errors import DataError, MotherNetsError
from keras_mothernets.reporting.html_report.architectures import Family, families, from_scratch
from keras_mothernets.reporting.html_report.chart import Chart
from keras_mothernets.reporting.html_report.comparison import Comparison
from keras_mothernets.reporting.html_report.contested import Contested, most_contested
from keras_mothernets.reporting.html_report.learning_curves import learning_curves
from keras_mothernets.reporting.html_report.measured import (
    is_classification,
    predict,
    quality_rows,
    who_can_go,
)
from keras_mothernets.reporting.html_report.quality_charts import (
    calibration_chart,
    diversity_chart,
    growth_chart,
)
from keras_mothernets.reporting.html_report.run_data import RunData
from keras_mothernets.reporting.html_report.tables import Table, jobs_table, phases_table
from keras_mothernets.reporting.html_report.timeline import timeline
from keras_mothernets.training.job import Job
from keras_mothernets.training.text import duration_text


@dataclass
class Page:
    """What the template shows; what has no meaning for a run is empty, and says why.

    Args:
        run: The run.
        title: At the top.
        tiles: The most important figures: what, how much, and a word about it.
        families: Mothers with what was hatched from them.
        alone: Members that were hatched from nobody.
        timeline: When jobs ran.
        curves: Learning curves.
        growth: Errors as the ensemble grows.
        quality: Errors of each member.
        diversity: How often members disagree.
        calibration: How sure and how often right.
        can_go: Who could be left out, in words.
        contested: The most contested examples.
        comparison: Several methods on one ensemble.
        phases: Sums of the ledger.
        cost: USD by machine.
        jobs: All jobs.
        left_out: Sections that are not there, and why.
    """

    run: RunData
    title: str
    tiles: list[tuple[str, str, str]] = field(default_factory=list)
    families: list[Family] = field(default_factory=list)
    alone: list[Job] = field(default_factory=list)
    timeline: Chart | None = None
    curves: list[Chart] = field(default_factory=list)
    growth: Chart | None = None
    quality: Table | None = None
    diversity: Chart | None = None
    calibration: Chart | None = None
    can_go: str = ""
    contested: list[Contested] = field(default_factory=list)
    comparison: Comparison | None = None
    phases: Table | None = None
    cost: dict[str, float] = field(default_factory=dict)
    jobs: Table | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def has_new_branches(self) -> bool:
        """Whether a network has layers that begin with weights of their own."""
        return any("fresh" in one.counts for each in self.families for one in each.children)


def make_page(
    run: RunData,
    *,
    title: str | None,
    data: tuple[Any, Any] | None,
    class_names: Sequence[str] | None,
    usd_per_hour: Any,
    no_data: str,
    comparison: Comparison | None = None,
) -> Page:
    """Make all sections.

    Args:
        run: The run.
        title: At the top; the method and its members by default.
        data: Labelled examples.
        class_names: Names of the classes.
        usd_per_hour: Prices of machines.
        no_data: Why there are no labelled examples, if there are none.
        comparison: Several methods on one ensemble.

    Raises:
        DataError: The examples do not fit the members.
        MotherNetsError: A price cannot be used.
    """
    page = Page(run, title or _title(run), comparison=comparison)
    page.cost = run.ledger.cost(usd_per_hour)
    page.phases, page.jobs = phases_table(run), jobs_table(run)
    _networks(page)
    if run.times.spans:
        page.timeline = timeline(run)
    page.curves = learning_curves(run)
    if not page.curves:
        page.left_out["Learning curves"] = "no job has trained an epoch."
    statistics = _statistics(page, data, no_data)
    if statistics is not None and data is not None:
        _quality(page, statistics, data[0], class_names)
    page.tiles = _tiles(page, statistics)
    return page


def _title(run: RunData) -> str:
    count = len(run.plan.members)
    return f"{run.plan.method.partition('(')[0]}: {count} member{'' if count == 1 else 's'}"


def _networks(page: Page) -> None:
    page.alone = from_scratch(page.run)
    try:
        page.families = families(page.run)
    except MotherNetsError as error:
        page.left_out["Networks"] = str(error)
        return
    if not page.families:
        page.left_out["What members inherit"] = "nothing was hatched from a mother in this run."


def _statistics(page: Page, data: Any, no_data: str) -> EnsembleStatistics | None:
    what = "Errors, diversity, calibration and contested examples"
    if not page.run.members:
        page.left_out[what] = "no member is finished."
    elif data is None:
        page.left_out[what] = no_data
    else:
        try:
            return predict(page.run, data)
        except DataError:
            raise  # the caller can mend that
        except MotherNetsError as error:
            page.left_out[what] = str(error)
    return None


def _quality(
    page: Page, statistics: EnsembleStatistics, x: Any, class_names: Sequence[str] | None
) -> None:
    page.quality = Table(*quality_rows(statistics))
    is_one = statistics.predictions.num_members == 1
    if is_one:
        page.left_out["Growth, diversity and contested examples"] = (
            "there is one member, and these compare several."
        )
    else:
        page.growth = growth_chart(statistics)
        page.can_go = who_can_go(statistics)
    if not is_classification(statistics):
        page.left_out["Diversity, calibration and contested examples"] = (
            "they are of classes, and this is a regression."
        )
        return
    _check_names(class_names, statistics.predictions.values.shape[-1])
    page.calibration = calibration_chart(statistics)
    if is_one:
        return
    page.diversity = diversity_chart(statistics)
    page.contested = most_contested(statistics.predictions, x, class_names)
    if not page.contested:
        page.left_out["Contested examples"] = "all members name the same class for each example."


def _check_names(class_names: Sequence[str] | None, classes: int) -> None:
    if class_names is not None and len(class_names) != classes:
        raise MotherNetsError(
            "`class_names` must name every class",
            expected=f"{classes} names",
            received=f"{len(class_names)}",
        )


def _tiles(page: Page, statistics: EnsembleStatistics | None) -> list[tuple[str, str, str]]:
    run = page.run
    done, count = len(run.members), len(run.plan.members)
    tiles = [("members trained", f"{done} of {count}", "")]
    if statistics is not None:
        tiles += _error_tiles(statistics)
    total = run.ledger.total()
    common = total - run.ledger.total("member")
    note = f"{duration_text(common)} for what members share" if common else ""
    tiles.append(("training time of all jobs [min:s]", duration_text(total), note))
    if page.cost:
        machine, usd = next(iter(page.cost.items()))
        tiles.append((f"cost, as on {machine}", f"${usd:.4f}" if usd < 1 else f"${usd:,.2f}", ""))
    return tiles


def _error_tiles(statistics: EnsembleStatistics) -> list[tuple[str, str, str]]:
    count = statistics.predictions.num_members
    if is_classification(statistics):
        best = min(1 - statistics.accuracy([n]) for n in range(count))
        value, note = f"{1 - statistics.accuracy():.2%}", f"best member {best:.2%}"
        return [("error of the ensemble", value, note if count > 1 else "")]
    least = min(statistics.mse([n]) for n in range(count))
    note = f"best member {least:.4g}" if count > 1 else ""
    return [("mean squared error of the ensemble", f"{statistics.mse():.4g}", note)]
