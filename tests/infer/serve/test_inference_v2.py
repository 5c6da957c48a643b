"""The Open Inference Protocol, spoken by Triton's own client with a running server."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from helpers.serving import Served, served
from tritonclient.utils import InferenceServerException

from infer import load
from infer.images.preprocess import read_window
from infer.model.card import read_card


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        yield client


@pytest.fixture
def windows(model: Path, images: list[Path]) -> np.ndarray:
    return np.stack([read_window(str(path), read_card(model).pixels) for path in images[:5]])


def tensor(name: str, kind: str, values: np.ndarray, binary: bool = True) -> triton.InferInput:
    found = triton.InferInput(name, list(values.shape), kind)
    found.set_data_from_numpy(values, binary_data=binary)
    return found


def test_the_server_and_its_model_are_alive_ready_and_described(
    client: triton.InferenceServerClient, model: Path
) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("model")
    assert client.is_model_ready("model", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    card = read_card(model)
    described = client.get_model_metadata("model", "1")
    assert described["inputs"][1] == {"name": "images", "datatype": "UINT8", "shape": [-1, *card.pixels.window, 3]}
    assert described["outputs"][0]["shape"] == [-1, len(card.classes)]


@pytest.mark.parametrize("binary", [True, False])
def test_pixels_and_files_have_the_probabilities_of_predict(
    client: triton.InferenceServerClient, model: Path, images: list[Path], windows: np.ndarray, binary: bool
) -> None:
    expected = load(model, device="cpu").predict(images[:5])
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("labels", "probabilities")]
    found = client.infer("model", [tensor("images", "UINT8", windows, binary)], outputs=outputs, request_id="7")
    assert found.as_numpy("probabilities").tobytes() == expected.probabilities.tobytes()
    labels = [item.decode() if isinstance(item, bytes) else item for item in found.as_numpy("labels")]
    assert labels == list(expected.labels)
    assert found.get_response()["id"] == "7"
    files = np.array([path.read_bytes() for path in images[:5]], dtype=np.object_)
    found = client.infer("model", [tensor("files", "BYTES", files)], model_version="1")
    assert found.as_numpy("probabilities").tobytes() == expected.probabilities.tobytes()


def test_an_image_that_cannot_be_read_is_named(client: triton.InferenceServerClient, images: list[Path]) -> None:
    files = np.array([images[0].read_bytes(), b"no image"], dtype=np.object_)
    with pytest.raises(InferenceServerException, match=r"\[422\] files\[1\]: cannot identify image file"):
        client.infer("model", [tensor("files", "BYTES", files)])


def test_requests_that_do_not_fit_the_model_say_what_would(
    client: triton.InferenceServerClient, windows: np.ndarray
) -> None:
    for inputs, reason in (
        ([tensor("images", "UINT8", windows[:, :16])], r"images is UINT8 \[5, 16, "),
        ([tensor("images", "UINT8", windows[:0])], "images is empty"),
        ([tensor("pixels", "UINT8", windows)], "the inputs are pixels"),
        ([tensor("images", "UINT8", windows), tensor("files", "BYTES", np.array([b"x"], np.object_))], "the inputs"),
        ([tensor("images", "UINT8", np.repeat(windows, 20, axis=0))], r"\[413\] images has 100 images"),
        ([tensor("images", "FP32", windows.astype(np.float32))], "images is FP32"),
    ):
        with pytest.raises(InferenceServerException, match=reason):
            client.infer("model", inputs)
    with pytest.raises(InferenceServerException, match="there is no output logits"):
        client.infer("model", [tensor("images", "UINT8", windows)], outputs=[triton.InferRequestedOutput("logits")])


def test_other_models_versions_and_headers_are_refused(server: Served) -> None:
    for path in ("/v2/models/other", "/v2/models/model/versions/2", "/v2/models/other/infer"):
        response = server.client.request("POST" if path.endswith("infer") else "GET", path)
        assert response.status_code == 404, path
        assert response.json()["remedy"].startswith("ask for")
    for size in ("x", "-1", "5000", "9" * 5000):
        response = server.client.post(
            "/v2/models/model/infer", content=b"{}", headers={"Inference-Header-Content-Length": size}
        )
        assert response.status_code == 400


def test_an_ensemble_of_other_pixels_takes_files_alone(
    model: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(model, name="both") as running:
        monkeypatch.setattr(running.service.engine, "specs", [*running.service.engine.specs] * 2)
        described = running.client.get("/v2/models/both").json()
        assert [item["name"] for item in described["inputs"]] == ["files"]
        body = json.dumps({"inputs": [{"name": "images", "datatype": "UINT8", "shape": [0], "data": []}]})
        assert running.client.post("/v2/models/both/infer", content=body).status_code == 400
