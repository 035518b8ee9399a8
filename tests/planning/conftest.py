"""What the tests of planning share."""

from made_costs import costs  # noqa: F401
