"""Recorded batches answer as others do. Here their buffers lie in the host's memory, and nothing is recorded."""

from pathlib import Path

import numpy as np
import pytest

import infer.model.cuda_graphs
import infer.model.session
from infer.core.errors import DeviceError, ModelError
from infer.model.cuda import find_problem
from infer.model.cuda_graphs import MOST_IMAGES
from infer.model.provider_options import RECORDING
from infer.model.session import Session
from infer.pipeline.classify import Ensemble, classify


@pytest.fixture
def plain(model: Path) -> Session:
    return Session(model, "cpu")


@pytest.fixture
def recorded(plain: Session) -> Session:
    return plain.with_options({**plain.options, RECORDING: "1"})


def noise(session: Session, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *session.card.pixels.window, 3), dtype=np.uint8)


def test_every_batch_has_its_own_answers_whether_it_is_recorded_or_not(plain: Session, recorded: Session) -> None:
    recorded.prepare(3)
    recorded.prepare(1)
    assert recorded._recorded is not None
    for count in (1, 3, 5):
        batches = [noise(plain, count, seed) for seed in range(3)]
        assert recorded._recorded.holds(batches[0].shape) is (count != 5)
        found = [recorded.run(batch) for batch in batches]  # kept, while later ones are run
        for batch, answers in zip(batches, found, strict=True):
            for one, other in zip(answers, plain.run(batch), strict=True):
                assert one.tobytes() == other.tobytes()


def test_pixels_that_do_not_lie_one_after_the_other_are_run_as_they_are(plain: Session, recorded: Session) -> None:
    recorded.prepare(2)
    strided = noise(plain, 4)[::2, ::-1]
    np.testing.assert_array_equal(recorded.run(strided)[0], plain.run(strided)[0])


def test_large_batches_are_not_recorded(recorded: Session) -> None:
    recorded.prepare(MOST_IMAGES + 1)
    recorded.prepare(MOST_IMAGES)
    assert recorded._recorded is not None
    assert [shape[0] for shape in recorded._recorded._bound] == [MOST_IMAGES]


def test_what_is_not_recorded_runs_in_a_session_that_does_not_record(
    plain: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    open_onnx = infer.model.onnx_session.open_onnx
    monkeypatch.setattr(
        infer.model.session, "open_onnx", lambda *given: opened.append(given[3].get(RECORDING)) or open_onnx(*given)
    )
    recorded = plain.with_options({**plain.options, RECORDING: "1"})
    recorded.run(noise(plain, 2))
    assert opened == ["0"]
    recorded.prepare(2)
    recorded.prepare(3)
    assert opened == ["0", "1"]


def test_without_the_option_nothing_is_recorded(plain: Session) -> None:
    plain.prepare(2)
    assert plain._recorded is None


def test_a_pipeline_records_its_batch_before_it_begins(recorded: Session, plain: Session, cells: Path) -> None:
    files = [str(path) for path in sorted((cells / "test").rglob("*.*"))][:5]
    found, expected = ([*classify(Ensemble([session], 5, 2), files)] for session in (recorded, plain))
    assert recorded._recorded is not None
    assert [shape[0] for shape in recorded._recorded._bound] == [2]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_where_there_is_no_memory_to_record_batches_run_unrecorded(
    recorded: Session, plain: Session, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, shape: tuple[int, ...]) -> None:
        raise RuntimeError("Failed to allocate memory")

    monkeypatch.setattr(infer.model.cuda_graphs.Recorded, "_record", fail)
    files = [str(path) for path in sorted((cells / "test").rglob("*.*"))][:3]
    said: list[str] = []
    ensembles = [Ensemble([session], 3, 2, say=said.append) for session in (recorded, plain)]
    found, expected = ([*classify(ensemble, files)] for ensemble in ensembles)
    np.testing.assert_array_equal(found[2].probabilities, expected[2].probabilities)
    assert said == ["batches of 2 cannot be recorded as CUDA graphs; continuing without"]


@pytest.mark.parametrize(("message", "error"), [("out of memory", DeviceError), ("bad node", ModelError)])
def test_a_failed_recording_is_an_error_of_the_session(
    recorded: Session, monkeypatch: pytest.MonkeyPatch, message: str, error: type[Exception]
) -> None:
    def fail(self: object, shape: tuple[int, ...]) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(infer.model.cuda_graphs.Recorded, "_record", fail)
    with pytest.raises(error):
        recorded.prepare(2)


@pytest.mark.gpu
def test_cuda_replays_what_it_recorded(model: Path) -> None:
    if problem := find_problem():
        pytest.skip(problem)
    plain = Session(model, "cuda")
    recorded = plain.with_options({**plain.options, RECORDING: "1"})
    recorded.prepare(4)
    for seed in range(4):
        batch = noise(plain, 4, seed)
        np.testing.assert_allclose(recorded.run(batch)[0], plain.run(batch)[0], atol=1e-3)
        np.testing.assert_allclose(recorded.run(batch[:3])[0], plain.run(batch[:3])[0], atol=1e-3)
