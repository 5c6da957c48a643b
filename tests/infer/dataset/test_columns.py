"""Columns are found by their names, by a known header, or by the user's word; two that fit a role are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.columns import ColumnNames, Columns, find_columns
from infer.dataset.findings_columns import CellFinding
from infer.dataset.known_headers import KNOWN_HEADERS
from infer.dataset.label_file import LabelFile


def table(text: str) -> LabelFile:
    header, *rows = [line.split(",") for line in text.strip().split("\n")]
    return LabelFile(Path("labels.csv"), header, rows)


def columns(
    text: str, is_image: Callable[[str], bool] = lambda name: not name.isdigit(), **chosen: str
) -> dict[str, str]:
    """The names of the columns that were found."""
    read = table(text)
    found = find_columns(read, ColumnNames(**chosen), is_image)
    roles = {"image": found.image, "label": found.label, "group": found.group, "split": found.split}
    return {role: read.header[position] for role, position in roles.items() if position is not None}


@pytest.mark.parametrize("known", KNOWN_HEADERS, ids=lambda known: known.source.partition(",")[0])
def test_every_known_header_is_recognised_in_any_case_beside_other_columns(known: object) -> None:
    image, label, group = known.image.upper(), known.label.title(), known.group  # type: ignore[attr-defined]
    extra = ["age", image, label, *([group] if group and group != known.image else [])]  # type: ignore[attr-defined]
    found = columns(f"{','.join(extra)}\n{','.join(f'{name} value' for name in extra)}")
    assert (found["image"], found["label"]) == (image, label)
    assert found.get("group", "").lower() == group


def test_columns_of_no_known_set_are_found_by_their_words() -> None:
    found = columns("sex,file,category,subject,partition\nf,a.png,x,p1,train")
    assert found == {"image": "file", "label": "category", "group": "subject", "split": "partition"}


def test_what_the_user_names_comes_first_and_in_any_case() -> None:
    assert columns("path,label,mark\na.png,1,2", label="MARK")["label"] == "mark"
    assert columns("path,scan,label\na.png,b.png,2", image="scan")["image"] == "scan"


@pytest.mark.parametrize("option", ["image", "label", "group", "split"])
def test_a_named_column_that_is_not_there_is_refused_with_its_option(option: str) -> None:
    with pytest.raises(DataError, match=rf"--{option}-column nothing: .* only path, label"):
        columns("path,label\na.png,1", **{option: "nothing"})


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("path,label,grade\na.png,1,2", "--label-column"),
        ("scan,class,diagnosis\na.png,1,2", "--image-column"),
        ("file,class,diagnosis\na.png,1,2", "--label-column"),
        ("path,file,label\na.png,b.png,2", "--image-column"),
        ("path,label,patient,subject\na.png,1,p,q", "--group-column"),
        ("path,label,split,subset\na.png,1,train,train", "--split-column"),
        ("path,age,sex\na.png,50,f", "--label-column"),
    ],
)
def test_two_candidates_or_none_are_refused_with_the_option_that_decides(text: str, option: str) -> None:
    with pytest.raises(DataError, match=option):
        columns(text)


def test_a_column_that_numbers_rows_is_not_taken_for_the_images_even_where_such_files_lie() -> None:
    rows = "\n".join(f"{number},{10 - number}.png,x" for number in range(1, 9))
    assert columns(f"id,image,label\n{rows}", is_image=lambda name: True)["image"] == "image"
    rows = "\n".join(f"{10 - number}.png,{number},x" for number in range(8))
    assert columns(f"filename,id,label\n{rows}", is_image=lambda name: True)["image"] == "filename"


def test_of_two_columns_the_one_whose_files_lie_there_names_the_images() -> None:
    text = "name,img,label\nslide A,7.png,x\nslide B,9.png,y"
    assert columns(text, is_image=lambda name: name.endswith(".png"))["image"] == "img"


@pytest.mark.parametrize("text", ["n1,benign\nn2,malignant", "n1.png 0\nn2.png 1"])
def test_a_first_line_that_names_an_image_is_no_header(text: str) -> None:
    with pytest.raises(DataError, match=r"has no header, its first line is n1.*write the names of the columns"):
        columns(text, is_image=lambda name: name in ("n1", "n2"))


def test_a_known_header_counts_where_another_label_is_chosen_and_where_there_is_none() -> None:
    read = found("image index,finding labels,patient id\na,drusen|edema,p1\nb,none,p2", label="edema")
    assert (read.image, read.label, read.group, read.finding) == (
        0,
        1,
        2,
        CellFinding("finding labels", "edema", "|"),
    )
    names = ColumnNames(label="diagnosis").of_images_alone(["id_code"])
    read = find_columns(table("id_code\na"), names, lambda name: True, needs_label=False)
    assert (read.image, read.label) == (0, None)


def found(text: str, **chosen: str) -> Columns:
    return find_columns(table(text), ColumnNames(**chosen), lambda name: True)


def test_one_hot_columns_are_classes() -> None:
    read = found("image,benign,malignant\na,1,0\nb,0.0,1.0")
    assert (read.label, read.one_hot) == (None, (1, 2))


def test_a_one_hot_row_without_exactly_one_mark_is_named() -> None:
    rows = "\n".join(f"n{number},{number % 2},{1 - number % 2}" for number in range(200))
    for bad, count in (("0,0", 0), ("1,1", 2)):
        with pytest.raises(DataError, match=rf"the row odd, .* marks {count} classes"):
            found(f"image,benign,malignant\n{rows}\nodd,{bad}")


@pytest.mark.parametrize(
    "text",
    [
        "path,drusen,haemorrhage\na,1,1\nb,0,1\nc,0,0",
        "path,drusen,haemorrhage\na,1,-1\nb,0,1",
        "path,drusen,haemorrhage\na,1,\nb,,1",
        "path,labels\na,drusen|haemorrhage\nb,none",
        "image index,finding labels\na,drusen|haemorrhage\nb,none",
    ],
)
def test_several_findings_an_image_are_refused_with_a_finding_to_choose(text: str) -> None:
    with pytest.raises(DataError, match=r"--label-column '(drusen|haemorrhage)'"):
        found(text)


def test_one_finding_of_several_can_be_chosen_as_a_column_or_by_its_name_in_the_cells() -> None:
    assert found("path,drusen,edema\na,1,1\nb,,-1", label="edema").is_finding
    read = found("path,labels\na,drusen|edema\nb,none", label="edema")
    assert (read.label, read.finding) == (1, CellFinding("labels", "edema", "|"))


def test_what_was_recognised_is_described_with_the_names_of_the_columns() -> None:
    read = table("lesion_id,image_id,dx\nL1,I1,nv")
    text = find_columns(read, ColumnNames(), lambda name: True).describe(read.header)
    assert text == "images image_id, labels dx, groups lesion_id (as in HAM10000)"
    read = table("image,a,b\nI1,1,0\nI2,0,1")
    assert "labels one-hot in a, b" in find_columns(read, ColumnNames(), lambda name: True).describe(read.header)


def test_the_page_on_data_lists_every_known_header() -> None:
    page = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    for known in KNOWN_HEADERS:
        assert f"`{known.image},{known.label}`" in page, known.source


def test_a_table_without_columns_and_a_column_in_two_roles_are_refused() -> None:
    with pytest.raises(DataError, match="is empty; it needs the names of its columns"):
        find_columns(LabelFile(Path("t.csv"), [], []), ColumnNames(), lambda _: True)
    with pytest.raises(DataError, match="scan cannot be both images and labels; name another column"):
        found("scan,grade\na,1\nb,0", image="scan", label="scan")
