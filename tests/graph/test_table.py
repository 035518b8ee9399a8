"""The table of an architecture, as a stranger sees it."""

from __future__ import annotations

import textwrap

import keras
from keras import layers
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)

from keras_mothernets.graph import read

BRANCH = "| branch: one of several ways from the line above the first branch to the line below"
WHOLE = "| kept whole: matched only with an identical skeleton, widened, never deepened"


def _conv(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    return layers.Conv2D(filters, 3, padding="same", name=name)(x)


def test_a_residual_block() -> None:
    x = keras.Input((8, 8, 4), name="image")
    y = layers.ReLU(name="relu")(_conv(x, 4, "conv1"))
    y = layers.Add(name="add")([x, _conv(y, 4, "conv2")])
    text = str(read(keras.Model(x, layers.GlobalAveragePooling2D(name="mean")(y), name="block")))
    assert text == textwrap.dedent(
        """\
        block: 296 parameters
        layer            does                    settings                                output     parameters
        ---------------  ----------------------  --------------------------------------  ---------  ----------
        image            Input                   float32                                 8 x 8 x 4  0
        | branch 1 of 2  passes on
        | branch 2 of 2
        |  conv1         Conv2D                  filters=4 kernel_size=3x3 padding=same  8 x 8 x 4  148
        |  relu          relu                                                            8 x 8 x 4  0
        |  conv2         Conv2D                  filters=4 kernel_size=3x3 padding=same  8 x 8 x 4  148
        add              Add                                                             8 x 8 x 4  0
        mean             GlobalAveragePooling2D                                          4          0
        | branch: one of several ways from the line above the first branch to the line below the last"""  # noqa: E501
    )


def test_a_chain_needs_no_explanation() -> None:
    text = str(read(keras.Sequential([keras.Input((4,)), layers.Dense(2, name="head")])))
    assert "|" not in text
    assert text.splitlines()[-1].split() == ["head", "Dense", "units=2", "2", "10"]


def test_dense_units_and_inception_branches() -> None:
    x = keras.Input((8, 8, 3), name="image")
    y = layers.Concatenate(name="grown")([x, _conv(x, 2, "unit")])
    pooled = layers.MaxPooling2D(3, 1, "same", name="pool")(y)
    y = layers.Concatenate(name="mixed")([_conv(y, 2, "left"), _conv(y, 3, "middle"), pooled])
    lines = [line.split() for line in str(read(keras.Model(x, y))).splitlines()]
    starts = [" ".join(line[:5]) for line in lines if line[0] == "|"]
    assert starts[:2] == ["| branch 1 of 2", "| branch 2 of 2"]
    assert [line for line in starts if line.endswith("of 3")] == [
        "| branch 1 of 3",
        "| branch 2 of 3",
        "| branch 3 of 3",
    ]
    assert starts[-1] == "| branch: one of several"


def test_a_u_net_is_read_as_branches_within_branches() -> None:
    x = keras.Input((8, 8, 3), name="image")
    a = _conv(x, 2, "a")
    b = _conv(layers.MaxPooling2D(name="pool_a")(a), 4, "b")
    c = _conv(layers.MaxPooling2D(name="pool_b")(b), 8, "c")
    d = layers.Concatenate(name="skip_b")([layers.UpSampling2D(name="up_c")(c), b])
    e = layers.Concatenate(name="skip_a")([layers.UpSampling2D(name="up_d")(d), a])
    text = str(read(keras.Model(x, layers.Conv2D(2, 1, name="head")(e))))
    assert "|  |  c " in text and "\n|  skip_b " in text and "\nskip_a " in text
    assert text.count("passes on") == 2
    assert BRANCH in text and WHOLE not in text


def test_what_has_no_cut_points_is_said_to_be_kept_whole() -> None:
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    x = layers.Dense(5, "relu", name="left_dense")(left)
    y = layers.Dense(5, name="right_dense")(right)
    both = layers.Concatenate(name="both")([x, y])
    text = str(read(keras.Model([left, right], layers.Dense(2, name="head")(both))))
    assert "\n| kept whole, 3 layers\n|  left_dense " in text
    assert text.splitlines()[-1].startswith(WHOLE)
    assert BRANCH not in text
