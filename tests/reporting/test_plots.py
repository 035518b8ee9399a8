"""Pictures: that they hold what they should; how they look was judged by eye."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.reporting import Result, plot_error_against_time, plot_results
from keras_mothernets.reporting.plots import Point
from keras_mothernets.training import History


def _texts(svg: Path) -> str:
    return svg.read_text()  # matplotlib writes every text as a comment beside its outlines


def test_results_show_every_network_and_the_split(
    full_data: Result, mother_nets: Result, tmp_path: Path
) -> None:
    plot_results([full_data, mother_nets], tmp_path / "run.svg", title="Two methods")
    texts = _texts(tmp_path / "run.svg")
    for text in ("Two methods", "mothernet", "deep", "wide", "60 s", "20 s", "validation accuracy"):
        assert f"<!-- {text} -->" in texts, text
    assert "93.0%" in texts and "92.0%" in texts


def test_a_picture_of_one_method(mother_nets: Result, tmp_path: Path) -> None:
    plot_results([mother_nets], tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 10_000


def test_curves_need_an_accuracy(full_data: Result, tmp_path: Path) -> None:
    bare = History([])
    bare.jobs = {"deep": {"loss": [0.1]}}
    result = Result("FullData", bare, full_data.quality, full_data.member_jobs)
    with pytest.raises(MotherNetsError, match="need an accuracy for every job"):
        plot_results([result], tmp_path / "run.svg")


def test_error_against_time_names_methods_and_budgets(tmp_path: Path) -> None:
    points = [Point("FullData", "10 epochs", 6.0, error) for error in (0.49, 0.47)]
    points += [Point("MotherNets", "10 + 5 epochs", 4.0, 0.38)]
    plot_error_against_time(points, tmp_path / "p.svg", title="V5", clock="CPU time")
    texts = _texts(tmp_path / "p.svg")
    for text in ("FullData", "MotherNets", "10 epochs", "10 + 5 epochs", "V5"):
        assert f"<!-- {text} -->" in texts, text
    assert "CPU time [minutes, logarithmic]" in texts


def test_nothing_to_draw_and_nowhere_to_write(tmp_path: Path) -> None:
    with pytest.raises(MotherNetsError, match="nothing to draw"):
        plot_error_against_time([], tmp_path / "p.svg", title="", clock="")
    with pytest.raises(MotherNetsError, match="cannot be written to"):
        plot_error_against_time(
            [Point("A", "1", 1.0, 0.5)], tmp_path / "no" / "p.svg", title="", clock=""
        )
