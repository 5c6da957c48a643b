"""Uploads get the pixels of `lab predict`; a decoder that dies or is stuck costs no more than one image."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.bad_decoders import crash, hang

import infer.serve.decoders
from infer.core.errors import ImageError, MissingExtraError
from infer.images.preprocess import PixelSpec, read_window
from infer.images.upload import Upload
from infer.serve.decoders import Decoders, decode_upload

SPECS = (PixelSpec.default(32), PixelSpec.default(48))


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    decoders = Decoders(1, None, 20)
    yield decoders
    decoders.close()


@pytest.fixture
def upload(tmp_path: Path, save_image: Callable) -> Upload:
    path = save_image(tmp_path / "a.png")
    return Upload(str(path), path.read_bytes())


def test_processes_and_threads_give_the_pixels_of_predict(decoders: Decoders, upload: Upload) -> None:
    threads = Decoders(0, None, 20)
    for views in (decoders.decode(SPECS, upload), threads.decode(SPECS, upload)):
        assert not isinstance(views, ImageError)
        for view, spec in zip(views, SPECS, strict=True):
            assert np.array_equal(view[0], read_window(upload.name, spec))
    assert threads.pids == []
    threads.close()


def test_a_killed_process_is_replaced_and_its_image_decoded_all_the_same(decoders: Decoders, upload: Upload) -> None:
    (pid,) = decoders.pids
    os.kill(pid, signal.SIGKILL)
    assert not isinstance(decoders.decode(SPECS, upload), ImageError)
    assert decoders.pids != [pid]
    assert len(decoders.pids) == 1


def test_an_image_that_crashes_the_decoder_has_an_error_and_the_next_one_pixels(
    decoders: Decoders, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(infer.serve.decoders, "decode_upload", crash)
        assert "crashed" in str(decoders.decode(SPECS, upload))
    assert not isinstance(decoders.decode(SPECS, upload), ImageError)


def test_a_decoder_that_is_stuck_is_ended(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = Decoders(1, None, 1)
    try:
        monkeypatch.setattr(infer.serve.decoders, "decode_upload", hang)
        start = time.perf_counter()
        assert "takes longer than 1 s" in str(decoders.decode(SPECS, upload))
        assert time.perf_counter() - start < 10
    finally:
        decoders.close()


def test_large_images_are_refused_by_their_header(upload: Upload) -> None:
    error = decode_upload(SPECS, 1000, upload)
    assert isinstance(error, ImageError)
    assert error.reason == "40 x 30 pixels, more than 0.001 million"
    assert not isinstance(decode_upload(SPECS, 1200, upload), ImageError)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"no image", b"\xff\xd8\xff" + bytes(100)])
def test_what_is_no_image_has_an_error_by_either_way(content: bytes) -> None:
    for limit in (None, 1000):
        assert isinstance(decode_upload(SPECS, limit, Upload("a.png", content)), ImageError)


def test_exhausted_memory_and_missing_libraries_are_errors_of_the_image(
    upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, text in ((MemoryError(), "memory"), (MissingExtraError(f"{upload.name} needs x"), "needs x")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(infer.serve.decoders, "read_views", fail)
        found = decode_upload(SPECS, None, upload)
        assert isinstance(found, ImageError)
        assert text in found.reason
