"""`report`: a run as one HTML page that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from keras_mothernets.datasets import Dataset
from keras_mothernets.errors import MotherNetsError
from keras_mothernets.reporting.html_report.comparison import read_comparison
from keras_mothernets.reporting.html_report.measured import labelled
from keras_mothernets.reporting.html_report.page import Page, make_page
from keras_mothernets.reporting.html_report.run_data import read_run
from keras_mothernets.training.files import check_writable, write_atomically
from keras_mothernets.training.ledger import PRICES

NO_DATA = "no labelled data were given; give `data=(x, y)`."


def report(
    run: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    data: Any = None,
    class_names: Sequence[str] | None = None,
    title: str | None = None,
    usd_per_hour: Mapping[str, float] = PRICES,
    comparison: str | os.PathLike[str] | None = None,
    no_data: str = NO_DATA,
) -> Path:
    """Write what a run did, cost and reached as one HTML page, for people who were not there.

    The page holds all it needs and asks for nothing from a network. It shows each mother inside
    the members that were hatched from her, when each network was trained, learning curves, and
    cost; with labelled data also the errors of members and ensemble, how they differ, whether their
    probabilities are to be believed, and the most contested examples. What has no meaning for
    a run is left out, with a word why.

    Args:
        run: A method after `fit`, also one that was stopped, or the path of a run directory.
        path: The file to write; `report.html` in the run directory by default.
        data: Labelled examples that were not trained on, as `(x, y)` of what
            `keras.Model.fit` takes, or what `km.datasets.load` gives, of which the test part is
            taken. `None` leaves out what needs them.
        class_names: Names of the classes, in the order of their numbers; those of a loaded data
            set, else numbers.
        title: At the top of the page; the method and the number of its members by default.
        usd_per_hour: USD for an hour of each machine by its name, as in `ledger.cost`.
        comparison: Folder that `keras-mothernets compare` wrote, of several methods on such an
            ensemble: the page then has their errors against time.
        no_data: What the page says of why there are no labelled data.

    Returns:
        The path of the file.

    Raises:
        MotherNetsError: `run`, `data` or a price cannot be used, or the file cannot be written.
        RunError: There is no run in that folder, it is damaged, or nothing of it is finished.
        DataError: The data do not fit the members.

    Example:
        >>> import tempfile
        >>> import keras, numpy as np
        >>> import keras_mothernets as km
        >>> net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        >>> method = km.FullData([km.Member(net, name="net")])
        >>> method.compile("sgd", "sparse_categorical_crossentropy")
        >>> x, y = np.ones((8, 4), "float32"), np.arange(8) % 3
        >>> history = method.fit(x, y, epochs=1, verbose=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = report(method, f"{folder}/report.html", data=(x, y))
        ...     page.name, "<svg" in page.read_text()
        ('report.html', True)
    """
    examples = labelled(data)
    if class_names is None and isinstance(data, Dataset):
        class_names = data.class_names
    found = read_run(run)
    methods = None if comparison is None else read_comparison(comparison)
    target = _target(path, found.folder)
    check_writable(target)
    page = make_page(
        found,
        title=title,
        data=examples,
        class_names=class_names,
        usd_per_hour=usd_per_hour,
        no_data=no_data,
        comparison=methods,
    )
    try:
        write_atomically(target, render(page).encode())
    except OSError as error:
        raise MotherNetsError(f"`{target}` cannot be written", received=str(error)) from error
    return target


def render(page: Page) -> str:
    """The page as HTML; names and errors are texts there, whatever is in them.

    Args:
        page: Its contents.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_mothernets.reporting.html_report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(page=page, run=page.run, written=f"{datetime.now():%Y-%m-%d %H:%M}")


def _target(path: str | os.PathLike[str] | None, folder: Path | None) -> Path:
    if path is None and folder is None:
        raise MotherNetsError(
            "The run was kept in memory, so `path` must say where the report is written",
            expected="the path of a file",
            fix='Write for example `km.report(method, "report.html")`',
        )
    if path is not None and (not isinstance(path, (str, os.PathLike)) or not os.fspath(path)):
        raise MotherNetsError("`path` must be the path of a file", received=repr(path))
    return Path(path) if path is not None else Path(folder or ".") / "report.html"
