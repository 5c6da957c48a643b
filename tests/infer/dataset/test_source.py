"""A data set is a folder, a labels table beside images, or a dataset card; all give the same table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.packed_files import save_npz

from infer.config import LabelOptions
from infer.core.errors import ConfigError, DataError
from infer.dataset.source import find_source, read_source
from infer.dataset.table import Table


@pytest.fixture
def lesions(tmp_path: Path, save_image: Callable[..., Path]) -> Path:
    """Images in two parts with their labels in a table, as skin lesions are distributed."""
    folder = tmp_path / "lesions"
    for number in range(4):
        save_image(folder / f"part_{number % 2 + 1}" / f"S_{number}.png", seed=number)
    lines = ["lesion_id,image_id,dx", "L0,S_0,nv", "L0,S_1,nv", "L2,S_2,mel", "L3,S_3,mel"]
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def read(data: Path | None, **options: Any) -> Table:
    table, missing = read_source(find_source(data, LabelOptions(**options)))
    assert not missing
    return table


def rows(table: Table) -> list[tuple[str, str, str]]:
    labels = [table.classes[label].label for label in table.labels]
    return sorted(zip([Path(path).name for path in table.paths], labels, table.groups, strict=True))


EXPECTED = [("S_0.png", "nv", "L0"), ("S_1.png", "nv", "L0"), ("S_2.png", "mel", "L2"), ("S_3.png", "mel", "L3")]


def test_labels_and_folders_of_images_may_lie_apart_or_together(lesions: Path) -> None:
    labels = lesions / "labels.csv"
    parts = (lesions / "part_1", lesions / "part_2")
    assert rows(read(lesions, labels=labels)) == EXPECTED
    assert rows(read(None, labels=labels)) == EXPECTED
    assert rows(read(labels)) == EXPECTED
    assert rows(read(None, labels=labels, images=parts)) == EXPECTED
    elsewhere = labels.rename(lesions.parent / "elsewhere.csv")
    assert rows(read(None, labels=elsewhere, images=parts)) == EXPECTED
    assert rows(read(lesions, labels=elsewhere)) == EXPECTED


def test_paths_are_relative_to_the_data_folder_where_they_lie_below_it(lesions: Path, tmp_path: Path) -> None:
    table = read(lesions, labels=lesions / "labels.csv")
    assert (table.root, table.paths[0]) == (lesions, "part_1/S_0.png")
    (tmp_path / "empty").mkdir()
    table = read(tmp_path / "empty", labels=lesions / "labels.csv", images=(lesions,))
    assert all(Path(path).is_absolute() for path in table.paths)
    assert all(Path(file).is_file() for file in table.files())


def test_a_dataset_card_holds_the_options_relative_to_itself_and_the_command_line_replaces_them(lesions: Path) -> None:
    card = lesions / "lesions.toml"
    card.write_text('labels = "labels.csv"\nimages = ["part_1", "part_2"]\nlabel_column = "dx"\n')
    assert rows(read(card)) == EXPECTED
    assert {label for _, label, _ in rows(read(card, label_column="lesion_id"))} == {"L0", "L2", "L3"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('labels = "labels.csv"\nlabel-column = "dx"\n', "has label-column, and may have"),
        ("labels = 3\n", "every other entry text"),
        ("labels = \n", "is not TOML"),
        ("images = 5\n", "images must be a list of folders"),
        ("images = { a = 1 }\n", "images must be a list of folders"),
        ('labels = "a\\u0000b.csv"\n', "NUL character"),
        ('images = ["a", "b\\u0000"]\n', "NUL character"),
        ("labels = " + "[" * 5000, "is not TOML"),
    ],
)
def test_a_card_that_says_something_else_is_refused(lesions: Path, text: str, named: str) -> None:
    card = lesions / "lesions.toml"
    card.write_text(text)
    with pytest.raises(DataError, match=named):
        read(card)


def test_columns_without_a_table_are_refused(lesions: Path) -> None:
    with pytest.raises(ConfigError, match="--labels"):
        find_source(lesions, LabelOptions(label_column="dx"))


def test_columns_alone_describe_no_data_set_even_where_the_working_folder_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_npz(tmp_path / "some.npz")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="--labels"):
        find_source(None, LabelOptions(label_column="dx"))
    assert find_source(Path("some.npz"), LabelOptions(label_column="dx")).packed is not None


def test_an_image_in_two_folders_and_a_folder_that_is_not_there_are_refused(
    lesions: Path, save_image: Callable[..., Path]
) -> None:
    save_image(lesions / "part_2" / "S_0.png", seed=9)
    with pytest.raises(DataError, match=r"S_0.*may be"):
        read(None, labels=lesions / "labels.csv", images=(lesions / "part_1", lesions / "part_2"))
    with pytest.raises(DataError, match="check --images"):
        read(None, labels=lesions / "labels.csv", images=(lesions / "part_3",))


def test_an_image_that_is_missing_keeps_its_row_under_its_name(lesions: Path) -> None:
    (lesions / "part_1" / "S_2.png").unlink()
    table, missing = read_source(find_source(lesions, LabelOptions(labels=lesions / "labels.csv")))
    assert (len(table), list(missing)) == (4, ["S_2"])


def test_masks_are_kept_where_the_option_or_a_card_says_so(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    for name in ("cat/1.png", "cat/1_mask.png", "dog/2.png"):
        save_image(tmp_path / "pets" / name)
    card = tmp_path / "pets.toml"
    assert len(read(tmp_path / "pets")) == 2
    assert len(read(tmp_path / "pets", keep_masks=True)) == 3
    card.write_text('data = "pets"\nkeep_masks = true\n')
    assert len(read(card)) == 3
    card.write_text('data = "pets"\nkeep_masks = "yes"\n')
    with pytest.raises(DataError, match="keep_masks must be true or false"):
        read(card)


def test_columns_can_be_named_for_the_tables_in_a_folder(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    for name in "ab":
        save_image(tmp_path / f"{name}.png")
    (tmp_path / "train.csv").write_text("Path,label,stage\na,0,x\nb,0,y\n")
    assert {row[1] for row in rows(read(tmp_path, label_column="stage"))} == {"x", "y"}
    (tmp_path / "train.csv").unlink()
    with pytest.raises(ConfigError, match="name it with --labels"):
        find_source(tmp_path, LabelOptions(label_column="stage"))


def test_images_that_no_table_lists_and_other_files_are_counted(lesions: Path, save_image: Callable[..., Path]) -> None:
    save_image(lesions / "part_1" / "extra.png")
    (lesions / "part_1" / "notes.docx").touch()
    assert read(lesions / "labels.csv").notes == (
        "skipped: 1 image that no table lists (part_1/extra.png); 1 other file (.docx)",
    )


def test_the_labels_table_is_not_counted_as_left_out_in_any_format(lesions: Path) -> None:
    table = lesions / "labels.tsv"
    table.write_text((lesions / "labels.csv").read_text().replace(",", "\t"))
    assert read(table).notes == ()


def test_a_card_that_names_no_data_set_is_refused_and_one_with_columns_alone_goes_with_a_table(lesions: Path) -> None:
    card = lesions / "card.toml"
    card.write_text('label_column = "dx"\n')
    with pytest.raises(DataError, match=r"card\.toml names no data set; give it labels \(a table\) or data"):
        find_source(card, LabelOptions())
    assert rows(read(card, labels=lesions / "labels.csv")) == EXPECTED


def test_a_table_of_a_header_alone_is_refused(lesions: Path) -> None:
    (lesions / "labels.csv").write_text("image_id,dx\n")
    with pytest.raises(DataError, match=r"labels\.csv has a header and no rows; add a row for each image"):
        read(lesions / "labels.csv")
