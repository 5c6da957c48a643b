import csv
import io
import os
from pathlib import Path

import pytest

from infer.core.csv_files import csv_line, csv_text, read_csv
from infer.core.errors import DataError
from infer.core.files import write_text
from infer.dataset.delimited import read_delimited
from infer.dataset.label_file import read_label_file


def test_a_csv_with_a_byte_order_mark_windows_line_ends_and_blank_lines_reads_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfPath, label\r\n"a,b.jpg",007\r\n\r\n , \r\nc.jpg,\r\n')
    assert read_csv(tmp_path / "a.csv") == [["Path", "label"], ["a,b.jpg", "007"], ["c.jpg", ""]]


def test_bytes_that_are_not_utf_8_survive_a_csv(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    write_text(tmp_path / "a.csv", csv_text([(name,)]))
    assert (tmp_path / "a.csv").read_bytes() == b"caf\xe9.jpg\n"
    assert read_csv(tmp_path / "a.csv") == [[name]]


@pytest.mark.parametrize("cell", ["a,b", 'a"b', "a\nb", "a\rb", "ü", "[/x]", "=1+1", "'=1+1", "@x|y"])
def test_a_cell_comes_back_from_a_csv_as_it_was(cell: str, tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", csv_text([(cell, "next")]))
    assert read_csv(tmp_path / "a.csv") == [[cell, "next"]]


@pytest.mark.parametrize(
    "cell", ["", " ", "x;y", "\t", "\0", "\x85", "a,", '"', "\n", "\r", "é", 0.1, 1e-20, None, True]
)
def test_a_line_is_that_of_pythons_writer_but_for_its_end(cell: object) -> None:
    for row in ([cell], [cell, "b"], ["a", cell], ["a", "b", cell, cell]):
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow(row)
        assert csv_line(row, raw=True) == text.getvalue().removesuffix("\r\n") + "\n"


def test_a_csv_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv: No such file.*check the path"):
        read_csv(tmp_path / "none.csv")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no such devices")
def test_devices_and_pipes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to("/dev/zero")
    for path in (Path("/dev/zero"), tmp_path / "pipe.csv", tmp_path / "link.csv"):
        for read in (read_csv, read_delimited, read_label_file):
            with pytest.raises(DataError, match="is a device or a pipe"):
                read(path)


@pytest.mark.parametrize(
    "content",
    [b'"' + b"x" * 200_000, "Path,label\na.jpg,0\n".encode("utf-16"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0"],
    ids=["endless cell", "UTF-16", "PNG"],
)
def test_a_file_that_is_not_text_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.csv is not a CSV.*comma-separated text"):
        read_csv(tmp_path / "a.csv")


def test_spaces_around_a_cell_are_kept_on_request(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(" a , b\n")
    assert read_csv(tmp_path / "a.csv") == [["a", "b"]]
    assert read_csv(tmp_path / "a.csv", strip=False) == [[" a ", " b"]]


def test_lines_end_with_a_line_feed_and_only_cells_that_need_it_are_quoted() -> None:
    assert csv_line(["a b", 1, "c,d"]) == 'a b,1,"c,d"\n'
    assert csv_text([("Path", "label"), ("a.jpg", 0)]) == "Path,label\na.jpg,0\n"
    assert csv_text([]) == ""
