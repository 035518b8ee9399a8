"""Drawings of networks: what stands in them, against hand counts and the plans' own rows."""

from __future__ import annotations

import math
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers
from matplotlib.backends.backend_agg import FigureCanvasAgg

import keras_mothernets as km
from keras_mothernets.errors import GraphError, MotherNetsError, SurgeryError
from keras_mothernets.graph import read
from keras_mothernets.reporting.drawing_blocks import Column, blocks_of, columns, forks_of
from keras_mothernets.reporting.drawing_layout import TALLEST, Layout, Row, lay_out
from keras_mothernets.reporting.drawing_origins import origins
from keras_mothernets.reporting.drawing_repeats import collapse_columns
from keras_mothernets.surgery import explain

IMAGE = (32, 32, 3)


def _mlp(hidden: tuple[int, ...], name: str) -> keras.Model:
    return km.zoo.mlp((20,), 10, hidden, name=name)


def _crossed() -> keras.Model:
    """Two ways that exchange what they have: no tensor inside carries everything."""
    x = keras.Input((16,))
    a, b = layers.Dense(8)(x), layers.Dense(8)(x)
    c, d = layers.Dense(8)(layers.Add()([a, b])), layers.Dense(8)(layers.Multiply()([a, b]))
    y = layers.Add()([layers.Multiply()([c, d]), a])
    return keras.Model(x, layers.Dense(2)(y), name="crossed")


def _inception() -> keras.Model:
    """Four branches, of which two have two layers."""
    x = keras.Input((8, 8, 8))
    ways = [layers.Conv2D(8, 1)(x), layers.Conv2D(4, 1)(layers.Activation("relu")(x))]
    ways += [layers.Conv2D(8, k, padding="same")(layers.Conv2D(4, 1)(x)) for k in (3, 5)]
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Concatenate()(ways))))


FAMILIES: dict[str, Any] = {
    "inception": _inception,
    "mlp": lambda: _mlp((64,), "mlp"),
    "vgg": lambda: km.zoo.v5(IMAGE, 10, width=0.25)[-1].model,
    "resnet20": lambda: km.zoo.resnet(IMAGE, 10, depth=20),
    "resnet110": lambda: km.zoo.resnet(IMAGE, 10, depth=110),
    "densenet40": lambda: km.zoo.densenet(IMAGE, 10, depth=40),
    "vit": lambda: km.zoo.vit(IMAGE, 10),
    "mobilenet": lambda: km.zoo.mobilenet(IMAGE, 10),
    "crossed": _crossed,
}
QUICK = ("inception", "mlp", "resnet20", "crossed")
PAIRS: dict[str, Any] = {
    "mlp": lambda: (_mlp((16,), "small"), _mlp((32, 32), "large")),
    "v5": lambda: _v5_pair(),
    "kernel": lambda: (
        km.zoo.vgg(IMAGE, 10, [[(3, 8)], [(3, 16)]], name="small"),
        km.zoo.vgg(IMAGE, 10, [[(5, 8)], [(3, 32)] * 2], name="large"),
    ),
    "resnet": lambda: (
        km.zoo.resnet(IMAGE, 10, depth=20, name="small"),
        km.zoo.resnet(IMAGE, 10, depth=32, width=2, name="large"),
    ),
    "densenet": lambda: (
        km.zoo.densenet(IMAGE, 10, depth=13, name="small"),
        km.zoo.densenet(IMAGE, 10, depth=19, growth=16, name="large"),
    ),
}


def _v5_pair() -> tuple[keras.Model, keras.Model]:
    members = km.zoo.v5(IMAGE, 10, width=0.25)
    return km.mothernet(members), members[1].model


def _named(table: dict[str, Any], quick: tuple[str, ...]) -> list[Any]:
    return [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in table]


def _counts(stages: list[Column]) -> list[int]:
    return [len(list(blocks_of(column.items))) for column in stages if column.items]


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("mlp", [2]),
        # A stem and three units of two; then with a projection each; the last layer.
        ("resnet20", [7, 7, 7, 1]),
        # A stem, twelve units and the transition's convolution, which is before its pooling.
        pytest.param("densenet40", [14, 13, 12, 1], marks=pytest.mark.slow),
        # Patches and positions; six blocks of attention and two dense layers; the last layer.
        pytest.param("vit", [2, 18, 1], marks=pytest.mark.slow),
        ("inception", [6, 1]),
        ("crossed", [2]),
    ],
)
def test_blocks_of_each_stage_by_hand(family: str, expected: list[int]) -> None:
    assert _counts(columns(read(FAMILIES[family]()))) == expected


def test_deep_networks_are_drawn_once_per_unit() -> None:
    stages = collapse_columns(columns(read(km.zoo.resnet(IMAGE, 10, depth=110))))
    # Stem and one unit; unit with projection and one for the other seventeen; the last layer.
    assert _counts(stages) == [3, 5, 5, 1]
    repeats = [item.count for column in stages for item in column.items if hasattr(item, "count")]
    assert repeats == [18, 17, 17]


def test_forks_tell_shortcuts_and_merges() -> None:
    stages = columns(read(km.zoo.resnet(IMAGE, 10, depth=20)))
    forks = [fork for column in stages for fork in forks_of(column.items)]
    assert [fork.has_shortcut for fork in forks] == [True] * 3 + [False, True, True] * 2
    assert {fork.symbol for fork in forks} == {"+"}


def _layout(model: keras.Model) -> Layout:
    return lay_out([Row("a network", tuple(columns(read(model))))])


def test_heights_are_in_proportion_or_square_roots() -> None:
    near = _layout(_mlp((40,), "near"))
    assert [b.height for b in near.blocks] == pytest.approx([TALLEST, TALLEST / 4])
    far = _layout(_mlp((1000,), "far"))
    assert [b.height for b in far.blocks] == pytest.approx([TALLEST, TALLEST * math.sqrt(0.01)])
    assert near.scale.is_linear and not far.scale.is_linear


def test_the_last_block_stands_right_of_the_first_and_inside() -> None:
    layout = _layout(km.zoo.resnet(IMAGE, 10, depth=20))
    assert len(layout.bands) == 4
    xs = [placed.x for placed in layout.blocks]
    assert xs[0] < xs[-1] < layout.width
    assert all(-layout.height < placed.y < 0 for placed in layout.blocks)


def _row_of_plan(plan: km.surgery.HatchPlan) -> dict[str, tuple[str, str]]:
    """Layer names with what the printed plan says of them."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in str(plan).splitlines()[3:]]
    return {row[0]: (row[1], row[3]) for row in rows}


@pytest.mark.parametrize("name", _named(PAIRS, ("mlp", "v5", "kernel")))
def test_blocks_come_from_where_the_plan_says(name: str) -> None:
    mother, member = PAIRS[name]()
    plan = explain(mother, member)
    rows, of = _row_of_plan(plan), origins(plan)
    checked = set()
    for node in read(member).nodes:
        if node.kind not in ("Conv2D", "Dense"):
            continue
        origin, how = of(node), rows[node.name][1]
        assert origin is not None
        checked.add(origin.how)
        if origin.how != "inherited":
            expected = "new branch" if origin.how == "branch" else "inserted"
            assert how.startswith(expected), node.name
            continue
        outputs = re.search(r"outputs (\d+) > (\d+)", how)
        channels = node.output_shapes[0][-1]
        assert origin.kept == (int(outputs[1]) if outputs else channels), node.name
        assert (origin.kernel is not None) == ("kernel enlarged" in how), node.name
    assert "inherited" in checked and len(checked) > 1


def _overlaps(figure: Any) -> list[tuple[str, str]]:
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [t for t in figure.axes[0].texts if t.get_text()]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
    page = figure.bbox
    outside = [
        (words, "outside")
        for words, box in boxes
        if box.x0 < 0 or box.y0 < 0 or box.x1 > page.x1 or box.y1 > page.y1
    ]
    return outside + [
        (first, second)
        for (first, one), (second, other) in combinations(boxes, 2)
        if min(one.x1, other.x1) > max(one.x0, other.x0) + 0.5
        and min(one.y1, other.y1) > max(one.y0, other.y0) + 0.5
    ]


@pytest.mark.parametrize("family", _named(FAMILIES, QUICK))
def test_no_words_overlap_or_leave_the_picture(family: str) -> None:
    assert _overlaps(km.plot_architecture(FAMILIES[family]())) == []


@pytest.mark.parametrize("name", _named(PAIRS, ("mlp", "v5", "kernel")))
def test_no_words_overlap_in_hatchings(name: str) -> None:
    assert _overlaps(km.plot_hatching(*PAIRS[name]())) == []


def test_the_overlap_test_sees_overlaps() -> None:
    figure = km.plot_architecture(_mlp((64,), "mlp"))
    figure.axes[0].text(0, 0, "over the edge" * 20)
    assert ("over the edge" * 20, "outside") in _overlaps(figure)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_every_format_is_written(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{ending}"
    mother, member = PAIRS["mlp"]()
    km.plot_hatching(mother, [member, km.Member(member, name="again")], path)
    assert path.stat().st_size > 5_000
    if ending == "svg":
        text = path.read_text()
        for words in ("large", "again", "16→32", "inserted: an identity at first"):
            assert re.search(rf"<text[^>]*>[^<]*{words}", text), words


def test_notebooks_show_it() -> None:
    assert km.plot_architecture(_mlp((64,), "mlp"))._repr_png_().startswith(b"\x89PNG")


def test_an_indivisible_region_says_so() -> None:
    figure = km.plot_architecture(_crossed())
    words = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "indivisible" in words and "not deeper" in words


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    small, large = PAIRS["mlp"]()
    with pytest.raises(SurgeryError, match="small"):
        km.plot_hatching(large, small)
    with pytest.raises(GraphError, match="built|Input"):
        km.plot_architecture(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(MotherNetsError, match="cannot be written to"):
        km.plot_architecture(small, tmp_path / "no" / "p.svg")
    with pytest.raises(MotherNetsError, match="cannot be written to"):
        km.plot_architecture(small, tmp_path / "p.docx")
    with pytest.raises(MotherNetsError, match="at least one member"):
        km.plot_hatching(small, [])


def test_sequences_have_steps() -> None:
    sizes = [column.size for column in columns(read(km.zoo.vit(IMAGE, 10, depth=1)))]
    assert sizes == ["32 x 32", "8 x 8", "64 steps", "vector"]
