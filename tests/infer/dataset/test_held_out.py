import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infer.core.console import Screen
from infer.core.errors import DataError
from infer.dataset.held_out import choose_split, held_out_images, labelled_images, run_table
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table
from infer.model.card import ClassName, read_card
from infer.model.runs import RECIPE

SWAPPED = (ClassName("blast", "1"), ClassName("normal", "0"))


@pytest.fixture
def table() -> Table:
    """Two training images, one of validation, and two of test, of which one has no label."""
    return Table(
        name="cells",
        layout="made here",
        root=Path("cells"),
        classes=(ClassName("normal", "0"), ClassName("blast", "1")),
        paths=("a.png", "b.png", "c.png", "d.png", "e.png"),
        labels=np.array([0, 1, 1, UNKNOWN, 0]),
        groups=("",) * 5,
        splits=(TRAIN, TRAIN, VALID, TEST, TEST),
    )


def test_the_first_split_with_labelled_images_is_chosen(table: Table) -> None:
    assert choose_split(table, (VALID, TEST, TRAIN)) == VALID
    unlabelled = replace(table, labels=np.array([0, 1, UNKNOWN, UNKNOWN, UNKNOWN]))
    assert choose_split(unlabelled, (VALID, TEST, TRAIN)) == TRAIN
    with pytest.raises(DataError, match=r"cells has no labelled images, which are needed here; give a data set with"):
        choose_split(unlabelled, (VALID, TEST))


def test_labelled_images_have_the_models_indices_and_are_counted(
    table: Table, heard: tuple[Screen, io.StringIO]
) -> None:
    screen, text = heard
    images = labelled_images(table, TEST, SWAPPED, screen)
    assert (images.paths, images.labels.tolist(), images.classes) == (("e.png",), [1], SWAPPED)
    assert "data: test split of cells, 1 images (made here)" in text.getvalue()


def test_a_split_without_labelled_images_is_refused_with_the_runs_own_as_remedy(table: Table, quiet: Screen) -> None:
    empty = table.take([0, 1])
    with pytest.raises(DataError, match=r"no labelled images in its test split; choose another --split$"):
        labelled_images(empty, TEST, SWAPPED, quiet)
    with pytest.raises(DataError, match=r"in its valid split; choose another --split; leave DATA out to use the run's"):
        labelled_images(empty, VALID, SWAPPED, quiet)


def test_training_images_are_used_last_and_with_a_note(table: Table, heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    assert held_out_images(table, SWAPPED, screen).paths == ("c.png",)
    assert "note" not in text.getvalue()
    assert held_out_images(table.take([0, 1]), SWAPPED, screen).paths == ("a.png", "b.png")
    assert "note: these may be the images that the network was trained on" in text.getvalue()


def test_a_runs_table_is_read_from_its_data_folder_or_from_where_it_was_moved(
    run: Path, model: Path, cells: Path, tmp_path: Path
) -> None:
    card = read_card(model)
    assert run_table(run, card).root == cells
    assert run_table(run, card, tmp_path).root == tmp_path


def test_a_folder_that_is_not_a_run_and_images_that_are_gone_are_refused(model: Path, tmp_path: Path) -> None:
    card = read_card(model)
    with pytest.raises(DataError, match=r"is not a run folder, so its validation images are not known; name a data"):
        run_table(tmp_path, card)
    (tmp_path / RECIPE).write_text(f'data = "{tmp_path / "gone"}"\n')
    with pytest.raises(DataError, match=r"no longer in .*gone; name their folder by --data"):
        run_table(tmp_path, card)
