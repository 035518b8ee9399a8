"""A smoke run of the surgery battery under the other backends of Keras, each in a process.

The backend must be in this environment, or in one whose Python is named by
`KERAS_MOTHERNETS_PYTHON_JAX` or `..._TORCH`, as `tools/test --backends` does.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAWS = "tests/surgery/test_laws.py::test_member_differs_before_and_agrees_after"
SMOKE = [
    *(
        f"{LAWS}[{case}]"
        for case in (
            "conv2d_strided",
            "norm_other_epsilon",
            "depthwise2d_more_multiplier",
            "conv2d_of_more_and_wider_groups",
            "inserted_conv2d_norm_relu",
            "residual_blocks",
            "concatenated_branches",
        )
    ),
    "tests/rules/test_rules_guide.py",
    "tests/test_mothernet.py::test_a_member_below_the_others_is_the_mother[0]",
    "tests/clustering/test_cluster.py::test_one_cluster_by_default",
]
# TensorFlow cannot be imported, whether it is installed or not.
WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None
import keras
import keras_mothernets as km
from keras_mothernets import clustering, graph, mothernet, rules, surgery, zoo

assert keras.backend.backend() == "{backend}"
small, large = zoo.mlp((4,), 3, (5,), name="small"), zoo.mlp((4,), 3, (8, 8), name="large")
print(km.max_deviation(small, km.hatch(small, large)), len(km.cluster([small, large])))
"""


def _python(backend: str) -> str:
    """A Python with the backend, or the test is skipped with the way to get one."""
    named = os.environ.get(f"KERAS_MOTHERNETS_PYTHON_{backend.upper()}")
    if named:
        return named
    if importlib.util.find_spec(backend):
        return sys.executable
    pytest.skip(f"there is no {backend} here; `tools/test --backends` makes an environment with it")


def _run(backend: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Python's own path and not this process' coverage, workers or options of pytest.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "JAX"))}
    environment |= {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [_python(backend), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_surgery_needs_no_tensorflow_and_is_exact(backend: str) -> None:
    done = _run(backend, "-c", WITHOUT_TENSORFLOW.format(backend=backend))
    assert done.returncode == 0, done.stderr
    deviation, clusters = done.stdout.split()
    # Without being asked these backends compute in 32 bits, which would show here.
    assert float(deviation) <= 1e-10
    assert clusters == "1"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_battery_passes(backend: str) -> None:
    done = _run(backend, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SMOKE)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert f"{len(SMOKE) + 2} passed" in done.stdout
