"""What a consumer's own environment runs: ONNX Runtime stands for all of them."""

from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

from infer.core.arrays import Pixels
from infer.model.session import Session

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import consumer_runners

    return consumer_runners


@pytest.fixture
def pixels(tmp_path: Path) -> Pixels:
    """More than a batch of the model's images."""
    images = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    return images


def ask(runners: ModuleType, model: Path, folder: Path) -> dict[str, str]:
    return runners.main("onnxruntime", str(model), str(folder / "images.npy"), str(folder / "out.npy"))


def test_all_images_are_answered_for_in_order(runners: ModuleType, model: Path, pixels: Pixels, tmp_path: Path) -> None:
    assert ask(runners, model, tmp_path) == {"batch": "any"}
    _, expected = Session(model, device="cpu").run(pixels)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


def test_a_file_of_one_batch_size_is_noticed(runners: ModuleType, model: Path, pixels: Pixels, tmp_path: Path) -> None:
    fixed = onnx.load(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = runners.BATCH
    onnx.save(fixed, tmp_path / "fixed.onnx")
    assert ask(runners, tmp_path / "fixed.onnx", tmp_path) == {"batch": "fixed"}
    assert len(np.load(tmp_path / "out.npy")) == len(pixels)


def test_a_refusal_is_the_result_and_leaves_no_answers(runners: ModuleType, pixels: Pixels, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    result = ask(runners, tmp_path / "broken.onnx", tmp_path)
    assert list(result) == ["refused"]
    assert "broken.onnx" in result["refused"]
    assert not (tmp_path / "out.npy").exists()
    assert len(pixels) == 60
