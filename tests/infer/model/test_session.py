"""A session runs on the device that was chosen, or says why not."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.onnx_files import name_in_evidence, save_unsealed, without_evidence
from helpers.providers import pretend_cuda

import infer.model.session
from infer.core.errors import DeviceError, ModelError
from infer.model import openvino_runtime
from infer.model.card import CARD_KEY, read_card
from infer.model.providers import CPU, CUDA, OPENVINO, OPENVINO_BF16
from infer.model.session import Session

LEGACY = Path(__file__).parents[2] / "data" / "legacy" / "finished"


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
    save_unsealed(changed, tmp_path / "int8.onnx")
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
    save_unsealed(changed, tmp_path / "four.onnx")
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


@pytest.fixture
def int8(tmp_path: Path) -> Path:
    """A file in 8 bits, whose evidence names the CPU alone."""
    path = tmp_path / "int8.onnx"
    path.write_bytes((LEGACY / "int8.onnx").read_bytes())
    return path


@pytest.mark.usefixtures("openvino")
def test_auto_takes_openvino_for_int8_where_the_evidence_names_it_and_says_why(
    int8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infer.core.cpu.instructions", lambda: ("avx2", "avx_vnni"))
    session = Session(int8, "cpu")
    assert session.provider == CPU
    assert f"the evidence in {int8} does not name OpenVINO; `lab verify {int8} --runtime openvino`" in session.reason
    expected = session.run(windows(session, 3))[1]
    session = Session(name_in_evidence(int8, OPENVINO), "cpu")
    assert session.provider == OPENVINO
    assert session.reason == "OpenVINO runs int8 faster than ONNX Runtime"
    assert (session.batch, session.has_cam) == (None, True)
    np.testing.assert_allclose(session.run(windows(session, 3))[1], expected, atol=0.05)
    assert session.run_cam(windows(session, 3)).shape[:2] == (3, 2)
    assert Session(int8, "cpu", runtime="onnxruntime").provider == CPU
    assert "no NVIDIA driver" in Session(int8).reason or "GPU" in Session(int8).reason


@pytest.mark.usefixtures("openvino")
def test_auto_leaves_openvino_aside_for_int8_where_its_sums_may_overflow(
    int8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infer.core.cpu.instructions", lambda: ("avx2",))
    named = name_in_evidence(int8, OPENVINO)
    session = Session(named, "cpu")
    assert session.provider == CPU
    assert session.options["session.x64quantprecision"] == "1"
    assert Session(named, "cpu", runtime="openvino").provider == OPENVINO


@pytest.mark.usefixtures("openvino")
def test_weights_of_7_bits_need_neither_slower_kernels_nor_another_runtime(
    int8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infer.core.cpu.instructions", lambda: ("avx2",))
    narrow = replace(read_card(int8), provenance={"int8": {"weight_bits": 7}})
    monkeypatch.setattr("infer.model.session.read_card", lambda path: narrow)
    named = name_in_evidence(int8, OPENVINO)
    assert Session(named, "cpu").provider == OPENVINO
    assert "session.x64quantprecision" not in Session(named, "cpu", runtime="onnxruntime").options


@pytest.mark.usefixtures("openvino")
def test_a_file_runs_on_a_runtime_that_is_named_only_where_its_evidence_names_it_and_is_whole(
    model: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(model, tmp_path / "m.onnx"))
    with pytest.raises(DeviceError, match=r"--runtime openvino: the evidence .* does not name OpenVINO; `lab verify"):
        Session(copy, runtime="openvino")
    assert Session(copy, provider=OPENVINO).provider == OPENVINO
    named = Session(name_in_evidence(copy, OPENVINO), runtime="openvino")
    assert (named.provider, named.reason) == (OPENVINO, "")
    assert Session(copy, "cpu").provider == CPU  # float32 is as fast there
    content = bytearray(copy.read_bytes())
    content[content.index(b"\x00\x00\x80\x3f") + 2] ^= 1
    copy.write_bytes(content)
    with pytest.raises(ModelError, match="has been changed since"):
        Session(copy, runtime="openvino")
    with pytest.raises(DeviceError, match="has been changed since"):
        Session(copy, runtime="openvino", accept_changed=True)
    without_evidence(copy, lambda _: None)
    with pytest.raises(DeviceError, match="has no evidence"):
        Session(copy, runtime="openvino")


@pytest.mark.usefixtures("openvino")
def test_auto_computes_in_bfloat16_where_the_processor_and_the_evidence_allow_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = name_in_evidence(Path(shutil.copy(model, tmp_path / "m.onnx")), OPENVINO_BF16)
    monkeypatch.setattr("infer.core.cpu.instructions", lambda: ("avx512_bf16", "amx_bf16"))
    monkeypatch.setattr(openvino_runtime, "find_bf16_problem", lambda: "this processor does not compute in bfloat16")
    assert Session(copy, "cpu").provider == CPU
    with pytest.raises(DeviceError, match=r"--runtime openvino-bf16: this processor does not .* --runtime onnxruntime"):
        Session(copy, runtime="openvino-bf16")
    opened: list[dict[str, str]] = []
    monkeypatch.setattr(openvino_runtime, "find_bf16_problem", lambda: None)
    engine = Session(copy, "cpu")._engine
    monkeypatch.setattr(
        infer.model.session, "open_engine", lambda path, row, threads, options: opened.append(options) or engine
    )
    session = Session(copy, "cpu")
    assert session.provider == OPENVINO_BF16
    assert session.reason == "OpenVINO computes in bfloat16 faster than in float32"
    assert opened[0]["INFERENCE_PRECISION_HINT"] == "bf16"
    monkeypatch.setattr("infer.core.cpu.instructions", lambda: ("avx512_bf16",))
    monkeypatch.setattr("infer.core.cpu.vendor", lambda: "AuthenticAMD")
    assert Session(copy, "cpu").provider == OPENVINO_BF16
    monkeypatch.setattr("infer.core.cpu.vendor", lambda: "GenuineIntel")  # with which float32 is faster
    assert Session(copy, "cpu").provider == CPU
    assert Session(copy, "cpu", runtime="openvino-bf16").provider == OPENVINO_BF16


def test_a_runtime_that_is_not_installed_is_an_error_where_it_is_named_and_else_nothing_is_said_of_it(
    model: Path, tmp_path: Path
) -> None:
    copy = name_in_evidence(Path(shutil.copy(model, tmp_path / "m.onnx")), OPENVINO)
    with pytest.raises(DeviceError, match=r"--runtime openvino: openvino is hidden.*; or choose --runtime onnxruntime"):
        Session(copy, runtime="openvino")
    int8 = name_in_evidence(Path(shutil.copy(LEGACY / "int8.onnx", tmp_path / "int8.onnx")), OPENVINO)
    session = Session(int8, "cpu")
    assert (session.provider, session.reason) == (CPU, "")


@pytest.mark.gpu
def test_cuda_computes_what_the_cpu_does(model: Path) -> None:
    cpu, cuda = Session(model, "cpu"), Session(model, "cuda")
    assert cuda.provider == CUDA
    images = windows(cpu, 5)
    np.testing.assert_allclose(cuda.run(images)[0], cpu.run(images)[0], atol=1e-3)
