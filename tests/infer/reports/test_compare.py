"""`lab compare` as a user meets it: runs, reports, both, and what does not compare."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def longer(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run with three epochs more in its history, the last the best, and other predictions."""
    copy = shutil.copytree(run, tmp_path_factory.mktemp("runs") / "[longer]")
    header, *rows = (copy / "history.csv").read_text().splitlines()
    names = header.split(",")
    for epoch in (3, 4, 5):
        values = dict(zip(names, rows[-1].split(","), strict=True)) | {"epoch": str(epoch), "best": "1"}
        values["valid_accuracy"] = "0.8125"
        rows.append(",".join(values.values()))
    (copy / "history.csv").write_text("\n".join([header, *rows]) + "\n")
    path = copy / "report" / "predictions.csv"
    head, *lines = list(csv.reader(path.open()))
    flipped = [
        [*line[:3], line[1], "0.9", "0.1"] if line[1] == "0" else [*line[:3], "1", "0.2", "0.8"] for line in lines
    ]
    path.write_text("\n".join(",".join(line) for line in [head, *flipped]) + "\n")  # right about every image
    return copy


def test_runs_of_unequal_length_are_drawn_and_their_predictions_compared(
    lab: Callable, run: Path, longer: Path, tmp_path: Path
) -> None:
    ran = lab("compare", run, longer, "--out", tmp_path / "both")
    assert ran.code == 0, ran.err
    for name in ("curves", "confusions"):
        with Image.open(tmp_path / "both" / f"{name}.png") as picture:
            assert picture.width > picture.height > 300
        assert (tmp_path / "both" / f"{name}.svg").read_text().startswith("<?xml")
    line = next(line for line in ran.out.splitlines() if line.startswith(" [longer]"))
    assert line.split()[1:5] == ["lab", "5", "5", "0.8125"]
    assert f"A: {run.name}\nB: [longer]\n" in ran.out
    assert "B - A" in ran.out
    assert "truth ↓  prediction →" in ran.out


def test_every_image_on_which_they_disagree_is_listed_with_both_predictions(
    lab: Callable, run: Path, longer: Path, tmp_path: Path
) -> None:
    assert lab("compare", run, longer, "--out", tmp_path).code == 0
    with (tmp_path / "disagreements.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    tables = [list(csv.DictReader((folder / "report" / "predictions.csv").open())) for folder in (run, longer)]
    wanted = {a["path"] for a, b in zip(*tables, strict=True) if a["predicted"] != b["predicted"]}
    assert {row["path"] for row in listed} == wanted
    for row in listed:
        assert row["B predicted"] == row["truth"] != row["A predicted"]


def test_json_has_the_differences_and_nothing_else_on_standard_output(
    lab: Callable, run: Path, longer: Path, tmp_path: Path
) -> None:
    ran = lab("compare", run, longer, "--out", tmp_path, "--json")
    content = json.loads(ran.out)
    assert [item["epochs"] for item in content["runs"]] == [2, 5]
    first, second = (item["accuracy"] for item in content["models"])
    assert second == 1
    (difference,) = content["differences"]
    assert difference["metrics"]["accuracy"]["value"] == pytest.approx(second - first)
    assert difference["less"] == run.name
    assert content["not_compared"] == []
    assert content["disagreements"] == round((1 - first) * content["images"])
    assert f"written into {tmp_path}: curves.png, curves.svg, confusions.png" in ran.err


def test_reports_are_compared_without_their_runs(lab: Callable, run: Path, longer: Path, tmp_path: Path) -> None:
    ran = lab("compare", run / "report", longer / "report", "--out", tmp_path)
    assert ran.code == 0, ran.err
    assert f"A: {run.name}/report\n" in ran.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusions.png", "confusions.svg", "disagreements.csv"]


def test_files_of_an_earlier_comparison_are_removed(lab: Callable, run: Path, longer: Path, tmp_path: Path) -> None:
    lab("compare", run, longer, "--out", tmp_path)
    (tmp_path / "mine.txt").write_text("")
    assert lab("compare", run, "--out", tmp_path).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "curves.svg", "mine.txt"]


def test_a_run_without_a_finished_epoch_is_skipped_with_a_message(lab: Callable, run: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    shutil.copy(run / "recipe.toml", tmp_path / "broken")
    ran = lab("compare", run, tmp_path / "broken", "--out", tmp_path / "c")
    assert ran.code == 0, ran.err
    assert f"skipped: {tmp_path / 'broken'} has no finished epoch" in ran.out
    assert lab("compare", tmp_path / "broken", "--out", tmp_path / "c").code == 1


def test_runs_on_other_images_are_drawn_and_reports_on_other_images_refused(
    lab: Callable, run: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(run, tmp_path / "other")
    path = other / "report" / "predictions.csv"
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *(f"elsewhere/{line}" for line in lines)]) + "\n")
    ran = lab("compare", run, other, "--out", tmp_path / "c")
    assert ran.code == 0, ran.err
    assert "predictions are not compared: these reports share no image" in ran.out
    content = json.loads(lab("compare", run, other, "--out", tmp_path / "c", "--json").out)
    assert "models" not in content
    (reason,) = content["not_compared"]
    assert reason.startswith("predictions are not compared: these reports share no image")
    ran = lab("compare", run / "report", other / "report", "--out", tmp_path / "c")
    assert ran.code == 1
    assert ran.err.startswith("error: these reports share no image")


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["{here}"], 1, "is neither a run nor a report"),
        (["{run}", "{run}"], 2, "one folder is given twice"),
        (["{run}", "--last", "0"], 2, "--last must be above 0"),
        (["{run}", "--out", "{here}/file"], 1, "it is a file; give a folder"),
    ],
)
def test_bad_input_is_one_line(
    lab: Callable, run: Path, tmp_path: Path, arguments: list[str], code: int, what: str
) -> None:
    (tmp_path / "file").write_text("")
    ran = lab("compare", *(argument.format(run=run, here=tmp_path) for argument in arguments))
    assert ran.code == code
    assert what in ran.err
    assert ran.err.count("\n") == 1


def test_a_single_report_is_refused_and_a_run_without_predictions_is_named(
    lab: Callable, run: Path, longer: Path, tmp_path: Path
) -> None:
    assert "is the only report; give at least one more" in lab("compare", run / "report", "--out", tmp_path).err
    bare = shutil.copytree(run, tmp_path / "bare", ignore=shutil.ignore_patterns("predictions.csv"))
    ran = lab("compare", longer, bare, "--out", tmp_path / "c")
    assert ran.code == 0, ran.err
    assert f"{bare} has no predictions for its validation images" in ran.out
    content = json.loads(lab("compare", longer, bare, "--out", tmp_path / "c", "--json").out)
    assert [reason.partition(":")[0] for reason in content["not_compared"]] == [
        f"{bare} has no predictions for its validation images"
    ]


def test_json_has_the_mean_of_the_last_epochs(lab: Callable, longer: Path, tmp_path: Path) -> None:
    content = json.loads(lab("compare", longer, "--out", tmp_path, "--last", "3", "--json").out)
    assert content["runs"][0]["mean_last_accuracy"] == 0.8125
