"""Several methods in the report of a run, and what its log tells of predictions."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import keras
import pytest
from browser import CHROMIUM, Browser

import keras_mothernets as km
from keras_mothernets.comparison import Results
from keras_mothernets.reporting.html_report.log_times import read_times

sys.path.insert(0, str(Path(__file__).parent.parent / "comparison"))
from made_up_results import rows

ROWS = [
    *rows("FullData", 4, 0, error=0.4, seconds=60),
    *rows("FullData", 8, 0, error=0.3, seconds=120),
    *rows("MotherNets", 4, 0, error=0.25, seconds=50),
    *rows("MotherNets", 8, 0, error=0.2, seconds=110),
    *rows("Bagging", 4, 0, error=0.5, seconds=70),
]


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    folder = tmp_path / "comparison"
    folder.mkdir()
    Results(ROWS).write(folder / "results.csv")
    settings = {"ensemble": "v5", "dataset": "cifar10", "train_size": 10_000, "note": "a <copy>"}
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def trained() -> km.FullData:
    data = km.datasets.load("digits")
    layers = [keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    networks = [keras.Sequential([keras.Input((8, 8, 1)), *layers], name=name) for name in "ab"]
    method = km.FullData(networks)
    method.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    method.fit(data.x_train, data.y_train, epochs=1, verbose=0)
    return method


def test_the_methods_are_told(trained: km.FullData, comparison: Path, tmp_path: Path) -> None:
    page = km.report(trained, tmp_path / "page.html", comparison=comparison).read_text()
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert "v5 on cifar10, 10,000 training examples (a &lt;copy&gt;)" in words
    assert "least error is 20.0%, of MotherNets with budget 8 in 1.8 minutes" in words
    assert "both faster and better than: MotherNets." in words
    assert words.count("Bagging") >= 2, "in the legend and in the table"
    assert 'id="comparison"' in page


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("width", [1400, 390])
def test_the_methods_fit_the_window(
    trained: km.FullData, comparison: Path, tmp_path: Path, width: int
) -> None:
    path = km.report(trained, tmp_path / "page.html", comparison=comparison)
    with Browser(tmp_path / "browser") as browser:
        browser.open(path, width)
        assert browser.complaints() == []
        assert browser.value("document.documentElement.scrollWidth") <= width
        drawn = "document.querySelector('#comparison svg').getBoundingClientRect().width"
        assert 300 < browser.value(drawn) <= width


def test_no_comparison_is_an_error_before_anything_is_written(
    trained: km.FullData, tmp_path: Path
) -> None:
    with pytest.raises(km.MotherNetsError, match="There is no comparison in"):
        km.report(trained, tmp_path / "page.html", comparison=tmp_path)
    assert not (tmp_path / "page.html").exists()


def test_predicted_seconds_are_read_from_the_log() -> None:
    log = (
        "2026-01-01 10:00:00 the run begins, or goes on\n"
        "2026-01-01 10:00:00 a: begins, member, own weights, predicted 6.5 s\n"
        "2026-01-01 10:00:07 a: finished in 7.1 s loss 0.5\n"
        "2026-01-01 10:00:07 b: begins, member, own weights\n"
        "2026-01-01 10:00:09 b: finished in 2.0 s loss 0.5\n"
    )
    times = read_times(log, ["a", "b"])
    assert times.predicted == {"a": 6.5}
    assert [span.job for span in times.spans] == ["a", "b"]
