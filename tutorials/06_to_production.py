# %% [markdown]
# # 6. From run to production
#
# A training that takes hours should survive a crash, should tell what came of it, and should end
# as something that others can use. This tutorial goes the whole way: a run in a folder, stopped
# and gone on with; a report; an export; and a server that answers over HTTP without this package.

# %%
import json
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_mothernets as km

data = km.datasets.load("digits")
place = Path(tempfile.mkdtemp(prefix="production-"))  # removed at the end


def make_members() -> list[keras.Model]:
    """Three small perceptrons with the same initial weights whenever they are made."""
    keras.utils.set_random_seed(0)
    sizes = {"small": (16,), "medium": (32, 32), "large": (64, 64)}
    return [
        km.zoo.mlp(data.input_shape, data.num_classes, hidden, scale=1 / 255, name=name)
        for name, hidden in sizes.items()
    ]


def make_method() -> km.MotherNets:
    """The method with all of its settings."""
    method = km.MotherNets(make_members(), member_epochs=10)
    method.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return method


# %% [markdown]
# ## A run that survives
#
# `run_dir` keeps everything in a folder. Here the run is stopped on purpose: a callback presses
# Ctrl-C, so to speak, in the middle of the second job.


# %%
class PowerCut(keras.callbacks.Callback):
    """Stops the run at an epoch of a job, once."""

    def on_epoch_begin(self, epoch, logs=None):  # noqa: D102
        if self.model.name == "medium" and epoch == 5 and not (place / "was there").exists():
            (place / "was there").touch()
            raise KeyboardInterrupt


how = {
    "epochs": 20,
    "batch_size": 32,
    "validation_data": (data.x_val, data.y_val),
    "callbacks": [PowerCut()],
    "run_dir": place / "run",
    "verbose": 0,
}
method = make_method()
try:
    method.fit(data.x_train, data.y_train, **how)
except KeyboardInterrupt as stopped:
    print("Stopped.", stopped)

# %% [markdown]
# How far has it come? The console command tells, also from another terminal while a run is under
# way. On your shell it is `keras-mothernets status runs/first`.


# %%
def shell(*arguments: str | Path) -> None:
    """Call the console command `keras-mothernets`, and print what it says."""
    command = [sys.executable, "-m", "keras_mothernets", *map(str, arguments)]
    print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


shell("status", place / "run")

# %% [markdown]
# ## It goes on
#
# The same call on the same folder goes on after the last epoch. What is finished is not trained
# again. To show that nothing of the first attempt is needed but its folder, everything is made
# anew, as in a new process. The result is the same, number for number, as if nothing had stopped
# it.

# %%
method = make_method()
history = method.fit(data.x_train, data.y_train, **how)
print(history.ledger)

# %% [markdown]
# ## What came of it
#
# A report is one HTML page: the networks, the learning curves, errors, diversity, cost, the
# examples on which the members disagree most, and how to run it again. It needs no network and no
# scripts, so you can send it as a file.

# %%
km.report(method, place / "report.html", data=(data.x_test, data.y_test))
page = (place / "report.html").read_text(encoding="utf-8")
print(f"report.html, {len(page) / 1024:.0f} KiB, with these sections:")
for title in re.findall(r"<h2[^>]*>(.*?)</h2>", page):
    print(" -", title)

# %% [markdown]
# From a shell: `keras-mothernets report runs/first`.
#
# ## Export
#
# `km.export` writes a folder that TensorFlow alone can load, here a SavedModel. With it goes a
# model card: what it is, what it takes and gives, and what you say of it. Before the folder gets
# its name, the files are loaded again and compared with the ensemble. Below, a part of the card.

# %%
accuracy = km.EnsembleStatistics.of(method.members, data.x_test, data.y_test).accuracy()
card = km.export(
    method,
    place / "served",
    class_names=data.class_names,
    card={
        "title": "Handwritten digits",
        "data": "The digits of scikit-learn: 8 x 8 pixels of 0 to 255",
        "measures": {"test accuracy": round(accuracy, 4)},
        "license": "CC-BY-4.0",
    },
)
print("files:", ", ".join(sorted(path.name for path in (place / "served").iterdir())))
text = str(card)
print(text[text.index("## Inputs") : text.index("## Classes")])

# %% [markdown]
# `format="onnx"` and `format="litert"` write files for other runtimes.
#
# ## Serve it over HTTP
#
# `serve.py`, which lies beside this tutorial, is a small server to learn from. It imports
# TensorFlow and nothing of this package. (TensorFlow Serving takes the same folder.) It runs in a
# process of its own, as it would on another machine.

# %%
serve = next(path for path in (Path("serve.py"), Path("tutorials/serve.py")) if path.exists())
server = subprocess.Popen(
    [sys.executable, serve, place / "served", "--port", "0"],  # 0: any port that is free
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
)
address = server.stdout.readline().split()[-1]
print("ready" if address.startswith("http") else "it did not start")


# %%
def ask(images: np.ndarray, endpoint: str = "predict") -> dict:
    """Send images to the server; gives what it answers."""
    question = json.dumps({"inputs": {"image": images.tolist()}}).encode()
    with urllib.request.urlopen(f"{address}/{endpoint}", data=question, timeout=60) as answer:
        return json.load(answer)


answer = ask(data.x_test[:5])
print("named:   ", answer["classes"])
print("labelled:", [data.class_names[label] for label in data.y_test[:5]])
for name, values in answer["outputs"].items():
    print(f"{name}: shape {np.shape(values)}")

# %% [markdown]
# Besides the probabilities there are uncertainties. `predictive_entropy` is all of it,
# `mutual_information` the part that comes from the members' differences; both in nats, and larger
# is less sure. Does the server know when it is asked something unusual? Let us send it digits
# with more and more noise.

# %%
rng = np.random.default_rng(0)
levels = np.arange(0, 256, 32)  # standard deviation of the noise, in grey levels of 0 to 255
noisy = [data.x_test[:100] + rng.normal(0, level, data.x_test[:100].shape) for level in levels]
answers = [ask(np.clip(images, 0, 255)) for images in noisy]

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
figure.suptitle("What the server says of 100 test digits with noise")
right_ones = [
    np.mean(np.argmax(each["outputs"]["probabilities"], axis=-1) == data.y_test[:100])
    for each in answers
]
left.plot(levels, np.array(right_ones) * 100, marker="o", color="black")
left.set_title("It is wrong more often ...")
left.set_ylabel("digits named rightly [%]")
left.set_ylim(0, 105)
for name in ("predictive_entropy", "mutual_information"):
    means = [np.mean(each["outputs"][name]) for each in answers]
    right.plot(levels, means, marker="o", label=name.replace("_", " "))
right.set_title("... and it says that it is less sure")
right.set_ylabel("mean uncertainty [nats]")
right.set_ylim(0)
right.legend()
for axes in (left, right):
    axes.set_xlabel("standard deviation of the noise [grey levels of 0 to 255]")
plt.show()

# %% [markdown]
# The more noise, the more often the answer is wrong, and the higher the entropy. The mutual
# information stays low: three perceptrons hatched from one mother differ little. A rule such as
# "let a person look at everything above 1 nat" needs nothing but these numbers.
#
# The end: stop the server, remove the folder.

# %%
server.terminate()
server.wait()
server.stdout.close()
shutil.rmtree(place)
