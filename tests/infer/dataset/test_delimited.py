"""Lines of CSV and TSV files as cells, and the line at which a quote or a value does not fit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.delimited import cells_of, counts_up, line_of_row, read_column, read_delimited, read_first_line

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the text of a table, byte for byte."""

    def make(text: str) -> Path:
        path = tmp_path / "t.csv"
        path.write_bytes(text.encode())
        return path

    return make


def test_cells_are_stripped_text_and_blank_lines_are_left_out(write: Write) -> None:
    rows = read_delimited(write('\ufeffPath , label\r\n a.png,007 \r\n\r\n"b, c.png","x ""y"""\r\n'))
    assert rows == [["Path", "label"], ["a.png", "007"], ["b, c.png", 'x "y"']]
    assert read_delimited(write("\n\n")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('Path,label\na.png,"x\nb.png,y\nc.png,z\n', r"t\.csv, line 2: a quote is opened here and never closed"),
        ('Path,label\n\na.png,x\n"b".png,y\n', r"t\.csv, line 4: text follows a closing quote"),
        ('Path,label\na.png,"x\nb.png,y\nc.png,z"\nd.png,x\n', r"t\.csv, line 2: a quoted cell holds other rows, as b"),
        ('Path,label,n\n\na.png,x,"5 in\nb.png,y,6\nc.png,z,7"\n', r"t\.csv, line 3: a quoted cell holds other rows"),
        ('Path\tlabel\na.png\t"x\nb.png\ty\n', r"t\.csv, line 2: a quote is opened here and never closed"),
        ("P\0a\0t\0h\0\n", "holds NUL bytes; save it as CSV in UTF-8"),
    ],
)
def test_a_quote_that_does_not_fit_is_named_with_its_line(text: str, message: str, write: Write) -> None:
    with pytest.raises(DataError, match=message):
        read_delimited(write(text))


def test_text_of_several_lines_is_a_cell_like_any_other(write: Write) -> None:
    note = "Seen twice.\nWell differentiated, mild, dry\nno follow-up"
    assert read_delimited(write(f'Path,label,note\na.png,x,"{note}"\n'))[1] == ["a.png", "x", note]


@pytest.mark.parametrize("text", ["a\nb c\n", "0,a\n1,b c\n", ",name\n0,a\n1,b c\n", "1,a\n2,b c\n", "a,\nb c,\n"])
def test_a_column_is_read_with_or_without_an_index_in_front(text: str, write: Write) -> None:
    assert read_column(write(text)) == ["a", "b c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb,c\n", r"t\.csv, line 2: 2 values, b, c; write one value per line, in quotes where it holds a comma"),
        ("mild, dry\nb\n", r"t\.csv, line 1: 2 values, mild, dry; write one value per line"),
        ("3,a\n1,b\n", r"t\.csv, line 1: 2 values, 3, a; write"),
        ('a\n"b\nc\n', r"t\.csv, line 2: a quote is opened here and never closed"),
    ],
)
def test_a_line_of_several_values_is_named(text: str, message: str, write: Write) -> None:
    with pytest.raises(DataError, match=message):
        read_column(write(text))


@pytest.mark.parametrize(
    ("values", "counting"),
    [(["0", "1", "2"], True), (["1", "2"], True), (["0"], True), (["2", "3"], False), (["0", "2"], False), ([], False)],
)
def test_row_numbers_count_up_from_0_or_1(values: list[str], counting: bool) -> None:
    assert counts_up(values) is counting


def test_a_rows_line_counts_blank_lines_and_those_within_cells(write: Write) -> None:
    path = write('a,b\n\n"x\ny",1\n a , b \nc,d\n')
    assert line_of_row(path, ["a", "b"]) == 1
    assert line_of_row(path, ["a", "b"], after=1) == 5
    assert line_of_row(path, ["c", "d"]) == 6


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv: .*; check the path"):
        read_delimited(tmp_path / "none.csv")


def test_the_first_line_that_holds_anything_tells_the_cells(write: Write) -> None:
    assert read_first_line(write('\ufeff\n image;"b;c" \n1;2\n')) == 'image;"b;c"'
    assert read_first_line(write("\n")) == ""
    assert cells_of('image; "b,c";d') == ["image", '"b,c"', "d"]
    assert cells_of("a\tb") == ["a", "b"]
    assert cells_of("") == []
    assert cells_of("x" * 200_000) == []  # longer than a cell of the csv module may be
    assert cells_of("Path\rlabel") == []
