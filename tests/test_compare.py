import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from infer.compare import data_note, read_run
from infer.errors import DataError


@pytest.fixture
def longer(run: Path, tmp_path: Path) -> Path:
    """A copy of the run with three epochs more in its history, the last the best."""
    copy = shutil.copytree(run, tmp_path / "[longer]")
    header, *rows = (copy / "history.csv").read_text().splitlines()
    names = header.split(",")
    for epoch in (3, 4, 5):
        values = dict(zip(names, rows[-1].split(","), strict=True)) | {"epoch": str(epoch), "best": "1"}
        values["valid_accuracy"] = "0.8125"
        rows.append(",".join(values.values()))
    (copy / "history.csv").write_text("\n".join([header, *rows]) + "\n")
    return copy


def test_runs_of_unequal_length_are_drawn_into_one_picture_and_printed(
    lab: Callable, run: Path, longer: Path, tmp_path: Path
) -> None:
    ran = lab("compare", run, longer, "--out", tmp_path / "both.png")
    assert ran.code == 0, ran.err
    with Image.open(tmp_path / "both.png") as picture:
        assert picture.width > picture.height > 300
    line = next(line for line in ran.out.splitlines() if "[longer]" in line)
    assert line.split()[1:5] == ["lab", "5", "5", "0.8125"]
    assert f" {run.name} "[1:] in ran.out


def test_runs_on_the_same_images_say_so_and_others_are_warned_about(run: Path, longer: Path) -> None:
    one, two = read_run(run), read_run(longer)
    assert "the same for all" in data_note([one, two])
    other = type(two)(two.name, two.data, "another fingerprint", two.monitor, two.epochs, two.best)
    assert "do not compare" in data_note([one, other])


def test_a_run_without_a_finished_epoch_is_left_out_and_named(lab: Callable, run: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    shutil.copy(run / "recipe.toml", tmp_path / "broken")
    ran = lab("compare", run, tmp_path / "broken", "--out", tmp_path / "c.png")
    assert ran.code == 0, ran.err
    assert "broken has no finished epoch and is left out" in ran.out
    assert lab("compare", tmp_path / "broken", "--out", tmp_path / "c.png").code == 1


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a run"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", ["", "epoch,best\n1,1\n", "a,b\n1,2\n"])
def test_a_damaged_history_is_an_error(run: Path, tmp_path: Path, content: str) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "history.csv").write_text(content)
    with pytest.raises(DataError, match=r"history\.csv cannot be read"):
        read_run(copy)
