"""A session runs on the device that was chosen, or says why not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.providers import pretend_cuda

from infer.core.errors import DeviceError, ModelError
from infer.model.card import CARD_KEY
from infer.model.providers import CPU, CUDA
from infer.model.session import Session


def windows(session: Session, count: int) -> np.ndarray:
    height, width = session.card.pixels.window
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_logits_and_probabilities_are_float32_per_image_and_class(model: Path) -> None:
    session = Session(model, "cpu")
    logits, probabilities = session.run(windows(session, 3))
    assert logits.shape == probabilities.shape == (3, 2)
    assert logits.dtype == probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)


def test_outputs_do_not_depend_on_the_batch_that_an_image_is_in(model: Path) -> None:
    session = Session(model, "cpu")
    images = windows(session, 7)
    batch = session.run(images)[0]
    single = np.concatenate([session.run(images[k : k + 1])[0] for k in range(7)])
    assert batch.tobytes() == single.tobytes()


def test_cuda_that_is_not_there_is_an_error_that_says_what_is_missing(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda(monkeypatch, "no NVIDIA driver is installed")
    with pytest.raises(DeviceError, match="--device cuda: no NVIDIA driver is installed; or choose --device cpu"):
        Session(model, "cuda")


def test_an_int8_file_is_refused_on_cuda_with_the_reason_even_where_cuda_works(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda(monkeypatch, None)
    changed = onnx.load(model)
    (prop,) = [item for item in changed.metadata_props if item.key == CARD_KEY]
    prop.value = prop.value.replace('"precision": "fp32"', '"precision": "int8"')
    onnx.save(changed, tmp_path / "int8.onnx")
    with pytest.raises(DeviceError, match=r"int8 is for CPUs.*export fp16 for a GPU; or choose --device cpu"):
        Session(tmp_path / "int8.onnx", "cuda")
    session = Session(tmp_path / "int8.onnx", "auto")
    assert session.provider == CPU
    assert "int8 is for CPUs" in session.reason


def test_a_session_reports_the_only_batch_size_of_a_file_that_has_one(model: Path, tmp_path: Path) -> None:
    assert Session(model, "cpu").batch is None
    changed = onnx.load(model)
    for item in (*changed.graph.input, *changed.graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(changed, tmp_path / "four.onnx")
    assert Session(tmp_path / "four.onnx", "cpu").batch == 4


def test_auto_says_why_it_took_the_cpu(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, "no NVIDIA driver is installed")
    session = Session(model, "auto")
    assert (session.provider, session.reason) == (CPU, "no NVIDIA driver is installed")


def test_a_batch_that_the_file_cannot_run_is_an_error_that_names_its_shape(model: Path) -> None:
    with pytest.raises(ModelError, match=r"\[1, 5, 5, 3\]"):
        Session(model, "cpu").run(np.zeros((1, 5, 5, 3), dtype=np.uint8))


def test_a_model_without_a_card_is_refused(model: Path, tmp_path: Path) -> None:
    bare = onnx.load(model)
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    with pytest.raises(ModelError, match="has no card"):
        Session(tmp_path / "bare.onnx")


@pytest.mark.gpu
def test_cuda_computes_what_the_cpu_does(model: Path) -> None:
    cpu, cuda = Session(model, "cpu"), Session(model, "cuda")
    assert cuda.provider == CUDA
    images = windows(cpu, 5)
    np.testing.assert_allclose(cuda.run(images)[0], cpu.run(images)[0], atol=1e-3)
