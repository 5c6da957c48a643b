"""POST /v1/predict gives what `lab predict` writes, and each unreadable image its own error."""

import base64
import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.serving import Served, form, served
from PIL import Image

from infer import load
from infer.images.preprocess import read_window
from infer.model.card import ClassName, OperatingPoint, read_card
from infer.model.session import Session
from infer.reports.heatmap import activation
from infer.serve.prediction import _by_label


@pytest.fixture(scope="module")
def with_maps(with_cam: Path) -> Iterator[Served]:
    with served(with_cam) as running:
        yield running


def test_the_answers_are_those_of_the_predict_command(
    server: Served, lab: Callable, cells: Path, model: Path, images: list[Path], tmp_path: Path
) -> None:
    arguments = ("--no-sample", "--out", tmp_path / "o.csv", "--probabilities", tmp_path / "p.csv", "--device", "cpu")
    assert lab("predict", cells / "test", "--model", model, *arguments).code == 0
    labels = dict(list(csv.reader((tmp_path / "o.csv").open()))[1:])
    header, *rows = csv.reader((tmp_path / "p.csv").open())
    found = server.client.post("/v1/predict", files=form(*images)).json()["predictions"]
    assert [item["name"] for item in found] == [path.name for path in images]
    assert {item["name"]: item["label"] for item in found} == labels
    expected = {row[0]: row[1:] for row in rows}
    for item in found:
        assert list(item["probabilities"]) == header[1:]
        assert [str(np.float32(value)) for value in item["probabilities"].values()] == expected[item["name"]]


@pytest.mark.parametrize(("tta", "max_batch"), [("flips", 8), ("ten-crop", 3)])
def test_views_are_those_of_the_predict_command(
    tta: str, max_batch: int, model: Path, cells: Path, images: list[Path]
) -> None:
    expected = load(model, device="cpu", tta=tta).predict(images[:5]).probabilities
    with served(model, tta=tta, max_batch=max_batch, timeout=20) as running:
        found = running.client.post("/v1/predict", files=form(*images[:5])).json()
        described = running.client.get("/v1/model").json()
        inputs = running.client.get("/v2/models/model").json()["inputs"]
    rows = [list(item["probabilities"].values()) for item in found["predictions"]]
    assert np.array(rows, np.float32).tobytes() == expected.tobytes()
    assert found["threshold"] is None  # it was chosen on single views
    assert f"views of each image ({tta})" in str(described["facts"])
    assert [item["name"] for item in inputs] == ["files"]  # a client cannot send the pixels of all views


def test_one_bad_image_has_its_own_error_and_the_others_their_predictions(server: Served, images: list[Path]) -> None:
    files = [*form(images[0]), ("images", ("b<b>.png", b"no image")), *form(images[1])]
    response = server.client.post("/v1/predict", files=files)
    first, bad, last = response.json()["predictions"]
    assert response.status_code == 200
    assert bad == {
        "name": "b<b>.png",
        "error": "cannot identify image file",
        "remedy": "send an image that a viewer can open",
    }
    alone = server.client.post("/v1/predict", files=form(images[0], images[1])).json()["predictions"]
    assert [first, last] == alone


def test_a_request_without_one_readable_image_is_422(server: Served) -> None:
    files = [("images", ("a.png", b"x")), ("images", ("b.png", b"y"))]
    for count in (1, 2):
        response = server.client.post("/v1/predict", files=files[:count])
        assert response.status_code == 422
        assert "a.png: cannot identify image file" in response.json()["error"]
        assert len(response.json()["predictions"]) == count


def test_a_bomb_is_refused_as_in_predict(server: Served) -> None:
    content = io.BytesIO()
    Image.new("1", (9_500, 9_500)).save(content, "PNG")
    assert len(content.getvalue()) < 100_000
    response = server.client.post("/v1/predict", content=content.getvalue(), headers={"Content-Type": "image/png"})
    assert response.status_code == 422
    assert "more than 80 million" in response.json()["error"]


def test_the_model_is_described_with_what_it_is_for(server: Served, model: Path) -> None:
    described = server.client.get("/v1/model").json()
    card = read_card(model)
    assert [(item["label"], item["name"]) for item in described["classes"]] == [
        (item.label, item.name) for item in card.classes
    ]
    assert "not a medical device" in " ".join(described["intended_use"])
    assert "not calibrated" in described["intended_use"][-1]
    assert described["models"][0]["file"] == "model.onnx"
    assert len(described["models"][0]["sha256"]) == 64
    facts = {item["name"]: item["value"] for item in described["facts"]}
    assert facts["parity gate"].startswith("passed on")
    assert facts["trained on"] == card.trained_on


def test_a_heat_map_comes_with_the_view_that_it_belongs_to(
    with_maps: Served, with_cam: Path, images: list[Path]
) -> None:
    response = with_maps.client.post("/v1/predict?heatmap=1", files=form(images[0], images[1]))
    item = response.json()["predictions"][1]
    session = Session(with_cam, "cpu")
    window = read_window(str(images[1]), session.card.pixels)
    assert np.array_equal(Image.open(io.BytesIO(base64.b64decode(item["view"]))), window)
    label = [entry.label for entry in session.card.classes].index(item["label"])
    expected = activation(session, window, label)
    assert item["heatmap"]["shape"] == list(expected.shape)
    assert np.array_equal(np.float32(item["heatmap"]["values"]), expected.ravel())
    assert "heatmap" not in with_maps.client.post("/v1/predict", files=form(images[0])).json()["predictions"][0]


def test_a_heat_map_of_a_model_without_one_is_400(server: Served, images: list[Path]) -> None:
    response = server.client.post("/v1/predict?heatmap=true", files=form(images[0]))
    assert (response.status_code, response.json()["error"]) == (400, "the model has no heat maps")


def test_the_cards_threshold_decides_what_is_positive(
    model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(model) as running:
        card = running.service.engine.card
        found = running.client.post("/v1/predict", files=form(images[0])).json()
        second = found["predictions"][0]["probabilities"][card.classes[1].label]
        for threshold, positive in ((second, True), (min(1.0, second + 1e-4), False)):
            point = OperatingPoint(threshold, 12, None)
            monkeypatch.setattr(type(running.service.engine), "threshold", property(lambda _, point=point: point))
            found = running.client.post("/v1/predict", files=form(images[0])).json()
            assert found["threshold"] == {"label": card.classes[1].label, "probability": threshold}
            assert found["predictions"][0]["positive"] is positive


def test_json_keeps_each_float32() -> None:
    values = np.float32([0.1, 0.9])
    found = _by_label((ClassName("a", "0"), ClassName("b", "1")), values)
    assert np.float32(list(found.values())).tobytes() == values.tobytes()
