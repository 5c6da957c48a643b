"""Images are unpacked once, appear whole or not at all, and again only where the files changed or some were lost."""

import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.packed_files import labels_of, pixels_of, read, save_npz, save_pair
from PIL import Image

from infer.core.console import Screen
from infer.core.errors import DataError, OutputError
from infer.core.text import size_text
from infer.dataset import unpack as module
from infer.dataset.packed_kinds import find_packed
from infer.dataset.source import read_table
from infer.dataset.unpack import unpack

Heard = tuple[Screen, io.StringIO]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "unpacked"


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    save_npz(tmp_path / "some.npz")
    return tmp_path / "some.npz"


def test_folder_and_size_are_printed_and_the_images_found_again(npz: Path, heard: Heard, own_cache: Path) -> None:
    screen, text = heard
    folder = read(npz, screen).root
    assert folder.parent == own_cache
    size = size_text(sum(path.stat().st_size for path in folder.rglob("*.png")))
    assert (
        f"unpacked {npz} into {folder}: 11 images, {size}; LAB_CACHE_GB does not limit them: delete" in text.getvalue()
    )
    before = (folder / "train" / "0.png").stat()
    assert read(npz, screen).root == folder
    assert f"images of {npz} found unpacked in {folder}: {size}\n" in text.getvalue()
    assert (folder / "train" / "0.png").stat() == before
    assert [path.name for path in own_cache.iterdir()] == [folder.name]


def test_the_same_file_by_another_path_is_found_again(npz: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard) -> None:
    screen, text = heard
    folder = read(npz).root
    monkeypatch.chdir(npz.parent)
    assert read(Path("some.npz"), screen).root == folder
    assert "found unpacked" in text.getvalue()


def test_a_file_that_changed_is_unpacked_again_even_at_the_same_size_and_time(npz: Path, tmp_path: Path) -> None:
    folder = read(npz).root
    stat = npz.stat()
    save_npz(tmp_path / "other.npz", counts=(6, 3, 2), classes=3)
    content = (tmp_path / "other.npz").read_bytes()
    npz.write_bytes(content.ljust(stat.st_size, b"\0")[: max(stat.st_size, len(content))])
    os.utime(npz, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    table = read(npz)
    assert (table.root, set(labels_of(table))) == (folder, {"0", "1", "2"})


def test_a_table_of_slides_that_is_added_is_read(tmp_path: Path) -> None:
    save_pair(tmp_path / "pcam", "train", 2)
    assert set(read(tmp_path / "pcam").groups) == {""}
    (tmp_path / "pcam" / "camelyonpatch_level_2_split_train_meta.csv").write_text(",wsi\n0,a\n1,b\n")
    assert read(tmp_path / "pcam").groups == ("a", "b")


@pytest.mark.parametrize("lost", ["train/0.png", "metadata.tsv", "unpacked.json"])
def test_a_folder_that_lost_a_file_is_made_again(npz: Path, lost: str) -> None:
    table = read(npz)
    pixels = [image.tolist() for image in pixels_of(table)]
    (table.root / lost).unlink()
    assert [image.tolist() for image in pixels_of(read(npz))] == pixels


def test_a_folder_with_a_damaged_file_or_marker_is_made_again(npz: Path) -> None:
    table = read(npz)
    pixels = [image.tolist() for image in pixels_of(table)]
    for name in ("train/0.png", "unpacked.json"):
        (table.root / name).write_text("[]")
        assert [image.tolist() for image in pixels_of(read(npz))] == pixels


@pytest.mark.parametrize("class_names", [None, [], {"label": "ab"}, {"label": ["a", 3]}, {"label": None}])
def test_a_folder_whose_marker_names_no_classes_as_it_should_is_made_again(npz: Path, class_names: object) -> None:
    marker = read(npz).root / "unpacked.json"
    content = marker.read_text()
    marker.write_text(json.dumps({**json.loads(content), "class_names": class_names}))
    read(npz)
    assert marker.read_text() == content


def test_what_fails_on_the_way_leaves_the_folder_as_it_was(
    npz: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = read(npz).root
    save_npz(npz, counts=(600, 3, 2))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match=r"the disk is full and .* was not written; free some space or set LAB_CACHE"):
        read(npz)
    assert list(own_cache.iterdir()) == [folder]
    assert len(list(folder.rglob("*.png"))) == 11


def test_an_interruption_leaves_no_draft(npz: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_publish", stop)
    with pytest.raises(KeyboardInterrupt):
        read(npz)
    assert not list(own_cache.iterdir())


def test_drafts_that_a_kill_left_are_deleted_after_a_day(npz: Path, own_cache: Path) -> None:
    for name, age in ((".old", 2 * 24 * 3600), (".new", 60)):
        (own_cache / name).mkdir(parents=True)
        (own_cache / name / "0.png").touch()
        then = (own_cache / name).stat().st_mtime - age
        os.utime(own_cache / name, (then, then))
    read(npz)
    assert sorted(path.name for path in own_cache.glob(".*")) == [".new"]


def test_another_process_that_was_faster_keeps_its_folder(
    npz: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, quiet: Screen
) -> None:
    packed = find_packed(npz)
    assert packed is not None
    folder = unpack(packed, quiet)
    made = folder.stat().st_ino
    aside = folder.rename(own_cache / "aside")
    publish = module._publish

    def later(*arguments: Path) -> None:
        aside.rename(folder)
        publish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_publish", later)
    assert unpack(packed, quiet) == folder
    assert folder.stat().st_ino == made
    assert list(own_cache.iterdir()) == [folder]


def test_a_cache_that_cannot_be_written_is_named(npz: Path, own_cache: Path) -> None:
    own_cache.parent.write_text("a file")
    with pytest.raises(OutputError, match="LAB_CACHE"):
        read(npz)


def test_a_hostile_file_leaves_nothing(tmp_path: Path, own_cache: Path) -> None:
    save_npz(tmp_path / "volumes.npz", (28, 28, 28))
    with pytest.raises(DataError, match="3-D"):
        read(tmp_path / "volumes.npz")
    assert not list(own_cache.iterdir())


def test_a_model_is_trained_on_arrays_exported_evaluated_and_verified(
    lab: Callable[..., Any], tmp_path: Path, own_cache: Path
) -> None:
    npz, runs = tmp_path / "bloodmnist.npz", tmp_path / "runs"
    save_npz(npz, (28, 28, 3), (32, 16, 16), classes=8)
    small = ("--epochs", "1", "--batch-size", "8", "--image-size", "32", "--device", "cpu")
    trained = lab("train", "resnet18", "--data", npz, *small, "--out", runs)
    assert trained.code == 0, trained.err
    assert f"data: {npz} (MedMNIST npz)" in trained.out
    assert "0 basophil" in trained.out
    run = next(runs.iterdir())
    assert f'data = "{npz}"' in (run / "recipe.toml").read_text()
    assert "train/00.png,0,,train" in (run / "data.csv").read_text()

    shutil.rmtree(own_cache)
    exported = lab("export", run, "--opset", "17")
    assert exported.code == 0, exported.err
    assert f"unpacked {npz} into " in exported.out
    own, other = lab("evaluate", "--model", run), lab("evaluate", npz, "--model", run)
    assert (own.code, other.code) == (0, 0), own.err + other.err
    assert "valid split of bloodmnist, 16 images (as the run split it)" in own.out
    assert "test split of bloodmnist, 16 images (MedMNIST npz)" in other.out
    assert (run / "report-bloodmnist-test" / "report.html").is_file()

    moved = npz.rename(tmp_path / "moved.npz")
    shutil.rmtree(own_cache)
    gone = lab("verify", run / "model.onnx")
    assert (gone.code, "--data" in gone.err, str(npz) in gone.err) == (1, True, True)
    verified = lab("verify", run / "model.onnx", "--run", run, "--data", moved)
    assert verified.code == 0, verified.err
    resumed = lab("train", "--resume", run, "--data", moved, "--device", "cpu")
    assert resumed.code == 0, resumed.err
    assert "resumed after epoch 1" in resumed.out


def test_checks_splits_and_dataset_cards_read_files_that_hold_images(
    lab: Callable[..., Any], tmp_path: Path, own_cache: Path
) -> None:
    npz, out = tmp_path / "some.npz", tmp_path / "split"
    save_npz(npz, counts=(30, 10, 10))
    checked = lab("data", "check", npz, "--out", tmp_path / "check")
    assert checked.code == 0, checked.err
    assert json.loads((tmp_path / "check" / "data-check.json").read_text())["data"] == str(npz)
    card = tmp_path / "some.toml"
    card.write_text('data = "some.npz"\n')
    exclude = tmp_path / "exclude.csv"
    exclude.write_text("Path,split,reason\ntrain/00.png,,odd\n")
    split = lab("data", "split", card, "--exclude", exclude, "--out", out)
    assert split.code == 0, split.err
    assert len(read_table(out)) == 49
    shutil.rmtree(own_cache)
    with pytest.raises(DataError, match="unpacked there from a data set; run lab data check on that"):
        read_table(out)
    assert lab("data", "check", npz, "--out", tmp_path / "check").code == 0
    assert len(read_table(out)) == 49
