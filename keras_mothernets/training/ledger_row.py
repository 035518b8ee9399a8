"""A row of the ledger: what one job cost and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LedgerRow:
    """One finished job.

    Args:
        job: Name of the job.
        role: What it is for: "member", "mother", or "tree".
        network: Key of the network.
        waits_for: Names of the jobs it started from, separated by spaces.
        epochs: Epochs that were trained; fewer than planned after early stopping.
        steps: Training steps that were taken.
        examples: Training examples that were seen, repeats counted; `None` if the data do not tell.
        flops: Floating-point operations of the training steps, as `training_flops` counts them, and
            nothing else: no validation, hatching, or teacher; `None` if not known.
        parameters: Number of parameters of the network.
        inherited: Fraction of them that came from the mother; `None` without one.
        deviation: Largest difference of the hatched network from its mother on real data, relative
            to the mother's largest output, in float32; `None` without a mother. With noise or
            shrink it tells how far the network was moved.
        hatch_seconds: Wall clock seconds of hatching with its check; part of `wall_seconds`.
        wall_seconds: Wall clock seconds of the whole job: start, training, validation.
        cpu_seconds: Processor seconds of the same, over all cores.
        peak_memory: Bytes that were held at once, at most: by TensorFlow on a GPU, else by the
            process; `None` where nobody counts them.
        device: What it ran on.
        status: "finished".
        metrics: Loss and metrics of the epoch whose weights are kept: with validation data the
            best one, by the `monitor` of `fit` or an `EarlyStopping` of yours that restores its
            best weights; else the last one. Where statistics of BatchNormalizations are measured
            anew, or the optimizer averages weights (`use_ema`), as it was before that.
    """

    job: str
    role: str
    network: str
    waits_for: str = ""
    epochs: int = 0
    steps: int = 0
    examples: int | None = None
    flops: int | None = None
    parameters: int = 0
    inherited: float | None = None
    deviation: float | None = None
    hatch_seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory: int | None = None
    device: str = ""
    status: str = "finished"
    metrics: dict[str, float] = field(default_factory=dict)
