# %% [markdown]
# # 5. Several devices
#
# A training can be spread in two ways.
#
# 1. **Several jobs at once.** Each network is trained on one device, and several networks train
#    side by side: in processes of one machine (`km.Processes`), or in a cluster (`km.Ray`).
# 2. **One job on several devices.** Each network is trained on all GPUs of the machine, one
#    network after the other (`tf.distribute.MirroredStrategy`).
#
# The first is for many or small networks, the second for few and large ones. This tutorial does
# all of it on two processor cores, which stand for two devices. What is different with real GPUs
# is said at each place.

# %%
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # several processes would say the same things

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

tf.get_logger().setLevel("WARNING")  # strategies tell every step of theirs

# Two devices made of one processor. This has to come before TensorFlow is used for the first time.
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
# One thread, as each of two workers will have: then the numbers are the same to the last bit.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

import keras_mothernets as km

data = km.datasets.load("digits")


def make_method(count: int = 3) -> km.MotherNets:
    """Some perceptrons and their method; always with the same initial weights."""
    keras.utils.set_random_seed(0)
    sizes = {"a": (32, 32), "b": (48, 32), "c": (32, 64)}
    members = [
        km.zoo.mlp(data.input_shape, data.num_classes, hidden, scale=1 / 255, name=name)
        for name, hidden in sizes.items()
    ]
    method = km.MotherNets(members[:count], member_epochs=10)
    method.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return method


# %% [markdown]
# ## Who waits for whom

# %%
fit_arguments = {"epochs": 10, "batch_size": 32}
print(make_method().plan(data.x_train, data.y_train, **fit_arguments))

# %% [markdown]
# `waits for` is all there is to know. `a` is what the three have in common, so it comes first.
# Then the others can train at the same time.
#
# ## Several processes
#
# An executor says who trains the jobs. `km.Local()`, the default, trains one after the other in
# this process. `km.Processes(2)` has two workers.

# %%
import tempfile
import time
from pathlib import Path

folder = tempfile.TemporaryDirectory()
runs = Path(folder.name)


def train(name: str, count: int = 3, **how: object) -> km.MotherNets:
    """Train in a folder of that name, and say how long it took."""
    method = make_method(count)
    start = time.perf_counter()
    method.fit(data.x_train, data.y_train, **fit_arguments, run_dir=runs / name, verbose=0, **how)
    print(f"{name}: {time.perf_counter() - start:.0f} s")
    return method


local = train("local")
processes = train("processes", executor=km.Processes(2, threads=1))

# %% [markdown]
# On networks as small as these, several processes are slower: to start them takes some seconds,
# and there is hardly anything to do. `docs/EXECUTORS.md` has figures of larger ones.
#
# Are they the same networks? An executor must not change what comes out.


# %%
def largest_difference(first: km.MotherNets, second: km.MotherNets) -> float:
    """Between any two weights of the members that both have."""
    pairs = zip(first.members, second.members, strict=False)
    weights = (zip(one.get_weights(), other.get_weights(), strict=True) for one, other in pairs)
    return max(float(np.abs(a - b).max()) for each in weights for a, b in each)


print("largest difference of any weight:", largest_difference(local, processes))

# %% [markdown]
# The same to the last bit, since each worker has one thread, and so has this process. With
# another number of threads sums are made in another order, and the last digits differ.
#
# When was what trained? The log of a run tells when each job began (to the second) and what it
# took. Bars side by side in time were trained at once.

# %%
import re
from datetime import datetime

BEGINS = re.compile(r"^(\S+ \S+) (\w+): begins", flags=re.MULTILINE)
TOOK = re.compile(r"^\S+ \S+ (\w+): finished in ([\d.]+) s", flags=re.MULTILINE)


def draw_run(axes: plt.Axes, name: str) -> None:
    """A bar for each job of a run."""
    log = (runs / name / "log.txt").read_text(encoding="utf-8")
    origin = datetime.fromisoformat(log[:19])  # when `fit` was called
    begun = {
        job: (datetime.fromisoformat(when) - origin).seconds for when, job in BEGINS.findall(log)
    }
    for job, seconds in TOOK.findall(log):
        axes.barh(
            job, float(seconds), left=begun[job], color="#222222" if job == "a" else "#9fb8c9"
        )
    axes.set_title(name)
    axes.invert_yaxis()
    axes.set_xlabel("time since fit was called [seconds]")


figure, panels = plt.subplots(1, 2, figsize=(10, 2.6), sharex=True, layout="constrained")
draw_run(panels[0], "local")
draw_run(panels[1], "processes")
panels[0].set_ylabel("job")
plt.show()

# %% [markdown]
# Black is the mother, who is also the member `a`. Right, nothing happens at first: the workers
# start. Then `b` and `c` are trained at once.
#
# **On a machine with GPUs** worker after worker gets the next GPU, so that `km.Processes(4)` uses
# four of them. Nothing else changes. (That is how it is made; we had no such machine to try it
# on.)
#
# ## A cluster
#
# `km.Ray` does the same in a Ray cluster (`pip install 'keras-mothernets[ray]'`):
#
#     method.fit(..., executor=km.Ray("auto", cpus=4, gpus=1))
#
# `"auto"` is a cluster that runs already; each job asks it for four cores and a GPU. With
# `gpus=0.5` two jobs share one. Without an address a cluster of this machine alone is started,
# and ended with the run. That takes a while, so here it is left to you:

# %%
WITH_RAY = False  # True if Ray is installed and you have half a minute

if WITH_RAY:
    ray = train("ray", executor=km.Ray(cpus=1))
    print("largest difference of any weight:", largest_difference(local, ray))

# %% [markdown]
# In a real cluster put `run_dir` on storage that all nodes share. Then a job whose node is lost
# goes on elsewhere after its last epoch.
#
# ## One network on several devices
#
# A `MirroredStrategy` deals out each batch to all devices. Each works on its part, the gradients
# are added up, and all take the same step.

# %%
strategy = tf.distribute.MirroredStrategy(
    [each.name for each in tf.config.list_logical_devices("CPU")]
)
print("devices:", strategy.num_replicas_in_sync)
mirrored = train("mirrored", count=1, distribute=strategy)
print("largest difference of any weight:", largest_difference(local, mirrored))

# %% [markdown]
# A batch of 32 is 16 examples on each device. The sums are the same but for their order, so the
# weights agree up to rounding, which training magnifies a little. Here it is slower: two devices
# made of one processor have no more power than that processor, and every job waits some seconds
# for TensorFlow to clear up.
#
# **On a machine with GPUs** leave out the list: `tf.distribute.MirroredStrategy()` takes all of
# them. `batch_size` is that of all devices together; it must divide by their number, and GPUs
# want large ones. Networks with BatchNormalization normalise by the part of the batch that is on
# their device. Strategies and executors do not go together: one process has the devices.
# `docs/DISTRIBUTION.md` has what is refused and why. We have tried this on processors only, not
# on several GPUs.
#
# ## Which one?
#
# | you have | take |
# | --- | --- |
# | one GPU, or a small machine | nothing: `km.Local()` is the default |
# | many cores and small networks | `km.Processes()` |
# | several GPUs, more members than GPUs | `km.Processes(number of GPUs)` |
# | several GPUs, few and large networks | `distribute=tf.distribute.MirroredStrategy()` |
# | several machines | `km.Ray("auto", ...)` |

# %%
folder.cleanup()
