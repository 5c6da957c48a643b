import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infer.core.console import Screen
from infer.core.errors import DataError
from infer.dataset.check import check_data
from infer.dataset.config import DataCheckConfig
from infer.dataset.exclude import exclusions_text, read_exclusions
from infer.dataset.findings import (
    CUT,
    EMPTY,
    NEAR,
    NO_LABEL,
    ODD,
    SAME_BYTES,
    SAME_PATH,
    SAME_PIXELS,
    TINY,
    UNREADABLE,
    Findings,
)

SUBJECTS = {"fold_0": 28, "fold_1": 14, "fold_2": 31}
"""C-NMC 2019 as it is distributed has 73 subjects, so many in each fold."""


def draw(path: Path, seed: int, size: tuple[int, int] = (64, 64)) -> None:
    """A random blot on black, like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(40, 256, (5, 5, 3), dtype=np.uint8)
    image = Image.new("RGB", size)
    inner = (size[0] * 3 // 4, size[1] * 3 // 4)
    image.paste(Image.fromarray(coarse).resize(inner, Image.Resampling.BICUBIC), (size[0] // 8, size[1] // 8))
    image.save(path)


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train, valid and test of 30 sound images of 10 patients, and one example of everything that may be wrong."""
    root = tmp_path_factory.mktemp("data") / "sick"
    rows: dict[str, list[str]] = {"train": [], "valid": [], "test": []}

    def add(split: str, name: str, label: str = "0", patient: str = "") -> Path:
        rows[split].append(f"images/{name},{label},{patient}")
        (root / "images").mkdir(parents=True, exist_ok=True)
        return root / "images" / name

    for k in range(30):
        split = ("train", "train", "valid", "test", "train")[k % 5]
        draw(add(split, f"{k}.png", str(k // 5 % 2), f"p{k % 5}{k // 15}"), k)
    first = root / "images" / "0.png"
    shutil.copy(first, add("train", "bytes.png"))
    Image.open(root / "images" / "1.png").save(add("train", "pixels.bmp", "0"))
    turned = Image.open(root / "images" / "2.png").rotate(90).resize((50, 50))
    turned.save(add("train", "near.jpg"), quality=80)
    shutil.copy(root / "images" / "3.png", add("train", "leak.png", "1"))
    add("valid", "4.png", "0", "p40")
    add("test", "crossing.png", "1", "p00")
    draw(root / "images" / "crossing.png", 200)
    draw(add("train", "cut.jpg"), 100)
    whole = (root / "images" / "cut.jpg").read_bytes()
    (root / "images" / "cut.jpg").write_bytes(whole[: len(whole) * 3 // 4] + b"\xff\xd9")
    draw(add("train", "truncated.png"), 101)
    whole = (root / "images" / "truncated.png").read_bytes()
    (root / "images" / "truncated.png").write_bytes(whole[: len(whole) // 2])
    add("test", "gone.png", "")
    draw(add("train", "tiny.png"), 102, (20, 20))
    draw(add("train", "long.png"), 103, (200, 60))
    draw(add("train", "nolabel.png", ""), 104)
    Image.new("RGB", (64, 64), "white").save(add("train", "white.png"))
    Image.new("RGB", (64, 64), "grey").save(add("test", "grey.png"))
    for split, lines in rows.items():
        (root / f"{split}.csv").write_text("\n".join(["Path,label,patient", *lines, ""]))
    return root


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report") / "check"


@pytest.fixture(scope="module")
def found(sick: Path, out: Path) -> Findings:
    return check_data(DataCheckConfig(data=sick, out=out), Screen())


def test_each_planted_problem_is_found_and_no_sound_image_is_called_one(found: Findings) -> None:
    reported = {(found.table.paths[item.row].removeprefix("images/"), item.kind) for item in found.problems}
    assert reported == {
        ("truncated.png", UNREADABLE),
        ("gone.png", UNREADABLE),
        ("nolabel.png", NO_LABEL),
        ("white.png", EMPTY),
        ("grey.png", EMPTY),
        ("cut.jpg", CUT),
        ("tiny.png", TINY),
        ("long.png", ODD),
    }


def test_each_planted_copy_is_found_and_no_other_pair_is_called_one(found: Findings) -> None:
    reported = {
        (match.kind, frozenset(Path(found.table.paths[row]).name for row in match.rows), match.crosses)
        for match in found.matches
    }
    assert reported == {
        (SAME_BYTES, frozenset({"0.png", "bytes.png"}), False),
        (SAME_PIXELS, frozenset({"1.png", "pixels.bmp"}), False),
        (NEAR, frozenset({"2.png", "near.jpg"}), True),
        (SAME_BYTES, frozenset({"3.png", "leak.png"}), True),
        (SAME_PATH, frozenset({"4.png"}), True),
    }


def test_leaks_come_first_and_contradictory_labels_are_reported(found: Findings) -> None:
    assert [match.crosses for match in found.matches] == [True, True, True, False, False]
    (torn,) = [match for match in found.matches if match.contradicts]
    assert {Path(found.table.paths[row]).name for row in torn.rows} == {"3.png", "leak.png"}


def test_patients_who_cross_splits_are_counted_in_each(found: Findings) -> None:
    assert found.crossing_groups == {"p00": {"train": 3, "test": 1}, "p40": {"train": 3, "valid": 1}}


def test_the_list_leaves_out_what_is_bad_and_training_copies_and_no_readable_test_image(
    found: Findings, out: Path
) -> None:
    rows = [line.split(",") for line in (out / "exclude.csv").read_text().splitlines()]
    assert rows[0] == ["Path", "split", "reason"]
    listed = {(row[0].removeprefix("images/"), row[1]) for row in rows[1:]}
    assert listed == {
        *((name, "") for name in ("truncated.png", "gone.png", "nolabel.png", "white.png", "cut.jpg", "tiny.png")),
        *((name, "") for name in ("long.png", "bytes.png", "pixels.bmp", "near.jpg", "leak.png")),
        ("4.png", "train"),
    }


def test_without_the_listed_images_only_the_patients_leak(
    sick: Path, found: Findings, out: Path, tmp_path: Path
) -> None:
    config = DataCheckConfig(data=sick, out=tmp_path, exclude=out / "exclude.csv")
    again = check_data(config, Screen())
    assert again.leaks == ()
    assert [item.kind for item in again.problems] == [EMPTY]
    assert set(again.crossing_groups) == {"p00", "p40"}


def test_the_list_goes_on_with_the_entries_that_it_was_given(
    sick: Path, found: Findings, out: Path, tmp_path: Path, quiet: Screen
) -> None:
    whole, own = read_exclusions(out / "exclude.csv"), tmp_path / "exclude.csv"
    own.write_text(exclusions_text(whole[1:]))
    check_data(DataCheckConfig(data=sick, out=tmp_path, exclude=own), quiet)  # in place of the list itself
    assert read_exclusions(own) == [*whole[1:], whole[0]]
    check_data(DataCheckConfig(data=sick, out=tmp_path, exclude=own), quiet)
    assert read_exclusions(own) == [*whole[1:], whole[0]]


def test_the_command_prints_json_alone_and_exits_with_1_on_leakage(lab: Callable, sick: Path, tmp_path: Path) -> None:
    ran = lab("data", "check", sick, "--out", tmp_path, "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["leakage"] is True
    assert ran.out == (tmp_path / "data-check.json").read_text()
    reported = ran.err.splitlines()[-1]
    assert reported.startswith("error: leakage: 3 pictures and 2 patients in more than one of train, valid, test;")


def test_a_sound_set_exits_with_0(lab: Callable, cells: Path, tmp_path: Path) -> None:
    ran = lab("data", "check", cells, "--out", tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert (tmp_path / "exclude.csv").read_text() == "Path,split,reason\n"


def test_limits_are_those_of_the_options(sick: Path, tmp_path: Path, quiet: Screen) -> None:
    limits = {"tiny": 10, "odd_aspect": 5.0, "odd_size": 20.0, "empty": 0.0, "near": 1.0}
    found = check_data(DataCheckConfig(data=sick, out=tmp_path, **limits), quiet)  # type: ignore[arg-type]
    kinds = {item.kind for item in found.problems}
    assert not kinds & {TINY, ODD}
    assert all(match.exact for match in found.matches)


def cnmc(root: Path) -> Path:
    """C-NMC's tree: 73 subjects in three folds, two images of each, and two folders without labels."""
    folds = [fold for fold, count in SUBJECTS.items() for _ in range(count)]
    for subject, fold in enumerate(folds):
        kind, name = ("hem", f"H{subject}") if subject % 3 == 0 else ("all", str(subject))
        for image in (0, 1):
            path = root / "training_data" / fold / kind / f"UID_{name}_{image}_1_{kind}.bmp"
            draw(path, 2 * subject + image, (40, 40))
    draw(root / "testing_data" / "C-NMC_test_final_phase_data" / "1.bmp", 1000, (40, 40))
    draw(root / "validation_data" / "C-NMC_test_prelim_phase_data" / "1.bmp", 1001, (40, 40))
    return root


def test_cnmc_has_73_subjects_and_none_in_two_folds(lab: Callable, tmp_path: Path) -> None:
    ran = lab("data", "check", cnmc(tmp_path / "cnmc"), "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "patients: 73, none in more than one of fold_0, fold_1, fold_2, test" in ran.out
    assert json.loads((tmp_path / "out" / "data-check.json").read_text())["patients"] == {
        **SUBJECTS,
        "test": 0,
        "all": 73,
    }


def test_in_cnmcs_tree_a_duplicate_a_leak_and_a_truncated_file_are_each_found(lab: Callable, tmp_path: Path) -> None:
    root = cnmc(tmp_path / "cnmc")
    images = sorted((root / "training_data" / "fold_0" / "all").iterdir())
    shutil.copy(images[0], images[0].with_name("UID_1_9_9_all.bmp"))
    shutil.copy(images[2], root / "training_data" / "fold_1" / "all" / "UID_99_1_1_all.bmp")
    images[4].write_bytes(images[4].read_bytes()[:1000])
    ran = lab("data", "check", root, "--out", tmp_path / "out", "--json")
    reported = json.loads(ran.out)
    assert ran.code == 1
    assert sorted((match["kind"], match["crosses"]) for match in reported["matches"]) == [
        (SAME_BYTES, False),
        (SAME_BYTES, True),
    ]
    (bad,) = reported["problems"]
    assert (bad["kind"], Path(bad["path"]).name) == (UNREADABLE, images[4].name)


def test_a_set_of_which_nothing_can_be_read_is_reported(tmp_path: Path, heard: tuple[Screen, io.StringIO]) -> None:
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / "x" / name).parent.mkdir(parents=True)
        (tmp_path / "x" / name).write_bytes(b"")
    found = check_data(DataCheckConfig(data=tmp_path / "x", out=tmp_path / "out"), heard[0])
    assert [item.kind for item in found.problems] == [UNREADABLE, UNREADABLE]
    assert isinstance(found.colours, str)


def test_labels_that_look_alike_are_named_and_the_set_is_reported(
    tmp_path: Path, heard: tuple[Screen, io.StringIO]
) -> None:
    for k, label in enumerate(("Benign", "benign", "malignant")):
        draw(tmp_path / "x" / f"{k}.png", k)
        rows = [f"{k}.png,{label}" for k, label in enumerate(("Benign", "benign", "malignant"))]
    (tmp_path / "x" / "train.csv").write_text("\n".join(["Path,label", *rows]))
    found = check_data(DataCheckConfig(data=tmp_path / "x", out=tmp_path / "out"), heard[0])
    warning = "'Benign' and 'benign'"
    assert f"warning: labels in {tmp_path / 'x'} differ only in case" in heard[1].getvalue()
    for text in (heard[1].getvalue(), (tmp_path / "out" / "data-check.json").read_text()):
        assert warning in text
    assert "&#x27;Benign&#x27; and &#x27;benign&#x27;" in (tmp_path / "out" / "data-check.html").read_text()
    assert len(found.table.classes) == 3


def test_values_of_fewer_bits_than_the_files_are_not_called_empty(
    tmp_path: Path, heard: tuple[Screen, io.StringIO], save_image: Callable[..., Path]
) -> None:
    for label in ("a", "b"):
        for number in range(3):
            path = save_image(tmp_path / "deep" / label / f"{number}.png", seed=number + 3 * (label == "a"))
            grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16)
            Image.fromarray(grey * 4).save(path)
    findings = check_data(DataCheckConfig(data=tmp_path / "deep", out=tmp_path / "out"), heard[0])
    assert not [problem for problem in findings.problems if problem.kind == EMPTY]
    assert any("which takes 10 bits, and white is 65,535 (16 bits)" in note for note in findings.table.notes)


def test_a_folder_without_images_is_an_error(tmp_path: Path, quiet: Screen) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="no images found"):
        check_data(DataCheckConfig(data=tmp_path), quiet)
