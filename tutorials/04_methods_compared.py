# %% [markdown]
# # 4. All methods compared
#
# MotherNets are one way to an ensemble. There are six others here, with the same calls, so that
# you can measure which one is good for you. This tutorial trains one ensemble of three networks
# in all seven ways, with about the same work, and then looks at what came of it: error, time, and
# how different the members are.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_mothernets as km

data = km.datasets.load("digits")


def make_members() -> list[keras.Model]:
    """Three networks; always with the same initial weights."""
    keras.utils.set_random_seed(0)
    blocks = {
        "deep": [[(3, 16)] * 2, [(3, 32)] * 2],
        "wide": [[(3, 16)], [(3, 64)]],
        "large_kernels": [[(3, 16)], [(5, 48)]],
    }
    return [
        km.zoo.vgg(data.input_shape, data.num_classes, each, batch_norm=False, name=name)
        for name, each in blocks.items()
    ]


# %% [markdown]
# ## Seven methods
#
# | method | how it comes to several networks |
# | --- | --- |
# | `MotherNets` | trains what they have in common, hatches each from it, trains each on |
# | `FullData` | trains each from scratch |
# | `Bagging` | trains each from scratch on examples drawn with replacement |
# | `KnowledgeDistillation` | trains the largest first; the others learn from its answers too |
# | `TreeNets` | trains all as one network with a common trunk and a branch for each |
# | `SnapshotEnsemble` | trains one network; keeps it whenever its learning rate is down at zero |
# | `FastGeometricEnsemble` | trains one network, then keeps it at several places near by |
#
# The first five take any list of networks. The last two take *one* network and give several of
# it.
#
# What is a fair comparison? Equal work. Here, eight epochs of each of the three members from
# scratch. Methods with one network get 24 epochs of it, and the mother, who is much smaller, gets
# 24 too.

# %%
one = make_members()[2]
methods = {  # the method, and the epochs for `fit`
    "MotherNets": (km.MotherNets(make_members(), member_epochs=6), 24),
    "FullData": (km.FullData(make_members()), 8),
    "Bagging": (km.Bagging(make_members()), 8),
    "KnowledgeDistillation": (km.KnowledgeDistillation(make_members()), 8),
    "TreeNets": (km.TreeNets(make_members()), 8),
    "SnapshotEnsemble": (km.SnapshotEnsemble(one, 3), 24),
    "FastGeometricEnsemble": (km.FastGeometricEnsemble(one, 3, rates=(1e-3, 1e-5)), 24),
}

# %% [markdown]
# All are trained in the same way. What each has cost stands in `history.ledger`: seconds, and the
# floating-point operations of all training steps, which are the same on every machine.

# %%
seconds, operations, statistics = {}, {}, {}
for name, (method, epochs) in methods.items():
    method.compile(
        keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = method.fit(data.x_train, data.y_train, epochs=epochs, batch_size=64, verbose=0)
    seconds[name] = history.ledger.total(column="cpu_seconds")
    operations[name] = history.ledger.total(column="flops")
    statistics[name] = km.EnsembleStatistics.of(method.members, data.x_test, data.y_test)
    print(f"{name}: {operations[name] / 1e12:.3f} tera-operations")

# %% [markdown]
# ## Error against time

# %%
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for name in methods:
    error = 100 * (1 - statistics[name].accuracy())
    axes.scatter(seconds[name], error, s=70, label=f"{name}: {error:.1f} %")
axes.set_title("Down and left is better: test error against training time")
axes.set_xlabel("processor time of training [seconds]")
axes.set_ylabel("test error of the ensemble [%]")
axes.margins(0.1)
axes.set_xlim(0)
axes.set_ylim(0)
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
plt.show()

# %% [markdown]
# Read it with care. There are 359 test images, so that one image more or less is 0.3 %. It is one
# run of each, digits are easy, and all have the same learning rate. What is to be seen is rather
# who is far off than who is first. `docs/RESULTS.md` has the same for photographs, with several
# budgets and seeds, and `keras-mothernets compare` makes it for your own data.
#
# Equal work is not equal time: many small jobs take longer than one large one, since each has to
# be set up. With networks that train for minutes this does not matter any more.
#
# ## More than error
#
# The likelihood (`nll`) also asks how sure an ensemble was of what is right, and `ece` whether it
# is right as often as it says. `oracle` is the share of images that at least one member names
# rightly.

# %%
print(f"{'':22} {'accuracy':>9} {'nll':>7} {'ece':>7} {'oracle':>7} {'disagreement':>13}")
for name, each in statistics.items():
    disagreement = each.diversity().disagreement
    print(
        f"{name:22} {each.accuracy():9.3f} {each.nll():7.3f} {each.ece():7.3f}"
        f" {each.oracle_accuracy():7.3f} {disagreement:13.3f}"
    )

# %% [markdown]
# ## Good members, and different ones
#
# An ensemble gains from members that are good, and from members that err on *different* images.
# Most methods trade one for the other. An arrow leads from the mean error of the members to the
# error of the ensemble: a long arrow is a large gain from averaging.

# %%
figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
for number, (name, each) in enumerate(statistics.items()):
    alone = 100 * np.mean([1 - each.accuracy([member]) for member in each.names])
    together = 100 * (1 - each.accuracy())
    height = 100 * each.diversity().disagreement
    colour = f"C{number}"
    axes.annotate(
        "", (together, height), (alone, height), arrowprops={"arrowstyle": "->", "color": colour}
    )
    axes.scatter(alone, height, s=60, color=colour, label=name)
    axes.scatter(together, height, s=60, color=colour, marker="|")
axes.set_title("From the mean member (dot) to the ensemble (arrow)")
axes.set_xlabel("test error [%]")
axes.set_ylabel("pairs of members that disagree\n[% of test images]")
axes.set_xlim(0)
axes.set_ylim(0)
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
plt.show()

# %% [markdown]
# ## Who is needed?
#
# Statistics read the predictions once; everything after that is arithmetic. Here, of the bagged
# networks: how good each is alone (the Brier score; less is better), which of them could be left
# out without the ensemble's Brier score growing by more than a tenth, and how good they are on
# eights.

# %%
bagged = statistics["Bagging"]
print(bagged)
print()
print("alone:", {name: round(score, 3) for name, score in bagged.ranking("brier").items()})
print("can go:", bagged.which_can_go(within=0.1))
print(f"eights named rightly: {bagged.of_class(8).accuracy():.1%}")

# %% [markdown]
# The members need not have equal weights. Good weights are found on the *validation* images. On
# the test images they would only be fitted to the test.

# %%
method, _ = methods["Bagging"]
weights = km.super_learner(method.members, data.x_val, data.y_val)
for name, weight in zip(bagged.names, weights, strict=True):
    print(f"{name}: {weight:.2f}")
print(f"nll with equal weights {bagged.nll():.4f}, with these {bagged.nll(weights=weights):.4f}")
ensemble = method.ensemble("weighted", weights=weights)  # an ordinary Keras model

# %% [markdown]
# A member with weight 0 is not needed. With so few epochs one network may be so far ahead that it
# gets all the weight; with longer training the weights come nearer to each other.
