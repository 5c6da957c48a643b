"""`lab data check` names each problem that a data set may have, as it is read or in its findings."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Make = Callable[[Path], None]


def draw(root: Path, *names: str, start: int = 0) -> None:
    """Different noisy pictures."""
    for seed, name in enumerate(names, start):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(root / name)


def write(root: Path, name: str, *lines: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines))


def nested(root: Path) -> None:
    draw(root, *(f"{stain}/{kind}/{k}.png" for stain in ("HE", "PAS") for kind in ("ill", "well") for k in range(2)))


def parts(root: Path) -> None:
    draw(root, "slides_part_1/a.png", "slides_part_2/b.png")


def masks(root: Path) -> None:
    draw(root, "ill/1.png", "ill/1_mask.png", "well/2.png")


def lookalikes(root: Path) -> None:
    draw(root, "a.png", "b.png", "c.png")
    write(root, "train.csv", "Path,label", "a.png,Ill", "b.png,ill ", "c.png,well")


def copies_across_splits(root: Path) -> None:
    draw(root, "train/ill/1.png", "train/well/2.png", "valid/well/3.png")
    (root / "valid/ill").mkdir()
    (root / "valid/ill/9.png").write_bytes((root / "train/ill/1.png").read_bytes())


def rows_without_images(root: Path) -> None:
    draw(root, "a.png", "b.png")
    write(root, "train.csv", "Path,label", "a.png,0", "b.png,1", "lost.png,1")


def images_without_rows(root: Path) -> None:
    draw(root, "a.png", "b.png", "extra.png")
    write(root, "train.csv", "Path,label", "a.png,0", "b.png,1")


def empty_class(root: Path) -> None:
    draw(root, "ill/1.png", "well/2.png")
    (root / "unsure").mkdir()


def several_findings(root: Path) -> None:
    draw(root, "a.png", "b.png")
    write(root, "train.csv", "image,drusen,edema", "a.png,1,1", "b.png,0,1")


def own_output(root: Path) -> None:
    draw(root, "ill/1.png", "well/2.png", "runs/r1/a.png")
    write(root, "runs/r1/recipe.toml", "")
    write(root, "runs/r1/data.csv", "")


def two_depths(root: Path) -> None:
    draw(root, "ill/1.png", "ill/old/3.png", "well/2.png")


def table_beside_folders(root: Path) -> None:
    draw(root, "left/1.png", "left/2.png", "right/3.png", "right/4.png")
    write(root, "truth.csv", "image_id,dx", "1,a", "2,b", "3,a", "4,b")


def extra_cells(root: Path) -> None:
    draw(root, "a.png", "b.png")
    write(root, "train.csv", "Path,label", "a.png,0", "b.png,1,x")


def helper_files(root: Path) -> None:
    draw(root, "ill/1.png", "well/2.png")
    write(root, "ill/Thumbs.db", "")
    write(root, "__MACOSX/ill/._1.png", "")


def bit_depth(root: Path) -> None:
    for k in range(4):
        path = root / ("ill" if k % 2 else "well") / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(k).integers(0, 4096, (40, 40), dtype=np.uint16)
        Image.fromarray(values).save(path)


def two_labels(root: Path) -> None:
    draw(root, "ill/1.png", "well/2.png")
    (root / "well/3.png").write_bytes((root / "ill/1.png").read_bytes())


def loose(root: Path) -> None:
    draw(root, "ill/1.png", "well/2.png", "overview.png")


def patients_across_splits(root: Path) -> None:
    draw(root, *(f"{name}.png" for name in "abcd"))
    write(root, "train.csv", "Path,label,patient", "a.png,0,p1", "b.png,1,p2")
    write(root, "valid.csv", "Path,label,patient", "c.png,0,p1", "d.png,1,p3")


def unreadable(root: Path) -> None:
    draw(root, "ill/1.png", "well/2.png")
    write(root, "well/3.png", "no image")


def same_name(root: Path) -> None:
    draw(root, "one/a.png", "two/a.png")
    write(root, "train.csv", "Path,label", "a.png,0")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nested, "HE, PAS in {root} hold folders of the same names, ill, well"),
        (parts, "slides_part_1, slides_part_2 in {root} look like parts of one set"),
        (masks, "1 mask beside pictures, kept by --keep-masks (ill/1_mask.png)"),
        (lookalikes, "'Ill' and 'ill'"),
        (copies_across_splits, "same bytes as valid/ill/9.png in valid"),
        (rows_without_images, '"path": "lost.png", "part": "train", "kind": "unreadable"'),
        (images_without_rows, "1 image that no table lists (extra.png)"),
        (empty_class, "no images in unsure"),
        (several_findings, "several findings an image (drusen, edema)"),
        (own_output, "files of lab's own output (runs/r1)"),
        (two_depths, "ill holds images at two depths"),
        (table_beside_folders, "truth.csv names the images of the folders"),
        (extra_cells, "line 3: 3 values for the 2 columns of the header"),
        (helper_files, "2 helper files"),
        (bit_depth, "which takes 12 bits"),
        (two_labels, "same bytes as ill/1.png, another label"),
        (loose, "1 image outside of class folders (overview.png)"),
        (patients_across_splits, "1 patient"),
        (unreadable, '"path": "well/3.png", "part": "train", "kind": "unreadable"'),
        (same_name, "'a.png' may be one/a.png, two/a.png"),
    ],
)
def test_each_problem_of_a_data_set_is_named(make: Make, words: str, lab: Callable, tmp_path: Path) -> None:
    root = tmp_path / "set"
    make(root)
    ran = lab("data", "check", root, "--out", tmp_path / "out")
    report = tmp_path / "out" / "data-check.json"
    text = (
        ran.out + ran.err + (json.dumps(json.loads(report.read_text()), ensure_ascii=False) if report.exists() else "")
    )
    assert words.replace("{root}", str(root)) in " ".join(text.split())
