"""Every report has the pictures that its images allow, however its classes are called."""

import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.pictures import ALL_PICTURES
from helpers.results import HOSTILE, named, origin, random_result, save
from PIL import Image

import infer.reports.pictures
from infer.metrics.metrics import measure
from infer.metrics.result import EvaluationResult
from infer.reports.pictures import Picture, PictureKind, Subject, draw_pictures
from infer.reports.plot_style import Drawing, new_figure


def draw(result: EvaluationResult) -> dict[str, Picture]:
    metrics = measure(result, resamples=0)
    return {picture.name: picture for picture in draw_pictures(result, metrics, "none", origin(result))}


def test_each_picture_has_a_title_a_summary_and_how_to_read_it(all_pictures: None) -> None:
    drawn = draw(random_result(2, 40))
    names = [kind.name for kind in ALL_PICTURES]
    assert names == ["confusion", "roc", "precision-recall", "reliability", "scores", "balance", "learning"]
    assert list(drawn) == names[:-1]  # no run is known
    for one in drawn.values():
        assert one.title
        assert one.summary
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
    drawn = draw_pictures(result, measure(result, resamples=0), "none", replace(origin(result), run=run))
    assert drawn[-1].name == "learning"
    assert "best epoch" in drawn[-1].summary


def test_a_damaged_history_does_not_prevent_a_report(run: Path, tmp_path: Path, all_pictures: None) -> None:
    copied = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("*.ckpt", "*.onnx"))
    (copied / "history.csv").write_text("epoch\n1\n")
    result = random_result(2, 10)
    drawn = draw_pictures(result, measure(result, resamples=0), "none", replace(origin(result), run=copied))
    assert "learning" not in {one.name for one in drawn}


def test_a_picture_is_one_row_and_the_code_that_draws_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def draw_paths(subject: Subject) -> Drawing:
        figure = new_figure(3, 2)
        figure.subplots().barh(range(len(subject.result.paths)), 1)
        return Drawing(figure, "Paths", f"{len(subject.result.paths)} paths")

    added = PictureKind(name="paths", draw=draw_paths, reading="One bar for each path.", layout=lambda classes: "broad")
    monkeypatch.setattr(infer.reports.pictures, "PICTURES", (added,))
    save(random_result(2, 20), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<figure class="broad"><h3>Paths</h3>' in page
    assert 'alt="Paths. 20 paths"' in page
    assert "<figcaption>One bar for each path.</figcaption>" in page
    assert {"paths.png", "paths.svg"} <= {path.name for path in tmp_path.iterdir()}
    save(random_result(2, 20), tmp_path, pictures=False)
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "predictions.csv"}
