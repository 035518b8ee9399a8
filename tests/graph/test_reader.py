"""Reading: a model becomes an immutable architecture that says what it computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from networks import (
    ACTIVATIONS,
    FORMS,
    _fresh_keras,  # noqa: F401 (it takes the place of a costlier one)
    activate,
    examples,
    outputs,
    randomise,
    weights,
)

from keras_mothernets.graph import Activation, Region, build, clone, copy_into_flat, read


def _vgg() -> keras.Model:
    block = keras.Sequential(
        [layers.Conv2D(4, 3, padding="same", name="conv"), layers.ReLU(name="relu")], name="block"
    )
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.MaxPooling2D(2, name="pool")(block(x))
    x = layers.Flatten(name="flatten")(x)
    outputs = layers.Dense(5, activation="softmax", name="head")(x)
    return keras.Model(inputs, outputs, name="tiny_vgg")


def test_nested_models_are_inlined_and_fused_activations_split_off() -> None:
    nodes = read(_vgg()).nodes
    assert [node.name for node in nodes] == [
        "block/conv", "block/relu", "pool", "flatten", "head", "head:softmax",
    ]  # fmt: skip
    assert [node.kind for node in nodes] == [
        "Conv2D", "relu", "MaxPooling2D", "Flatten", "Dense", "softmax",
    ]  # fmt: skip
    assert [node.fused for node in nodes] == [False] * 5 + [True]
    assert [node.output_shapes[0] for node in nodes] == [
        (8, 8, 4), (8, 8, 4), (4, 4, 4), (64,), (5,), (5,),
    ]  # fmt: skip
    for before, after in zip(nodes, nodes[1:], strict=False):
        assert before.outputs == after.inputs


def test_parameters_are_counted_as_keras_counts_them() -> None:
    model = _vgg()
    assert read(model).num_params == model.count_params()
    shared = layers.Dense(4)
    x = keras.Input((4,))
    twice = keras.Model(x, shared(shared(x)))
    assert read(twice).num_params == twice.count_params() == 20
    assert len(read(twice).layers) == 1
    assert len(read(twice).nodes) == 2


def test_an_architecture_prints_as_a_table() -> None:
    text = str(read(_vgg()))
    lines = text.splitlines()
    assert lines[0] == "tiny_vgg: 437 parameters"
    assert lines[1].split() == ["layer", "does", "settings", "output", "parameters"]
    for fragment in (
        "image", "8 x 8 x 3", "block/conv", "filters=4 kernel_size=3x3 padding=same", "8 x 8 x 4",
        "head:softmax", "units=5", "325",
    ):  # fmt: skip
        assert fragment in text
    unknown = keras.Sequential([keras.Input((None, 3)), layers.Dense(2)])
    assert "? x 2" in str(read(unknown))


def test_an_architecture_cannot_be_changed() -> None:
    architecture = read(_vgg())
    with pytest.raises(dataclasses.FrozenInstanceError):
        architecture.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        architecture.nodes[0].config["filters"] = 9  # type: ignore[index]
    with pytest.raises(TypeError):
        architecture.layers[0].variables["kernel"] = (1,)  # type: ignore[index]
    model = _vgg()
    before = [value.tobytes() for value in weights(model)], model.get_config()
    read(model)
    assert ([value.tobytes() for value in weights(model)], model.get_config()) == before


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "linear"])
def test_an_activation_is_read_alike_in_every_form(name: str) -> None:
    found = set()
    for form in FORMS:
        x = inputs = keras.Input((3,))
        if form == "fused":
            x = layers.Dense(3, activation=name)(x)
        else:
            x = activate(layers.Dense(3)(x), name, form)
        node = read(keras.Model(inputs, x)).nodes[-1]
        assert node.activation is not None
        found.add(node.activation)
        values = np.linspace(-3, 3, 9, dtype="float32")
        wanted = keras.ops.convert_to_numpy(getattr(keras.activations, name)(values))
        computed = keras.ops.convert_to_numpy(node.activation.function(values))
        assert np.allclose(computed, wanted, atol=1e-6)
    assert len(found) == 1


def test_activations_with_other_settings_are_other_activations() -> None:
    made = [
        layers.LeakyReLU(), layers.Activation("leaky_relu"), layers.LeakyReLU(0.1),
        layers.ReLU(), layers.ReLU(6.0), layers.ReLU(max_value=4.0), layers.ReLU(threshold=1.0),
        layers.ELU(), layers.ELU(0.5), layers.Softmax(), layers.Softmax(axis=1),
    ]  # fmt: skip
    found = [_read_alone(layer) for layer in made]
    assert len(set(found)) == len(made)
    assert _read_alone(layers.LeakyReLU(0.2)) == _read_alone(layers.Activation("leaky_relu"))
    values = np.linspace(-7, 7, 30, dtype="float32").reshape(2, 5, 3)
    for layer, activation in zip(made, found, strict=True):
        wanted = keras.ops.convert_to_numpy(layer(values))
        assert np.allclose(keras.ops.convert_to_numpy(activation.function(values)), wanted)


def _read_alone(layer: layers.Layer) -> Activation:
    x = keras.Input((5, 3))
    found = read(keras.Model(x, layer(x))).nodes[0].activation
    assert found is not None
    return found


def test_a_residual_block_is_a_region_with_branches() -> None:
    x = inputs = keras.Input((8, 8, 4))
    y = layers.Conv2D(4, 3, padding="same", name="conv1")(x)
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv2")(y)
    x = layers.Add(name="add")([x, y])
    model = keras.Model(inputs, layers.GlobalAveragePooling2D(name="pool")(x))
    region, pool = read(model).tree.items
    assert isinstance(region, Region)
    assert region.name == "add"
    names = [[node.name for node in branch.items] for branch in region.branches]
    assert names == [[], ["conv1", "conv2", "conv2:relu"]]
    assert pool.name == "pool"
    assert "branch 2 of 2" in str(read(model))


def test_a_chain_has_no_regions_and_every_node_once() -> None:
    architecture = read(_vgg())
    assert architecture.tree.regions == ()
    assert architecture.tree.items == architecture.nodes


def test_concatenation_and_nesting_of_regions() -> None:
    x = inputs = keras.Input((8,))
    left = layers.Dense(4, name="left")(x)
    right = layers.Add(name="inner")([layers.Dense(4)(x), layers.Dense(4)(x)])
    model = keras.Model(inputs, layers.Concatenate(name="outer")([left, right]))
    (region,) = read(model).tree.items
    assert isinstance(region, Region)
    assert region.name == "outer"
    assert len(region.nodes) == 5


def test_a_tangle_is_one_region() -> None:
    x = inputs = keras.Input((4,))
    a, b = layers.Dense(4)(x), layers.Dense(4)(x)
    c, d = layers.Add()([a, b]), layers.Multiply()([a, b])
    model = keras.Model(inputs, layers.Dense(2)(layers.Add(name="end")([c, d])))
    region, head = read(model).tree.items
    assert isinstance(region, Region)
    assert region.branches == ()
    assert len(region.nodes) == 5
    assert "| kept whole: matched only with an identical skeleton" in str(read(model))


def test_training_false_of_a_nested_call_reaches_the_layers_inside() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.ReLU()])
    x = keras.Input((4,))
    model = randomise(keras.Model(x, inner(x, training=False)))
    architecture = read(model)
    assert architecture.nodes[0].kwargs["training"] is False
    assert "training" not in architecture.nodes[1].kwargs
    flat = build(architecture)
    copy_into_flat(model, architecture, flat)
    values = examples(model)
    assert np.array_equal(np.array(model(values)), np.array(flat(values)))
    assert np.array_equal(np.array(model(values)), outputs(model, values)[0])


def test_a_flat_copy_computes_the_same() -> None:
    model = randomise(_vgg())
    architecture = read(model)
    flat = build(architecture, blank=True)
    assert all((value == 0).all() for value in weights(flat) if value.ndim > 1)
    copy_into_flat(model, architecture, flat)
    values = examples(model)
    assert np.array_equal(outputs(model, values)[0], outputs(flat, values)[0])
    assert flat.get_layer("block_conv").filters == 4


def test_a_clone_shares_nothing_and_stays_nested() -> None:
    model = randomise(_vgg())
    model.compile("adam", "mse")
    copied = clone(model, name="copy")
    assert copied.name == "copy"
    assert not copied.compiled
    assert model.name == "tiny_vgg"
    assert isinstance(copied.get_layer("block"), keras.Sequential)
    assert not {id(v) for v in copied.variables} & {id(v) for v in model.variables}
    values = examples(model)
    before = outputs(model, values)[0]
    assert np.array_equal(outputs(copied, values)[0], before)
    for variable in copied.weights:
        variable.assign(variable.value + 1)
    assert np.array_equal(outputs(model, values)[0], before)
    initializers = [layer.kernel_initializer for layer in (copied.get_layer("head"),)]
    assert isinstance(initializers[0], keras.initializers.GlorotUniform)


def test_a_clone_in_float64_computes_more_precisely() -> None:
    model = randomise(_vgg())
    copied = clone(model, dtype="float64")
    assert {variable.dtype for variable in copied.variables} == {"float64"}
    values = examples(model)
    first, second = outputs(model, values)[0], outputs(copied, values)[0]
    assert second.dtype == np.float64
    assert 0 < np.abs(first - second).max() < 1e-5


class Offset(layers.Layer):
    """It gives its weight no name, so Keras counts those of all layers."""

    def build(self, shape: Any) -> None:
        self.offset = self.add_weight(shape=shape[-1:])

    def call(self, x: Any) -> Any:
        return x + self.offset


def test_weights_without_a_name_are_told_by_their_place() -> None:
    nets = [keras.Sequential([keras.Input((3,)), Offset(), Offset()]) for _ in range(2)]
    found = [[dict(layer.variables) for layer in read(net).layers] for net in nets]
    assert found[0] == found[1] == [{"variable_0": (3,)}] * 2


def test_calls_have_one_order_whether_a_model_is_nested_or_flat() -> None:
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    inside = keras.Input((4,))
    encoder = [layers.Dense(3, name="one"), layers.ReLU(name="two"), layers.Dense(2, name="three")]
    x = inside
    for layer in encoder:
        x = layer(x)
    nested = keras.Model(inside, x, name="encoder")
    codes = [nested(first), nested(second)]
    model = keras.Model([first, second], layers.Subtract(name="apart")(codes))
    architecture = read(model)
    flat = read(build(architecture))
    kinds = ["Dense", "relu", "Dense"] * 2 + ["Subtract"]
    assert [node.kind for node in architecture.nodes] == kinds
    assert [node.kind for node in flat.nodes] == kinds


def test_the_order_is_one_in_which_a_model_can_run() -> None:
    """Short and long ways from one layer to another, one of them read twice, and two outputs."""
    x = inputs = keras.Input((4,))
    short = layers.Dense(4, name="short")(x)
    long = layers.Dense(4, name="b")(layers.Dense(4, name="a")(short))
    both = layers.Add(name="both")([long, short, layers.Multiply(name="gate")([long, short])])
    model = keras.Model(inputs, [layers.Dense(2, name="c")(both), long])
    made = {entry.tensor for entry in read(model).inputs}
    for node in read(model).nodes:
        assert made.issuperset(node.inputs)
        made.update(node.outputs)
    assert sorted(node.name for node in read(model).nodes) == [
        "a", "b", "both", "c", "gate", "short"
    ]  # fmt: skip


class Tripled(layers.Layer):
    """It has no `get_config` of its own, so that its config tells no name."""

    def __init__(self, factor: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=shape[-1:], name="scale")

    def call(self, x: Any) -> Any:
        return self.factor * self.scale * x


def test_a_layer_whose_config_tells_no_name_keeps_it() -> None:
    model = keras.Sequential([keras.Input((3,)), Tripled(name="by_hand"), Tripled()])
    randomise(model)
    copied = clone(model)
    assert [layer.name for layer in copied.layers] == [layer.name for layer in model.layers]
    values = examples(model)
    assert np.array_equal(outputs(copied, values)[0], outputs(model, values)[0])
