# %% [markdown]
# # 3. Clusters and a budget
#
# One mother for all members is the cheapest way. But the more the members differ, the less they
# have in common, and the less they have from her. Then it may be better to divide them into
# **clusters**, each with a mother of its own. That costs more, since every mother has to be
# trained.
#
# This tutorial shows what the trade looks like, what a training will take before it begins, and
# how to let the package choose for a budget of time.

# %%
import os
import tempfile
from pathlib import Path

# What is learned here of this machine is kept in a folder of its own, and forgotten at the end.
cache = tempfile.TemporaryDirectory()
os.environ["KERAS_MOTHERNETS_CACHE"] = cache.name

import matplotlib.pyplot as plt
import numpy as np

import keras_mothernets as km

data = km.datasets.load("digits")
fit_arguments = {
    "batch_size": 64,
    "validation_data": (data.x_val, data.y_val),
}

# %% [markdown]
# Five networks: two deep ones that are alike, and three others. Each block is a list of
# convolutions as (kernel size, filters).

# %%
blocks = {
    "deep": [[(3, 16)] * 2, [(3, 32)] * 2, [(3, 64)] * 2],
    "deeper": [[(3, 16)] * 3, [(3, 32)] * 3, [(3, 64)] * 2],
    "wide": [[(3, 32)], [(3, 64)], [(3, 128)]],
    "wide_deep": [[(3, 24)] * 2, [(3, 48)] * 2, [(3, 96)]],
    "large_kernels": [[(5, 16)], [(5, 32)], [(5, 64)]],
}
members = [
    km.zoo.vgg(data.input_shape, data.num_classes, each, batch_norm=False, name=name)
    for name, each in blocks.items()
]

# %% [markdown]
# ## Which members belong together?
#
# `km.cluster` says it for any number of clusters. In brackets, how much of each member comes from
# the mother of its cluster.

# %%
for n_clusters in (1, 2, 3):
    print(f"{n_clusters}:", *km.cluster(members, n_clusters), sep="\n  ")

# %% [markdown]
# If you would rather say how much every member must inherit, it finds the fewest clusters that
# allow it:

# %%
for found in km.cluster(members, min_shared=0.5):
    print(found)

# %% [markdown]
# The trade in a picture. Left, what the members inherit; right, what has to be trained from
# scratch for it, which are the mothers. (A member that is alone in its cluster is its own mother.
# With five clusters for five members, everything is trained from scratch, as without this
# package.)

# %%
counts = range(1, len(members) + 1)
inherited, mothers = [], []
for n_clusters in counts:
    found = km.cluster(members, n_clusters)
    inherited.append(np.mean([share for each in found for share in each.shared]))
    mothers.append(sum(each.mothernet.count_params() for each in found))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
left.plot(counts, np.array(inherited) * 100, marker="o")
left.set_title("With more clusters members inherit more ...")
left.set_ylabel("parameters from the mother,\nmean of the members [%]")
left.set_ylim(0, 105)
right.bar(counts, np.array(mothers) / 1000, color="#222222")
right.set_title("... and more is trained from scratch")
right.set_ylabel("parameters of all mothers [thousands]")
for axes in (left, right):
    axes.set_xlabel("number of clusters")
    axes.set_xticks(counts)
plt.show()

# %% [markdown]
# ## The plan, before anything is trained

# %%
method = km.MotherNets(members, n_clusters=2, member_epochs=2)
method.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
print(method.plan(data.x_train, data.y_train, epochs=8, **fit_arguments))

# %% [markdown]
# A line for each training, a **job**. `start` says from where its weights come, `waits for` which
# job has to end before. `deep` is what the first cluster has in common: it is trained once, as
# the mother and as a member.
#
# ## How long will it take?
#
# So far the plan has no seconds, because nothing is known of this machine. On yours you would
# measure it once, which takes one or two minutes:
#
#     km.measure_device()
#
# A tutorial should not take that long. So we borrow: beside this file lies what `measure_device`
# has found on a small machine. Put into the cache, it is taken for this machine's.

# %%
from keras_mothernets.planning import DeviceCosts

places = (Path("."), Path("tutorials"))
file = next(
    place / "costs_of_a_small_machine.json"
    for place in places
    if (place / "costs_of_a_small_machine.json").exists()
)
borrowed = DeviceCosts.load(file)
print("borrowed from:", borrowed.device)
borrowed.path = DeviceCosts.here().path
borrowed.save()

# %%
plan = method.plan(data.x_train, data.y_train, epochs=8, **fit_arguments)
print(plan)

# %% [markdown]
# Now there are seconds and memory for every job. Below the table stands what all jobs take one
# after the other, and the longest way through the plan: no number of workers is faster than that.
#
# ## What fits into a budget?
#
# `propose` turns the question round. It compares numbers of clusters, and says for each how many
# epochs fit. *Effective epochs* are what it goes by: the epochs of a member, and those of its
# mother as far as it inherits from her. That is a guess at what training is worth.
# `docs/PLANNING.md` tells how good it is.

# %%
found = method.propose(
    data.x_train, data.y_train, budget="30s", clusters=(1, 2, 3), **fit_arguments
)
print(found)

# %% [markdown]
# ## Was it right?
#
# The plan from above is trained now. `fit` compares what its jobs take with what was predicted,
# and corrects what it predicts next. So we ask for the same plan once more afterwards. Left, what
# was predicted from the borrowed costs; right, what is predicted now; black, what the jobs took
# here.

# %%
history = method.fit(data.x_train, data.y_train, epochs=8, verbose=0, **fit_arguments)
again = method.plan(data.x_train, data.y_train, epochs=8, **fit_arguments)

jobs = [row.job for row in history.ledger]
measured = [row.wall_seconds for row in history.ledger]
places = np.arange(len(jobs))
figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), sharex=True, layout="constrained")
forecasts = {"Borrowed costs": plan.forecast, "Corrected by this run": again.forecast}
for axes, (title, forecast) in zip(panels, forecasts.items(), strict=True):
    predicted = [forecast.jobs[job].seconds for job in jobs]
    axes.barh(places - 0.2, predicted, 0.38, label="predicted", color="#9fb8c9")
    axes.barh(places + 0.2, measured, 0.38, label="took here", color="#222222")
    axes.set_yticks(places, jobs)
    axes.invert_yaxis()
    axes.set_title(f"{title}: {sum(predicted):.0f} s predicted, {sum(measured):.0f} s taken")
    axes.set_xlabel("wall clock time of a job [seconds]")
panels[0].legend()
plt.show()

# %% [markdown]
# How far the left side is off says how unlike your machine is to the one that we have borrowed
# from, and how busy it is. The right side should be nearer. Jobs of a few seconds are the hardest
# to predict, since much of their time goes into starting up.
#
# ## Decide while training
#
# `km.AdaptiveMotherNets` takes a budget and no number of clusters. It begins with one mother.
# Then it splits the cluster whose members inherit least, as long as there is time, and as long as
# the loss of the ensemble on the validation data falls. It says what it does, and why.

# %%
adaptive = km.AdaptiveMotherNets(members, budget="20s", member_epochs=2)
adaptive.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
adaptive.fit(data.x_train, data.y_train, epochs=4, verbose=0, **fit_arguments)
for decision in adaptive.decisions:
    print("-", decision)

# %%
fixed = km.EnsembleStatistics.of(method.members, data.x_test, data.y_test)
found = km.EnsembleStatistics.of(adaptive.members, data.x_test, data.y_test)
for name, statistics in {"two clusters": fixed, "adaptive": found}.items():
    print(f"{name}: {statistics.accuracy():.1%} of the test digits are named rightly")

# %% [markdown]
# Both have had other times and other numbers of epochs, so this is no contest. For one at equal
# cost see [all methods compared](04_methods_compared.ipynb).

# %%
cache.cleanup()
