# %% [markdown]
# # 2. Your own networks
#
# The package reads Keras networks as they are. You do not write them in a special way. This
# tutorial shows what you can give it, how to see what it makes of it, and what it refuses.
#
# Two words. The **mother** of some networks is the largest network that all of them can be grown
# from. To **hatch** a network is to grow it from her so that it computes exactly what she
# computes.

# %%
import keras
import numpy as np
from keras import layers

import keras_mothernets as km

data = km.datasets.load("digits")

# %% [markdown]
# ## Three networks, written as you would write them
#
# They differ in depth, in width and in kernel size. One is Sequential; it could as well be
# Functional, with branches, with other models inside, or with layers that are used twice.


# %%
def network(name: str, convolutions: list[tuple[int, int]]) -> keras.Model:
    """A small network: convolutions (filters, kernel size), with a pooling after the first."""
    model = keras.Sequential(name=name)
    model.add(keras.Input(data.input_shape))
    model.add(layers.Rescaling(1 / 255, name="rescale"))
    for number, (filters, kernel_size) in enumerate(convolutions, start=1):
        convolution = layers.Conv2D(
            filters, kernel_size, padding="same", activation="relu", name=f"conv{number}"
        )
        model.add(convolution)
        if number == 1:
            model.add(layers.MaxPooling2D(name="pool"))
    model.add(layers.GlobalAveragePooling2D(name="mean"))
    model.add(layers.Dense(data.num_classes, activation="softmax", name="digit"))
    return model


members = [
    network("deep", [(16, 3), (32, 3), (32, 3), (32, 3)]),
    network("wide", [(32, 3), (96, 3)]),
    network("large_kernels", [(24, 5), (32, 5), (32, 3)]),
]
km.plot_architecture(members[0])

# %% [markdown]
# One network from left to right. Each grey column is a resolution, each block a layer with
# weights. The number above a block is its channels, the words below are its kernel.
#
# ## What they have in common

# %%
mother = km.mothernet(members)
mother.summary()

# %% [markdown]
# At every place she has as few layers as the shallowest member, as few channels as the narrowest,
# and the smallest kernel. Her layers have the names of the first member's; names mean nothing to
# the package, only places do. Below her, what each member has from her and what is new:

# %%
km.plot_hatching(mother, members)

# %% [markdown]
# ## How to read `explain`
#
# The same as a table. Each row is a layer of the member: from which layer of the mother it comes,
# and how it grows.

# %%
print(km.explain(mother, members[0]))

# %%
print(km.explain(mother, members[1]))

# %%
print(km.explain(mother, members[2]))

# %% [markdown]
# - *copied*: the same numbers.
# - *outputs 16 > 32*: the layer gets more channels. The new ones are copies of channels that are
#   there.
# - *inputs 16 > 32*: the layer behind shares its weights out among the copies, so that the sums
#   stay the same. The shares are uneven, so the copies part as soon as training begins.
# - *kernel enlarged*: the mother's kernel in the middle, and zeros around it.
# - *inserted as an identity*: a new layer that passes its input on. It can, since what comes into
#   it went through a ReLU before, and a second ReLU changes nothing.
#
# ## What is refused
#
# Not every pair of networks goes together. The layers have to agree in what they do: a tanh
# cannot become a ReLU. Ask with `can_hatch`; `mothernet` says why not.

# %%
stranger = keras.Sequential(
    [
        keras.Input(data.input_shape),
        layers.Rescaling(1 / 255, name="rescale"),
        layers.Conv2D(32, 3, padding="same", activation="tanh", name="conv"),
        layers.MaxPooling2D(name="pool"),
        layers.GlobalAveragePooling2D(name="mean"),
        layers.Dense(data.num_classes, activation="softmax", name="digit"),
    ],
    name="stranger",
)
print(km.can_hatch(mother, stranger))

# %%
try:
    km.mothernet([*members, stranger])
except km.SurgeryError as error:
    print(error)

# %% [markdown]
# An error names the networks and the layer, and says what was expected. Two ways out: change the
# network so that it agrees there, or give it a mother of its own. [Clusters and a
# budget](03_clusters_and_budget.ipynb) shows the second.
#
# A layer that the package does not know is refused, too. It never guesses.


# %%
class Swirl(layers.Layer):
    """A layer of your own, of which nobody has said how it grows."""

    def call(self, x):  # noqa: D102
        return x * keras.ops.sin(x)


inputs = keras.Input((16,))
outputs = layers.Dense(3)(Swirl(name="swirl")(layers.Dense(8)(inputs)))
try:
    km.mothernet([keras.Model(inputs, outputs, name="swirling"), members[0]])
except km.GraphError as error:
    print(error)

# %% [markdown]
# [A rule for your own layer](07_your_own_layer.ipynb) tells it how.
#
# ## More than chains of layers
#
# Residual networks, dense blocks, inception, attention: networks with branches are read as
# branches. Here two small residual networks. The second is twice as wide, and has two blocks at
# each resolution where the first has one.

# %%
small = km.zoo.resnet(data.input_shape, 10, depth=8, width=0.25, name="small")
large = km.zoo.resnet(data.input_shape, 10, depth=14, width=0.5, name="large")
km.plot_hatching(km.mothernet([small, large]), [small, large])

# %% [markdown]
# The branches meet in circles with a plus sign. A new block gives nothing at first (the pink
# pattern), so that the sum behind it stays what it was. The mother is equal to `small` here; then
# she is trained once, and is that member.
#
# ## Train them
#
# The same calls as in the first tutorial. The picture shows what hatching does to training: each
# line is a network, and the members start where the mother has stopped.

# %%
method = km.MotherNets(members, member_epochs=5)
method.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = method.fit(
    data.x_train,
    data.y_train,
    epochs=20,
    batch_size=32,
    validation_data=(data.x_val, data.y_val),
    verbose=0,
)

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for name, job in history.jobs.items():
    losses = job["val_loss"]
    start = 0 if name == "mothernet" else len(history.jobs["mothernet"]["val_loss"])
    axes.plot(np.arange(start, start + len(losses)) + 1, losses, marker="o", label=name)
axes.set_title("Hatched members start where their mother has stopped")
axes.set_xlabel("epochs, those of the mother included")
axes.set_ylabel("loss on validation images")
axes.set_ylim(0)
axes.legend()
plt.show()

# %% [markdown]
# Each dot is a loss after an epoch. The first dot of a member lies one epoch behind the last one
# of the mother: nothing of what she has learned is lost on the way.
#
# ## Is it really the same function?
#
# Do not believe it, measure it. Below, one member is hatched once more from the trained mother,
# and both are asked for all test images. Then `max_deviation` compares the two on random inputs
# in double precision. It gives the largest difference as a part of the largest output: zero, or a
# number like 1e-15, is rounding.

# %%
trained = method.trained_mother("wide")
hatched = km.hatch(trained, members[1])
for name, model in {"hatched": hatched, "as you made it": members[1]}.items():
    apart = np.abs(trained(data.x_test) - model(data.x_test)).max()
    print(f"wide, {name}: probabilities at most {apart:.2g} from those of the mother")
print("in double precision, mother and hatched:", km.max_deviation(trained, hatched))

# %% [markdown]
# The second line shows that the comparison can fail. `hatch` made a new network: your `members`
# are as they were.
#
# What every job cost, and how far hatched members were from their mother in single precision
# before their first step (`deviation`), stands in the ledger.

# %%
print(history.ledger)

# %% [markdown]
# Next: [clusters and a budget](03_clusters_and_budget.ipynb).
