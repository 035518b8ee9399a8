"""Runs that are killed (SIGKILL) at chosen points and at random instants, in all their phases.

`test_killed.py` kills a few processes as a user would; here `tools/kill_campaign.py` kills many.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import kill_campaign  # noqa: E402
from killed_training import PHASES, STOPS  # noqa: E402

AT_RANDOM = 6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are forked as on Linux")
def test_wherever_a_run_is_killed_it_ends_as_if_it_had_not_been(tmp_path):
    table, page = tmp_path / "kills.csv", tmp_path / "kills.md"
    tool = [sys.executable, kill_campaign.__file__, "--csv", table, "--page", page]
    done = subprocess.run(
        [*tool, "--kills", str(AT_RANDOM)], capture_output=True, text=True, check=False
    )
    print(done.stdout, done.stderr)  # shown if it fails
    lives, _ = kill_campaign.read(table)
    print(page.read_text())
    killed = [life for life in lives if life.was_killed]
    at_points = [life for life in killed if life.how == "point"]
    assert [(life.phase, life.point) for life in at_points] == [stop[:2] for stop in STOPS]
    assert {life.phase for life in at_points} == set(PHASES)
    assert len(killed) - len(at_points) >= AT_RANDOM
    assert [life for life in lives if not life.is_same] == []
    assert [life for life in lives if life.trained_again] == []
    assert kill_campaign.lost_epochs(lives) <= len(killed)
    assert done.returncode == 0
