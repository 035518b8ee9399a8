"""Rules of convolutions: plain, transposed, depthwise, separable, in 1 to 3 dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Node
from keras_mothernets.rules.axes import Axis, Product
from keras_mothernets.rules.kernels import kernel_offsets, transposed_kernel_offset
from keras_mothernets.rules.regroup import in_groups
from keras_mothernets.rules.rule import (
    Axes,
    Copy,
    Refusal,
    Role,
    Rule,
    Split,
    Statistics,
    Taps,
    keep_position,
    with_channels,
    with_config,
)
from keras_mothernets.rules.spaces import Spaces

_SPATIAL = "a convolution slides along it"


class ConvolutionRule(Rule):
    """Conv1D, Conv2D, Conv3D: kernel axes are taps, input channels, output channels.

    With a group for every channel they are depthwise (ConvNeXt writes them so):
    the number of groups then follows the channels. With other groups, channels in and
    out are a product of the groups, which are copied whole, and of what is inside each.
    """

    width = "filters"
    flags = ("use_bias",)
    free = frozenset({"activation", "kernel_size"})
    is_linear = True

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        changes = self._meet_channels(first, second)
        if isinstance(changes, Refusal):
            return changes
        ours, theirs = kernel_size(first), kernel_size(second)
        common = tuple(min(pair) for pair in zip(ours, theirs, strict=True))
        for node in (first, second):
            if self.offsets(common, kernel_size(node), node) is None:
                return Refusal(_no_placement(common, node))
        return changes if common == ours else {**changes, "kernel_size": common}

    def _meet_channels(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        if not (is_grouped(first) and is_grouped(second)):
            return super().meet(first, second)
        groups = min(first.config["groups"], second.config["groups"])
        for filters, into in ((n.config["filters"], n.config["groups"]) for n in (first, second)):
            if filters % into:
                return Refusal(f"{filters} filters do not fall into {into} groups")
        if any(is_depthwise(node) and node.config["groups"] > groups for node in (first, second)):
            if not (is_depthwise(first) and is_depthwise(second)):
                return Refusal("one has a group for every channel, and the other has fewer groups")
        filters = groups * min(_multiplier(first), _multiplier(second))
        level = {"groups": first.config["groups"], "filters": first.config["filters"]}
        changes = super().meet(first, with_config(second, level))
        if isinstance(changes, Refusal) or (groups, filters) == tuple(level.values()):
            return changes
        return {**changes, "groups": groups, "filters": filters}

    def follow(
        self, node: Node, sizes: Sequence[int | None], *others: Sequence[int | None]
    ) -> dict[str, Any]:
        size = sizes[self.channel_axis(node)]
        if not is_depthwise(node) or size is None or size == node.config["filters"]:
            return {}
        return self.sized(node, size)

    def sized(self, node: Node, size: int) -> dict[str, Any]:
        if not is_depthwise(node):
            return super().sized(node, size)
        return {"filters": size, "groups": max(1, size // _multiplier(node))}

    def offsets(
        self, small: Sequence[int], large: Sequence[int], node: Node
    ) -> tuple[int, ...] | None:
        """Where a small kernel stands in a large one; None where no place is exact."""
        config = node.config
        return kernel_offsets(
            small,
            large,
            _spatial_sizes(node),
            _per_axis(config["strides"], small),
            _per_axis(config["dilation_rate"], small),
            config["padding"],
        )

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        axes, channel = inputs[0], self.channel_axis(member)
        if not is_grouped(member):
            made = self.made(mother, member, axes[channel], spaces)
            return (_slide(mother, member, axes, channel, made, spaces),)
        group, inside = _in_groups(mother, member, axes[channel], spaces)
        count = _multiplier(mother), _multiplier(member)
        made = group if count == (1, 1) else Product((group, spaces.new(*count)))
        # The axis inside a group is read by the layer alone: it comes after the outputs.
        return (_slide(mother, member, axes, channel, made, spaces), (inside,))

    def made(self, mother: Node, member: Node, channels: Axis, spaces: Spaces) -> Axis:
        """The axis of output channels."""
        return spaces.new(mother.config["filters"], member.config["filters"])

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        channel = self.channel_axis(member)
        made, taps = outputs[0][channel], self.taps(mother, member)
        if is_grouped(member):
            # A group that flows in negated flows out negated by itself: only the offset follows.
            kernel: tuple[Role, ...] = (*taps, Split(outputs[1][0]), Copy(made))
        else:
            kernel = (*taps, Split(inputs[0][channel]), Copy(made, odd=True))
        return {"kernel": kernel, "bias": (Copy(made, odd=True),)}

    def taps(self, mother: Node, member: Node) -> tuple[Taps, ...]:
        """Roles of the spatial axes of a kernel."""
        offsets = self.offsets(kernel_size(mother), kernel_size(member), member)
        if offsets is None:
            raise SurgeryError(_no_placement(kernel_size(mother), member))
        return tuple(Taps(offset) for offset in offsets)

    def zeros(self, node: Node) -> tuple[str, ...]:
        return ("kernel", "bias")

    def cannot_insert(self, node: Node) -> Refusal | None:
        if node.config.get("groups", 1) != 1:
            return Refusal("a grouped convolution is not inserted")
        ones = tuple(1 for _ in kernel_size(node))
        if _per_axis(node.config["strides"], ones) != ones or not keep_position(node):
            return Refusal("it changes the resolution, which no identity does")
        if self.offsets(ones, kernel_size(node), node) is None:
            return Refusal(_no_placement(ones, node))
        return None

    def identity_node(self, node: Node, channels: int) -> Node:
        ones = tuple(1 for _ in kernel_size(node))
        changes = {"kernel_size": ones, "use_bias": False, **self.identity_sizes(channels)}
        virtual = with_config(node, changes)
        shape = with_channels(node.input_shapes[0], self.channel_axis(node), channels)
        return replace(virtual, input_shapes=(shape,), output_shapes=(shape,))

    def identity_sizes(self, channels: int) -> dict[str, int]:
        """Config entries that make an identity of `channels` channels."""
        return {"filters": channels}

    def identity_values(
        self, node: Node, channels: int, statistics: Statistics | None
    ) -> dict[str, np.ndarray]:
        ones = tuple(1 for _ in kernel_size(node))
        return {"kernel": np.eye(channels).reshape(*ones, channels, channels)}


class TransposedConvolutionRule(ConvolutionRule):
    """Conv1DTranspose to Conv3DTranspose: output channels stand before input channels."""

    def offsets(
        self, small: Sequence[int], large: Sequence[int], node: Node
    ) -> tuple[int, ...] | None:
        config = node.config
        dilations = _per_axis(config["dilation_rate"], small)
        plain = config.get("output_padding") is None and set(dilations) == {1}
        if not plain:
            return tuple(0 for _ in small) if tuple(small) == tuple(large) else None
        strides = _per_axis(config["strides"], small)
        found = [
            transposed_kernel_offset(s, k, stride=stride, padding=config["padding"])
            for s, k, stride in zip(small, large, strides, strict=True)
        ]
        return None if None in found else tuple(offset for offset in found if offset is not None)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        channel = self.channel_axis(member)
        made = Copy(outputs[0][channel], odd=True)
        taps = self.taps(mother, member)
        return {"kernel": (*taps, made, Split(inputs[0][channel])), "bias": (made,)}


class DepthwiseRule(ConvolutionRule):
    """DepthwiseConv1D/2D: channel c makes channels c * multiplier + m."""

    width = "depth_multiplier"
    is_linear = False

    def made_axis(self, node: Node, outputs: Sequence[Axes]) -> Axis:
        made = outputs[0][self.channel_axis(node)]
        assert isinstance(made, Product)
        return made.factors[-1]

    def made(self, mother: Node, member: Node, channels: Axis, spaces: Spaces) -> Axis:
        multiplier = spaces.new(
            mother.config["depth_multiplier"], member.config["depth_multiplier"]
        )
        return Product((channels, multiplier))

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        made = outputs[0][self.channel_axis(member)]
        assert isinstance(made, Product)
        taps = self.taps(mother, member)
        kernel: tuple[Role, ...] = (
            *taps,
            Copy(made.factors[0]),
            Copy(made.factors[1], odd=True),
        )
        return {"kernel": kernel, "bias": (Copy(made, odd=True),)}

    def identity_sizes(self, channels: int) -> dict[str, int]:
        return {"depth_multiplier": 1}

    def identity_values(
        self, node: Node, channels: int, statistics: Statistics | None
    ) -> dict[str, np.ndarray]:
        ones = tuple(1 for _ in kernel_size(node))
        return {"kernel": np.ones((*ones, channels, 1))}


class SeparableRule(ConvolutionRule):
    """SeparableConv1D/2D: a depthwise kernel, then a pointwise one that sums over channels."""

    def meet(self, first: Node, second: Node) -> Mapping[str, Any] | Refusal:
        ours, theirs = (node.config["depth_multiplier"] for node in (first, second))
        changes = super().meet(first, with_config(second, {"depth_multiplier": ours}))
        if isinstance(changes, Refusal) or theirs >= ours:
            return changes
        return {**changes, "depth_multiplier": theirs}

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        axes, channel = inputs[0], self.channel_axis(member)
        made = spaces.new(mother.config["filters"], member.config["filters"])
        multiplier = spaces.new(
            mother.config["depth_multiplier"], member.config["depth_multiplier"]
        )
        # The axis between the two kernels lives inside the layer: it comes after the outputs.
        middle = (Product((axes[channel], multiplier)),)
        return (_slide(mother, member, axes, channel, made, spaces), middle)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        channel = self.channel_axis(member)
        middle = outputs[1][0]
        assert isinstance(middle, Product)
        made = Copy(outputs[0][channel], odd=True)
        ones = tuple(Taps(0) for _ in kernel_size(member))
        depthwise: tuple[Role, ...] = (
            *self.taps(mother, member),
            Copy(middle.factors[0]),
            Copy(middle.factors[1]),
        )
        return {
            "depthwise_kernel": depthwise,
            "pointwise_kernel": (*ones, Split(middle), made),
            "bias": (made,),
        }

    def zeros(self, node: Node) -> tuple[str, ...]:
        return ("pointwise_kernel", "bias")

    def identity_sizes(self, channels: int) -> dict[str, int]:
        return {"filters": channels, "depth_multiplier": 1}

    def identity_values(
        self, node: Node, channels: int, statistics: Statistics | None
    ) -> dict[str, np.ndarray]:
        ones = tuple(1 for _ in kernel_size(node))
        return {
            "depthwise_kernel": np.ones((*ones, channels, 1)),
            "pointwise_kernel": np.eye(channels).reshape(*ones, channels, channels),
        }


def is_grouped(node: Node) -> bool:
    """Whether a plain convolution works in groups of channels."""
    return bool(node.config.get("groups", 1) > 1)


def is_depthwise(node: Node) -> bool:
    """Whether a plain convolution has a group of its own for every input channel."""
    kernel = node.layer.variables.get("kernel", (0, 0))
    return is_grouped(node) and kernel[-2] == 1


def _multiplier(node: Node) -> int:
    """How many output channels a convolution makes in each of its groups."""
    return int(node.config["filters"]) // int(node.config["groups"])


def _in_groups(mother: Node, member: Node, channels: Axis, spaces: Spaces) -> tuple[Axis, Axis]:
    """The axis of groups, and the one of channels inside a group, whose product is an axis."""
    if is_depthwise(mother) and is_depthwise(member):
        return channels, spaces.fixed(1, 1, "a group has one channel")
    groups = mother.config["groups"], member.config["groups"]
    try:
        return in_groups(channels, groups, spaces)
    except SurgeryError:
        # Groups that do not fall together with those of the layers before: all stays as it is.
        reason = "a grouped convolution reads it"
        spaces.pin(channels, reason)
        size = spaces.size(channels)[0]
        inside = None if size is None else size // groups[0]
        return spaces.fixed(*groups, reason), spaces.fixed(inside, inside, reason)


def kernel_size(node: Node) -> tuple[int, ...]:
    """The kernel's taps per spatial axis."""
    return tuple(node.config["kernel_size"])


def _slide(
    mother: Node, member: Node, axes: Axes, channel: int, made: Axis, spaces: Spaces
) -> Axes:
    """Axes after a window slid along all spatial ones."""
    out: list[Axis] = []
    for position, axis in enumerate(axes):
        if position == channel:
            out.append(made)
            continue
        spaces.pin(axis, _SPATIAL)
        sizes = mother.output_shapes[0][position], member.output_shapes[0][position]
        out.append(spaces.fixed(*sizes, _SPATIAL))
    return tuple(out)


def _spatial_sizes(node: Node) -> tuple[int | None, ...]:
    shape = node.input_shapes[0]
    return shape[1:] if node.config.get("data_format") == "channels_first" else shape[:-1]


def _per_axis(value: int | Sequence[int], like: Sequence[int]) -> tuple[int, ...]:
    return tuple(value for _ in like) if isinstance(value, int) else tuple(value)


def _no_placement(small: Sequence[int], node: Node) -> str:
    return (
        f"a kernel of {_times(small)} has no exact place in one of {_times(kernel_size(node))} "
        f"with padding `{node.config['padding']}`, strides {_times(node.config['strides'])} and "
        f"dilation {_times(node.config['dilation_rate'])} on inputs of "
        f"{_times(_spatial_sizes(node))}"
    )


def _times(sizes: int | Sequence[int | None]) -> str:
    if isinstance(sizes, int):
        return str(sizes)
    return " x ".join("?" if size is None else str(size) for size in sizes)
