"""A labels table is read as text whatever its delimiter and kind, or refused with the line that does not fit."""

from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.label_file import read_label_file


def write(folder: Path, text: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "image,grade\nx y.png,2\n"),
        ("a.csv", "image;grade\nx y.png;2\n"),
        ("a.csv", "image\tgrade\nx y.png\t2\n"),
        ("a.tsv", "image\tgrade\nx y.png\t2\n"),
        ("a.csv", '\ufeff"image","grade"\r\n"x y.png","2"\r\n'),
        ("a.csv", "\n image , grade \n\nx y.png , 2\n\n"),
        ("a.csv", "image,grade,\nx y.png,2,\n"),
        ("a.jsonl", '{"image": "x y.png", "grade": 2}\n\n'),
        ("a.csv", ",image,grade\n0,x y.png,2\n"),
        ("a.csv", "Unnamed: 0,image,grade\n7,x y.png,2\n"),
    ],
)
def test_the_same_table_in_any_form_gives_the_same_cells(tmp_path: Path, name: str, text: str) -> None:
    table = read_label_file(write(tmp_path, text, name))
    assert table.header[:2] == ["image", "grade"]
    assert [row[:2] for row in table.rows] == [["x y.png", "2"]]


def test_a_delimiter_inside_quotes_does_not_part_cells(tmp_path: Path) -> None:
    table = read_label_file(write(tmp_path, 'image;"a, b, c"\n"1;2.png";x\n'))
    assert (table.header, table.rows) == (["image", "a, b, c"], [["1;2.png", "x"]])


def test_parquet_gives_the_text_that_csv_would_hold(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"image": ["a.png", "b.png"], "grade": [2.0, None], "ok": [True, False]})
    parquet.write_table(table, tmp_path / "a.parquet")
    read = read_label_file(tmp_path / "a.parquet")
    assert (read.header, read.rows) == (["image", "grade", "ok"], [["a.png", "2", "1"], ["b.png", "", "0"]])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("image,label\na.png,serous, high grade\n", "line 2: 3 values for the 2 columns"),
        ("image,label\na.png,1\nb.png\n", "line 3: 1 values for the 2 columns"),
        ('image,label\na.png,"1\nb.png,0\n', "close every quote"),
        ("image,label\n\0\0,1\n", "NUL"),
    ],
)
def test_a_row_that_does_not_fit_the_header_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(DataError, match=named):
        read_label_file(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "named"),
    [('{"image": "a"}\n{"file": "b"}\n', "line 2"), ("[1]\n", "line 1"), ("{image: 1}\n", "not JSON lines")],
)
def test_json_lines_without_the_same_keys_are_refused(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(DataError, match=named):
        read_label_file(write(tmp_path, text, "a.jsonl"))


def test_a_missing_file_and_a_file_that_is_no_parquet_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="check the path"):
        read_label_file(tmp_path / "none.csv")
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match="not a Parquet file"):
        read_label_file(write(tmp_path, "image,label\n", "a.parquet"))


@pytest.mark.parametrize("first", [0, 1])
def test_an_index_column_that_the_header_does_not_name_is_dropped(tmp_path: Path, first: int) -> None:
    rows = "".join(f"{first + row},{name}.png,{row}\n" for row, name in enumerate("abc"))
    table = read_label_file(write(tmp_path, f"image,label\n{rows}"))
    assert table.rows == [["a.png", "0"], ["b.png", "1"], ["c.png", "2"]]


def test_a_single_row_with_a_cell_too_many_has_no_index(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: 3 values for the 2 columns"):
        read_label_file(write(tmp_path, "image,label\n0,mild, dry\n"))


def test_empty_cells_beyond_the_header_are_dropped(tmp_path: Path) -> None:
    assert read_label_file(write(tmp_path, "image,label\na,x,,\nb,y\n")).rows == [["a", "x"], ["b", "y"]]


def test_a_repeated_header_is_named_with_its_line(tmp_path: Path) -> None:
    table = read_label_file(write(tmp_path, "image,label\na.png,x\n\nimage,label\nb.png,y\n"))
    with pytest.raises(DataError, match=r"labels\.csv, line 4: the header image, label again; remove that line"):
        table.require_one_header()
    read_label_file(write(tmp_path, "image,label\na.png,x\n")).require_one_header()


@pytest.mark.parametrize("name", ["grades.xlsx", "grades.JSON", "grades.csv.gz"])
def test_files_of_another_kind_are_refused_by_their_suffix(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("path,label\na,0\n")
    with pytest.raises(DataError, match=f"{name} is not a table that lab reads; save it as CSV, TSV, JSON lines or"):
        read_label_file(tmp_path / name)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_line_that_tells_excel_the_delimiter_is_no_header(delimiter: str, tmp_path: Path) -> None:
    lines = [f"sep={delimiter}", f"path{delimiter}label", f"a{delimiter}0"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table = read_label_file(tmp_path / "t.csv")
    assert (table.header, table.rows) == (["path", "label"], [["a", "0"]])
