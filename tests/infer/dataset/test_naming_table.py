from collections.abc import Callable
from pathlib import Path

import pytest

from infer.dataset.naming_table import naming_table

Files = Callable[..., Path]
PATHS = ["one/a.png", "one/b.png", "two/c.png", "two/d.png"]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("image_id,dx\na,nv\nb,nv\nc,mel\n", "image_id"),
        ("dx;file\nnv;a.png\nmel;c.png\n", "file"),
        ("\tname\n0\tsomewhere\\a.PNG\n1\tsomewhere\\b.png\n", "name"),
        ("x,\n1,a\n2,d\n", "number 2"),
    ],
)
def test_the_column_that_names_half_of_the_images_is_found(text: str, column: str, files: Files) -> None:
    table = naming_table(files(meta=text), PATHS)
    assert table
    assert (table.file.name, table.column) == ("meta.csv", column)


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"meta": ""},
        {"meta": "image,dx\na,nv\n"},
        {"meta": "image,dx\ne,nv\nf,nv\ng,nv\n"},
        {"sample_submission": "image,dx\na,nv\nb,nv\nc,nv\n"},
        {"submission.bad": "image,reason\na,x\nb,x\nc,x\n"},
        {"classes": "label,name\na,nv\nb,nv\n"},
        {"pred": "ID,label\na,nv\nb,nv\nc,nv\n"},
    ],
)
def test_other_tables_and_those_that_lab_writes_do_not_count(texts: dict[str, str], files: Files) -> None:
    assert naming_table(files(**texts), PATHS) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "metadata.jsonl",
            "".join(f'{{"file_name": "{name}.png", "grade": {name in "bd":d}}}\n' for name in "abcd"),
        ),
        ("labels.txt", "file_name grade\none/a.png 0\none/b.png 1\ntwo/c.png 0\ntwo/d.png 1\n"),
        ("labels.tab", "file_name\tgrade\na\t0\nb\t1\nc\t0\nd\t1\n"),
    ],
)
def test_tables_of_any_kind_that_labels_are_read_from_are_found(name: str, text: str, files: Files) -> None:
    root = files(*PATHS)
    (root / name).write_text(text)
    table = naming_table(root, PATHS)
    assert table
    assert (table.file.name, table.column, table.contradicts) == (name, "file_name", True)


@pytest.mark.parametrize("text", ["[1]\n", "{broken\n", "", '{"a": 1}\n[2]\n'])
def test_json_lines_that_are_no_table_do_not_count(text: str, files: Files) -> None:
    root = files(*PATHS)
    (root / "metadata.jsonl").write_text(text)
    assert naming_table(root, PATHS) is None


def test_tables_in_folders_without_images_are_read_but_not_those_of_lab(files: Files) -> None:
    text = "image,dx\na,nv\nb,nv\nc,mel\n"
    root = files("one/a.png", one__meta=text, **{"x.report__predictions": text, ".hidden__meta": text})
    (root / "x.report" / "report.json").touch()
    assert naming_table(root, PATHS) is None
    found = naming_table(files(truth__meta=text), PATHS)
    assert found
    assert found.file == root / "truth" / "meta.csv"


def test_images_of_one_name_in_two_classes_are_not_named_by_it(files: Files) -> None:
    root = files(meta="n,age\n1,60\n2,70\n3,60\n")
    assert naming_table(root, [f"{name}/{k}.png" for name in ("one", "two") for k in (1, 2, 3)]) is None


@pytest.mark.parametrize(
    ("column", "contradicts"),
    [
        (["x", "x", "y", "y"], False),
        (["x", "y", "x", "y"], True),
        (["x", "x", "x", "x"], False),
        (["1", "2", "3", "4"], False),
    ],
)
def test_a_table_contradicts_where_a_column_may_be_labels_and_none_agrees(
    column: list[str], contradicts: bool, files: Files
) -> None:
    rows = "".join(f"{name},{value}\n" for name, value in zip("abcd", column, strict=True))
    found = naming_table(files(meta=f"image,value\n{rows}"), PATHS)
    assert found
    assert found.contradicts is contradicts
