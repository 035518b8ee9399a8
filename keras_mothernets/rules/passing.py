"""Rules of layers through which numbers pass, and of preprocessing in front of a network."""

from __future__ import annotations

from collections.abc import Sequence

from keras_mothernets.errors import SurgeryError
from keras_mothernets.graph import Node
from keras_mothernets.rules.axes import Axis
from keras_mothernets.rules.rule import Axes, Keep, Role, Rule, Value
from keras_mothernets.rules.spaces import Spaces


class PassRule(Rule):
    """Dropout, noise, augmentation that keeps the size: nothing at inference.

    Such a layer may stand in one network and not in another, and its rate may
    differ. Copies of a channel get different masks in training.
    """

    is_transparent = True

    def _matters(self, key: str) -> bool:
        return False

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        return {}

    def value(self, node: Node, value: Value) -> Value:
        return value


class ElementwiseRule(Rule):
    """A layer that treats every number for itself, with no variables and equal settings."""


class PreprocessingRule(Rule):
    """Rescaling, Normalization, RandomCrop, ...: in front of a network, on channels of the data.

    All sizes stay as they are, and so does every variable.
    """

    holds_settings = True

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        reason = f"{member.kind} works on the data as it comes"
        for axis in inputs[0]:
            spaces.pin(axis, reason)
        sizes = zip(mother.output_shapes[0], member.output_shapes[0], strict=True)
        out: list[Axis] = [spaces.fixed(*pair, reason) for pair in sizes]
        return (tuple(out),)

    def roles(
        self, mother: Node, member: Node, inputs: Sequence[Axes], outputs: Sequence[Axes]
    ) -> dict[str, tuple[Role, ...]]:
        return {
            name: tuple(Keep() for _ in shape) for name, shape in member.layer.variables.items()
        }


class RescalingRule(PreprocessingRule):
    """Rescaling: by one number it may stand anywhere, by one for each channel on the data."""

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        settings = (member.config["scale"], member.config["offset"])
        if all(isinstance(setting, (int, float)) for setting in settings):
            return (inputs[0],)
        return super().flow(mother, member, inputs, spaces)


class VocabularyRule(PreprocessingRule):
    """IntegerLookup, StringLookup, TextVectorization: exact if the config tells the vocabulary.

    One that was learned by `adapt` is not in the config, so that a network made
    from it would know no words.
    """

    def flow(
        self, mother: Node, member: Node, inputs: Sequence[Axes], spaces: Spaces
    ) -> tuple[Axes, ...]:
        if member.config.get("vocabulary") is None:
            raise SurgeryError(
                f"The vocabulary of a {member.kind} was learned and is not in its config",
                fix="Make the layer with `vocabulary=adapted.get_vocabulary()`, or put it in front"
                " of the network, outside of it",
            )
        return super().flow(mother, member, inputs, spaces)
