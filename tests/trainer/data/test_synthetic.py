import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import trainer.data.synthetic
from infer.core.console import Screen
from infer.core.errors import OutputError
from infer.dataset.source import read_table
from trainer.data.synthetic import SPLITS, builtin_data, draw_cell, make_set

FEW = {"train": 6, "valid": 3, "test": 3}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_set_is_the_same_bytes_every_time_and_others_with_another_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        make_set(tmp_path / name, FEW, seed)
    one, again, other = (contents(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert set(one) == set(other)
    assert all(one[name] != other[name] for name in one if name.endswith(".jpg"))


def test_no_image_is_drawn_twice(cells: Path) -> None:
    images = [content for name, content in contents(cells).items() if name.endswith(".jpg")]
    assert len(set(images)) == len(images) == 48


def test_read_table_knows_the_layout(cells: Path) -> None:
    table = read_table(cells)
    assert [(item.label, item.name) for item in table.classes] == [("0", "normal"), ("1", "blast")]
    assert {name: table.splits.count(name) for name in ("train", "valid", "test")} == {
        "train": 24,
        "valid": 12,
        "test": 12,
    }
    assert all(Path(file).is_file() for file in table.files())


def test_both_classes_are_in_every_split_that_is_labelled(cells: Path) -> None:
    table = read_table(cells)
    for split in ("train", "valid"):
        normal, blast = table.counts(split)
        assert 0 < normal < blast


def test_test_images_have_their_truth_in_a_file_of_its_own_and_none_in_the_test_files(cells: Path) -> None:
    table = read_table(cells).split("test")
    assert (table.labels == -1).all()
    rows = {name: list(csv.DictReader((cells / name).open())) for name in ("test_labels.csv", "sample_submission.csv")}
    assert [row["Path"] for row in rows["test_labels.csv"]] == [row["ID"] for row in rows["sample_submission.csv"]]
    assert sorted(row["Path"] for row in rows["test_labels.csv"]) == sorted(table.paths)
    assert {row["label"] for row in rows["test_labels.csv"]} == {"0", "1"}
    for size in (18, 50, 152):
        named = list(csv.DictReader((cells / f"resnet_{size}_test.csv").open()))
        assert sorted(row["Path"] for row in named) == sorted(table.paths)


def test_it_says_on_every_image_and_beside_them_that_it_is_synthetic(cells: Path) -> None:
    assert "SYNTHETIC" in (cells / "README.txt").read_text()
    assert all("synthetic" in Path(path).name for path in read_table(cells).paths)


def test_images_are_450_pixels_square_and_the_cell_lies_on_black(cells: Path) -> None:
    for path in read_table(cells).files():
        with Image.open(path) as image:
            assert (image.size, image.mode, image.format) == ((450, 450), "RGB", "JPEG")
            pixels = np.asarray(image)
        corners = np.concatenate(
            [pixels[y, x].reshape(-1) for y in (slice(20), slice(-20, None)) for x in (slice(20), slice(-20, None))]
        )
        assert corners.max() <= 10, path
        assert pixels[200:250, 200:250].mean() > 30, path


def test_blasts_tend_to_be_larger_yet_the_kinds_overlap() -> None:
    normal, blast = (
        [(np.asarray(draw_cell(kind, [5, number])).max(-1) > 30).sum() ** 0.5 for number in range(14)]
        for kind in (False, True)
    )
    assert np.mean(blast) > np.mean(normal)
    assert max(normal) > min(blast)


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a built-in set of few images."""
    monkeypatch.setattr(trainer.data.synthetic, "SPLITS", FEW)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_built_in_set_is_drawn_once_into_the_cache(few: Path) -> None:
    text = io.StringIO()
    folder = builtin_data(Screen(Console(file=text, width=300)))
    assert list(few.iterdir()) == [folder]
    assert len(list(folder.rglob("*.jpg"))) == 12
    assert f"synthetic cells into {folder}" in text.getvalue()
    mark = folder / "not drawn again"
    mark.touch()
    said = text.getvalue()
    assert builtin_data(Screen(Console(file=text))) == folder
    assert mark.exists()
    assert text.getvalue() == said


def test_a_drawing_that_was_broken_off_leaves_nothing(
    few: Path, monkeypatch: pytest.MonkeyPatch, quiet: Screen
) -> None:
    def interrupted(blast: bool, seed: list[int]) -> Image.Image:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer.data.synthetic, "draw_cell", interrupted)
        with pytest.raises(KeyboardInterrupt):
            builtin_data(quiet)
    assert list(few.iterdir()) == []
    assert read_table(builtin_data(quiet)).counts("train") == [2, 4]


def test_a_cache_that_cannot_be_written_is_an_error_that_names_lab_cache(
    tmp_path: Path, few: Path, monkeypatch: pytest.MonkeyPatch, quiet: Screen
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match=r"cannot write .*file/cache.*; set LAB_CACHE to a folder"):
        builtin_data(quiet)


def test_the_built_in_set_has_enough_images_for_either_devices_batch() -> None:
    assert SPLITS["train"] >= 64
    assert min(SPLITS.values()) > 0
