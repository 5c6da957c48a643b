"""Prediction from a program gives what `lab predict` writes."""

import copy
import csv
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.onnx_files import name_in_evidence

import infer.pipeline.gpu_decode
from infer import load
from infer.core.errors import ConfigError, DataError, DeviceError, ModelError
from infer.model.providers import CPU, OPENVINO
from infer.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(model: Path) -> Predictor:
    return load(model, device="cpu")


@pytest.fixture(scope="module")
def rows(lab: Callable, model: Path, cells: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The rows that lab predict writes for the test images: name, then probabilities."""
    folder = tmp_path_factory.mktemp("predicted")
    arguments = ("--no-sample", "--out", folder / "o.csv", "--probabilities", folder / "p.csv")
    assert lab("predict", cells / "test", "--model", model, *arguments).code == 0
    return list(csv.reader((folder / "p.csv").open()))[1:]


def test_a_folder_is_predicted_as_the_command_does(
    predictor: Predictor, cells: Path, rows: list[list[str]], model: Path
) -> None:
    found = predictor.predict(cells / "test")
    assert list(found.names) == [row[0] for row in rows]
    assert [[str(value) for value in line] for line in found.probabilities] == [row[1:] for row in rows]
    best = found.probabilities.argmax(axis=1)
    assert list(found.labels) == [predictor.card.classes[k].label for k in best]
    assert (found.errors, predictor.provider) == ({}, CPU.name)
    assert load(model.parent).card == predictor.card


def test_files_are_predicted_in_the_given_order(predictor: Predictor, cells: Path, rows: list[list[str]]) -> None:
    files = [cells / "test" / row[0] for row in reversed(rows)]
    found = predictor.predict(files, batch_size=5)
    assert found.names == tuple(map(str, files))
    assert [str(value) for value in found.probabilities[:, 0]] == [row[1] for row in reversed(rows)]
    streamed = [item.probabilities for item in predictor.stream(list(map(str, files)), batch_size=5)]
    assert np.stack(streamed).tobytes() == found.probabilities.tobytes()


def test_an_unreadable_image_has_an_error_and_the_others_their_predictions(
    predictor: Predictor, cells: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    good = next((cells / "test").iterdir())
    found = predictor.predict([good, tmp_path / "bad.png", tmp_path / "gone.png"])
    assert set(found.errors) == {1, 2}
    assert found.labels[0] is not None
    assert found.labels[1:] == (None, None)
    assert np.isnan(found.probabilities).all(axis=1).tolist() == [False, True, True]


def test_a_predictor_is_pickled_copied_and_sent_to_other_processes(
    model: Path, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    predictor = load(model.name, device="cpu", tta="flips")
    monkeypatch.chdir(cells)
    files = [str(path) for path in sorted((cells / "test").iterdir())[:3]]
    expected = predictor.predict(files).probabilities.tobytes()
    for other in (pickle.loads(pickle.dumps(predictor)), copy.deepcopy(predictor)):
        assert other.predict(files).probabilities.tobytes() == expected
        assert (other.card, other.provider) == (predictor.card, predictor.provider)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(predictor.predict, [*files, "gone.png"]).result()
    assert found.probabilities[:3].tobytes() == expected
    assert str(found.errors[3]) == "gone.png: no such file"


def test_no_files_give_no_predictions_and_an_empty_folder_is_an_error(predictor: Predictor, tmp_path: Path) -> None:
    assert predictor.predict([]).probabilities.shape == (0, 2)
    with pytest.raises(DataError, match="no images found"):
        predictor.predict(tmp_path)


def test_a_missing_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load(tmp_path / "none.onnx")


def test_importing_the_interface_loads_nothing_until_it_is_used() -> None:
    script = "import sys, infer; from infer import load; print({'numpy', 'PIL', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "set()"


def test_an_argument_that_is_none_of_its_choices_is_refused(model: Path) -> None:
    with pytest.raises(ConfigError, match="device must be one of auto, cuda, cpu, got CUDA"):
        load(model, device="CUDA")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="tta must be one of"):
        load(model, tta="five")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no model was given"):
        load()
    with pytest.raises(ConfigError, match="batch_size must be above 0, got 0"):
        load(model, device="cpu").predict([], batch_size=0)


def test_the_warning_filters_are_restored_when_a_stream_is_closed(model: Path, cells: Path) -> None:
    before = list(warnings.filters)
    stream = load(model, device="cpu").stream([str(path) for path in (cells / "test").iterdir()], 2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert warnings.filters == before


def test_jpegs_can_be_decoded_on_the_gpu_and_the_decoders_compared(
    model: Path, tmp_path: Path, save_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nvidia.nvimgcodec", reason="nvImageCodec is not installed")
    monkeypatch.setattr(infer.pipeline.gpu_decode, "CUDA", CPU)  # the CPU stands in for the GPU
    files = [str(save_image(tmp_path / f"{number}.jpg", seed=number)) for number in range(5)]
    gpu, cpu = load(model, decode="gpu"), load(model)
    found, expected = gpu.predict(files), cpu.predict(files)
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=0.05)
    assert gpu._decoder is not None
    assert gpu._decoder.on_gpu == 5
    assert (gpu.compare_decoders(files).images, gpu.compare_decoders(files).labels) == (5, 0)
    with pytest.raises(ConfigError, match="nothing to compare"):
        cpu.compare_decoders(files)


def test_decoding_on_a_gpu_needs_a_gpu(model: Path) -> None:
    with pytest.raises(DeviceError, match="the model was opened on the CPU"):
        load(model, device="cpu", decode="gpu")
    with pytest.raises(ConfigError, match="decode must be one of cpu, gpu"):
        load(model, decode="GPU")  # type: ignore[arg-type]


@pytest.mark.usefixtures("openvino")
def test_a_program_chooses_the_runtime_as_the_command_does_and_copies_keep_it(
    model: Path, cells: Path, tmp_path: Path, predictor: Predictor
) -> None:
    file = Path(shutil.copy(model, tmp_path / "m.onnx"))
    with pytest.raises(DeviceError, match=r"does not name OpenVINO; `lab verify .* --runtime openvino` adds it"):
        load(file, runtime="openvino")
    ours = load(name_in_evidence(file, OPENVINO), runtime="openvino")
    assert ours.provider == "OpenVINO"
    assert copy.copy(ours).provider == "OpenVINO"
    found, expected = (item.predict(cells / "test").probabilities for item in (ours, predictor))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert load(file, device="cpu", runtime="onnxruntime").provider == CPU.name
    with pytest.raises(ConfigError, match="runtime must be one of auto, onnxruntime, openvino, openvino-bf16, got tvm"):
        load(file, runtime="tvm")
    with pytest.raises(ConfigError, match="--device cuda and --runtime openvino exclude each other"):
        load(file, device="cuda", runtime="openvino")
