"""Which rule serves which layer class."""

from __future__ import annotations

import keras
from keras import layers

from keras_mothernets.errors import GraphError, MotherNetsError
from keras_mothernets.graph import Architecture, Node, is_from_applications
from keras_mothernets.rules.activation import ActivationRule, PReLURule
from keras_mothernets.rules.attention import (
    AdditiveAttentionRule,
    AttentionRule,
    DotRule,
    GroupQueryAttentionRule,
    MultiHeadAttentionRule,
)
from keras_mothernets.rules.convolution import (
    ConvolutionRule,
    DepthwiseRule,
    SeparableRule,
    TransposedConvolutionRule,
)
from keras_mothernets.rules.dense import DenseRule, EmbeddingRule
from keras_mothernets.rules.einsum import EinsumDenseRule
from keras_mothernets.rules.indexing import (
    ExpandDimsRule,
    GetItemRule,
    SqueezeRule,
    SwapAxesRule,
    TransposeRule,
)
from keras_mothernets.rules.layer_normalization import (
    GroupNormalizationRule,
    LayerNormalizationRule,
    LayerScaleRule,
    UnitNormalizationRule,
)
from keras_mothernets.rules.masks import ComparisonRule, MaskingRule
from keras_mothernets.rules.merging import ConcatenateRule, ElementwiseMergeRule, ScaledSumRule
from keras_mothernets.rules.normalization import BatchNormalizationRule
from keras_mothernets.rules.passing import (
    ElementwiseRule,
    PassRule,
    PreprocessingRule,
    RescalingRule,
    VocabularyRule,
)
from keras_mothernets.rules.recurrent import BidirectionalRule, ConvRecurrentRule, RecurrentRule
from keras_mothernets.rules.reductions import ReductionRule
from keras_mothernets.rules.rule import Rule
from keras_mothernets.rules.shape import (
    FlattenRule,
    GlobalPoolingRule,
    PermuteRule,
    RepeatVectorRule,
    ReshapeOperationRule,
    ReshapeRule,
    ResizingRule,
)
from keras_mothernets.rules.time_distributed import TimeDistributedRule

_ACTIVATION = ActivationRule()


def _rule_inside(node: Node) -> Rule:
    return rule_for(node)


# Layer names by rule. Layers that this Keras version lacks are passed over.
_STOCK: list[tuple[Rule, str]] = [
    (DenseRule(), "Dense"),
    (EmbeddingRule(), "Embedding"),
    (ConvolutionRule(), "Conv1D Conv2D Conv3D"),
    (TransposedConvolutionRule(), "Conv1DTranspose Conv2DTranspose Conv3DTranspose"),
    (DepthwiseRule(), "DepthwiseConv1D DepthwiseConv2D"),
    (SeparableRule(), "SeparableConv1D SeparableConv2D"),
    (BatchNormalizationRule(), "BatchNormalization"),
    (LayerNormalizationRule(("gamma", "beta")), "LayerNormalization"),
    (LayerNormalizationRule(("scale",)), "RMSNormalization"),
    (GroupNormalizationRule(), "GroupNormalization"),
    (UnitNormalizationRule(), "UnitNormalization"),
    (PReLURule(), "PReLU"),
    (ElementwiseMergeRule("sum"), "Add"),
    (ElementwiseMergeRule("product"), "Multiply"),
    (ElementwiseMergeRule("other"), "Subtract Average Maximum Minimum"),
    (ConcatenateRule(), "Concatenate"),
    (FlattenRule(), "Flatten"),
    (ReshapeRule(), "Reshape"),
    (PermuteRule(), "Permute"),
    (RepeatVectorRule(), "RepeatVector"),
    (
        ResizingRule(),
        "MaxPooling1D MaxPooling2D MaxPooling3D Cropping1D Cropping2D Cropping3D "
        "AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D",
    ),
    (ResizingRule(pads=True), "ZeroPadding1D ZeroPadding2D ZeroPadding3D"),
    (
        ResizingRule(blends=True),
        "AveragePooling1D AveragePooling2D AveragePooling3D UpSampling1D UpSampling2D UpSampling3D "
        "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D",
    ),
    (GlobalPoolingRule(blends=False), "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D"),
    (
        GlobalPoolingRule(blends=True),
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D",
    ),
    (
        PassRule(),
        "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout GaussianNoise "
        "AlphaDropout Identity ActivityRegularization RandomFlip RandomRotation RandomTranslation "
        "RandomZoom RandomContrast RandomBrightness RandomHue RandomSaturation "
        "RandomColorJitter RandomGrayscale RandomPosterization RandomSharpness RandomShear "
        "RandomErasing RandomGaussianBlur RandomInvert RandomPerspective RandomElasticTransform",
    ),
    (RecurrentRule(1, 1), "SimpleRNN"),
    (RecurrentRule(3, 1), "GRU"),
    (RecurrentRule(4, 2), "LSTM"),
    (ConvRecurrentRule(4, 2), "ConvLSTM1D ConvLSTM2D ConvLSTM3D"),
    (BidirectionalRule(), "Bidirectional"),
    (TimeDistributedRule(_rule_inside), "TimeDistributed"),
    (MultiHeadAttentionRule(), "MultiHeadAttention"),
    (GroupQueryAttentionRule(), "GroupQueryAttention"),
    (AttentionRule(), "Attention"),
    (AdditiveAttentionRule(), "AdditiveAttention"),
    (DotRule(), "Dot"),
    (EinsumDenseRule(), "EinsumDense"),
    (RescalingRule(), "Rescaling"),
    (PreprocessingRule(), "Normalization RandomCrop CenterCrop Resizing"),
    (MaskingRule(), "Masking"),
    (PreprocessingRule(), "CategoryEncoding Hashing"),
    (VocabularyRule(), "IntegerLookup StringLookup TextVectorization"),
]

_RULES: dict[type, Rule] = {
    getattr(layers, name): rule
    for rule, names in _STOCK
    for name in names.split()
    if hasattr(layers, name)
}
_REGISTERED: set[type] = set()


# Raw operations by class name: there is no public class to tell them by.
_OPERATIONS: dict[str, Rule] = {
    name: rule
    for layer, rule in _RULES.items()
    if (name := layer.__name__)
    in {"Add", "Multiply", "Subtract", "Average", "Maximum", "Minimum", "Concatenate"}
}
_RAW: list[tuple[Rule, str]] = [
    (GetItemRule(), "GetItem"),
    (TransposeRule(), "Transpose"),
    (ExpandDimsRule(), "ExpandDims"),
    (SwapAxesRule(), "Swapaxes"),
    (SqueezeRule(), "Squeeze"),
    (ReshapeOperationRule(), "Reshape"),
    (ReductionRule("ignored"), "Any All Max Min"),
    (ReductionRule("averaged"), "Mean Var Std"),
    (ReductionRule("counted"), "Sum Prod"),
    (
        ElementwiseRule(),
        "ZerosLike OnesLike StopGradient Cast Clip Absolute Negative Sign Reciprocal Square Sqrt "
        "Rsqrt Exp Expm1 Log Log1p Log2 Log10 Sin Cos Tan Sinh Cosh Arcsin Arccos Arctan Arcsinh "
        "Arccosh Arctanh Erf Round Floor Ceil Trunc NanToNum",
    ),
    (
        ElementwiseMergeRule("other"),
        "TrueDivide FloorDivide Mod Power Where Arctan2 Logaddexp Hypot",
    ),
    (
        ComparisonRule(),
        "Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr LogicalXor "
        "LogicalNot",
    ),
]
_OPERATIONS |= {name: rule for rule, names in _RAW for name in names.split()}

# Layers that stand in the models of keras.applications only, by class name.
_APPLICATIONS: dict[str, Rule] = {
    "LayerScale": LayerScaleRule(),
    "StochasticDepth": PassRule(),
    "CustomScaleLayer": ScaledSumRule(),
}

# Layers that compute what a raw operation without a rule does.
_IN_ITS_STEAD = {
    "Matmul": "Dot",
    "Einsum": "EinsumDense",
    "Pad": "ZeroPadding2D",
    "Repeat": "RepeatVector",
    "Normalize": "UnitNormalization",
}


def register_rule(layer_class: type, rule: Rule) -> None:
    """Tell surgery how to treat a layer class of one's own.

    Args:
        layer_class: A subclass of `keras.layers.Layer`. The rule holds for
            exactly this class and not for classes derived from it, which may
            compute something else. A rule registered earlier is replaced.
        rule: An instance of a subclass of `km.Rule`.

    Raises:
        MotherNetsError: One of the two is of another type.

    Example:
        A layer that multiplies by a constant has no variables and treats every
        number for itself:

        >>> from keras_mothernets.rules import ElementwiseRule
        >>> class Halve(keras.layers.Layer):
        ...     def call(self, x):
        ...         return x / 2
        >>> register_rule(Halve, ElementwiseRule())
    """
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.layers.Layer)):
        raise MotherNetsError("`layer_class` must be a class of layers", received=repr(layer_class))
    if not isinstance(rule, Rule):
        raise MotherNetsError(
            "`rule` must be an instance of a `Rule`",
            received=repr(rule),
            fix="Derive a class from `km.Rule` and pass an instance of it",
        )
    _RULES[layer_class] = rule
    _REGISTERED.add(layer_class)


def registered_rules() -> dict[type, Rule]:
    """The rules that `register_rule` was told in this process, by layer class."""
    return {layer_class: _RULES[layer_class] for layer_class in _REGISTERED}


def stock_rules() -> dict[str, dict[str, Rule]]:
    """The rules that come with the package, as `docs/LAYERS.md` lists them.

    Returns:
        Rules by the names of the classes that they are for, under "layers", "operations" and
        "applications" (layers of `keras.applications` alone). What `register_rule` was told is
        not among them.
    """
    layers_of_keras = {cls.__name__: _RULES[cls] for cls in _RULES if cls not in _REGISTERED}
    return {
        "layers": layers_of_keras,
        "operations": dict(_OPERATIONS),
        "applications": dict(_APPLICATIONS),
    }


def rule_for(node: Node) -> Rule:
    """The rule of a call.

    Raises:
        GraphError: No rule is known; the message names the layer and the way out.
    """
    if node.activation is not None:
        return _ACTIVATION
    rule = _RULES.get(node.layer.cls)
    if rule is None and node.layer.is_operation:
        rule = _OPERATIONS.get(node.layer.cls.__name__)
    if rule is None and is_from_applications(node.layer.cls):
        rule = _APPLICATIONS.get(node.layer.cls.__name__)
    if rule is None:
        raise _no_rule(node)
    return rule


def _no_rule(node: Node) -> GraphError:
    kind = node.layer.cls.__name__
    if not node.layer.is_operation:
        return GraphError(
            f"Layer `{node.layer.name}`: there is no rule for the layer class `{kind}`",
            fix="Register one with `km.register_rule(layer_class, rule)`",
        )
    stead = f"`keras.layers.{_IN_ITS_STEAD[kind]}`, or " if kind in _IN_ITS_STEAD else ""
    return GraphError(
        f"Layer `{node.layer.name}`: there is no rule for the operation `{kind}`",
        fix=f"Use {stead}a layer class of your own, and tell its rule with"
        " `km.register_rule(layer_class, rule)`",
    )


def check_rules(architecture: Architecture) -> None:
    """Raise `GraphError` if a call of an architecture has no rule."""
    for node in architecture.nodes:
        rule_for(node)
