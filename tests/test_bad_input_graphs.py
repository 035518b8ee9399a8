"""Bad input to surgery: each ends in one clear sentence that names the culprit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)

from keras_mothernets.errors import GraphError, MotherNetsError, SurgeryError
from keras_mothernets.mothernet import mothernet
from keras_mothernets.rules import ElementwiseRule, register_rule
from keras_mothernets.surgery import (
    can_hatch,
    deepen,
    enlarge_kernels,
    explain,
    hatch,
    max_deviation,
    widen,
)


def net(name: str, *stack: Any, shape: Any = (5,), dtype: str | None = None) -> keras.Model:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *stack], name=name)


def mlp(
    name: str = "good", units: int = 4, activation: Any = "relu", **settings: Any
) -> keras.Model:
    hidden = layers.Dense(units, activation, name="hidden")
    return net(name, hidden, layers.Dense(3, name="head"), **settings)


def cnn(name: str, *stack: Any, shape: Any = (8, 8, 3)) -> keras.Model:
    return net(
        name, *stack, layers.GlobalAveragePooling2D(), layers.Dense(3, name="head"), shape=shape
    )


def conv(filters: int = 4, kernel: Any = 3, **settings: Any) -> layers.Layer:
    settings.setdefault("padding", "same")
    return layers.Conv2D(filters, kernel, name=settings.pop("name", "conv"), **settings)


TWO = ("one", "two")


class Unregistered(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2


class Doubled(keras.Model):
    """A Functional model that computes something else."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return 2 * super().call(inputs, training=training)


class Untold(layers.Layer):
    """Its constructor takes what its config does not tell."""

    def __init__(self, size: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.factor = size

    def call(self, x: Any) -> Any:
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        return super().get_config()


class Subclassed(keras.Model):
    def call(self, x: Any) -> Any:
        return x


def quantised() -> keras.Model:
    model = mlp("small", 8)
    model.get_layer("hidden").quantize("int8")
    return model


def with_lora() -> keras.Model:
    model = mlp("small", 8)
    model.get_layer("hidden").enable_lora(2)
    return model


def residual(name: str = "resnet", merge: Any = layers.Add) -> keras.Model:
    x = inputs = keras.Input((5,))
    x = layers.Dense(4, name="first")(x)
    if merge is not None:
        x = merge(name="meeting")([x, layers.Dense(4, "tanh", name="second")(x)])
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name=name)


def two_inputs() -> keras.Model:
    x, y = keras.Input((5,)), keras.Input((5,))
    return keras.Model([x, y], layers.Dense(3)(layers.Concatenate(name="both")([x, y])), name="two")


def shared(name: str, twice: bool) -> keras.Model:
    x = inputs = keras.Input((4,))
    first = layers.Dense(4, "relu", name="shared")
    second = first if twice else layers.Dense(4, "relu", name="own")
    return keras.Model(inputs, layers.Dense(3)(second(first(x))), name=name)


def normalised(name: str, factor: float) -> keras.Model:
    layer = layers.Normalization(name="normalise")
    layer.adapt(factor * np.random.default_rng(0).normal(size=(20, 5)).astype("float32"))
    return net(name, layer, layers.Dense(3))


def custom(x: Any) -> Any:
    return keras.ops.relu(x) * 2


MAX = layers.MaxPooling2D
BAD: dict[str, tuple[Callable[[], object], type[Exception], tuple[str, ...]]] = {
    # --- a whole model is not what it should be
    "no_members": (lambda: mothernet([]), MotherNetsError, ("at least one member", "empty list")),
    "a_model_in_place_of_a_list": (
        lambda: mothernet(mlp()),
        MotherNetsError,
        ("`members`", "list", "`[model]`"),
    ),
    "a_member_that_is_no_model": (
        lambda: mothernet([mlp(), "vgg"]),
        MotherNetsError,
        ("Member 1", "str"),
    ),
    "hatch_what_is_no_model": (
        lambda: hatch(mlp(), np.zeros(3)),
        GraphError,
        ("Only Keras models", "ndarray"),
    ),
    "hatch_from_a_layer": (
        lambda: hatch(layers.Dense(3), mlp()),
        GraphError,
        ("Only Keras models", "Dense"),
    ),
    "unbuilt_member": (
        lambda: mothernet([mlp(), keras.Sequential([layers.Dense(2)], name="raw")]),
        GraphError,
        ("Member `raw`", "not built", "keras.Input"),
    ),
    "unbuilt_in_can_hatch": (
        lambda: can_hatch(mlp(), keras.Sequential([layers.Dense(2)], name="raw")),
        GraphError,
        ("`raw`", "not built"),
    ),
    "subclassed_member": (
        lambda: mothernet([mlp(), Subclassed(name="mine")]),
        GraphError,
        ("Member `mine`", "subclassed"),
    ),
    "nested_subclassed_model": (
        lambda: mothernet([net("outer", Subclassed(name="mine"), layers.Dense(3))]),
        GraphError,
        ("`outer`", "`mine`", "subclassed"),
    ),
    # --- inputs and outputs
    "other_input_shape": (
        lambda: mothernet([mlp("one"), mlp("two", shape=(6,))]),
        SurgeryError,
        ("`one`", "`two`", "different inputs", "5", "6"),
    ),
    "other_input_dtype": (
        lambda: hatch(mlp("one"), mlp("two", dtype="float64")),
        SurgeryError,
        ("`one`", "`two`", "float32", "float64"),
    ),
    "other_number_of_inputs": (
        lambda: hatch(mlp("one"), two_inputs()),
        SurgeryError,
        ("`two`",),
    ),
    "other_head": (
        lambda: mothernet([mlp("one"), net("two", layers.Dense(4, "relu"), layers.Dense(10))]),
        SurgeryError,
        ("`one`", "`two`", "different outputs", "3", "10"),
    ),
    "other_output_activation": (
        lambda: mothernet([mlp("one"), net("two", layers.Dense(3, "softmax", name="odds"))]),
        SurgeryError,
        ("`one`", "`two`", "softmax"),
    ),
    # --- layers
    "unregistered_layer": (
        lambda: mothernet([mlp(), net("two", Unregistered(name="odd"), layers.Dense(3))]),
        GraphError,
        ("Member `two`", "`odd`", "Unregistered", "register_rule"),
    ),
    "unregistered_in_hatch": (
        lambda: hatch(mlp(), net("two", Unregistered(name="odd"), layers.Dense(3))),
        GraphError,
        ("`two`", "`odd`", "Unregistered", "register_rule"),
    ),
    "raw_operation_without_a_rule": (
        lambda: mothernet([_with_cumsum()]),
        GraphError,
        ("`ops`", "Cumsum"),
    ),
    "lambda": (
        lambda: mothernet(
            [net("two", layers.Lambda(lambda x: x * 2, name="twice"), layers.Dense(3))]
        ),
        GraphError,
        ("Member `two`", "`twice`", "Lambda"),
    ),
    "layer_without_a_rule": (
        lambda: mothernet([net("two", layers.SpectralNormalization(layers.Dense(3), name="sn"))]),
        GraphError,
        ("Member `two`", "`sn`", "SpectralNormalization"),
    ),
    "quantised": (
        lambda: mothernet([mlp(), quantised()]),
        GraphError,
        ("Member `small`", "`hidden`", "quantised", "int8"),
    ),
    "quantised_mother": (
        lambda: hatch(quantised(), mlp("member", 9)),
        GraphError,
        ("`hidden`", "quantised"),
    ),
    "lora": (
        lambda: mothernet([mlp(), with_lora()]),
        GraphError,
        ("Member `small`", "`hidden`", "LoRA"),
    ),
    "custom_activation": (
        lambda: mothernet([mlp(), mlp("two", activation=custom)]),
        GraphError,
        ("Member `two`", "`hidden`", "activation", "custom"),
    ),
    "config_that_tells_too_little": (
        lambda: _hatch_untold(),
        GraphError,
        ("`untold`", "Untold", "config"),
    ),
    # --- branches
    "gate_in_the_member_alone": (
        lambda: hatch(residual("plain", merge=None), residual("gated", merge=layers.Multiply)),
        SurgeryError,
        ("`plain`", "`gated`", "`meeting`", "Multiply"),
    ),
    "branches_that_meet_differently": (
        lambda: mothernet([residual("one"), residual("two", merge=layers.Maximum)]),
        SurgeryError,
        ("`one`", "`two`", "`meeting`"),
    ),
    "branch_in_the_mother_alone": (
        lambda: hatch(residual("branched"), residual("plain", merge=None)),
        SurgeryError,
        ("`branched`", "`plain`", "`meeting`"),
    ),
    "branches_of_different_width": (
        lambda: widen(residual(), {"second": 6}),
        SurgeryError,
        ("`resnet`", "`meeting`", "(None, 4)", "(None, 6)", "together"),
    ),
    # --- networks that do not fit
    "resolutions_that_cannot_meet": (
        lambda: mothernet(
            [cnn("one", conv(), MAX(2), conv(name="c2")), cnn("two", conv(), conv(name="c2"))]
        ),
        SurgeryError,
        ("`one`", "`two`", "8 x 8", "4 x 4", "they part here"),
    ),
    "other_pooling": (
        lambda: hatch(
            cnn("one", conv(), MAX(2, name="max")),
            cnn("two", conv(), layers.AveragePooling2D(2, name="mean")),
        ),
        SurgeryError,
        ("`max`", "`mean`", "MaxPooling2D"),
    ),
    "other_activation": (
        lambda: mothernet([mlp("one"), mlp("two", activation="tanh")]),
        SurgeryError,
        ("`one`", "`two`", "relu", "tanh"),
    ),
    "elu_inserted": (
        lambda: hatch(
            mlp("one", activation="elu"),
            net(
                "two", layers.Dense(8, "elu"), layers.Dense(8, "elu", name="extra"), layers.Dense(3)
            ),
        ),
        SurgeryError,
        ("`one`", "`two`", "elu", "cannot be inserted"),
    ),
    "tanh_inserted": (
        lambda: mothernet(
            [
                mlp("one", activation="tanh"),
                net("two", layers.Dense(8, "tanh"), layers.Dense(8, "tanh"), layers.Dense(3)),
            ]
        ),
        SurgeryError,
        ("`one`", "`two`", "tanh"),
    ),
    "narrower_member": (
        lambda: hatch(mlp("one", 6), mlp("two", 4)),
        SurgeryError,
        ("`one`", "`two`", "`hidden`", "`units` shrinks from 6 to 4"),
    ),
    "narrower_in_explain": (
        lambda: explain(mlp("one", 6), mlp("two", 4)),
        SurgeryError,
        ("`hidden`", "6", "4"),
    ),
    "smaller_kernel": (
        lambda: hatch(cnn("one", conv(kernel=5)), cnn("two", conv(kernel=3))),
        SurgeryError,
        ("`conv`", "kernel_size", "5", "3"),
    ),
    "stride_2_from_1_to_3_taps_at_unknown_size": (
        lambda: hatch(
            cnn("one", conv(kernel=1, strides=2), shape=(None, None, 3)),
            cnn("two", conv(kernel=3, strides=2), shape=(None, None, 3)),
        ),
        SurgeryError,
        ("`conv`", "1 x 1", "3 x 3", "strides 2 x 2", "? x ?"),
    ),
    "valid_padding": (
        lambda: mothernet(
            [
                cnn("one", conv(kernel=3, padding="valid")),
                cnn("two", conv(kernel=5, padding="valid")),
            ]
        ),
        SurgeryError,
        ("`one`", "`two`", "`conv`", "3 x 3", "5 x 5", "valid"),
    ),
    "other_strides": (
        lambda: hatch(cnn("one", conv()), cnn("two", conv(strides=2))),
        SurgeryError,
        ("`conv`", "`strides`"),
    ),
    "other_padding": (
        lambda: hatch(cnn("one", conv()), cnn("two", conv(padding="valid"))),
        SurgeryError,
        ("`conv`", "`padding`", "same", "valid"),
    ),
    "other_groups": (
        lambda: hatch(cnn("one", conv(3)), cnn("two", conv(3, groups=3))),
        SurgeryError,
        ("`conv`", "`groups`"),
    ),
    "groups_across_wider_groups": (
        lambda: hatch(
            cnn("one", layers.Conv2D(6, 1), layers.Conv2D(6, 1, groups=3), conv(6, groups=2)),
            cnn("two", layers.Conv2D(6, 1), layers.Conv2D(12, 1, groups=3), conv(6, groups=2)),
        ),
        SurgeryError,
        ("`conv`", "grouped"),
    ),
    "epsilon_without_scale": (
        lambda: hatch(
            net("one", layers.BatchNormalization(scale=False, name="bn"), layers.Dense(3)),
            net(
                "two",
                layers.BatchNormalization(scale=False, epsilon=1e-5, name="bn"),
                layers.Dense(3),
            ),
        ),
        SurgeryError,
        ("`bn`", "epsilon"),
    ),
    "other_rescaling": (
        lambda: mothernet(
            [
                net("one", layers.Rescaling(0.5, name="scale"), layers.Dense(3)),
                net("two", layers.Rescaling(0.25, name="scale"), layers.Dense(3)),
            ]
        ),
        SurgeryError,
        ("`one`", "`two`", "`scale`", "0.5", "0.25"),
    ),
    "other_normalization": (
        lambda: mothernet([normalised("one", 1.0), normalised("two", 3.0)]),
        SurgeryError,
        ("Member `two`", "`normalise`", "`one`"),
    ),
    "other_vocabulary": (
        lambda: mothernet(
            [
                net(
                    name,
                    layers.Embedding(size, 4, name="words"),
                    layers.Flatten(),
                    layers.Dense(3),
                    dtype="int32",
                )
                for name, size in [("one", 10), ("two", 20)]
            ]
        ),
        SurgeryError,
        ("`words`", "`input_dim`", "10", "20"),
    ),
    "shared_in_one_alone": (
        lambda: hatch(shared("one", True), shared("two", False)),
        SurgeryError,
        ("shared by several calls",),
    ),
    "shared_in_the_other_alone": (
        lambda: hatch(shared("one", False), shared("two", True)),
        SurgeryError,
        ("`shared`", "shared by several calls"),
    ),
    "softmax_over_more_channels": (
        lambda: hatch(mlp("one", 4, "softmax"), mlp("two", 6, "softmax")),
        SurgeryError,
        ("`hidden", "softmax", "4", "6"),
    ),
    # --- arguments
    "negative_noise": (
        lambda: hatch(mlp(), mlp(), noise=-1.0),
        MotherNetsError,
        ("`noise`", "-1.0"),
    ),
    "noise_that_is_nan": (
        lambda: hatch(mlp(), mlp(), noise=float("nan")),
        MotherNetsError,
        ("`noise`", "nan"),
    ),
    "noise_without_end": (
        lambda: hatch(mlp(), mlp(), noise=float("inf")),
        MotherNetsError,
        ("`noise`", "inf"),
    ),
    "noise_in_words": (
        lambda: hatch(mlp(), mlp(), noise="much"),  # type: ignore[arg-type]
        MotherNetsError,
        ("`noise`", "'much'"),
    ),
    "negative_seed": (
        lambda: hatch(mlp(), mlp(), seed=-1),
        MotherNetsError,
        ("`seed`", "-1"),
    ),
    "calibration_of_another_shape": (
        lambda: hatch(*_with_norm(), calibration=np.ones((3, 7))),
        SurgeryError,
        ("`calibration`", "`plain`", "(None, 5)"),
    ),
    "calibration_without_examples": (
        lambda: hatch(*_with_norm(), calibration=np.ones((0, 5))),
        SurgeryError,
        ("`calibration`", "`plain`", "at least one example"),
    ),
    "calibration_of_nan": (
        lambda: hatch(*_with_norm(), calibration=np.full((3, 5), np.nan)),
        SurgeryError,
        ("`calibration`", "`plain`", "finite"),
    ),
    "a_name_with_a_slash": (
        lambda: hatch(mlp(), mlp(), name="a/b"),
        GraphError,
        ("name", "`/`", "'a/b'"),
    ),
    "a_mother_named_with_a_slash": (
        lambda: mothernet([mlp()], name="a/b"),
        GraphError,
        ("name", "`/`", "'a/b'"),
    ),
    "a_call_of_its_own": (
        lambda: mothernet([Doubled(*_in_and_out(), name="doubled")]),
        GraphError,
        ("Member `doubled`", "`call` of its own", "`Doubled`"),
    ),
    "a_call_of_its_own_inside": (
        lambda: mothernet([net("outer", Doubled(*_in_and_out(), name="doubled"))]),
        GraphError,
        ("Member `outer`", "`doubled`", "`call` of its own"),
    ),
    "widen_with_a_number": (
        lambda: widen(mlp(), 5),  # type: ignore[arg-type]
        SurgeryError,
        ("`sizes`", "dict", "5"),
    ),
    "widen_one_of_two_of_a_name": (
        lambda: widen(_two_of_a_name(), {"hidden": 9}),
        GraphError,
        ("several layers `hidden`", "`one/hidden`", "`two/hidden`"),
    ),
    "shrink_above_one": (
        lambda: hatch(mlp(), mlp(), shrink=2.0),
        MotherNetsError,
        ("`shrink`", "2.0"),
    ),
    "widen_to_less": (
        lambda: widen(mlp(), {"hidden": 2}),
        SurgeryError,
        ("`hidden`", "at least 4", "2"),
    ),
    "widen_to_a_fraction": (
        lambda: widen(mlp(), {"hidden": 4.5}),  # type: ignore[dict-item]
        SurgeryError,
        ("`hidden`", "whole number", "4.5"),
    ),
    "widen_an_unknown_layer": (
        lambda: widen(mlp(), {"missing": 9}),
        GraphError,
        ("`good`", "`missing`", "`hidden`"),
    ),
    "widen_the_output": (
        lambda: widen(mlp(), {"head": 5}),
        SurgeryError,
        ("output", "3", "5"),
    ),
    "widen_a_layer_without_width": (
        lambda: widen(cnn("one", conv(), MAX(2, name="pool")), {"pool": 4}),
        SurgeryError,
        ("`pool`", "MaxPooling2D", "no channels of its own"),
    ),
    "widen_before_a_fixed_reshape": (
        lambda: widen(
            net("one", layers.Dense(8, name="wide"), layers.Reshape((2, 4)), layers.Dense(3)),
            {"wide": 12},
        ),
        SurgeryError,
        ("`one`", "`reshape", "Reshape", "fixed"),
    ),
    "enlarge_to_less": (
        lambda: enlarge_kernels(cnn("one", conv()), {"conv": 1}),
        SurgeryError,
        ("`conv`", "at least (3, 3)", "1"),
    ),
    "enlarge_with_the_wrong_number_of_axes": (
        lambda: enlarge_kernels(cnn("one", conv()), {"conv": (5, 5, 5)}),
        SurgeryError,
        ("`conv`", "(5, 5, 5)"),
    ),
    "enlarge_with_text": (
        lambda: enlarge_kernels(cnn("one", conv()), {"conv": "55"}),  # type: ignore[dict-item]
        SurgeryError,
        ("`conv`", "55"),
    ),
    "enlarge_what_has_no_kernel": (
        lambda: enlarge_kernels(mlp(), {"hidden": 3}),
        SurgeryError,
        ("`hidden`", "Dense", "no kernel"),
    ),
    "enlarge_without_an_exact_place": (
        lambda: enlarge_kernels(cnn("one", conv(dilation_rate=2)), {"conv": 4}),
        SurgeryError,
        ("`conv`", "no exact place", "dilation 2 x 2"),
    ),
    "deepen_after_pooling": (
        lambda: deepen(cnn("one", conv(), MAX(2, name="pool")), "pool"),
        SurgeryError,
        ("`pool`", "MaxPooling2D", "cannot be repeated"),
    ),
    "deepen_after_the_output": (
        lambda: deepen(mlp(), "head"),
        SurgeryError,
        ("`head`", "output"),
    ),
    "deepen_with_tanh": (
        lambda: deepen(mlp(activation="tanh"), "hidden"),
        SurgeryError,
        ("`good`", "`hidden", "tanh"),
    ),
    "deepen_no_times": (
        lambda: deepen(mlp(), "hidden", copies=0),
        SurgeryError,
        ("`copies`", "at least 1", "0"),
    ),
    "deepen_an_unknown_layer": (
        lambda: deepen(mlp(), "missing"),
        GraphError,
        ("`missing`", "`hidden`"),
    ),
    "rule_for_what_is_no_layer": (
        lambda: register_rule(int, ElementwiseRule()),
        MotherNetsError,
        ("`layer_class`", "int"),
    ),
    "rule_that_is_a_class": (
        lambda: register_rule(Unregistered, ElementwiseRule),  # type: ignore[arg-type]
        MotherNetsError,
        ("`rule`", "ElementwiseRule", "instance"),
    ),
    "deviation_of_other_outputs": (
        lambda: max_deviation(mlp(), net("two", layers.Dense(7))),
        SurgeryError,
        ("different outputs", "3", "7"),
    ),
    "deviation_of_other_inputs": (
        lambda: max_deviation(mlp("one"), mlp("two", shape=(6,))),
        SurgeryError,
        ("`one`", "`two`", "different inputs"),
    ),
    "deviation_of_more_outputs": (
        lambda: max_deviation(mlp("one"), _two_outputs()),
        SurgeryError,
        ("outputs",),
    ),
    "deviation_on_no_examples": (
        lambda: max_deviation(mlp(), mlp(), batch_size=0),
        MotherNetsError,
        ("`batch_size`", "0"),
    ),
    "deviation_in_an_unknown_dtype": (
        lambda: max_deviation(mlp(), mlp(), dtype="float99"),
        MotherNetsError,
        ("`dtype`", "float99"),
    ),
}


def _with_cumsum() -> keras.Model:
    x = keras.Input((5,))
    return keras.Model(x, layers.Dense(3)(keras.ops.cumsum(x, axis=-1)), name="ops")


def _in_and_out() -> tuple[Any, Any]:
    x = keras.Input((5,))
    return x, layers.Dense(3)(x)


def _with_norm() -> tuple[keras.Model, keras.Model]:
    plain = mlp("plain")
    return plain, net("normed", *mlp().layers[:1], layers.BatchNormalization(), layers.Dense(3))


def _two_of_a_name() -> keras.Model:
    blocks = [keras.Sequential([layers.Dense(4, name="hidden")], name=name) for name in TWO]
    return net("both", *blocks, layers.Dense(3))


def _two_outputs() -> keras.Model:
    x = keras.Input((5,))
    return keras.Model(x, [layers.Dense(3)(x), layers.Dense(3)(x)], name="two")


def _hatch_untold() -> object:
    register_rule(Untold, ElementwiseRule())
    model = net("one", Untold(2, name="untold"), layers.Dense(3))
    return hatch(model, model)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_a_sentence_that_names_the_culprit(name: str) -> None:
    call, kind, fragments = BAD[name]
    with pytest.raises(MotherNetsError) as caught:
        call()
    assert isinstance(caught.value, kind)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, message
    sentence = message.partition("\n")[0]  # below it stands a table of stages where two part
    assert sentence.endswith("."), "one line that ends with a full stop"
    assert len(sentence) < 700, message
    assert ".." not in sentence.replace("...", ""), message


def test_the_same_calls_work_on_good_input() -> None:
    """None of the helpers above is what fails."""
    assert can_hatch(mlp("one", 4), mlp("two", 6))
    assert can_hatch(cnn("one", conv(kernel=3)), cnn("two", conv(6, kernel=5)))
    assert can_hatch(shared("one", True), shared("two", True))
    assert max_deviation(mlp("one"), mlp("one")) > 1e-3
    assert widen(mlp(), {"hidden": 6}).count_params() > mlp().count_params()
    assert deepen(mlp(), "hidden").count_params() > mlp().count_params()
    assert hatch(*_with_norm(), calibration=np.ones((3, 5))).built
    assert widen(_two_of_a_name(), {"one/hidden": np.int64(9)}).built
    assert mothernet([normalised("one", 1.0), normalised("two", 1.0)]).built
