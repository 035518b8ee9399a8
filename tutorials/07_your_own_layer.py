# %% [markdown]
# # 7. A rule for your own layer
#
# The package knows how the layers of Keras grow. Of a layer that you have written it knows
# nothing, and it never guesses: it refuses. This tutorial gives such a layer a **rule**, proves
# that the rule is right, and trains with it. All there is to know about rules stands in
# `docs/RULES.md`.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

import keras_mothernets as km
from keras_mothernets.rules import Copy, Split, probe_elementwise

data = km.datasets.load("digits")
x_train, x_val, x_test = (x / 255 for x in (data.x_train, data.x_val, data.x_test))

# %% [markdown]
# ## Two layers
#
# `Bend` has no weights and treats every number for itself, like an activation. `Gained` is a
# Dense layer with one more weight for each output, a gain: `y = gain * (x @ kernel)`.


# %%
@keras.saving.register_keras_serializable("tutorial")
class Bend(keras.layers.Layer):
    """An activation: x times the sigmoid of 2x."""

    def call(self, x):  # noqa: D102
        return x * keras.ops.sigmoid(2 * x)


@keras.saving.register_keras_serializable("tutorial")
class Gained(keras.layers.Layer):
    """A Dense layer with a learned gain for each output."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):  # noqa: D102
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.gain = self.add_weight(shape=(self.units,), name="gain", initializer="ones")

    def call(self, x):  # noqa: D102
        return self.gain * (x @ self.kernel)

    def get_config(self):  # noqa: D102
        return {**super().get_config(), "units": self.units}


# %% [markdown]
# `get_config` matters: networks are built anew from it, and layers are compared by it.
#
# Two networks made of these layers, one wider than the other:


# %%
def network(units: int, name: str) -> keras.Model:
    """Two Gained layers, each with a Bend behind it."""
    inputs = keras.Input(data.input_shape)
    x = keras.layers.Flatten()(inputs)
    for number in (1, 2):
        x = Gained(units, name=f"gained{number}")(x)
        x = Bend(name=f"bend{number}")(x)
    x = keras.layers.Dense(data.num_classes, activation="softmax", name="digit")(x)
    return keras.Model(inputs, x, name=name)


narrow, wide = network(20, "narrow"), network(33, "wide")
try:
    km.mothernet([narrow, wide])
except km.GraphError as error:
    print(error)

# %% [markdown]
# Refused, as it should be.
#
# ## A rule without writing one
#
# A layer that has no weights and treats every number for itself can be widened in one way only.
# `probe_elementwise` tries whether a layer is of that kind. It is tried on as many axes as you
# name in `shapes`.

# %%
km.register_rule(Bend, probe_elementwise(Bend(), shapes=[(4,), (5, 4)]))

# %% [markdown]
# A layer that mixes its inputs is found out:

# %%
try:
    probe_elementwise(keras.layers.Softmax(), shapes=[(4,)])
except km.MotherNetsError as error:
    print(error)

# %% [markdown]
# ## A rule for a layer with weights
#
# To make a network wider is to have some channels twice. So a rule says two things:
#
# - `flow`: which channels come in and which come out. `Gained` makes channels of its own.
# - `roles`: for each axis of each weight, which channels it belongs to. Along the channels that
#   are *made*, weights are **copied** with the channel. Along the channels that are *read*, they
#   are **split**: a channel that is there twice must not count twice, so its copies share the
#   weight.
#
# All arithmetic follows from that.


# %%
class GainedRule(km.Rule):
    """How Gained grows."""

    width = "units"  # the setting that holds the number of channels made

    def flow(self, mother, member, inputs, spaces):  # noqa: D102
        made = spaces.new(mother.config["units"], member.config["units"])
        return ((*inputs[0][:-1], made),)

    def roles(self, mother, member, inputs, outputs):  # noqa: D102
        read, made = inputs[0][-1], outputs[0][-1]
        return {"kernel": (Split(read), Copy(made)), "gain": (Copy(made),)}


km.register_rule(Gained, GainedRule())
print(km.explain(narrow, wide))

# %% [markdown]
# In a picture:

# %%
km.plot_hatching(narrow, wide)

# %% [markdown]
# ## Prove it
#
# A wrong rule would give a wrong network, so compare. Three things hide mistakes, and are avoided
# here: fresh weights (all gains are one; so we take random ones), widths that double (33 is not
# twice 20), and networks that were equal from the start (the first line shows that they differ).


# %%
def randomise(model: keras.Model, seed: int) -> None:
    """Give every weight a random value."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(generator.normal(scale=0.3, size=tuple(weight.shape)))


randomise(narrow, 1)
randomise(wide, 2)
print("before:", km.max_deviation(narrow, wide))
for seed in range(3):
    print("hatched:", km.max_deviation(narrow, km.hatch(narrow, wide, seed=seed)))

# %% [markdown]
# Rounding of double precision: the rule is right. And a wrong one? Let us copy where weights must
# be split.


# %%
class WrongRule(GainedRule):
    """Counts channels that are there twice two times."""

    def roles(self, mother, member, inputs, outputs):  # noqa: D102
        read, made = inputs[0][-1], outputs[0][-1]
        return {"kernel": (Copy(read), Copy(made)), "gain": (Copy(made),)}


km.register_rule(Gained, WrongRule())
print("with the wrong rule:", km.max_deviation(narrow, km.hatch(narrow, wide)))
km.register_rule(Gained, GainedRule())

# %% [markdown]
# The test can fail, so it means something. `method.fit` makes this comparison too, before it
# trains a hatched member, and stops if a member is not what its mother is.
#
# ## Train with it
#
# Nothing more is needed. `narrow` is what both have in common, so it is trained once, as the
# mother and as a member.

# %%
keras.utils.set_random_seed(0)
method = km.MotherNets([network(20, "narrow"), network(33, "wide")], member_epochs=5)
method.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = method.fit(
    x_train,
    data.y_train,
    epochs=15,
    batch_size=32,
    validation_data=(x_val, data.y_val),
    verbose=0,
)

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, first in {"narrow": 1, "wide": 16}.items():
    losses = history.jobs[name]["val_loss"]
    axes.plot(range(first, first + len(losses)), losses, marker="o", label=name)
axes.set_title('"wide" goes on where "narrow" has stopped')
axes.set_xlabel("epochs of both, one after the other")
axes.set_ylabel("loss on validation images")
axes.set_ylim(0)
axes.xaxis.set_major_locator(MaxNLocator(integer=True))
axes.legend()
plt.show()

# %%
print(km.EnsembleStatistics.of(method.members, x_test, data.y_test))

# %% [markdown]
# ## If a rule cannot cover everything
#
# Refuse the rest rather than hope. `docs/RULES.md` shows how, and has the rest of the interface:
# how a layer can be inserted as an identity, how larger kernels are told, and what to do with
# layers that are made of layers.
