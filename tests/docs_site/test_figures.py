"""Figures that pages repeat are those of the pages that tools write."""

from __future__ import annotations

from doc_pages import ROOT

RESULTS = (ROOT / "docs/RESULTS.md").read_text()
METHODS = (ROOT / "docs/METHODS.md").read_text()
QUESTIONS = (ROOT / "docs/QUESTIONS.md").read_text()


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, row by row."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def errors_of_v5() -> dict[tuple[str, str], str]:
    """Test error in % by budget and method."""
    section = RESULTS.split("## V5 on CIFAR-10")[1].split("###")[0]
    first, _, *others = rows(section)
    column = first.index("error %")
    return {(row[0], row[1]): row[column].split(" ")[0] for row in others}


def test_methods_side_by_side_tell_the_errors_that_were_measured() -> None:
    table = METHODS.split("## What was measured")[1].split("\nWhat that says")[0]
    first, _, *others = rows(table)
    budgets = [name.removeprefix("budget ") for name in first[1:]]
    assert budgets == ["5", "10", "20", "40"] and len(others) == 7
    measured = errors_of_v5()
    for method, *told in others:
        assert told == [measured.get((budget, method), "not run") for budget in budgets], method


def test_forty_epochs_are_told_as_they_were_measured() -> None:
    measured = errors_of_v5()
    v5 = rows(RESULTS.split("## V5 on CIFAR-10")[1].split("\n## ")[0])
    best = min(float(row[4].split(" ")[0]) for row in v5 if row[1].startswith("MotherNets"))
    assert f"{best:.1f} % at best" in QUESTIONS
    for page in (METHODS, QUESTIONS):
        assert f"{measured['40', 'FullData']} %" in page
        assert f"{measured['20', 'MotherNets']} %" in page
