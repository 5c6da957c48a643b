"""The pipeline keeps the order of the images, halves batches that do not fit, and fills up those that must be full."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import infer.pipeline.batches
from infer.core.errors import DeviceError
from infer.images.preprocess import read_window
from infer.model.providers import CPU, CUDA, Provider
from infer.model.session import Session
from infer.pipeline.batches import CpuDecoder
from infer.pipeline.classify import Ensemble, ImagePrediction, classify


class Limited:
    """A session whose device holds `room` images, otherwise the real one."""

    def __init__(self, session: Session, room: int, provider: Provider = CPU, batch: int | None = None) -> None:
        self.card, self.provider, self.room, self.sizes, self.batch = session.card, provider, room, [], batch
        self._run = session.run

    def prepare(self, count: int) -> None: ...

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.sizes.append(len(pixels))
        if len(pixels) > self.room:
            raise DeviceError("out of memory")
        return self._run(pixels)


@pytest.fixture
def files(tmp_path: Path, save_image: Callable[..., Path]) -> list[str]:
    return [str(save_image(tmp_path / f"{k}.png", seed=k)) for k in range(11)]


def predict(session: object, files: list[str], batch_size: int, **more: Any) -> list[ImagePrediction]:
    return list(classify(Ensemble([session], len(files), batch_size, **more), files))  # type: ignore[list-item]


def stacked(predictions: list[ImagePrediction]) -> np.ndarray:
    return np.stack([item.probabilities for item in predictions if item.probabilities is not None])


def expected(session: Session, files: list[str]) -> np.ndarray:
    return session.run(np.stack([read_window(file, session.card.pixels) for file in files]))[1]


def test_predictions_are_those_of_the_images_in_order(model: Path, files: list[str]) -> None:
    session = Session(model, "cpu")
    assert stacked(predict(session, files, 4)).tobytes() == expected(session, files).tobytes()


@pytest.mark.parametrize("few", [0, 99], ids=["processes", "threads"])
def test_predictions_are_the_same_bytes_for_any_workers_and_batch_size(
    model: Path, files: list[str], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer.pipeline.batches, "FEW_CORES", few)
    monkeypatch.setattr(infer.pipeline.batches, "PROCESSES_FROM", 0)
    session = Session(model, "cpu")
    for workers, batch_size in ((1, 3), (3, 1), (2, 64)):
        decoder = CpuDecoder([session.card.pixels], "none", len(files), workers)
        assert decoder.in_processes == (workers > few)
        predictions = list(classify(Ensemble([session], len(files), batch_size), files, decoder))
        assert stacked(predictions).tobytes() == expected(session, files).tobytes()


def test_batches_are_halved_with_a_message_where_memory_is_exhausted(model: Path, files: list[str]) -> None:
    session, messages = Session(model, "cpu"), []
    limited = Limited(session, room=2)
    predictions = predict(limited, files, 8, say=messages.append)
    assert stacked(predictions).tobytes() == expected(session, files).tobytes()
    assert [line.rpartition(" ")[2] for line in messages] == ["4", "2"]
    assert limited.sizes[:3] == [8, 4, 2]
    assert max(limited.sizes[3:]) == 2  # it does not try the large ones again


def test_a_device_without_room_for_one_image_is_an_error(model: Path, files: list[str]) -> None:
    with pytest.raises(DeviceError):
        predict(Limited(Session(model, "cpu"), room=0), files, 2)


def test_on_cuda_a_single_image_is_not_filled_up_to_a_large_batch(model: Path, files: list[str]) -> None:
    cuda = Limited(Session(model, "cpu"), room=99, provider=CUDA)
    predict(cuda, files[:1], 64)
    assert cuda.sizes == [1]


def test_on_cuda_the_last_batch_is_filled_so_that_every_batch_has_one_shape(model: Path, files: list[str]) -> None:
    session = Session(model, "cpu")
    cuda = Limited(session, room=99, provider=CUDA)
    predictions = predict(cuda, files, 4)
    assert cuda.sizes == [4, 4, 4]
    assert stacked(predictions).tobytes() == expected(session, files).tobytes()


def test_on_cuda_the_last_batch_of_a_resumed_prediction_is_filled_as_of_an_unbroken_one(
    model: Path, files: list[str]
) -> None:
    whole, resumed = (Limited(Session(model, "cpu"), room=99, provider=CUDA) for _ in range(2))
    predict(whole, files, 8)
    list(classify(Ensemble([resumed], len(files), 8), files[8:]))  # type: ignore[list-item]
    assert (whole.sizes, resumed.sizes) == ([8, 8], [8])


def test_on_cuda_one_batch_is_copied_while_another_runs(model: Path, files: list[str]) -> None:
    session = Session(model, "cpu")
    cuda = Limited(session, room=99, provider=CUDA)
    both, run = threading.Barrier(2, timeout=60), cuda.run
    cuda.run = lambda pixels: (both.wait(), run(pixels))[1]  # type: ignore[method-assign]
    predictions = predict(cuda, files[:8], 2)
    assert stacked(predictions).tobytes() == expected(session, files[:8]).tobytes()


def test_batches_that_run_at_once_agree_on_a_size_that_has_room(model: Path, files: list[str]) -> None:
    session, messages = Session(model, "cpu"), []
    cuda = Limited(session, room=2, provider=CUDA)
    predictions = predict(cuda, files, 4, say=messages.append)
    assert stacked(predictions).tobytes() == expected(session, files).tobytes()
    assert messages == ["the device's memory is exhausted; continuing with batches of 2"]


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_a_file_for_one_batch_size_gets_batches_of_that_size_alone(
    model: Path, files: list[str], batch_size: int
) -> None:
    session = Session(model, "cpu")
    fixed = Limited(session, room=99, batch=5)
    predictions = predict(fixed, files, batch_size)
    assert fixed.sizes == [5, 5, 5]
    assert stacked(predictions).tobytes() == expected(session, files).tobytes()
    with pytest.raises(DeviceError):
        predict(Limited(session, room=4, batch=5), files, batch_size)


def test_in_a_batch_with_bad_images_every_prediction_belongs_to_its_image(model: Path, files: list[str]) -> None:
    session = Session(model, "cpu")
    for index in (0, 5, 6, 10):
        Path(files[index]).write_bytes(b"no image")
    predictions = predict(session, files, 3)
    assert [index for index, item in enumerate(predictions) if item.error] == [0, 5, 6, 10]
    good = [index for index in range(11) if index not in (0, 5, 6, 10)]
    assert stacked(predictions).tobytes() == expected(session, [files[index] for index in good]).tobytes()
