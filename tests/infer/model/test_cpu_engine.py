import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import infer.model.cpu_engine
from infer.core.errors import ModelError
from infer.model.cpu_engine import CpuEngine
from infer.model.onnx_session import OnnxEngine
from infer.model.openvino_session import STREAMS, OpenVinoEngine
from infer.model.providers import CPU, DIVIDED, OPENVINO, SPINNING, Provider

LEGACY = Path(__file__).parents[2] / "data" / "legacy" / "finished"
OUTPUTS = ["logits", "probabilities"]


def noise(count: int) -> dict[str, Any]:
    return {"images": np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)}


class Recorder(OnnxEngine):
    """An engine that notes how many threads each one opened has, and the batches that it runs."""

    opened: list[int]
    ran: list[tuple[int, int]]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.threads = named["threads"]
        self.opened.append(self.threads)

    def run(self, outputs: Any, inputs: Any) -> Any:
        self.ran.append((self.threads, len(inputs["images"])))
        return super().run(outputs, inputs)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    Recorder.opened, Recorder.ran = [], []
    monkeypatch.setattr(infer.model.cpu_engine, "OnnxEngine", Recorder)
    return Recorder


def open_engine(threads: int = 2, **options: str) -> CpuEngine:
    return CpuEngine(LEGACY / "fp32.onnx", CPU, threads, {**CPU.default_options("fp32"), **options})


@pytest.mark.parametrize("count", [1, 3, 4, 17])
# not OpenVINO in int8: its threads need more channels than this file has, see test_openvino_session.py
@pytest.mark.parametrize(("provider", "precision"), [(CPU, "fp32"), (CPU, "int8"), (OPENVINO, "fp32")], ids=str)
def test_a_divided_batch_gives_the_same_bytes(
    provider: Provider, precision: str, count: int, request: pytest.FixtureRequest
) -> None:
    if provider is OPENVINO:
        request.getfixturevalue("openvino")
    file, options = LEGACY / f"{precision}.onnx", provider.default_options(precision, precision == "int8")
    divided = CpuEngine(file, provider, 2, options).run(OUTPUTS, noise(count))
    whole = CpuEngine(file, provider, 1, options).run(OUTPUTS, noise(count))
    for ours, theirs in zip(divided, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def seconds_after(run: Callable[[], object]) -> float:
    """Processor time that this process takes while it sleeps after a run."""
    run()
    start = time.process_time()
    time.sleep(0.05)
    return time.process_time() - start


def test_threads_leave_the_cores_to_others_when_a_run_is_over() -> None:
    engine = open_engine(**{SPINNING: "1"})
    after = min(seconds_after(lambda: engine.run(OUTPUTS, noise(1))) for _ in range(5))
    spins_on = OnnxEngine(LEGACY / "fp32.onnx", replace(CPU, session_entries={}), 2, {SPINNING: "1"})
    assert after < 0.2 * max(seconds_after(lambda: spins_on.run(OUTPUTS, noise(1))) for _ in range(5))


def test_large_batches_and_the_rest_of_them_are_run_by_single_threads(recorder: type[Recorder]) -> None:
    engine = open_engine()
    for count in (16, 16, 3):
        engine.run(OUTPUTS, noise(count))
    assert recorder.opened == [2, 1]
    assert sorted(recorder.ran) == sorted([(1, 2)] * 16 + [(1, 1)] * 3)


def test_single_images_are_run_by_all_threads_together_also_between_large_batches(recorder: type[Recorder]) -> None:
    engine = open_engine()
    for count in (1, 1, 8, 1, 1, 1):
        engine.run(OUTPUTS, noise(count))
    assert recorder.opened == [2, 1]
    assert [ran for ran in recorder.ran if ran[0] == 2] == [(2, 1)] * 4


def test_single_images_after_large_batches_alone_get_all_threads_again(recorder: type[Recorder]) -> None:
    engine = open_engine()
    for count in (8, 1, 1):
        engine.run(OUTPUTS, noise(count))
    assert recorder.opened == [2, 1, 2]
    assert recorder.ran[-2:] == [(1, 1), (2, 1)]


@pytest.mark.parametrize(("threads", "options"), [(1, {}), (2, {DIVIDED: "0"})])
def test_a_batch_is_whole_where_it_is_not_to_be_divided(
    threads: int, options: dict[str, str], recorder: type[Recorder]
) -> None:
    open_engine(threads, **options).run(OUTPUTS, noise(16))
    assert recorder.ran == [(threads, 16)]


@pytest.mark.usefixtures("openvino")
def test_openvino_is_compiled_once_for_large_batches_and_again_for_single_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened, ran = list[str](), list[tuple[str, int]]()

    class Recorded(OpenVinoEngine):
        def __init__(self, model: Any, provider: Provider, threads: int, options: dict[str, str]) -> None:
            super().__init__(model, provider, threads, options)
            self.streams = options[STREAMS]
            opened.append(self.streams)

        def run(self, outputs: Any, inputs: Any) -> Any:
            ran.append((self.streams, len(inputs["images"])))
            return super().run(outputs, inputs)

    monkeypatch.setattr(infer.model.cpu_engine, "OpenVinoEngine", Recorded)
    engine = CpuEngine(LEGACY / "fp32.onnx", OPENVINO, 2, OPENVINO.default_options("fp32"))
    for count in (16, 3):
        engine.run(OUTPUTS, noise(count))
    assert opened == ["2"]
    assert ran == [("2", 2)] * 8 + [("2", 1)] * 3
    engine.run(OUTPUTS, noise(1))
    assert (opened, ran[-1]) == (["2", "1"], ("1", 1))


@pytest.mark.usefixtures("openvino")
def test_openvino_runs_the_only_batch_of_a_file_that_has_one_whole(tmp_path: Path) -> None:
    changed = onnx.load(LEGACY / "fp32.onnx")
    for item in (*changed.graph.input, *changed.graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = 8
    onnx.save(changed, tmp_path / "eight.onnx")
    engine = CpuEngine(tmp_path / "eight.onnx", OPENVINO, 2, OPENVINO.default_options("fp32"))
    assert engine.batch == 8
    for ours, theirs in zip(engine.run(OUTPUTS, noise(8)), open_engine(1).run(OUTPUTS, noise(8)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_model_whose_file_is_gone_or_replaced_still_runs_as_it_was_opened(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    expected = open_engine().run(OUTPUTS, noise(16))
    for replaced in (False, True):
        file.write_bytes((LEGACY / "fp32.onnx").read_bytes())
        engine = CpuEngine(file, CPU, 2, CPU.default_options("fp32"))
        file.unlink()
        if replaced:
            (tmp_path / "draft").write_bytes(b"another file")
            (tmp_path / "draft").replace(file)  # as atomic_write does
        np.testing.assert_array_equal(engine.run(OUTPUTS, noise(16))[0], expected[0])


def test_a_batch_is_whole_where_the_model_cannot_be_opened_twice(
    recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()

    def fails(*args: Any, **named: Any) -> OnnxEngine:
        raise ModelError("no memory")

    monkeypatch.setattr(engine, "_open", fails)
    engine.run(OUTPUTS, noise(16))
    assert recorder.ran == [(2, 16)]
