"""The report of a run as one page: what it tells, and what it leaves out with a word."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from browser import CHROMIUM, Browser

import keras_mothernets as km
from keras_mothernets.cli import main
from keras_mothernets.ensembles import EnsembleStatistics, Predictions
from keras_mothernets.reporting.html_report.contested import most_contested, vote_entropy
from keras_mothernets.reporting.html_report.log_times import read_times
from keras_mothernets.reporting.html_report.measured import growth
from keras_mothernets.reporting.html_report.quality_charts import reliability

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
SHAPE, CLASSES = (8, 8, 1), 10
FIGURES = {"timeline", "curve-accuracy", "curve-loss", "growth", "diversity", "calibration"}


def dense(name: str, *units: int, last: int = CLASSES, end: str | None = "softmax") -> km.Member:
    layers: list[Any] = [
        keras.Input(SHAPE),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
    ]
    layers += [keras.layers.Dense(count, "relu") for count in units]
    layers += [keras.layers.Dense(last, end)]
    return km.Member(keras.Sequential(layers, name=name))


@pytest.fixture(scope="module")
def digits() -> km.datasets.Dataset:
    return km.datasets.load("digits")


@pytest.fixture(scope="module")
def run(digits: km.datasets.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of a mother and three members."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    keras.utils.set_random_seed(0)
    members = [dense("narrow", 16, 32), dense("wide", 32, 16), dense("deep", 16, 16, 16)]
    train(km.MotherNets(members, member_epochs=2), digits, run_dir=folder)
    return folder


def train(
    method: Any,
    data: km.datasets.Dataset,
    loss: str = "sparse_categorical_crossentropy",
    **more: Any,
) -> Any:
    is_classes = loss.startswith("sparse")
    method.compile("adam", loss, metrics=["accuracy"] if is_classes else None)
    more = {"epochs": 3, "verbose": 0, "validation_data": (data.x_val, data.y_val), **more}
    return method.fit(more.pop("x", data.x_train), more.pop("y", data.y_train), **more)


class _Page(HTMLParser):
    """Identities, texts, and all addresses from which a browser would take something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.resources: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "data", "srcset") and tag != "a":
                self.resources.append(value or "")
            if name == "style":
                self.resources += re.findall(r"url\((.*?)\)", value or "")

    def handle_data(self, data: str) -> None:
        self.words += f" {data}"


def page_of(path: Path) -> _Page:
    page = _Page(path.read_text())
    page.words = re.sub(r"\s+", " ", page.words)
    assert "script" not in page.tags
    assert [each for each in page.resources if not each.startswith(("data:", "#"))] == []
    assert len(page.ids) == len(set(page.ids)), "two things of one page have one name"
    return page


def test_a_real_run_is_told_in_full(run: Path, digits: km.datasets.Dataset, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    path = km.report(run, tmp_path / "page.html", data=digits)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    page = page_of(path)
    assert set(page.ids) >= FIGURES
    for words in ("narrow", "wide", "deep", "mothernet", "p2.xlarge", keras.__version__, "adam"):
        assert words in page.words
    predictions = Predictions.of(
        [km.Member(model(run, name), name) for name in ("narrow", "wide", "deep")],
        digits.x_test, digits.y_test,
    )  # fmt: skip
    statistics = EnsembleStatistics(predictions)
    assert f"{1 - statistics.accuracy():.2%}" in page.words
    assert f"{100 * (1 - statistics.accuracy([1])):.2f}" in page.words
    share = km.explain(model(run, "mothernet"), model(run, "deep")).inherited
    assert f"{share:.0%} inherited" in page.words
    text = path.read_text()
    assert text.count('class="inserted"') == 1 and text.count('class="widened"') == 4
    assert "data:image/png;base64," in text
    can_go = statistics.which_can_go(0.001)
    assert (f"{len(can_go)} of 3 members can go" if can_go else "Nobody can go") in page.words


def model(run: Path, job: str) -> keras.Model:
    return keras.models.load_model(run / "jobs" / job / "model.keras")


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_it(
    run: Path, digits: km.datasets.Dataset, tmp_path: Path, width: int, dark: bool
) -> None:
    path = km.report(run, tmp_path / "page.html", data=digits)
    with Browser(tmp_path / "browser") as browser:
        browser.open(path, width, dark)
        assert browser.complaints() == []
        asked = [url for url in browser.requests() if not url.startswith("data:")]
        assert asked == [path.resolve().as_uri()]
        entries = browser.value("performance.getEntriesByType('resource').map(e => e.name)")
        assert [each for each in entries if not each.startswith("data:")] == []
        room = browser.value("document.documentElement.clientWidth")
        assert room == width
        assert browser.value("document.documentElement.scrollWidth") <= room
        shown = browser.value(
            "[...document.querySelectorAll('figure.chart')].map(f => [f.id,"
            " f.querySelector('svg').getBoundingClientRect().width,"
            " f.querySelectorAll('svg text').length])"
        )
        assert {each[0] for each in shown} == FIGURES
        assert all(0.8 * min(room, 440) < each[1] <= room and each[2] > 3 for each in shown)
        paper, ink = browser.value(
            "[getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.querySelector('figure.chart svg text')).fill]"
        )
        paper, ink = (sum(map(int, re.findall(r"\d+", each)[:3])) for each in (paper, ink))
        assert (paper < 150 and ink > 450) if dark else (paper > 700 and ink < 150)
        browser.open(path, width, dark)
        assert browser.value("[...document.images].every(i => i.naturalWidth > 0)")


def test_names_are_texts_whatever_is_in_them(
    run: Path, digits: km.datasets.Dataset, tmp_path: Path
) -> None:
    names = [f"<img src=x onerror=alert({number})>" for number in range(CLASSES)]
    path = km.report(
        run, tmp_path / "page.html", data=(digits.x_test, digits.y_test), class_names=names,
        title="<script>alert(1)</script> & more",
    )  # fmt: skip
    page = page_of(path)
    assert "<script>alert(1)</script> & more" in page.words
    assert "<img src=x onerror=alert(" in page.words


def test_without_data_it_says_what_is_missing(run: Path, tmp_path: Path) -> None:
    page = page_of(km.report(run, tmp_path / "page.html"))
    assert "no labelled data were given" in page.words
    assert set(page.ids) & FIGURES == {"timeline", "curve-accuracy", "curve-loss"}


@pytest.mark.parametrize("make", [km.FullData, km.Bagging])
def test_a_run_in_memory_where_nothing_is_hatched(
    make: Callable[..., Any], digits: km.datasets.Dataset, tmp_path: Path
) -> None:
    method = make([dense("narrow", 16), dense("wide", 32)])
    train(method, digits, epochs=1, validation_data=None)
    with pytest.raises(km.MotherNetsError, match="kept in memory, so `path` must say"):
        km.report(method)
    page = page_of(km.report(method, tmp_path / "page.html", data=digits))
    assert "nothing was hatched from a mother" in page.words
    assert "There were no validation data" in page.words
    assert "they stand one after the other" in page.words
    assert set(page.ids) >= FIGURES


class _Fails(keras.callbacks.Callback):
    def on_train_begin(self, logs: object = None) -> None:
        raise ValueError("no <b>luck</b>")


@pytest.mark.slow
def test_members_that_failed_are_told(digits: km.datasets.Dataset, tmp_path: Path) -> None:
    members = [dense("good", 16, 32), dense("better", 32, 16)]
    bad = km.Member(dense("bad", 24, 24).model, callbacks=[_Fails()])
    method = km.MotherNets([*members, bad], member_epochs=1)
    history = train(method, digits, epochs=1, run_dir=tmp_path / "run", on_failure="skip")
    assert list(history.failed) == ["bad"]
    for source in (method, tmp_path / "run"):
        page = page_of(km.report(source, tmp_path / "page.html", data=digits))
        assert "Not finished: 1 of 4 jobs" in page.words
        assert "no <b>luck</b>" in page.words
        assert "2 of 3" in page.words
        assert set(page.ids) >= FIGURES


def test_one_member(digits: km.datasets.Dataset, tmp_path: Path) -> None:
    method = km.FullData([dense("only", 16)])
    train(method, digits, epochs=1)
    page = page_of(km.report(method, tmp_path / "page.html", data=digits))
    assert "there is one member, and these compare several" in page.words
    assert set(page.ids) & FIGURES == {"timeline", "curve-accuracy", "curve-loss", "calibration"}
    assert "FullData: 1 member " in page.words


@pytest.mark.slow
def test_a_regression(digits: km.datasets.Dataset, tmp_path: Path) -> None:
    method = km.MotherNets([dense(n, u, last=1, end=None) for n, u in (("a", 8), ("b", 16))])
    train(method, digits, "mse", epochs=1, run_dir=tmp_path / "run")
    for source in (method, tmp_path / "run"):
        path = km.report(source, tmp_path / "page.html", data=(digits.x_test, digits.y_test))
        page = page_of(path)
        statistics = EnsembleStatistics.of(method.members, digits.x_test, digits.y_test)
        assert f"{statistics.mse():.4g}" in page.words
        assert "they are of classes, and this is a regression" in page.words
        assert set(page.ids) & FIGURES == {"timeline", "curve-loss", "growth"}


def test_several_labels_at_once(digits: km.datasets.Dataset, tmp_path: Path) -> None:
    y = np.stack([digits.y_train % 2, digits.y_train > 4], axis=1).astype("float32")
    members = [dense(n, u, last=2, end=end) for n, u, end in (("a", 8, None), ("b", 16, None))]
    method = km.MotherNets(members)
    method.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    method.fit(digits.x_train, y, epochs=1, verbose=0, run_dir=tmp_path / "run")
    for source in (method, tmp_path / "run"):
        path = km.report(source, tmp_path / "page.html", data=(digits.x_train, y))
        page = page_of(path)
        assert "says yes or no to each of several units" in page.words
        assert set(page.ids) & FIGURES == {"timeline", "curve-loss"}


@pytest.mark.slow
def test_logits_are_known_from_the_run_directory(
    digits: km.datasets.Dataset, tmp_path: Path
) -> None:
    method = km.FullData([dense("a", 8, end=None), dense("b", 16, end=None)])
    method.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    method.fit(digits.x_train, digits.y_train, epochs=1, verbose=0, run_dir=tmp_path / "run")
    pages = [
        page_of(km.report(source, tmp_path / "page.html", data=digits)).words
        for source in (method, tmp_path / "run")
    ]
    tables = [re.search(r"log-likelihood.*?ensemble ([\d. ]+)", words) for words in pages]
    assert tables[0] is not None and tables[1] is not None
    assert tables[0][1] == tables[1][1]


@pytest.mark.slow
def test_a_hundred_members_stay_usable(digits: km.datasets.Dataset, tmp_path: Path) -> None:
    members = [dense(f"m{n:03}", 4 + n % 7, 10 - n % 7) for n in range(100)]
    method = km.MotherNets(members, member_epochs=1)
    small = {"x": digits.x_train[:128], "y": digits.y_train[:128], "epochs": 1}
    small["validation_data"] = None  # a third of the time
    train(method, digits, run_dir=tmp_path / "run", **small)
    path = km.report(method, tmp_path / "page.html", data=(digits.x_test, digits.y_test))
    page = page_of(path)
    assert path.stat().st_size < 3e6
    assert "88 more members" in page.words
    assert set(page.ids) >= FIGURES
    if CHROMIUM is not None:
        with Browser(tmp_path / "browser") as browser:
            browser.open(path, 390)
            assert browser.value("document.documentElement.scrollWidth") <= 390
            assert browser.value("document.documentElement.scrollHeight") < 25_000


@pytest.mark.slow
def test_the_command_reads_its_data_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(
        "from keras_mothernets import zoo\n"
        "def make(shape, classes):\n"
        "    return [zoo.mlp(shape, classes, h, scale=1 / 255, name=n)\n"
        "            for n, h in {'narrow': (8, 8), 'wide': (16, 12)}.items()]\n"
    )
    train = ["train", "models.py:make", "digits", "--epochs", "1", "--run-dir", "run"]
    assert main([*train, "--report", "at_once.html"]) == 0
    assert main(["report", "run"]) == 0
    assert capsys.readouterr().out.endswith("Report: run/report.html\n")
    pages = [page_of(tmp_path / name) for name in ("at_once.html", "run/report.html")]
    for page in pages:
        assert set(page.ids) >= FIGURES
        assert "keras-mothernets train models.py:make digits" in page.words
        assert "models.py:make on digits, by mothernets" in page.words
    assert main(["report", "run", "--no-data", "--out", "less.html", "--price", "36"]) == 0
    less = page_of(tmp_path / "less.html")
    assert "asked for without them" in less.words and "your price" in less.words
    assert "quality" not in less.ids
    command = json.loads((tmp_path / "run/command.json").read_text())
    command["arguments"][2] = "no_such_data"
    (tmp_path / "run/command.json").write_text(json.dumps(command))
    assert main(["report", "run"]) == 0
    assert "cannot be loaded here" in page_of(tmp_path / "run/report.html").words


def test_a_network_that_is_damaged_is_not_believed(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    file = copy / "jobs" / "wide" / "model.keras"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    page = page_of(km.report(copy))
    assert "Not finished: 1 of 4 jobs" in page.words and "wide : damaged" in page.words


def _no_run(run: Path, tmp_path: Path) -> Any:
    return km.report(tmp_path / "nowhere", tmp_path / "page.html")


def _damaged(run: Path, tmp_path: Path) -> Any:
    (tmp_path / "plan.json").write_text("{")
    return km.report(tmp_path)


def _nothing_finished(run: Path, tmp_path: Path) -> Any:
    shutil.copy(run / "plan.json", tmp_path)
    return km.report(tmp_path)


def _no_folder(run: Path, tmp_path: Path) -> Any:
    return km.report(run, tmp_path / "nowhere" / "page.html")


def _a_folder(run: Path, tmp_path: Path) -> Any:
    return km.report(run, tmp_path)


def _other_shape(run: Path, tmp_path: Path) -> Any:
    return km.report(run, tmp_path / "p.html", data=(np.zeros((4, 9, 9, 1)), np.zeros(4, int)))


def _other_length(run: Path, tmp_path: Path) -> Any:
    return km.report(run, tmp_path / "p.html", data=(np.zeros((4, 8, 8, 1)), np.zeros(3, int)))


def _no_pair(run: Path, tmp_path: Path) -> Any:
    return km.report(run, tmp_path / "p.html", data=np.zeros((4, 8, 8, 1)))


def _few_names(run: Path, tmp_path: Path) -> Any:
    data = (np.zeros((4, 8, 8, 1)), np.zeros(4, int))
    return km.report(run, tmp_path / "p.html", data=data, class_names=["one"])


def _no_method(run: Path, tmp_path: Path) -> Any:
    return km.report(7)


def _not_fitted(run: Path, tmp_path: Path) -> Any:
    return km.report(km.FullData([dense("a", 4)]), tmp_path / "p.html")


def _bad_price(run: Path, tmp_path: Path) -> Any:
    return km.report(run, tmp_path / "p.html", usd_per_hour={"mine": -1})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (_no_run, "There is no run in"),
        (_damaged, "cannot be read"),
        (_nothing_finished, "Nothing of this run is finished"),
        (_no_folder, "There is no folder"),
        (_a_folder, "is a folder"),
        (_other_shape, "shape"),
        (_other_length, "4"),
        (_no_pair, "`data` cannot be used"),
        (_few_names, "`class_names` must name every class"),
        (_no_method, "nothing that can be reported"),
        (_not_fitted, "no run of this method yet"),
        (_bad_price, "`usd_per_hour`"),
    ],
)
def test_what_cannot_be_told_is_an_error(
    call: Callable[[Path, Path], Any], words: str, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(km.MotherNetsError, match=words):
        call(run, tmp_path)
    assert not list(tmp_path.glob("*.html"))


LOG = """\
2026-01-01 10:00:00 the run begins, or goes on
2026-01-01 10:00:01 m: begins, mother, own weights
2026-01-01 10:00:11 m: finished in 10.2 s loss 0.5
2026-01-01 10:00:11 a: begins, member, hatched from m
2026-01-01 10:00:11 b: begins, member, hatched from m
2026-01-01 10:00:15 a: epoch 1/2 loss 0.5
2026-01-01 10:00:16 b: Job `b` is left out: ValueError
more: of it
2026-01-01 10:00:17 the run has stopped: KeyboardInterrupt
2026-01-02 09:00:00 the run begins, or goes on
2026-01-02 09:00:00 m: was finished loss 0.5
2026-01-02 09:00:01 a: begins, member, hatched from m
2026-01-02 09:00:01 a: goes on after epoch 1/2
2026-01-02 09:00:05 a: finished in 10.0 s loss 0.4
2026-01-02 09:00:06 the run has ended
nobody: begins
"""


def test_a_log_tells_when_jobs_ran_without_the_night_between() -> None:
    times = read_times(LOG, {"m", "a", "b"})
    told = [(span.job, span.start, span.end, span.worker) for span in times.spans]
    assert told == [("m", 1, 11, 0), ("b", 11, 16, 0), ("a", 11, 17, 1), ("a", 18, 22, 0)]
    assert times.stops == (17.0,)
    assert times.failed == {"b": "Job `b` is left out: ValueError\nmore: of it"}
    assert times.workers == 2


def test_growth_is_what_the_statistics_say() -> None:
    random = np.random.default_rng(0)
    values = random.dirichlet(np.ones(4), (5, 60))
    statistics = EnsembleStatistics(Predictions.of_classes(values, random.integers(0, 4, 60)))
    grown = growth(statistics)
    for count in range(1, 6):
        first = list(range(count))
        assert grown["ensemble"][count - 1] == pytest.approx(1 - statistics.accuracy(first))
        assert grown["oracle"][count - 1] == pytest.approx(1 - statistics.oracle_accuracy(first))
        assert grown["member"][count - 1] == pytest.approx(1 - statistics.accuracy([count - 1]))


def test_the_gap_of_a_reliability_diagram_is_the_calibration_error() -> None:
    random = np.random.default_rng(1)
    values, labels = random.dirichlet(np.ones(3), (1, 500)), random.integers(0, 3, 500)
    sure, right, share = reliability(values, labels)
    statistics = EnsembleStatistics(Predictions.of_classes(values, labels))
    assert np.sum(share * np.abs(sure - right)) == pytest.approx(statistics.ece(bins=10))


def test_the_most_contested_examples_come_first() -> None:
    sure = {0: [0.9, 0.05, 0.05], 1: [0.05, 0.9, 0.05], 2: [0.05, 0.05, 0.9]}
    votes = np.array([[0, 0, 1], [0, 0, 0], [0, 1, 2]])  # (members, examples)
    predictions = Predictions.of_classes(
        [[sure[v] for v in row] for row in votes], [0, 0, 1], "abc"
    )
    assert np.argsort(vote_entropy(votes, 3)).tolist() == [0, 1, 2]
    first, second = most_contested(predictions, np.zeros((3, 4, 5)), ["x", "y", "z"])
    assert (first.number, first.truth, len(first.votes)) == (2, "y", 3)
    assert [(each.name, each.members) for each in second.votes] == [
        ("x", ("a", "b")),
        ("y", ("c",)),
    ]
    assert second.is_right and first.image.startswith("data:image/png")
    assert most_contested(predictions, np.zeros((3, 7)))[0].image == ""
