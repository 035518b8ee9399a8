"""Jobs that are killed on the way and go on after the last epoch, bit for bit."""

import collections
import functools
import math
import shutil
import time

import keras
import numpy as np
import pytest
from marks import quick_ones

import keras_mothernets as km
from keras_mothernets.training import RunDirectory, save_epochs
from keras_mothernets.training.checkpoint import CheckpointFile
from keras_mothernets.training.plain_values import read_plain, write_plain

SPARSE = "sparse_categorical_crossentropy"
EPOCHS = 4
RNG = np.random.default_rng(7)
Y = RNG.integers(0, 3, 40)
X = (RNG.normal(size=(40, 4)) + np.eye(3, 4)[Y] * 2).astype("float32")
VALIDATION = (RNG.normal(size=(20, 4)).astype("float32"), RNG.integers(0, 3, 20))
IMAGES = RNG.normal(size=(40, 6, 6, 2)).astype("float32")
SERIES = RNG.normal(size=(40, 5, 2)).astype("float32")

layers, callbacks = keras.layers, keras.callbacks
SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch):
    """Checkpoints of epochs of milliseconds would take too large a share of the time."""
    monkeypatch.setattr(save_epochs, "SHARE", math.inf)


class Crash(keras.callbacks.Callback):
    """Stands for the power cut. Its settings are the class's, so that the plan is the same."""

    job = epoch = None
    begun: list[tuple[str, int]] = []  # noqa: RUF012 - epochs that were begun

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append((self.model.name, epoch))

    def on_train_batch_end(self, batch, logs=None):
        if (self.model.name, self.begun[-1][1]) == (self.job, self.epoch) and batch == 1:
            raise KeyboardInterrupt


def run(build, run_dir=None, *, crash=(None, None), optimizer="sgd", callbacks=(), **arguments):
    """One process' life: networks are made anew, with the same weights."""
    keras.utils.set_random_seed(1)
    Crash.job, Crash.epoch = crash
    Crash.begun = []
    method = arguments.pop("method", km.FullData)(build())
    settings = {name: arguments.pop(name) for name in ("run_eagerly",) if name in arguments}
    method.compile(optimizer, SPARSE, ["accuracy"], **{"run_eagerly": True, **settings})
    given = {"x": X, "y": Y, "epochs": EPOCHS, "batch_size": 20, "verbose": 0, **arguments}
    made = (lambda job: [Crash(), *callbacks()]) if callable(callbacks) else [Crash(), *callbacks]
    history = method.fit(**given, run_dir=run_dir, callbacks=made)
    return method, history


def crash(*arguments, **settings):
    with pytest.raises(KeyboardInterrupt):
        run(*arguments, **settings)


def assert_same(one, other):
    (mine, history), (theirs, expected) = one, other
    assert history.history == expected.history
    for model, twin in zip(mine.members, theirs.members, strict=True):
        np.testing.assert_equal(model.get_weights(), twin.get_weights())
    for row, twin in zip(history.ledger, expected.ledger, strict=True):
        names = ("job", "epochs", "steps", "examples", "flops", "deviation", "metrics")
        assert [vars(row)[name] for name in names] == [vars(twin)[name] for name in names]


def network(*hidden, shape=(4,), name="a", dtype=None):
    def build():
        head = layers.Dense(3, activation="softmax", dtype=dtype)
        return [
            keras.Sequential([keras.Input(shape), *(make() for make in hidden), head], name=name)
        ]

    return build


def dense(**settings):
    return lambda: layers.Dense(5, activation="relu", **settings)


def dropout():
    return layers.Dropout(0.4)


PLAIN = network(dense())
DROPPED = network(dense(), dropout)
AUGMENTED = network(
    lambda: layers.RandomFlip(),
    lambda: layers.RandomTranslation(0.3, 0.3),
    lambda: layers.Conv2D(4, 3),
    lambda: layers.BatchNormalization(),
    lambda: layers.SpatialDropout2D(0.3),
    lambda: layers.GaussianNoise(0.2),
    lambda: layers.Flatten(),
    shape=(6, 6, 2),
)


def normalized():
    layer = layers.Normalization()
    layer.adapt(X * 3 + 1)
    return layer


def nested():
    inner = [keras.Input((4,)), layers.Dense(5, activation="relu"), layers.Dropout(0.4)]
    return keras.Sequential(inner, name="inner")


def cosine(job):
    return Adam(keras.optimizers.schedules.CosineDecay(0.05, job.steps))


def scaled():
    return keras.optimizers.LossScaleOptimizer(SGD(0.1), initial_scale=64.0, dynamic_growth_steps=3)


class Rows(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return X[10 * index :][:10], Y[10 * index :][:10]


class Slower(keras.callbacks.Callback):
    """A callback of the user's own: sets a first learning rate, and lowers it by what it knows."""

    def __init__(self):
        super().__init__()
        self.losses, self.lowest, self.count = [], {}, np.float32(0)
        self.recent = (np.zeros(2), "none")

    def on_train_begin(self, logs=None):
        assert any(np.any(weight) for weight in self.model.get_weights())
        self.model.optimizer.learning_rate = 0.5

    def on_epoch_end(self, epoch, logs=None):
        assert type(self.count) is np.float32 and type(self.recent) is tuple
        assert len(self.losses) == epoch
        self.losses.append(logs["loss"])
        self.lowest[epoch] = min(self.losses)
        self.count += np.float32(1)
        self.recent = (np.roll(self.recent[0], 1) + logs["loss"], f"epoch {epoch}")
        factor = 0.5 + self.lowest[0] / 10 + self.count / 100 + self.recent[0].sum() / 50
        self.model.optimizer.learning_rate = self.model.optimizer.learning_rate * factor


VALIDATED = {"validation_data": VALIDATION}
WORSE = SGD(keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 30.0]))
MIXED = network(dense(dtype="mixed_float16"), dropout, dtype="mixed_float16")
NEVER = functools.partial(callbacks.EarlyStopping, min_delta=0.01, patience=9)
CASES = {
    "momentum": (PLAIN, {"optimizer": SGD(0.1, momentum=0.9)}),
    "cosine decay": (PLAIN, {"optimizer": cosine}),
    "dropout": (DROPPED, {"optimizer": "adam"}),
    "augmentation and batch norm": (AUGMENTED, {"x": IMAGES}),
    "recurrent dropout": (
        network(lambda: layers.LSTM(4, recurrent_dropout=0.3), shape=(5, 2)),
        {"x": SERIES},
    ),
    "normalization": (network(normalized, dense(), dropout), {}),
    "nested": (network(nested, dropout), {}),
    "moving average": (
        PLAIN,
        {"optimizer": Adam(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=3)},
    ),
    "moving average at the end": (
        PLAIN,
        {"optimizer": SGD(0.1, use_ema=True, ema_momentum=0.8)},
    ),
    "moving average swapped": (
        PLAIN,
        {
            "optimizer": SGD(0.1, use_ema=True, ema_momentum=0.8),
            "callbacks": [callbacks.SwapEMAWeights(swap_on_epoch=True)],
        },
    ),
    "gradient accumulation": (PLAIN, {"optimizer": SGD(0.1, gradient_accumulation_steps=3)}),
    "loss scale": (MIXED, {"optimizer": scaled()}),
    "bfloat16": (
        network(dense(dtype="bfloat16"), dropout, dtype="bfloat16"),
        {"optimizer": "adam", "callbacks": [NEVER("loss", restore_best_weights=True)]},
    ),
    "stopped early": (
        DROPPED,
        {
            "optimizer": Adam(0.02),
            "callbacks": [callbacks.EarlyStopping(patience=2, restore_best_weights=True)],
            "epochs": 9,
            "kill": 4,
            **VALIDATED,
        },
    ),
    "best epoch": (DROPPED, {"optimizer": WORSE, **VALIDATED}),
    "stopped early by a margin": (
        PLAIN,
        {"callbacks": [callbacks.EarlyStopping("loss", min_delta=0.2, patience=3)], "epochs": 9},
    ),
    "plateau": (
        PLAIN,
        {"callbacks": [callbacks.ReduceLROnPlateau("loss", 0.5, 2, min_delta=9, cooldown=1)]},
    ),
    "schedule": (
        PLAIN,
        {"callbacks": [callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7)]},
    ),
    "own callback": (DROPPED, {"callbacks": [Slower()]}),
    "py dataset": (DROPPED, {"x": Rows(), "y": None}),
    "in order": (DROPPED, {"shuffle": False}),
    "validated every other epoch": (DROPPED, {**VALIDATED, "validation_freq": 2}),
    "compiled": (
        AUGMENTED,
        {
            "x": IMAGES,
            "optimizer": cosine,
            "run_eagerly": False,
            "callbacks": [NEVER("loss", restore_best_weights=True)],
        },
    ),
}


@pytest.mark.parametrize(
    "name", quick_ones(CASES, ["cosine decay", "dropout", "stopped early", "best epoch"])
)
def test_a_killed_run_gives_what_the_undisturbed_one_gives(name, tmp_path):
    build, settings = CASES[name]
    epoch = settings.get("kill", 2)
    settings = {key: value for key, value in settings.items() if key != "kill"}
    expected = run(build, **settings)
    epochs = Crash.begun
    crash(build, tmp_path, crash=("a", epoch), **settings)
    again = run(build, tmp_path, **settings)
    assert Crash.begun == epochs[epoch:]
    assert len(Crash.begun) > 0
    assert_same(again, expected)


def test_the_best_epoch_before_a_kill_is_kept(tmp_path):
    build, settings = CASES["best epoch"]
    crash(build, tmp_path, crash=("a", 2), **settings)
    _, history = run(build, tmp_path, **settings)
    values = history.jobs["a"]["val_loss"]
    assert np.argmin(values) < 2
    assert history.ledger["a"].metrics["val_loss"] == min(values)


def test_a_run_may_be_killed_again_and_again_and_leaves_nothing_behind(tmp_path):
    expected = run(DROPPED, optimizer=cosine)
    for epoch, begun in ((0, [0]), (1, [0, 1]), (1, [1]), (3, [1, 2, 3])):
        crash(DROPPED, tmp_path, crash=("a", epoch), optimizer=cosine)
        assert Crash.begun == [("a", each) for each in begun]
    assert_same(run(DROPPED, tmp_path, optimizer=cosine), expected)
    names = {path.name for path in (tmp_path / "jobs" / "a").iterdir()}
    assert names == {"model.keras", "history.csv", "state.json"}


def die(*arguments):
    raise KeyboardInterrupt


ENDS = ["stopped early", "best epoch", "moving average at the end", "own callback"]


@pytest.mark.parametrize("name", ENDS)
def test_a_job_killed_before_it_is_stored_trains_no_further_epoch(name, tmp_path, monkeypatch):
    build, settings = CASES[name]
    settings = {key: value for key, value in settings.items() if key != "kill"}
    expected = run(build, **settings)
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "save", die)
        crash(build, tmp_path, **settings)
    again = run(build, tmp_path, **settings)
    assert Crash.begun == []
    assert_same(again, expected)


def test_a_callback_that_reads_how_the_training_ended_can_do_so_again(tmp_path):
    ends = []
    at_end = callbacks.LambdaCallback(on_train_end=lambda logs: ends.append(logs["loss"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "save", die)
        crash(PLAIN, tmp_path, callbacks=[at_end])
    run(PLAIN, tmp_path, callbacks=[at_end])
    assert len(ends) == 2
    assert ends[0] == ends[1]


def two(*names):
    return lambda: [network(dense(), dropout, name=name)()[0] for name in names]


def test_only_the_job_under_way_goes_on_in_the_middle(tmp_path):
    build = two("a", "b", "c")
    expected = run(build)
    crash(build, tmp_path, crash=("b", 3))
    again = run(build, tmp_path)
    assert Crash.begun == [("b", 3), *(("c", epoch) for epoch in range(EPOCHS))]
    assert_same(again, expected)


def test_a_run_that_is_moved_goes_on_where_it_is_now(tmp_path):
    build = two("a", "b")
    expected = run(build)
    crash(build, tmp_path / "here", crash=("b", 3))
    (tmp_path / "on another disk").mkdir()
    moved = shutil.move(tmp_path / "here", tmp_path / "on another disk" / "there")
    assert_same(run(build, moved), expected)
    assert Crash.begun == [("b", 3)]
    assert not (tmp_path / "here").exists()


def test_a_hatched_job_is_not_hatched_again(tmp_path, monkeypatch):
    def build():
        return [
            keras.Sequential(
                [keras.Input((4,)), layers.Dense(width, "relu"), layers.Dense(3, "softmax")],
                name=name,
            )
            for name, width in (("a", 5), ("b", 7))
        ]

    settings = {"method": functools.partial(km.MotherNets, member_epochs=3)}
    expected = run(build, **settings)
    assert expected[1].ledger["b"].deviation is not None
    crash(build, tmp_path, crash=("b", 2), **settings)
    monkeypatch.setattr("keras_mothernets.surgery.hatch", die)
    again = run(build, tmp_path, **settings)
    assert Crash.begun == [("b", 2)]
    assert_same(again, expected)
    assert again[1].ledger["b"].hatch_seconds > 0


def test_other_initial_weights_are_told_and_what_was_trained_is_kept(tmp_path):
    expected = run(DROPPED)
    crash(DROPPED, tmp_path, crash=("a", 2))

    def others():
        keras.utils.set_random_seed(2)
        return DROPPED()

    with pytest.warns(UserWarning, match="initial weights differ from those that the jobs `a`"):
        again = run(others, tmp_path)
    assert len(Crash.begun) == 2
    assert_same(again, expected)
    with pytest.warns(UserWarning, match="initial weights differ from those that the jobs `a`"):
        run(others, tmp_path)  # it is still so when the job is finished
    run(DROPPED, tmp_path)


def test_seconds_of_all_processes_are_counted(tmp_path):
    slow = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: time.sleep(0.1))
    for epoch in (2, 3):
        crash(PLAIN, tmp_path, crash=("a", epoch), callbacks=[slow])
    _, history = run(PLAIN, tmp_path, callbacks=[slow])
    assert len(Crash.begun) == 1
    assert history.ledger["a"].wall_seconds > 0.1 * EPOCHS
    assert history.ledger["a"].cpu_seconds > 0


def test_the_largest_peak_of_all_processes_counts(tmp_path):
    crash(PLAIN, tmp_path, crash=("a", 2))
    rewrite(tmp_path / "jobs" / "a" / "checkpoint" / "state.npz", peak_memory=2**50)
    crash(PLAIN, tmp_path, crash=("a", 3))
    _, history = run(PLAIN, tmp_path)
    assert history.ledger["a"].peak_memory in (2**50, None)  # None where nobody counts


def test_a_checkpoint_of_a_version_without_memory_goes_on(tmp_path):
    expected = run(DROPPED)
    crash(DROPPED, tmp_path, crash=("a", 2))
    path = tmp_path / "jobs" / "a" / "checkpoint" / "state.npz"
    values = read_plain(path)
    del values["peak_memory"]
    write_plain(path, values)
    again = run(DROPPED, tmp_path)
    assert Crash.begun[0] == ("a", 2)
    assert_same(again, expected)
    assert again[1].ledger["a"].peak_memory is None


def test_the_display_goes_on_at_the_right_epoch(tmp_path, capsys):
    crash(PLAIN, tmp_path, crash=("a", 3))
    run(PLAIN, tmp_path, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "[1/1] a: goes on after epoch 3/4"
    assert lines[2].startswith("[1/1] a: epoch 4/4 accuracy")
    assert lines[2].endswith("(0:00 left)")


def test_without_a_run_directory_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(save_epochs.SaveEpochs, "__init__", die)
    monkeypatch.chdir(tmp_path)
    run(PLAIN)
    assert list(tmp_path.iterdir()) == []


# A checkpoint that cannot be used: what is done to it, and what the warning says.


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def rewrite(path, **changes):
    write_plain(path, read_plain(path) | changes)


UNUSABLE = {
    "empty": (lambda path: path.write_bytes(b""), ""),
    "text": (lambda path: path.write_text("{}"), ""),
    "truncated": (truncate, ""),
    "one byte": (flip, ""),
    "newer": (lambda path: rewrite(path, version=2), "newer keras_mothernets"),
    "foreign": (lambda path: rewrite(path, job="0" * 16), "another plan"),
    "other shapes": (lambda path: rewrite(path, model=[np.zeros(3)] * 5), "the network has other"),
    "fewer variables": (lambda path: rewrite(path, optimizer=[]), "the optimizer has other"),
}


@pytest.mark.parametrize("name", quick_ones(UNUSABLE, ["truncated", "foreign"]))
def test_a_checkpoint_that_cannot_be_used_is_left_alone_with_a_warning(name, tmp_path):
    damage, reason = UNUSABLE[name]
    expected = run(DROPPED)
    crash(DROPPED, tmp_path, crash=("a", 2))
    damage(tmp_path / "jobs" / "a" / "checkpoint" / "state.npz")
    with pytest.warns(UserWarning, match=f"`a` begins again from its beginning.*{reason}"):
        again = run(DROPPED, tmp_path)
    assert len(Crash.begun) == EPOCHS
    assert_same(again, expected)


def test_what_killed_processes_leave_is_removed(tmp_path):
    crash(DROPPED, tmp_path, crash=("a", 2))
    folder = tmp_path / "jobs" / "a" / "checkpoint"
    (folder / ".unfinished-1-state.npz").write_text("half")
    crash(DROPPED, tmp_path, crash=("a", 3))
    assert [path.name for path in folder.iterdir()] == ["state.npz"]


def test_the_checkpoint_of_a_finished_job_is_removed(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFile, "remove", die)
        crash(DROPPED, tmp_path)
    folder = tmp_path / "jobs" / "a" / "checkpoint"
    assert folder.exists()
    run(DROPPED, tmp_path)
    assert Crash.begun == []
    assert not folder.exists()


class Fails(CheckpointFile):
    """A disk that is full after the first checkpoint."""

    def write(self, checkpoint):
        if self.path.exists():
            raise OSError(28, "No space left on device")
        super().write(checkpoint)


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_mothernets.training.job_files.CheckpointFile", Fails)
    with pytest.warns(UserWarning, match="epochs of job `a` cannot be kept.*No space left"):
        crash(DROPPED, tmp_path, crash=("a", 3))
    assert len(Crash.begun) == 4
    monkeypatch.undo()
    assert_same(run(DROPPED, tmp_path), run(DROPPED))
    assert Crash.begun[0] == ("a", 0)


# Callbacks of the user's own.


class Keeps(keras.callbacks.Callback):
    """Holds something, and counts the epochs in it if it is a queue."""

    def __init__(self, held):
        super().__init__()
        self.held = held

    def on_epoch_end(self, epoch, logs=None):
        if isinstance(self.held, (collections.deque, list)):
            self.held.append(epoch)
        if isinstance(self.held, keras.Model) and self.held.trainable:
            self.held.set_weights(self.model.get_weights())


def frozen(model):
    model.trainable = False
    return model


@pytest.mark.parametrize(
    ("held", "begun"),
    [
        (lambda: collections.deque(maxlen=3), [0, 1, 2, 3]),
        (lambda: keras.metrics.Mean(), [0, 1, 2, 3]),
        (lambda: PLAIN()[0], [0, 1, 2, 3]),  # changes
        (lambda: frozen(PLAIN()[0]), [2, 3]),  # does not
        (lambda: print, [2, 3]),
        (lambda: [0], [2, 3]),
    ],
    ids=["queue", "metric", "network", "frozen network", "function", "list"],
)
@pytest.mark.filterwarnings("ignore:The epochs of job `a` cannot be kept")
def test_a_callback_that_cannot_be_kept_makes_its_job_begin_again(held, begun, tmp_path):
    crash(PLAIN, tmp_path, crash=("a", 2), callbacks=lambda: [Keeps(held())])
    run(PLAIN, tmp_path, callbacks=lambda: [Keeps(held())])
    assert [epoch for _, epoch in Crash.begun] == begun


def test_what_cannot_be_kept_is_named_once_and_the_checkpoint_before_is_right(tmp_path):
    class Late(Keeps):
        def on_epoch_end(self, epoch, logs=None):
            self.held = None if epoch == 0 else keras.metrics.Mean()

    with pytest.warns(
        UserWarning, match="job `a` cannot be kept, since callback `Late` has `held`"
    ):
        crash(PLAIN, tmp_path, crash=("a", 3), callbacks=lambda: [Late(None)])
    with pytest.warns(UserWarning, match="cannot be kept") as caught:
        again = run(PLAIN, tmp_path, callbacks=lambda: [Late(None)])
    assert [warning.category for warning in caught].count(UserWarning) == 1
    assert [epoch for _, epoch in Crash.begun] == [1, 2, 3]
    assert_same(again, run(PLAIN))


def test_a_network_that_was_compiled_anew_cannot_be_kept(tmp_path):
    class Thaws(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.compile(SGD(0.5), SPARSE, run_eagerly=True)
                self.model.make_train_function()

    with pytest.warns(UserWarning, match="a callback has compiled the network anew"):
        crash(PLAIN, tmp_path, crash=("a", 2), callbacks=[Thaws()])
    with pytest.warns(UserWarning, match="a callback has compiled the network anew"):
        run(PLAIN, tmp_path, callbacks=[Thaws()])
    assert [epoch for _, epoch in Crash.begun] == [1, 2, 3]


@pytest.mark.filterwarnings("ignore:The epochs of job `a` cannot be kept")
def test_backup_and_restore_goes_back_by_itself(tmp_path):
    backup = [callbacks.BackupAndRestore(str(tmp_path / "backup"))]
    crash(PLAIN, tmp_path / "run", crash=("a", 2), callbacks=backup)
    run(PLAIN, tmp_path / "run", callbacks=backup)
    assert [epoch for _, epoch in Crash.begun] == [2, 3]


def test_a_list_that_others_hold_too_stays_the_same_one(tmp_path):
    expected, first, second = [], [], []
    run(PLAIN, callbacks=lambda: [Keeps(expected)])
    crash(PLAIN, tmp_path, crash=("a", 2), callbacks=lambda: [Keeps(first)])
    run(PLAIN, tmp_path, callbacks=lambda: [Keeps(second)])
    assert second == expected == [0, 1, 2, 3]


def test_the_best_model_so_far_is_not_overwritten_by_a_worse_one(tmp_path):
    path = tmp_path / "best.keras"
    given = {"monitor": "wrong", "mode": "max", "save_best_only": True}

    class Wrong(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["wrong"] = 1.0 - epoch  # the first epoch is the best

    def best():
        return [Wrong(), callbacks.ModelCheckpoint(path, **given)]

    crash(PLAIN, tmp_path / "run", crash=("a", 2), callbacks=best)
    content = path.read_bytes()
    run(PLAIN, tmp_path / "run", callbacks=best)
    assert path.read_bytes() == content


# How often.


class Clock:
    """Time that only goes by when it is told to."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.mark.parametrize(
    ("epoch", "write", "kept"),
    [(1.0, 0.01, [1, 2, 3, 4, 5, 6]), (1.0, 0.25, [1, 4]), (1.0, 99.0, [1])],
)
def test_checkpoints_take_a_tenth_of_the_time_at_most(epoch, write, kept, tmp_path, monkeypatch):
    clock, written = Clock(), []

    def pass_time(file, checkpoint):
        clock.seconds += write
        written.append(len(checkpoint.epochs))

    def train(*_):
        clock.seconds += epoch

    monkeypatch.setattr(save_epochs, "SHARE", 0.1)
    monkeypatch.setattr(save_epochs.SaveEpochs, "now", clock)
    monkeypatch.setattr(CheckpointFile, "write", pass_time)
    run(PLAIN, tmp_path, epochs=6, callbacks=[callbacks.LambdaCallback(on_epoch_end=train)])
    assert written == kept
