# %% [markdown]
# # 8. The paper's figures
#
# The paper (Wasay et al., *MotherNets: Rapid Deep Ensemble Learning*, MLSys 2020) compares
# MotherNets with other ways to train an ensemble. Its figures show error against training time,
# which network took how long, what more members add, and what it costs.
#
# This tutorial has two parts. The first draws these figures from **results that we have measured
# before** and keep in the repository. Nothing is trained for it. The second makes the first
# figure **here and now**, with a comparison that is small enough to wait for.
#
# What is different from the paper: it trained networks of full size on GPUs until they were done.
# Ours are an eighth as wide, see a fifth of the training images, and stop early. So look at who
# is before whom, and not at the numbers. `docs/RESULTS.md` goes through the paper's claims one by
# one, and says which did not come out.

# %%
import tempfile
from pathlib import Path

import keras
from IPython.display import Image, display

import keras_mothernets as km
from keras_mothernets.comparison import Entry, Grid, Results, Task, compare, draw_all, table

folder = tempfile.TemporaryDirectory()
place = Path(folder.name)

# %% [markdown]
# ## Part one: from kept results
#
# Five VGG networks, which the paper calls V5, on CIFAR-10 photographs. The table has one figure
# in each row. It is part of a clone of the repository, not of the installed package.

# %%
clone = Path(km.__file__).parents[1]
kept = Results.read(clone / "tools/results/v5/results.csv")
print(f"{len(kept.rows):,} figures of {len(kept.cells)} ensembles")
print("methods:", ", ".join(kept.methods))
print("budgets:", kept.budgets)

# %%
pictures = {
    path.stem: path
    for path in draw_all(kept, place, title="V5 on CIFAR-10, an eighth as wide", clock="cpu")
}
sorted(pictures)

# %% [markdown]
# ### Error against training time (their figures 3 to 7)
#
# Each dot is an ensemble of five. Its number is its budget: the work of training each member from
# scratch for so many epochs. Faint dots are single runs, bars their spread. Down and left is
# better.

# %%
display(Image(filename=pictures["error_against_time"], width=800))

# %% [markdown]
# Follow the grey stairs: nothing is better than them in both time and error. MotherNets are on
# them at most budgets. Independent training (`FullData`) needs two to three times the time for
# the same error up to a budget of 20; at 40 it is near. With a budget of 10, the largest for
# which all were run, the fast geometric ensemble is as good as MotherNets.
#
# ### Which network took how long (their figure 8)

# %%
display(Image(filename=pictures["time_per_network"], width=800))

# %% [markdown]
# Black is trained for several members at once: the mother, or the trunk of a tree. At equal work,
# that is where the method puts its time.
#
# ### What every further member adds (their figure 10)

# %%
display(Image(filename=pictures["growth"], width=800))

# %% [markdown]
# The first dot of a line is one network alone. Snapshots begin worst and gain most from each
# other. Hatched networks and those of a fast geometric ensemble begin well and gain little. The
# paper's figure goes to a hundred networks, which is too much for the machine on which this was
# measured.
#
# ### What it costs (their figure 11)

# %%
display(Image(filename=pictures["cost"], width=800))

# %% [markdown]
# The time that each method needs to be as good as independent training with the largest budget
# that most methods had, and what such a time costs on a rented machine. It is read off the first
# figure, between its dots.
#
# ### Good members, and different ones
#
# This one is ours. The paper explains with it in words why fast methods gain less from averaging.

# %%
display(Image(filename=pictures["diversity"], width=800))

# %% [markdown]
# ## Part two: a small one of your own
#
# From a shell, a comparison is one command, `keras-mothernets compare`. It finds out how many
# epochs each method may train for a budget, trains, keeps everything in a folder, and draws. What
# it does is also here, as a function. Three small networks on digits, two methods, two budgets:


# %%
def make_members() -> list[km.Member]:
    """Called anew for every ensemble, after the seed has been set."""
    blocks = {
        "deep": [[(3, 16)] * 2, [(3, 32)] * 2],
        "wide": [[(3, 32)], [(3, 64)]],
        "large_kernels": [[(5, 16)], [(5, 32)]],
    }
    return [
        km.Member(km.zoo.vgg((8, 8, 1), 10, each, batch_norm=False, name=name))
        for name, each in blocks.items()
    ]


task = Task(
    make=make_members,
    data=km.datasets.load("digits"),
    batch_size=64,
    optimizer="adam",
    weight_decay=5e-4,
    loss=keras.losses.SparseCategoricalCrossentropy(),
)
grid = Grid(
    entries=[Entry.parse(text) for text in ("mothernets", "fulldata")],
    budgets=[2, 5],
    learning_rates=[2e-3],
    seeds=[0],
)
own = compare(grid, task, place / "own", settings={"data set": "digits"}, say=print)

# %%
print(table(own, clock="cpu", variants=False))

# %%
own_pictures = draw_all(own, place / "own", title="Three small networks on digits", clock="cpu")
display(Image(filename=own_pictures[0], width=800))

# %% [markdown]
# The test set has 359 images, so that 0.3 % is one image, and there is one run of each: with
# another seed the lines may cross. MotherNets take longer here for equal work, since they are
# more trainings, and with networks as small as these to set up a training takes as long as to
# train. On your own data, take several seeds and your own networks:
#
#     keras-mothernets compare my_models.py:make cifar10 --budgets 5 10 --seeds 0 1 2 --out results
#
# `--learning-rates 0.05 0.1 0.2` tries several for every method, and takes for each the one that
# is best on held-out images. A comparison that is stopped goes on with the same command.

# %%
folder.cleanup()
