from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.tables.row_comparison import compare_rows

BEFORE = ["ID,label,a,b", "x.png,0,0.75,0.25", "y.png,1,0.25,0.75", "z.png,0,0.5,0.5"]


def compared(folder: Path, before: list[str], now: list[str]) -> str:
    for name, lines in (("before.csv", before), ("now.csv", now)):
        (folder / name).write_text("\n".join(lines) + "\n")
    found = compare_rows(folder / "before.csv", folder / "now.csv", (2, 3))
    assert bool(found) == bool(found.text())
    return found.text()


@pytest.mark.parametrize(
    ("row", "line", "text"),
    [
        (1, "x.png,0,0.75,0.25", ""),
        (2, "y.png,0,0.25,0.75", "1 of 3 rows have another label; the first row that differs is y.png"),
        (
            3,
            "z.png,0,0.5,0.375",
            "1 of 3 rows have other probabilities, by up to 0.125; the first row that differs is z.png",
        ),
        (
            1,
            "x.png,0,nan,0.25",
            "1 of 3 rows have other probabilities, by up to inf; the first row that differs is x.png",
        ),
        (1, "w.png,0,0.75,0.25", "1 of 3 rows are of other images; the first row that differs is x.png"),
        (0, "ID,label,b,a", "another header"),
        (4, "v.png,0,0.5,0.5", "4 rows instead of 3; the first row that differs is v.png"),
    ],
)
def test_each_kind_of_difference_is_counted_and_the_first_row_is_named(
    row: int, line: str, text: str, tmp_path: Path
) -> None:
    assert compared(tmp_path, BEFORE, [*BEFORE[:row], line, *BEFORE[row + 1 :]]) == text


def test_a_missing_row_is_counted(tmp_path: Path) -> None:
    assert compared(tmp_path, BEFORE, BEFORE[:-1]) == "2 rows instead of 3; the first row that differs is z.png"


def test_parquet_files_are_compared_by_their_values(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for name, values in (("a.parquet", [0.5, 0.25]), ("b.parquet", [0.5, 0.75])):
        table = pyarrow.table({"ID": ["x", "y"], "p": pyarrow.array(values, pyarrow.float32())})
        parquet.write_table(table, tmp_path / name)
    found = compare_rows(tmp_path / "a.parquet", tmp_path / "b.parquet", (1,))
    assert (found.probabilities, found.largest, found.first, found.rows) == (1, 0.5, "y", (2, 2))
    (tmp_path / "b.parquet").write_text("no Parquet")
    with pytest.raises(DataError, match=r"b\.parquet cannot be read"):
        compare_rows(tmp_path / "a.parquet", tmp_path / "b.parquet", (1,))
