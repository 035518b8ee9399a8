"""The page of results: what it says follows from the figures that are kept."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from made_up_results import rows

from keras_mothernets.comparison import Results, Row
from keras_mothernets.errors import MotherNetsError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import results_claims  # noqa: E402
import results_page  # noqa: E402

SETTINGS = {
    "ensemble": "v5", "train_size": 10_000, "augment": True, "batch_size": 128, "optimizer": "sgd",
    "weight_decay": 5e-4, "note": "made up", "machine": "2 cores",
}  # fmt: skip


def _results(ours: tuple[float, float], theirs: tuple[float, float], rival: str) -> Results:
    """Errors at budgets 5 and 10; ours take as long as theirs."""
    made: list[Row] = []
    for method, errors in (("MotherNets", ours), (rival, theirs)):
        for budget, error in zip((5, 10), errors, strict=True):
            made += rows(method, budget, 0, error=error, seconds=60.0 * budget)
    return Results(made)


@pytest.mark.parametrize(
    ("theirs", "verdict", "gaps"),
    [
        ((0.5, 0.4), "reproduced", "+10.0, +10.0"),
        ((0.5, 0.2), "in part", "+10.0, -10.0"),
        ((0.3, 0.2), "not reproduced", "-10.0, -10.0"),
    ],
)
def test_a_claim_of_lower_error(theirs: tuple[float, float], verdict: str, gaps: str) -> None:
    check = results_claims.ahead_of("Bagging")
    found = check({"v5": _results((0.4, 0.3), theirs, "Bagging")})
    assert found == (
        verdict, f"error above ours in points, budgets 5, 10: Bagging: {gaps}"
    )  # fmt: skip
    assert check({}) == ("not measured", "")


def test_a_claim_of_less_time() -> None:
    check = results_claims.faster_than("Bagging", 1.3)
    # What they reach at 10 we reach half-way, over the logarithm of time, between 5 and 10.
    verdict, words = check({"v5": _results((0.4, 0.3), (0.45, 0.35), "Bagging")})
    assert (verdict, words.rpartition(": ")[2]) == ("reproduced", "at least 1.0 times, 1.4 times")
    assert results_claims.faster_than("Bagging", 1.5)(
        {"v5": _results((0.4, 0.3), (0.45, 0.35), "Bagging")}
    ) == ("in part", words)
    verdict, words = check({"v5": _results((0.4, 0.3), (0.45, 0.25), "Bagging")})
    assert (verdict, words.rpartition(": ")[2]) == (
        "not reproduced", "at least 1.0 times, not reached"
    )  # fmt: skip


def test_the_target_says_what_is_only_a_bound() -> None:
    text = results_claims.target_text({"v5": _results((0.4, 0.3), (0.45, 0.35), "FullData")})
    lines = [line for line in text.splitlines() if line.startswith("- v5")]
    assert "reach the error in at most 1.00 of its time" in lines[0]
    assert "reach the error in 0.71 of its time" in lines[1]
    text = results_claims.target_text({"v5": _results((0.4, 0.3), (0.45, 0.25), "FullData")})
    assert "reach the error with no budget that was tried, the NLL" in text


def test_every_claim_of_the_paper_is_there_once_and_has_a_reason_if_it_is_not_checked() -> None:
    numbers = [number for number, _, _ in results_claims.CLAIMS]
    assert numbers == list(range(1, 21))
    unchecked = {number for number, _, check in results_claims.CLAIMS if check is None}
    assert unchecked == set(results_claims.NOT_HERE)


def test_results_are_kept_and_only_together_if_they_belong_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_page, "KEPT", tmp_path / "kept")
    folders = [tmp_path / "one", tmp_path / "two"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        Results(rows("FullData", 5, number, error=0.3, seconds=9.0)).write(folder / "results.csv")
        (folder / "settings.json").write_text(json.dumps(SETTINGS))
    results_page.keep("v5", folders)
    kept = Results.read(tmp_path / "kept" / "v5" / "results.csv")
    assert [cell.seed for cell in kept.cells] == [0, 1]
    (folders[1] / "settings.json").write_text(json.dumps({**SETTINGS, "batch_size": 64}))
    with pytest.raises(MotherNetsError, match="comparisons with different settings"):
        results_page.keep("v5", folders)
    with pytest.raises(MotherNetsError, match="--add needs a name and folders"):
        results_page.keep("v6", folders)


def test_a_section_has_settings_tables_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_page, "PICTURES", tmp_path)
    results = _results((0.4, 0.3), (0.45, 0.35), "FullData")
    results.rows += rows(
        "MotherNets", 5, 0, error=0.1, seconds=9.0, settings="tree=True", held_out=9.0
    )
    text = results_page.section("v5", results, SETTINGS)
    assert "10,000 training images (made up), mirrored and moved" in text
    assert re.search(r"\| 5 \| MotherNets\* \| learning_rate=0.1 \|", text)
    assert re.search(r"\| 5 \| MotherNets \| tree=True, learning_rate=0.1 \|", text)
    assert len(list((tmp_path / "v5").iterdir())) == 5


def test_the_page_in_the_repository_is_that_of_the_figures_in_it() -> None:
    """Tables and claims are written anew from what is kept; pictures are not compared."""
    page = (ROOT / "docs" / "RESULTS.md").read_text()
    kept = {}
    for name in results_page.SECTIONS:
        folder = ROOT / "tools" / "results" / name
        if (folder / "results.csv").exists():
            kept[name] = Results.read(folder / "results.csv")
            assert (ROOT / "docs" / "results" / name / "growth.png").exists()
    assert kept
    assert results_page.claims_section(kept) in page
    for results in kept.values():
        table = results_page.table_rows(results, "cpu", variants=False)
        assert results_page.markdown(*table) in page
