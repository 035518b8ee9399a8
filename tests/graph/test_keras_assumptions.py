"""What `graph/keras_graph.py` relies on in Keras, so that a changed Keras turns a test red."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)

from keras_mothernets.graph import keras_graph


def _two_branches() -> keras.Model:
    x = inputs = keras.Input((4,), name="numbers")
    first = layers.Dense(3, name="first")(x)
    second = layers.Dense(3, name="second")(first)
    return keras.Model(inputs, layers.Add(name="sum")([first, second]), name="branches")


def test_nodes_by_depth_hold_all_calls_inputs_at_the_greatest_depth() -> None:
    model = _two_branches()
    by_depth = model._nodes_by_depth
    assert sorted(by_depth) == [0, 1, 2, 3]
    names = {depth: [node.operation.name for node in nodes] for depth, nodes in by_depth.items()}
    assert names == {3: ["numbers"], 2: ["first"], 1: ["second"], 0: ["sum"]}
    assert [node.is_input for depth in (3, 2, 1, 0) for node in by_depth[depth]] == [
        True, False, False, False,
    ]  # fmt: skip


def test_a_node_tells_its_arguments_and_outputs() -> None:
    x = keras.Input((4,))
    norm = layers.BatchNormalization()
    y = norm(x, training=False)
    node = keras.Model(x, y)._nodes_by_depth[0][0]
    assert node.operation is norm
    assert [id(value) for value in node.arguments.args] == [id(x)]
    assert node.arguments.kwargs["training"] is False
    assert [id(value) for value in node.outputs] == [id(y)]


def test_tensors_are_the_same_objects_on_both_sides_of_a_call() -> None:
    calls = list(keras_graph.calls(_two_branches()))
    assert [call.operation.name for call in calls] == ["first", "second", "sum"]
    first, second, total = calls
    assert second.inputs[0] is first.outputs[0]
    assert [id(t) for t in total.inputs] == [id(first.outputs[0]), id(second.outputs[0])]


def test_calls_of_other_models_are_not_listed() -> None:
    shared = layers.Dense(4)
    x = keras.Input((4,))
    model = keras.Model(x, shared(x))
    other = keras.Input((4,))
    keras.Model(other, shared(shared(other)))
    assert len(shared._inbound_nodes) == 3
    assert len(list(keras_graph.calls(model))) == 1


def test_a_layer_called_twice_has_two_nodes() -> None:
    shared = layers.Dense(4)
    x = keras.Input((4,))
    calls = list(keras_graph.calls(keras.Model(x, shared(shared(x)))))
    assert [call.operation for call in calls] == [shared, shared]


def test_a_sequential_keeps_a_functional() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert isinstance(model._functional, keras.Model)
    assert hasattr(model._functional, "_nodes_by_depth")
    assert [type(call.operation) for call in keras_graph.calls(model)] == [layers.Dense]
    assert keras.Sequential([layers.Dense(2)])._functional is None
    built = keras.Sequential([layers.Dense(2)])
    built.build((None, 4))
    assert keras_graph.is_functional(built)


def test_what_has_a_graph() -> None:
    class Subclassed(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    class Derived(keras.Model):
        pass

    x = keras.Input((4,))
    assert keras_graph.is_functional(keras.Model(x, x))
    assert keras_graph.is_functional(Derived(x, x))
    assert not keras_graph.is_functional(Subclassed())
    assert not keras_graph.is_functional(keras.Sequential([layers.Dense(2)]))
    assert not keras_graph.is_functional(layers.Dense(2))
    assert not keras_graph.is_functional("model")


def test_structures_of_inputs_and_outputs_are_kept() -> None:
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    total = layers.Add()([x, y])
    model = keras.Model({"y": y, "x": x}, [total, {"again": total}])
    assert keras_graph.input_structure(model) == {"x": x, "y": y}
    outputs = keras_graph.output_structure(model)
    assert outputs[0] is total
    assert outputs[1]["again"] is total
    assert {id(t) for t in keras_graph.input_tensors(model)} == {id(x), id(y)}
    assert [id(t) for t in keras_graph.output_tensors(model)] == [id(total), id(total)]


def test_a_nested_model_is_one_operation() -> None:
    x = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.ReLU()])
    calls = list(keras_graph.calls(keras.Model(x, inner(inner(x)))))
    assert [call.operation for call in calls] == [inner, inner]
    assert len(list(keras_graph.calls(inner))) == 2


def test_a_model_tells_all_layers_and_a_call_changes_no_attribute_but_one() -> None:
    inner = keras.Sequential([keras.Input((3,)), layers.Dropout(0.5, name="drop")], name="inner")
    model = keras.Sequential([keras.Input((3,)), inner, layers.Dense(2, name="last")], name="outer")
    found = [layer.name for layer, _ in keras_graph.layers_with_attributes(model)]
    assert {"outer", "inner", "drop", "last"} <= set(found)
    before = [attributes for _, attributes in keras_graph.layers_with_attributes(model)]
    model(np.zeros((1, 3), "float32"))
    assert [attributes for _, attributes in keras_graph.layers_with_attributes(model)] == before
    inner.layers[0].rate = 0.25
    assert [attributes for _, attributes in keras_graph.layers_with_attributes(model)] != before


def test_raw_operations_are_told_from_layers_by_their_module() -> None:
    x = keras.Input((4,))
    calls = list(keras_graph.calls(keras.Model(x, layers.ReLU()(keras.ops.relu(x) + 1.0))))
    kinds = [keras_graph.is_raw_operation(call.operation) for call in calls]
    assert kinds == [True, True, False]
    assert not isinstance(calls[0].operation, layers.Layer)


def test_raw_operations_can_be_made_from_their_config() -> None:
    x = keras.Input((4,))
    values = np.linspace(-2, 2, 8, dtype="float32").reshape(2, 4)
    for function in (keras.ops.gelu, keras.ops.leaky_relu, keras.ops.softmax):
        operation = next(keras_graph.calls(keras.Model(x, function(x)))).operation
        again = type(operation).from_config(operation.get_config())
        assert np.array_equal(np.array(again(values)), np.array(function(values)))


def test_activations_stand_in_configs_as_names_or_serialised_objects() -> None:
    assert layers.Dense(2, "relu").get_config()["activation"] == "relu"
    assert layers.Dense(2).get_config()["activation"] == "linear"
    assert (
        layers.Dense(2, layers.LeakyReLU(0.1)).get_config()["activation"]["class_name"]
        == "LeakyReLU"
    )
    assert layers.Activation(keras.ops.tanh).get_config()["activation"] is not None


def test_names_of_variables_on_which_rules_rely() -> None:
    def names(layer: layers.Layer, *shape: int) -> list[str]:
        layer.build((None, *shape))
        return [variable.name for variable in layer.weights]

    assert names(layers.Dense(2), 3) == ["kernel", "bias"]
    assert names(layers.Conv2D(2, 3), 8, 8, 3) == ["kernel", "bias"]
    assert names(layers.DepthwiseConv2D(3), 8, 8, 3) == ["kernel", "bias"]
    assert names(layers.SeparableConv2D(2, 3), 8, 8, 3) == [
        "depthwise_kernel", "pointwise_kernel", "bias",
    ]  # fmt: skip
    assert names(layers.Conv2DTranspose(2, 3), 8, 8, 3) == ["kernel", "bias"]
    assert layers.Conv2DTranspose(2, 3).get_config()["output_padding"] is None
    assert names(layers.BatchNormalization(), 3) == [
        "gamma", "beta", "moving_mean", "moving_variance",
    ]  # fmt: skip
    assert names(layers.PReLU(), 3) == ["alpha"]
    assert names(layers.Embedding(5, 2), 3) == ["embeddings"]
    assert names(layers.Normalization(), 3) == ["mean", "variance", "count"]


def test_layers_keep_their_initializers_in_attributes() -> None:
    """Copies are built with zeros in place of what is found there."""
    layer = layers.Dense(2)
    found = [v for v in vars(layer).values() if isinstance(v, keras.initializers.Initializer)]
    assert {type(v) for v in found} == {
        keras.initializers.GlorotUniform, keras.initializers.Zeros,
    }  # fmt: skip
