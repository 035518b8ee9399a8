"""Small networks, and architectures of larger ones, that the tests of clustering share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import keras

from keras_mothernets import zoo
from keras_mothernets.graph import Architecture, Node
from keras_mothernets.member import Member
from keras_mothernets.mothernet import read_member
from keras_mothernets.rules import with_config


def mlp(*hidden: int, name: str = "mlp", inputs: int = 4) -> keras.Model:
    return zoo.mlp((inputs,), 3, hidden, name=name)


def dense_chain(activation: str, *units: int, name: str) -> keras.Model:
    hidden = [keras.layers.Dense(size, activation) for size in units]
    return keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(3)], name=name)


def read_all(models: Sequence[keras.Model | Member]) -> list[Architecture]:
    entries = [model if isinstance(model, Member) else Member(model) for model in models]
    return [read_member(f"{n}:{entry.label}", entry.model) for n, entry in enumerate(entries)]


def random_mlps(seed: int, count: int) -> list[keras.Model]:
    """Perceptrons that differ in depth and width; some are equal."""
    draw = random.Random(seed)
    sizes = [
        [draw.choice([8, 12, 16, 24]) for _ in range(draw.randint(1, 3))] for _ in range(count)
    ]
    return [mlp(*hidden, name=f"mlp{n}") for n, hidden in enumerate(sizes)]


def vgg16_variants(count: int) -> list[Architecture]:
    """VGG16 with more filters, larger kernels or both in one or two layers, as the paper's V100.

    Only one network is built; the others are edits of its architecture.
    """
    blocks = [[(3, 64)] * 2, [(3, 128)] * 2, [(3, 256)] * 3, [(3, 512)] * 3, [(3, 512)] * 3]
    base = read_member("vgg16", zoo.vgg((32, 32, 3), 10, blocks, batch_norm=False, width=1 / 8))
    draw = random.Random(0)
    layers = [layer.name for layer in base.layers if layer.cls is keras.layers.Conv2D]
    found: list[Architecture] = []
    while len(found) < count:
        changes = {
            name: draw.choice([(1.5, 3), (2.0, 3), (1.0, 5), (1.5, 5), (2.0, 5)])
            for name in draw.sample(layers, draw.choice([1, 2]))
        }
        variant = _edited(base, changes, f"v{len(found)}")
        if all(variant.nodes != other.nodes for other in found):
            found.append(variant)
    return found


def _edited(base: Architecture, changes: dict[str, tuple[float, int]], name: str) -> Architecture:
    """The same chain with filters times a factor and another kernel in some layers."""
    nodes: list[Node]
    nodes, shape = [], base.inputs[0].shape
    for node in base.nodes:
        layer, made = node.layer, shape[-1]
        if node.fused:
            layer = nodes[-1].layer
        elif "kernel" in layer.variables:
            factor, size = changes.get(layer.name, (1.0, 3))
            made = int(node.output_shapes[0][-1] * factor)
            if "filters" in node.config:
                layer = with_config(node, {"filters": made, "kernel_size": (size, size)}).layer
            kernel = (*layer.config.get("kernel_size", ()), shape[-1], made)
            layer = replace(layer, variables={"kernel": kernel, "bias": (made,)})
        out = (*node.output_shapes[0][:-1], made)
        nodes.append(replace(node, layer=layer, input_shapes=(shape,), output_shapes=(out,)))
        shape = out
    tree = replace(base.tree, items=tuple(nodes))
    return replace(base, name=name, nodes=tuple(nodes), tree=tree)


def families() -> list[keras.Model]:
    """A small and a large network of four families: plain, residual, dense, transformer."""
    shape, classes = (8, 8, 3), 3
    found: list[keras.Model] = []
    for size, blocks in enumerate(([[(3, 4)], [(3, 8)]], [[(3, 4)] * 2, [(3, 12)]])):
        of = {"width": 0.25, "depth": 8 + 6 * size}
        heads = {"num_heads": 2, "key_dim": 2, "depth": 1 + size}
        found += [
            zoo.vgg(shape, classes, blocks, name=f"plain{size}"),
            zoo.resnet(shape, classes, **of, name=f"residual{size}"),  # type: ignore[arg-type]
            zoo.densenet(shape, classes, depth=7 + 3 * size, growth=2, name=f"connected{size}"),
            zoo.vit(shape, classes, **heads, name=f"attentive{size}"),  # type: ignore[arg-type]
        ]
    return found


def mobile(blocks: int, activation: str, width: int, name: str) -> keras.Model:
    """Inverted residuals as in MobileNetV3: padding, depthwise convolution, gate; two kinds."""
    layers = keras.layers
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(width, 3, padding="same", activation=activation, name="stem")(x)
    for block in range(blocks):
        y = layers.Conv2D(2 * width, 1, name=f"block{block}_expand")(x)
        y = layers.BatchNormalization(name=f"block{block}_expand_norm")(y)
        y = layers.Activation(activation, name=f"block{block}_expand_{activation}")(y)
        y = layers.DepthwiseConv2D(3, padding="same", name=f"block{block}_depthwise")(y)
        gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"block{block}_mean")(y)
        gate = layers.Conv2D(width, 1, activation="relu", name=f"block{block}_squeeze")(gate)
        gate = layers.Conv2D(2 * width, 1, name=f"block{block}_excite")(gate)
        gate = layers.Activation("hard_sigmoid", name=f"block{block}_gate")(gate)
        y = layers.Multiply(name=f"block{block}_gated")([y, gate])
        y = layers.Conv2D(width, 1, name=f"block{block}_project")(y)
        x = layers.Add(name=f"block{block}_add")([x, y])
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="valid", name="down")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name=name)
