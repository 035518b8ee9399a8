"""What docs/RULES.md shows must run, and its example must be able to fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from networks import _fresh_keras  # noqa: F401 (it takes the place of a costlier one)

import keras_mothernets as km
from keras_mothernets.rules import Copy, Spaces, Split, registry

GUIDE = (Path(__file__).parents[2] / "docs" / "RULES.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def names() -> Iterator[dict[str, Any]]:
    """All names of the guide after its blocks ran one after the other."""
    known = dict(registry._RULES)
    found: dict[str, Any] = {"__name__": "guide"}
    for block in BLOCKS:
        exec(compile(block, "RULES.md", "exec"), found)
    yield found
    registry._RULES.clear()
    registry._RULES.update(known)
    for name in ("guide>Bend", "guide>Gained"):
        keras.saving.get_custom_objects().pop(name, None)


def test_the_guide_runs(names: dict[str, Any]) -> None:
    assert len(BLOCKS) == 5
    assert max(names["deviations"]) <= 1e-10
    assert len(names["hatched"].weights) == len(names["large"].weights)


def test_the_guides_proof_finds_a_wrong_rule(names: dict[str, Any]) -> None:
    class Wrong(names["GainedRule"]):  # type: ignore[misc]
        def roles(self, mother: Any, member: Any, inputs: Any, outputs: Any) -> Any:
            right = super().roles(mother, member, inputs, outputs)
            return {**right, "kernel": (Copy(inputs[0][-1]), Copy(outputs[0][-1]))}

    km.register_rule(names["Gained"], Wrong())
    deviation = km.max_deviation(names["small"], km.hatch(names["small"], names["large"]))
    assert deviation > 1e-2


def test_every_name_of_the_guide_exists() -> None:
    rule = set(dir(km.Rule))
    for name in ("cannot_insert", "identity_node", "identity_values", "zeros", "value"):
        assert f"`{name}`" in GUIDE and name in rule
    for name in ("width", "flags", "free", "is_transparent", "is_linear", "carries_sign"):
        assert f"`{name}`" in GUIDE and name in rule
    for name in re.findall(r"`spaces\.(\w+)\(", GUIDE):
        assert hasattr(Spaces, name)
    assert {Split.__name__, Copy.__name__} <= set(re.findall(r"`(\w+)\(", GUIDE))
