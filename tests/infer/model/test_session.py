"""A session runs where it was asked to, or says why not."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from infer.core.errors import DeviceError, ModelError
from infer.model import session as session_module
from infer.model.card import CARD_KEY
from infer.model.cuda import CPU, CUDA
from infer.model.onnx_session import is_out_of_memory
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
    whole = session.run(images)[0]
    single = np.concatenate([session.run(images[k : k + 1])[0] for k in range(7)])
    assert whole.tobytes() == single.tobytes()


def test_cuda_that_is_not_there_is_an_error_that_says_what_is_missing(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "find_problem", lambda: "no NVIDIA driver is installed")
    with pytest.raises(DeviceError, match="--device cuda: no NVIDIA driver is installed; or choose --device cpu"):
        Session(model, "cuda")


def test_an_int8_file_is_refused_on_cuda_with_the_reason_even_where_cuda_works(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "find_problem", lambda: None)
    changed = onnx.load(model)
    (prop,) = [item for item in changed.metadata_props if item.key == CARD_KEY]
    prop.value = prop.value.replace('"precision": "fp32"', '"precision": "int8"')
    onnx.save(changed, tmp_path / "int8.onnx")
    with pytest.raises(DeviceError, match=r"int8 is for CPUs.*export fp16 for a GPU; or choose --device cpu"):
        Session(tmp_path / "int8.onnx", "cuda")
    session = Session(tmp_path / "int8.onnx", "auto")
    assert session.provider == CPU
    assert "int8 is for CPUs" in session.reason


def test_a_session_tells_the_only_batch_size_of_a_file_that_has_one(model: Path, tmp_path: Path) -> None:
    assert Session(model, "cpu").batch is None
    changed = onnx.load(model)
    for item in (*changed.graph.input, *changed.graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(changed, tmp_path / "four.onnx")
    assert Session(tmp_path / "four.onnx", "cpu").batch == 4


def test_auto_tells_why_it_took_the_cpu(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "find_problem", lambda: "no NVIDIA driver is installed")
    session = Session(model, "auto")
    assert (session.provider, session.reason) == (CPU, "no NVIDIA driver is installed")


@pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="this ONNX Runtime is the CPU build")
def test_a_session_that_onnx_runtime_quietly_put_on_the_cpu_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if session_module.find_problem() is None:
        pytest.skip("CUDA works here")
    monkeypatch.setattr(session_module, "find_problem", lambda: None)  # nothing seems to be missing
    with pytest.raises(DeviceError):
        Session(model, "cuda")
    session = Session(model, "auto")
    assert session.provider == CPU
    assert "CUDA" in session.reason


def test_a_batch_that_the_file_cannot_run_is_an_error_that_names_its_shape(model: Path) -> None:
    with pytest.raises(ModelError, match=r"\[1, 5, 5, 3\]"):
        Session(model, "cpu").run(np.zeros((1, 5, 5, 3), dtype=np.uint8))


def test_a_model_without_a_card_is_refused(model: Path, tmp_path: Path) -> None:
    bare = onnx.load(model)
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    with pytest.raises(ModelError, match="has no card"):
        Session(tmp_path / "bare.onnx")


def test_a_graph_that_onnx_runtime_cannot_read_is_an_error_in_one_line(model: Path, tmp_path: Path) -> None:
    card = {item.key: item.value for item in onnx.load(model).metadata_props}[CARD_KEY]
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("NoSuchOperator", ["x"], ["y"])], "broken", [value], [])
    broken = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(broken, {CARD_KEY: card})
    onnx.save(broken, tmp_path / "broken.onnx")
    with pytest.raises(ModelError, match="cannot read") as caught:
        Session(tmp_path / "broken.onnx", "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "is_it"),
    [
        ("BFCArena: Failed to allocate memory for requested buffer of size 8", True),
        ("CUDA error 2: out of memory", True),
        ("std::bad_alloc", True),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", True),
        ("Available memory of 5 is smaller than requested bytes of 9", True),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", True),
        ("INVALID_ARGUMENT: Got invalid dimensions", False),
    ],
)
def test_exhausted_memory_is_told_from_other_failures(message: str, is_it: bool) -> None:
    assert is_out_of_memory(RuntimeError(message)) is is_it


@pytest.mark.gpu
def test_cuda_answers_as_the_cpu_does(model: Path) -> None:
    if problem := session_module.find_problem():
        pytest.skip(problem)
    cpu, cuda = Session(model, "cpu"), Session(model, "cuda")
    assert cuda.provider == CUDA
    images = windows(cpu, 5)
    np.testing.assert_allclose(cuda.run(images)[0], cpu.run(images)[0], atol=1e-3)
