"""CSV and Parquet files hold the rows written, and appear whole or not at all."""

import contextlib
import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from infer.core.errors import OutputError
from infer.core.file_sets import file_set
from infer.tables.row_writers import ROW_GROUP, CsvWriter, ParquetWriter, RowWriter, open_writer, writer_for


@contextlib.contextmanager
def opened(writer: type[RowWriter], path: Path, header: list[str]) -> Iterator[RowWriter]:
    """A writer of a file that is alone in its set."""
    with file_set(path) as files, open_writer(writer, files, path, header) as rows:
        yield rows


def test_a_csv_is_read_back_as_it_was_written_with_labels_as_text(tmp_path: Path) -> None:
    names = ["[/x].jpg", "cr\rcr.jpg", "a,b.jpg", 'q"q.jpg', "ü.jpg", "zeile\n2.jpg"]
    with opened(CsvWriter, tmp_path / "out" / "s.csv", ["ID", "label"]) as writer:
        for name in names:
            writer.write([name, "007"])
        assert not (tmp_path / "out" / "s.csv").exists()
    frame = pd.read_csv(tmp_path / "out" / "s.csv", dtype=str)
    assert list(frame) == ["ID", "label"]
    assert frame["ID"].tolist() == names
    assert set(frame["label"]) == {"007"}


def test_a_csv_has_line_feeds_and_keeps_the_bytes_of_names(tmp_path: Path) -> None:
    with opened(CsvWriter, tmp_path / "s.csv", ["ID", "label"]) as writer:
        writer.write([os.fsdecode(b"caf\xe9.jpg"), "0"])
    assert (tmp_path / "s.csv").read_bytes() == b"ID,label\ncaf\xe9.jpg,0\n"


def test_a_failure_halfway_leaves_the_old_csv(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("old")

    def fail() -> None:
        with opened(CsvWriter, tmp_path / "s.csv", ["ID"]) as writer:
            writer.write(["a"])
            raise csv.Error("halfway")

    with pytest.raises(csv.Error, match="halfway"):
        fail()
    assert (tmp_path / "s.csv").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


def test_a_csv_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.csv").mkdir()
    with (
        pytest.raises(OutputError, match=r"cannot write .*s\.csv.*--out"),
        opened(CsvWriter, tmp_path / "s.csv", ["ID"]),
    ):
        pass


SHARES = np.float32([0.2, 0.5, 0.3])


@pytest.mark.parametrize("count", [1, 7, ROW_GROUP, ROW_GROUP + 1])
def test_a_parquet_file_holds_the_rows_with_their_types(tmp_path: Path, count: int) -> None:
    rows = [[f"{k}.png", SHARES[k % 3], k % 2] for k in range(count)]
    with opened(ParquetWriter, tmp_path / "a.parquet", ["ID", "007", "reject"]) as writer:
        for row in rows:
            writer.write(row)
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert [str(kind) for kind in table.schema.types] == ["string", "float", "int8"]
    assert table.column_names == ["ID", "007", "reject"]
    assert list(map(list, zip(*(column.to_pylist() for column in table.columns), strict=True))) == rows


def test_a_parquet_file_that_fails_halfway_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"old")

    def fail_after_the_first_rows_are_on_disk() -> None:
        with opened(ParquetWriter, tmp_path / "a.parquet", ["ID"]) as writer:
            for k in range(ROW_GROUP):
                writer.write([str(k)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_the_first_rows_are_on_disk()
    assert (tmp_path / "a.parquet").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_names_that_are_not_utf_8_can_be_written_to_parquet(tmp_path: Path) -> None:
    with opened(ParquetWriter, tmp_path / "a.parquet", ["ID"]) as writer:
        writer.write([os.fsdecode(b"\xff.png")])
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet")["ID"].to_pylist() == ["\ufffd.png"]


@pytest.mark.parametrize(
    ("name", "writer"), [("a.csv", CsvWriter), ("a.parquet", ParquetWriter), ("A.PARQUET", ParquetWriter)]
)
def test_the_suffix_of_a_file_chooses_its_writer(name: str, writer: type) -> None:
    assert writer_for(Path(name)) is writer
