import errno
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from infer.core.console import Screen
from infer.core.errors import ConfigError, DataError, OutputError
from infer.dataset.config import DataSplitConfig
from infer.dataset.source import read_table
from infer.dataset.split import split_data
from infer.dataset.table import TEST, TRAIN, UNKNOWN, VALID, Table

Rows = set[tuple[str, str, str, str]]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """60 and 40 empty images in a folder per class; names begin with one of 25 patients."""
    for label, count in (("cat", 60), ("dog", 40)):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for k in range(count):
            (tmp_path / "pets" / label / f"{label}{k // 4}_{k}.png").touch()
    return tmp_path / "pets"


def rows(table: Table) -> Rows:
    """Where each image lies, its label, patient and split."""
    full = [str((table.root / path).resolve()) for path in table.paths]
    labels = [table.classes[label].label for label in table.labels]
    return set(zip(full, labels, table.groups, table.splits, strict=True))


def split(source: Path, screen: Screen, **given: object) -> Table:
    return split_data(DataSplitConfig(source=source, **given), screen)  # type: ignore[arg-type]


def test_what_is_written_is_read_back_with_the_same_splits_labels_and_patients(
    folders: Path, tmp_path: Path, quiet: Screen
) -> None:
    made = split(folders, quiet, out=tmp_path / "out", group_pattern=r"(\w+)_\d+\.png$")
    again = read_table(tmp_path / "out")
    assert rows(again) == rows(made)
    assert again.crossing_groups() == again.crossing_paths() == []
    assert len({group for group in again.groups if group}) == 25
    assert again.layout == "train.csv with Path and label"


def test_shares_and_classes_are_as_asked(folders: Path, tmp_path: Path, quiet: Screen) -> None:
    made = split(folders, quiet, out=tmp_path / "out", valid=0.2, test=0.1)
    assert [made.counts(name) for name in (TRAIN, VALID, TEST)] == [[42, 28], [12, 8], [6, 4]]


@pytest.mark.parametrize(("given", "files"), [({"test": 0.0}, "valid"), ({"valid": 0.0}, "test")])
def test_a_share_of_0_makes_no_file(given: dict, files: str, folders: Path, tmp_path: Path, quiet: Screen) -> None:
    split(folders, quiet, out=tmp_path / "out", **given)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(["train.csv", f"{files}.csv"])


def test_images_below_the_folder_are_named_relative_to_it(folders: Path, quiet: Screen) -> None:
    split(folders, quiet, out=folders)
    assert (folders / "train.csv").read_text().splitlines()[1].startswith("cat/cat")
    assert len(read_table(folders)) == 100


def test_a_csv_with_patients_is_parted_by_patient(folders: Path, tmp_path: Path, quiet: Screen) -> None:
    lines = [f"cat/cat{k // 4}_{k}.png,{k // 4 % 2},p{k // 4}" for k in range(60)]
    (folders / "all.csv").write_text("\n".join(["Path,label,patient", *lines]))
    made = split(folders / "all.csv", quiet, out=tmp_path / "out")
    assert len(made) == 60
    assert made.crossing_groups() == []
    assert rows(read_table(tmp_path / "out")) == rows(made)


def test_cnmc_is_parted_by_subject_with_its_classes_names(tmp_path: Path, quiet: Screen) -> None:
    for k in range(60):
        kind = ("hem", "all")[k % 2]
        path = tmp_path / "cnmc" / "training_data" / f"fold_{k % 3}" / kind / f"UID_{k // 3}{kind}_{k}_1_{kind}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    made = split(tmp_path / "cnmc", quiet, out=tmp_path / "out")
    again = read_table(tmp_path / "out")
    assert rows(again) == rows(made)
    assert [str(item) for item in again.classes] == ["0 normal", "1 blast"]
    assert again.crossing_groups() == []
    with pytest.raises(OutputError, match="holds a data set of another layout"):
        split(tmp_path / "cnmc", quiet, out=tmp_path / "cnmc")


def test_the_sets_own_test_split_can_be_kept_and_its_patients_leave_training(tmp_path: Path, quiet: Screen) -> None:
    for k in range(40):
        (tmp_path / f"{k}.png").touch()
    lines = [f"{k}.png,{k % 2},p{k // 2}" for k in range(40)]
    (tmp_path / "train.csv").write_text("\n".join(["Path,label,patient", *lines[:31]]))
    (tmp_path / "test.csv").write_text("\n".join(["Path,label,patient", *lines[31:]]))
    made = split(tmp_path, quiet, out=tmp_path / "out", keep_test=True, valid=0.25)
    assert {Path(path).name for path in made.split(TEST).paths} == {f"{k}.png" for k in range(31, 40)}
    assert made.crossing_groups() == []
    assert len(made) == 39  # 30.png is of the patient of 31.png
    assert len(made.split(VALID)) == pytest.approx(0.25 * 30, abs=2)


@pytest.fixture(params=["", "0"])
def twice(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """40 images of 20 patients; 0.png is listed in the test too, without its patient, and with its label or without."""
    for k in range(40):
        (tmp_path / f"{k}.png").touch()
    lines = [f"{k}.png,{k % 2},p{k // 2}" for k in range(40)]
    (tmp_path / "train.csv").write_text("\n".join(["Path,label,patient", *lines[:31]]))
    (tmp_path / "test.csv").write_text("\n".join(["Path,label,patient", f"0.png,{request.param},", *lines[31:]]))
    return tmp_path


def test_copies_are_in_one_split_and_those_of_test_images_leave_training(tmp_path: Path, quiet: Screen) -> None:
    for k in range(30):
        path = tmp_path / "pets" / ("test" if k < 4 else "train") / f"kind{k % 2}" / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"image %d" % (k if k % 4 < 2 else k - 2))
    (tmp_path / "pets/train/kind0/again.png").write_bytes(b"image 0")

    def parts_of(table: Table) -> dict[bytes, set[str]]:
        parts: dict[bytes, set[str]] = {}
        for path, part in zip(table.paths, table.splits, strict=True):
            parts.setdefault((table.root / path).read_bytes(), set()).add(part)
        return parts

    made = split(tmp_path / "pets", quiet, out=tmp_path / "out", valid=0.3, test=0.2)
    assert len(made) == 31
    assert all(len(parts) == 1 for parts in parts_of(made).values())
    assert made.notes[0].startswith("note: 14 images are listed twice or have exact copies, which stay in one split")
    made = split(tmp_path / "pets", quiet, out=tmp_path / "other", valid=0.3, keep_test=True)
    assert len(made) == 30
    assert all(len(parts) == 1 for parts in parts_of(made).values())


def test_an_image_that_is_listed_twice_keeps_the_patient_that_any_row_gives(
    twice: Path, tmp_path: Path, quiet: Screen
) -> None:
    for seed in range(5):
        made = split(twice, quiet, out=tmp_path / f"{seed}", seed=seed)
        assert dict(zip(made.paths, made.groups, strict=True)) == {f"{k}.png": f"p{k // 2}" for k in range(40)}
        assert made.crossing_groups() == []


def test_an_image_that_is_listed_in_the_test_too_is_kept_there_and_its_patient_leaves_training(
    twice: Path, tmp_path: Path, quiet: Screen
) -> None:
    made = split(twice, quiet, out=tmp_path / "out", keep_test=True)
    assert "0.png" in made.split(TEST).paths
    assert "1.png" not in made.paths
    assert made.crossing_groups() == []


def test_two_patients_for_one_image_are_refused_unless_a_pattern_gives_the_patient(
    twice: Path, tmp_path: Path, quiet: Screen
) -> None:
    (twice / "test.csv").write_text("Path,label,patient\n0.png,0,p7\n39.png,1,p19\n")
    with pytest.raises(DataError, match=r"^1 images are listed with two patients: 0\.png; keep the right one$"):
        split(twice, quiet, out=tmp_path / "out")
    assert set(split(twice, quiet, out=tmp_path / "out", group_pattern=r"(\d+)").groups) >= {"0", "39"}


def test_images_without_a_label_are_left_out_and_counted(
    cells: Path, tmp_path: Path, heard: tuple[Screen, "object"]
) -> None:
    made = split(cells, heard[0], out=tmp_path / "out")
    assert (made.labels != UNKNOWN).all()
    assert len(made) == 36
    assert "left out: 12 images without a label" in str(heard[1].getvalue())  # type: ignore[attr-defined]


def test_listed_images_are_left_out(folders: Path, tmp_path: Path, quiet: Screen) -> None:
    (tmp_path / "bad.csv").write_text("cat/cat0_0.png\n")
    made = split(folders, quiet, out=tmp_path / "out", exclude=tmp_path / "bad.csv")
    assert len(made) == 99
    assert "cat/cat0_0.png" not in made.paths


def test_a_split_that_lies_there_is_replaced_only_when_asked(lab: Callable, folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert lab("data", "split", folders, "--out", out).code == 0
    before = (out / "train.csv").read_text()
    ran = lab("data", "split", folders, "--out", out, "--seed", "1")
    assert ran.code == 1
    assert "holds train.csv, valid.csv, test.csv already; give --force" in ran.err
    assert (out / "train.csv").read_text() == before
    assert lab("data", "split", folders, "--out", out, "--seed", "1", "--force", "--test", "0").code == 0
    assert (out / "train.csv").read_text() != before
    assert not (out / "test.csv").exists()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("failing", range(3))
def test_a_split_stays_whole_where_its_replacement_cannot_be_written(
    failing: int, folders: Path, tmp_path: Path, quiet: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    split(folders, quiet, out=out)
    before, synced = contents(out), []

    def fill_up(file: int) -> None:
        synced.append(file)
        if len(synced) > failing:
            raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("os.fsync", fill_up)
    with pytest.raises(OutputError, match="the disk is full"):
        split(folders, quiet, out=out, seed=1, force=True)
    assert contents(out) == before


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "classes.csv"])
def test_a_folder_in_the_place_of_a_file_is_refused_and_nothing_written(
    name: str, folders: Path, tmp_path: Path, quiet: Screen
) -> None:
    out = tmp_path / "out"
    split(folders, quiet, out=out)
    (out / name).unlink(missing_ok=True)
    (out / name).mkdir()
    before = contents(out)
    with pytest.raises(OutputError, match=f"holds {name}, but not as a file"):
        split(folders, quiet, out=out, seed=1, force=True)
    assert contents(out) == before


@pytest.mark.parametrize("name", ["val.csv", "resnet_18_test.csv"])
def test_a_folder_with_other_tables_that_would_be_read_is_refused(
    name: str, folders: Path, tmp_path: Path, quiet: Screen
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("Path,label\n")
    with pytest.raises(OutputError, match=rf"holds {name}, which lab would read too"):
        split(folders, quiet, out=tmp_path / "out", force=True)


def test_a_table_or_list_that_is_read_is_never_overwritten(folders: Path, quiet: Screen) -> None:
    table = folders / "train.csv"
    table.write_text("Path,label\ncat/cat0_0.png,0\n")
    for source, given in ((table, {}), (folders, {"labels": table}), (folders, {"exclude": table})):
        with pytest.raises(ConfigError, match="is read and would be overwritten; give another --out"):
            split(source, quiet, out=folders, force=True, **given)
    assert table.read_text() == "Path,label\ncat/cat0_0.png,0\n"


def test_a_split_at_a_uri_which_lab_train_could_not_read_is_refused(folders: Path) -> None:
    with pytest.raises(ConfigError, match=r"--out must be a folder of this machine, got file:///split; copy"):
        DataSplitConfig(source=folders, out=Path("file:///split"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"group_pattern": r"dog(\d+)_"}, r"finds no patient in 60 paths: cat/cat0_0\.png"),
        ({"group_pattern": r"^(cat|dog)"}, "too few to split: nothing is left for valid, test"),
        ({"keep_test": True}, "no labelled test split to keep"),
    ],
)
def test_what_cannot_be_split_is_an_error(
    given: dict, message: str, folders: Path, tmp_path: Path, quiet: Screen
) -> None:
    with pytest.raises(DataError, match=message):
        split(folders, quiet, out=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_names_that_tables_would_change_are_refused(tmp_path: Path, quiet: Screen) -> None:
    for label in (" 7", "8"):
        (tmp_path / "x" / label).mkdir(parents=True)
        for k in range(10):
            (tmp_path / "x" / label / f"{k}.png").touch()
    with pytest.raises(DataError, match="begin or end with a space"):
        split(tmp_path / "x", quiet, out=tmp_path / "out")


@pytest.mark.parametrize("folder", [".cache", " pets", "pets ", "a/.b/c", "a/ b /c"])
def test_images_below_hidden_folders_and_folders_with_outer_spaces_are_read_back(
    folder: str, folders: Path, tmp_path: Path, quiet: Screen
) -> None:
    (tmp_path / "out" / folder).parent.mkdir(parents=True)
    folders.rename(tmp_path / "out" / folder)
    made = split(tmp_path / "out" / folder, quiet, out=tmp_path / "out")
    assert rows(read_table(tmp_path / "out")) == rows(made)


def test_what_was_read_is_printed_with_its_columns(
    folders: Path, tmp_path: Path, heard: tuple[Screen, io.StringIO]
) -> None:
    table = tmp_path / "grades.csv"
    names = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(folders.glob("*/*"))]
    table.write_text("\n".join(["scan,stage", *names]))
    split(table, heard[0], out=tmp_path / "out", images=(folders,), image_column="scan", label_column="stage")
    assert "(grades.csv: images scan, labels stage)" in " ".join(heard[1].getvalue().split())


def test_shares_that_were_not_reached_are_reported_and_others_are_not(
    folders: Path, tmp_path: Path, heard: tuple[Screen, io.StringIO]
) -> None:
    screen, text = heard
    split(folders, screen, out=tmp_path / "out")
    assert "requested" not in text.getvalue()
    made = split(folders, screen, out=tmp_path / "few", group_pattern=r"(\d)_")  # 10 patients, of 8 or 12 images
    reached = {name: sum(made.counts(name)) for name in (TRAIN, VALID, TEST)}  # of 100
    assert abs(reached[TRAIN] - 70) > 2
    requested = {TRAIN: 70, VALID: 15, TEST: 15}
    shares = [f"{name} {reached[name]}.0% (requested: {share}.0%)" for name, share in requested.items()]
    assert ", ".join(shares) in " ".join(text.getvalue().split())


def test_a_seed_gives_one_split_and_another_seed_another(folders: Path, tmp_path: Path, quiet: Screen) -> None:
    found = [split(folders, quiet, out=tmp_path / f"{k}", seed=seed).splits for k, seed in enumerate((3, 3, 4))]
    assert found[0] == found[1] != found[2]
    assert np.unique(found[0]).tolist() == [TEST, TRAIN, VALID]
