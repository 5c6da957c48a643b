"""Every report has the pictures that its images allow, however its classes are called."""

import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.results import HOSTILE, named, origin, random_result
from PIL import Image

from infer.metrics.result import EvaluationResult
from infer.reports.files import PICTURES
from infer.reports.pictures import READING, Picture, draw_pictures


def draw(result: EvaluationResult) -> dict[str, Picture]:
    classes = len(result.classes)
    confusion = np.bincount(result.truth * classes + result.predicted, minlength=classes**2).reshape(classes, classes)
    return {one.name: one for one in draw_pictures(result, confusion, "none", origin(result))}


def test_each_picture_has_its_title_its_content_in_words_and_how_to_read_it(all_pictures: None) -> None:
    drawn = draw(random_result(2, 40))
    assert set(drawn) == set(PICTURES) - {"learning"}
    assert set(READING) == set(PICTURES)
    for one in drawn.values():
        assert one.title
        assert one.told
        assert len(one.reading) > 40


def test_hostile_names_are_drawn_and_the_svg_stays_well_formed_and_names_nothing_outside_itself(
    all_pictures: None, tmp_path: Path
) -> None:
    for one in draw(named(random_result(5, 60), HOSTILE)).values():
        items = list(ET.fromstring(one.svg).iter())
        assert not [item for item in items if item.tag.endswith(("}img", "}script", "}foreignObject"))]
        links = [value for item in items for key, value in item.attrib.items() if key.endswith("href")]
        assert links
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in links), one.name
        (tmp_path / "p.png").write_bytes(one.png)
        with Image.open(tmp_path / "p.png") as picture:
            assert len(set(picture.convert("L").resize((60, 60)).tobytes())) > 5, one.name


@pytest.mark.parametrize(("classes", "images"), [(2, 1), (3, 1), (12, 20)])
def test_few_images_and_many_classes_are_drawn_too(all_pictures: None, classes: int, images: int) -> None:
    drawn = draw(random_result(classes, images))
    assert {"confusion", "reliability", "scores", "balance"} <= set(drawn)
    assert ("roc" in drawn) == (images > 1)


def test_the_curves_of_the_training_are_drawn_where_its_run_is_known(run: Path, all_pictures: None) -> None:
    result = random_result(2, 10)
    confusion = np.array([[5, 0], [0, 5]])
    drawn = draw_pictures(result, confusion, "none", replace(origin(result), run=run))
    assert drawn[-1].name == "learning"
    assert "best epoch" in drawn[-1].told


def test_a_damaged_history_costs_no_report(run: Path, tmp_path: Path, all_pictures: None) -> None:
    copied = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("*.ckpt", "*.onnx"))
    (copied / "history.csv").write_text("epoch\n1\n")
    result = random_result(2, 10)
    drawn = draw_pictures(result, np.array([[5, 0], [0, 5]]), "none", replace(origin(result), run=copied))
    assert "learning" not in {one.name for one in drawn}
