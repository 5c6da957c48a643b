import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from infer.core.errors import DataError
from infer.dataset.colour_baseline import ColourBaseline
from infer.dataset.findings import NEAR, SAME_BYTES, UNREADABLE, Findings, Match, Problem
from infer.dataset.image_facts import FACTS
from infer.dataset.report import check_tables, json_text, kinds, require_no_leaks, summary_lines
from infer.dataset.table import Table
from infer.model.card import ClassName

COLOURS = ColourBaseline(
    images=100,
    folds=5,
    grouped=True,
    accuracy=0.9,
    interval=(0.82, 0.95),
    majority_share=0.6,
    balanced_accuracy=0.88,
    chance=0.5,
)


@pytest.fixture
def found() -> Findings:
    """Three images with hostile names: a leak, an unreadable file, a patient in two splits."""
    facts = np.zeros(3, dtype=FACTS)
    facts["kind"], facts["height"], facts["width"] = ["PNG RGB", "JPEG RGB", ""], [40, 50, 0], [30, 60, 0]
    return Findings(
        table=Table(
            name="[bold]<set>",
            layout="made",
            root=Path("/x"),
            classes=(ClassName("[red]normal", "0"), ClassName("blast", "1")),
            paths=("[/x].png", "<b>.jpg", "caf\udce9.png"),
            labels=np.array([0, 1, -1]),
            groups=("p[1]", "p[1]", ""),
            splits=("train", "valid", "test"),
        ),
        parts=("train", "valid", "test"),
        facts=facts,
        problems=(Problem(2, UNREADABLE, "no [image]"),),
        matches=(Match((0, 1), NEAR, 0.995, crosses=True, contradicts=True),),
        closest=(),
        complete=True,
        crossing_groups={"p[1]": {"train": 1, "valid": 1}},
        colours=COLOURS,
    )


def printed(found: Findings, width: int = 100) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(*check_tables(found), sep="\n")
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 100])
def test_tables_show_names_as_they_are_and_fit_the_terminal(found: Findings, width: int) -> None:
    text = printed(found, width)
    assert all(len(line) <= width for line in text.splitlines())
    if width == 100:
        for words in ("0 [red]normal", "[/x].png (train, label 0)", "<b>.jpg (valid, label 1)", "caf\\udce9.png"):
            assert words in text
        assert "LEAK" in text
        assert "TWO LABELS" in text
        assert "p[1]" in text


def test_the_json_is_the_findings_and_keeps_bytes_that_are_no_text(found: Findings) -> None:
    data = json.loads(json_text(found))
    assert data["leakage"] is True
    assert data["counts"] == {"train": {"0": 1}, "valid": {"1": 1}, "test": {"": 1}}
    assert data["patients"] == {"train": 1, "valid": 1, "test": 0, "all": 1}
    assert data["sizes"] == {"width": [30, 45, 60], "height": [40, 45, 50]}
    (problem,) = data["problems"]
    assert problem == {"path": "caf\udce9.png", "part": "test", "kind": "unreadable", "found": "no [image]"}
    (match,) = data["matches"]
    assert [image["path"] for image in match["images"]] == ["[/x].png", "<b>.jpg"]
    assert (match["kind"], match["likeness"], match["crosses"], match["contradicts"]) == (NEAR, 0.995, True, True)
    assert data["colours"]["suspicious"] is True
    assert [item["path"] for item in data["exclude"]] == ["[/x].png", "caf\udce9.png"]


def test_formats_are_counted_by_class(found: Findings) -> None:
    assert kinds(found) == {"JPEG RGB": {"1": 1}, "PNG RGB": {"0": 1}}
    assert any(line.startswith("file formats: JPEG RGB: 1; PNG RGB: 1") for line in summary_lines(found))


def test_the_summary_counts_what_crosses_and_warns_of_colours(found: Findings) -> None:
    lines = summary_lines(found)
    assert lines[0] == "images: 3; 1 unreadable"
    assert "0 groups of copies, 1 pairs nearly the same; 1 of them across parts, 1 with two labels" in lines[1]
    assert "patients: 1, 1 in more than one of train, valid, test" in lines
    assert lines[-2].startswith(
        "warning: colours alone: accuracy 90.0% (95%: 82.0% to 95.0%; majority-class baseline: 60.0%)"
    )
    calm = replace(found, colours=replace(COLOURS, balanced_accuracy=0.6))
    assert summary_lines(calm)[-2].startswith("colours alone: accuracy 90.0%")
    assert lines[-1] == "better left out: 2 images, listed in exclude.csv; use it with lab train --exclude"


def test_a_search_that_was_stopped_is_reported(found: Findings) -> None:
    assert any("the search was stopped" in line for line in summary_lines(replace(found, complete=False)))


def test_leakage_is_an_error_that_says_what_to_do(found: Findings) -> None:
    with pytest.raises(DataError, match=r"leakage: 1 picture and 1 patient in more .* --exclude out/exclude\.csv"):
        require_no_leaks(found, Path("out"))
    with pytest.raises(DataError, match=r"leakage: 1 patient in more .* then a split by patient with lab data split$"):
        require_no_leaks(replace(found, matches=()), Path("out"))


def test_copies_within_a_split_are_no_leakage(found: Findings) -> None:
    inside = Match((0, 1), SAME_BYTES, 1.0, crosses=False, contradicts=True)
    require_no_leaks(replace(found, matches=(inside,), crossing_groups={}), Path("out"))
