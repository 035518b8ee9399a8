"""Reading looks at no names: tests need fresh seeds, but no costly clearing of Keras."""

from __future__ import annotations

import keras
import pytest


@pytest.fixture(autouse=True)
def _fresh_keras() -> None:
    """In place of the fixture of all tests, which takes longer than most tests here."""
    keras.utils.set_random_seed(0)
