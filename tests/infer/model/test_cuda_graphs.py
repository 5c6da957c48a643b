"""Replayed batches give the outputs of others. Without a GPU buffers are in host memory, and nothing is with_graphs."""

from pathlib import Path

import numpy as np
import pytest

import infer.model.cuda_graphs
import infer.model.session
from infer.core.errors import DeviceError, ModelError
from infer.model.cuda_graphs import MAX_IMAGES
from infer.model.providers import CUDA_GRAPH
from infer.model.session import Session
from infer.pipeline.classify import Ensemble, classify


@pytest.fixture
def plain(model: Path) -> Session:
    return Session(model, "cpu")


@pytest.fixture
def with_graphs(plain: Session) -> Session:
    return plain.with_options({**plain.options, CUDA_GRAPH: "1"})


def noise(session: Session, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *session.card.pixels.window, 3), dtype=np.uint8)


def test_every_batch_has_its_own_outputs_whether_it_is_captured_or_not(plain: Session, with_graphs: Session) -> None:
    with_graphs.prepare(3)
    with_graphs.prepare(1)
    assert with_graphs._graphs is not None
    for count in (1, 3, 5):
        batches = [noise(plain, count, seed) for seed in range(3)]
        assert with_graphs._graphs.has(batches[0].shape) is (count != 5)
        found = [with_graphs.run(batch) for batch in batches]  # kept, while later ones are run
        for batch, answers in zip(batches, found, strict=True):
            for one, other in zip(answers, plain.run(batch), strict=True):
                assert one.tobytes() == other.tobytes()


def test_pixels_that_are_not_contiguous_are_run_as_they_are(plain: Session, with_graphs: Session) -> None:
    with_graphs.prepare(2)
    strided = noise(plain, 4)[::2, ::-1]
    np.testing.assert_array_equal(with_graphs.run(strided)[0], plain.run(strided)[0])


def test_large_batches_are_not_captured(with_graphs: Session) -> None:
    with_graphs.prepare(MAX_IMAGES + 1)
    with_graphs.prepare(MAX_IMAGES)
    assert with_graphs._graphs is not None
    assert [shape[0] for shape in with_graphs._graphs.shapes] == [MAX_IMAGES]


def test_other_batches_run_in_a_session_that_does_not_capture(plain: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    open_onnx = infer.model.onnx_session.open_onnx
    for module in (infer.model.session, infer.model.onnx_session):
        monkeypatch.setattr(
            module, "open_onnx", lambda *given: opened.append(given[3].get(CUDA_GRAPH)) or open_onnx(*given)
        )
    with_graphs = plain.with_options({**plain.options, CUDA_GRAPH: "1"})
    with_graphs.run(noise(plain, 2))
    assert opened == ["0"]
    with_graphs.prepare(2)
    with_graphs.prepare(3)
    assert opened == ["0", "1"]


def test_without_the_option_nothing_is_captured(plain: Session) -> None:
    plain.prepare(2)
    assert plain._graphs is None


def test_a_pipeline_captures_its_batch_before_it_starts(with_graphs: Session, plain: Session, cells: Path) -> None:
    files = [str(path) for path in sorted((cells / "test").rglob("*.*"))][:5]
    found, expected = ([*classify(Ensemble([session], 5, 2), files)] for session in (with_graphs, plain))
    assert with_graphs._graphs is not None
    assert [shape[0] for shape in with_graphs._graphs.shapes] == [2]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_where_memory_does_not_suffice_for_a_capture_batches_run_without(
    with_graphs: Session, plain: Session, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, shape: tuple[int, ...]) -> None:
        raise RuntimeError("Failed to allocate memory")

    monkeypatch.setattr(infer.model.cuda_graphs.CudaGraphs, "_capture", fail)
    files = [str(path) for path in sorted((cells / "test").rglob("*.*"))][:3]
    messages: list[str] = []
    ensembles = [Ensemble([session], 3, 2, say=messages.append) for session in (with_graphs, plain)]
    found, expected = ([*classify(ensemble, files)] for ensemble in ensembles)
    np.testing.assert_array_equal(found[2].probabilities, expected[2].probabilities)
    assert messages == ["batches of 2 cannot be captured as CUDA graphs; continuing without"]


@pytest.mark.parametrize(("message", "error"), [("out of memory", DeviceError), ("bad node", ModelError)])
def test_a_failed_capture_is_an_error_of_the_session(
    with_graphs: Session, monkeypatch: pytest.MonkeyPatch, message: str, error: type[Exception]
) -> None:
    def fail(self: object, shape: tuple[int, ...]) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(infer.model.cuda_graphs.CudaGraphs, "_capture", fail)
    with pytest.raises(error):
        with_graphs.prepare(2)


@pytest.mark.gpu
def test_cuda_replays_what_it_captured(model: Path) -> None:
    plain = Session(model, "cuda")
    with_graphs = plain.with_options({**plain.options, CUDA_GRAPH: "1"})
    with_graphs.prepare(4)
    for seed in range(4):
        batch = noise(plain, 4, seed)
        np.testing.assert_allclose(with_graphs.run(batch)[0], plain.run(batch)[0], atol=1e-3)
        np.testing.assert_allclose(with_graphs.run(batch[:3])[0], plain.run(batch[:3])[0], atol=1e-3)
