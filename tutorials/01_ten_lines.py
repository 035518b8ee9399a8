# %% [markdown]
# # 1. An ensemble in ten lines
#
# Several different networks, averaged, are mostly more accurate than each of them, and they show
# where they are unsure. But to train five networks takes five times as long as to train one.
#
# This package saves most of that. It finds what your networks have in common, trains that part
# once, and grows every network from it. The part in common is called the **mother**; to grow a
# network from her is to **hatch** it. The hatched network computes exactly what the mother
# computes, so it starts where she has stopped, and needs only a few epochs of its own.
#
# You need to know Keras. Nothing else.

# %%
import keras_mothernets as km

# %% [markdown]
# The data: 1,797 handwritten digits of 8 x 8 pixels. They come with scikit-learn, so nothing is
# downloaded.

# %%
data = km.datasets.load("digits")
print(data)

# %% [markdown]
# ## The ten lines
#
# Three networks that differ in depth and width. Then one method, `MotherNets`, which has the two
# calls that you know from a Keras model: `compile` and `fit`.

# %%
members = [
    km.zoo.vgg(data.input_shape, 10, [[(3, 16)] * 2, [(3, 32)] * 2], name="deep"),
    km.zoo.vgg(data.input_shape, 10, [[(3, 32)], [(3, 64)]], name="wide"),
    km.zoo.vgg(data.input_shape, 10, [[(5, 16)], [(5, 32)]], name="large_kernels"),
]
method = km.MotherNets(members, member_epochs=5)
method.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
method.fit(data.x_train, data.y_train, epochs=20, batch_size=32, verbose=0)
ensemble = method.ensemble()
ensemble.evaluate(data.x_test, data.y_test, return_dict=True, verbose=0)

# %% [markdown]
# `ensemble` is one ordinary Keras model. It predicts, it can be saved, and whoever loads it does
# not need this package.

# %%
print(type(ensemble).__name__, ensemble.input_shape, "->", ensemble.output_shape)

# %% [markdown]
# ## What has happened
#
# Four trainings: the mother for twenty epochs, and each of the three members for five more. The
# picture shows how the members grow out of her. Every block is a layer; its height tells how many
# channels it has. Black is what a member has from the mother. The colours are what it has
# besides: more channels, a larger kernel, or a whole layer that changes nothing at first.

# %%
km.plot_hatching(km.mothernet(members), members)

# %% [markdown]
# ## Was it worth it?
#
# The members alone, and the ensemble, on test images that none of them has seen. `accuracy` is
# the share of digits that are named rightly. `nll`, `brier` and `ece` measure how far the
# probabilities can be trusted; less is better.

# %%
statistics = km.EnsembleStatistics.of(method.members, data.x_test, data.y_test)
print(statistics)

# %% [markdown]
# Digits are easy: every member is good, and one of them may even be better than the ensemble. But
# you do not know beforehand which one. What is certain is that the ensemble's `nll` is never
# worse than the mean of its members'. On harder data the ensemble is well ahead of each member;
# the page of results in the documentation shows it on photographs.
#
# ## An ensemble shows where it is unsure
#
# Where the members differ, a person should look. These are the four test images on which they
# differ most, with the digit that each member names and how sure it is of it.

# %%
import matplotlib.pyplot as plt

probabilities = statistics.predictions.values  # (members, images, digits)
spread = probabilities.std(axis=0).mean(axis=-1)  # one number per image
figure, panels = plt.subplots(1, 4, figsize=(10, 4), layout="constrained")
figure.suptitle("The test images on which the members differ most (8 x 8 pixels)")
for axes, image in zip(panels, (-spread).argsort()[:4], strict=True):
    axes.imshow(data.x_test[image, :, :, 0], cmap="gray_r")
    lines = [f"labelled {data.y_test[image]}"]
    for member, said in zip(members, probabilities[:, image], strict=True):
        lines.append(f"{member.name}: {said.argmax()} ({said.max():.0%})")
    axes.set_title("\n".join(lines), fontsize=9)
    axes.axis("off")
plt.show()

# %% [markdown]
# ## Keep it
#
# As with any Keras model:
#
#     ensemble.save("ensemble.keras")
#
# Next: [your own networks](02_your_own_networks.ipynb), and how to read what the package says of
# them. To compare with other ways to train an ensemble, see [all methods
# compared](04_methods_compared.ipynb).
