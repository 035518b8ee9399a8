"""docs/ZOO.md: that it is up to date, and that its numbers are those of the papers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import zoo_table  # noqa: E402

from keras_mothernets import zoo  # noqa: E402
from keras_mothernets.zoo.vgg16_variants import VGG16_BLOCKS, vgg16_variants  # noqa: E402

DOCUMENT = (ROOT / "docs" / "ZOO.md").read_text()
CHEAP = {"V5", "VGG for ImageNet", "WRN5"}


def _documented() -> dict[str, tuple[int, int]]:
    """Trained and all parameters by network, as they stand in the document."""
    found = {}
    for line in DOCUMENT.splitlines():
        name, *cells = [cell.strip().replace(",", "") for cell in line.strip("|").split("|")]
        if len(cells) in (2, 3) and cells[0].isdigit() and name != "**sum**":
            found[name] = int(cells[0]), int(cells[1])
    return found


@pytest.mark.parametrize(
    "name",
    [n if n in CHEAP else pytest.param(n, marks=pytest.mark.slow) for n in zoo_table.SECTIONS],
)
def test_the_document_is_up_to_date(name: str) -> None:
    assert f"\n\n{zoo_table.section(name)}\n" in DOCUMENT


def test_the_document_has_nothing_else() -> None:
    assert DOCUMENT.startswith(zoo_table.TITLE + "\n\n## ")
    headings = [line[3:] for line in DOCUMENT.splitlines() if line.startswith("## ")]
    assert headings == list(zoo_table.SECTIONS)


@pytest.mark.parametrize("name", zoo_table.PUBLISHED)
def test_numbers_round_to_the_published_ones(name: str) -> None:
    trained, _ = _documented()[name]
    if name.startswith("ResNet"):
        trained -= 2_752  # projections, for which the authors pad with zeros
    published = zoo_table.PUBLISHED[name]
    decimals = len(published.partition(".")[2])
    assert f"{trained / 1e6:.{decimals}f}" == published


def test_vgg16_has_exactly_the_published_parameters() -> None:
    assert _documented()["VGG configuration D (VGG16)"] == (138_357_544, 138_357_544)
    [size] = zoo_table.sizes(lambda: [zoo.vgg((32, 32, 3), 10, VGG16_BLOCKS, batch_norm=False)])
    assert size.total - (512 * 10 + 10) == 14_714_688


def test_counting_without_weights_is_counting() -> None:
    def build() -> list:
        return [zoo.resnet((8, 8, 3), 10, depth=8), zoo.densenet((8, 8, 3), 10, depth=10)]

    sizes = zoo_table.sizes(build)
    for model, size in zip(build(), sizes, strict=True):
        assert size.total == sum(weight.size for weight in model.get_weights())
        statistics = sum(weight.numpy().size for weight in model.non_trainable_weights)
        assert size.total - size.trained == statistics > 0


def test_the_variants_of_vgg16_by_arithmetic() -> None:
    documented = _documented()
    for name, blocks in vgg16_variants(25).items():
        trained, channels = 0, 3
        for kernel_size, filters in (convolution for block in blocks for convolution in block):
            trained += kernel_size**2 * channels * filters + 2 * filters
            channels = filters
        assert documented[name][0] == trained + channels * 10 + 10
