"""The column that names the images is found by its words and by the images that lie there, and never guessed."""

from pathlib import Path

import pytest

from infer.core.errors import DataError
from infer.dataset.image_column import find_image_column
from infer.dataset.label_file import LabelFile


def column(text: str, *images: str) -> int:
    """Find the image column of a table, where these images lie."""
    header, *rows = [line.split(",") for line in text.split("\n")]
    names = [name.lower() for name in header]
    return find_image_column(LabelFile(Path("t.csv"), header, rows), names, None, set(images).__contains__)


def test_of_two_columns_that_of_the_images_that_lie_there_is_taken() -> None:
    assert column("id,file,grade\n1,a.png,x\n2,b.png,y", "a.png", "b.png") == 1
    assert column("id,grade\n1,x\n2,y") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,scan,grade\n7,a.png,x\n14,b.png,y",
            "id names no image that is there, such as 7, and scan does; choose with --image-column 'scan'",
        ),
        ("image,file\na.png,a.png\nb.png,b.png", "image, file could all name the images; choose one with --image-co"),
        ("scan,grade\na.png,x", "has the columns scan, grade; none is known to name images: name it with"),
        ("scan|grade\na.png|x", "none is known to name images: separate columns by comma, semicolon or tab, or name"),
        ("a.png,x\nb.png,y", "has no header, its first line is a.png, x; write the names of the columns"),
    ],
)
def test_what_leaves_the_column_open_is_refused_with_what_to_type(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        column(text, "a.png", "b.png")
