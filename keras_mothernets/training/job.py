"""A job: one training run of one network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

from keras_mothernets.errors import RunError


class Start(Protocol):
    """Where a job's weights come from: a small frozen value with a `kind`."""

    kind: str

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Names of the jobs whose trained networks this start needs."""
        ...


@dataclass(frozen=True)
class Scratch:
    """Start from the weights that the network was given with."""

    kind = "scratch"

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Nobody."""
        return ()

    def __str__(self) -> str:
        return "own weights"


@dataclass(frozen=True)
class Hatch:
    """Start from the function of a trained mother.

    Args:
        parent: Name of the mother's job.
        seed: Seed of the uneven split among copies, and of the noise.
        noise: Standard deviation of the added noise; 0 keeps the function exactly.
        shrink: Factor on the inherited weights; 1 keeps the function exactly.
        fresh_layers: Number of last layers with a kernel that keep the network's own initial
            weights, with all that follows the first of them; 0 keeps the function exactly.
        new_channels: "copies" of the mother's, or "fresh".
        inherited: Fraction of the member's parameters that come from the mother. It follows
            from the two networks, so it is shown but does not make two starts different.
    """

    parent: str
    seed: int = 0
    noise: float = 0.0
    shrink: float = 1.0
    fresh_layers: int = 0
    new_channels: str = "copies"
    inherited: float | None = field(default=None, compare=False)

    kind = "hatch"

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The mother's job."""
        return (self.parent,)

    @property
    def is_exact(self) -> bool:
        """Whether the hatched network must compute what its mother computes."""
        return self.noise == 0.0 and self.shrink == 1.0 and not self.fresh_layers

    def __str__(self) -> str:
        share = "" if self.inherited is None else f", {self.inherited:.0%} inherited"
        return f"hatched from {self.parent}{share}"


@dataclass(frozen=True)
class Continue:
    """Go on from the trained weights of a job of the same network.

    Args:
        parent: Name of that job.
    """

    parent: str

    kind = "continue"

    @property
    def waits_for(self) -> tuple[str, ...]:
        """That job."""
        return (self.parent,)

    def __str__(self) -> str:
        return f"on from {self.parent}"


@dataclass(frozen=True)
class Branch:
    """Start from one branch of a trained tree of networks, with the trunk before it.

    Args:
        parent: Name of the tree's job.
    """

    parent: str

    kind = "branch"

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The tree's job."""
        return (self.parent,)

    def __str__(self) -> str:
        return f"a branch of {self.parent}"


STARTS: dict[str, type] = {kind.kind: kind for kind in (Scratch, Hatch, Continue, Branch)}


@dataclass(frozen=True)
class Lesson:
    """What a job learns from the outputs of a teacher, besides the labels.

    Args:
        teacher: Name of the teacher's job; `None` for a network that was trained before.
        network: Key of the teacher's network.
        temperature: Divides the logits of both before they are compared.
        alpha: Share of the teacher in the loss, from 0 to 1; the rest is that of the labels.
        weights: Fingerprint of the weights of a teacher without a job.
    """

    teacher: str | None
    network: str
    temperature: float = 4.0
    alpha: float = 0.9
    weights: str = ""

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The teacher's job."""
        return () if self.teacher is None else (self.teacher,)


@dataclass(frozen=True)
class Job:
    """One training run of one network; a plan is made of these.

    A job says what is to be done and holds no data and no weights, so that it can be
    printed, compared, stored and sent to another machine.

    Args:
        name: Unique within its plan; the member's name for a member's own training.
        role: "member" if the trained network is part of the ensemble, else what it is for:
            "mother", "base", "tree".
        network: Key of the network in the run's `networks`.
        start: Where the weights come from.
        epochs: Number of passes over the training data.
        batch_size: Examples in one step; `None` if the data come in batches already.
        steps_per_epoch: Steps in one epoch; `None` if the data do not know their length.
        schedule_epochs: Epochs that its learning rate schedule spans, where the job stops before
            the schedule does; `None` for its own number of epochs.
        rate: Factor on the learning rate that was chosen.
        average: Momentum of a running average of the weights, which the job ends with; `None` for
            the last weights, or what the optimizer says.
        seed: Seed of all that is random in this job: order of examples, dropout, augmentation.
        bootstrap: Seed of the bootstrap sample of examples that is trained on; `None` for all.
        lesson: What is learned from a teacher; `None` for the labels alone.
        branches: Number of members that the network is a tree of, each with an output of its own.
        renews_statistics: Whether the statistics of BatchNormalizations are measured anew, in a
            pass over the data after the last epoch.
        monitor: Metric by which the best epoch is kept, such as "val_loss"; "" to keep the last.
        patience: Validated epochs without improvement after which the job ends; `None` to train
            them all. It counts with a `monitor` only.
        parameters: Number of parameters of the network.
        architecture: Fingerprint of the network without its weights and names.
        optimizer: The optimizer in words, where it is the member's own or made for this job.
        callbacks: In words, the callbacks that can change what comes of the job.
        initial_weights: Fingerprint of the weights that a start from scratch begins with. A script
            that sets no seed has others each time, so they do not make two jobs different.

    Example:
        >>> job = Job("vgg16", "member", "vgg16", epochs=3, batch_size=128, steps_per_epoch=10)
        >>> job.steps
        30
    """

    name: str
    role: str
    network: str
    start: Start = Scratch()
    epochs: int = 1
    batch_size: int | None = None
    steps_per_epoch: int | None = None
    schedule_epochs: int | None = None
    rate: float = 1.0
    average: float | None = None
    seed: int = 0
    bootstrap: int | None = None
    lesson: Lesson | None = None
    branches: int = 1
    renews_statistics: bool = False
    monitor: str = ""
    patience: int | None = None
    parameters: int = 0
    architecture: str = ""
    optimizer: str = ""
    callbacks: str = ""
    initial_weights: str = field(default="", compare=False)

    @property
    def steps(self) -> int | None:
        """Number of steps that a learning rate schedule should span; mostly all of the job's."""
        epochs = self.epochs if self.schedule_epochs is None else self.schedule_epochs
        return None if self.steps_per_epoch is None else self.steps_per_epoch * epochs

    @property
    def trained_steps(self) -> int | None:
        """Number of steps that the job trains."""
        return None if self.steps_per_epoch is None else self.steps_per_epoch * self.epochs

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Names of the jobs that must be finished before this one begins."""
        return self.start.waits_for + (self.lesson.waits_for if self.lesson else ())

    def differences(self, other: Job) -> list[str]:
        """The fields that another job has different, one sentence each.

        Args:
            other: The job to compare with, called "there" in the sentences.
        """
        keys = [entry.name for entry in fields(self) if entry.compare]
        here, there = ({key: vars(job)[key] for key in keys} for job in (self, other))
        return [
            f"job `{self.name}`, {key}: here {_or_none(here[key])}, there {_or_none(there[key])}"
            for key in keys
            if here[key] != there[key]
        ]

    def to_json(self) -> dict[str, Any]:
        """The job as plain values; `job_from_json` turns them back."""
        start = {"kind": self.start.kind, **asdict(self.start)}  # type: ignore[call-overload]
        lesson = None if self.lesson is None else asdict(self.lesson)
        return {**vars(self), "start": start, "lesson": lesson}


def _or_none(value: Any) -> Any:
    return "none" if value in ("", None) else value


def job_from_json(values: dict[str, Any]) -> Job:
    """Read a job that `Job.to_json` wrote.

    Raises:
        RunError: The values are not those of a job.
    """
    try:
        rest = dict(values)
        start = dict(rest.pop("start"))
        lesson = rest.pop("lesson", None)
        return Job(
            start=STARTS[start.pop("kind")](**start),
            lesson=None if lesson is None else Lesson(**lesson),
            **rest,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError("A stored job cannot be read", received=f"{values!r} ({error})") from error
