"""A labelled table becomes an evaluation result of its readable images."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from infer.core.console import Screen
from infer.core.errors import DataError
from infer.dataset.source import read_table
from infer.dataset.table import VALID, Table
from infer.images.preprocess import read_window
from infer.model.session import Session
from infer.pipeline.classify_table import classify_table


@pytest.fixture
def table(cells: Path, tmp_path: Path) -> Table:
    """The twelve validation images, free to be damaged."""
    return read_table(shutil.copytree(cells, tmp_path / "cells")).split(VALID)


@pytest.fixture(scope="module")
def session(model: Path) -> Session:
    return Session(model, "cpu")


def test_every_image_has_its_truth_and_the_probabilities_of_the_session(
    session: Session, table: Table, quiet: Screen
) -> None:
    result = classify_table(session, table, 5, "valid split of cells", quiet)
    windows = np.stack([read_window(file, session.card.pixels) for file in table.files()])
    assert result.probabilities.tobytes() == session.run(windows)[1].tobytes()
    assert (result.paths, result.truth.tolist()) == (tuple(table.paths), table.labels.tolist())
    assert result.files == tuple(table.files())
    assert result.title == f"valid split of cells, trained on {session.card.trained_on}"
    assert result.notes == ()


def test_unreadable_images_are_left_out_and_named(
    session: Session, table: Table, heard: tuple[Screen, io.StringIO]
) -> None:
    for row in (0, 7):
        Path(table.files()[row]).write_bytes(b"no image")
    screen, text = heard
    result = classify_table(session, table, 5, "valid", screen)
    readable = [row for row in range(len(table)) if row not in (0, 7)]
    assert result.paths == tuple(table.paths[row] for row in readable)
    assert result.truth.tolist() == table.labels[readable].tolist()
    assert text.getvalue().startswith("2 images cannot be read and are left out: ")
    assert all(table.files()[row] in text.getvalue() for row in (0, 7))
    assert result.notes == ("2 of 12 images could not be read and are left out of all numbers",)


def test_a_table_without_any_readable_image_is_an_error(session: Session, table: Table, quiet: Screen) -> None:
    for file in table.files():
        Path(file).write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the 12 images can be read; check "):
        classify_table(session, table, 5, "valid", quiet)
